package ajp

// The back end's side: the server, and the loop that reads a connection.

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"millrace/gateway"
)

// Server answers requests that front servers pass on over AJP13. Its fields
// must not change while it serves.
type Server struct {
	Handler http.Handler // nil: http.DefaultServeMux

	// Log takes refused connections and requests, with the peer's address, and
	// panics of the handler. nil: slog.Default().
	Log *slog.Logger

	// MaxParams is how many bytes a FORWARD_REQUEST may have. 0: as many as a
	// packet, which is never more than PacketSize.
	MaxParams int

	// HeadTimeout is from a packet's first byte to its last, while no request
	// runs. 0: 30 s.
	HeadTimeout time.Duration

	// IdleTimeout is how long a connection may stay without a request. 0: no
	// limit; the front server then decides.
	IdleTimeout time.Duration

	// Allow says who may connect. nil: everyone.
	Allow func(net.Addr) bool

	// PacketSize is how many bytes a packet may have, in both directions, 8192
	// to 65536. 0: 8192. The front server has to be told the same (Apache:
	// ProxyIOBufferSize).
	PacketSize int

	// Secret must come with each request, else it is answered with 403. "":
	// requests need none, and Serve takes only listeners on the loopback
	// interface and Unix sockets.
	Secret string

	// AllowAttributes names request attributes that become parameters of the
	// same name, beside those that Apache, mod_jk and IIS send on their own. In
	// Apache, "SetEnv AJP_NAME value" sends the attribute NAME. Any other
	// attribute refuses its request with 403. What the server computes, HTTP_*
	// and javax.* cannot be allowed.
	AllowAttributes []string

	// Lighttpd says that the front server is lighttpd, which departs from the
	// protocol (seen in 1.4.69): it sends the path decoded, the parts of a body
	// without their inner length, and takes no more response headers than a
	// number says that it reads in the wrong place. Without this, a path that
	// cannot be an encoded one is taken as it is, a body packet whose length does
	// not fit is taken as data alone, and headers are sent in the order that
	// loses the fewest; but of "/100%2541" the application would see "/100A",
	// and one random body in 65536 would be broken off. lighttpd must not stream
	// request bodies (server.stream-request-body = 0, its default): it would
	// never send the first part.
	Lighttpd bool

	conns    gateway.Conns
	buffers  sync.Pool // of *[]byte
	warnOnce sync.Once
}

const (
	defaultHeadTimeout = 30 * time.Second
	lingerTime         = time.Second // for what is on its way to a connection that we close
)

// Serve accepts connections of l until Shutdown or Close, and closes l. It
// refuses a listener that others than this machine's can reach when there is no
// Secret.
func (s *Server) Serve(l net.Listener) error {
	if _, err := packetSize(s.PacketSize); err != nil {
		l.Close()
		return err
	}
	if s.Secret == "" && !private(l.Addr()) {
		l.Close()
		return fmt.Errorf("ajp: refusing to serve %s without a Secret: whoever connects is believed to be the front server; set Secret there and here, or listen on 127.0.0.1 or a Unix socket", l.Addr())
	}
	return s.conns.Serve(l, s.log(), s.serve)
}

// ServeConn serves one connection, in a goroutine of its own, and closes it.
// Without a Secret it has to be as local as Serve's listeners.
func (s *Server) ServeConn(c net.Conn) { s.conns.ServeConn(c, s.serve) }

// Shutdown accepts no more, lets requests end and closes the connections; see
// gateway.Conns.
func (s *Server) Shutdown(ctx context.Context) error { return s.conns.Shutdown(ctx) }

// Close closes every listener and connection.
func (s *Server) Close() error { return s.conns.Close() }

func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return slog.Default()
	}
	return s.Log
}

func (s *Server) handler() http.Handler {
	if s.Handler == nil {
		return http.DefaultServeMux
	}
	return s.Handler
}

