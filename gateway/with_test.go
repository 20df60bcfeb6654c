package gateway

import (
	"fmt"
	"net/http/httptest"
	"testing"
)

func TestWithParams(t *testing.T) {
	r := httptest.NewRequest("GET", "/a/x.php", nil)
	split := func() string {
		target, _ := Split(r, "")
		return fmt.Sprint(target.Params)
	}
	if WithParams(r, nil) != r {
		t.Error("a request without parameters is another one without them")
	}
	r = WithScript(r, Script{Name: "/a/x.php", Params: []Param{{"A", "1"}}})
	r = WithParams(r, []Param{{"B", "2"}})
	if got := split(); got != "[{A 1} {B 2}]" {
		t.Errorf("with a script: %s", got)
	}
	r = WithParams(r, nil)
	if got := split(); got != "[{A 1}]" {
		t.Errorf("taken away: %s", got)
	}
}
