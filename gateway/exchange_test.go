package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// encodeLines is the encoding of the tests' protocol: a line each parameter,
// then an empty one.
func encodeLines(b []byte, req *Request) ([]byte, error) {
	for _, p := range req.Params {
		if strings.Contains(p.Value, "\n") {
			return b, fmt.Errorf("lines: %q: %w", p.Name, ErrTooLarge)
		}
		b = append(b, p.Name+"="+p.Value+"\n"...)
	}
	return append(b, '\n'), nil
}

// parseLines is the other way round.
func parseLines(b []byte) (params []Param, n int, err error) {
	if len(b) > 0 && b[0] == '!' {
		return nil, 0, errors.New("lines: an exclamation mark")
	}
	i := bytes.Index(b, []byte("\n\n"))
	if i < 0 {
		return nil, 0, nil
	}
	for line := range strings.SplitSeq(string(b[:i]), "\n") {
		name, value, _ := strings.Cut(line, "=")
		params = append(params, Param{name, value})
	}
	return params, i + 2, nil
}

// backEnd gives each connection to serve, which need not close it.
func backEnd(t testing.TB, network string, serve func(c net.Conn)) *Exchange {
	t.Helper()
	at := "127.0.0.1:0"
	if network == "unix" {
		at = t.TempDir() + "/s"
	}
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	address := l.Addr().String()
	if network == "unix" {
		address = "unix:" + at
	}
	return &Exchange{Protocol: "lines", Address: address, Encode: encodeLines}
}

// noLeaks fails the test if more goroutines run at its end than now.
func noLeaks(t testing.TB) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
			if time.Now().After(end) {
				stack := make([]byte, 1<<20)
				t.Errorf("%d goroutines; %d before the test\n%s", runtime.NumGoroutine(), before, stack[:runtime.Stack(stack, true)])
				return
			}
		}
	})
}

// readRequest reads up to the empty line of a request.
func readRequest(c net.Conn) error {
	var b []byte
	for !bytes.Contains(b, []byte("\n\n")) {
		part := make([]byte, 1024)
		n, err := c.Read(part)
		if err != nil {
			return err
		}
		b = append(b, part[:n]...)
	}
	return nil
}

func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func get(method string) *Request {
	return &Request{Params: []Param{{"REQUEST_METHOD", method}}}
}