// private reports whether only this machine's processes reach an address.
func private(a net.Addr) bool {
	if a == nil {
		return false
	}
	switch a.Network() {
	case "unix", "pipe":
		return true
	}
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// serverConn is one connection of a Server. One goroutine reads it, for as
// long as it lives, so that a front server that hangs up is noticed; another
// runs the handlers.
type serverConn struct {
	server   *Server
	conn     *gateway.Conn
	log      *slog.Logger
	max      int
	reader   packetReader
	requests chan *exchange
	stopped  chan struct{} // the goroutine that takes requests has ended
	empty    int           // empty packets since the last request; see body
	timed    bool          // HeadTimeout runs

	mu      sync.Mutex // of what follows
	running *exchange
	closing bool // what still comes is thrown away
	broken  bool // nothing more can be read

	writing sync.Mutex // of what follows
	out     []byte     // packets that are not sent yet
	chunk   int        // where in out the last one begins, if it takes more data; else negative
	failed  error      // of a write
}

// exchange is a request that runs.
type exchange struct {
	request  *http.Request
	cancel   context.CancelFunc
	body     *requestBody // nil: none
	timed    bool         // the handler has set a deadline
	replaced bool         // the head did not fit: the response is a 500 and is whole
	over     bool         // the response has ended; guarded by writing
}

func (s *Server) serve(conn *gateway.Conn) {
	max, err := packetSize(s.PacketSize)
	switch {
	case err != nil:
	case s.Secret == "" && !private(conn.LocalAddr()):
		err = errors.New("ajp: there is no Secret, and the connection is not of this machine")
	case s.Allow != nil && !s.Allow(conn.RemoteAddr()):
		err = errors.New("ajp: this peer may not connect")
	}
	log := s.log().With("peer", peerOf(conn))
	if err != nil {
		log.Error("a connection is refused", "error", err)
		return
	}
	c := &serverConn{server: s, conn: conn, log: log, max: max, chunk: -1,
		reader: packetReader{r: conn, magic: toBackEnd, max: max}}
	c.idle()
	c.read()
	c.stop()
}

func peerOf(c net.Conn) string {
	if a := c.RemoteAddr(); a != nil && a.String() != "" && a.String() != "@" {
		return a.String()
	}
	return "a Unix socket"
}

// read takes packets until the connection ends.
func (c *serverConn) read() {
	for {
		payload, ok, err := c.reader.take()
		switch {
		case err != nil:
			c.violation(err)
			return
		case ok:
			if !c.packet(payload) {
				return
			}
			continue
		}
		c.incomplete()
		if err := c.reader.fill(); err != nil {
			c.hungUp(err)
			return
		}
	}
}

// incomplete is for a packet that has begun and not ended. It starts
// HeadTimeout when no request runs. Within a body it acknowledges what has come:
// lighttpd (1.4.69) writes a packet's header and its data one after the other
// and lets Nagle's algorithm hold the data back, which took 40 ms a packet.
func (c *serverConn) incomplete() {
	if c.timed || c.reader.buffered() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing:
		return
	case c.running != nil:
		if c.reader.buffered() == headerSize {
			acknowledge(c.conn.Conn)
		}
		return
	}
	timeout := c.server.HeadTimeout
	if timeout == 0 {
		timeout = defaultHeadTimeout
	}
	c.timed = true
	_ = c.conn.SetReadDeadline(time.Now().Add(timeout))
}

// idle starts IdleTimeout.
func (c *serverConn) idle() {
	if t := c.server.IdleTimeout; t > 0 {
		_ = c.conn.SetReadDeadline(time.Now().Add(t))
	}
}

// packet handles one packet. False: the connection ends.
func (c *serverConn) packet(payload []byte) bool {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return true
	}
	if c.running != nil {
		err := c.running.take(c, payload)
		c.mu.Unlock()
		if err != nil {
			c.violation(err)
		}
		return err == nil
	}
	c.mu.Unlock()
	if c.timed || c.server.IdleTimeout > 0 {
		c.timed = false
		_ = c.conn.SetReadDeadline(time.Time{})
	}
	if len(payload) == 0 {
		if err := c.stray(); err != nil {
			c.violation(err)
			return false
		}
		c.idle()
		return true
	}
	switch payload[0] {
	case typeForwardRequest:
		c.empty = 0
		return c.forward(payload)
	case typeCPing:
		if len(payload) != 1 {
			c.violation(fmt.Errorf("ajp: CPING of %d bytes", len(payload)))
			return false
		}
		c.idle()
		return !c.conn.Draining() && c.pong() // without an answer, the front server goes elsewhere
	case typeShutdown:
		c.violation(errors.New("ajp: SHUTDOWN is not obeyed; stop the server by other means"))
	case typePing:
		c.violation(errors.New("ajp: PING, the login of AJP14, is not known"))
	default:
		c.violation(fmt.Errorf("ajp: unknown message type %d", payload[0]))
	}
	return false
}

// stray takes an empty packet that nobody has asked for: lighttpd sends one
// after each request without a body.
func (c *serverConn) stray() error {
	if c.empty++; c.empty > 1 {
		return errors.New("ajp: empty packets that were not asked for")
	}
	return nil
}

func (c *serverConn) pong() bool {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.conn.Write(appendCPong(nil))
	return err == nil
}

