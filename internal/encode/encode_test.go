package encode

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// text is n bytes that compress well and do not repeat.
func text(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString("line ")
		b.WriteString(strconv.Itoa(i * i))
		b.WriteString(" of many\n")
	}
	return b.String()[:n]
}

// decode undoes a content coding with a decoder that is not ours.
func decode(t *testing.T, coding string, body io.Reader) (string, error) {
	t.Helper()
	var r io.Reader
	var err error
	switch coding {
	case "":
		r = body
	case Gzip:
		r, err = gzip.NewReader(body)
	case Brotli:
		r = brotli.NewReader(body)
	case Zstd:
		var z *zstd.Decoder
		if z, err = zstd.NewReader(body, zstd.WithDecoderMaxWindow(8<<20)); err == nil { // as browsers have it
			defer z.Close()
			r = z
		}
	default:
		t.Fatalf("Content-Encoding: %s", coding)
	}
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), err
}

// serve serves h, behind a Policy.
func serve(t *testing.T, o Options, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(New(NewEngine(0, 1<<20), o).Wrap(h))
	t.Cleanup(s.Close)
	return s
}

// fetch requests the root. headers are "Name: value".
func fetch(t *testing.T, s *httptest.Server, method string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func TestResponses(t *testing.T) {
	long, short := text(5000), text(100)
	type headers = map[string]string
	answer := func(status int, h headers, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for name, value := range h {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	html := func(more headers) headers {
		h := headers{"Content-Type": "text/html; charset=utf-8", "Content-Length": "5000"}
		maps.Copy(h, more)
		return h
	}
	const all = "gzip, deflate, br, zstd"
	for _, tt := range []struct {
		name    string
		options Options
		method  string // default GET
		accept  string
		status  int // default 200
		header  headers
		body    string // default long
		coding  string // wanted
		vary    string // wanted
		want    headers
	}{
		{name: "html", accept: all, header: html(nil), coding: Zstd, vary: "Accept-Encoding"},
		{name: "html in brotli", accept: "br, gzip", header: html(nil), coding: Brotli, vary: "Accept-Encoding"},
		{name: "html in gzip", accept: "gzip", header: html(nil), coding: Gzip, vary: "Accept-Encoding"},
		{name: "html for a client that takes nothing", header: html(nil), vary: "Accept-Encoding", want: headers{"Content-Length": "5000"}},
		{name: "html for a client that refuses", accept: "gzip;q=0, identity", header: html(nil), vary: "Accept-Encoding"},
		{name: "no length", accept: all, header: headers{"Content-Type": "text/css"}, coding: Zstd, vary: "Accept-Encoding"},
		{name: "a type in upper case", accept: all, header: html(headers{"Content-Type": "TEXT/HTML"}), coding: Zstd, vary: "Accept-Encoding"},
		{name: "json", accept: all, header: html(headers{"Content-Type": "application/json"}), coding: Zstd, vary: "Accept-Encoding"},
		{name: "a type with a suffix", accept: all, header: html(headers{"Content-Type": "application/problem+json"}), coding: Zstd, vary: "Accept-Encoding"},
		{name: "svg", accept: all, header: html(headers{"Content-Type": "image/svg+xml"}), coding: Zstd, vary: "Accept-Encoding"},
		{name: "a picture", accept: all, header: html(headers{"Content-Type": "image/png"})},
		{name: "an event stream", accept: all, header: headers{"Content-Type": "text/event-stream"}},
		{name: "an event stream that is named", options: Options{Types: []string{"text/event-stream"}}, accept: all,
			header: headers{"Content-Type": "text/event-stream"}, coding: Zstd, vary: "Accept-Encoding"},
		{name: "no type", accept: all, header: headers{"Content-Type": ""}},
		{name: "types of one's own", options: Options{Types: []string{"image/*", "*+yaml"}}, accept: all, header: html(headers{"Content-Type": "image/x"}), coding: Zstd, vary: "Accept-Encoding"},
		{name: "types of one's own, others", options: Options{Types: []string{"image/*", "*+yaml"}}, accept: all, header: html(nil)},
		{name: "codings of one's own", options: Options{Codings: []string{Gzip, Zstd}}, accept: all, header: html(nil), coding: Gzip, vary: "Accept-Encoding"},
		{name: "levels of one's own", options: Options{ZstdLevel: 19, BrotliLevel: 11, GzipLevel: 12}, accept: "br", header: html(nil), coding: Brotli, vary: "Accept-Encoding"},

		{name: "short", accept: all, header: headers{"Content-Type": "text/plain", "Content-Length": "100"}, body: short},
		{name: "short, no length", accept: all, header: headers{"Content-Type": "text/plain"}, body: short, vary: "Accept-Encoding", want: headers{"Content-Length": "100"}},
		{name: "short, but identity is refused", accept: "identity;q=0, gzip", header: headers{"Content-Type": "text/plain", "Content-Length": "100"}, body: short, coding: Gzip, vary: "Accept-Encoding"},
		{name: "short, no length, identity is refused", accept: "*;q=0, gzip", header: headers{"Content-Type": "text/plain"}, body: short, coding: Gzip, vary: "Accept-Encoding"},
		{name: "short, and all is refused", accept: "*;q=0", header: headers{"Content-Type": "text/plain", "Content-Length": "100"}, body: short},
		{name: "a size of one's own", options: Options{MinSize: 50}, accept: all, header: headers{"Content-Type": "text/plain", "Content-Length": "100"}, body: short, coding: Zstd, vary: "Accept-Encoding"},
		{name: "empty", accept: "*;q=0, gzip", header: headers{"Content-Type": "text/plain", "Content-Length": "0"}, body: "-"},

		{name: "encoded already", accept: all, header: html(headers{"Content-Encoding": "br"}), want: headers{"Content-Encoding": "br", "Content-Length": "5000"}},
		{name: "identity said aloud", accept: all, header: html(headers{"Content-Encoding": "identity"}), want: headers{"Content-Encoding": "identity"}},
		{name: "no-transform", accept: all, header: html(headers{"Cache-Control": "max-age=60, No-Transform"})},
		{name: "almost no-transform", accept: all, header: html(headers{"Cache-Control": "no-transformer"}), coding: Zstd, vary: "Accept-Encoding"},
		{name: "a digest", accept: all, header: html(headers{"Content-Digest": "sha-256=:x:"})},
		{name: "several parts", accept: all, status: 206, header: headers{"Content-Type": "multipart/byteranges; boundary=x", "Content-Length": "5000"}, vary: "Accept-Encoding", want: headers{"Content-Length": "5000"}},
		{name: "a part", accept: all, status: 206, header: html(headers{"Content-Range": "bytes 0-4999/9000"}), vary: "Accept-Encoding", want: headers{"Content-Length": "5000"}},
		{name: "an error page", accept: all, status: 404, header: html(nil), coding: Zstd, vary: "Accept-Encoding"},
		{name: "no content", accept: all, status: 204, header: headers{"Content-Type": "text/plain"}, body: "-"},
		{name: "HEAD", method: "HEAD", accept: all, header: html(nil), body: "-", coding: Zstd, vary: "Accept-Encoding", want: headers{"Content-Length": ""}},
		{name: "HEAD for a client that takes nothing", method: "HEAD", header: html(nil), body: "-", vary: "Accept-Encoding", want: headers{"Content-Length": "5000"}},
		{name: "POST", method: "POST", accept: all, header: html(nil), coding: Zstd, vary: "Accept-Encoding"},

		{name: "Vary there", accept: all, header: html(headers{"Vary": "Cookie"}), coding: Zstd, vary: "Cookie, Accept-Encoding"},
		{name: "Vary there with ours", accept: all, header: html(headers{"Vary": "accept-encoding, Cookie"}), coding: Zstd, vary: "accept-encoding, Cookie"},
		{name: "Vary by all", accept: all, header: html(headers{"Vary": "*"}), coding: Zstd, vary: "*"},
		{name: "ranges", accept: all, header: html(headers{"Accept-Ranges": "bytes"}), coding: Zstd, vary: "Accept-Encoding", want: headers{"Accept-Ranges": ""}},
		{name: "ranges where nothing is compressed", header: html(headers{"Accept-Ranges": "bytes"}), vary: "Accept-Encoding", want: headers{"Accept-Ranges": "bytes"}},
		{name: "a strong ETag", accept: "gzip", header: html(headers{"Etag": `"x"`}), coding: Gzip, vary: "Accept-Encoding", want: headers{"Etag": `W/"x-gzip"`}},
		{name: "a weak ETag", accept: "br", header: html(headers{"Etag": `W/"x"`}), coding: Brotli, vary: "Accept-Encoding", want: headers{"Etag": `W/"x"`}},
		{name: "a malformed ETag", accept: "br", header: html(headers{"Etag": `x`}), coding: Brotli, vary: "Accept-Encoding", want: headers{"Etag": ""}},
		{name: "an ETag where nothing is compressed", header: html(headers{"Etag": `"x"`}), vary: "Accept-Encoding", want: headers{"Etag": `"x"`}},
		{name: "what does not get shorter", accept: "gzip", options: Options{MinSize: 1}, header: headers{"Content-Type": "text/plain", "Content-Length": "3"}, body: "abc", vary: "Accept-Encoding"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.body == "" {
				tt.body = long
			} else if tt.body == "-" {
				tt.body = ""
			}
			if tt.status == 0 {
				tt.status = 200
			}
			if tt.method == "" {
				tt.method = "GET"
			}
			s := serve(t, tt.options, answer(tt.status, tt.header, tt.body))
			var headers []string
			if tt.accept != "" {
				headers = append(headers, "Accept-Encoding: "+tt.accept)
			}
			res := fetch(t, s, tt.method, headers...)
			if res.StatusCode != tt.status {
				t.Errorf("status %d", res.StatusCode)
			}
			coding := res.Header.Get("Content-Encoding")
			if _, ok := tt.want["Content-Encoding"]; ok {
				coding = ""
			}
			if coding != tt.coding {
				t.Errorf("Content-Encoding %q, want %q", coding, tt.coding)
			}
			if vary := strings.Join(res.Header["Vary"], ", "); vary != tt.vary {
				t.Errorf("Vary %q, want %q", vary, tt.vary)
			}
			for name, value := range tt.want {
				if got := res.Header.Get(name); got != value {
					t.Errorf("%s %q, want %q", name, got, value)
				}
			}
			if tt.method == "HEAD" {
				return
			}
			raw, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if l := res.Header.Get("Content-Length"); (l != "" || coding != "") && l != strconv.Itoa(len(raw)) {
				t.Errorf("Content-Length %q of %d bytes", l, len(raw))
			}
			body, err := decode(t, coding, bytes.NewReader(raw))
			if err != nil || body != tt.body {
				t.Errorf("%d bytes, %v; want %d", len(body), err, len(tt.body))
			}
			if coding != "" && tt.body == long && len(raw) > len(long)/2 {
				t.Errorf("%d bytes of %d", len(raw), len(long))
			}
		})
	}
}

// TestConditions: the ETag of a compressed response comes back.
func TestConditions(t *testing.T) {
	s := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Etag", r.URL.Query().Get("etag"))
		if w.Header().Get("Etag") == "" {
			w.Header().Set("Etag", `"x"`)
		}
		http.ServeContent(w, r, "", modified, strings.NewReader(text(5000)))
	})
	for _, tt := range []struct {
		name    string
		headers []string
		status  int
		etag    string
		vary    bool
	}{
		{"compressed", []string{"Accept-Encoding: gzip", `If-None-Match: "x-gzip"`}, 304, `W/"x-gzip"`, true},
		{"compressed, as it was sent", []string{"Accept-Encoding: gzip", `If-None-Match: W/"x-gzip"`}, 304, `W/"x-gzip"`, true},
		{"to change what was sent", []string{"Accept-Encoding: gzip", `If-Match: W/"x-gzip"`}, 200, `W/"x-gzip"`, true},
		{"a range of what was sent", []string{"Accept-Encoding: gzip", "Range: bytes=0-9", `If-Range: W/"x-gzip"`}, 200, `W/"x-gzip"`, true},
		{"plain", []string{`If-None-Match: "x"`}, 304, `"x"`, false},
		{"plain, now compressed", []string{"Accept-Encoding: gzip", `If-None-Match: "x"`}, 304, `"x"`, false},
		{"both", []string{"Accept-Encoding: gzip", `If-None-Match: "y", "x", "x-gzip"`}, 304, `W/"x-gzip"`, true},
		{"both, brotli", []string{"Accept-Encoding: br, gzip", `If-None-Match: "x-gzip", "x-br"`}, 304, `W/"x-br"`, true},
		{"both, gzip", []string{"Accept-Encoding: gzip", `If-None-Match: "x-gzip", "x-br"`}, 304, `W/"x-gzip"`, true},
		{"two headers", []string{"Accept-Encoding: br", `If-None-Match: "a"`, `If-None-Match: "x-br"`}, 304, `W/"x-br"`, true},
		{"another", []string{"Accept-Encoding: gzip", `If-None-Match: "y-gzip"`}, 200, `W/"x-gzip"`, true},
		{"another coding of ours", []string{"Accept-Encoding: gzip", `If-None-Match: "x-zstd"`}, 304, `W/"x-zstd"`, true},
		{"a coding that is none", []string{"Accept-Encoding: gzip", `If-None-Match: "x-foo"`}, 200, `W/"x-gzip"`, true},
		{"a star", []string{"Accept-Encoding: gzip", "If-None-Match: *"}, 304, `"x"`, false},
		{"nonsense", []string{"Accept-Encoding: gzip", `If-None-Match: x-gzip", "x-gzip`}, 200, `W/"x-gzip"`, true},
		{"to change it", []string{"Accept-Encoding: gzip", `If-Match: "x-gzip"`}, 200, `W/"x-gzip"`, true},
		{"to change another", []string{"Accept-Encoding: gzip", `If-Match: "y-gzip"`}, 412, "", true},
		{"a range", []string{"Accept-Encoding: gzip", "Range: bytes=0-9"}, 206, `"x"`, true},
		{"a range of what was compressed", []string{"Accept-Encoding: gzip", "Range: bytes=0-9", `If-Range: "x-gzip"`}, 200, `W/"x-gzip"`, true},
		{"a range of what was not", []string{"Accept-Encoding: gzip", "Range: bytes=0-9", `If-Range: "x"`}, 206, `"x"`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := fetch(t, s, "GET", tt.headers...)
			if res.StatusCode != tt.status || tt.etag != "" && res.Header.Get("Etag") != tt.etag || (res.Header.Get("Vary") != "") != tt.vary {
				t.Errorf("%d, ETag %s, Vary %q; want %d, %s, %v", res.StatusCode, res.Header.Get("Etag"), res.Header["Vary"], tt.status, tt.etag, tt.vary)
			}
		})
	}
}

