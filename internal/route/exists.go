package route

// Conditions on any text, and on what the file system has.

import (
	"net/http"
	"os"
	"path/filepath"

	"millrace/internal/placeholder"
)

// Value is a condition on a text with placeholders: the text itself, "~" and a
// regexp, "*" for one that is not empty, "" for one that is. It may name the
// groups of the regexp of its route.
type Value struct {
	Text  *placeholder.Text
	Value string
}

// Exists is a condition on a file, by its absolute path.
type Exists struct {
	Path *placeholder.Text
	Kind Kind
}

// Kind is what has to be there.
type Kind uint8

const (
	AnyKind Kind = iota // a file, a folder, or whatever else
	File                // a regular file
	Folder              // a folder
	NoKind              // nothing
)

// holds looks at the file system. What a path may not be (RFC 3986's dot
// segments, a NUL) is not there, whoever's value has it.
func (e *Exists) holds(r *http.Request) bool {
	path := e.Path.Expand(r)
	if !filepath.IsAbs(path) || refuse(path) != "" {
		return e.Kind == NoKind
	}
	info, err := os.Stat(path)
	if err != nil {
		return e.Kind == NoKind
	}
	switch e.Kind {
	case File:
		return info.Mode().IsRegular()
	case Folder:
		return info.IsDir()
	case NoKind:
		return false
	}
	return true
}
