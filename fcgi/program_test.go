package fcgi

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/gateway"
)

// program is a FastCGI program that does what a test tells it to.
type program struct {
	t       testing.TB
	address string
	opened  atomic.Int32 // connections
	asked   atomic.Int32 // GET_VALUES
	begun   atomic.Int32 // BEGIN_REQUEST

	mu    sync.Mutex
	conns []net.Conn
}

// line is one of a program's connections.
type line struct {
	p  *program
	n  int32 // its number, from 1
	c  net.Conn
	in reader
}

// sent is a request as the program has got it.
type sent struct {
	id      uint16
	keep    bool
	params  []gateway.Param
	stdin   string
	aborted bool
}

// runProgram has life serve each connection.
func runProgram(t testing.TB, life func(*line)) *program {
	t.Helper()
	l, err := net.Listen("unix", t.TempDir()+"/p")
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, address: "unix:" + l.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			p.mu.Lock()
			p.conns = append(p.conns, c)
			p.mu.Unlock()
			n := p.opened.Add(1)
			running.Go(func() {
				defer c.Close()
				life(&line{p: p, n: n, c: c, in: newReader(c)})
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		running.Wait()
	})
	return p
}

// values answers GET_VALUES with pairs.
func (p *line) values(pairs ...string) {
	content := pairsOf(pairs...)
	_, _ = p.c.Write(append(AppendHeader(nil, Header{Type: GetValuesResult, Length: len(content)}), content...))
}

// next reads a record; GET_VALUES is answered with pairs. ok is false at the
// connection's end.
func (p *line) next(pairs ...string) (h Header, content string, ok bool) {
	for {
		h, err := p.in.next()
		if err != nil {
			return h, "", false
		}
		b, err := p.in.whole(nil)
		if err != nil {
			return h, "", false
		}
		switch h.Type {
		case GetValues:
			p.p.asked.Add(1)
			p.values(pairs...)
			continue
		case BeginRequest:
			p.p.begun.Add(1)
		}
		return h, string(b), true
	}
}

// request reads one whole request; nil: the connection has ended before.
func (p *line) request(pairs ...string) *sent {
	s := &sent{}
	var params string
	for {
		h, content, ok := p.next(pairs...)
		switch {
		case !ok:
			return nil
		case h.Type == BeginRequest:
			s.id, s.keep = h.ID, content[2]&keepConn != 0
		case h.Type == Params:
			params += content
		case h.Type == AbortRequest:
			s.aborted = true
			return s
		case h.Type == Stdin && content != "":
			s.stdin += content
		case h.Type == Stdin:
			s.params, _ = AppendPairs(nil, []byte(params))
			return s
		}
	}
}

// write sends records.
func (p *line) write(f *front) {
	_, _ = p.c.Write(f.b)
}

// says is a response of id.
func says(id uint16, out string) *front {
	return (&front{}).record(Stdout, id, out).record(Stdout, id, "").record(EndRequest, id, "\x00\x00\x00\x00\x00\x00\x00\x00")
}

// hello answers everything, in order, and keeps connections.
func helloProgram(p *line) {
	for r := p.request(); r != nil; r = p.request() {
		p.write(says(r.id, "Status: 200\n\n"+r.stdin))
		if !r.keep {
			return
		}
	}
}

// client is a client of the program.
func (p *program) client(c *Client) *Client {
	c.Address = p.address
	p.t.Cleanup(func() { c.Close() })
	return c
}

// fetch sends a request and reads the response.
func fetch(t testing.TB, c *Client, req *gateway.Request) (string, error) {
	t.Helper()
	resp, err := c.RoundTrip(t.Context(), req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// gets checks a response.
func gets(t testing.TB, c *Client, req *gateway.Request, want string) {
	t.Helper()
	got, err := fetch(t, c, req)
	if err != nil || got != want {
		t.Errorf("%.100q, %v; want %.100q", got, err, want)
	}
}

// fails checks that a request has an error that wraps what, and says text.
func fails(t testing.TB, c *Client, req *gateway.Request, what error, text string) {
	t.Helper()
	got, err := fetch(t, c, req)
	if err == nil || what != nil && !errors.Is(err, what) || !strings.Contains(err.Error(), text) {
		t.Errorf("%.100q, %v; want %v, %q", got, err, what, text)
	}
}

// once is a body that can be had but once.
func onceOnly(req *gateway.Request) *gateway.Request {
	req.GetBody = nil
	return req
}
