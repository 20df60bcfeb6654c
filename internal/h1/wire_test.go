package h1

// This file: the same bytes for this server and net/http's.

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// memory is a connection whose client has sent all it has, and reads what
// comes.
type memory struct {
	mu     sync.Mutex
	in     *bytes.Reader
	out    bytes.Buffer
	once   sync.Once
	closed chan struct{}
}

func newMemory(b []byte) *memory {
	return &memory{in: bytes.NewReader(b), closed: make(chan struct{})}
}

func (m *memory) Read(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.in.Read(b)
}

func (m *memory) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.out.Write(b)
}

func (m *memory) Close() error                     { m.once.Do(func() { close(m.closed) }); return nil }
func (m *memory) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "local", Net: "unix"} }
func (m *memory) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "remote", Net: "unix"} }
func (m *memory) SetDeadline(time.Time) error      { return nil }
func (m *memory) SetReadDeadline(time.Time) error  { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }

type netConn = net.Conn

// one is a listener of one connection.
type one struct {
	conn chan netConn
	end  chan struct{}
}

func (l *one) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.end:
		return nil, net.ErrClosed
	}
}
func (l *one) Close() error   { return nil }
func (l *one) Addr() net.Addr { return &net.UnixAddr{Name: "local", Net: "unix"} }

// seen is a request as a handler sees it.
type seen struct {
	Method, URI, Proto, Host, URL, Path, RawPath string
	Minor                                        int
	Header                                       http.Header
	Length                                       int64
	Encoding                                     []string
	Close                                        bool
	Body                                         string
	broken                                       bool // reading the body failed
}

// recorder is a handler that notes what it sees.
func recorder(all *[]seen) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := seen{
			Method: r.Method, URI: r.RequestURI, Proto: r.Proto, Host: r.Host, URL: r.URL.String(), Path: r.URL.Path, RawPath: r.URL.RawPath,
			Minor: r.ProtoMinor, Header: r.Header.Clone(), Length: r.ContentLength, Encoding: r.TransferEncoding, Close: r.Close,
		}
		b, err := io.ReadAll(r.Body)
		s.Body, s.broken = string(b), err != nil
		*all = append(*all, s)
		w.Header()["Date"] = nil
		fmt.Fprintf(w, "%d", len(*all))
	})
}

// ours has this server answer wire.
func ours(wire []byte) (all []seen, answer, why string) {
	said := &logBuffer{}
	s := &Server{Handler: recorder(&all), Log: slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	m := newMemory(wire)
	s.ServeConn(m)
	if _, after, ok := strings.Cut(said.String(), "why="); ok {
		why = strings.Trim(strings.TrimSpace(after), `"`)
	}
	return all, m.out.String(), why
}

// theirs has net/http answer wire.
func theirs(wire []byte) (all []seen, answer string) {
	l := &one{make(chan netConn, 1), make(chan struct{})}
	s := &http.Server{Handler: recorder(&all), ErrorLog: log.New(io.Discard, "", 0), MaxHeaderBytes: 64 << 10, DisableGeneralOptionsHandler: true}
	m := newMemory(wire)
	l.conn <- m
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	<-m.closed
	close(l.end)
	<-done
	m.mu.Lock()
	defer m.mu.Unlock()
	return all, m.out.String()
}

// stricter is what is refused here and not by net/http, and why.
var stricter = map[string]string{
	"a line that ends without CR":                               "RFC 9112, 2.2 allows to read it; request smuggling lives on it",
	"a folded line":                                             "RFC 9112, 5.2",
	"an empty Transfer-Encoding":                                "in HTTP/1.0, where net/http drops it",
	"more than one Content-Length":                              "also equal ones: RFC 9112, 6.3 leaves the choice",
	"both Content-Length and Transfer-Encoding":                 "RFC 9112, 6.1: an attempt at smuggling, probably",
	"Transfer-Encoding in HTTP/1.0":                             "RFC 9112, 6.1: faulty framing",
	"more than one Transfer-Encoding":                           "also in HTTP/1.0, where net/http drops it",
	"unsupported transfer encoding":                             "the same",
	"an expectation other than 100-continue":                    "behind another one, where net/http does not look",
	"an empty Host":                                             "no http URI has an empty host (RFC 9110, 4.2.1)",
	"a bad character in Host":                                   "what no host name has",
	"an empty label in Host":                                    "no name has one; nginx refuses it too",
	"a bad address in Host":                                     "the same",
	"a bad port in Host":                                        "the same",
	"CONNECT: this is no proxy":                                 "a handler would take the host for a path",
	"a method in lower case":                                    "some frameworks take it for what it is in capitals, and no condition does",
	"TRACE: nothing is repeated":                                "it repeats cookies that scripts may not read",
	"the target * of a method other than OPTIONS":               "RFC 9112, 3.2.4",
	"a character in the request target that has no place there": "a fragment, which is the client's (RFC 9112, 3.2)",
	"a request target that is no path":                          "another scheme than http",
	"a request target without a plain host":                     "userinfo (RFC 9110, 4.2.4)",
	"an unsupported version":                                    "HTTP/2's preface",
	"too many header lines":                                     "each costs more than its bytes",
	"the header is too long":                                    "net/http reads 4 KiB more than it was told",
	"the request line is too long":                              "the same",
	"an empty line in place of a request":                       "more than one behind a POST; at first a few are passed over",
}

// compare holds the two against each other. It returns why this one refused
// what the other took; "": it did not.
func compare(t *testing.T, wire []byte) string {
	t.Helper()
	mine, answer, why := ours(wire)
	other, theirAnswer := theirs(withoutBlanks(wire)) // net/http refuses them
	for i, m := range mine {
		if i >= len(other) {
			t.Fatalf("net/http takes %d requests, this one took %+v\n%q\nanswers %q\nand     %q", len(other), m, wire, answer, theirAnswer)
		}
		o := other[i]
		if m.broken {
			if len(m.Body) > len(o.Body) {
				t.Fatalf("a broken body is longer than net/http's: %q, %q of %q", m.Body, o.Body, wire)
			}
			return "a body"
		}
		if !reflect.DeepEqual(m, o) {
			t.Fatalf("request %d of %q differs:\n%+v\n%+v", i, wire, m, o)
		}
	}
	if n := len(mine); n > 0 && mine[n-1].Close {
		return "" // net/http goes on behind "keep-alive, close" of HTTP/1.0
	}
	if len(mine) < len(other) {
		if _, ok := stricter[why]; !ok {
			t.Fatalf("refused for %q, which is not in the list; net/http takes %+v\n%q", why, other[len(mine)], wire)
		}
		return why
	}
	return ""
}

// withoutBlanks is wire without the empty lines at its beginning that are passed
// over.
func withoutBlanks(wire []byte) []byte {
	for range blanksAtFirst {
		wire = bytes.TrimPrefix(wire, []byte("\r\n"))
	}
	return wire
}

// wires reads the files of a folder, and fails if there are none.
func wires(t testing.TB, dir string) map[string][]byte {
	names, err := filepath.Glob(filepath.Join("testdata", dir, "*.http"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files in testdata/%s: %v", dir, err)
	}
	all := map[string][]byte{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(name), ".http")] = b
	}
	return all
}

