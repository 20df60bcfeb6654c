package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

type picky struct{ http.ResponseWriter }

func (picky) WantsBody(status int) bool { return status != 200 }

type around struct{ http.ResponseWriter }

func (a around) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func TestWantsBody(t *testing.T) {
	rec := httptest.NewRecorder()
	for _, tt := range []struct {
		w      http.ResponseWriter
		status int
		wants  bool
	}{{rec, 200, true}, {around{rec}, 200, true}, {picky{rec}, 200, false}, {picky{rec}, 404, true}, {around{around{picky{rec}}}, 200, false}} {
		if WantsBody(tt.w, tt.status) != tt.wants {
			t.Errorf("%T with %d: %v", tt.w, tt.status, !tt.wants)
		}
	}
}
