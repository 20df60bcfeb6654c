package ajp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"millrace/gateway"
)

// backEnd is a hand-made back end: handle gets each connection and its number.
func backEnd(t testing.TB, handle func(n int, p *peer)) *Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				handle(n, newPeer(t, c, toBackEnd))
			})
		}
	})
	c := &Client{Address: l.Addr().String()}
	t.Cleanup(func() {
		c.Close()
		l.Close()
		running.Wait()
	})
	return c
}

// forward takes a FORWARD_REQUEST; nil: the connection has ended.
func (p *peer) forward() *forward {
	payload := p.next()
	if payload == nil {
		return nil
	}
	f, err := parseForward(payload)
	if err != nil {
		p.t.Error(err)
	}
	return f
}

// respond sends a whole response.
func (p *peer) respond(body string, reuse bool) {
	b, _ := appendHead(nil, 200, http.Header{"Content-Type": {"text/plain"}}, DefaultPacketSize, false)
	for len(body) > 0 {
		n := min(len(body), 8000)
		b = appendBodyChunk(b, body[:n])
		body = body[n:]
	}
	p.send(appendEnd(b, reuse))
}

func get(params ...gateway.Param) *gateway.Request {
	return &gateway.Request{Params: append([]gateway.Param{{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "REQUEST_URI", Value: "/"}}, params...)}
}

func post(body io.Reader, length int) *gateway.Request {
	return &gateway.Request{Params: []gateway.Param{{Name: "REQUEST_METHOD", Value: "POST"}, {Name: "REQUEST_URI", Value: "/"}}, Body: body, ContentLength: int64(length)}
}

