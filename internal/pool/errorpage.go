package pool

// What a client gets in place of an answer, and who sees a traceback in it.

import (
	"io"
	"net/http"
	"net/netip"
	"slices"

	"millrace/gateway"
	"millrace/internal/requestid"
)

// plainError answers with a status, its text, and the request's id; detail,
// when there is some, follows.
func plainError(w http.ResponseWriter, r *http.Request, status int, detail string) {
	h := w.Header()
	if status == http.StatusBadRequest {
		h.Set("Connection", "close")
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	text := http.StatusText(status) + "\n"
	if id := requestid.Of(r); id != "" {
		text += "request id: " + id + "\n"
	}
	if detail != "" {
		h.Set("Cache-Control", "no-store") // it is for this client alone
		text += "\n" + detail + "\n"
	}
	gateway.OwnAnswer(w)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // an error here is a client that left
}

// ShowFailure answers with the reason why a new generation cannot serve, to
// those who may see tracebacks; for the others it does nothing and returns
// false. In development the browser looks again by itself.
func (cfg *Config) ShowFailure(w http.ResponseWriter, r *http.Request, failure string) bool {
	if !cfg.showsTraceback(r, gateway.FrontOf(r.Context())) {
		return false
	}
	if cfg.Development && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		w.Header().Set("Refresh", "1")
	}
	plainError(w, r, http.StatusInternalServerError, failure)
	return true
}

// startOver takes back what a response has been given, but for the request's
// id: that is the site's word and not the app's.
func startOver(h http.Header) {
	id := h[requestid.Header]
	clear(h)
	if id != nil {
		h[requestid.Header] = id
	}
}

// showsTraceback reports whether whoever sent r may see a traceback.
//
// The client must be known: one on a Unix socket is not, nor is one whose
// front server did not tell its address. An HTTP proxy's address is not its
// client's, so what says that it came through one is nobody's; a client can
// only lose by saying so.
func (cfg *Config) showsTraceback(r *http.Request, front *gateway.Front) bool {
	if len(cfg.TracebackTo) == 0 && !cfg.Development {
		return false
	}
	for _, name := range [...]string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via"} {
		if _, ok := r.Header[name]; ok {
			return false
		}
	}
	var client netip.Addr
	var err error
	if front != nil {
		address, _ := gateway.Lookup(front.Params, "REMOTE_ADDR")
		client, err = netip.ParseAddr(address)
	} else {
		var peer netip.AddrPort
		peer, err = netip.ParseAddrPort(r.RemoteAddr)
		client = peer.Addr()
	}
	if err != nil {
		return false
	}
	client = client.Unmap().WithZone("")
	if len(cfg.TracebackTo) == 0 {
		return client.IsLoopback()
	}
	return slices.ContainsFunc(cfg.TracebackTo, func(p netip.Prefix) bool { return p.Contains(client) })
}
