package static

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// recorder is a ResponseWriter that notes how a body comes.
type recorder struct {
	*httptest.ResponseRecorder
	from []string
}

func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	kind := fmt.Sprintf("%T", src)
	if l, ok := src.(*io.LimitedReader); ok {
		kind += fmt.Sprintf(" of %T", l.R)
	}
	r.from = append(r.from, kind)
	return io.Copy(r.ResponseRecorder, src)
}

func TestBigFilesLeaveBySendfile(t *testing.T) {
	big := strings.Repeat("0123456789", 20_000)
	h := handler(t, Options{Roots: []string{tree(t, map[string]string{"big": big})}})
	for _, header := range [][]string{nil, {"Range", "bytes=1-150000"}, {"If-None-Match", `"x"`}} {
		u, _ := url.Parse("/big")
		r := &http.Request{Method: "GET", URL: u, Header: http.Header{}}
		if header != nil {
			r.Header.Set(header[0], header[1])
		}
		w := &recorder{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, r)
		if !slices.Equal(w.from, []string{"*io.LimitedReader of *os.File"}) {
			t.Errorf("with %q the body came as %q", header, w.from)
		}
	}
}

func TestOverARealSocket(t *testing.T) {
	big := strings.Repeat("0123456789", 500_000)
	h := handler(t, Options{Roots: []string{tree(t, map[string]string{"big": big, "small.txt": "small", "d/index.html": "d"})}})
	srv := httptest.NewServer(h)
	defer srv.Close()
	for target, want := range map[string]string{"/big": big, "/small.txt": "small", "/d": "d"} {
		resp, err := srv.Client().Get(srv.URL + target)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != want || resp.ContentLength != int64(len(want)) {
			t.Errorf("%s: %d bytes of %d, %v", target, len(got), len(want), err)
		}
	}
	// A file that is removed while it is sent is sent whole.
	resp, err := srv.Client().Get(srv.URL + "/big")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := os.Remove(filepath.Join(h.roots[0].dir, "big")); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != big {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// shrinker cuts the file short at the moment its headers are out.
type shrinker struct {
	*httptest.ResponseRecorder
	path string
}

func (s *shrinker) WriteHeader(status int) {
	s.ResponseRecorder.WriteHeader(status)
	os.Truncate(s.path, 50_000)
}

func TestFileThatShrinks(t *testing.T) {
	dir := tree(t, map[string]string{"big": strings.Repeat("x", 100_000)})
	var log logged
	h := handler(t, Options{Roots: []string{dir}, Log: log.logger()})
	u, _ := url.Parse("/big")
	w := &shrinker{httptest.NewRecorder(), filepath.Join(dir, "big")}
	func() {
		defer func() {
			if p := recover(); p != http.ErrAbortHandler {
				t.Errorf("panic %v, want the connection to be cut", p)
			}
		}()
		h.ServeHTTP(w, &http.Request{Method: "GET", URL: u})
	}()
	if w.Body.Len() != 50_000 || !strings.Contains(log.String(), "cut short") {
		t.Errorf("%d bytes, log %q", w.Body.Len(), log.String())
	}
	// A small one is read before anything is promised.
	grow(t, dir, map[string]string{"small": "0123456789"})
	f, err := h.look("small", false)
	if err != nil {
		t.Fatal(err)
	}
	os.Truncate(filepath.Join(dir, "small"), 5)
	e := h.describe("/small", &f, h.cache.now())
	rec := httptest.NewRecorder()
	if h.answer(rec, &http.Request{Method: "GET"}, e, &f.node, true) || len(rec.Header()) > 0 {
		t.Errorf("answered with what it is no more: %d %v", rec.Code, rec.Header())
	}
	if f, err = h.look("small", false); err != nil {
		t.Fatal(err)
	}
	e.reps[0].identity.size = 10
	if !h.answer(rec, &http.Request{Method: "GET", URL: u}, e, &f.node, false) || rec.Code != 500 || rec.Header().Get("Etag") != "" || !strings.Contains(log.String(), "shrank") {
		t.Errorf("%d, %v, log %q", rec.Code, rec.Header(), log.String())
	}
}