// forward starts a request. False: the connection ends.
func (c *serverConn) forward(payload []byte) bool {
	if limit := c.server.MaxParams; limit > 0 && len(payload) > limit {
		return c.refuse(http.StatusRequestHeaderFieldsTooLarge, fmt.Errorf("ajp: a request of %d bytes; MaxParams is %d", len(payload), limit))
	}
	f, err := parseForward(payload)
	if err != nil {
		return c.refuse(http.StatusBadRequest, err)
	}
	if err := c.server.checkSecret(f); err != nil {
		return c.refuse(http.StatusForbidden, err)
	}
	x, err := c.newExchange(f)
	if err != nil {
		status := http.StatusBadRequest
		if attribute := (*attributeError)(nil); errors.As(err, &attribute) {
			status = http.StatusForbidden
		}
		return c.refuse(status, err)
	}
	if !c.conn.Begin() {
		x.cancel()
		return false
	}
	c.mu.Lock()
	c.running = x
	c.mu.Unlock()
	if c.requests == nil {
		c.requests, c.stopped = make(chan *exchange, 1), make(chan struct{})
		go c.handle()
	}
	c.requests <- x
	return true
}

// checkSecret compares in a time that tells nothing of the secret.
func (s *Server) checkSecret(f *forward) error {
	if s.Secret == "" {
		return nil
	}
	given, has := "", false
	for i := range f.attributes {
		if f.attributes[i].code == attrSecret {
			given, has = f.attributes[i].value, true
		}
	}
	want, got := sha256.Sum256([]byte(s.Secret)), sha256.Sum256([]byte(given))
	switch {
	case !has:
		return errors.New("ajp: the request has no secret")
	case subtle.ConstantTimeCompare(want[:], got[:]) != 1:
		return errors.New("ajp: the request's secret is wrong")
	}
	return nil
}

func (c *serverConn) newExchange(f *forward) (*exchange, error) {
	params, length, err := f.params(c.server.AllowAttributes, c.server.Lighttpd)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(c.conn.Context())
	x := &exchange{cancel: cancel}
	in := gateway.Incoming{Protocol: "ajp", Params: params, Conn: c.conn}
	if length != 0 {
		x.body = newBody(c, length)
		in.Body = x.body
	}
	if x.request, err = gateway.ToHTTP(ctx, in); err != nil {
		cancel()
		return nil, err
	}
	if length < 0 {
		x.request.ContentLength, x.request.TransferEncoding = -1, []string{"chunked"}
		x.request.Body = io.NopCloser(x.body)
	}
	return x, nil
}

// refuse answers a request that does not reach the handler, and closes the
// connection once the front server has had time to read that.
func (c *serverConn) refuse(status int, err error) bool {
	c.log.Error("a request is refused", "status", status, "error", err)
	text := http.StatusText(status) + "\n"
	b, _ := appendHead(nil, status, http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, c.max, false)
	b = appendBodyChunk(b, text)
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.writing.Lock()
	defer c.writing.Unlock()
	if _, err := c.conn.Write(appendEnd(b, false)); err != nil {
		return false
	}
	c.linger()
	return true
}

// linger ends our side of the connection, and gives the other a moment to end
// its own: a close with something unread would destroy the response on its way.
func (c *serverConn) linger() {
	_ = c.conn.SetReadDeadline(time.Now().Add(lingerTime))
	if w, ok := c.conn.Conn.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
}

// violation ends a connection whose peer does not keep to the protocol.
func (c *serverConn) violation(err error) {
	c.log.Error("a connection is closed", "error", err)
	c.conn.Close() // first: a handler that end wakes must not answer
	c.end(err)
}

// hungUp is for the end of what can be read.
func (c *serverConn) hungUp(err error) {
	c.mu.Lock()
	idle := c.running == nil && !c.closing
	c.mu.Unlock()
	switch {
	case idle && c.reader.buffered() > 0 && errors.Is(err, os.ErrDeadlineExceeded):
		c.log.Error("a request is refused", "error", "ajp: its packet was not complete in time")
	case idle && c.reader.buffered() > 0:
		c.log.Error("a request is refused", "error", "ajp: the front server hung up within its packet")
	}
	c.end(err)
}

// end tells the request that runs that nothing more will come.
func (c *serverConn) end(err error) {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
	if c.running == nil {
		return
	}
	if b := c.running.body; b != nil {
		b.fail(err)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) { // which the handler has set, and outlives
		c.running.cancel()
	}
}

// stop waits for the handler.
func (c *serverConn) stop() {
	if c.requests != nil {
		close(c.requests)
		<-c.stopped
	}
}