// fetch sends a request and reads the whole response.
func fetch(c *Client, req *gateway.Request) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resp, err := c.RoundTrip(ctx, req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func TestClientSends(t *testing.T) {
	tests := []struct {
		name   string
		client *Client
		params []gateway.Param
		want   forward
	}{
		{"everything", &Client{Secret: "abc", Attributes: []string{"MINE"}}, []gateway.Param{
			{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "SERVER_PROTOCOL", Value: "HTTP/2.0"}, {Name: "REQUEST_URI", Value: "/a%2Fb?x=1"},
			{Name: "SCRIPT_NAME", Value: "/a"}, {Name: "PATH_INFO", Value: "/b"}, {Name: "QUERY_STRING", Value: "x=1"},
			{Name: "REMOTE_ADDR", Value: "::1"}, {Name: "REMOTE_HOST", Value: "c"}, {Name: "REMOTE_PORT", Value: "9"}, {Name: "SERVER_NAME", Value: "s"},
			{Name: "SERVER_PORT", Value: "444"}, {Name: "SERVER_ADDR", Value: "::2"}, {Name: "HTTPS", Value: "on"}, {Name: "CONTENT_TYPE", Value: "t"},
			{Name: "HTTP_HOST", Value: "first"}, {Name: "HTTP_HOST", Value: "h"}, {Name: "HTTP_X_Y", Value: "z"}, {Name: "HTTP_PROXY", Value: "p"},
			{Name: "HTTP_CONNECTION", Value: "close"}, {Name: "HTTP_TRANSFER_ENCODING", Value: "chunked"}, {Name: "HTTP_CONTENT_LENGTH", Value: "7"},
			{Name: "REMOTE_USER", Value: "u"}, {Name: "SSL_CIPHER_USEKEYSIZE", Value: "128"}, {Name: "SSL_PROTOCOL", Value: "P"}, {Name: "MINE", Value: "m"},
			{Name: "OTHER", Value: "o"}, {Name: "AUTH_TYPE", Value: ""},
		}, forward{method: "GET", protocol: "HTTP/2.0", uri: "/a%2Fb", remoteAddr: "::1", remoteHost: "c", serverName: "s", serverPort: 444, ssl: true,
			headers: []field{{"Content-Type", "t"}, {"Host", "h"}, {"X-Y", "z"}},
			attributes: []attribute{{code: attrQueryString, value: "x=1"}, {code: attrRequest, name: "AJP_REMOTE_PORT", value: "9"},
				{code: attrRequest, name: "AJP_LOCAL_ADDR", value: "::2"}, {code: attrRemoteUser, value: "u"}, {code: attrSSLKeySize, size: 128},
				{code: attrRequest, name: "AJP_SSL_PROTOCOL", value: "P"}, {code: attrRequest, name: "MINE", value: "m"}, {code: attrSecret, value: "abc"}}}},
		{"least", &Client{}, []gateway.Param{{Name: "REQUEST_METHOD", Value: "PATCH"}}, forward{method: "PATCH", protocol: "HTTP/1.1", uri: "/", serverPort: 80, headers: []field{}}},
		{"rewritten", &Client{}, []gateway.Param{{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "REQUEST_URI", Value: "/old"}, {Name: "PATH_INFO", Value: "/n w"}, {Name: "REQUEST_SCHEME", Value: "https"}},
			forward{method: "GET", protocol: "HTTP/1.1", uri: "/n%20w", serverPort: 443, ssl: true, headers: []field{}}},
		{"absolute form", &Client{}, []gateway.Param{{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "REQUEST_URI", Value: "http://h/p%41?q"}, {Name: "PATH_INFO", Value: "/pA"}, {Name: "CONTENT_LENGTH", Value: "0"}},
			forward{method: "GET", protocol: "HTTP/1.1", uri: "/p%41", serverPort: 80, headers: []field{{"Content-Length", "0"}}}},
		{"asterisk", &Client{}, []gateway.Param{{Name: "REQUEST_METHOD", Value: "OPTIONS"}, {Name: "REQUEST_URI", Value: "*"}, {Name: "PATH_INFO", Value: "*"}},
			forward{method: "OPTIONS", protocol: "HTTP/1.1", uri: "*", serverPort: 80, headers: []field{}}},
	}
	for _, test := range tests {
		out, err := test.client.outgoing(&gateway.Request{Params: test.params})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		got, err := parseForward(out.packets[headerSize:])
		if err != nil || !reflect.DeepEqual(got, &test.want) {
			t.Errorf("%s: %v\n%+v\nwant\n%+v", test.name, err, got, &test.want)
		}
	}
}

func TestClientRefusesToSend(t *testing.T) {
	tests := []struct {
		name string
		req  *gateway.Request
		c    *Client
		want error
		text string
	}{
		{"large", get(gateway.Param{Name: "HTTP_X", Value: strings.Repeat("x", 8192)}), &Client{}, gateway.ErrTooLarge, "8192 bytes"},
		{"larger than a string", get(gateway.Param{Name: "HTTP_X", Value: strings.Repeat("x", 70000)}), &Client{PacketSize: MaxPacketSize}, gateway.ErrTooLarge, "65536 bytes"},
		{"large path", &gateway.Request{Params: []gateway.Param{{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "PATH_INFO", Value: "/" + strings.Repeat("x", 70000)}}}, &Client{}, gateway.ErrTooLarge, ""},
		{"role", &gateway.Request{Role: gateway.Filter}, &Client{}, gateway.ErrUnsupported, "FILTER"},
		{"no body", &gateway.Request{ContentLength: 1}, &Client{}, gateway.ErrBody, ""},
		{"short", post(strings.NewReader("a"), 2), &Client{}, gateway.ErrBody, "1 bytes before"},
		{"long", post(strings.NewReader("abc"), 2), &Client{}, gateway.ErrBody, "longer"},
		{"broken", post(iotest.ErrReader(errors.New("torn")), 2), &Client{}, gateway.ErrBody, "torn"},
		{"no method", &gateway.Request{}, &Client{}, nil, "REQUEST_METHOD"},
		{"port", get(gateway.Param{Name: "SERVER_PORT", Value: "x"}), &Client{}, nil, "SERVER_PORT"},
		{"packet size", get(), &Client{PacketSize: 10}, nil, "PacketSize 10"},
	}
	for _, test := range tests {
		test.c.Dial = func(context.Context) (net.Conn, error) {
			t.Errorf("%s: a connection is opened", test.name)
			return nil, io.EOF
		}
		_, err := fetch(test.c, test.req)
		if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestClientKeepsConnections(t *testing.T) {
	c := backEnd(t, func(n int, p *peer) {
		for p.forward() != nil {
			p.respond(fmt.Sprint(n), true)
		}
	})
	for range 3 {
		if body, err := fetch(c, get()); body != "1" || err != nil {
			t.Errorf("connection %s, %v", body, err)
		}
	}
	c.MaxIdle = -1
	for i, want := range []string{"1", "2", "3"} {
		if body, err := fetch(c, get()); body != want || err != nil {
			t.Errorf("request %d without kept ones: connection %s, %v", i, body, err)
		}
	}
}

// What makes a connection unfit for another request.
func TestClientDropsConnections(t *testing.T) {
	for name, respond := range map[string]func(*peer){
		"reuse 0":                func(p *peer) { p.respond("", false); p.next() },
		"bytes after the end":    func(p *peer) { p.respond("", true); p.send(appendCPong(nil)); p.next() },
		"closed when it is idle": func(p *peer) { p.respond("", true) },
		"surplus and not the end": func(p *peer) {
			b, _ := appendHead(nil, 200, http.Header{"Content-Length": {"2"}}, DefaultPacketSize, false)
			p.send(appendBodyChunk(b, "abc"))
			p.next()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var conns atomic.Int32
			c := backEnd(t, func(n int, p *peer) {
				conns.Add(1)
				p.forward()
				respond(p)
			})
			for want := range int32(2) {
				req := get()
				req.Params[0].Value = "POST" // is not tried again
				resp, err := c.RoundTrip(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.ReadFull(resp.Body, make([]byte, max(resp.ContentLength, 0)))
				if resp.ContentLength < 0 {
					_, _ = io.ReadAll(resp.Body)
				}
				resp.Body.Close()
				eventually(t, "unfit", func() bool {
					c.pool.mu.Lock()
					defer c.pool.mu.Unlock()
					return len(c.pool.idle) == 0 || !gateway.Alive(c.pool.idle[0].nc)
				})
				if conns.Load() != want+1 {
					t.Errorf("request %d: %d connections", want+1, conns.Load())
				}
			}
		})
	}
}

// A kept connection that ends when it is used: the request goes to another, if
// that cannot do any harm.
func TestClientRetries(t *testing.T) {
	newBackEnd := func(t *testing.T, first func(p *peer)) *Client {
		return backEnd(t, func(n int, p *peer) {
			for i := 0; ; i++ {
				if n == 1 && i == 1 {
					if p.next() != nil {
						first(p)
					}
					return
				}
				f := p.forward()
				if f == nil {
					return
				}
				body := ""
				if f.method == "DELETE" {
					p.next()
				}
				if f.method == "PUT" {
					for len(body) < 20000 {
						data, err := parseChunk(p.next())
						if err != nil {
							t.Error(err)
						}
						if body += string(data); len(body) < 20000 {
							p.send(appendGetBody(nil, 8186))
						}
					}
				}
				p.respond(fmt.Sprintf("%d %s", n, body), true)
			}
		})
	}
	hangUp := func(*peer) {}
	large := strings.Repeat("0123456789", 2000)
	put := func(again bool) *gateway.Request {
		req := post(strings.NewReader(large), len(large))
		req.Params[0].Value = "PUT"
		if again {
			req.GetBody = func() (io.Reader, error) { return strings.NewReader(large), nil }
		}
		return req
	}
	small := post(strings.NewReader("x"), 1)
	small.Params[0].Value = "DELETE"
	tests := []struct {
		name string
		req  *gateway.Request
		on   func(p *peer)
		want string
		err  error
	}{
		{"GET", get(), hangUp, "2 ", nil},
		{"a small body", small, hangUp, "2 ", nil},
		{"a body that can be had again", put(true), hangUp, "2 " + large, nil},
		{"a body that cannot", put(false), hangUp, "", gateway.ErrNotAnswered},
		{"POST", post(strings.NewReader("x"), 1), hangUp, "", gateway.ErrNotAnswered},
		{"after a byte of a response", get(), func(p *peer) { p.send([]byte("A")) }, "", gateway.ErrBadResponse},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newBackEnd(t, test.on)
			if body, err := fetch(c, get()); body != "1 " || err != nil {
				t.Fatal(body, err)
			}
			body, err := fetch(c, test.req)
			if body != test.want || !errors.Is(err, test.err) {
				t.Errorf("%.10q, %v; want %.10q, %v", body, err, test.want, test.err)
			}
		})
	}
}

// A fresh connection that ends is not tried again.
func TestClientDoesNotRetryFresh(t *testing.T) {
	var conns atomic.Int32
	c := backEnd(t, func(n int, p *peer) { conns.Add(1); p.forward() })
	if _, err := fetch(c, get()); !errors.Is(err, gateway.ErrNotAnswered) || conns.Load() != 1 {
		t.Errorf("%v, %d connections", err, conns.Load())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := fetch(&Client{Address: l.Addr().String()}, get()); !errors.Is(err, gateway.ErrUnreachable) {
		t.Error(err)
	}
	c = &Client{Dial: func(context.Context) (net.Conn, error) { return nil, io.ErrClosedPipe }}
	if _, err := fetch(c, get()); !errors.Is(err, gateway.ErrUnreachable) || !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

func TestClientPings(t *testing.T) {
	answers := map[string]func(p *peer){
		"pong":         func(p *peer) { p.send(appendCPong(nil)) },
		"nothing":      func(p *peer) { p.next() },
		"hangs up":     func(p *peer) { p.Close() },
		"another type": func(p *peer) { p.send(appendEnd(nil, true)) },
		"pong twice":   func(p *peer) { p.send(appendCPong(appendCPong(nil))) },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			pinged := make(chan struct{}, 1)
			c := backEnd(t, func(n int, p *peer) {
				for {
					switch payload := p.next(); {
					case payload == nil:
						return
					case bytes.Equal(payload, []byte{typeCPing}):
						pinged <- struct{}{}
						answer(p)
					default:
						if f, err := parseForward(payload); err != nil {
							t.Error(err)
						} else if f.method == "POST" {
							p.next()
						}
						p.respond(fmt.Sprint(n), true)
					}
				}
			})
			c.PingTimeout = patience
			if name == "nothing" {
				c.PingTimeout = 20 * time.Millisecond
			}
			last := map[bool]string{true: "1", false: "2"}[name == "pong"]
			for i, want := range []string{"1", last} {
				// A POST would be lost to a connection that is dead.
				if body, err := fetch(c, post(strings.NewReader("x"), 1)); body != want || err != nil {
					t.Errorf("request %d: connection %s, %v; want %s", i, body, err, want)
				}
				for _, s := range c.pool.idle {
					s.since = s.since.Add(-2 * pingAfter)
				}
			}
			<-pinged // once, between the two
			c.PingTimeout = -1
			if body, err := fetch(c, get()); body != last || err != nil || len(pinged) > 0 {
				t.Errorf("without: connection %s, %v, %d pings", body, err, len(pinged))
			}
		})
	}
}

// Each of these ends the request with an error, and the connection with it.
func TestClientBadResponses(t *testing.T) {
	ok, _ := appendHead(nil, 200, nil, DefaultPacketSize, false)
	long, _ := appendHead(nil, 200, http.Header{"Content-Length": {"5"}}, DefaultPacketSize, false)
	large, _ := appendHead(nil, 200, http.Header{"X": {strings.Repeat("x", 2000)}}, DefaultPacketSize, false)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	tests := []struct {
		name string
		sent []byte
		want error
		text string
	}{
		{"other magic", appendCPing(nil), gateway.ErrBadResponse, "begins with 0x1234"},
		{"empty packet", unhex(t, "4142 0000"), gateway.ErrBadResponse, "empty packet"},
		{"body first", appendBodyChunk(nil, "x"), gateway.ErrBadResponse, "message type 3"},
		{"end first", appendEnd(nil, true), gateway.ErrBadResponse, "message type 5"},
		{"unknown type", unhex(t, "4142 0001 0b"), gateway.ErrBadResponse, "message type 11"},
		{"large head", large, gateway.ErrBadResponse, "a head of more than 1000 bytes"},
		{"bad head", unhex(t, "4142 0003 04 00c8"), gateway.ErrBadResponse, "the packet ends"},
		{"cut head", ok[:6], gateway.ErrBadResponse, "within the response's head"},
		{"asks for nothing", unhex(t, "4142 0003 06 0000"), gateway.ErrBadResponse, "bad GET_BODY_CHUNK"},
		{"large packet", unhex(t, "4142 ffff 04"), gateway.ErrBadResponse, "PacketSize"},
		{"two heads", join(ok, ok), gateway.ErrBadResponse, "message type 4 within"},
		{"pong within", join(ok, appendCPong(nil)), gateway.ErrBadResponse, "message type 9 within"},
		{"bad body", join(ok, unhex(t, "4142 0005 03 0003 6869")), gateway.ErrBadResponse, "announces 3"},
		{"bad end", join(ok, unhex(t, "4142 0002 05 07")), gateway.ErrBadResponse, "END_RESPONSE"},
		{"no end", join(ok, appendBodyChunk(nil, "x")), io.ErrUnexpectedEOF, ""},
		{"shorter than announced", join(long, appendBodyChunk(nil, "1234"), appendEnd(nil, true)), io.ErrUnexpectedEOF, "1 bytes before its Content-Length"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := backEnd(t, func(n int, p *peer) {
				p.forward()
				p.send(test.sent)
			})
			c.MaxHead = 1000
			_, err := fetch(c, get())
			if err == nil || !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) || !strings.HasPrefix(err.Error(), "ajp: "+c.Address+": ") {
				t.Errorf("%v", err)
			}
			c.pool.mu.Lock()
			defer c.pool.mu.Unlock()
			if len(c.pool.conns) != 0 && test.name != "shorter than announced" {
				t.Error("the connection is kept")
			}
		})
	}
}

