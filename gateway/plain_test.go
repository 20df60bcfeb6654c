package gateway

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// writes notes each Write.
type writes struct {
	parts []string
	from  io.Reader
	fails error
}

func (w *writes) Write(b []byte) (int, error) {
	if w.fails != nil {
		return 0, w.fails
	}
	w.parts = append(w.parts, string(b))
	return len(b), nil
}

func (w *writes) ReadFrom(r io.Reader) (int64, error) {
	w.from = r
	return io.Copy(writerOnly{w}, r)
}

func TestPlainStream(t *testing.T) {
	const head = "Status: 200 OK\r\nX-A: b\r\n\r\n"
	large := strings.Repeat("x", plainBuffer)
	for _, tt := range []struct {
		name string
		body []string // "!": Flush
		want []string
	}{
		{"none", nil, []string{head}},
		{"small", []string{"a", "b", "c"}, []string{head + "abc"}},
		{"flushed", []string{"a", "!", "!", "b", "!"}, []string{head + "a", "b"}},
		{"a flushed head", []string{"!", "a"}, []string{head, "a"}},
		{"as much as is held", []string{large[len(head):]}, []string{head + large[len(head):]}},
		{"large", []string{large}, []string{head, large}},
		{"small, then large", []string{"a", large, "b"}, []string{head + "a", large, "b"}},
		{"just too much", []string{large[len(head):], "a"}, []string{head + large[len(head):], "a"}},
	} {
		w := &writes{}
		s := &PlainStream{}
		s.Reset(w, FormCGI)
		if err := s.WriteHead(200, http.Header{"X-A": {"b"}}); err != nil {
			t.Fatal(err)
		}
		for _, part := range tt.body {
			var err error
			if part == "!" {
				err = s.Flush()
			} else {
				_, err = s.Write([]byte(part))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		if strings.Join(w.parts, "|") != strings.Join(tt.want, "|") {
			t.Errorf("%s: %d parts, %.60q; want %d, %.60q", tt.name, len(w.parts), w.parts, len(tt.want), tt.want)
		}
	}
}

func TestPlainStreamFails(t *testing.T) {
	fail := errors.New("gone")
	s := &PlainStream{}
	s.Reset(&writes{fails: fail}, FormCGI)
	if err := s.WriteHead(200, nil); err != nil {
		t.Error("the head is not held")
	}
	if _, err := s.Write(make([]byte, plainBuffer)); !errors.Is(err, fail) {
		t.Errorf("Write gives %v", err)
	}
	s.Reset(&writes{fails: fail}, FormCGI)
	s.WriteHead(200, nil)
	if _, err := s.ReadFrom(strings.NewReader("a")); !errors.Is(err, fail) {
		t.Errorf("ReadFrom gives %v", err)
	}
	s.Reset(&writes{fails: fail}, FormCGI)
	s.WriteHead(200, nil)
	if err := s.Flush(); !errors.Is(err, fail) {
		t.Errorf("Flush gives %v", err)
	}
	w := &writes{}
	s.Reset(w, FormCGI)
	s.WriteHead(200, nil)
	s.Reset(w, FormHTTP) // nothing of the last response is left
	s.WriteHead(404, nil)
	if err := s.Flush(); err != nil || strings.Join(w.parts, "|") != "HTTP/1.1 404 Not Found\r\n\r\n" {
		t.Errorf("after Reset it writes %q, %v", w.parts, err)
	}
	large := make([]byte, plainBuffer+1)
	if _, err := s.Write(large); err != nil || len(w.parts) != 2 {
		t.Errorf("a large part is held: %d were written, %v", len(w.parts), err)
	}
	if err := s.SetReadDeadline(time.Time{}); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("SetReadDeadline gives %v", err)
	}
}

// A file reaches the connection's ReadFrom, which is sendfile, behind the head.
func TestPlainStreamSendsFiles(t *testing.T) {
	const size = 1 << 20
	file := largeFile(t, size)
	w := &writes{}
	s := &PlainStream{}
	s.Reset(w, FormCGI)
	rw := &ResponseWriter{}
	rw.Reset(s, "GET")
	if n, err := io.Copy(rw, file); n != size || err != nil {
		t.Fatal(n, err)
	}
	if _, sendable := w.from.(syscall.Conn); !sendable || w.parts[0] != "Status: 200 OK\r\n\r\n" {
		t.Errorf("the connection gets %T, and first %.40q", w.from, w.parts[0])
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file.Seek(0, io.SeekStart)
	sent := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
			s.Reset(c, FormCGI)
			rw.Reset(s, "GET")
			_, err = io.Copy(rw, file)
		}
		sent <- err
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil || len(b) != size+len("Status: 200 OK\r\n\r\n") || bytes.Count(b, []byte("x")) != size {
		t.Errorf("got %d bytes, %v", len(b), err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}
