package static

import (
	"net/http"
	"strings"
	"time"
)

// Exists reports whether a request for a decoded path, with GET, would be
// answered by a file: the path's own, or, where it ends with a slash, one of
// Index in the folder, or its listing. A folder without a slash behind it is
// none.
func (h *Handler) Exists(path string) bool {
	if h.closed.Load() || !strings.HasPrefix(path, "/") || hasControl(path) {
		return false
	}
	path = mergeSlashes(path)
	rel, isFolder, ok := h.name(path)
	if !ok {
		return false
	}
	now := h.cache.now()
	h.refresh(now)
	if h.known(path, now) != nil {
		return true
	}
	f, err := h.look(rel, isFolder)
	if err != nil || f.root == nil {
		return false
	}
	f.node.close()
	return isFolder || f.meta.mode.IsRegular()
}

// Exists is Handler.Exists, below the roots of a request.
func (e *Each) Exists(r *http.Request, path string) bool {
	roots, ok := e.folders(r)
	if !ok {
		return false
	}
	m := e.enter(roots, time.Now())
	if m == nil {
		return false
	}
	defer e.leave(m)
	return m.handler.Exists(path)
}