func TestClientBodies(t *testing.T) {
	head := func(status int, length string) []byte {
		b, _ := appendHead(nil, status, http.Header{"Content-Length": {length}}, DefaultPacketSize, false)
		return b
	}
	for _, test := range []struct {
		method string
		head   []byte
		body   string
		want   string
	}{
		{"HEAD", head(200, "5"), "12345", ""},
		{"GET", head(304, "5"), "", ""},
		{"GET", head(204, "0"), "", ""},
		{"GET", head(200, "0"), "", ""},
		{"GET", head(200, "5"), "12345", "12345"},
		{"GET", head(200, "5"), "123456789", "12345"}, // the rest is cut
	} {
		var conns atomic.Int32
		c := backEnd(t, func(n int, p *peer) {
			conns.Add(1)
			for p.forward() != nil {
				p.send(appendEnd(appendBodyChunk(appendBodyChunk(bytes.Clone(test.head), ""), test.body), true)) // an empty part is a flush
			}
		})
		for range 2 {
			req := get()
			req.Params[0].Value = test.method
			if body, err := fetch(c, req); body != test.want || err != nil {
				t.Errorf("%s: %q, %v; want %q", test.method, body, err, test.want)
			}
		}
		if conns.Load() != 1 {
			t.Errorf("%s %x: %d connections", test.method, test.head, conns.Load())
		}
	}
}

