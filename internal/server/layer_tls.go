package server

// What a site with TLS does for its clients to stay with it: those who come
// without are redirected, and browsers are told to remember. And what its
// authority asks it without TLS is answered.

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"millrace/internal/certs"
	"millrace/internal/route"
)

// layerTLS redirects who comes without TLS, if that is wanted, and sets
// Strict-Transport-Security for who comes with it.
func layerTLS(b *builder, at *place, next http.Handler) (http.Handler, error) {
	c := at.site
	if c.TLS == nil {
		return next, nil
	}
	h := next
	if c.TLS.HSTS > 0 {
		h = &hsts{[]string{"max-age=" + strconv.FormatInt(int64(c.TLS.HSTS.Seconds()), 10)}, h}
	}
	if c.TLS.Redirect && len(c.TLS.Plain) > 0 {
		to := c.Listen[0]
		names, err := certs.NewTable([]certs.Site{{Names: c.Hosts}})
		if err != nil { // package config has checked it
			return nil, fmt.Errorf("hosts in %s: %w", at.name, err)
		}
		r := &toHTTPS{names: names, port: sync.OnceValue(func() string { return b.server.publicPort(to) }), next: h}
		if c.Default {
			r.orElse = siteName(c)
		}
		h = r
	}
	if c.TLS.ACME != nil {
		m, err := b.server.acme.Manager(authorityOf(c.TLS.ACME))
		if err != nil {
			return nil, err
		}
		h = m.Challenges(h)
	}
	return h, nil
}

type hsts struct {
	value []string
	next  http.Handler
}

func (h *hsts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.TLS != nil {
		w.Header()["Strict-Transport-Security"] = h.value
	}
	h.next.ServeHTTP(w, r)
}

// toHTTPS redirects who comes without TLS: to the name that it came to, if that
// is the site's. To send it to any other would be to tell caches and browsers
// whatever a request's sender likes.
type toHTTPS struct {
	names  *certs.Table  // of the site alone
	orElse string        // the name for those that come to others; "": they are refused
	port   func() string // ":8443", or "" for the usual one
	next   http.Handler
}

func (h *toHTTPS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.TLS != nil {
		h.next.ServeHTTP(w, r)
		return
	}
	host := route.Host(r.Host)
	switch {
	case host == "" && h.orElse == "" || r.URL.Host != "" && r.Method == http.MethodConnect: // of HTTP/1.0; nowhere to lead to
		http.Error(w, "this site is served over https", http.StatusBadRequest)
		return
	case h.names.Has(host) && host != "":
	case h.orElse == "":
		http.Error(w, "421 misdirected request: there is no site of this name", http.StatusMisdirectedRequest)
		return
	default:
		host = h.orElse
	}
	w.Header().Set("Location", "https://"+host+h.port()+r.URL.RequestURI())
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusPermanentRedirect)
}

// publicPort is the port of an address of a site as a URL has it.
func (s *Server) publicPort(address string) string {
	s.mu.Lock()
	f := s.fronts[address]
	s.mu.Unlock()
	if f == nil {
		return ""
	}
	if port := f.port(); port != 0 && port != 443 {
		return ":" + strconv.Itoa(port)
	}
	return ""
}
