package server

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"millrace/gateway"
)

func TestAsScript(t *testing.T) {
	tests := []struct {
		name, script    string
		params          []gateway.Param
		wantName, wants string // SCRIPT_NAME and PATH_INFO
	}{
		{"mod_fcgid", "/home/me/site.fcgi", []gateway.Param{
			{Name: "SCRIPT_NAME", Value: "/~me/site.fcgi"}, {Name: "REQUEST_URI", Value: "/~me/site.fcgi?a"}, {Name: "SCRIPT_FILENAME", Value: "/home/me/public_html/site.fcgi"},
		}, "/~me/site.fcgi", ""},
		{"mod_fcgid with a path", "/home/me/site.fcgi", []gateway.Param{
			{Name: "SCRIPT_NAME", Value: "/site.fcgi"}, {Name: "PATH_INFO", Value: "/x"}, {Name: "REQUEST_URI", Value: "/site.fcgi/x"}, {Name: "SCRIPT_FILENAME", Value: "/w/site.fcgi"},
		}, "/site.fcgi", "/x"},
		{"as the index of a folder", "/home/me/site.fcgi", []gateway.Param{
			{Name: "SCRIPT_NAME", Value: "/site.fcgi"}, {Name: "REQUEST_URI", Value: "/"}, {Name: "SCRIPT_FILENAME", Value: "/w/site.fcgi"},
		}, "", "/"},
		{"nginx, started by spawn-fcgi", "/home/me/site.fcgi", []gateway.Param{
			{Name: "SCRIPT_NAME", Value: "/polls/"}, {Name: "REQUEST_URI", Value: "/polls/"}, {Name: "SCRIPT_FILENAME", Value: "/var/www/polls/"},
		}, "", "/polls/"},
		{"no script", "", []gateway.Param{
			{Name: "SCRIPT_NAME", Value: "/site.fcgi"}, {Name: "REQUEST_URI", Value: "/site.fcgi"}, {Name: "SCRIPT_FILENAME", Value: "/w/site.fcgi"},
		}, "", "/site.fcgi"},
	}
	for _, test := range tests {
		in := gateway.Incoming{Protocol: "fastcgi", Params: append(test.params, gateway.Param{Name: "REQUEST_METHOD", Value: "GET"})}
		r, err := gateway.ToHTTP(t.Context(), in)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		asScript(test.script, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			front := gateway.FrontOf(r.Context())
			if front.ScriptName != test.wantName || front.PathInfo != test.wants {
				t.Errorf("%s: SCRIPT_NAME %q, PATH_INFO %q", test.name, front.ScriptName, front.PathInfo)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
}
