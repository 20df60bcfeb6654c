package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"millrace/internal/placeholder"
)

// The first layer of a list is the outermost.
func TestWrapOrder(t *testing.T) {
	var order []string
	named := func(name string) layer {
		return func(_ *builder, _ *place, next http.Handler) (http.Handler, error) {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				order = append(order, name)
				next.ServeHTTP(w, r)
			}), nil
		}
	}
	h, err := new(builder).wrap(&place{}, []layer{named("a"), named("b"), named("c")}, http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if got := strings.Join(order, ""); got != "abc" {
		t.Errorf("the order is %q", got)
	}
}

// What texts need is found out, and where none needs anything nothing is kept.
func TestPlaceTexts(t *testing.T) {
	for text, wants := range map[string]bool{"{path}": false, "{1}": true} {
		at := &place{name: "[[site]] 1", scope: placeholder.Scope{Groups: 1}, needs: new(placeholder.Needs)}
		if _, err := at.text("rewrite", text); err != nil {
			t.Fatal(err)
		}
		var found *placeholder.Found
		h, err := layerFound(nil, at, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { found = placeholder.FoundOf(r) }))
		if err != nil {
			t.Fatal(err)
		}
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		if (found != nil) != wants {
			t.Errorf("%s: found %v, want it: %v", text, found, wants)
		}
	}
	at := &place{name: "[[site]] 1", needs: new(placeholder.Needs)}
	if _, err := at.text("rewrite", "{nothing}"); err == nil || !strings.Contains(err.Error(), "rewrite in [[site]] 1") {
		t.Errorf("an unknown name: %v", err)
	}
}
