package pool

// From an answer to the HTTP response.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"millrace/gateway"
	"millrace/internal/requestid"
)

// responseHead is what an answer's head says.
type responseHead struct {
	status int
	length int64 // Content-Length; negative: none
}

// parseHead puts the app's headers into h. What must not reach a client is an
// error; what belongs to the connection is left out, and named in dropped.
func parseHead(head []byte, h http.Header) (res responseHead, dropped []string, err error) {
	text := string(head) // the headers' strings are parts of this one
	status, text, more := strings.Cut(text, "\n")
	if res.status, err = gateway.ParseStatus(status); err != nil {
		return res, nil, err
	}
	res.length = -1
	values := make([]string, 0, 8) // the headers' one-value slices are parts of this one
	for more {
		var line string
		line, text, more = strings.Cut(text, "\n")
		name, value, ok := strings.Cut(line, "\x00")
		if !ok {
			return res, nil, errors.New("a header without a value")
		}
		name, keep, err := gateway.AppHeader(name, value)
		switch {
		case err != nil:
			return res, nil, err
		case !keep:
			dropped = append(dropped, name)
			continue
		case name == "Content-Length":
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil || res.length >= 0 && res.length != int64(n) {
				return res, nil, fmt.Errorf("bad Content-Length %.64q", value)
			}
			res.length = int64(n)
		case name == requestid.Header && h[name] != nil:
			continue // the site shows its own (server.requestid.Show)
		}
		if have, ok := h[name]; ok && name != "Content-Length" {
			h[name] = append(have, value)
			continue
		}
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	return res, dropped, nil
}

// isEventStream tells a head whose body must never be held back.
func isEventStream(head []byte) bool {
	const name = "content-type\x00text/event-stream"
	for line := range bytes.SplitSeq(head, []byte("\n")) {
		if len(line) >= len(name) && strings.EqualFold(string(line[:len(name)]), name) {
			return true
		}
	}
	return false
}

// respond writes the answer that c has, and gives c back.
func (p *Pool) respond(w http.ResponseWriter, r *http.Request, c *call) {
	defer func() {
		if c.pipe == nil {
			c.release()
		}
	}()
	header := w.Header()
	if c.appError {
		p.respondError(w, r, c)
		return
	}
	res, dropped, err := c.readHead(r.Context(), header)
	if err != nil {
		startOver(header)
		p.log.Error("the app's response is refused", "app", p.name, "request", c.requestID(), "method", c.method, "uri", c.uri, "error", err)
		if c.pipe != nil {
			p.stopStream(c)
		}
		plainError(w, r, http.StatusInternalServerError, "")
		return
	}
	for _, name := range dropped {
		p.log.Warn("a header of the app belongs to the connection and is left out", "app", p.name, "request", c.requestID(), "header", name)
	}
	bodyless := res.status == http.StatusNoContent || res.status == http.StatusNotModified
	if res.status == http.StatusNoContent {
		delete(header, "Content-Length")
	}
	if bodyless || r.Method == http.MethodHead || !gateway.WantsBody(w, res.status) {
		if c.pipe != nil {
			p.stopStream(c)
		}
		if n := c.bodyLength(); !bodyless && res.length < 0 && n > 0 {
			header["Content-Length"] = []string{strconv.FormatInt(n, 10)}
		}
		w.WriteHeader(res.status)
		return
	}
	if _, ok := header["Content-Type"]; !ok {
		header["Content-Type"] = nil // net/http must not guess one
	}
	switch {
	case c.pipe != nil:
		p.respondPipe(w, r, c, res)
	case c.file != nil:
		p.respondFile(w, r, c, res)
	default:
		p.respondWhole(w, c, res)
	}
}

// respondError answers for an app that raised before it had answered. What the
// worker sent is the traceback, if this client may see it.
func (p *Pool) respondError(w http.ResponseWriter, r *http.Request, c *call) {
	p.log.Error("the app raised an exception; its traceback has the same request", "app", p.name, "request", c.requestID(), "method", c.method, "uri", c.uri)
	detail := ""
	if c.shows {
		detail = strings.TrimRight(strings.ToValidUTF8(string(c.whole), "\uFFFD"), "\n")
	}
	plainError(w, r, http.StatusInternalServerError, detail)
}

// bodyLength is the size of the answer's body, negative when it is not known.
func (c *call) bodyLength() int64 {
	switch {
	case c.pipe != nil:
		return c.length
	case c.file != nil:
		return c.file.size
	}
	return int64(len(c.whole))
}

// requestID names the call in logs. A call that its handler has, or that is
// lent.
func (c *call) requestID() string {
	if c.id != "" || c.channel == nil {
		return c.id
	}
	return c.channel.requestID(c.seq)
}

// respondWhole writes a body that came in one piece.
func (p *Pool) respondWhole(w http.ResponseWriter, c *call, res responseHead) {
	body := c.whole
	switch {
	case res.length < 0:
		w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	case res.length < int64(len(body)):
		p.logLength("the response is longer than its Content-Length; the rest is cut", c, res.length, int64(len(body)))
		body = body[:res.length]
	case res.length > int64(len(body)):
		p.logLength("the response is shorter than its Content-Length; the connection is closed", c, res.length, int64(len(body)))
	}
	w.WriteHeader(res.status)
	_, _ = w.Write(body) // an error here is a client that left
}

// respondFile writes a body that is a file, by sendfile where the connection
// can.
func (p *Pool) respondFile(w http.ResponseWriter, r *http.Request, c *call, res responseHead) {
	size := c.file.size
	if wantsPart(r, w.Header(), res, size) {
		err := c.file.servePart(w, r)
		if err == nil {
			return
		}
		p.log.Error("cannot send a part of the app's file", "app", p.name, "request", c.requestID(), "error", err)
	}
	switch {
	case res.length < 0:
		w.Header()["Content-Length"] = []string{strconv.FormatInt(size, 10)}
	case res.length < size:
		size = res.length // the app sends a part of the file
	case res.length > size:
		p.logLength("the file is shorter than the response's Content-Length; the connection is closed", c, res.length, size)
	}
	body, err := c.file.reader(size)
	if err != nil {
		startOver(w.Header())
		p.log.Error("cannot send the app's file", "app", p.name, "request", c.requestID(), "error", err)
		plainError(w, r, http.StatusInternalServerError, "")
		return
	}
	w.WriteHeader(res.status)
	n, err := io.Copy(w, body) // an error is a client that left
	if err == nil && n < size {
		p.logLength("the app's file has shrunk; the connection is closed", c, size, n)
	}
}

// respondPipe writes a body as it comes.
func (p *Pool) respondPipe(w http.ResponseWriter, r *http.Request, c *call, res responseHead) {
	defer p.stopStream(c)
	defer gateway.AfterFunc(r.Context(), func() { p.stopStream(c) })() // a stream may be silent for long
	if res.length < 0 && c.length >= 0 {
		res.length = c.length // one large piece: its size is known
		w.Header()["Content-Length"] = []string{strconv.FormatInt(res.length, 10)}
	}
	w.WriteHeader(res.status)
	controller := http.NewResponseController(w)
	body := io.Writer(w)
	if res.length >= 0 {
		body = &cutWriter{w: w, left: res.length}
	}
	n, err := c.pipe.CopyTo(body, controller.Flush)
	switch {
	case errors.Is(err, errSurplus):
		p.logLength("the response is longer than its Content-Length; the rest is cut", c, res.length, -1)
		return
	case errors.Is(err, errBroken), errors.Is(err, errWorkerLost), errors.Is(err, errTimeout):
		p.log.Error("a response is cut short; the connection is closed", "app", p.name, "request", c.requestID(), "method", c.method, "uri", c.uri, "sent", n, "why", err)
	case err == nil:
		if res.length > n {
			p.logLength("the response is shorter than its Content-Length; the connection is closed", c, res.length, n)
		}
		return
	}
	_ = controller.Flush()      // what there is of it leaves first
	panic(http.ErrAbortHandler) // so that the client sees a cut, not an end
}

var errSurplus = errors.New("more bytes than Content-Length says")

// cutWriter passes on as many bytes as Content-Length says, and fails at the
// first beyond them.
type cutWriter struct {
	w    io.Writer
	left int64
}

func (c *cutWriter) Write(b []byte) (int, error) {
	surplus := int64(len(b)) > c.left
	if surplus {
		b = b[:c.left]
	}
	n, err := c.w.Write(b)
	c.left -= int64(n)
	if err == nil && surplus {
		err = errSurplus
	}
	return n, err
}

func (p *Pool) logLength(what string, c *call, declared, got int64) {
	p.log.Error(what, "app", p.name, "request", c.requestID(), "method", c.method, "uri", c.uri, "declared", declared, "got", got)
}
