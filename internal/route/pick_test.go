package route

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

type picked struct{}

// A route that is asked may pass a request on; its handler sees what it found.
func TestPick(t *testing.T) {
	says := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, name, r.Context().Value(picked{})) })
	}
	h, err := NewSite(Site{Routes: []Route{
		{Match: Match{Path: "/a/*"}, Handler: says("first "), Pick: func(r *http.Request) (*http.Request, bool) {
			return r.WithContext(context.WithValue(r.Context(), picked{}, "found")), strings.HasSuffix(r.URL.Path, ".php")
		}},
		{Match: Match{Path: "/a/*"}, Handler: says("second ")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/a/x.php": "first found", "/a/x": "second <nil>", "/b.php": "404 not found\n"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Body.String() != want {
			t.Errorf("%s: %q, want %q", path, w.Body, want)
		}
	}
}
