package server

// Requests over TLS that came to another site than their connection is for.

import (
	"net"
	"net/http"
	"strings"

	"millrace/gateway"
	"millrace/internal/certs"
	"millrace/internal/route"
)

// misdirectedKey marks a request whose connection is for another name. It is
// refused where the log of the site that it names sees it.
type misdirectedKey struct{}

// directed looks whether what a request names is what its client has asked for
// in the handshake, or may go with that (RFC 9110, section 7.4): a client that
// was shown one site's certificate has not made sure of another's. That holds
// for HTTP/1.1 as for the others. A request of HTTP/1.0 need not name a site:
// its handshake has. Proxies that are trusted may name any site.
func (b *builder) directed(table *certs.Table, next http.Handler) http.Handler {
	if table == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || isHost(r.Host, r.TLS.ServerName) {
			next.ServeHTTP(w, r)
			return
		}
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		asked := certs.Asked(r.TLS.ServerName, local)
		if r.Host == "" {
			r.Host = asked
		}
		trusted := b.trust != nil && b.trust.Trusts(r.RemoteAddr)
		if !table.Serves(asked, route.Host(r.Host), trusted) {
			r = r.WithContext(gateway.WithValue(r.Context(), misdirectedKey{}, true))
		}
		next.ServeHTTP(w, r)
	})
}

// isHost reports whether a Host header is a name, mostly with a port.
func isHost(host, name string) bool {
	return name != "" && strings.HasPrefix(host, name) && (len(host) == len(name) || host[len(name)] == ':')
}

// layerMisdirected refuses what directed has marked. The client may ask again
// on a connection of its own (RFC 9110, section 15.5.20).
func layerMisdirected(_ *builder, at *place, next http.Handler) (http.Handler, error) {
	if at.site.TLS == nil {
		return next, nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(misdirectedKey{}) != nil {
			http.Error(w, "421 misdirected request: this connection is for another name", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}