// TestPlainTags: an ETag of the app's own that ends like ours reaches it.
func TestPlainTags(t *testing.T) {
	codings := []string{Gzip, Brotli}
	for value, want := range map[string]string{
		`"x-gzip"`:           `"x-gzip", "x"`,
		`"x-gzip-gzip"`:      `"x-gzip-gzip", "x-gzip"`,
		`"x-gzip", "x-br"`:   `"x-gzip", "x-br", "x"`,
		`W/"x-gzip"`:         `W/"x-gzip", "x"`,
		`W/"x"`:              `W/"x"`,
		`"-gzip"`:            `"-gzip", ""`,
		`*`:                  `*`,
		`"x"`:                `"x"`,
		`"x-gzip`:            `"x-gzip`,
		`garbage, "x-gzip"`:  `garbage, "x-gzip"`,
		`"a,b-gzip" , "c-br`: `"a,b-gzip" , "c-br, "a,b"`,
	} {
		if got := strings.Join(plainTags([]string{value}, codings), "|"); got != want {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
}

// TestShort: a body that is shorter than its Content-Length is not ended.
func TestShort(t *testing.T) {
	for _, size := range []int{5000, 200_000} {
		s := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", strconv.Itoa(size+1))
			_, _ = io.WriteString(w, text(size))
		})
		for _, accept := range []string{"", Gzip, Brotli, Zstd} {
			res := fetch(t, s, "GET", "Accept-Encoding: "+accept)
			_, err := io.ReadAll(res.Body)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d bytes, %q: %v", size, accept, err)
			}
		}
	}
}

