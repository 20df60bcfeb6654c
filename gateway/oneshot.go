package gateway

// This file is the server's side of the protocols that spend a connection on
// each request and answer with a head and a body without framing.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// Oneshot is the whole of a server of SCGI and uwsgi, whose connections bring
// one request each, but for the decoding of its parameters.
//
// While the handler runs, and once the body is read, the connection is watched
// for its end. nginx closes it when its client goes away; nginx and Apache
// never end their own direction alone, and lighttpd does so only when told to
// (tcp-fin-propagate), to say that its client has hung up. So the end of what
// the peer sends cancels the request's context, unless HalfClose is set. The
// response is written all the same: a handler that does not look at the
// context still answers a peer that ended its direction and waits.
//
// A response that was complete is followed by the end of the connection. One
// that was cut short is followed by a reset, where the connection is TCP: these
// protocols have no other way to say it, so that over a Unix socket only a
// Content-Length shows it.
type Oneshot struct {
	Protocol string              // "scgi"; for Front, and to begin messages
	Form     Form                // of the response's head
	Handler  http.Handler        // nil: http.DefaultServeMux
	Log      *slog.Logger        // nil: slog.Default()
	Allow    func(net.Addr) bool // nil: everyone

	// HeadTimeout is from the opening of the connection, which a peer opens to
	// send a request at once, to the end of the parameters. 0: 30 s.
	HeadTimeout time.Duration

	// HalfClose says that peers may end their own direction after the request
	// and still want the response.
	HalfClose bool

	// Parse reads the parameters at the start of b and returns how many bytes
	// they take. 0 without an error: b ends before they do. It refuses what is
	// too large as soon as that shows.
	Parse func(b []byte) (params []Param, n int, err error)
}

// DefaultMaxParams and DefaultHeadTimeout are the servers' when they are not
// told otherwise: bytes of one request's parameters, and the time for them.
const (
	DefaultMaxParams   = 1 << 20
	DefaultHeadTimeout = 30 * time.Second
)

// A connection on which a part of the request is not read yet is not closed at
// once: the reset that follows would take the last bytes of the response with
// it. It is read to the body's end, with these limits. Apache reads a response
// only when it has written the whole request.
const (
	lingerIdle  = 5 * time.Second  // without a byte
	lingerTotal = 30 * time.Second // nginx's lingering_time
)

// Serve answers the request of one connection. It is what a Conns is given.
func (o *Oneshot) Serve(c *Conn) {
	r := &oneshot{Oneshot: o, conn: c.Conn, log: o.Log}
	if r.log == nil {
		r.log = slog.Default()
	}
	if o.Allow != nil && !o.Allow(c.RemoteAddr()) {
		r.refuse(errors.New("its address is not among those that may connect"))
		return
	}
	r.in = getBuffer()
	params, err := r.readHead()
	if err != nil {
		if !errors.Is(err, errSilent) {
			r.refuse(err)
		}
		r.in.free()
		return
	}
	if !c.Begin() {
		return
	}
	defer c.End()
	r.serve(c, params)
}

// oneshot is one connection, and its request's body.
type oneshot struct {
	*Oneshot
	conn   net.Conn
	log    *slog.Logger
	cancel context.CancelFunc

	mu       sync.Mutex // for what a Read of the body changes
	in       *buffer
	rest     []byte // part of in: came with the parameters
	left     int64  // bytes of the body
	err      error  // of every further Read
	watching sync.WaitGroup

	endMu sync.Mutex
	ended bool // the response is written, and no abort counts any more
}

// refuse logs why a connection is closed without an answer.
func (r *oneshot) refuse(err error) {
	r.log.Error(r.Protocol+": connection refused", "peer", peer(r.conn), "error", err)
}

// peer is the address of the other end, for the log: for a Unix socket, whose
// clients have none, the socket's own.
func peer(c net.Conn) string {
	addr := c.RemoteAddr()
	if addr, ok := addr.(*net.UnixAddr); ok && (addr.Name == "" || addr.Name == "@") {
		return "unix:" + c.LocalAddr().String()
	}
	return addr.String()
}

// errSilent is for a connection that ends before its first byte: somebody
// looked whether the port is open.
var errSilent = errors.New("gateway: nothing came")

func (r *oneshot) readHead() ([]Param, error) {
	timeout := r.HeadTimeout
	if timeout == 0 {
		timeout = DefaultHeadTimeout
	}
	_ = r.conn.SetReadDeadline(time.Now().Add(timeout)) // an error shows in the Read
	b := r.in.b
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.conn.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		r.in.b = b
		if n > 0 {
			params, size, err := r.Parse(b)
			if err != nil || size > 0 {
				r.rest = b[size:]
				_ = r.conn.SetReadDeadline(time.Time{})
				return params, err
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, fmt.Errorf("no whole request within %v; it ends after %d bytes", timeout, len(b))
		case len(b) == 0:
			return nil, errSilent
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("it ends within the parameters, after %d bytes", len(b))
		default:
			return nil, fmt.Errorf("after %d bytes: %w", len(b), err)
		}
	}
}

