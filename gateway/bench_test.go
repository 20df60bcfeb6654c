package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

// nginxParams are what nginx sends for a browser's request with its stock
// fastcgi_params.
func nginxParams() []Param {
	return []Param{
		{"QUERY_STRING", "x=1"}, {"REQUEST_METHOD", "GET"}, {"CONTENT_TYPE", ""}, {"CONTENT_LENGTH", ""},
		{"SCRIPT_NAME", "/path"}, {"REQUEST_URI", "/path?x=1"}, {"DOCUMENT_URI", "/path"}, {"DOCUMENT_ROOT", "/var/www"},
		{"SERVER_PROTOCOL", "HTTP/1.1"}, {"REQUEST_SCHEME", "http"}, {"GATEWAY_INTERFACE", "CGI/1.1"}, {"SERVER_SOFTWARE", "nginx/1.22.1"},
		{"REMOTE_ADDR", "192.0.2.1"}, {"REMOTE_PORT", "4711"}, {"REMOTE_USER", ""}, {"SERVER_ADDR", "192.0.2.2"},
		{"SERVER_PORT", "80"}, {"SERVER_NAME", "example.org"}, {"REDIRECT_STATUS", "200"}, {"HTTP_HOST", "example.org"},
		{"HTTP_USER_AGENT", "Mozilla/5.0"}, {"HTTP_ACCEPT", "text/html"}, {"HTTP_ACCEPT_LANGUAGE", "en"},
		{"HTTP_ACCEPT_ENCODING", "gzip"}, {"HTTP_COOKIE", "sessionid=abcdef"},
	}
}

func BenchmarkToHTTP(b *testing.B) {
	in := Incoming{Protocol: "fastcgi", Params: nginxParams()}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ToHTTP(ctx, in); err != nil {
			b.Fatal(err)
		}
	}
}

var djangoHead = []byte("Status: 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nX-Frame-Options: DENY\r\nVary: Cookie\r\n" +
	"Content-Length: 1234\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n" +
	"Set-Cookie: csrftoken=abcdefghijklmnopqrstuvwxyz; SameSite=Lax\r\n\r\n")

func BenchmarkParseHead(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, n, err := ParseHead(djangoHead); err != nil || n != len(djangoHead) {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkAppendHead(b *testing.B) {
	h, _, err := ParseHead(djangoHead)
	if err != nil {
		b.Fatal(err)
	}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = AppendHead(out[:0], FormCGI, h.Status, h.Header)
	}
}

// The cost of what is hostile grows with its size, not with its square.
func BenchmarkToHTTPRepeated(b *testing.B) {
	in := Incoming{Params: []Param{{"REQUEST_METHOD", "GET"}}}
	for range 50_000 {
		in.Params = append(in.Params, Param{"HTTP_A", "b"})
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := ToHTTP(context.Background(), in)
		if err != nil || len(r.Header["A"]) != 1 || strings.Count(r.Header["A"][0], "b") != 50_000 {
			b.Fatal(err)
		}
	}
}

// discard is a Stream that writes nowhere.
type discard struct{}

func (discard) WriteHead(int, http.Header) error { return nil }
func (discard) Write(b []byte) (int, error)      { return len(b), nil }
func (discard) Flush() error                     { return nil }

func BenchmarkResponseWriter(b *testing.B) {
	w := &ResponseWriter{}
	hello := []byte("hello")
	b.ReportAllocs()
	for b.Loop() {
		w.Reset(discard{}, "GET")
		w.Header().Set("Content-Type", "text/plain")
		if _, err := w.Write(hello); err != nil {
			b.Fatal(err)
		}
	}
}
