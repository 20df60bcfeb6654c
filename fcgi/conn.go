package fcgi

// A server's connection: records in, requests begun, fed and aborted.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"millrace/gateway"
)

// conn is one connection of a Server. One goroutine, read, owns it; requests
// run in others.
type conn struct {
	srv *Server
	gc  *gateway.Conn
	in  reader
	out output

	requests sync.WaitGroup
	work     chan *request // to goroutines that have run a request and wait for another
	waiting  atomic.Int32  // how many those are
	stop     chan struct{} // closed at the end: they leave
	asked    atomic.Bool   // the peer has sent GET_VALUES: it understands FCGI_OVERLOADED
	closing  atomic.Bool   // the last response is sent; what still comes is read and dropped

	// The reader's own.
	crowded bool       // several requests ran at a time: none may keep the connection waiting
	heads   []*request // that are not begun, the oldest first; see headDone
	held    int        // bytes of their parameters
	partial time.Time  // since when the record at hand lacks a part
	room    [8]byte

	mu        sync.Mutex
	streams   map[uint16]*request // begun and not answered
	leftovers *idSet              // answered before the end of their input, of which more may come
	unsent    int                 // requests whose END_REQUEST is not sent
	last      bool                // the connection closes when nothing runs
	headSince time.Time           // since when the peer owes the rest of what it began; zero: it does not
	deadline  time.Time           // that the connection has
}

// idSet is a set of request ids.
type idSet [1 << 16 / 64]uint64

func (s *idSet) has(id uint16) bool { return s != nil && s[id/64]&(1<<(id%64)) != 0 }
func (s *idSet) add(id uint16)      { s[id/64] |= 1 << (id % 64) }
func (s *idSet) remove(id uint16)   { s[id/64] &^= 1 << (id % 64) }

const (
	defaultMaxParams   = gateway.DefaultMaxParams
	defaultHeadTimeout = gateway.DefaultHeadTimeout
	defaultMaxRequests = 256
	defaultMaxConns    = 1024
	heldParams         = 16              // times MaxParams, for all requests of a connection together
	idleRunners        = 8               // goroutines that wait for a connection's next request
	drainTimeout       = 5 * time.Second // for input that nobody reads any more
)

func newConn(s *Server, gc *gateway.Conn) *conn {
	c := &conn{srv: s, gc: gc, streams: map[uint16]*request{}, work: make(chan *request), stop: make(chan struct{})}
	c.in = newReader(timedConn{c})
	c.out.init(gc)
	return c
}

func (c *conn) maxParams() int   { return or(c.srv.MaxParams, defaultMaxParams) }
func (c *conn) maxRequests() int { return or(c.srv.MaxRequests, defaultMaxRequests) }

// read takes records until the connection ends.
func (c *conn) read() error {
	for {
		c.partial = time.Time{}
		h, err := c.in.next()
		if err == nil && !c.closing.Load() {
			err = c.take(h)
		}
		if err != nil {
			return c.why(err)
		}
	}
}

// take takes a record; what it leaves of the content is passed over.
func (c *conn) take(h Header) error {
	switch {
	case h.ID == 0:
		return c.management(h)
	case h.Type == BeginRequest:
		return c.begin(h)
	}
	c.mu.Lock()
	req, over := c.streams[h.ID], c.leftovers.has(h.ID)
	c.mu.Unlock()
	switch {
	case req == nil && (over || h.Type == AbortRequest):
		return nil // it crossed our END_REQUEST
	case req == nil:
		return fmt.Errorf("%w: %v for request %d, which was not begun", ErrProtocol, h.Type, h.ID)
	}
	switch h.Type {
	case AbortRequest:
		return c.abort(req)
	case Params:
		return c.params(req, h)
	case Stdin:
		return c.input(req, &req.stdin, h)
	case Data:
		if req.data == nil {
			return fmt.Errorf("%w: DATA for a %v", ErrProtocol, req.role)
		}
		return c.input(req, req.data, h)
	}
	return fmt.Errorf("%w: %v from a front server", ErrProtocol, h.Type)
}

