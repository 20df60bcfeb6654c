package h1

// This file: a response's bytes.
//
// The handler's header lines are encoded when it calls WriteHeader, and the
// body behind them. Framing and date are known only when the first bytes have
// to leave; they go before the handler's lines, where room is kept for them,
// so that nothing is moved and one write sends all:
//
//	| pad: status line, Date, Content-Length, … | handler's lines, CR LF | gap: a chunk's size | body | tail |
//
// The gap is there while the body may turn out to be chunked; closing it moves
// the handler's lines. Behind the first flush the buffer holds body alone:
//
//	| gap | body | tail |

import (
	"net/http"
	"strconv"

	"millrace/internal/field"
)

const (
	padRoom  = 256
	gapRoom  = len("fffff\r\n") + 1
	tailRoom = len("\r\n0\r\n\r\n")
	sniffed  = 512 // as net/http
)

// layout is the buffer of a response.
type layout struct {
	buf   *buffer
	start int // of what is to be sent; before the head is composed, of the handler's lines
	body  int // where the body begins
	end   int
	gap   int
}

// room is how much of the body still fits.
func (o *layout) room() int {
	if o.buf == nil {
		return 0
	}
	return len(o.buf.b) - tailRoom - o.end
}

// grow makes room for n bytes.
func (o *layout) grow(from *buffers, n int) {
	bigger := from.getFor(o.end + n + tailRoom)
	copy(bigger.b[o.start:], o.buf.b[o.start:o.end])
	o.buf.release()
	o.buf = bigger
}

func (o *layout) release() {
	o.buf.release()
	o.buf = nil
}

// fields are the header lines of a handler that have a meaning here.
type fields struct {
	contentType, encoding, date, connection, length bool
	sniffed                                         string
}

// encodeHeader writes the handler's lines, but for those of the framing.
func (w *response) encodeHeader() {
	w.out.buf = w.c.srv.buffers.getSmall()
	w.out.start, w.out.end = padRoom, padRoom
	w.length = -1
	for name, values := range w.header {
		switch name {
		case "Content-Type":
			w.has.contentType = true // also a nil one, which says that there is to be none
			if w.status == http.StatusNotModified {
				continue
			}
		case "Content-Encoding":
			w.has.encoding = len(values) > 0 && values[0] != ""
		case "Date":
			w.has.date = true
		case "Content-Length":
			w.declare(values)
			continue
		case "Transfer-Encoding":
			w.raw = len(values) > 0 && values[0] == "identity"
			continue
		case "Trailer":
			continue
		case "Connection":
			for _, v := range values {
				w.close = w.close || field.HasToken(v, "close")
			}
			if w.close {
				continue
			}
			w.has.connection = len(values) > 0
		}
		for _, v := range values {
			w.line(name, v)
		}
	}
	w.room(2)
	w.out.end += copy(w.out.buf.b[w.out.end:], "\r\n")
	if w.length < 0 && w.http11 && !w.raw && !w.isHead && bodyAllowed(w.status) {
		w.out.gap = gapRoom
		w.room(gapRoom)
		w.out.end += gapRoom
	}
	w.out.body = w.out.end
}

// declare takes the handler's Content-Length.
func (w *response) declare(values []string) {
	if len(values) == 0 || values[0] == "" {
		return
	}
	n, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil || n < 0 {
		w.c.srv.log().Error("a handler's Content-Length is no length, and is left out", "peer", w.c.remote, "value", values[0])
		return
	}
	w.has.length = true
	w.length = n
}

func (w *response) room(n int) {
	if w.out.room() < n {
		w.out.grow(&w.c.srv.buffers, max(n, w.out.end))
	}
}

// line writes one header line. What is no name is left out, and line ends in a
// value become spaces: no handler's mistake splits a response.
func (w *response) line(name, value string) {
	if !field.IsToken(name) {
		return
	}
	value = field.Trim(value)
	w.room(len(name) + len(value) + len(": \r\n"))
	b := w.out.buf.b[w.out.end:w.out.end:len(w.out.buf.b)]
	b = append(b, name...)
	b = append(b, ": "...)
	at := len(b)
	b = append(b, value...)
	if !field.IsValue(value) {
		for i := at; i < len(b); i++ {
			if c := b[i]; c == '\r' || c == '\n' || c == 0 {
				b[i] = ' '
			}
		}
	}
	b = append(b, "\r\n"...)
	w.out.end += len(b)
}

// sniff decides on the Content-Type by the body's first bytes, as net/http
// does.
func (w *response) sniff(body []byte) {
	if w.sent || w.has.contentType || w.has.encoding || w.raw || w.has.sniffed != "" || !bodyAllowed(w.status) || len(body) == 0 {
		return
	}
	if have := w.out.end - w.out.body; have > 0 {
		body = append(w.out.buf.b[w.out.body:w.out.end:w.out.end], body[:min(len(body), sniffed)]...)
	}
	w.has.sniffed = http.DetectContentType(body)
}

