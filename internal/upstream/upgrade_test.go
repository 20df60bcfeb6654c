package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	testKey    = "dGhlIHNhbXBsZSBub25jZQ==" // the example of RFC 6455, section 1.3
	testAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
	hello      = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: " + testKey + "\r\nSec-WebSocket-Version: 13\r\n\r\n"
	agreed     = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + testAccept + "\r\nX-App: 1\r\n\r\n"
)

// switcher is a back end that answers say to each request's head, and gives its
// connections to the test.
func switcher(t *testing.T, say string) (address string, heads chan *http.Request, conns chan *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	heads, conns = make(chan *http.Request, 100), make(chan *net.TCPConn, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			c.SetDeadline(time.Now().Add(20 * time.Second))
			r, err := http.ReadRequest(bufio.NewReader(c))
			if err != nil {
				c.Close()
				continue
			}
			heads <- r
			io.WriteString(c, say)
			conns <- c.(*net.TCPConn)
		}
	}()
	return l.Addr().String(), heads, conns
}

// client is a connection to the front.
type client struct {
	*net.TCPConn
	in *bufio.Reader
	t  *testing.T
}

func (f *front) dial(head string) *client {
	f.t.Helper()
	c, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, head)
	return &client{c.(*net.TCPConn), bufio.NewReader(c), f.t}
}

func (c *client) response() *http.Response {
	c.t.Helper()
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return res
}

// gets reads what must come.
func gets(t *testing.T, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(r, b); err != nil || string(b) != want {
		t.Fatalf("got %q, %v; want %q", b[:n], err, want)
	}
}

// ends reads the end, of whatever kind.
func ends(t *testing.T, r io.Reader) {
	t.Helper()
	if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil || isTimeout(err) {
		t.Fatalf("%d bytes, %v; want an end", n, err)
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

func upgrading(addresses ...string) Config {
	c := Config{Upgrade: true, UpgradeTimeout: time.Hour}
	for _, a := range addresses {
		c.Servers = append(c.Servers, Server{Address: a})
	}
	return c
}

func TestUpgrade(t *testing.T) {
	address, heads, conns := switcher(t, agreed+"first")
	f := serve(t, upgrading(address), nil)
	c := f.dial(hello)
	res := c.response()
	if res.StatusCode != 101 || res.Header.Get("Upgrade") != "WebSocket" || res.Header.Get("Connection") != "Upgrade" || res.Header.Get("Sec-Websocket-Accept") != testAccept || res.Header.Get("X-App") != "1" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	r := <-heads
	if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "Upgrade" || r.Header.Get("Sec-Websocket-Key") != testKey || r.Header.Get("X-Forwarded-For") != "127.0.0.1" || r.Host != "a" {
		t.Errorf("the back end was asked %v", r.Header)
	}
	back := <-conns
	gets(t, c.in, "first")
	for _, text := range []string{"ping", strings.Repeat("x", 5<<20), "pong"} {
		go io.WriteString(c, text)
		gets(t, back, text)
		go io.WriteString(back, text)
		gets(t, c.in, text)
	}
	if st := f.Group.Status(); st.Upgraded != 1 || st.Servers[0].Active != 1 {
		t.Errorf("while it is open: %+v", st)
	}
	c.CloseWrite() // one direction alone
	ends(t, back)
	io.WriteString(back, "last words")
	gets(t, c.in, "last words")
	back.Close()
	ends(t, c.in)
	eventually(t, "the server is given back", func() bool {
		st := f.Group.Status()
		return st.Upgraded == 0 && st.Servers[0].Active == 0 && st.Servers[0].Answered == 1
	})
}

// TestUpgradeEarly: what a client has sent behind its request, though nobody
// has agreed yet, belongs to the other protocol.
func TestUpgradeEarly(t *testing.T) {
	address, _, conns := switcher(t, agreed)
	f := serve(t, upgrading(address), nil)
	c := f.dial(hello + "early")
	c.response()
	back := <-conns
	gets(t, back, "early")
	io.WriteString(c, "late")
	gets(t, back, "late")
	c.Close()
	ends(t, back)
	back.Close()
}

// TestUpgradeGone: each side's end is the other's.
func TestUpgradeGone(t *testing.T) {
	address, _, conns := switcher(t, agreed)
	f := serve(t, upgrading(address), nil)
	c := f.dial(hello)
	c.response()
	back := <-conns
	c.SetLinger(0)
	c.Close() // resets
	ends(t, back)
	eventually(t, "the tunnel has ended", func() bool { return f.Group.Status().Upgraded == 0 })

	c = f.dial(hello)
	c.response()
	back = <-conns
	back.SetLinger(0)
	back.Close()
	ends(t, c.in)
	eventually(t, "the tunnel has ended", func() bool { return f.Group.Status().Upgraded == 0 })
}

// halves is one side of a tunnel, which can end its own direction alone.
type halves struct {
	*io.PipeReader
	*io.PipeWriter
}

func (h halves) CloseWrite() error { return h.PipeWriter.Close() }
func (h halves) Close() error {
	return errors.Join(h.PipeReader.Close(), h.PipeWriter.Close())
}

// between makes both ends of a connection.
func between() (near, far halves) {
	r1, w1 := io.Pipe()
	r2, w2 := io.Pipe()
	return halves{r1, w2}, halves{r2, w1}
}

// TestTunnelIdle: silence ends a tunnel, soon where one side has said all.
func TestTunnelIdle(t *testing.T) {
	for _, half := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ours, client := between()
			theirs, back := between()
			tun := &tunnel{client: ours, back: theirs, idle: time.Hour, half: time.Minute}
			began := time.Now()
			ended := make(chan error, 1)
			go func() {
				_, err := tun.run()
				ended <- err
			}()
			go io.WriteString(client, "x")
			gets(t, back, "x")
			want := time.Hour
			if half {
				client.CloseWrite()
				ends(t, back.PipeReader)
				want = time.Minute
			}
			err := <-ended
			if took := time.Since(began); !errors.Is(err, errIdle) || took != want {
				t.Errorf("half %v: after %v: %v; want %v", half, took, err, want)
			}
		})
	}
}

