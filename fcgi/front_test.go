package fcgi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/gateway"
)

// front is a front server that sends what a test tells it to.
type front struct {
	t  testing.TB
	c  net.Conn
	in reader
	b  []byte // to be sent
}

// logged is what a server logs.
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

// once checks that a text was logged, once, with the peer's address.
func (l *logged) once(t testing.TB, text string) {
	t.Helper()
	eventually(t, "log of "+text, func() bool { return strings.Contains(l.String(), text) })
	all := l.String()
	if n := strings.Count(all, text); n != 1 {
		t.Errorf("%q is logged %d times:\n%s", text, n, all)
	}
	for line := range strings.SplitSeq(all, "\n") {
		if strings.Contains(line, text) && !strings.Contains(line, "peer=127.0.0.1:") {
			t.Errorf("logged without the peer's address: %s", line)
		}
	}
}

// serve starts a server over TCP and returns how to reach it.
func serve(t testing.TB, s *Server) (dial func() *front, log *logged) {
	t.Helper()
	log = &logged{}
	s.Log = slog.New(slog.NewTextHandler(log, nil))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v\n%s", err, log)
		}
		<-ended
	})
	return func() *front {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		return &front{t: t, c: c, in: newReader(c)}
	}, log
}

// serveFunc is serve for a handler.
func serveFunc(t testing.TB, h http.HandlerFunc) *front {
	dial, _ := serve(t, &Server{Handler: h})
	return dial()
}

func (f *front) record(kind Type, id uint16, content string) *front {
	f.b = AppendHeader(f.b, Header{Type: kind, ID: id, Length: len(content)})
	f.b = append(f.b, content...)
	return f
}

func (f *front) begin(id uint16, role gateway.Role, keep bool) *front {
	f.b = appendBegin(f.b, id, role, keep)
	return f
}

// params sends parameters and their end.
func (f *front) params(id uint16, pairs ...string) *front {
	return f.record(Params, id, pairsOf(pairs...)).record(Params, id, "")
}

func pairsOf(pairs ...string) string {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		b = AppendPair(b, pairs[i], pairs[i+1])
	}
	return string(b)
}

// get begins a whole GET on a kept connection.
func (f *front) get(id uint16, pairs ...string) *front {
	f.begin(id, gateway.Responder, true)
	return f.params(id, append([]string{"REQUEST_METHOD", "GET", "REQUEST_URI", "/"}, pairs...)...).record(Stdin, id, "")
}

// post begins a POST on a kept connection, without its input.
func (f *front) post(id uint16, length int) *front {
	f.begin(id, gateway.Responder, true)
	return f.params(id, "REQUEST_METHOD", "POST", "REQUEST_URI", "/", "CONTENT_LENGTH", fmt.Sprint(length))
}

// send sends what was collected.
func (f *front) send() *front {
	f.t.Helper()
	if _, err := f.c.Write(f.b); err != nil {
		f.t.Fatalf("send: %v", err)
	}
	f.b = f.b[:0]
	return f
}

// answer is what came for one request.
type answer struct {
	out, err string
	outEnds  int
	end      endBody
}

// next reads a record.
func (f *front) next() (Header, string) {
	f.t.Helper()
	h, err := f.in.next()
	if err != nil {
		f.t.Fatalf("no record: %v", err)
	}
	b, err := f.in.whole(nil)
	if err != nil {
		f.t.Fatalf("no record: %v", err)
	}
	return h, string(b)
}

// answers reads until so many requests have ended.
func (f *front) answers(n int) map[uint16]*answer {
	f.t.Helper()
	all := map[uint16]*answer{}
	for n > 0 {
		h, content := f.next()
		a := all[h.ID]
		if a == nil {
			a = &answer{}
			all[h.ID] = a
		}
		switch h.Type {
		case Stdout:
			a.out += content
			if content == "" {
				a.outEnds++
			}
		case Stderr:
			a.err += content
		case EndRequest:
			var err error
			if a.end, err = parseEnd([]byte(content)); err != nil {
				f.t.Fatal(err)
			}
			n--
		default:
			f.t.Fatalf("%v %q", h, content)
		}
	}
	return all
}

// answer reads the answer of the one request that is under way.
func (f *front) answer() *answer {
	f.t.Helper()
	for _, a := range f.answers(1) {
		return a
	}
	return nil
}

// want reads an answer that has a status and a body.
func (f *front) want(status int, body string) *answer {
	f.t.Helper()
	a := f.answer()
	a.want(f.t, status, body)
	return a
}

func (a *answer) want(t testing.TB, status int, body string) {
	t.Helper()
	h, n, err := gateway.ParseHead([]byte(a.out))
	switch {
	case err != nil || h == nil:
		t.Errorf("no head (%v) in %.200q, end %+v", err, a.out, a.end)
	case h.Status != status, body != "*" && a.out[n:] != body:
		t.Errorf("status %d, %d bytes %.200q; want %d, %d bytes %.200q", h.Status, len(a.out)-n, a.out[n:], status, len(body), body)
	case a.outEnds != 1 || a.end.status != RequestComplete:
		t.Errorf("%d ends of STDOUT, end %+v", a.outEnds, a.end)
	}
}

// closed checks that the server ends the connection, and says nothing more.
func (f *front) closed() {
	f.t.Helper()
	if h, err := f.in.next(); err == nil {
		f.t.Errorf("%v, want the connection's end", h)
	} else if isTimeout(err) {
		f.t.Error("the connection stays open")
	}
}

func ok(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		fmt.Fprintf(w, "error %v after ", err)
	}
	fmt.Fprintf(w, "%s", b)
}