// A response that says that it has no body is read to its end even if nobody
// reads.
func TestClientHeadIsDone(t *testing.T) {
	c := backEnd(t, func(n int, p *peer) {
		for p.forward() != nil {
			b, _ := appendHead(nil, 204, nil, DefaultPacketSize, false)
			p.send(appendEnd(b, true))
		}
	})
	resp, err := c.RoundTrip(t.Context(), get())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Error(err)
	}
	if len(c.pool.idle) != 1 {
		t.Error("the connection is not kept")
	}
}

func TestClientAnswersBeforeItHasReadAll(t *testing.T) {
	var conns atomic.Int32
	c := backEnd(t, func(n int, p *peer) {
		conns.Add(1)
		for p.forward() != nil {
			p.next() // the first part
			p.respond("enough", true)
		}
	})
	large := strings.Repeat("x", 100000)
	for range 2 {
		if body, err := fetch(c, post(strings.NewReader(large), len(large))); body != "enough" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
		// The connection goes back when the part's sender knows that it is sent.
		for deadline := time.Now().Add(patience); idle(c) == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the connection is not kept")
			}
		}
	}
	if conns.Load() != 1 {
		t.Errorf("%d connections", conns.Load())
	}
}

// idle is how many connections a client keeps.
func idle(c *Client) int {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	return len(c.pool.idle)
}

