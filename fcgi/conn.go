package fcgi

// A server's connection: records in, requests begun, fed and aborted.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
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
	crowded  bool          // several requests ran at a time: none may keep the connection waiting
	closing  atomic.Bool   // the last response is sent; what still comes is read and dropped

	deadline   time.Time // that the connection has
	heads      []head    // requests whose parameters have not ended, the oldest first
	headSince  time.Time // of the first of them
	authorizer uint16    // the last request that was one: an end of STDIN may follow its END_REQUEST

	mu      sync.Mutex
	streams map[uint16]*request // begun, and not over; or answered with input still to come
	last    bool                // the connection closes when nothing runs
}

// head is a request whose parameters have not ended.
type head struct {
	req   *request
	since time.Time
}

const (
	defaultMaxParams   = 1 << 20
	defaultMaxRequests = 256
	defaultMaxConns    = 1024
	defaultHeadTimeout = 30 * time.Second
	idleRunners        = 8               // goroutines that wait for a connection's next request
	drainTimeout       = 5 * time.Second // for input that nobody reads any more
)

func newConn(s *Server, gc *gateway.Conn) *conn {
	c := &conn{srv: s, gc: gc, streams: map[uint16]*request{}, work: make(chan *request), stop: make(chan struct{})}
	c.in = newReader(timedConn{c})
	c.out.init(gc)
	return c
}

func (c *conn) release() { close(c.stop) }

// timedConn sets the read deadline that the state of the connection asks for,
// before a read that may wait.
type timedConn struct{ c *conn }

func (t timedConn) Read(b []byte) (int, error) {
	c := t.c
	var deadline time.Time
	switch {
	case c.closing.Load():
		return c.gc.Read(b) // with the deadline that finish has set
	case !c.headSince.IsZero():
		if timeout := or(c.srv.HeadTimeout, defaultHeadTimeout); timeout > 0 {
			deadline = c.headSince.Add(timeout)
		}
	case c.srv.IdleTimeout > 0 && c.idle():
		deadline = time.Now().Add(c.srv.IdleTimeout)
	}
	if !deadline.Equal(c.deadline) {
		c.deadline = deadline
		if err := c.gc.SetReadDeadline(deadline); err != nil {
			return 0, err
		}
		if c.closing.Load() { // it was set in between: see finish
			_ = c.gc.SetReadDeadline(time.Now().Add(drainTimeout))
		}
	}
	return c.gc.Read(b)
}

func (c *conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams) == 0
}

// read takes records until the connection ends.
func (c *conn) read() error {
	for {
		h, err := c.in.next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if err = c.late(); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		if h.ID == 0 {
			err = c.management(h)
		} else {
			err = c.record(h)
		}
		if err != nil {
			return err
		}
	}
}

// late is called when the connection's deadline passes.
func (c *conn) late() error {
	if c.closing.Load() || c.headSince.IsZero() {
		return io.EOF
	}
	return fmt.Errorf("the parameters of a request did not arrive within %v", or(c.srv.HeadTimeout, defaultHeadTimeout))
}

