package gateway

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script is a Stream that notes what it is told.
type script struct {
	strings.Builder
	head, flushes int
	fails         error // of Write, Flush and WriteHead
}

func (s *script) WriteHead(status int, header http.Header) error {
	s.head++
	s.Builder.Write(AppendHead(nil, FormCGI, status, header))
	return s.fails
}

func (s *script) Write(b []byte) (int, error) {
	if len(b) == 0 {
		s.WriteString("[an empty part]")
	}
	if s.fails != nil {
		return 0, s.fails
	}
	return s.Builder.Write(b)
}

func (s *script) Flush() error { s.flushes++; return s.fails }

// readsFrom is a Stream that takes files its own way.
type readsFrom struct {
	script
	from io.Reader
}

func (s *readsFrom) ReadFrom(r io.Reader) (int64, error) {
	s.from = r
	return io.Copy(writerOnly{&s.script}, r)
}

// overloadable is a Stream that has words for an overload.
type overloadable struct {
	script
	front bool // the front server understands it
}

func (s *overloadable) Overload() bool { return s.front }

func TestResponseWriter(t *testing.T) {
	var errs []error
	write := func(w http.ResponseWriter, s string, n int, want error) {
		m, err := io.WriteString(w, s)
		if m != n || !errors.Is(err, want) {
			errs = append(errs, errors.New("Write of "+s), err)
		}
	}
	for _, tt := range []struct {
		name     string
		method   string
		h        func(w http.ResponseWriter)
		want     string
		complete bool
	}{
		{"nothing", "GET", func(w http.ResponseWriter) {}, "Status: 200 OK\r\n\r\n", true},
		{"a body", "GET", func(w http.ResponseWriter) { write(w, "body", 4, nil) }, "Status: 200 OK\r\n\r\nbody", true},
		{"a status", "GET", func(w http.ResponseWriter) { w.WriteHeader(404); w.WriteHeader(500); write(w, "a", 1, nil) }, "Status: 404 Not Found\r\n\r\na", true},
		{"1xx", "GET", func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(404) }, "Status: 404 Not Found\r\n\r\n", true},
		{"a late header", "GET", func(w http.ResponseWriter) { w.WriteHeader(200); w.Header().Set("X-Late", "a") }, "Status: 200 OK\r\n\r\n", true},
		{"HEAD", "HEAD", func(w http.ResponseWriter) { write(w, "body", 4, nil) }, "Status: 200 OK\r\n\r\n", true},
		{"HEAD with a length", "HEAD", func(w http.ResponseWriter) { w.Header().Set("Content-Length", "9"); write(w, "body", 4, nil) },
			"Status: 200 OK\r\nContent-Length: 9\r\n\r\n", true},
		{"HEAD by ReadFrom", "HEAD", func(w http.ResponseWriter) { io.Copy(w, strings.NewReader("body")) }, "Status: 200 OK\r\n\r\n", true},
		{"204", "GET", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(204)
			write(w, "body", 0, http.ErrBodyNotAllowed)
		}, "Status: 204 No Content\r\n\r\n", true},
		{"304", "GET", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "9")
			w.WriteHeader(304)
			write(w, "body", 0, http.ErrBodyNotAllowed)
			write(w, "", 0, nil)
		}, "Status: 304 Not Modified\r\nContent-Length: 9\r\n\r\n", true},
		{"304 by ReadFrom", "GET", func(w http.ResponseWriter) {
			w.WriteHeader(304)
			if _, err := io.Copy(w, strings.NewReader("body")); !errors.Is(err, http.ErrBodyNotAllowed) {
				errs = append(errs, err)
			}
		}, "Status: 304 Not Modified\r\n\r\n", true},
		{"as long as it says", "GET", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "4")
			write(w, "bo", 2, nil)
			write(w, "dy", 2, nil)
		},
			"Status: 200 OK\r\nContent-Length: 4\r\n\r\nbody", true},
		{"short", "GET", func(w http.ResponseWriter) { w.Header().Set("Content-Length", "5"); write(w, "body", 4, nil) },
			"Status: 200 OK\r\nContent-Length: 5\r\n\r\nbody", false},
		{"long", "GET", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "4")
			write(w, "body and more", 4, http.ErrContentLength)
			write(w, "more", 0, http.ErrContentLength)
		}, "Status: 200 OK\r\nContent-Length: 4\r\n\r\nbody", true},
		{"long by ReadFrom", "GET", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "4")
			if n, err := io.Copy(w, strings.NewReader("body and more")); n != 4 || !errors.Is(err, http.ErrContentLength) {
				errs = append(errs, errors.New("Copy"), err)
			}
		}, "Status: 200 OK\r\nContent-Length: 4\r\n\r\nbody", true},
		{"a bad length", "GET", func(w http.ResponseWriter) { w.Header().Set("Content-Length", "four"); write(w, "body", 4, nil) },
			"Status: 200 OK\r\n\r\nbody", true},
		{"two lengths", "GET", func(w http.ResponseWriter) {
			w.Header()["Content-Length"] = []string{"4", "5"}
			write(w, "body", 4, nil)
		},
			"Status: 200 OK\r\nContent-Length: 4\r\n\r\nbody", true},
		{"a panic", "GET", func(w http.ResponseWriter) { w.Header().Set("X-Secret", "a"); panic("oh") },
			"Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n", true},
		{"a panic within", "GET", func(w http.ResponseWriter) { write(w, "body", 4, nil); panic("oh") }, "Status: 200 OK\r\n\r\nbody", false},
		{"given up", "GET", func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }, "", false},
		{"given up within", "GET", func(w http.ResponseWriter) { write(w, "body", 4, nil); panic(http.ErrAbortHandler) }, "Status: 200 OK\r\n\r\nbody", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, takesFiles := range []bool{false, true} {
				errs = nil
				s := &script{}
				var stream Stream = s
				if takesFiles {
					from := &readsFrom{}
					s, stream = &from.script, from
				}
				w := &ResponseWriter{}
				w.Reset(discard{}, "HEAD") // what was before does not count
				w.Header().Set("X-Before", "a")
				w.WriteHeader(304)
				w.Reset(stream, tt.method)
				var log testLog
				complete := w.Run(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { tt.h(rw) }), &http.Request{Method: tt.method, RequestURI: "/uri"}, log.logger())
				if s.String() != tt.want || complete != tt.complete {
					t.Errorf("it writes %q, whole: %v; want %q, %v", s.String(), complete, tt.want, tt.complete)
				}
				if len(errs) > 0 {
					t.Errorf("not as it should be: %v", errs)
				}
				if logs := strings.HasPrefix(tt.name, "a panic") || tt.name == "short"; logs != strings.Contains(log.String(), "uri=/uri") {
					t.Errorf("the log says %q", log.String())
				}
				if s.head > 1 {
					t.Errorf("%d heads", s.head)
				}
			}
		})
	}
}

