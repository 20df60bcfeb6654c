package server

import (
	"net/http"
	"strings"

	"millrace/internal/placeholder"
	"millrace/internal/static"
)

// filesEach serves files from roots with placeholders.
func (b *builder) filesEach(at *place, o static.Options) (http.Handler, error) {
	roots := make([]rootText, len(o.Roots))
	for i, text := range o.Roots {
		t, err := at.text("root", text)
		if err != nil {
			return nil, err
		}
		roots[i] = newRootText(t)
	}
	h, err := static.NewEach(o, func(r *http.Request) ([]string, bool) {
		paths := make([]string, 0, len(roots))
		for _, root := range roots {
			path, ok := root.of(r)
			if !ok {
				return nil, false
			}
			paths = append(paths, path)
		}
		return paths, true
	})
	return b.keepFiles(o, h, err)
}

// rootText is a root with placeholders, in pieces.
type rootText []rootPiece

type rootPiece struct {
	fixed string
	value *placeholder.Text // nil: fixed
}

func newRootText(t *placeholder.Text) rootText {
	var root rootText
	for _, part := range t.Parts() {
		if fixed, ok := part.Constant(); ok {
			root = append(root, rootPiece{fixed: fixed})
		} else {
			root = append(root, rootPiece{value: part})
		}
	}
	return root
}

// of is the root of a request. A value must be the name of one folder, or a
// part of one, and not hidden; else there is no root: none leads elsewhere
// than where the text does.
func (root rootText) of(r *http.Request) (string, bool) {
	var path []byte
	for _, piece := range root {
		if piece.value == nil {
			path = append(path, piece.fixed...)
			continue
		}
		before := len(path)
		path = piece.value.Append(path, r)
		if !isFolderName(string(path[before:])) {
			return "", false
		}
	}
	return string(path), true
}

func isFolderName(s string) bool {
	return s != "" && len(s) <= 255 && s[0] != '.' && !strings.ContainsAny(s, `/\`) &&
		!strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