func TestExchangeResponse(t *testing.T) {
	noLeaks(t)
	answer := func(parts ...string) func(net.Conn) {
		return func(c net.Conn) {
			if readRequest(c) != nil {
				return
			}
			for _, part := range parts {
				_, _ = io.WriteString(c, part)
			}
		}
	}
	bytewise := func(s string) func(net.Conn) { return answer(strings.Split(s, "")...) }
	tests := []struct {
		name    string
		method  string
		serve   func(net.Conn)
		status  int   // 0: RoundTrip fails
		err     error // of RoundTrip, or of the body
		body    string
		maxHead int
	}{
		{"until the end", "GET", answer("Status: 201 Created\r\nA: b\r\n\r\nhello"), 201, nil, "hello", 0},
		{"the uwsgi form", "GET", answer("HTTP/1.1 404 Not Found\r\nA: b\r\n\r\nhello"), 404, nil, "hello", 0},
		{"LF alone", "GET", answer("A: b\n\nhello"), 200, nil, "hello", 0},
		{"byte by byte", "GET", bytewise("Content-Length: 5\r\n\r\nhello"), 200, nil, "hello", 0},
		{"without a body", "GET", answer("A: b\r\n\r\n"), 200, nil, "", 0},
		{"of its length", "GET", answer("Content-Length: 5\r\n\r\n", "hel", "lo"), 200, nil, "hello", 0},
		{"of length 0", "GET", answer("Content-Length: 0\r\n\r\nhello"), 200, nil, "", 0},
		{"longer than its length", "GET", answer("Content-Length: 5\r\n\r\nhel", "lo and more"), 200, nil, "hello", 0},
		{"shorter than its length", "GET", answer("Content-Length: 6\r\n\r\nhello"), 200, io.ErrUnexpectedEOF, "hello", 0},
		{"HEAD", "HEAD", answer("Content-Length: 6\r\n\r\nhello"), 200, nil, "", 0},
		{"204", "GET", answer("Status: 204\r\n\r\nhello"), 204, nil, "", 0},
		{"304", "GET", answer("Status: 304\r\nContent-Length: 7\r\n\r\n"), 304, nil, "", 0},
		{"nothing", "GET", answer(), 0, ErrNotAnswered, "", 0},
		{"nothing, before the request is read", "GET", func(net.Conn) {}, 0, ErrNotAnswered, "", 0},
		{"a reset", "GET", func(c net.Conn) { _ = readRequest(c); reset(c) }, 0, ErrNotAnswered, "", 0},
		{"a part of a head", "GET", answer("A: b\r\nC"), 0, ErrBadResponse, "", 0},
		{"no head", "GET", answer("<html>\r\n\r\n"), 0, ErrBadResponse, "", 0},
		{"an empty head", "GET", answer("\r\n\r\n"), 0, ErrBadResponse, "", 0},
		{"an empty head, LF", "GET", bytewise("\nhello"), 0, ErrBadResponse, "", 0},
		{"the largest head", "GET", answer("A: ", strings.Repeat("b", 19_993), "\r\n\r\nhello"), 200, nil, "hello", 20_000},
		{"a head too large", "GET", answer("A: ", strings.Repeat("b", 19_994), "\r\n\r\nhello"), 0, ErrBadResponse, "", 20_000},
		{"a reset within the body", "GET", func(c net.Conn) {
			_, _ = io.WriteString(c, "A: b\r\n\r\nhello")
			_ = readRequest(c)
			reset(c)
		}, 200, syscall.ECONNRESET, "hello", 0},
		{"a small bound", "GET", answer("A: b\r\nC: d\r\n\r\nhello"), 0, ErrBadResponse, "", 10},
		{"a body larger than the bound", "GET", answer("A: b\r\n\r\nhello hello hello"), 200, nil, "hello hello hello", 10},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := backEnd(t, "tcp", test.serve)
			e.MaxHead = test.maxHead
			resp, err := e.RoundTrip(t.Context(), get(test.method))
			if test.status == 0 {
				if !errors.Is(err, test.err) || !strings.HasPrefix(err.Error(), "lines: ") {
					t.Fatalf("%v; want %v, with the protocol's name first", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if resp.Status != test.status || string(body) != test.body || !errors.Is(err, test.err) {
				t.Errorf("%d %q %v; want %d %q %v", resp.Status, body, err, test.status, test.body, test.err)
			}
			if n, again := resp.Body.Read(make([]byte, 1)); n != 0 || err == nil && again != io.EOF || err != nil && again != err {
				t.Errorf("the next Read: %d, %v; want what ended the body", n, again)
			}
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
			if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
				t.Errorf("a Read after Close: %v", err)
			}
		})
	}
}

func TestExchangeRefused(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	at := closed.Addr().String()
	failing := func(context.Context) (net.Conn, error) { return nil, errors.New("no way") }
	tests := []struct {
		name string
		dial func(context.Context) (net.Conn, error)
		req  *Request
		want error
	}{
		{"nobody listens", nil, get("GET"), ErrUnreachable},
		{"Dial fails", failing, get("GET"), ErrUnreachable},
		{"a role", nil, &Request{Role: Authorizer}, ErrUnsupported},
		{"a length without a body", nil, &Request{ContentLength: 1}, ErrBody},
		{"a negative length", nil, &Request{ContentLength: -1, Body: http.NoBody}, ErrBody},
		{"what cannot be encoded", nil, &Request{Params: []Param{{"A", "\n"}}}, ErrTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := &Exchange{Protocol: "lines", Address: at, Dial: test.dial, Encode: encodeLines}
			if _, err := e.RoundTrip(t.Context(), test.req); !errors.Is(err, test.want) || !strings.HasPrefix(err.Error(), "lines: ") {
				t.Errorf("%v; want %v", err, test.want)
			}
		})
	}
}