// TestLong: what is beyond Content-Length is refused, as net/http has it.
func TestLong(t *testing.T) {
	for _, pieces := range [][]int{{5001}, {2000, 3001}, {5000, 1}, {100_000, 100_001}, {100_000, 100_000, 5}} {
		length := 5000
		if pieces[0] > 6000 {
			length = 200_000
		}
		failed := make(chan error, 1)
		s := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", strconv.Itoa(length))
			var last error
			for _, n := range pieces {
				_, last = w.Write([]byte(text(n)))
			}
			failed <- last
		})
		res := fetch(t, s, "GET", "Accept-Encoding: gzip")
		body, err := decode(t, Gzip, res.Body)
		if err != nil || len(body) != length {
			t.Errorf("%v: %d bytes, %v", pieces, len(body), err)
		}
		if err := <-failed; err != http.ErrContentLength {
			t.Errorf("%v: the handler got %v", pieces, err)
		}
	}
}

func TestTypes(t *testing.T) {
	p := New(NewEngine(0, 0), Options{})
	yes := []string{"text/html", "text/html;charset=utf-8", " text/css ", "Text/Plain", "application/json", "application/atom+xml", "image/svg+xml", "application/wasm", "font/ttf"}
	no := []string{"", "text", "image/png", "text/event-stream", "Text/Event-Stream; charset=utf-8", "application/octet-stream", "font/woff2", "multipart/byteranges; boundary=x", "video/mp4", "application/zip"}
	for _, s := range yes {
		if !p.compresses(s) {
			t.Errorf("%q is not compressed", s)
		}
	}
	for _, s := range no {
		if p.compresses(s) {
			t.Errorf("%q is compressed", s)
		}
	}
}
