package static

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// discard is a ResponseWriter that costs nothing.
type discard struct {
	header  http.Header
	written int64
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) Write(b []byte) (int, error) {
	d.written += int64(len(b))
	return len(b), nil
}
func (d *discard) WriteHeader(int) {}
func (d *discard) ReadFrom(r io.Reader) (int64, error) {
	return r.(*io.LimitedReader).N, nil
}

func BenchmarkHandler(b *testing.B) {
	dir := tree(b, map[string]string{"css/small.css": strings.Repeat("x", 8000), "img/big.png": strings.Repeat("x", 200_000)})
	h := handler(b, Options{Roots: []string{dir}})
	for name, c := range map[string]struct {
		path   string
		header http.Header
	}{
		"small":   {"/css/small.css", nil},
		"big":     {"/img/big.png", nil},
		"304":     {"/css/small.css", http.Header{"If-Modified-Since": {"Mon, 03 Feb 2020 04:05:06 GMT"}}},
		"missing": {"/css/none.css", nil},
	} {
		b.Run(name, func(b *testing.B) {
			u, _ := url.Parse(c.path)
			r := &http.Request{Method: "GET", URL: u, Header: c.header}
			w := &discard{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkServer is the same over a real connection, against the standard
// library's file server.
func BenchmarkServer(b *testing.B) {
	dir := tree(b, map[string]string{"small.css": strings.Repeat("x", 8000), "medium.js": strings.Repeat("x", 30_000), "big.png": strings.Repeat("x", 200_000)})
	for name, h := range map[string]http.Handler{"ours": handler(b, Options{Roots: []string{dir}}), "std": http.FileServer(http.Dir(dir))} {
		for _, file := range []string{"small.css", "medium.js", "big.png"} {
			b.Run(name+"/"+file, func(b *testing.B) {
				srv := httptest.NewServer(h)
				defer srv.Close()
				for b.Loop() {
					resp, err := srv.Client().Get(srv.URL + "/" + file)
					if err != nil {
						b.Fatal(err)
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
		}
	}
}
