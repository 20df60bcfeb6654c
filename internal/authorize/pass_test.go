package authorize

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// fileWriter is a ResponseWriter that takes files as they are.
type fileWriter struct {
	*httptest.ResponseRecorder
	took int
}

func (w *fileWriter) ReadFrom(from io.Reader) (int64, error) {
	w.took++
	return io.Copy(w.ResponseRecorder, from)
}

// TestFilesStayFiles: what goes along with a yes does not keep a file from being
// sent as one, and its headers come before the response's first byte.
func TestFilesStayFiles(t *testing.T) {
	for name, send := range map[string]func(w http.ResponseWriter){
		"a head":  func(w http.ResponseWriter) { w.WriteHeader(206) },
		"no head": func(http.ResponseWriter) {},
		"a flush": func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
	} {
		o := options(&answerer{say: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("Set-Cookie", "auth=1")
			sayYes(w, r)
		}}, io.Discard)
		o.ToClient = append(o.ToClient, "Set-Cookie")
		o.Cache = time.Minute
		h := o.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Set-Cookie", "app=1")
			send(w)
			_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("file"))
		}))
		w := &fileWriter{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, httptest.NewRequest("GET", "/a", nil))
		sent := w.Result().Header
		if w.took != 1 || w.Body.String() != "file" || sent.Get("X-Told") != "yes" || strings.Join(sent["Set-Cookie"], " ") != "app=1 auth=1" {
			t.Errorf("%s: taken %d times, %q, %v", name, w.took, w.Body, sent)
		}
	}
}

// TestHeadersOfNobody: a handler that writes nothing has the headers as well.
func TestHeadersOfNobody(t *testing.T) {
	o := options(&answerer{say: sayYes}, io.Discard)
	w := get(o.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), "/a")
	if w.Header().Get("X-Told") != "yes" {
		t.Errorf("%v", w.Header())
	}
}

// FuzzDisown: whatever a client sends, no header that only the answer may set is
// left, nor named by Connection; all else stays.
func FuzzDisown(f *testing.F) {
	f.Add("X-User", "root", "close, x-user,")
	f.Add("X-Other", "a", "X-USER")
	f.Add("X-User", "", "keep-alive, X-Userx , ,upgrade")
	f.Fuzz(func(t *testing.T, name, value, connection string) {
		a := Options{Headers: []string{"X-User"}, User: "X-Name"}.guard(nil)
		r := httptest.NewRequest("GET", "/", nil)
		name = http.CanonicalHeaderKey(name)
		r.Header[name] = append(r.Header[name], value)
		r.Header["Connection"] = append(r.Header["Connection"], connection)
		before := r.Header.Clone()
		got := a.disown(r)
		for _, own := range a.own {
			if got.Header[own] != nil {
				t.Errorf("%s is left: %q", own, got.Header)
			}
		}
		kept := ""
		for _, v := range got.Header["Connection"] {
			for token := range strings.SplitSeq(v, ",") {
				if a.owns(strings.TrimSpace(token)) {
					t.Errorf("Connection names %q", token)
				}
				kept += strings.TrimSpace(token)
			}
		}
		for _, v := range before["Connection"] {
			for token := range strings.SplitSeq(v, ",") {
				if token = strings.TrimSpace(token); !a.owns(token) && !strings.Contains(kept, token) {
					t.Errorf("Connection has lost %q", token)
				}
			}
		}
		if name != "Connection" && !a.owns(name) && strings.Join(got.Header[name], "\x00") != strings.Join(before[name], "\x00") {
			t.Errorf("%s was %q, and is %q", name, before[name], got.Header[name])
		}
		for n, v := range before {
			if strings.Join(r.Header[n], "\x00") != strings.Join(v, "\x00") {
				t.Errorf("the client's own request has changed: %q", r.Header)
			}
		}
	})
}
