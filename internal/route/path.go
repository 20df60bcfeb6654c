package route

// Paths that no route is asked about.

import (
	"net/http"
	"strings"
)

// rooted deals with request targets that are not a path: the absolute form
// without one becomes "/"; CONNECT, the asterisk form and the rest are
// answered here.
func rooted(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	switch {
	case r.Method == http.MethodConnect:
		http.Error(w, "501 CONNECT is for proxies", http.StatusNotImplemented)
		return nil, false
	case r.URL.Path == "" && r.URL.Host != "":
		c, u := *r, *r.URL
		u.Path = "/"
		c.URL = &u
		return &c, true
	}
	http.Error(w, "400 bad request: the path does not start with a slash", http.StatusBadRequest)
	return nil, false
}

// refuse says what is wrong with a decoded path, or "".
func refuse(path string) string {
	segment := 0 // where the running segment starts
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c < 0x20 || c == 0x7f:
			return "control character in the path"
		case c == '/', c == '\\': // to a back end on Windows, or one that is written for it
			if dots(path[segment:i]) {
				return "dot segment in the path"
			}
			segment = i + 1
		}
	}
	if dots(path[segment:]) {
		return "dot segment in the path"
	}
	return ""
}

// dots reports whether a segment leads elsewhere: to servers of servlets also
// with a parameter ("..;", RFC 3986, section 3.3), which they drop first.
func dots(segment string) bool {
	if segment == "" || segment[0] != '.' {
		return false
	}
	segment, _, _ = strings.Cut(segment, ";")
	return segment == "." || segment == ".."
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "404 not found", http.StatusNotFound)
}

// singleSlashes is r with one slash in its path where it has several; r itself
// if it has none.
func singleSlashes(r *http.Request) *http.Request {
	path := r.URL.Path
	if !strings.Contains(path, "//") {
		return r
	}
	b := make([]byte, 0, len(path))
	for i := range len(path) {
		if path[i] != '/' || i == 0 || path[i-1] != '/' {
			b = append(b, path[i])
		}
	}
	next, u := *r, *r.URL
	u.Path, u.RawPath = string(b), ""
	next.URL = &u
	return &next
}
