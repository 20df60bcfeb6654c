package server

import (
	"net/http"
	"path"
	"strings"

	"millrace/gateway"
)

// asScript is next for an app that a front server starts as a script, as
// Apache's mod_fcgid does: SCRIPT_NAME is the script's then, and a missing
// PATH_INFO is an empty one (RFC 3875, section 4.1.5). Without a script it is
// next. That a request is for the script is told by its SCRIPT_FILENAME: the
// same script behind nginx, started by spawn-fcgi, gets one that is made of
// the path, and a SCRIPT_NAME that is the whole path.
func asScript(script string, next http.Handler) http.Handler {
	if script == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if front := gateway.FrontOf(r.Context()); front != nil && !front.HasPathInfo {
			name, _ := gateway.Lookup(front.Params, "SCRIPT_NAME")
			file, _ := gateway.Lookup(front.Params, "SCRIPT_FILENAME")
			if path.Base(file) == path.Base(script) && strings.HasPrefix(name, "/") && r.URL.Path == name {
				front.ScriptName, front.PathInfo, front.HasPathInfo = name, "", true
			}
		}
		next.ServeHTTP(w, r)
	})
}
