package encode

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// TestPatterns: however the handler cuts and flushes its body, and whatever
// length it declares, the client has the same bytes.
func TestPatterns(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		var p []byte
		for range 1 + rng.IntN(12) {
			p = append(p, byte(rng.IntN(256)), byte(rng.IntN(256)))
		}
		pattern(t, p, rng.Uint32())
	}
}

func FuzzPatterns(f *testing.F) {
	f.Add([]byte{1, 2, 0, 0, 5, 200}, uint32(3))
	f.Add([]byte{6, 255, 6, 255, 0, 0}, uint32(7))
	f.Add([]byte{}, uint32(0))
	f.Fuzz(func(t *testing.T, ops []byte, options uint32) {
		if len(ops) > 64 {
			return
		}
		pattern(t, ops, options)
	})
}

// recorder is a ResponseWriter with the server's rules that matter here.
type recorder struct {
	http.ResponseWriter
	header http.Header
	status int
	sent   http.Header
	body   strings.Builder
	read   int // bytes of ReadFrom
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status, r.sent = status, r.header.Clone()
	}
}
func (r *recorder) Write(b []byte) (int, error) { r.WriteHeader(200); return r.body.Write(b) }
func (r *recorder) Flush()                      { r.WriteHeader(200) }
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	r.WriteHeader(200)
	n, err := io.Copy(&r.body, src)
	r.read += int(n)
	return n, err
}

func pattern(t *testing.T, ops []byte, options uint32) {
	t.Helper()
	accept := []string{"gzip", "br", "zstd", "", "gzip, identity;q=0", "*"}[options%6]
	declared, head := options>>4&1 == 1, options>>5&7 == 7
	total := 0
	for i := 0; i+1 < len(ops); i += 2 {
		total += pieceOf(ops[i], ops[i+1])
	}
	whole := text(total)
	rec := &recorder{header: http.Header{}}
	method := "GET"
	if head {
		method = "HEAD"
	}
	r := httptest.NewRequest(method, "/", nil)
	if accept != "" {
		r.Header.Set("Accept-Encoding", accept)
	}
	New(patternEngine, Options{}).Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		if declared {
			w.Header().Set("Content-Length", strconv.Itoa(total))
		}
		rest := whole
		for i := 0; i+1 < len(ops); i += 2 {
			n := pieceOf(ops[i], ops[i+1])
			piece := rest[:n]
			rest = rest[n:]
			var got int64
			var err error
			switch ops[i] >> 6 {
			case 0:
				var n int
				n, err = w.Write([]byte(piece))
				got = int64(n)
			case 1:
				var n int
				n, err = io.WriteString(w, piece)
				got = int64(n)
			case 2:
				got, err = w.(io.ReaderFrom).ReadFrom(strings.NewReader(piece))
			case 3:
				err = http.NewResponseController(w).Flush()
				if err == nil {
					var n int
					n, err = w.Write([]byte(piece))
					got = int64(n)
				}
			}
			if err != nil || got != int64(n) {
				t.Fatalf("%v %x: piece %d of %d: %d, %v", ops, options, i/2, n, got, err)
			}
		}
	})).ServeHTTP(rec, r)
	if head {
		if rec.body.Len() > 0 && rec.sent.Get("Content-Encoding") != "" {
			t.Fatalf("%v %x: HEAD with %d bytes", ops, options, rec.body.Len())
		}
		return
	}
	if rec.status == 0 && total == 0 {
		return
	}
	coding := rec.sent.Get("Content-Encoding")
	if coding == "" && accept == "gzip, identity;q=0" && total > 0 || coding != "" && accept == "" {
		t.Fatalf("%v %x: Accept-Encoding %q, coding %q", ops, options, accept, coding)
	}
	if l := rec.sent.Get("Content-Length"); l != "" && l != strconv.Itoa(rec.body.Len()) {
		t.Fatalf("%v %x: Content-Length %s of %d", ops, options, l, rec.body.Len())
	}
	if rec.sent.Get("Vary") == "" && (total >= DefaultMinSize || coding != "") {
		t.Fatalf("%v %x: no Vary", ops, options)
	}
	got, err := decode(t, coding, strings.NewReader(rec.body.String()))
	if err != nil || got != whole {
		t.Fatalf("%v %x: %s: %d bytes of %d, %v", ops, options, coding, len(got), len(whole), err)
	}
	patternEngine.coders.mu.Lock()
	defer patternEngine.coders.mu.Unlock()
	if patternEngine.coders.left != DefaultMemory {
		t.Fatalf("%v %x: %d bytes of memory are not given back", ops, options, DefaultMemory-patternEngine.coders.left)
	}
}

var patternEngine = NewEngine(0, 0)

func pieceOf(a, b byte) int { return int(a&63) * int(b) * (1 + int(b)%5) }
