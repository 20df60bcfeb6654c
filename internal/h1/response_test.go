package h1

// This file: what handlers do, and what leaves for it, beside what net/http
// sends.

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// received is a response as a client sees it.
type received struct {
	Status   int
	Proto    string
	Header   http.Header
	Length   int64
	Encoding []string
	Body     string
	Close    bool
	Err      string
}

// answers are all responses of a connection.
func answers(t *testing.T, stream []byte, methods []string) (all []received) {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(stream))
	for _, method := range append(methods, "GET", "GET") {
		if _, err := r.Peek(1); err == io.EOF {
			return all
		}
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return append(all, received{Err: "no response"})
		}
		b, err := io.ReadAll(resp.Body)
		got := received{resp.StatusCode, resp.Proto, resp.Header, resp.ContentLength, resp.TransferEncoding, string(b), resp.Close, ""}
		if err != nil {
			got.Err = err.Error()
		}
		got.Header.Del("Date")
		if method == "HEAD" { // net/http knows a length up to 2 KiB only
			got.Header.Del("Content-Length")
			got.Length = -1
		}
		if resp.ProtoMinor == 0 && resp.Header.Get("Connection") == "close" { // which goes without saying
			got.Header.Del("Connection")
		}
		all = append(all, got)
	}
	return all
}

// both has both servers answer wire by h.
func both(h http.Handler, wire string) (mine, other []byte) {
	m := newMemory([]byte(wire))
	(&Server{Handler: h}).ServeConn(m)
	l := &one{make(chan netConn, 1), make(chan struct{})}
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	o := newMemory([]byte(wire))
	l.conn <- o
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	<-o.closed
	close(l.end)
	<-done
	return m.out.Bytes(), o.out.Bytes()
}

