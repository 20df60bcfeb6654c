package ajp

// What the tests of both sides share.

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/gateway"
)

// patience bounds what a test waits for.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	fuzz := flag.Lookup("test.fuzz")
	fuzzing := fuzz != nil && fuzz.Value.String() != "" // whose engine leaves goroutines of its own
	if code == 0 && !fuzzing {
		deadline := time.Now().Add(patience)
		for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
			runtime.Gosched()
		}
		if n := runtime.NumGoroutine(); n > before {
			b := make([]byte, 1<<20)
			fmt.Printf("%d goroutines are left behind:\n%s\n", n-before, b[:runtime.Stack(b, true)])
			code = 1
		}
	}
	os.Exit(code)
}

// logged is a log that a test can look at.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newLog(l *logged) *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// running is a server and the address that it listens to.
type running struct {
	*Server
	t       testing.TB
	log     *logged
	network string
	address string
}

// start serves s on a network ("tcp" or "unix") until the test ends.
func start(t testing.TB, network string, s *Server) *running {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "ajp.sock")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Server: s, t: t, log: &logged{}, network: network, address: l.Addr().String()}
	s.Log = newLog(r.log)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return r
}

// target is the address as a Client takes it.
func (r *running) target() string {
	if r.network == "unix" {
		return "unix:" + r.address
	}
	return r.address
}

// peer is a hand-made front server.
type peer struct {
	t testing.TB
	net.Conn
	in packetReader
}

func (r *running) dial() *peer {
	r.t.Helper()
	c, err := net.Dial(r.network, r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	return newPeer(r.t, c, toFront)
}

func newPeer(t testing.TB, c net.Conn, magic uint16) *peer {
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &peer{t: t, Conn: c, in: packetReader{r: c, magic: magic, max: MaxPacketSize}}
}

func (p *peer) send(packets ...[]byte) {
	p.t.Helper()
	if _, err := p.Write(bytes.Join(packets, nil)); err != nil {
		p.t.Fatal(err)
	}
}

// next is the payload of the next packet; nil: the connection has ended.
func (p *peer) next() []byte {
	p.t.Helper()
	for {
		payload, ok, err := p.in.take()
		if ok {
			return bytes.Clone(payload)
		}
		if err == nil {
			err = p.in.fill()
		}
		switch {
		case err == nil:
		case isTimeout(err):
			p.t.Fatal("nothing came")
		default:
			return nil
		}
	}
}

// expect takes packets, and wants their payloads to be these, in hex.
func (p *peer) expect(payloads ...string) {
	p.t.Helper()
	for _, want := range payloads {
		if got := p.next(); !bytes.Equal(got, unhex(p.t, want)) {
			p.t.Fatalf("a packet with % x; want %s", got, want)
		}
	}
}

// ended wants the connection to end with nothing more.
func (p *peer) ended() {
	p.t.Helper()
	if b := p.next(); b != nil {
		p.t.Fatalf("a packet with % x where the connection should end", b)
	}
}

// answer is a response as a front server sees it.
type answer struct {
	*gateway.Head
	body  string
	reuse bool
	whole bool // END_RESPONSE has come
}

func (p *peer) answer() answer {
	p.t.Helper()
	var a answer
	for {
		payload := p.next()
		if payload == nil {
			return a
		}
		var err error
		switch payload[0] {
		case typeSendHeaders:
			a.Head, err = parseHead(payload)
		case typeSendBodyChunk:
			var data []byte
			data, err = parseBodyChunk(payload)
			a.body += string(data)
		case typeEndResponse:
			if a.reuse, err = parseEnd(payload); err != nil {
				p.t.Fatal(err)
			}
			a.whole = true
			return a
		default:
			p.t.Fatalf("a packet with % x within a response", payload)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

// request is a FORWARD_REQUEST packet.
func request(method, uri string, headers ...field) []byte {
	f := &forward{method: method, protocol: "HTTP/1.1", uri: uri, remoteAddr: "192.0.2.7", serverName: "example.org", serverPort: 80, headers: headers}
	b, _ := f.append(nil, MaxPacketSize)
	return b
}

// withAttributes is a GET of / with these.
func withAttributes(attributes ...attribute) []byte {
	f := &forward{method: "GET", protocol: "HTTP/1.1", uri: "/", serverPort: 80, attributes: attributes}
	b, _ := f.append(nil, MaxPacketSize)
	return b
}

func length(n int) field { return field{"Content-Length", fmt.Sprint(n)} }

// eventually waits for something that another goroutine does.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("not %s within %v", what, patience)
		}
		runtime.Gosched()
	}
}

// echo answers with the method, the URI and the body.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "%s %s %s", r.Method, r.RequestURI, b)
})

// logsOnce wants a text once in the log, on a line that names the peer.
func (r *running) logsOnce(p *peer, text string) {
	r.t.Helper()
	eventually(r.t, "logged: "+text, func() bool { return strings.Contains(r.log.String(), text) })
	if n := strings.Count(r.log.String(), text); n != 1 {
		r.t.Errorf("%q is logged %d times:\n%s", text, n, r.log)
	}
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, text) && r.network == "tcp" && !strings.Contains(line, "peer="+p.LocalAddr().String()) {
			r.t.Errorf("the peer %s is not on the line: %s", p.LocalAddr(), line)
		}
	}
}

// patch sets a packet's length to what it has.
func patch(b []byte) []byte {
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-headerSize))
	return b
}
