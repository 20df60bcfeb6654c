package encode

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

func BenchmarkNotApplicable(b *testing.B) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Content-Type"], h["Content-Length"] = htmlType, thirteen
		w.WriteHeader(200)
		_, _ = w.Write(hello)
	})
	for name, h := range map[string]http.Handler{"bare": h, "wrapped": New(NewEngine(0, 0), Options{}).Wrap(h)} {
		b.Run(name, func(b *testing.B) {
			rec := &nothing{header: http.Header{}}
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
			b.ReportAllocs()
			before := cpuTime()
			for b.Loop() {
				h.ServeHTTP(rec, r)
			}
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

var (
	htmlType, thirteen = []string{"text/html"}, []string{"13"}
	hello              = []byte("Hello, world\n")
)

type nothing struct{ header http.Header }

func (n *nothing) Header() http.Header         { return n.header }
func (n *nothing) WriteHeader(int)             {}
func (n *nothing) Write(b []byte) (int, error) { return len(b), nil }

func BenchmarkPage(b *testing.B) {
	page := []byte(text(20_000))
	length := []string{strconv.Itoa(len(page))}
	for _, coding := range DefaultCodings {
		h := New(NewEngine(0, 0), Options{}).Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h["Content-Type"], h["Content-Length"] = htmlType, length
			delete(h, "Content-Encoding")
			w.WriteHeader(200)
			_, _ = w.Write(page)
		}))
		b.Run(coding, func(b *testing.B) {
			rec := &nothing{header: http.Header{}}
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Accept-Encoding", coding)
			b.SetBytes(int64(len(page)))
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(rec, r)
			}
		})
	}
}
