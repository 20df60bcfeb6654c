package filter

// The first answer: collected whole, or handed on.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"millrace/gateway"
	"millrace/internal/requestid"
	"millrace/internal/spool"
)

var (
	errTooLarge = errors.New("it is larger than max_body of who filters")
	errEncoded  = errors.New("it is encoded, and would not be understood")
	errNoHead   = errors.New("there is none")
	errCut      = errors.New("it was cut short") // which is in the log
)

// collector is the ResponseWriter of the first answer.
type collector struct {
	*filter
	client http.ResponseWriter

	header  http.Header
	accel   *string // X-Accel-Expires, where it was taken from header; nil: it was not
	status  int     // 0: no head has come
	passing bool    // it is the client's as it is
	own     bool    // it is a gateway's own
	err     error

	mu     sync.Mutex // guards what follows: who filters may read beyond the request's end
	buffer *spool.Buffer
	closed bool
}

// collect has the answer written. One that is cut short, because no more is
// taken of it or by whoever gives it, can still be an error that is said.
func (c *collector) collect(r *http.Request) {
	defer func() {
		switch p := recover(); {
		case p == nil:
		case p != http.ErrAbortHandler, c.passing, r.Context().Err() != nil:
			panic(p)
		case c.err == nil:
			c.err = errCut
		}
	}()
	c.next.ServeHTTP(c, r)
	if c.status == 0 {
		c.err = errNoHead
	}
}

// complete says why the answer is not the whole that it was said to be.
func (c *collector) complete() error {
	lengths := c.header["Content-Length"]
	if len(lengths) == 0 {
		return nil
	}
	n, err := gateway.ParseLength(lengths[0])
	if err == nil && n != c.buffer.Len() {
		err = fmt.Errorf("it has %d bytes of %d", c.buffer.Len(), n)
	}
	return err
}

// Unwrap is for those who tell the layers around us something: who answers.
func (c *collector) Unwrap() http.ResponseWriter { return c.client }

// WantsBody is for gateway.WantsBody.
func (c *collector) WantsBody(status int) bool {
	return status == http.StatusOK || gateway.WantsBody(c.client, status)
}

func (c *collector) Header() http.Header {
	if c.header == nil {
		c.header = http.Header{}
	}
	return c.header
}

// OwnAnswer is for gateway.OwnAnswer.
func (c *collector) OwnAnswer() { c.own = true }

// AccelExpires is told what the app has said in X-Accel-Expires. It goes on when
// it is known that the filter says nothing else.
func (c *collector) AccelExpires(value string) { c.accel = &value }

func (c *collector) WriteHeader(status int) {
	if c.status != 0 || status < 200 {
		return
	}
	c.status = status
	switch encoding := first(c.Header()["Content-Encoding"]); {
	case status != http.StatusOK:
		c.pass()
	case encoding != "" && encoding != "identity":
		c.err = errEncoded
	}
}

// pass sends the answer's head to the client.
func (c *collector) pass() {
	c.passing = true
	if c.accel != nil {
		tellExpires(c.client, *c.accel)
	}
	h := c.client.Header()
	for name, values := range c.header {
		if name != requestid.Header || h[name] == nil { // the site shows its own
			h[name] = values
		}
	}
	if c.header["Content-Type"] == nil {
		h["Content-Type"] = nil // nobody must guess one
	}
	if c.own {
		gateway.OwnAnswer(c.client)
	}
	c.client.WriteHeader(c.status)
}

func (c *collector) Write(b []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	switch {
	case c.passing:
		return c.client.Write(b)
	case c.err != nil:
		return 0, c.err
	case c.buffer.Len()+int64(len(b)) > c.MaxData:
		c.err = errTooLarge
		return 0, c.err
	}
	n, err := c.buffer.Write(b)
	c.err = err
	return n, err
}

// ReadFrom is for io.Copy.
func (c *collector) ReadFrom(from io.Reader) (int64, error) {
	c.WriteHeader(http.StatusOK)
	if c.passing {
		if to, ok := c.client.(io.ReaderFrom); ok {
			return to.ReadFrom(from)
		}
	}
	return io.Copy(onlyWriter{c}, from)
}

// onlyWriter keeps io.Copy from asking for ReadFrom again.
type onlyWriter struct{ io.Writer }

// FlushError is for http.ResponseController: what is collected waits for its
// end.
func (c *collector) FlushError() error {
	c.WriteHeader(http.StatusOK)
	if c.passing {
		return http.NewResponseController(c.client).Flush()
	}
	return c.err
}

// Flush is for those who look for an http.Flusher.
func (c *collector) Flush() { _ = c.FlushError() }

// close gives the answer's memory or file back.
func (c *collector) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	_ = c.buffer.Close()
}

// reader reads the answer from its start, until close.
func (c *collector) reader() io.Reader {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.buffer.File(); f != nil && !c.closed {
		return &reader{c, io.NewSectionReader(f, 0, c.buffer.Len())}
	}
	return &reader{c, bytes.NewReader(c.buffer.Bytes())}
}

type reader struct {
	of    *collector
	inner io.Reader
}

func (r *reader) Read(b []byte) (int, error) {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	if r.of.closed {
		return 0, errOver
	}
	return r.inner.Read(b)
}