func (r *oneshot) serve(c *Conn, params []Param) {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	r.cancel = cancel
	stream := streams.Get().(*PlainStream)
	stream.Reset(r.conn, r.Form)
	defer freeStream(stream)
	w := &ResponseWriter{}
	req, err := ToHTTP(ctx, Incoming{Protocol: r.Protocol, Params: params, Body: (*input)(r), Conn: r.conn})
	switch {
	case err != nil:
		r.left = 1<<63 - 1 // of a length that cannot be told
		r.log.Error(r.Protocol+": bad request", "peer", peer(r.conn), "error", err)
		w.Reset(stream, http.MethodGet)
		http.Error(w, http.StatusText(http.StatusBadRequest), http.StatusBadRequest)
		r.close(stream.Flush() == nil)
		return
	case int64(len(r.rest)) > req.ContentLength:
		r.refuse(fmt.Errorf("%d bytes follow the body's %d", int64(len(r.rest))-req.ContentLength, req.ContentLength))
		r.in.free()
		return
	}
	if r.left = req.ContentLength; r.left == 0 {
		r.whole()
	}
	w.Reset(stream, req.Method)
	handler := r.Handler
	if handler == nil {
		handler = http.DefaultServeMux
	}
	complete := w.Run(handler, req, r.log)
	if complete {
		complete = stream.Flush() == nil
	}
	cancel()
	w.Reset(over{}, req.Method) // for a handler that writes after its return: the stream is another request's by then
	r.close(complete)
}

// input is the request's body.
type input oneshot

// Read ends at the body's length, with io.EOF together with the last bytes.
func (in *input) Read(b []byte) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.err != nil:
		return 0, in.err
	case len(b) == 0:
		return 0, nil
	}
	b = b[:min(int64(len(b)), in.left)]
	var n int
	var err error
	if len(in.rest) > 0 {
		n = copy(b, in.rest)
		in.rest = in.rest[n:]
	} else {
		n, err = in.conn.Read(b)
	}
	in.left -= int64(n)
	switch {
	case in.left == 0:
		(*oneshot)(in).whole()
		return n, io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded): // the handler's own; it may go on
		return n, err
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("%s: the request ends %d bytes before its CONTENT_LENGTH: %w", in.Protocol, in.left, io.ErrUnexpectedEOF)
	}
	if err != nil {
		in.err = err
		in.cancel()
		in.log.Warn(in.Protocol+": the request's body is cut short", "peer", peer(in.conn), "error", err)
	}
	return n, err
}

// whole is called once, when the body has been read.
func (r *oneshot) whole() {
	r.err = io.EOF
	r.rest = nil
	r.in.free()
	r.in = nil
	r.watching.Go(r.watch)
}

// watch waits for the end of what the peer sends.
func (r *oneshot) watch() {
	var b [1]byte
	for {
		n, err := r.conn.Read(b[:])
		r.endMu.Lock()
		ended := r.ended
		r.endMu.Unlock()
		switch {
		case ended:
			return
		case n > 0:
			r.refuse(errors.New("more bytes follow than CONTENT_LENGTH says"))
			_ = r.conn.Close() // first: a handler that cancel wakes must not answer
			r.cancel()
			return
		case errors.Is(err, os.ErrDeadlineExceeded): // a handler's, for the body
			if r.conn.SetReadDeadline(time.Time{}) != nil {
				return
			}
		case errors.Is(err, io.EOF) && r.HalfClose:
			return
		case err != nil:
			r.cancel()
			return
		}
	}
}

// close ends the connection behind a response.
func (r *oneshot) close(complete bool) {
	r.endMu.Lock()
	r.ended = true
	r.endMu.Unlock()
	if !complete {
		if c, ok := r.conn.(interface{ SetLinger(sec int) error }); ok {
			_ = c.SetLinger(0) // a reset
		}
		_ = r.conn.Close()
	}
	_ = r.conn.SetReadDeadline(time.Unix(1, 0)) // ends a Read that somebody left behind
	r.mu.Lock()
	if r.err == nil {
		r.err = http.ErrBodyReadAfterClose
	}
	left := r.left - int64(len(r.rest))
	r.rest = nil
	b := r.in
	r.in = nil
	r.mu.Unlock()
	if b != nil {
		if complete && left > 0 {
			r.linger(b.b[:cap(b.b)], left)
		}
		b.free()
	}
	_ = r.conn.Close()
	r.watching.Wait()
}

// linger reads what is left of the body, within limits.
func (r *oneshot) linger(b []byte, left int64) {
	c, ok := r.conn.(interface{ CloseWrite() error })
	if !ok || c.CloseWrite() != nil { // the peer would wait for the response's end
		return
	}
	end := time.Now().Add(lingerTotal)
	for left > 0 {
		idle := time.Now().Add(lingerIdle)
		if idle.After(end) {
			idle = end
		}
		if r.conn.SetReadDeadline(idle) != nil {
			return
		}
		n, err := r.conn.Read(b)
		if err != nil {
			return
		}
		left -= int64(n)
	}
}

// streams are used again.
var streams = sync.Pool{New: func() any { return &PlainStream{} }}

func freeStream(s *PlainStream) {
	if cap(s.b) <= bufferKept {
		s.Reset(nil, 0)
		streams.Put(s)
	}
}

// over is the Stream behind a response that has ended.
type over struct{}

var errReturned = errors.New("gateway: the handler has returned")

func (over) WriteHead(int, http.Header) error { return errReturned }
func (over) Write([]byte) (int, error)        { return 0, errReturned }
func (over) Flush() error                     { return errReturned }