// management answers a record that belongs to no request (section 4).
func (c *conn) management(h Header) error {
	if h.Type != GetValues {
		reply := AppendHeader(nil, Header{Type: UnknownType, Length: 8})
		return c.out.send(append(reply, byte(h.Type), 0, 0, 0, 0, 0, 0, 0))
	}
	b, err := c.in.whole(nil)
	if err != nil {
		return err
	}
	names, err := AppendPairs(nil, b)
	if err != nil {
		return err
	}
	c.asked.Store(true)
	c.crowd()
	reply := make([]byte, HeaderLen, 64)
	for _, p := range names {
		switch p.Name {
		case nameMaxConns:
			reply = AppendPair(reply, p.Name, strconv.Itoa(or(c.srv.MaxConns, defaultMaxConns)))
		case nameMaxReqs:
			reply = AppendPair(reply, p.Name, strconv.Itoa(c.maxRequests()))
		case nameMpxsConns:
			reply = AppendPair(reply, p.Name, "1")
		}
		if len(reply)-HeaderLen > MaxContent-64 { // one name, a thousand times
			return fmt.Errorf("%w: GET_VALUES asks for more than an answer can hold", ErrProtocol)
		}
	}
	AppendHeader(reply[:0], Header{Type: GetValuesResult, Length: len(reply) - HeaderLen})
	return c.out.send(reply)
}

// begin takes BEGIN_REQUEST.
func (c *conn) begin(h Header) error {
	if h.Length != len(c.room) {
		return fmt.Errorf("%w: a BEGIN_REQUEST of %d bytes, want %d", ErrProtocol, h.Length, len(c.room))
	}
	b, err := c.in.whole(c.room[:0])
	if err != nil {
		return err
	}
	body, err := parseBegin(b)
	if err != nil {
		return err
	}
	c.mu.Lock()
	running, twice := len(c.streams), c.streams[h.ID] != nil
	c.mu.Unlock()
	if twice {
		return fmt.Errorf("%w: request %d is begun a second time", ErrProtocol, h.ID)
	}
	if running > 0 {
		c.crowd()
	}
	req := newRequest(c, h.ID, body)
	switch {
	case body.role < 1 || body.role > 3:
		c.log("a FastCGI request is refused: there is no such role", "role", body.role)
		return req.refuse(UnknownRole)
	case running >= c.maxRequests():
		c.log("a FastCGI request is refused: too many run on its connection", "running", running)
		return req.refuse(Overloaded)
	case !c.gc.Begin():
		return io.EOF
	}
	req.open()
	c.heads = append(c.heads, req)
	return nil
}

// crowd says that from now on no stream may keep the connection waiting.
func (c *conn) crowd() {
	if c.crowded {
		return
	}
	c.crowded = true
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.streams {
		r.stdin.hasten()
		if r.data != nil {
			r.data.hasten()
		}
	}
}

// params takes a record of a request's parameters.
func (c *conn) params(req *request, h Header) error {
	switch {
	case req.paramsEnded:
		return fmt.Errorf("%w: PARAMS of request %d after their end", ErrProtocol, h.ID)
	case h.Length == 0:
		c.end(&req.paramsEnded)
		c.held -= len(req.params)
		return req.headComplete()
	case len(req.params)+h.Length > c.maxParams():
		c.log("a FastCGI request is refused: its parameters are too long", "max", c.maxParams())
		c.headDone(req)
		return req.answer(http.StatusRequestHeaderFieldsTooLarge)
	case c.held+h.Length > heldParams*c.maxParams():
		c.log("a FastCGI request is refused: too many parameters that do not end", "requests", len(c.heads), "bytes", c.held)
		c.headDone(req)
		return req.refuse(Overloaded)
	}
	var err error
	req.params, err = c.in.whole(req.params)
	c.held += h.Length
	return err
}

// input takes a record of STDIN or DATA.
func (c *conn) input(req *request, in *input, h Header) error {
	switch {
	case in.ended:
		return fmt.Errorf("%w: %v of request %d after its end", ErrProtocol, h.Type, h.ID)
	case !req.paramsEnded:
		return fmt.Errorf("%w: %v of request %d before the end of its parameters", ErrProtocol, h.Type, h.ID)
	case h.Length == 0:
		c.end(&in.ended)
		in.finish(io.EOF)
	}
	for {
		b, err := c.in.content()
		if err != nil {
			return err
		}
		if len(b) == 0 {
			break
		}
		surplus, err := in.add(b)
		if surplus {
			c.log("a FastCGI request's input is longer than announced; the rest is dropped", "stream", h.Type.String(), "announced", in.length)
		}
		if err != nil {
			c.log("a FastCGI request is given up", "why", err)
			req.abort(err)
		}
	}
	return req.begin(h.Length > 0)
}