// TestResponses: each handler's response is net/http's, to requests of every
// kind that matters to it.
func TestResponses(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 8<<10) // 128 KiB
	text := filepath.Join(t.TempDir(), "large.txt")
	if err := os.WriteFile(text, []byte(large), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]http.HandlerFunc{
		"nothing":       func(http.ResponseWriter, *http.Request) {},
		"hello":         hello,
		"sniffed":       func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>"); io.WriteString(w, "<p>") },
		"sniffed large": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "%PDF-"+large) },
		"not sniffed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			io.WriteString(w, "<html>")
		},
		"encoded": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "x")
			io.WriteString(w, "<html>")
		},
		"status":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); io.WriteString(w, "no") },
		"own status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599) },
		"204":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"204 with body": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			w.WriteHeader(204)
			if _, err := io.WriteString(w, "abc"); !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Errorf("a body of a 204: %v", err)
			}
		},
		"304": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", `"x"`)
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", "3")
			w.WriteHeader(304)
		},
		"length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "hello")
		},
		"length in pieces": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "he")
			w.(http.Flusher).Flush()
			io.WriteString(w, "llo")
		},
		"too much": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			io.WriteString(w, "abc")
			if _, err := io.WriteString(w, "d"); !errors.Is(err, http.ErrContentLength) {
				t.Errorf("a byte too many: %v", err)
			}
		},
		"too little": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "30")
			io.WriteString(w, "abc")
		},
		"large": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, large) },
		"large with length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			io.WriteString(w, large)
		},
		"medium with length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "20000")
			w.Write([]byte(large[:20000]))
		},
		"large with length in pieces": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			for rest := large; rest != ""; rest = rest[min(len(rest), 1000):] {
				w.Write([]byte(rest[:min(len(rest), 1000)]))
			}
		},
		"large in pieces": func(w http.ResponseWriter, _ *http.Request) {
			for n, rest := 1, large; rest != ""; n++ {
				k := min(len(rest), n*37)
				w.Write([]byte(rest[:k]))
				rest = rest[k:]
				if n%7 == 0 {
					w.(http.Flusher).Flush()
				}
			}
		},
		"flushed":       func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
		"flushed first": func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); io.WriteString(w, "abc") },
		"flushed twice": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "abc")
			w.(http.Flusher).Flush()
			w.(http.Flusher).Flush()
			io.WriteString(w, "def")
		},
		"close": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			io.WriteString(w, "abc")
		},
		"identity": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Transfer-Encoding", "identity")
			io.WriteString(w, "abc")
		},
		"chunked by hand": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Transfer-Encoding", "chunked")
			w.Header().Set("Content-Type", "a/b")
			io.WriteString(w, "abc")
			w.(http.Flusher).Flush()
		},
		"headers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["X-A"] = []string{"1", "2", " 3\t"}
			w.Header()["X-Bad\r\nX-Evil"] = []string{"1"}
			w.Header()["X-Split"] = []string{"a\r\nX-Evil: b"}
			w.Header()["X-None"] = nil
			w.Header()["lower"] = []string{"x"}
			w.Header().Set("X-Large", large[:9000])
			io.WriteString(w, "abc")
		},
		"changed too late": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-A", "1")
			w.WriteHeader(200)
			w.Header().Set("X-A", "2")
			io.WriteString(w, "abc")
		},
		"early hints": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</a>; rel=preload")
			w.WriteHeader(103)
			hello(w, nil)
		},
		"twice":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(202) },
		"reads body":  func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) },
		"reads some":  func(w http.ResponseWriter, r *http.Request) { r.Body.Read(make([]byte, 1)); io.WriteString(w, "abc") },
		"closes body": func(w http.ResponseWriter, r *http.Request) { r.Body.Close(); io.WriteString(w, "abc") },
		"aborts":      func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
		"panics":      func(w http.ResponseWriter, _ *http.Request) { panic("on purpose") },
		"aborts later": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "abc")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"copied":      func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, strings.NewReader("abc")) },
		"copied file": func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, text) },
		"copied file, untyped": func(w http.ResponseWriter, r *http.Request) {
			f, err := os.Open(text)
			if err != nil {
				t.Error(err)
			}
			defer f.Close()
			w.Header().Set("Content-Length", "1000")
			io.CopyN(w, f, 1000)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) },
		"error":    func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusForbidden) },
		"upgrade, not taken": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "x")
			w.WriteHeader(426)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // net/http lingers for half a second
			for kind, ask := range map[string]struct {
				wire    string
				methods []string
			}{
				"GET":                {"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /again HTTP/1.1\r\nHost: h\r\n\r\n", []string{"GET", "GET"}},
				"HEAD":               {"HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET /again HTTP/1.1\r\nHost: h\r\n\r\n", []string{"HEAD", "GET"}},
				"HTTP/1.0":           {"GET / HTTP/1.0\r\n\r\n", []string{"GET"}},
				"HTTP/1.0 kept":      {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /again HTTP/1.0\r\n\r\n", []string{"GET", "GET"}},
				"HTTP/1.0 kept HEAD": {"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /again HTTP/1.0\r\n\r\n", []string{"HEAD", "GET"}},
				"closing":            {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", []string{"GET"}},
				"POST":               {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345GET /again HTTP/1.1\r\nHost: h\r\n\r\n", []string{"POST", "GET"}},
				"chunked POST":       {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\nGET /again HTTP/1.1\r\nHost: h\r\n\r\n", []string{"POST", "GET"}},
				"broken POST":        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345x", []string{"POST"}},
				"large POST":         {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300000) + "GET /again HTTP/1.1\r\nHost: h\r\n\r\n", []string{"POST", "GET"}},
				"expecting POST":     {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n12345GET /again HTTP/1.1\r\nHost: h\r\n\r\n", []string{"POST", "POST", "GET"}},
			} {
				if name == "early hints" && strings.HasPrefix(kind, "HTTP/1.0") {
					continue // which knows no 1xx (RFC 9110, 15.2); net/http sends it
				}
				if name == "reads some" && kind == "expecting POST" {
					continue // a client that was told to go on sends the rest: the connection can be kept
				}
				mine, other := both(h, ask.wire)
				a, b := answers(t, mine, ask.methods), answers(t, other, ask.methods)
				if !reflect.DeepEqual(a, b) {
					t.Errorf("%s to %s:\n%.600q\n%.600q", name, kind, mine, other)
				}
			}
		})
	}
}