func TestResponseWriterStreamFails(t *testing.T) {
	fail := errors.New("the connection is gone")
	s := &script{fails: fail}
	w := &ResponseWriter{}
	w.Reset(s, "GET")
	complete := w.Run(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		for range 2 {
			if _, err := io.WriteString(rw, "a"); !errors.Is(err, fail) {
				t.Errorf("Write gives %v", err)
			}
			if err := http.NewResponseController(rw).Flush(); !errors.Is(err, fail) {
				t.Errorf("Flush gives %v", err)
			}
			if _, err := io.Copy(rw, strings.NewReader("a")); !errors.Is(err, fail) {
				t.Errorf("Copy gives %v", err)
			}
		}
		s.fails = nil // it does not come back
		if _, err := io.WriteString(rw, "a"); !errors.Is(err, fail) {
			t.Errorf("Write gives %v", err)
		}
	}), &http.Request{}, slog.New(slog.DiscardHandler))
	if complete {
		t.Error("the response counts as whole")
	}
}

func TestResponseWriterBadStatus(t *testing.T) {
	for _, status := range []int{-1, 0, 99, 1000} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("WriteHeader(%d) is taken", status)
				}
			}()
			w := &ResponseWriter{}
			w.Reset(discard{}, "GET")
			w.WriteHeader(status)
		}()
	}
}

