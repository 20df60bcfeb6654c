package encode

// What the head of a response decides, and what becomes of it.

import (
	"net/http"
	"strconv"
	"strings"
)

// choose returns the coding of a response with this status and the headers
// that are set, "" for one that passes. It adds Vary.
func (w *writer) choose(status int) string {
	h, p := w.w.Header(), w.policy
	switch status {
	case http.StatusSwitchingProtocols, http.StatusNoContent, http.StatusResetContent:
		return ""
	case http.StatusNotModified:
		w.notModified(h)
		return ""
	}
	// What is short is looked at first: most responses of some apps are.
	var ok bool
	w.length, ok = contentLength(h)
	short := w.length >= 0 && w.length < p.minSize
	accept := w.r.Header["Accept-Encoding"]
	if short && status != http.StatusPartialContent && !weighs(accept) {
		return ""
	}
	if _, encoded := h["Content-Encoding"]; encoded || w.r.Method == http.MethodConnect {
		return ""
	}
	t := h["Content-Type"]
	if status == http.StatusPartialContent && len(t) == 1 && strings.HasPrefix(t[0], "multipart/byteranges") {
		addVary(h) // of what the parts are, each says by itself
		return ""
	}
	if len(t) == 0 || !p.compresses(t[0]) {
		return ""
	}
	if transformed(h) {
		return ""
	}
	if _, part := h["Content-Range"]; part || status == http.StatusPartialContent {
		addVary(h) // the whole may have been compressed
		return ""
	}
	if !ok || w.length == 0 {
		return ""
	}
	coding, refused := Negotiate(accept, p.codings...)
	if short && !(refused && coding != "") {
		return ""
	}
	addVary(h)
	w.refused = refused
	return coding
}

// weighs says whether a client gives a quality to anything: without one it
// refuses nothing, and what is short goes as it is.
func weighs(accept []string) bool {
	for _, value := range accept {
		if strings.IndexByte(value, '=') >= 0 {
			return true
		}
	}
	return false
}

// contentLength is -1 for none. It is not ok when the server has to decide.
func contentLength(h http.Header) (int64, bool) {
	values := h["Content-Length"]
	switch len(values) {
	case 0:
		return -1, true
	case 1:
		n, err := strconv.ParseInt(values[0], 10, 64)
		return n, err == nil && n >= 0
	}
	return 0, false
}

// transformed says whether a body must stay as it is: because the handler says
// so (RFC 9111, 5.2.2.6), or because its digest is in the head.
func transformed(h http.Header) bool {
	if c, ok := h["Cache-Control"]; ok && hasToken(c, "no-transform") {
		return true
	}
	for _, name := range [...]string{"Content-Digest", "Digest", "Content-Md5"} {
		if _, ok := h[name]; ok {
			return true
		}
	}
	return false
}

// varyEncoding is for all responses: it has no room to be appended to.
var varyEncoding = []string{"Accept-Encoding"}[:1:1]

// addVary says that the response would be another one for another
// Accept-Encoding.
func addVary(h http.Header) {
	v := h["Vary"]
	if len(v) > 0 && (hasToken(v, "accept-encoding") || hasToken(v, "*")) {
		return
	}
	if len(v) == 0 {
		h["Vary"] = varyEncoding
		return
	}
	h["Vary"] = append(v[:len(v):len(v)], "Accept-Encoding")
}

// notModified gives a 304 the ETag of the compressed response that the client
// has.
func (w *writer) notModified(h http.Header) {
	tag := h["Etag"]
	if len(tag) != 1 {
		return
	}
	preferred, _ := Negotiate(w.r.Header["Accept-Encoding"], w.policy.codings...)
	coding := namesEncoded(w.r.Header["If-None-Match"], tag[0], preferred, w.policy.codings)
	if coding == "" {
		return
	}
	h["Etag"] = []string{encodedTag(tag[0], coding)}
	addVary(h)
}

// announce sends the head of a compressed response. A negative length is not
// known.
func (w *writer) announce(length int64) {
	h := w.w.Header()
	h["Content-Encoding"] = []string{w.coding}
	if length >= 0 {
		h["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	} else {
		delete(h, "Content-Length")
	}
	delete(h, "Accept-Ranges")
	if tag, ok := h["Etag"]; ok {
		if encoded := encodedTag(tag[0], w.coding); len(tag) == 1 && encoded != "" {
			h["Etag"] = []string{encoded}
		} else {
			delete(h, "Etag")
		}
	}
	w.w.WriteHeader(w.status)
}
