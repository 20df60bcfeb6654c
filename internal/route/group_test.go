package route

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/placeholder"
)

func parsed(t testing.TB, text string, scope placeholder.Scope) *placeholder.Text {
	t.Helper()
	p, err := placeholder.Parse(text, scope)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// keeping is h for requests whose groups are kept.
func keeping(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, _ = placeholder.Keep(r)
		h.ServeHTTP(w, r)
	})
}

// What is sent to a group is answered there, by the path that it was sent with,
// and nothing else comes to it.
func TestGroups(t *testing.T) {
	one := placeholder.Scope{Groups: 1}
	s, err := NewSite(Site{Routes: []Route{
		{Match: Match{Path: "/only"}, Group: "inside", Handler: named("only")},
		{Match: Match{Regexp: "^/go/(.*)"}, Rewrite: parsed(t, "/{1}", one), Goto: "inside"},
		{Match: Match{Path: "/round"}, Goto: "round"},
		{Match: Match{Path: "/anew"}, Goto: "anew"},
		{Match: Match{Path: "/try"}, Goto: "try"},
		{Group: "round", Goto: "round"},
		{Group: "anew", Rewrite: parsed(t, "/go/only", one), Repeat: true},
		{Group: "try", Try: &Try{Group: "inside", Exists: func(*http.Request, string) bool { return false }}, Handler: named("a file")},
		{Group: "inside", Match: Match{Path: "/try"}, Handler: named("tried")},
	}, Fallback: named("fallback")})
	if err != nil {
		t.Fatal(err)
	}
	s.KeepGroups()
	for target, want := range map[string]string{
		"/only": "200 fallback /only", "/go/only": "200 only /only", "/go/else": "404 404 not found",
		"/round": "500 500 internal server error", "/anew": "200 only /only", "/try": "200 tried /try",
	} {
		status, body := ask(t, keeping(s), target, "x")
		if got := fmt.Sprintf("%d %s", status, body); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
	if _, err := NewSite(Site{Routes: []Route{{Goto: "nowhere"}}}); err == nil {
		t.Error("a group that has no routes is one")
	}
}

// Texts and files are conditions like others, and see the groups of the route.
func TestValueAndExists(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	one := placeholder.Scope{Groups: 1}
	file := func(path string, kind Kind) []Exists { return []Exists{{parsed(t, dir+path, one), kind}} }
	s, err := NewSite(Site{Routes: []Route{
		{Match: Match{Regexp: "^/v/(.*)", Value: []Value{{parsed(t, "{1}-{query.q}", one), "~^a-(?P<found>[0-9]+)$"}}}, Rewrite: parsed(t, "/{found}", placeholder.Scope{Names: []string{"found"}}), Handler: named("value")},
		{Match: Match{Value: []Value{{parsed(t, "{query.empty}", one), ""}, {parsed(t, "{query.full}", one), "*"}}}, Handler: named("full")},
		{Match: Match{Regexp: "^/file(/.*)", Exists: file("{1}", File)}, Handler: named("file")},
		{Match: Match{Regexp: "^/folder(/.*)", Exists: file("{1}", Folder)}, Handler: named("folder")},
		{Match: Match{Regexp: "^/any(/.*)", Exists: file("{1}", AnyKind)}, Handler: named("any")},
		{Match: Match{Regexp: "^/none(/.*)", Exists: file("{1}", NoKind)}, Handler: named("none")},
		{Match: Match{Regexp: "^/not(/.*)", Not: &Match{Exists: file("{1}", AnyKind)}}, Handler: named("not")},
		{Match: Match{Path: "/up", Exists: file("/{query.name}", AnyKind)}, Handler: named("up")},
	}, Fallback: named("-")})
	if err != nil {
		t.Fatal(err)
	}
	s.KeepGroups()
	for target, want := range map[string]string{
		"/v/a?q=7": "value", "/v/b?q=7": "-", "/v/a?q=x": "-", "/?full=1": "full", "/?full=1&empty=2": "-",
		"/file/a.txt": "file", "/file/b.txt": "-", "/file/": "-", "/folder/": "folder", "/folder/a.txt": "-",
		"/any/a.txt": "any", "/any/": "any", "/any/b": "-", "/none/b": "none", "/none/a.txt": "-", "/not/b": "not", "/not/a.txt": "-",
		"/up?name=a.txt": "up", "/up?name=x/../a.txt": "-", "/up?name=a%00": "-",
	} {
		if _, body := ask(t, keeping(s), target, "x"); !strings.HasPrefix(body, want+" ") {
			t.Errorf("%s: %s, want %s", target, body, want)
		}
	}
	if _, body := ask(t, keeping(s), "/v/a?q=42", "x"); body != "value /42" {
		t.Errorf("the group of a value: %s", body)
	}
}
