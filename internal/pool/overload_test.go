package pool

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"millrace/gateway"
)

// overloading is the ResponseWriter of a front server that understands a
// refusal in the protocol's own words, or does not.
type overloading struct {
	*httptest.ResponseRecorder
	understands bool
	said        int
}

func (o *overloading) Overload() bool {
	o.said++
	return o.understands
}

// wrapped hides it as a wrapper of handlers does.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// TestOverload: the protocol's own words go before a 503, and both are counted.
func TestOverload(t *testing.T) {
	cfg := testConfig(t, "basic:application")
	cfg.Queue = 0
	p, _ := startPool(t, cfg)
	<-p.Ready()
	for i, understands := range []bool{true, false} {
		w := &overloading{ResponseRecorder: httptest.NewRecorder(), understands: understands}
		p.Handler("").ServeHTTP(wrapped{w}, fronted(t, gateway.Incoming{Protocol: "fastcgi"}, "/hello", "", gateway.Param{Name: "CONTENT_LENGTH", Value: "5"}))
		if w.said != 1 {
			t.Errorf("it was asked %d times", w.said)
		}
		if answered := w.Body.Len() > 0 || len(w.Header()) > 0; answered == understands {
			t.Errorf("understands: %v; answered with %d %v %q", understands, w.Code, w.Header(), w.Body)
		}
		if !understands && (w.Code != 503 || w.Header().Get("Retry-After") == "") {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		if n := p.Status().Refused.Count; n != uint64(i+1) {
			t.Errorf("%d refusals are counted, want %d", n, i+1)
		}
	}
}