// TestExchangeRequestBody has bodies that are what their length says and some
// that are not: a back end must not take those for whole.
func TestExchangeRequestBody(t *testing.T) {
	noLeaks(t)
	broken := errors.New("broken")
	const large = smallBody + 3*largePart + 17
	tests := []struct {
		name string
		body io.Reader
		size int64
		want error
	}{
		{"empty", http.NoBody, 0, nil},
		{"small", strings.NewReader("hello"), 5, nil},
		{"small, in bytes", oneByte{strings.NewReader("hello")}, 5, nil},
		{"the largest small", strings.NewReader(strings.Repeat("x", smallBody)), smallBody, nil},
		{"the smallest large", strings.NewReader(strings.Repeat("x", smallBody+1)), smallBody + 1, nil},
		{"large", strings.NewReader(strings.Repeat("x", large)), large, nil},
		{"large, the end with the last bytes", &endWithData{strings.Repeat("x", large)}, large, nil},
		{"not empty", strings.NewReader("x"), 0, ErrBody},
		{"shorter, small", strings.NewReader("hell"), 5, ErrBody},
		{"longer, small", strings.NewReader("hello!"), 5, ErrBody},
		{"shorter, large", strings.NewReader(strings.Repeat("x", large-1)), large, ErrBody},
		{"longer, large", strings.NewReader(strings.Repeat("x", large+1)), large, ErrBody},
		{"failing, small", io.MultiReader(strings.NewReader("hel"), failingReader{broken}), 5, broken},
		{"failing, large", io.MultiReader(strings.NewReader(strings.Repeat("x", large-1)), failingReader{broken}), large, ErrBody},
		{"failing at the end", io.MultiReader(strings.NewReader("hello"), failingReader{broken}), 5, ErrBody},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got atomic.Int64
			e := backEnd(t, "tcp", func(c net.Conn) {
				n, _ := io.CopyN(io.Discard, c, int64(len("REQUEST_METHOD=PUT\n\n"))+test.size)
				got.Store(n - int64(len("REQUEST_METHOD=PUT\n\n")))
				if got.Load() == test.size {
					_, _ = io.WriteString(c, "A: b\r\n\r\n")
				}
			})
			req := get("PUT")
			req.Body, req.ContentLength = test.body, test.size
			resp, err := e.RoundTrip(t.Context(), req)
			if !errors.Is(err, test.want) {
				t.Fatalf("%v; want %v", err, test.want)
			}
			if err == nil {
				resp.Body.Close()
			}
			if test.want != nil && test.size > 0 && got.Load() == test.size {
				t.Error("the back end has a whole body")
			}
		})
	}
}

type oneByte struct{ io.Reader }

func (r oneByte) Read(b []byte) (int, error) { return r.Reader.Read(b[:1]) }

type endWithData struct{ s string }

func (r *endWithData) Read(b []byte) (int, error) {
	n := copy(b, r.s)
	if r.s = r.s[n:]; r.s == "" {
		return n, io.EOF
	}
	return n, nil
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// countingConn counts writes.
type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

func TestExchangeWritesOnce(t *testing.T) {
	e := backEnd(t, "tcp", func(c net.Conn) {
		_, _ = io.CopyN(io.Discard, c, int64(len("REQUEST_METHOD=POST\n\n"))+1000)
		_, _ = io.WriteString(c, "A: b\r\n\r\n")
	})
	var writes atomic.Int64
	e.Dial = func(ctx context.Context) (net.Conn, error) {
		c, err := Dial(ctx, e.Address, 0)
		return countingConn{c, &writes}, err
	}
	req := get("POST")
	req.Body, req.ContentLength = oneByte{strings.NewReader(strings.Repeat("x", 1000))}, 1000
	resp, err := e.RoundTrip(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if n := writes.Load(); n != 1 {
		t.Errorf("%d writes; want 1", n)
	}
}

// endless is a body of a huge length, which knows whether it is read after it
// may be.
type endless struct {
	over  atomic.Bool
	after atomic.Int64
}

func (e *endless) Read(b []byte) (int, error) {
	if e.over.Load() {
		e.after.Add(1)
	}
	return len(b), nil
}

// TestExchangeAnswersEarly is a back end that answers without reading: the
// answer counts, and nobody reads the request's body behind its end.
func TestExchangeAnswersEarly(t *testing.T) {
	noLeaks(t)
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			hold := make(chan struct{})
			e := backEnd(t, network, func(c net.Conn) {
				_, _ = io.WriteString(c, "Status: 413\r\nContent-Length: 5\r\n\r\nlarge")
				<-hold
			})
			defer close(hold)
			body := &endless{}
			req := get("POST")
			req.Body, req.ContentLength = body, 1<<40
			resp, err := e.RoundTrip(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil || string(b) != "large" || resp.Status != 413 {
				t.Fatalf("%d %q %v; want 413 and its body", resp.Status, b, err)
			}
			body.over.Store(true)
			resp.Body.Close()
			if n := body.after.Load(); n > 1 { // one Read may have been under way
				t.Errorf("the request's body was read %d times behind the response's end", n)
			}
		})
	}
}

// gated is a body whose first Read waits.
type gated struct {
	begun, gate chan struct{}
	reads       int
}

