package route

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"millrace/internal/placeholder"
)

// TestURI: a regexp for path and query, and what a rewrite makes of its groups.
func TestURI(t *testing.T) {
	rewrite := func(uri, to string) Route {
		text, err := placeholder.Parse(to, placeholder.Scope{Groups: 9, Whole: true, Names: []string{"rest"}})
		if err != nil {
			t.Fatal(err)
		}
		return Route{Match: Match{URI: uri}, Rewrite: text, Handler: shown}
	}
	routes, err := NewSite(Site{Routes: []Route{
		rewrite(`^/blog/([^?]*)(\?.*)?$`, "/posts/{1}{2}"),
		rewrite(`^/q/(?P<rest>.*)`, "/index.php?page={rest}"),
		rewrite(`^/short/a\?x=1$`, "/exact?"),
		rewrite(`^/a~b$`, "/tilde"),
		rewrite(`^/same`, "{0}"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	routes.KeepGroups()
	for asked, want := range map[string]string{
		"/blog/a%20b":         "/posts/a%20b",
		"/blog/a%3fb?x=1&y=2": "/posts/a%3Fb?x=1&y=2",
		"/blog%2fa%2Fb?x=%2f": "/posts/a/b?x=%2F", // a slash is one however it is spelt: no rule can be gone around
		"/s%61me":             "/same",
		"/sh%6Frt/a?%78=%31":  "/exact",
		"/q/a?b=c&d":          "/index.php?page=a?b=c&d",
		"/short/a?x=1":        "/exact",
		"/short/a?x=12":       "404",
		"/a%7eb":              "/tilde",
		"/a%7eb?":             "404",
		"//q//a":              "/index.php?page=a",
		"/same?x":             "/same",
	} {
		r, _ := placeholder.Keep(httptest.NewRequest(http.MethodGet, asked, nil))
		w := httptest.NewRecorder()
		routes.ServeHTTP(w, r)
		got := w.Body.String()
		if w.Code == http.StatusNotFound {
			got = "404"
		}
		if got != want {
			t.Errorf("%s becomes %s, want %s", asked, got, want)
		}
	}
	if _, err := NewSite(Site{Routes: []Route{{Match: Match{URI: "a", Regexp: "b"}, Handler: shown}}}); err == nil {
		t.Error("a route has two regexps")
	}
}

// shown answers with what the routes have made of the URI.
var shown = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = w.Write([]byte(r.URL.RequestURI()))
})