// A back end may answer a part before its sender has returned from writing it;
// the connection is kept all the same.
func TestClientAnsweredWhileItWrites(t *testing.T) {
	c := backEnd(t, func(n int, p *peer) {
		for p.forward() != nil {
			p.next()
			p.respond("enough", true)
		}
	})
	answered := make(chan struct{})
	c.Dial = func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		nc, err := d.DialContext(ctx, "tcp", c.Address)
		return &lateWrite{Conn: nc, until: answered}, err
	}
	if body, err := fetch(c, post(strings.NewReader(strings.Repeat("x", 100000)), 100000)); body != "enough" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	if n := idle(c); n != 0 {
		t.Errorf("%d connections are kept that are still written to", n)
	}
	close(answered)
	for deadline := time.Now().Add(patience); idle(c) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the connection is not kept")
		}
	}
}

// lateWrite returns from its second Write when it is let.
type lateWrite struct {
	net.Conn
	until  chan struct{}
	writes int
}

func (c *lateWrite) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if c.writes++; c.writes == 2 {
		<-c.until
	}
	return n, err
}

// A part of the body that is still on its way would follow in the next
// request's place.
func TestClientAnswersBeforeTheFirstPart(t *testing.T) {
	c := backEnd(t, func(n int, p *peer) {
		for p.forward() != nil {
			p.respond(fmt.Sprint(n), true)
		}
	})
	stop := make(chan struct{})
	defer close(stop)
	for _, want := range []string{"1", "2"} {
		if body, err := fetch(c, post(&stuck{until: stop}, 100000)); body != want || err != nil {
			t.Errorf("connection %q, %v; want %s", body, err, want)
		}
	}
}