func (g *gated) Read(b []byte) (int, error) {
	if g.reads++; g.reads == 1 {
		close(g.begun)
		<-g.gate
	}
	b[0] = 'x'
	return 1, nil
}

// TestExchangeReadsNoMore is a response that is complete while the request's
// body is waited for: what is waited for is the last Read.
func TestExchangeReadsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, far := pipe()
		body := &gated{begun: make(chan struct{}), gate: make(chan struct{})}
		go func() {
			<-body.begun
			_, _ = io.WriteString(far, "Content-Length: 0\r\n\r\n")
			far.Close()
		}()
		req := get("POST")
		req.Body, req.ContentLength = body, 100
		resp, err := e.RoundTrip(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		close(body.gate)
		synctest.Wait()
		if body.reads != 1 {
			t.Errorf("%d Reads of the body; want the one that had begun", body.reads)
		}
	})
}

// eofConn is a connection that says of itself, once it is closed, that its
// peer has ended it.
type eofConn struct{ net.Conn }

func (c eofConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, net.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

// TestExchangeReason is that what ended an exchange is told, and not what the
// connection says of it.
func TestExchangeReason(t *testing.T) {
	e := backEnd(t, "tcp", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	e.Dial = func(ctx context.Context) (net.Conn, error) {
		c, err := Dial(ctx, e.Address, 0)
		return eofConn{c}, err
	}
	req := get("POST")
	req.Body, req.ContentLength = strings.NewReader("hell"), 5
	if _, err := e.RoundTrip(t.Context(), req); !errors.Is(err, ErrBody) {
		t.Errorf("%v; want ErrBody", err)
	}
}

// TestExchangeBothWays would not end if the request were written before the
// response is read.
func TestExchangeBothWays(t *testing.T) {
	const size = 10 << 20
	e := backEnd(t, "tcp", func(c net.Conn) {
		_, _ = fmt.Fprintf(c, "Content-Length: %d\r\n\r\n", size)
		_, _ = c.Write(make([]byte, size)) // all of it before a byte is read
		_, _ = io.Copy(io.Discard, c)
	})
	req := get("POST")
	req.Body, req.ContentLength = io.LimitReader(&endless{}, size), size
	resp, err := e.RoundTrip(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
		t.Errorf("%d bytes, %v; want %d", n, err, size)
	}
}

// pipe is an Exchange over a pipe, for a synctest bubble, and its other end.
func pipe() (*Exchange, net.Conn) {
	near, far := net.Pipe()
	return &Exchange{
		Protocol: "lines",
		Dial:     func(context.Context) (net.Conn, error) { return near, nil },
		Encode:   encodeLines,
	}, far
}

func TestExchangeTimeout(t *testing.T) {
	tests := []struct {
		name   string
		serve  func(net.Conn)
		inBody bool
		after  time.Duration
	}{
		{"nothing is read", func(net.Conn) {}, false, DefaultTimeout},
		{"nothing is answered", func(c net.Conn) { _ = readRequest(c) }, false, DefaultTimeout},
		{"within the head", func(c net.Conn) {
			_ = readRequest(c)
			time.Sleep(50 * time.Second)
			_, _ = io.WriteString(c, "A: b\r\n")
		}, false, 50*time.Second + DefaultTimeout},
		{"within the body", func(c net.Conn) {
			_ = readRequest(c)
			for range 3 {
				time.Sleep(50 * time.Second)
				_, _ = io.WriteString(c, "A: b\r\n\r\n")
			}
		}, true, 150*time.Second + DefaultTimeout},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, far := pipe()
				defer far.Close()
				go test.serve(far)
				start := time.Now()
				resp, err := e.RoundTrip(t.Context(), get("GET"))
				if test.inBody {
					if err != nil {
						t.Fatal(err)
					}
					_, err = io.ReadAll(resp.Body)
					resp.Body.Close()
				}
				if !errors.Is(err, ErrTimeout) || time.Since(start) != test.after {
					t.Errorf("after %v: %v; want ErrTimeout after %v", time.Since(start), err, test.after)
				}
				if _, err := far.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("the connection is still open: %v", err)
				}
			})
		})
	}
}

