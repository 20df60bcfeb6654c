package route

// Files that are looked for before a route answers.

import (
	"net/http"
	"strings"

	"millrace/internal/placeholder"
)

// Try says which files are looked for.
type Try struct {
	// Paths are looked for in order; the route answers for the first that is
	// there, as if it had been asked for. One that ends with a slash is a
	// folder.
	Paths []*placeholder.Text

	// Else is the path that the request goes on with at the first route, past
	// this one, where none is there; nil: it goes on as it is with the routes of
	// Group, or without one is answered with Status.
	Else   *placeholder.Text
	Group  string
	Status int

	// Exists reports whether a file, or for a path that ends with a slash a
	// folder, is there to be served. The path is decoded, and was refused if
	// it holds anything that Routes refuses.
	Exists func(r *http.Request, path string) bool
}

// statusNext stands for going on with Else.
const statusNext = 1

// look returns the path that the request is for, and 0; or Else and
// statusNext; or the status that answers it.
func (t *Try) look(r *http.Request) (*placeholder.Text, int) {
	for _, text := range t.Paths {
		next, err := Rewrite(r, text)
		if err == nil && refuse(next.URL.Path) == "" && t.Exists(r, next.URL.Path) {
			return text, 0
		}
	}
	if t.Else != nil || t.Group != "" {
		return t.Else, statusNext
	}
	return nil, t.Status
}

// group is the group that requests may be sent to; "": none.
func (t *Try) group() string {
	if t == nil {
		return ""
	}
	return t.Group
}

// IsFolder reports whether a path that is looked for is a folder's.
func IsFolder(path string) bool { return strings.HasSuffix(path, "/") }