// A back end that asks for more than there is gets empty packets, and one that
// asks without waiting for its answers is cut off.
func TestClientAsked(t *testing.T) {
	c := backEnd(t, func(n int, p *peer) {
		for {
			f := p.forward()
			if f == nil {
				return
			}
			if f.method == "POST" {
				p.next()
			}
			p.send(appendGetBody(nil, 100))
			if data := p.next(); len(data) != 0 {
				t.Errorf("% x", data)
			}
			p.respond("", true)
		}
	})
	for _, req := range []*gateway.Request{get(), post(strings.NewReader("x"), 1)} {
		if _, err := fetch(c, req); err != nil {
			t.Error(err)
		}
	}
	c = backEnd(t, func(n int, p *peer) {
		p.forward()
		p.send(appendGetBody(appendGetBody(appendGetBody(nil, 1), 1), 1))
		for p.next() != nil {
		}
	})
	stop := make(chan struct{})
	defer close(stop)
	_, err := fetch(c, post(&stuck{until: stop}, 100000))
	if !errors.Is(err, gateway.ErrBadResponse) || !strings.Contains(err.Error(), "again") {
		t.Error(err)
	}
}

// stuck gives some bytes, and then none until a channel is closed.
type stuck struct {
	first string
	until chan struct{}
}

func (s *stuck) Read(b []byte) (int, error) {
	if s.first != "" {
		n := copy(b, s.first)
		s.first = s.first[n:]
		return n, nil
	}
	<-s.until
	return 0, io.EOF
}

func TestClientBrokenBody(t *testing.T) {
	for name, body := range map[string]io.Reader{
		"short":  strings.NewReader(strings.Repeat("x", 9000)),
		"long":   strings.NewReader(strings.Repeat("x", 10001)),
		"broken": io.MultiReader(strings.NewReader(strings.Repeat("x", 9000)), iotest.ErrReader(errors.New("torn"))),
	} {
		ended := make(chan struct{})
		c := backEnd(t, func(n int, p *peer) {
			p.forward()
			got := 0
			for {
				payload := p.next()
				if payload == nil {
					break
				}
				if len(payload) == 0 {
					t.Errorf("%s: the body passes for a whole one", name)
				}
				got += len(payload) - 2
				p.send(appendGetBody(nil, 8186))
			}
			if got >= 10000 {
				t.Errorf("%s: all %d bytes have been sent", name, got)
			}
			close(ended)
		})
		if _, err := fetch(c, post(body, 10000)); !errors.Is(err, gateway.ErrBody) {
			t.Errorf("%s: %v", name, err)
		}
		<-ended
	}
}