// TestExchangeSlow has exchanges that take longer than the back end may be
// silent, though it never is.
func TestExchangeSlow(t *testing.T) {
	head := int64(len("REQUEST_METHOD=POST\n\n"))
	tests := []struct {
		name  string
		body  io.Reader // of 3 * smallBody
		serve func(net.Conn)
	}{
		{"a client that sends its body slowly", &slowReader{parts: 3}, func(c net.Conn) {
			_, _ = io.CopyN(io.Discard, c, head+smallBody)
			_, _ = io.WriteString(c, "A: b\r\n") // so that the reader waits anew, while the body is waited for
			_, _ = io.CopyN(io.Discard, c, 2*smallBody)
			time.Sleep(DefaultTimeout - time.Second)
			_, _ = io.WriteString(c, "\r\nhello")
		}},
		{"a back end that reads slowly", bytes.NewReader(make([]byte, 3*smallBody)), func(c net.Conn) {
			for _, n := range []int64{head + largePart, 3*smallBody - largePart} { // as they are written
				time.Sleep(DefaultTimeout - time.Second)
				_, _ = io.CopyN(io.Discard, c, n)
			}
			time.Sleep(DefaultTimeout - time.Second)
			_, _ = io.WriteString(c, "A: b\r\n\r\nhello")
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, far := pipe()
				go func() {
					test.serve(far)
					far.Close()
				}()
				req := get("POST")
				req.Body, req.ContentLength = test.body, 3*smallBody
				start := time.Now()
				resp, err := e.RoundTrip(t.Context(), req)
				if err != nil {
					t.Fatalf("after %v: %v", time.Since(start), err)
				}
				if body, err := io.ReadAll(resp.Body); string(body) != "hello" || err != nil {
					t.Errorf("%q %v", body, err)
				}
				resp.Body.Close()
			})
		})
	}
}

type slowReader struct{ parts int }

func (r *slowReader) Read(b []byte) (int, error) {
	if r.parts == 0 {
		return 0, io.EOF
	}
	r.parts--
	time.Sleep(10 * DefaultTimeout)
	return min(len(b), smallBody), nil
}

func TestExchangeContext(t *testing.T) {
	noLeaks(t)
	why := errors.New("the client has gone")
	t.Run("before the head", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		seen := make(chan error, 1)
		e := backEnd(t, "tcp", func(c net.Conn) {
			_ = readRequest(c)
			cancel(why)
			_, err := io.ReadAll(c)
			seen <- err
		})
		if _, err := e.RoundTrip(ctx, get("GET")); !errors.Is(err, why) {
			t.Errorf("%v; want %v", err, why)
		}
		if err := <-seen; err != nil {
			t.Errorf("the back end sees %v; want the connection's end", err)
		}
	})
	t.Run("within the body", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		e := backEnd(t, "tcp", func(c net.Conn) {
			_, _ = io.WriteString(c, "A: b\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
		})
		resp, err := e.RoundTrip(ctx, get("GET"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		cancel(why)
		if _, err := io.ReadAll(resp.Body); !errors.Is(err, why) {
			t.Errorf("%v; want %v", err, why)
		}
	})
	t.Run("its deadline", func(t *testing.T) {
		e := backEnd(t, "tcp", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := e.RoundTrip(ctx, get("GET")); StatusOf(err) != http.StatusGatewayTimeout {
			t.Errorf("%v is a %d; want a 504", err, StatusOf(err))
		}
	})
}

// TestExchangeClosed ends a response in its middle, under a Read.
func TestExchangeClosed(t *testing.T) {
	noLeaks(t)
	e := backEnd(t, "tcp", func(c net.Conn) {
		_, _ = io.WriteString(c, "A: b\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	resp, err := e.RoundTrip(t.Context(), get("GET"))
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error)
	go func() {
		_, err := io.ReadAll(resp.Body)
		read <- err
	}()
	resp.Body.Close()
	if err := <-read; err == nil {
		t.Error("a body that was closed has ended as if it were whole")
	}
}

// FuzzHeadEnds holds the piecewise search for a head's end to ParseHead's.
func FuzzHeadEnds(f *testing.F) {
	for _, seed := range []string{"", "\n", "\r\n", "A: b\r\n\r\nx", "A: b\n\n", "A: b\n\r\n", "a\r\r\n\n", "\r\r\n\n", "a\n\ra\n\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		want := headEnd(b) != 0
		if got := headEnds(b, 0); got != want {
			t.Fatalf("%q at once: %v; want %v", b, got, want)
		}
		got := false
		for i := range b {
			if got = headEnds(b[:i+1], i); got {
				break
			}
		}
		if got != want {
			t.Fatalf("%q byte by byte: %v; want %v", b, got, want)
		}
	})
}