// TestValid: what is well-formed is understood as net/http understands it.
func TestValid(t *testing.T) {
	for name, wire := range wires(t, "valid") {
		all, answer, why := ours(wire)
		if len(all) == 0 && !strings.HasPrefix(answer, "HTTP/1.1 200 ") || why != "" {
			t.Errorf("%s: refused: %s, %q", name, why, answer)
			continue
		}
		if why := compare(t, wire); why != "" {
			t.Errorf("%s: %s", name, why)
		}
	}
}

// TestInvalid: each is refused with the status that its name begins with, as
// the connection's last answer, and no handler sees it. In body-*, the handler
// has seen the head, and reading its body fails.
func TestInvalid(t *testing.T) {
	for name, wire := range wires(t, "invalid") {
		all, answer, _ := ours(wire)
		if strings.HasPrefix(name, "body-") {
			if len(all) != 1 || !all[0].broken || !strings.Contains(answer, "\r\nConnection: close\r\n") {
				t.Errorf("%s: %+v, %q", name, all, answer)
			}
			continue
		}
		status, _, _ := strings.Cut(name, "-")
		if len(all) != 0 || !strings.HasPrefix(answer, "HTTP/1.1 "+status+" ") || !strings.Contains(answer, "\r\nConnection: close\r\n") || strings.Count(answer, "HTTP/1.1") != 1 {
			t.Errorf("%s: %+v, %q", name, all, answer)
		}
	}
}

// TestStricter: each reason of the list is one of a file's, so that the list
// has none that is not needed.
func TestStricter(t *testing.T) {
	needed := map[string]bool{}
	all := wires(t, "invalid")
	all["behind a POST"] = []byte("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
	for _, wire := range all {
		if why := compare(t, wire); why != "" {
			needed[why] = true
		}
	}
	for why := range stricter {
		if !needed[why] {
			t.Errorf("%q is in the list, and net/http refuses every such file too", why)
		}
	}
}

// FuzzRequest: what net/http refuses is refused here; what both take is the
// same to both; what is refused here alone is refused for a reason of the
// list.
func FuzzRequest(f *testing.F) {
	for _, dir := range []string{"valid", "invalid"} {
		for _, wire := range wires(f, dir) {
			f.Add(wire)
		}
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		defer time.AfterFunc(limit, func() { panic(fmt.Sprintf("hangs: %q", wire)) }).Stop()
		compare(t, wire)
	})
}