// compose decides how the body ends, and puts the head before it. last: the
// handler has returned, the body is all there.
func (w *response) compose(last bool) {
	body := w.out.end - w.out.body
	allowed := bodyAllowed(w.status)
	if body > 0 {
		w.sniff(w.out.buf.b[w.out.body:w.out.end])
	}
	if last && w.length < 0 && allowed && !w.raw && (!w.isHead || w.written > 0) {
		w.length = w.written
		w.has.length = true
	}
	if w.status == http.StatusNoContent || w.status == http.StatusNotModified || w.status < 200 {
		w.has.length = false
	}
	w.frame(allowed)
	w.consumeBody()
	w.sent = true

	b := w.out.buf.b
	at := w.out.body
	if w.chunked && body > 0 {
		at = chunkSize(b, at, body)
		w.out.end += copy(b[w.out.end:], "\r\n")
	}
	lines := w.out.body - w.out.gap - w.out.start
	if shift := at - w.out.start - lines; shift > 0 {
		copy(b[w.out.start+shift:], b[w.out.start:w.out.start+lines])
		w.out.start += shift
	}
	var room [padRoom]byte
	prefix := w.prefix(room[:0])
	w.out.start -= len(prefix)
	copy(b[w.out.start:], prefix)
	if last {
		w.endChunks()
	}
}

// frame decides about chunks and the connection.
func (w *response) frame(allowed bool) {
	known := w.isHead || !allowed || w.length >= 0
	switch {
	case known:
	case w.http11 && !w.raw:
		w.chunked = true
	default:
		w.raw, w.close = true, true
	}
	if w.c.srv.draining.Load() {
		w.close = true
	}
}

// prefix is the head before the handler's lines.
func (w *response) prefix(b []byte) []byte {
	if w.http11 {
		b = append(b, "HTTP/1.1 "...)
	} else {
		b = append(b, "HTTP/1.0 "...)
	}
	if w.status == http.StatusOK {
		b = append(b, "200 OK\r\n"...)
	} else {
		b = strconv.AppendInt(b, int64(w.status), 10)
		b = append(b, ' ')
		b = append(b, http.StatusText(w.status)...)
		b = append(b, "\r\n"...)
	}
	if !w.has.date {
		b = append(b, "Date: "...)
		b = append(b, w.c.srv.clock.date()...)
		b = append(b, "\r\n"...)
	}
	if w.has.length {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, w.length, 10)
		b = append(b, "\r\n"...)
	}
	if w.has.sniffed != "" {
		b = append(b, "Content-Type: "...)
		b = append(b, w.has.sniffed...)
		b = append(b, "\r\n"...)
	}
	if w.chunked {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case w.status == http.StatusSwitchingProtocols:
	case w.close && w.http11:
		b = append(b, "Connection: close\r\n"...)
	case w.keep10 && !w.close && !w.has.connection:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	return b
}

// chunkSize writes a chunk's size so that it ends at at, and returns where it
// begins.
func chunkSize(b []byte, at, size int) int {
	const digits = "0123456789abcdef"
	at -= 2
	b[at], b[at+1] = '\r', '\n'
	for ; size > 0; size >>= 4 {
		at--
		b[at] = digits[size&15]
	}
	return at
}

func (w *response) endChunks() {
	if w.chunked {
		w.out.end += copy(w.out.buf.b[w.out.end:], "0\r\n\r\n")
	}
}

// terminate ends the body behind the head.
func (w *response) terminate() {
	if w.chunked {
		w.closeChunk()
		w.endChunks()
		w.chunked = false // what is left goes out as it is
	}
}

// closeChunk makes a chunk of the body in the buffer.
func (w *response) closeChunk() {
	if size := w.out.end - w.out.body; size > 0 && w.out.start == 0 {
		w.out.start = chunkSize(w.out.buf.b, w.out.body, size)
		w.out.end += copy(w.out.buf.b[w.out.end:], "\r\n")
	} else if w.out.start == 0 {
		w.out.start = w.out.end
	}
}

// flush sends what is in the buffer, and leaves it for more of the body.
func (w *response) flush() error { return w.leave(false) }

// leave is flush; more says that a file follows at once.
func (w *response) leave(more bool) error {
	if w.out.buf == nil { // a file was sent
		return w.c.werr
	}
	if w.chunked {
		w.closeChunk()
	}
	b := w.out.buf.b[w.out.start:w.out.end]
	w.out.start, w.out.body, w.out.end = 0, 0, 0
	if w.chunked {
		w.out.body, w.out.end = gapRoom, gapRoom
	}
	if len(b) == 0 {
		return w.c.werr
	}
	return w.c.send(b, more)
}

// informational sends a 1xx response at once.
func (w *response) informational(status int) {
	if !w.http11 {
		return // RFC 9110, 15.2: never to HTTP/1.0
	}
	b := make([]byte, 0, 512)
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	b = append(b, "\r\n"...)
	if w.expects {
		w.continuing.Lock()
		defer w.continuing.Unlock()
		if status == http.StatusContinue {
			w.mayGoOn.Store(false)
		}
	}
	var lines response // whose buffer takes the lines
	lines.c = w.c
	lines.out.buf = w.c.srv.buffers.getSmall()
	defer lines.out.release()
	for name, values := range w.header {
		switch name {
		case "Content-Length", "Transfer-Encoding", "Trailer", "Connection":
			continue
		}
		for _, v := range values {
			lines.line(name, v)
		}
	}
	b = append(b, lines.out.buf.b[:lines.out.end]...)
	b = append(b, "\r\n"...)
	_ = w.c.write(b) // noted in the connection
}
