package main

// This file shows what goes over a connection: -v of request. trace_fcgi.go,
// trace_ajp.go and trace_plain.go read the protocols.

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"millrace/gateway"
)

// trace writes what goes over the connections of a request: > for what is
// sent, < for what comes, * for what there is to say. A nil trace writes
// nothing.
type trace struct {
	protocol protocol

	mu    sync.Mutex
	w     io.Writer
	conns []*tracedConn
}

func newTrace(p protocol, w io.Writer) *trace { return &trace{protocol: p, w: w} }

// decoder reads one direction of a connection.
type decoder interface {
	// feed takes bytes as they pass.
	feed(b []byte)
	// end says what is there of an item that did not come whole.
	end()
}

// tracedConn is a connection that is watched.
type tracedConn struct {
	net.Conn
	t       *trace
	out, in decoder
	ended   bool
}

// wrap watches a connection.
func (t *trace) wrap(c net.Conn) net.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := &tracedConn{Conn: c, t: t}
	out, in := &printer{t: t, arrow: ">"}, &printer{t: t, arrow: "<"}
	switch t.protocol {
	case protoFastCGI:
		w.out, w.in = &fcgiDecoder{printer: out}, &fcgiDecoder{printer: in}
	case protoSCGI:
		w.out, w.in = newNetstringDecoder(out), newHeadDecoder(in)
	case protoUWSGI:
		w.out, w.in = newPacketDecoder(out), newHeadDecoder(in)
	case protoAJP:
		both := &ajpState{}
		w.out, w.in = &ajpDecoder{printer: out, state: both, toBackEnd: true}, &ajpDecoder{printer: in, state: both}
	default:
		w.out, w.in = newHeadDecoder(out), newHeadDecoder(in)
	}
	t.conns = append(t.conns, w)
	return w
}

// Write is shown before it is done: what comes back is shown behind it.
func (c *tracedConn) Write(b []byte) (int, error) {
	c.t.mu.Lock()
	c.out.feed(b)
	c.t.mu.Unlock()
	n, err := c.Conn.Write(b)
	if err != nil {
		c.t.note("of that, %d of %d bytes were sent: %v", n, len(b), err)
	}
	return n, err
}

func (c *tracedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	if n > 0 && !c.ended {
		c.in.feed(b[:n])
	}
	if err == io.EOF && !c.ended {
		c.in.end()
		c.ended = true
		c.t.printf("*", "the other side has ended the connection")
	}
	return n, err
}

// end says what did not come whole.
func (t *trace) end() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.conns {
		if !c.ended {
			c.in.end()
			c.ended = true
		}
	}
}

// note writes a line that is about neither direction.
func (t *trace) note(format string, args ...any) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.printf("*", format, args...)
}

func (t *trace) printf(arrow, format string, args ...any) {
	_, _ = fmt.Fprintln(t.w, arrow, visible(fmt.Sprintf(format, args...))) // nobody reads it: the request goes on
}

// printer writes the lines of one direction. Its caller has the trace's lock.
type printer struct {
	t     *trace
	arrow string
}

func (p *printer) line(format string, args ...any) { p.t.printf(p.arrow, format, args...) }

// params lists parameters.
func (p *printer) params(params []gateway.Param) {
	for _, param := range params {
		p.line("    %s=%s", param.Name, shortened(param.Value))
	}
}

const (
	shownValue = 400     // bytes of a parameter's value
	shownData  = 60      // of a stream
	shownMost  = 1 << 20 // of what has to be collected before it can be shown
)

func shortened(value string) string {
	if len(value) > shownValue {
		return fmt.Sprintf("%s… (%d bytes)", value[:shownValue], len(value))
	}
	return value
}

// sample is how the start of a stream's bytes is shown. size is all of them.
func sample(b []byte, size int) string {
	if size == 0 {
		return ""
	}
	more := ""
	if size > len(b) || len(b) > shownData {
		more = "…"
	}
	text := fmt.Sprintf("%q", b[:min(len(b), shownData)])
	return ": " + strings.TrimSuffix(text, `"`) + more + `"`
}

// collector cuts a stream into items of a known size each, and keeps the first
// bytes of each.
type collector struct {
	head    []byte // of the item's header
	size    int    // bytes of the item; negative: its header is not there yet
	seen    int
	content []byte
}

// take takes what belongs to the current item's content, keeping no more than
// most of it, and returns the rest.
func (c *collector) take(b []byte, most int) []byte {
	n := min(len(b), c.size-c.seen)
	if room := most - len(c.content); room > 0 {
		c.content = append(c.content, b[:min(n, room)]...)
	}
	c.seen += n
	return b[n:]
}

// header collects an item's header of n bytes and returns the rest; whole
// says that it is there.
func (c *collector) header(b []byte, n int) (rest []byte, whole bool) {
	take := min(len(b), n-len(c.head))
	c.head = append(c.head, b[:take]...)
	return b[take:], len(c.head) == n
}

func (c *collector) reset() { *c = collector{head: c.head[:0], content: c.content[:0]} }
