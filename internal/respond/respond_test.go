package respond

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"millrace/internal/placeholder"
)

func text(t testing.TB, s string) *placeholder.Text {
	t.Helper()
	parsed, err := placeholder.Parse(s, placeholder.Scope{Groups: 1, Extra: func(name string) placeholder.Value {
		if name != "status" {
			return nil
		}
		return func(dst []byte, _ *http.Request, with any) []byte {
			return append(dst, byte('0'+with.(Status)/100), 'x', 'x')
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// below is a ResponseWriter as a server's: it takes a file by ReadFrom, and
// flushes.
type below struct {
	*httptest.ResponseRecorder
	read, flushed int
	informed      []int
}

func (w *below) ReadFrom(r io.Reader) (int64, error) {
	w.read++
	return io.Copy(w.ResponseRecorder, r)
}

func (w *below) FlushError() error {
	w.flushed++
	return nil
}

func (w *below) WriteHeader(status int) {
	if status < 200 {
		w.informed = append(w.informed, status)
		return
	}
	w.ResponseRecorder.WriteHeader(status)
}

func newBelow() *below { return &below{ResponseRecorder: httptest.NewRecorder()} }

// Headers are changed once, whatever way the response begins, and what a
// server's writer can do is still there.
func TestHeaders(t *testing.T) {
	h := Headers{Remove: []string{"X-Old"}, Set: []Header{{"X-Set", text(t, "{method}")}}, Add: []Header{{"X-Add", text(t, "more")}}}
	ways := map[string]func(w http.ResponseWriter){
		"nothing":     func(http.ResponseWriter) {},
		"WriteHeader": func(w http.ResponseWriter) { w.WriteHeader(204); w.WriteHeader(500) },
		"Write":       func(w http.ResponseWriter) { io.WriteString(w, "a"); io.WriteString(w, "b") },
		"ReadFrom":    func(w http.ResponseWriter) { w.(io.ReaderFrom).ReadFrom(strings.NewReader("x")) },
		"Flush":       func(w http.ResponseWriter) { http.NewResponseController(w).Flush() },
		"1xx":         func(w http.ResponseWriter) { w.WriteHeader(103); w.Header().Set("X-Old", "again"); w.WriteHeader(200) },
	}
	for name, way := range ways {
		w := newBelow()
		h.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["X-Old"], w.Header()["X-Set"], w.Header()["X-Add"] = []string{"1"}, []string{"2", "3"}, []string{"4"}
			way(w)
		})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		got := w.Header()
		if got["X-Old"] != nil || strings.Join(got["X-Set"], ",") != "GET" || strings.Join(got["X-Add"], ",") != "4,more" {
			t.Errorf("%s: %v", name, got)
		}
		if name == "ReadFrom" && w.read != 1 || name == "Flush" && w.flushed != 1 || name == "1xx" && len(w.informed) != 1 {
			t.Errorf("%s does not reach the server's writer: %+v", name, w)
		}
	}
	next := http.NotFoundHandler()
	if got := (&Headers{}).Wrap(next); got == nil || len(ways) == 0 {
		t.Error("nothing to change is a wrapper")
	}
}

func TestHeadersUnlessError(t *testing.T) {
	h := Headers{SetUnlessError: []Header{{"X-Set", text(t, "{method}")}}, AddUnlessError: []Header{{"X-Add", text(t, "more")}}}
	for status, want := range map[int]string{200: "GET more", 206: "GET more", 304: "GET more", 202: " ", 404: " ", 500: " "} {
		w := httptest.NewRecorder()
		h.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if got := w.Header().Get("X-Set") + " " + w.Header().Get("X-Add"); got != want {
			t.Errorf("%d: %q, want %q", status, got, want)
		}
	}
}

// A header may be made of another of the response; one that comes out empty leaves
// what there is.
func TestHeadersOfResponse(t *testing.T) {
	of := func(s string, maps map[string]*placeholder.Map) *placeholder.Text {
		t.Helper()
		parsed, err := placeholder.Parse(s, placeholder.Scope{Response: true, Maps: maps})
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	kept, err := placeholder.NewMap(of("{response.Content-Type}", nil), []placeholder.Entry{{Key: "~^text/html", Value: placeholder.Fixed("no-cache")}}, placeholder.Fixed(""))
	if err != nil {
		t.Fatal(err)
	}
	maps := map[string]*placeholder.Map{"kept": kept}
	h := Headers{
		Set: []Header{{"Cache-Control", of("{map.kept}", maps)}, {"X-Fixed", text(t, "")}},
		Add: []Header{{"X-Type", of("<{response.Content-Type}>", nil)}, {"X-None", of("{response.X-Missing}", nil)}},
	}
	for kind, want := range map[string]string{"text/html; charset=utf-8": "no-cache", "image/png": "private"} {
		w := httptest.NewRecorder()
		h.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Cache-Control", "private")
		})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		got := w.Header()
		if got.Get("Cache-Control") != want || got.Get("X-Type") != "<"+kind+">" || got["X-None"] != nil || got["X-Fixed"] == nil {
			t.Errorf("%s: %v", kind, got)
		}
	}
}

func TestFixed(t *testing.T) {
	tests := []struct {
		name    string
		fixed   Fixed
		method  string
		code    int
		body    string
		headers map[string]string
	}{
		{"text", Fixed{Status: 200, Body: text(t, "{method}"), Type: "text/plain"}, "GET", 200, "GET", map[string]string{"Content-Type": "text/plain", "Content-Length": "3"}},
		{"head", Fixed{Status: 200, Body: text(t, "{method}"), Type: "text/plain"}, "HEAD", 200, "", map[string]string{"Content-Length": "4"}},
		{"empty", Fixed{Status: 200}, "GET", 200, "", map[string]string{"Content-Type": "", "Content-Length": "0"}},
		{"no content", Fixed{Status: 204, Body: text(t, "x")}, "GET", 204, "", map[string]string{"Content-Length": ""}},
		{"error", Fixed{Status: 404, Type: "text/plain"}, "GET", 404, "404 not found\n", nil},
		{"type", Fixed{Status: 200, Body: text(t, "x"), Type: "text/plain", Headers: []Header{{"Content-Type", text(t, "text/csv")}}}, "GET", 200, "x", map[string]string{"Content-Type": "text/csv"}},
	}
	for _, test := range tests {
		w := httptest.NewRecorder()
		test.fixed.ServeHTTP(w, httptest.NewRequest(test.method, "/", nil))
		if w.Code != test.code || w.Body.String() != test.body {
			t.Errorf("%s: %d %q", test.name, w.Code, w.Body)
		}
		for name, want := range test.headers {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", test.name, name, got, want)
			}
		}
	}
}

func TestRedirectBody(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X", `"><script>`)
	w := httptest.NewRecorder()
	(&Redirect{To: text(t, "/{header.X}"), Status: 302}).ServeHTTP(w, r)
	if strings.Contains(w.Body.String(), "<script") || w.Header().Get("Location") != "/%22%3E%3Cscript%3E" {
		t.Errorf("%q, %s", w.Header().Get("Location"), w.Body)
	}
}

// An error's page takes its place, unless it is an app's, or the page itself.
func TestErrors(t *testing.T) {
	var asked []string
	e := &Errors{
		Pages: map[int]*Page{404: {To: text(t, "/p?{status}")}, 500: {Body: []byte("file"), Type: "text/html"}, 403: {To: text(t, "/fails")}, 410: {To: text(t, "/moves")}},
		Again: func(w http.ResponseWriter, r *http.Request, to string, _ bool) error {
			asked = append(asked, to)
			switch to {
			case "/fails":
				return errors.New("no such page")
			case "/moves":
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
				return nil
			}
			io.WriteString(w, "page")
			return nil
		},
	}
	says := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", `"x"`)
			w.Header().Set("Www-Authenticate", "Basic")
			http.Error(w, "own", code)
			http.NewResponseController(w).Flush()
			if f, ok := w.(io.ReaderFrom); ok {
				f.ReadFrom(strings.NewReader(""))
			}
		}
	}
	own := func(w http.ResponseWriter, r *http.Request) {
		for u := w; ; {
			if o, ok := u.(interface{ OwnAnswer() }); ok {
				o.OwnAnswer()
				break
			}
			u = u.(interface{ Unwrap() http.ResponseWriter }).Unwrap()
		}
		says(500)(w, r)
	}
	final := func(w http.ResponseWriter, r *http.Request) {
		Final(w)
		says(404)(w, r)
	}
	headers := &Headers{Add: []Header{{"X", text(t, "")}}}
	tests := []struct {
		name string
		next http.Handler
		code int
		body string
	}{
		{"fine", says(200), 200, "own\n"},
		{"path", says(404), 404, "page"},
		{"file", says(500), 500, "file"},
		{"page fails", says(403), 403, "403 Forbidden\n"},
		{"page moves", says(410), 410, "410 Gone\n"},
		{"no page", says(405), 405, "own\n"},
		{"an app's", OfApp(says(404)), 404, "own\n"},
		{"an app's, wrapped", headers.Wrap(OfApp(says(404))), 404, "own\n"},
		{"the gateway's own", headers.Wrap(OfApp(headers.Wrap(http.HandlerFunc(own)))), 500, "file"},
		{"final", headers.Wrap(http.HandlerFunc(final)), 404, "own\n"},
	}
	for _, test := range tests {
		w := newBelow()
		e.Wrap(test.next).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != test.code || w.Body.String() != test.body {
			t.Errorf("%s: %d %q, want %d %q", test.name, w.Code, w.Body, test.code, test.body)
		}
		replaced := w.Body.String() != "own\n"
		if h := w.Header(); h.Get("Www-Authenticate") != "Basic" || (h.Get("Etag") == "") != replaced || h.Get("Location") != "" {
			t.Errorf("%s: %v", test.name, h)
		}
	}
	if strings.Join(asked, " ") != "/p?4xx /fails /moves" {
		t.Errorf("asked for %q", asked)
	}
	e.OfApps = true
	w := httptest.NewRecorder()
	e.Wrap(OfApp(says(404))).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Body.String() != "page" {
		t.Errorf("an app's error, where those have pages: %q", w.Body)
	}
	OfApp(says(404)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) // without pages it does nothing
}

// An error's body that has no end does not keep its page away, however the
// handler takes it.
func TestEndlessError(t *testing.T) {
	e := &Errors{Pages: map[int]*Page{500: {Body: []byte("page"), Type: "text/html"}}, OfApps: true}
	endless := func(give func(w http.ResponseWriter) error) http.Handler {
		return OfApp(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			for range 10_000 {
				if give(w) != nil {
					panic(http.ErrAbortHandler)
				}
			}
			t.Error("the body was taken to its end")
		}))
	}
	for name, give := range map[string]func(w http.ResponseWriter) error{
		"Write":    func(w http.ResponseWriter) error { _, err := w.Write(make([]byte, 1000)); return err },
		"ReadFrom": func(w http.ResponseWriter) error { _, err := io.Copy(w, zeros{}); return err },
	} {
		w := httptest.NewRecorder()
		e.Wrap(endless(give)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != 500 || w.Body.String() != "page" {
			t.Errorf("%s: %d %q", name, w.Code, w.Body)
		}
	}
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("a handler's own end is swallowed")
		}
	}()
	e.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		panic(http.ErrAbortHandler)
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// To change headers that are the same for all takes one small allocation, and
// the headers'.
func TestHeadersAllocate(t *testing.T) {
	h := (&Headers{Set: []Header{{"X", text(t, "y")}}}).Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }))
	w, r := nothing{http.Header{}}, httptest.NewRequest("GET", "/", nil)
	if n := testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

type nothing struct{ h http.Header }

func (n nothing) Header() http.Header       { return n.h }
func (nothing) Write(b []byte) (int, error) { return len(b), nil }
func (nothing) WriteHeader(int)             {}