func TestClientTimeout(t *testing.T) {
	c := backEnd(t, func(n int, p *peer) {
		p.forward()
		if n == 2 {
			b, _ := appendHead(nil, 200, nil, DefaultPacketSize, false)
			p.send(b)
		}
		p.next()
	})
	c.Timeout = 20 * time.Millisecond
	for range 2 { // without a head, and within a body
		if _, err := fetch(c, get()); !errors.Is(err, gateway.ErrTimeout) {
			t.Error(err)
		}
	}
}

// deadlines counts reads that ran into one.
type deadlines struct {
	net.Conn
	n atomic.Int32
}

func (d *deadlines) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if isTimeout(err) {
		d.n.Add(1)
	}
	return n, err
}

// A back end that waits for a client's body is not late.
func TestClientWaitsForTheBody(t *testing.T) {
	c := backEnd(t, func(n int, p *peer) {
		p.forward()
		p.next()
		p.respond("ok", true)
	})
	var conn *deadlines
	dialled := make(chan struct{})
	c.Dial = func(ctx context.Context) (net.Conn, error) {
		nc, err := net.Dial("tcp", c.Address)
		conn = &deadlines{Conn: nc}
		close(dialled)
		return conn, err
	}
	c.Timeout = time.Second
	r, w := io.Pipe()
	go func() {
		<-dialled
		eventually(t, "past its deadline", func() bool { return conn.n.Load() > 0 })
		_, _ = w.Write(bytes.Repeat([]byte("x"), 9000))
		w.Close()
	}()
	if body, err := fetch(c, post(r, 9000)); body != "ok" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	_ = r.Close()
}

func TestClientGivenUp(t *testing.T) {
	gone := make(chan struct{})
	c := backEnd(t, func(n int, p *peer) {
		p.forward()
		if n == 2 {
			b, _ := appendHead(nil, 200, nil, DefaultPacketSize, false)
			p.send(b)
		}
		gone <- struct{}{}
		if p.next() == nil {
			gone <- struct{}{}
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-gone; cancel() }()
	if _, err := c.RoundTrip(ctx, get()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-gone
	ctx, cancel = context.WithCancel(context.Background())
	resp, err := c.RoundTrip(ctx, get())
	if err != nil {
		t.Fatal(err)
	}
	<-gone
	cancel()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-gone
	resp.Body.Close()
}

func TestClientMaxConns(t *testing.T) {
	on := make(chan struct{})
	c := backEnd(t, func(n int, p *peer) {
		for p.forward() != nil {
			<-on
			p.respond(fmt.Sprint(n), true)
		}
	})
	c.MaxConns = 1
	first := make(chan error)
	go func() { _, err := fetch(c, get()); first <- err }()
	eventually(t, "in use", func() bool {
		c.pool.mu.Lock()
		defer c.pool.mu.Unlock()
		return len(c.pool.conns) == 1
	})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.RoundTrip(ctx, get()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("there is no turn, and the error is %v", err)
	}
	second := make(chan error)
	go func() {
		body, err := fetch(c, get())
		if body != "1" {
			t.Errorf("connection %q", body)
		}
		second <- err
	}()
	close(on)
	if err := errors.Join(<-first, <-second); err != nil {
		t.Error(err)
	}
}

func TestClientIdleTimeoutAndClose(t *testing.T) {
	ended := make(chan struct{})
	c := backEnd(t, func(n int, p *peer) {
		for p.forward() != nil {
			p.respond("", true)
		}
		ended <- struct{}{}
	})
	c.IdleTimeout = 10 * time.Millisecond
	if _, err := fetch(c, get()); err != nil {
		t.Fatal(err)
	}
	<-ended
	c.IdleTimeout = time.Hour
	if _, err := fetch(c, get()); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	<-ended
	if _, err := fetch(c, get()); !errors.Is(err, errClosed) {
		t.Error(err)
	}
}
