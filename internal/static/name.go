package static

import "strings"

// hasControl says whether a decoded path holds a control character or NUL.
func hasControl(path string) bool {
	for i := range len(path) {
		if path[i] < ' ' || path[i] == 0x7f {
			return true
		}
	}
	return false
}

// mergeSlashes makes one slash of several: templates that join "/static/" and
// "/css" are many, and other servers forgive them. It is also why a redirect
// never begins with two.
func mergeSlashes(path string) string {
	if !strings.Contains(path, "//") {
		return path
	}
	b := make([]byte, 0, len(path))
	for i := range len(path) {
		if path[i] != '/' || i == 0 || path[i-1] != '/' {
			b = append(b, path[i])
		}
	}
	return string(b)
}

// name makes the name of a file below the roots from a URL path that begins
// with a slash and has single slashes only. isFolder says that the path ends
// in one. It is not ok when nothing there may be served:
//
//   - not below the prefix to strip;
//   - "." and "..": browsers resolve them, so whoever sends one means harm;
//     they arrive here decoded (%2e%2e%2f), as r.URL.Path is;
//   - a hidden name, a file's or a folder's on the way: .git, .env, .htpasswd;
//     but /.well-known/ (RFC 8615) is made to be served;
//   - a backslash: a separator on Windows, and for some browsers.
func (h *Handler) name(path string) (rel string, isFolder, ok bool) {
	rel = path[1:]
	if h.strip != "/" {
		rest, below := strings.CutPrefix(path, h.strip)
		if !below || rest != "" && rest[0] != '/' {
			return "", false, false
		}
		rel = strings.TrimPrefix(rest, "/")
		isFolder = rest == "/"
	} else {
		isFolder = rel == ""
	}
	if rest, cut := strings.CutSuffix(rel, "/"); cut {
		rel, isFolder = rest, true
	}
	if strings.IndexByte(rel, '\\') >= 0 {
		return "", false, false
	}
	hidden := rel
	if h.strip == "/" && (rel == ".well-known" || strings.HasPrefix(rel, ".well-known/")) {
		hidden = rel[1:]
	}
	if strings.HasPrefix(hidden, ".") || strings.Contains(hidden, "/.") {
		return "", false, false
	}
	return rel, isFolder, true
}
