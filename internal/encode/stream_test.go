package encode

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

var modified = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func reader(t *testing.T, coding string, body io.Reader) io.Reader {
	t.Helper()
	switch coding {
	case Gzip:
		r, err := gzip.NewReader(body)
		if err != nil {
			t.Fatal(err)
		}
		return r
	case Zstd:
		r, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		return r
	}
	return brotli.NewReader(body)
}

// TestStream: the client sees each line before the next is made.
func TestStream(t *testing.T) {
	for _, coding := range DefaultCodings {
		t.Run(coding, func(t *testing.T) {
			next := make(chan string)
			s := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				c := http.NewResponseController(w)
				for line := range next {
					_, _ = io.WriteString(w, line)
					_ = c.Flush()
				}
			})
			go func() { next <- "first\n" }()
			res := fetch(t, s, "GET", "Accept-Encoding: "+coding)
			if res.Header.Get("Content-Encoding") != coding {
				t.Fatalf("%v", res.Header)
			}
			lines := bufio.NewReader(reader(t, coding, res.Body))
			want := "first\n"
			for i := range 5 {
				got, err := lines.ReadString('\n')
				if err != nil || got != want {
					t.Fatalf("%q, %v; want %q", got, err, want)
				}
				want = "line " + strconv.Itoa(i) + "\n"
				next <- want
			}
			close(next)
			rest, err := io.ReadAll(lines)
			if err != nil || string(rest) != want {
				t.Errorf("%q, %v", rest, err)
			}
		})
	}
}

// TestStreamMemory: a stream that finds no memory goes as it is, and what one
// took is given back, whatever its end was.
func TestStreamMemory(t *testing.T) {
	e := NewEngine(kind{Gzip, DefaultGzipLevel}.memory(), 0)
	gate, entered := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(New(e, Options{Codings: []string{Gzip}}).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, text(100_000))
		switch r.URL.Query().Get("end") {
		case "wait":
			entered <- struct{}{}
			<-gate
		case "panic":
			panic(http.ErrAbortHandler)
		case "leave":
			close(entered)
			<-r.Context().Done()
			for {
				if _, err := w.Write([]byte(text(100_000))); err != nil {
					return
				}
			}
		}
	})))
	defer s.Close()
	get := func(ctx context.Context, query string) *http.Response {
		req, _ := http.NewRequestWithContext(ctx, "GET", s.URL+"/?"+query, nil)
		req.Header.Set("Accept-Encoding", "gzip")
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	free := func() bool {
		e.coders.mu.Lock()
		defer e.coders.mu.Unlock()
		return e.coders.left == kind{Gzip, DefaultGzipLevel}.memory()
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}

	var first *http.Response
	var wg sync.WaitGroup
	wg.Go(func() { first = get(t.Context(), "end=wait") })
	<-entered
	res := get(t.Context(), "")
	body, err := io.ReadAll(res.Body)
	if err != nil || res.Header.Get("Content-Encoding") != "" || string(body) != text(100_000) || res.Header.Get("Vary") == "" {
		t.Errorf("beside another: %v, %d bytes, %v", res.Header, len(body), err)
	}
	close(gate)
	wg.Wait()
	if body, err := decode(t, Gzip, first.Body); err != nil || body != text(100_000) {
		t.Errorf("the first: %d bytes, %v", len(body), err)
	}
	until("the first stream's memory is not given back", free)

	res = get(t.Context(), "end=panic")
	if _, err := decode(t, Gzip, res.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("after a panic: %v", err)
	}
	until("after a panic the memory is not given back", free)

	entered = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	res = get(ctx, "end=leave")
	<-entered
	cancel()
	res.Body.Close()
	until("after a client left the memory is not given back", free)
}

// TestPanicHeld: nothing is sent of a body that was held.
func TestPanicHeld(t *testing.T) {
	s := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, text(5000))
		panic(http.ErrAbortHandler)
	})
	req, _ := http.NewRequest("GET", s.URL, nil)
	req.Header.Set("Accept-Encoding", "gzip")
	if res, err := http.DefaultTransport.RoundTrip(req); err == nil {
		t.Errorf("%v", res.Header)
	}
}
