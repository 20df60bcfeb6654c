package listen

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// entered opens a listener with an Entry, and sends what it accepts.
func entered(t *testing.T, e Entry) (*Listener, <-chan net.Conn) {
	t.Helper()
	l, err := Open("127.0.0.1:0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	l.SetEntry(e)
	conns := make(chan net.Conn)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(conns)
		for {
			c, err := l.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				return
			}
			conns <- c
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		for c := range conns {
			_ = c.Close()
		}
		<-done
	})
	return l, conns
}

func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// A connection is accepted once its header has come, with its ends; one that
// sends none holds nobody up, and what follows the header is not lost.
func TestProxied(t *testing.T) {
	refused := make(chan error, 10)
	l, conns := entered(t, Entry{Proxied: true, Refused: func(_ net.Addr, why error) { refused <- why }})
	silent := dial(t, l)
	send(t, silent, "PROXY TCP4")

	c := dial(t, l)
	send(t, c, "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\nhello")
	got := <-conns
	defer got.Close()
	if got.RemoteAddr().String() != "192.0.2.1:4711" || got.LocalAddr().String() != "198.51.100.2:443" {
		t.Errorf("a connection from %v to %v", got.RemoteAddr(), got.LocalAddr())
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(got, b); err != nil || string(b) != "hello" {
		t.Errorf("behind the header comes %q, %v", b, err)
	}
	if _, ok := got.(io.ReaderFrom); !ok {
		t.Error("a proxied connection lacks ReadFrom, by which files are sent")
	}

	// The proxy's own connection has the proxy's address.
	own := dial(t, l)
	send(t, own, v2(v2Local, 0))
	got = <-conns
	defer got.Close()
	if got.RemoteAddr().String() != own.LocalAddr().String() {
		t.Errorf("a connection of the proxy's own is from %v, not %v", got.RemoteAddr(), own.LocalAddr())
	}

	bad := dial(t, l)
	send(t, bad, "GET / HTTP/1.1\r\n\r\n")
	if err := <-refused; !errors.Is(err, errNoProxyHeader) {
		t.Errorf("without a header: %v", err)
	}
	if _, err := bad.Read(b); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection without a header is not closed: %v", err)
	}

	// Closing gives up soon what has not come.
	start := time.Now()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-refused; !errors.Is(err, errNoProxyHeader) {
		t.Errorf("half a header: %v", err)
	}
	if took := time.Since(start); took > proxyTimeout-time.Second {
		t.Errorf("the end took %v", took)
	}
}

func TestNotBelieved(t *testing.T) {
	refused := make(chan error, 1)
	l, _ := entered(t, Entry{
		Proxied: true, Believes: func(net.Addr) bool { return false },
		Refused: func(_ net.Addr, why error) { refused <- why },
	})
	c := dial(t, l)
	send(t, c, "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n")
	if err := <-refused; err != errNotBelieved {
		t.Error(err)
	}
}

// What Admit lets in is counted out once, at its end, by the address that a
// proxy told; others are told why not.
func TestAdmit(t *testing.T) {
	const refusal = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n"
	for _, proxied := range []bool{false, true} {
		var mu sync.Mutex
		inside, asked := map[string]int{}, 0
		var left atomic.Int64
		l, conns := entered(t, Entry{Proxied: proxied, Admit: func(a net.Addr) (func(), []byte) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			ip := a.(*net.TCPAddr).IP.String()
			if inside[ip] == 1 {
				return nil, []byte(refusal)
			}
			inside[ip]++
			return func() {
				mu.Lock()
				defer mu.Unlock()
				inside[ip]--
				left.Add(1)
			}, nil
		}})
		header, ip := "", "127.0.0.1"
		if proxied {
			header, ip = "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n", "192.0.2.1"
		}
		first := dial(t, l)
		send(t, first, header)
		one := <-conns

		second := dial(t, l)
		send(t, second, header+"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		answer, err := io.ReadAll(second)
		if err != nil || string(answer) != refusal {
			t.Errorf("proxied %v: a client too many gets %q, %v", proxied, answer, err)
		}
		second.Close()
		mu.Lock()
		if inside[ip] != 1 || asked != 2 {
			t.Errorf("proxied %v: inside are %v", proxied, inside)
		}
		mu.Unlock()
		one.Close()
		one.Close()
		if left.Load() != 1 {
			t.Errorf("proxied %v: the one that was inside left %d times", proxied, left.Load())
		}
		third := dial(t, l)
		send(t, third, header)
		(<-conns).Close()
	}
}

// Who floods is closed without a word, once enough are being told.
func TestFarewellsAreBounded(t *testing.T) {
	l, _ := entered(t, Entry{Admit: func(net.Addr) (func(), []byte) { return nil, []byte("no\n") }})
	told, cut := 0, 0
	var all []net.Conn
	for range maxFarewells + 20 {
		all = append(all, dial(t, l)) // which reads nothing yet
	}
	for _, c := range all {
		text, _ := io.ReadAll(c)
		switch strings.TrimSpace(string(text)) {
		case "no":
			told++
		case "":
			cut++
		}
	}
	if told < maxFarewells || told+cut != len(all) {
		t.Errorf("%d were told, %d cut, of %d", told, cut, len(all))
	}
	deadline := time.Now().Add(10 * time.Second)
	for l.farewells.Load() != 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d farewells do not end", l.farewells.Load())
		}
		time.Sleep(10 * time.Millisecond)
	}
}