// management answers a record that belongs to no request (section 4).
func (c *conn) management(h Header) error {
	b, err := c.in.whole(nil)
	if err != nil {
		return err
	}
	if h.Type != GetValues {
		if c.closing.Load() {
			return nil
		}
		reply := AppendHeader(nil, Header{Type: UnknownType, Length: 8})
		return c.out.send(append(reply, byte(h.Type), 0, 0, 0, 0, 0, 0, 0))
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
			reply = AppendPair(reply, p.Name, strconv.Itoa(or(c.srv.MaxRequests, defaultMaxRequests)))
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

// record takes a record of a request.
func (c *conn) record(h Header) error {
	if h.Type == BeginRequest {
		return c.begin(h)
	}
	c.mu.Lock()
	req := c.streams[h.ID]
	c.mu.Unlock()
	if req == nil {
		if h.Type == AbortRequest || h.Type == Stdin && h.Length == 0 && h.ID == c.authorizer {
			return nil // it crossed our END_REQUEST
		}
		return fmt.Errorf("%w: %v for request %d, which was not begun", ErrProtocol, h.Type, h.ID)
	}
	switch h.Type {
	case AbortRequest:
		req.abort(gateway.ErrAborted)
		return nil
	case Params:
		return c.params(req, h)
	case Stdin:
		return c.input(req, &req.stdin, &req.stdinEnded, h)
	case Data:
		if req.role != gateway.Filter {
			return fmt.Errorf("%w: DATA for a %v", ErrProtocol, req.role)
		}
		return c.input(req, &req.data, &req.dataEnded, h)
	}
	return fmt.Errorf("%w: %v from a front server", ErrProtocol, h.Type)
}

// begin takes BEGIN_REQUEST.
func (c *conn) begin(h Header) error {
	var room [8]byte
	b, err := c.in.whole(room[:0])
	if err != nil {
		return err
	}
	body, err := parseBegin(b)
	if err != nil {
		return err
	}
	if c.closing.Load() {
		return nil // the peer sees the connection's end
	}
	c.mu.Lock()
	before, running := c.streams[h.ID], 0
	for _, r := range c.streams {
		if !r.answered {
			running++
		}
	}
	c.mu.Unlock()
	if before != nil && !before.answered {
		return fmt.Errorf("%w: request %d is begun a second time", ErrProtocol, h.ID)
	}
	req := newRequest(c, h.ID, body)
	switch {
	case body.role < 1 || body.role > 3:
		req.dropped = true
	case running >= or(c.srv.MaxRequests, defaultMaxRequests):
		req.dropped = true
	case !c.gc.Begin():
		return io.EOF
	default:
		req.counted = true
	}
	if running > 0 {
		c.crowd()
	}
	req.stdin.spill, req.data.spill = c.crowded, c.crowded
	c.mu.Lock()
	c.streams[h.ID] = req
	c.mu.Unlock()
	switch {
	case body.role < 1 || body.role > 3:
		c.log("a FastCGI request is refused: there is no such role", "role", body.role)
		return req.refuse(UnknownRole)
	case req.dropped:
		c.log("a FastCGI request is refused: too many run on its connection", "running", running)
		return req.refuse(Overloaded)
	}
	if c.headSince.IsZero() {
		c.headSince = time.Now()
	}
	c.heads = append(c.heads, head{req, time.Now()})
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
		r.stdin.mayWait(false)
		r.data.mayWait(false)
	}
}

// params takes a record of a request's parameters.
func (c *conn) params(req *request, h Header) error {
	switch {
	case req.paramsEnded:
		return fmt.Errorf("%w: PARAMS of request %d after their end", ErrProtocol, h.ID)
	case h.Length > 0 && req.dropped:
		return nil
	case h.Length > 0 && len(req.params)+h.Length > or(c.srv.MaxParams, defaultMaxParams):
		c.log("a FastCGI request is refused: its parameters are too long", "max", or(c.srv.MaxParams, defaultMaxParams))
		req.drop()
		return req.answer(http.StatusRequestHeaderFieldsTooLarge)
	case h.Length > 0:
		var err error
		req.params, err = c.in.whole(req.params)
		return err
	}
	c.end(&req.paramsEnded)
	c.headDone(req)
	if req.dropped {
		c.over(req)
		return nil
	}
	return req.headComplete()
}

// input takes a record of STDIN or DATA.
func (c *conn) input(req *request, p *pipe, ended *bool, h Header) error {
	switch {
	case *ended:
		return fmt.Errorf("%w: %v of request %d after its end", ErrProtocol, h.Type, h.ID)
	case !req.paramsEnded:
		return fmt.Errorf("%w: %v of request %d before the end of its parameters", ErrProtocol, h.Type, h.ID)
	case h.Length == 0:
		c.end(ended)
		p.finish(io.EOF)
	case req.dropped:
		return nil
	}
	for h.Length > 0 && !req.dropped {
		b, err := c.in.content()
		if err != nil {
			return err
		}
		if len(b) == 0 {
			break
		}
		if err := p.write(b); err != nil {
			c.log("a FastCGI request is given up", "why", err)
			req.abort(err)
			req.drop()
		}
	}
	req.begin(h.Length > 0)
	if h.Length == 0 {
		c.over(req)
	}
	return nil
}

// end notes the end of one of a request's streams.
func (c *conn) end(flag *bool) {
	c.mu.Lock()
	*flag = true
	c.mu.Unlock()
}

// headDone takes a request off those that lack parameters.
func (c *conn) headDone(req *request) {
	for i, r := range c.heads {
		if r.req == req {
			c.heads = append(c.heads[:i], c.heads[i+1:]...)
			break
		}
	}
	c.headSince = time.Time{}
	if len(c.heads) > 0 {
		c.headSince = c.heads[0].since
	}
}

// over forgets a request that is answered and of which nothing more comes.
func (c *conn) over(req *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if req.answered && req.inputEnded() && c.streams[req.id] == req {
		delete(c.streams, req.id)
	}
}

// lost ends every request: the connection is gone.
func (c *conn) lost(err error) {
	if err == nil {
		err = gateway.ErrAborted
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.streams {
		r.abort(err)
	}
}

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
// the next one, under the same id, as soon as it sees it. alone says that
// nothing else runs on the connection.
func (c *conn) settle(req *request) (alone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	req.answered = true
	if req.inputEnded() && c.streams[req.id] == req {
		delete(c.streams, req.id)
	}
	c.last = c.last || !req.keep
	return !c.runningLocked()
}

// runningLocked reports whether a request runs.
func (c *conn) runningLocked() bool {
	for _, r := range c.streams {
		if !r.answered {
			return true
		}
	}
	return false
}

// done is called when a request's END_REQUEST is sent. The connection closes
// when the peer, or the server's end, wants it so and nothing runs.
func (c *conn) done(req *request) {
	last := req.counted && !c.gc.End()
	c.mu.Lock()
	last = (last || c.last) && !c.runningLocked()
	unread := false
	for _, r := range c.streams {
		unread = unread || !r.inputEnded()
	}
	c.mu.Unlock()
	switch {
	case !last:
	case unread:
		c.drain()
	default:
		c.gc.Close()
	}
}

// drain closes the connection once the peer has seen the response: closing
// with unread input would have TCP take back what is on its way.
func (c *conn) drain() {
	c.closing.Store(true)
	if w, ok := c.gc.Conn.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite() // the deadline below ends it anyway
	}
	_ = c.gc.SetReadDeadline(time.Now().Add(drainTimeout))
}

func (c *conn) log(what string, args ...any) {
	c.srv.logger().Warn(what, append(args, "peer", peer(c.gc))...)
}