func TestResponseWriterController(t *testing.T) {
	w := &ResponseWriter{}
	s := &script{}
	w.Reset(s, "GET")
	rc := http.NewResponseController(w)
	if err := rc.EnableFullDuplex(); err != nil {
		t.Error(err)
	}
	for _, err := range []error{rc.SetReadDeadline(time.Now()), rc.SetWriteDeadline(time.Now())} {
		if !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("a stream without deadlines gives %v", err)
		}
	}
	if err := rc.Flush(); err != nil || s.flushes != 1 || s.head != 1 || w.Status() != 200 {
		t.Errorf("Flush: %v, %d flushes, %d heads, status %d", err, s.flushes, s.head, w.Status())
	}
	near, far := net.Pipe()
	defer far.Close()
	defer near.Close()
	plain := &PlainStream{}
	plain.Reset(near, FormCGI)
	w.Reset(plain, "GET")
	if err := errors.Join(rc.SetReadDeadline(time.Unix(1, 0)), rc.SetWriteDeadline(time.Unix(1, 0))); err != nil {
		t.Error(err)
	}
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the read deadline is not the connection's: %v", err)
	}
	if _, err := near.Write([]byte("a")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the write deadline is not the connection's: %v", err)
	}
}

// wrapper is a ResponseWriter that middleware puts around another.
type wrapper struct{ http.ResponseWriter }

func (w wrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestOverload(t *testing.T) {
	for _, understood := range []bool{false, true} {
		s := &overloadable{front: understood}
		w := &ResponseWriter{}
		w.Reset(s, "GET")
		if got := Overload(wrapper{wrapper{w}}); got != understood {
			t.Errorf("Overload is %v, want %v", got, understood)
		}
		if got, want := w.Status(), map[bool]int{false: 0, true: 503}[understood]; got != want {
			t.Errorf("the status is %d, want %d", got, want)
		}
		if understood {
			if _, err := io.WriteString(w, "body"); !errors.Is(err, http.ErrBodyNotAllowed) || s.String() != "" {
				t.Errorf("it writes %q, %v", s.String(), err)
			}
		}
	}
	s := &overloadable{front: true}
	w := &ResponseWriter{}
	w.Reset(s, "GET")
	w.WriteHeader(200)
	if Overload(w) {
		t.Error("a response that has begun is taken back")
	}
	w.Reset(&script{}, "GET")
	if Overload(w) || Overload(struct{ http.ResponseWriter }{}) {
		t.Error("a stream without words for it is told")
	}
}

// A file of which the stream wants a part is limited once: two limits around
// it would hide it from sendfile.
func TestReadFromKeepsTheFileInSight(t *testing.T) {
	file := largeFile(t, 100)
	for _, tt := range []struct {
		length string
		src    io.Reader
		n      int64
	}{
		{"", file, 100},
		{"40", file, 40},
		{"100", &io.LimitedReader{R: file, N: 100}, 100},
		{"100", &io.LimitedReader{R: file, N: 30}, 30},
		{"40", &io.LimitedReader{R: file, N: 100}, 40},
	} {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		s := &readsFrom{}
		w := &ResponseWriter{}
		w.Reset(s, "GET")
		if tt.length != "" {
			w.Header().Set("Content-Length", tt.length)
		}
		n, err := w.ReadFrom(tt.src)
		if tooMuch := tt.length == "40"; n != tt.n || errors.Is(err, http.ErrContentLength) != tooMuch {
			t.Errorf("length %s: %d bytes, %v; want %d", tt.length, n, err, tt.n)
		}
		from := s.from
		if l, ok := from.(*io.LimitedReader); ok {
			from = l.R
		}
		if l, nested := from.(*io.LimitedReader); nested && tt.length != "40" {
			t.Errorf("length %s: the stream gets a limit of %d within a limit", tt.length, l.N)
		}
	}
}

func largeFile(t testing.TB, n int) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if _, err := file.Write(bytes.Repeat([]byte("x"), n)); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return file
}
