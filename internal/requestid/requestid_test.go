package requestid

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func believes(*http.Request) bool    { return true }
func disbelieves(*http.Request) bool { return false }

func TestIDsAreUnique(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 4 { // as many processes, with two threads each
		s := New()
		for range 2 {
			wg.Go(func() {
				for range 2000 {
					r := &http.Request{Header: http.Header{}}
					s.Stamp(r, time.Now(), believes)
					id := Of(r)
					mu.Lock()
					if seen[id] || len(id) != size || !WellFormed(id) {
						t.Errorf("id %q is there twice, or malformed", id)
					}
					seen[id] = true
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	if len(seen) != 16000 {
		t.Errorf("%d ids, want 16000", len(seen))
	}
}

func TestStamp(t *testing.T) {
	at := time.UnixMicro(1700000000123456)
	long := strings.Repeat("x", maxSize)
	for name, c := range map[string]struct {
		given   []string
		trusted func(*http.Request) bool
		kept    bool
	}{
		"none":             {nil, believes, false},
		"trusted":          {[]string{"abc"}, believes, true},
		"every character":  {[]string{"AZaz09._:/+=@-"}, believes, true},
		"longest":          {[]string{long}, believes, true},
		"not trusted":      {[]string{"abc"}, disbelieves, false},
		"empty":            {[]string{""}, believes, false},
		"no values":        {[]string{}, believes, false},
		"too long":         {[]string{long + "x"}, believes, false},
		"two":              {[]string{"a", "b"}, believes, false},
		"a blank":          {[]string{"a b"}, believes, false},
		"a quote":          {[]string{`a"b`}, believes, false},
		"a line feed":      {[]string{"a\nb"}, believes, false},
		"no ASCII":         {[]string{"ä"}, believes, false},
		"a unit separator": {[]string{"a\x1fb"}, believes, false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.given != nil {
			r.Header[Header] = c.given
		}
		s := New()
		s.Stamp(r, at, c.trusted)
		id := Of(r)
		if len(r.Header[Header]) != 1 || c.kept != (id == strings.Join(c.given, "")) || !c.kept && len(id) != size {
			t.Errorf("%s: %q", name, r.Header[Header])
		}
		if got := r.Header.Get("X-Request-Start"); got != "t=1700000000123456" {
			t.Errorf("%s: X-Request-Start is %q", name, got)
		}
	}
}

func TestStartIsKept(t *testing.T) {
	r := &http.Request{Header: http.Header{"X-Request-Start": {"t=5"}}}
	New().Stamp(r, time.Now(), believes)
	if got := r.Header["X-Request-Start"]; len(got) != 1 || got[0] != "t=5" {
		t.Errorf("X-Request-Start is %q", got)
	}
	r = &http.Request{} // without any header
	New().Stamp(r, time.Now(), believes)
	if Of(r) == "" {
		t.Error("no id")
	}
}

func TestTraceContext(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for parent, kept := range map[string]bool{
		good:                                   true,
		"cc" + good[2:]:                        true, // of a later version
		"cc" + good[2:] + "-what-the-future":   true,
		"cc" + good[2:] + "what-the-future":    false,
		good + "-more":                         false,
		"ff" + good[2:]:                        false,
		strings.ToUpper(good):                  false,
		good[:54]:                              false,
		"":                                     false,
		strings.Replace(good, "-b7", "_b7", 1): false,
		"00-" + strings.Repeat("0", 32) + good[35:]:                    false,
		good[:36] + strings.Repeat("0", 16) + good[52:]:                false,
		"cc" + good[2:] + "-" + strings.Repeat("x", maxSize-len(good)): false,
	} {
		r := &http.Request{Header: http.Header{"Traceparent": {parent}, "Tracestate": {"a=b"}}}
		New().Stamp(r, time.Now(), believes)
		want := ""
		if kept {
			want = parent
		}
		if got := r.Header.Get("Traceparent"); got != want || (r.Header.Get("Tracestate") == "a=b") != kept {
			t.Errorf("%q became %q", parent, got)
		}
	}
	r := &http.Request{Header: http.Header{"Traceparent": {good, good}}}
	New().Stamp(r, time.Now(), believes)
	if r.Header["Traceparent"] != nil {
		t.Error("two are passed on")
	}
}

func TestShow(t *testing.T) {
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	New().Stamp(r, time.Now(), believes)
	Show(http.NotFoundHandler()).ServeHTTP(w, r)
	if got := w.Header()[Header]; len(got) != 1 || got[0] != Of(r) || Of(r) == "" {
		t.Errorf("the response has %q, the request %q", got, Of(r))
	}
}

func TestOneAllocation(t *testing.T) {
	s, h, at := New(), make(http.Header, 8), time.Now()
	r := &http.Request{Header: h}
	if n := testing.AllocsPerRun(1000, func() { clear(h); s.Stamp(r, at, believes) }); n != 1 {
		t.Errorf("%v allocations a request, want 1", n)
	}
}

func BenchmarkStamp(b *testing.B) {
	s, h, at := New(), make(http.Header, 8), time.Now()
	r := &http.Request{Header: h}
	b.ReportAllocs()
	for b.Loop() {
		delete(h, Header)
		delete(h, start)
		s.Stamp(r, at, believes)
	}
}

func BenchmarkID(b *testing.B) {
	s := New()
	b.ReportAllocs()
	for b.Loop() {
		s.put(new(stamp).text[:size])
	}
}
