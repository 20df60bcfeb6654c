package h3

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

func config(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"h3.test"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}
}

// serve serves a socket, until the test's end.
func serve(t *testing.T, c *net.UDPConn, h http.Handler) *Server {
	t.Helper()
	s := &Server{Handler: h, Config: config(t), Timeout: time.Second}
	if err := s.Start(c); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

func udp(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.UDPConn)
}

func client(t *testing.T, at net.Addr, config *quic.Config) *http.Client {
	t.Helper()
	tr := &http3.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, QUICConfig: config,
		Dial: func(ctx context.Context, _ string, c *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return quic.DialAddrEarly(ctx, at.String(), c, q)
		},
	}
	t.Cleanup(func() { tr.Close() })
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func wantOK(t *testing.T, c *http.Client) {
	t.Helper()
	res, err := c.Get("https://h3.test/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); string(b) != "ok" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })

// TestRefuseNew: who has a connection keeps it, and who comes new waits until
// somebody takes new ones.
func TestRefuseNew(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems have no filter")
	}
	s := serve(t, udp(t), ok)
	at := s.conn.LocalAddr()
	old := client(t, at, nil)
	wantOK(t, old)
	if !refuseNew(s.conn) {
		t.Fatal("the kernel takes no filter")
	}
	wantOK(t, old)
	_, err := client(t, at, &quic.Config{HandshakeIdleTimeout: 300 * time.Millisecond}).Get("https://h3.test/")
	if err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("a new connection: %v", err)
	}
	waiting := make(chan error, 1)
	go func() {
		res, err := client(t, at, nil).Get("https://h3.test/")
		if err == nil {
			res.Body.Close()
		}
		waiting <- err
	}()
	takeNew(s.conn)
	if err := <-waiting; err != nil {
		t.Errorf("one that waits: %v", err)
	}
}

// TestShutdown: what runs is answered, and who is idle is closed.
func TestShutdown(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	s := serve(t, udp(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			close(inside)
			<-release
		}
		ok(w, r)
	}))
	idle := client(t, s.conn.LocalAddr(), nil)
	wantOK(t, idle)
	got := make(chan string, 1)
	go func() {
		res, err := client(t, s.conn.LocalAddr(), nil).Get("https://h3.test/hold")
		if err != nil {
			got <- err.Error()
			return
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		got <- string(b)
	}()
	<-inside
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(t.Context()) }()
	select {
	case <-ended:
		t.Error("it ended with a request inside")
	case <-time.After(Linger + 200*time.Millisecond):
	}
	close(release)
	if text := <-got; text != "ok" {
		t.Errorf("got %q", text)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestShutdownCut: the context's end is the end.
func TestShutdownCut(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	s := serve(t, udp(t), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(inside); <-release }))
	failed := make(chan error, 1)
	go func() {
		_, err := client(t, s.conn.LocalAddr(), nil).Get("https://h3.test/")
		failed <- err
	}()
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("an answer that was cut is whole")
	}
}

// TestHandshakesAreBounded: garbage and beginnings without an end leave nothing.
func TestHandshakesAreBounded(t *testing.T) {
	s := serve(t, udp(t), ok)
	c, err := net.Dial("udp", s.conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 200 {
		b := make([]byte, 1200)
		_, _ = rand.Read(b)
		if i%2 == 0 {
			copy(b, []byte{0xc3, 0, 0, 0, 1, 8})
		}
		_, _ = c.Write(b)
	}
	wantOK(t, client(t, s.conn.LocalAddr(), nil))
	deadline := time.Now().Add(10 * time.Second) // some of it looks like a beginning, for a while
	for s.shaking.Load() != 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d handshakes are under way", s.shaking.Load())
		}
		runtime.Gosched()
	}
}
