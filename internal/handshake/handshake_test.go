package handshake

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// serving is a Server whose two halves say which they are.
type serving struct {
	*Server
	at     string
	l      net.Listener
	served chan error
}

func serve(t *testing.T, s *Server, h http.Handler) *serving {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"a.test"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Config = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}, NextProtos: []string{"h2", "http/1.1", "acme-tls/1"}}
	named := func(name string) *http.Server {
		return &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Half", name)
			h.ServeHTTP(w, r)
		})}
	}
	s.HTTP2 = named("2")
	if s.HTTP1 == nil {
		s.HTTP1 = named("1")
	}
	x := &serving{s, l.Addr().String(), l, make(chan error, 1)}
	go func() { x.served <- s.Serve(l) }()
	t.Cleanup(func() {
		l.Close()
		if err := <-x.served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
		_ = s.Close()
	})
	return x
}

func (s *serving) client(h2 bool) *http.Client {
	var p http.Protocols
	p.SetHTTP1(!h2)
	p.SetHTTP2(h2)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: &p}}
}

var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, r.Proto, " ", r.TLS.HandshakeComplete)
})

// TestSocketBelow: what serves a connection finds its socket.
func TestSocketBelow(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if c := tls.Server(&taken{Conn: far}, &tls.Config{}).NetConn().(interface{ NetConn() net.Conn }); c.NetConn() != far {
		t.Error("it finds another")
	}
}

func TestParted(t *testing.T) {
	s := serve(t, &Server{}, echo)
	for half, c := range map[string]*http.Client{"1": s.client(false), "2": s.client(true)} {
		res, err := c.Get("https://" + s.at + "/")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.Header.Get("Half") != half || !strings.HasPrefix(string(b), "HTTP/"+half) || !strings.HasSuffix(string(b), "true") {
			t.Errorf("half %s answered %q, want %s", res.Header.Get("Half"), b, half)
		}
		c.CloseIdleConnections()
	}
	// Without any word of a protocol it is HTTP/1.1; for RFC 8737 it is nothing.
	for _, protos := range [][]string{nil, {"acme-tls/1"}} {
		c, err := tls.Dial("tcp", s.at, &tls.Config{InsecureSkipVerify: true, NextProtos: protos})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
		b, _ := io.ReadAll(c)
		if got := strings.HasPrefix(string(b), "HTTP/1.0 200"); got != (protos == nil) {
			t.Errorf("%v: %q", protos, b)
		}
		c.Close()
	}
}

func TestPlain(t *testing.T) {
	s := serve(t, &Server{}, echo)
	for text, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n":          "HTTP/1.1 400 Bad Request",
		"POST /x HTTP/1.1\r\nHost: a.test\r\n\r\n":        "HTTP/1.1 400 Bad Request",
		"SSH-2.0-OpenSSH_9.2\r\n":                         "",
		"\x00\x00\x00\x00\x00\x00":                        "",
		"\x16\x03\x01\xff\xff" + strings.Repeat("x", 100): "",
	} {
		c, err := net.Dial("tcp", s.at)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, text)
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		line, err := bufio.NewReader(c).ReadString('\n')
		if strings.TrimSpace(line) != want && !(want == "" && !strings.HasPrefix(line, "HTTP")) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%q: %q, %v", text, line, err)
		}
		c.Close()
	}
}

// TestTimeout: who says nothing, or half of it, is cut off.
func TestTimeout(t *testing.T) {
	s := serve(t, &Server{Timeout: 200 * time.Millisecond}, echo)
	for _, text := range []string{"", "\x16\x03\x01\x02\x00"} {
		c, err := net.Dial("tcp", s.at)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, text)
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%q: %v", text, err)
		}
		c.Close()
	}
}

// TestPending: of handshakes that never end the oldest is given up, and who
// means it is served.
func TestPending(t *testing.T) {
	s := serve(t, &Server{Pending: 4, Timeout: time.Minute}, echo)
	var idle []net.Conn
	for range 12 {
		c, err := net.Dial("tcp", s.at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle = append(idle, c)
	}
	res, err := s.client(false).Get("https://" + s.at + "/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	ended := make(chan bool, len(idle))
	for _, c := range idle {
		go func() {
			_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
			_, err := c.Read(make([]byte, 1))
			var timeout net.Error
			ended <- !errors.As(err, &timeout) || !timeout.Timeout()
		}()
	}
	n := 0
	for range idle {
		if <-ended {
			n++
		}
	}
	if n < len(idle)-4 {
		t.Errorf("%d of %d were given up", n, len(idle))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.pending.Len(); got > 4 {
		t.Errorf("%d handshakes are under way", got)
	}
}

// TestShutdown: a handshake that is under way ends, and its request is
// answered; one that does not is cut with the context.
func TestShutdown(t *testing.T) {
	patient := &patient{}
	s := serve(t, &Server{Timeout: time.Minute, HTTP1: patient}, echo)
	slow := make(chan struct{})
	c, err := net.Dial("tcp", s.at)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	go func() {
		c := tls.Client(&late{c, slow}, &tls.Config{InsecureSkipVerify: true})
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
		b, err := io.ReadAll(c)
		got <- fmt.Sprint(string(b), err)
	}()
	for s.underWay() == 0 {
		time.Sleep(time.Millisecond)
	}
	s.l.Close()
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(t.Context()) }()
	close(slow)
	if text := <-got; !strings.HasPrefix(text, "HTTP/1.1 200") {
		t.Errorf("got %q", text)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestShutdownCut(t *testing.T) {
	s := serve(t, &Server{Timeout: time.Minute}, echo)
	c, err := net.Dial("tcp", s.at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for s.underWay() == 0 {
		time.Sleep(time.Millisecond)
	}
	s.l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection lives")
	}
}

func (s *serving) underWay() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.Len()
}

// patient answers each connection once, and its Shutdown waits for those that
// it has begun to read: net/http leaves a request unanswered that it reads after
// the word.
type patient struct {
	mu    sync.Mutex
	conns sync.WaitGroup
}

func (p *patient) Serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.conns.Go(func() {
			defer c.Close()
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				fmt.Fprint(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
			}
		})
		p.mu.Unlock()
	}
}

func (p *patient) Shutdown(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns.Wait()
	return nil
}

func (p *patient) Close() error { return nil }

// late writes nothing until a channel is closed.
type late struct {
	net.Conn
	until chan struct{}
}

func (c *late) Write(b []byte) (int, error) { <-c.until; return c.Conn.Write(b) }
