package upstream

// What an HTTP back end says beside its response: interim responses before it,
// trailers behind it. And gRPC, which cannot do without trailers.

import (
	"net/http"
	"strings"
	"sync"

	"millrace/gateway"
)

// hints passes on interim responses (RFC 9110, section 15.2; RFC 8297).
type hints struct {
	mu   sync.Mutex
	w    http.ResponseWriter
	over bool // the response that counts is here, or none
}

// pass writes one; from whatever goroutine, until end.
func (h *hints) pass(status int, header http.Header) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return
	}
	to := h.w.Header()
	var ours []string
	for name, values := range header {
		if _, set := to[name]; set || gateway.Hop(name) || name == "Content-Length" || strings.HasPrefix(name, "X-Accel-") {
			continue
		}
		to[name] = values
		ours = append(ours, name)
	}
	h.w.WriteHeader(status)
	for _, name := range ours { // they are not of the response
		delete(to, name)
	}
}

func (h *hints) begin(w http.ResponseWriter) {
	h.mu.Lock()
	h.w, h.over = w, false
	h.mu.Unlock()
}

func (h *hints) end() {
	h.mu.Lock()
	h.over = true
	h.mu.Unlock()
}

// passTrailers gives a client the trailers of a response whose body it has. Over
// HTTP/1.1 clients get none.
func passTrailers(w http.ResponseWriter, resp *gateway.Response) {
	for name, values := range resp.Trailer {
		w.Header()[http.TrailerPrefix+name] = values
	}
}

// isRPC tells gRPC by its media type: its requests and responses go on while
// both sides speak, and none is to be waited for.
func isRPC(h http.Header) bool {
	const kind = "application/grpc"
	values := h["Content-Type"]
	return len(values) == 1 && len(values[0]) >= len(kind) && strings.EqualFold(values[0][:len(kind)], kind)
}