// end notes the end of one of a request's streams.
func (c *conn) end(flag *bool) {
	c.mu.Lock()
	*flag = true
	c.mu.Unlock()
}

// headDone takes a request off those that are not begun: parameters are
// lacking, or the first word on whether there is input.
func (c *conn) headDone(req *request) {
	if i := slices.Index(c.heads, req); i >= 0 {
		c.heads = slices.Delete(c.heads, i, i+1)
		c.held -= len(req.params)
	}
}

// abort takes ABORT_REQUEST.
func (c *conn) abort(req *request) error {
	req.abort(gateway.ErrAborted)
	if req.begun {
		return nil // the handler ends it
	}
	return req.finishNow(appendEnd(nil, req.id, endBody{}))
}

// cut closes the connection in the midst of a response: the one way to say
// that it is not whole. (Where others use the connection, the exit status in
// END_REQUEST has to do.) nginx without fastcgi_keep_conn takes a proper end of
// the connection for the response's, so it gets none where the connection is
// TCP. lighttpd cannot be told at all.
func (c *conn) cut() {
	if tcp, ok := c.gc.Conn.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0) // the close resets the connection
	}
	c.gc.Close()
}

// lost ends every request: the connection is gone.
func (c *conn) lost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.streams {
		r.abort(errLost)
	}
}

// errLost is what a handler reads when the connection ended before its input.
var errLost = fmt.Errorf("fcgi: the connection ended inside a request: %w (%w)", gateway.ErrAborted, io.ErrUnexpectedEOF)

// start has a goroutine run a request.
func (c *conn) start(req *request) {
	c.requests.Add(1)
	c.out.use(1)
	select {
	case c.work <- req:
	default:
		go c.run(req)
	}
}

// run runs a request, and then those that come: a goroutine that has run one
// has a stack that is large enough.
func (c *conn) run(req *request) {
	for {
		req.serve()
		req = nil
		c.requests.Done()
		if c.waiting.Add(1) > idleRunners {
			c.waiting.Add(-1)
			return
		}
		select {
		case req = <-c.work:
			c.waiting.Add(-1)
		case <-c.stop:
			return
		}
	}
}

// settle is called before a request's END_REQUEST is sent: the peer may begin
// the next one, under the same id, as soon as it sees it. alone says that no
// other response is under way on the connection.
func (c *conn) settle(req *request) (alone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, req.id)
	if !req.inputEnded() {
		if c.leftovers == nil {
			c.leftovers = new(idSet)
		}
		c.leftovers.add(req.id)
	}
	return c.unsent == 1
}

// done is called when a request's END_REQUEST is sent. The connection closes
// when the peer, or the server's end, wants it so and nothing runs.
func (c *conn) done(req *request) {
	last := req.counted && !c.gc.End()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsent--
	c.last = c.last || last || !req.keep
	switch {
	case c.unsent > 0:
	case !c.last:
		_ = c.armLocked() // an error shows when it is read
	case c.leftovers != nil:
		c.drainLocked()
	default:
		c.gc.Close()
	}
}

// drainLocked closes the connection once the peer has seen the response:
// closing with unread input would have TCP take back what is on its way.
func (c *conn) drainLocked() {
	c.closing.Store(true)
	if w, ok := c.gc.Conn.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite() // the deadline below ends it anyway
	}
	_ = c.gc.SetReadDeadline(time.Now().Add(drainTimeout))
}

func (c *conn) log(what string, args ...any) {
	c.srv.logger().Warn(what, append(args, "peer", peer(c.gc))...)
}

// why is the error for the end of the connection.
func (c *conn) why(err error) error {
	if !isTimeout(err) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing.Load() || c.headSince.IsZero() {
		return io.EOF
	}
	return errors.New("what the peer began did not arrive within " + c.headTimeout().String())
}
