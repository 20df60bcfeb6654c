package server

// WebSockets over HTTP/2: extended CONNECT (RFC 8441), which becomes the request
// that HTTP/1.1 has for it, so that all behind this file knows one form only.

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"millrace/gateway"
	"millrace/internal/xconnect"
)

func init() { xconnect.Restore() } // package net/http has seen it

// protocolHeader is where net/http puts the pseudo-header of that name.
const protocolHeader = ":protocol"

// extended makes an upgrade of an extended CONNECT, whose stream it returns, and
// leaves any other request as it is. No other request over HTTP/2 has an Upgrade
// header: net/http refuses it (RFC 9113, section 8.2.2).
func extended(r *http.Request) (as *http.Request, stream io.ReadCloser) {
	protocol := r.Header[protocolHeader]
	delete(r.Header, protocolHeader) // also where it is a mistake
	if r.Method != http.MethodConnect || r.ProtoMajor != 2 || len(protocol) != 1 || protocol[0] != "websocket" {
		return r, nil // CONNECT is refused like any
	}
	delete(r.Header, "Content-Length")
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails
	as = r.WithContext(r.Context())
	as.Method, as.Body, as.ContentLength = http.MethodGet, http.NoBody, 0
	as.Header["Connection"], as.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	as.Header["Sec-Websocket-Key"] = []string{base64.StdEncoding.EncodeToString(key[:])}
	return as, r.Body
}

// extendedWriter is the response to a request that extended has made. What is
// 101 there is 200 here, and what is 200 there would be taken for a WebSocket.
type extendedWriter struct {
	w      http.ResponseWriter
	stream io.ReadCloser
	began  bool
	taken  bool
}

var (
	_ http.ResponseWriter = (*extendedWriter)(nil)
	_ http.Hijacker       = (*extendedWriter)(nil)
)

// Unwrap is for http.ResponseController.
func (e *extendedWriter) Unwrap() http.ResponseWriter { return e.w }

func (e *extendedWriter) Header() http.Header { return e.w.Header() }

func (e *extendedWriter) WriteHeader(status int) {
	switch {
	case e.began:
		return
	case status == http.StatusSwitchingProtocols:
		h := e.w.Header()
		for _, name := range []string{"Connection", "Upgrade", "Sec-Websocket-Accept", "Content-Length"} {
			delete(h, name)
		}
		status = http.StatusOK
	case status >= 200 && status < 300:
		status = http.StatusNotImplemented // this route has no WebSockets
	}
	e.began = status >= 200
	e.w.WriteHeader(status)
}

func (e *extendedWriter) Write(b []byte) (int, error) {
	if e.taken {
		return 0, http.ErrHijacked
	}
	if !e.began {
		e.WriteHeader(http.StatusOK)
	}
	return e.w.Write(b)
}

// WantsBody passes the question on, by the status that is meant.
func (e *extendedWriter) WantsBody(status int) bool { return gateway.WantsBody(e.w, status) }

// Hijack gives the stream as a connection.
func (e *extendedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if e.taken {
		return nil, nil, http.ErrHijacked
	}
	if !e.began {
		e.WriteHeader(http.StatusSwitchingProtocols)
	}
	e.taken = true
	c := &streamConn{w: e.w, body: e.stream, control: http.NewResponseController(e.w)}
	if err := c.control.Flush(); err != nil {
		return nil, nil, err
	}
	return c, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)), nil
}

// streamConn is a stream of HTTP/2 as a connection. It ends its own direction
// only when the handler returns: net/http has no other way.
type streamConn struct {
	w       http.ResponseWriter
	body    io.ReadCloser
	control *http.ResponseController

	writing, closed atomic.Bool
}

func (c *streamConn) Read(b []byte) (int, error) { return c.body.Read(b) }

func (c *streamConn) Write(b []byte) (int, error) {
	c.writing.Store(true)
	defer c.writing.Store(false)
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.w.Write(b)
	if err == nil {
		err = c.control.Flush()
	}
	return n, err
}

// Close ends reads and writes that wait. The stream ends with its handler,
// properly unless it was in the middle of a write.
func (c *streamConn) Close() error {
	c.closed.Store(true)
	err := c.body.Close()
	if c.writing.Load() {
		err = errors.Join(err, c.control.SetWriteDeadline(time.Unix(1, 0)))
	}
	return err
}

func (c *streamConn) LocalAddr() net.Addr                { return streamAddr{} }
func (c *streamConn) RemoteAddr() net.Addr               { return streamAddr{} }
func (c *streamConn) SetReadDeadline(t time.Time) error  { return c.control.SetReadDeadline(t) }
func (c *streamConn) SetWriteDeadline(t time.Time) error { return c.control.SetWriteDeadline(t) }
func (c *streamConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// streamAddr is an address that nobody asks for.
type streamAddr struct{}

func (streamAddr) Network() string { return "http2" }
func (streamAddr) String() string  { return "a stream" }