// TestUpgradeIdle: silence ends a tunnel.
func TestUpgradeIdle(t *testing.T) {
	address, _, conns := switcher(t, agreed)
	cfg := upgrading(address)
	cfg.UpgradeTimeout = 50 * time.Millisecond
	f := serve(t, cfg, nil)
	c := f.dial(hello)
	c.response()
	ends(t, <-conns)
	ends(t, c.in)

}

// TestUpgradeDrain: a stop waits for tunnels, then cuts them and those that come.
func TestUpgradeDrain(t *testing.T) {
	address, _, conns := switcher(t, agreed)
	f := serve(t, upgrading(address), nil)
	f.Group.Drain(t.Context()) // there is none
	c := f.dial(hello)
	c.response()
	back := <-conns
	io.WriteString(c, "open")
	gets(t, back, "open")
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		f.Group.Drain(ctx)
	}()
	io.WriteString(c, "still")
	gets(t, back, "still")
	select {
	case <-drained:
		t.Fatal("it was not waited for")
	default:
	}
	cancel()
	<-drained
	ends(t, back)
	ends(t, c.in)
	c = f.dial(hello)
	c.response()
	ends(t, c.in)
	eventually(t, "the server is given back", func() bool { return f.Group.Status().Servers[0].Active == 0 })
}

// TestUpgradeRefused: a back end that does not agree answers like any.
func TestUpgradeRefused(t *testing.T) {
	address, _, _ := switcher(t, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
	f := serve(t, upgrading(address), nil)
	c := f.dial(hello)
	res := c.response()
	if b, _ := io.ReadAll(res.Body); res.StatusCode != 403 || string(b) != "no" || res.Header["Upgrade"] != nil {
		t.Errorf("%d %q %v", res.StatusCode, b, res.Header)
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") // it is HTTP still
	if res := c.response(); res.StatusCode != 403 {
		t.Errorf("the next request: %d", res.StatusCode)
	}
}

// TestUpgradeBad: what does not agree with what was asked is no tunnel.
func TestUpgradeBad(t *testing.T) {
	for _, bad := range []string{
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + testAccept + "\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + testAccept + "\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + testAccept + "\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
	} {
		address, _, conns := switcher(t, bad)
		f := serve(t, upgrading(address), nil)
		c := f.dial(hello)
		if res := c.response(); res.StatusCode != 502 {
			t.Errorf("%q: %d", bad, res.StatusCode)
		}
		ends(t, <-conns)
		if n := strings.Count(f.log.String(), "\n"); n != 1 {
			t.Errorf("%q: %d lines in the log:\n%s", bad, n, f.log)
		}
	}
}

// TestUpgradeForms: which requests a back end is asked to upgrade.
func TestUpgradeForms(t *testing.T) {
	const key = "Sec-WebSocket-Key: " + testKey + "\r\n"
	for _, test := range []struct {
		head string
		want string
	}{
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + key + "\r\n", "websocket"},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, upGrade\r\nUpgrade: WebSocket\r\n" + key + "\r\n", "WebSocket"},
		{"OPTIONS / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: irc/6.9\r\n\r\n", "irc/6.9"},
		// Not asked for, or not well.
		{"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n" + key + "\r\n", ""},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgraded\r\nUpgrade: websocket\r\n" + key + "\r\n", ""},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n", ""},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, other\r\n" + key + "\r\n", ""},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: other\r\n" + key + "\r\n", ""},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: irc/\r\n\r\n", ""},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", ""},
		{"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n" + key + "\r\n", ""},
		{"GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + key + "\r\n", ""},
		// With a body, where the two could disagree about its end.
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n" + key + "\r\nx", ""},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: irc\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""},
		// HTTP within HTTP.
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", ""},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n", ""},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: HTTP/2.0\r\n\r\n", ""},
	} {
		address, heads, _ := switcher(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		f := serve(t, upgrading(address), nil)
		if res := f.dial(test.head).response(); res.StatusCode != 200 {
			t.Errorf("%q: %d", test.head, res.StatusCode)
		}
		if r := <-heads; r.Header.Get("Upgrade") != test.want || r.Header["Http2-Settings"] != nil {
			t.Errorf("%q: the back end was asked %v", test.head, r.Header)
		}
	}
	address, heads, _ := switcher(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	f := serve(t, Config{Servers: []Server{{Address: address}}}, nil)
	f.dial(hello).response()
	if r := <-heads; r.Header.Get("Upgrade") != "" {
		t.Errorf("a group without Upgrade asks %v", r.Header)
	}
}

// TestUpgradeWaits: a client that leaves before the back end has agreed ends
// the exchange.
func TestUpgradeWaits(t *testing.T) {
	address, heads, conns := switcher(t, "")
	f := serve(t, upgrading(address), nil)
	c := f.dial(hello)
	<-heads
	c.Close()
	ends(t, <-conns)
	if s := fmt.Sprint(f.log); s != "" {
		t.Errorf("the log has\n%s", s)
	}
}
