package gateway

import (
	"net/http/httptest"
	"net/url"
	"testing"
)

func TestScriptGoesBeforeAllElse(t *testing.T) {
	r := httptest.NewRequest("GET", "/blog/a.php/more?x=1", nil)
	r.Header.Set("Script-Filename", "forged")
	r = WithScript(r, Script{Name: "/blog/a.php", Info: "/more", Params: p("SCRIPT_FILENAME=/srv/a.php", "SCRIPT_NAME=/blog/a.php", "SERVER_NAME=named")})
	for _, mount := range []string{"", "/blog", "/other"} {
		target := mustSplit(t, r, mount)
		params, err := AppendHTTP(nil, r, target)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for _, p := range params {
			seen[p.Name]++
		}
		for name, want := range map[string]string{
			"SCRIPT_NAME": "/blog/a.php", "PATH_INFO": "/more", "SCRIPT_FILENAME": "/srv/a.php", "QUERY_STRING": "x=1",
			"REQUEST_URI": "/blog/a.php/more?x=1", "SERVER_NAME": "named", "HTTP_SCRIPT_FILENAME": "forged",
		} {
			if got, _ := Lookup(params, name); got != want || seen[name] != 1 {
				t.Errorf("mount %q: %s is %q (%d times), want %q", mount, name, got, seen[name], want)
			}
		}
	}
}

// A redirect's request has the context of the one before it.
func TestScriptIsOfItsPath(t *testing.T) {
	r := WithScript(httptest.NewRequest("GET", "/a.php", nil), Script{Name: "/a.php"})
	next := r.Clone(r.Context())
	next.URL = &url.URL{Path: "/b"}
	if target := mustSplit(t, next, ""); target.ScriptName != "" || target.PathInfo != "/b" || target.Params != nil {
		t.Errorf("another path has %+v", target)
	}
}
