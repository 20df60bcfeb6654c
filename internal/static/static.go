// Package static serves a tree of files over HTTP.
//
// A Handler answers GET and HEAD for the files below one or several folders,
// its roots. A request goes this way:
//
//  1. The path is checked and cut into a name below the roots (see name):
//     control characters are answered 400; dotfiles, "..", and backslashes 404.
//  2. The roots are tried in order. A name is opened below the root's open
//     folder, so that neither ".." nor a symlink nor a rename can lead out of
//     it (unless FollowSymlinks allows links to). Only regular files are served.
//  3. A folder without a slash at the end is redirected to the path with one;
//     with it, the first of Index that is there answers. Folders are not listed.
//  4. The file leaves with Content-Type, ETag (size and time of modification),
//     Last-Modified and X-Content-Type-Options; http.ServeContent decides
//     about ranges and conditions. A small file leaves in one write; a large
//     one is given to the ResponseWriter's ReadFrom as an *os.File, so that
//     sendfile can send it.
//
// What is not there is left to NotFound. What may not be read is 403, anything
// else that goes wrong 500, both with a line in the log.
//
// A root may be missing at first and come later, or be replaced by another
// folder (a deploy that changes a symlink): that is seen within a second.
//
// The package caches no content, and compresses nothing.
package static

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options says what a Handler serves. Roots is required.
type Options struct {
	// Roots are folders, searched in order for each name. A folder that does
	// not exist yet is searched from when it does. New refuses an empty name,
	// the root of the filesystem, and a folder that holds a manage.py.
	Roots []string

	// Strip is dropped from the URL path before it is joined with a root:
	// "/static" or "/static/". A path that is not below it is not found.
	// Default: nothing.
	Strip string

	// Index are the files that answer for a folder, the first that is there.
	// Default (nil): index.html. Empty but not nil: none.
	Index []string

	// FollowSymlinks lets a link lead out of its root.
	FollowSymlinks bool

	// Types are the media types. Default: NewTypes(nil).
	Types *Types

	// NotFound answers for what is not there. Default: a plain 404.
	NotFound http.Handler

	// Log gets what went wrong on our side. Default: nothing is logged.
	Log *slog.Logger
}

// Handler serves files. It is safe for concurrent use.
type Handler struct {
	roots    []*root
	strip    string
	index    []string
	types    *Types
	notFound http.Handler
	log      *slog.Logger
	small    sync.Pool // of *[]byte, smallFile long
}

// smallFile is the size up to which a file is read and written in one piece:
// below it, net/http's way to sendfile costs more than it saves.
const smallFile = 32 << 10

// maxRanges is how many ranges a request may ask for; beyond it they are
// ignored (RFC 9110, 14.2), as each costs a part with headers of its own.
const maxRanges = 32

// New opens the roots. Close the Handler when it is no longer needed.
func New(o Options) (*Handler, error) {
	h := &Handler{strip: "/" + strings.Trim(o.Strip, "/"), index: o.Index, types: o.Types, notFound: o.NotFound, log: o.Log}
	if len(o.Roots) == 0 {
		return nil, errors.New("cannot serve files: there is no root; name a folder")
	}
	if h.index == nil {
		h.index = []string{"index.html"}
	}
	for _, name := range h.index {
		if name == "" || name[0] == '.' || strings.ContainsAny(name, "/\\\x00") {
			return nil, fmt.Errorf("cannot use %q as an index file: it must be the plain name of a file that is not hidden", name)
		}
	}
	if h.types == nil {
		h.types = NewTypes(nil)
	}
	if h.notFound == nil {
		h.notFound = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusNotFound) })
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	for _, dir := range o.Roots {
		r, err := newRoot(dir, o.FollowSymlinks)
		if err != nil {
			return nil, errors.Join(err, h.Close())
		}
		h.roots = append(h.roots, r)
	}
	return h, nil
}

// Close closes the roots. Files that are being sent are not disturbed;
// requests that come later are answered 503.
func (h *Handler) Close() error {
	var errs []error
	for _, r := range h.roots {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}

// plain answers with a status and its text.
func plain(w http.ResponseWriter, status int) {
	http.Error(w, strconv.Itoa(status)+" "+http.StatusText(status), status)
}

const allow = "GET, HEAD, OPTIONS"

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		w.Header().Set("Allow", allow)
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		w.Header().Set("Allow", allow)
		plain(w, http.StatusMethodNotAllowed)
		return
	}
	if r.URL.Path == "" || r.URL.Path[0] != '/' || hasControl(r.URL.Path) {
		plain(w, http.StatusBadRequest)
		return
	}
	clean := mergeSlashes(r.URL.Path)
	rel, isFolder, ok := h.name(clean)
	if !ok {
		h.notFound.ServeHTTP(w, r)
		return
	}
	now := time.Now()
	for _, root := range h.roots {
		if err := root.refresh(now); err != nil {
			h.log.Error("cannot change to the new folder of a files root", "root", root.dir, "err", err)
		}
	}
	var done bool
	if isFolder {
		done = h.serveIndex(w, r, rel)
	} else {
		done = h.serveName(w, r, clean, rel)
	}
	if !done {
		h.notFound.ServeHTTP(w, r)
	}
}

// serveName answers for a name without a slash at its end, if it is there.
func (h *Handler) serveName(w http.ResponseWriter, r *http.Request, clean, rel string) bool {
	for _, root := range h.roots {
		n, m, found, ok := h.find(w, r, root, rel)
		if !ok {
			return true
		}
		if !found {
			continue
		}
		switch {
		case m.mode.IsRegular():
			h.send(w, r, root, rel, &n, m)
		case m.mode.IsDir():
			n.close()
			redirect(w, r, clean+"/")
		default: // a FIFO, a device, a socket
			n.close()
			continue
		}
		return true
	}
	return false
}

// serveIndex answers for a folder, if one of its index files is there.
func (h *Handler) serveIndex(w http.ResponseWriter, r *http.Request, rel string) bool {
	for _, root := range h.roots {
		for _, index := range h.index {
			name := index
			if rel != "" {
				name = rel + "/" + index
			}
			n, m, found, ok := h.find(w, r, root, name)
			switch {
			case !ok:
				return true
			case !found:
			case m.mode.IsRegular():
				h.send(w, r, root, name, &n, m)
				return true
			default:
				n.close()
			}
		}
	}
	return false
}

// find opens a name. When that fails for another reason than that it is not
// there, it answers the request and says that it is not ok.
func (h *Handler) find(w http.ResponseWriter, r *http.Request, root *root, rel string) (n node, m meta, found, ok bool) {
	n, err := root.open(rel)
	if err == nil {
		if m, err = n.stat(); err == nil {
			return n, m, true, true
		}
		n.close()
	}
	if hidden(err) {
		return n, m, false, true
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		h.log.Warn("cannot open file: give the server's user the right to read it", "root", root.dir, "name", rel, "err", err)
		plain(w, http.StatusForbidden)
	case errors.Is(err, os.ErrClosed):
		plain(w, http.StatusServiceUnavailable)
	default:
		h.log.Error("cannot open file", "root", root.dir, "name", rel, "path", r.URL.Path, "err", err)
		plain(w, http.StatusInternalServerError)
	}
	return n, m, false, false
}

// send answers with a regular file, and closes it.
func (h *Handler) send(w http.ResponseWriter, r *http.Request, root *root, rel string, n *node, m meta) {
	defer n.close()
	header := w.Header()
	h.describe(header, rel, m)
	if conditional(r.Header) {
		http.ServeContent(w, fewRanges(r), "", m.mtime, n.file(rel))
		return
	}
	header["Accept-Ranges"] = []string{"bytes"}
	if !epoch(m.mtime) {
		header["Last-Modified"] = []string{m.mtime.UTC().Format(http.TimeFormat)}
	}
	header["Content-Length"] = []string{strconv.FormatInt(m.size, 10)}
	switch {
	case r.Method == http.MethodHead || m.size == 0:
		w.WriteHeader(http.StatusOK)
	case m.size <= smallFile:
		h.sendSmall(w, root, rel, n, int(m.size))
	default:
		w.WriteHeader(http.StatusOK)
		// The rest of the errors are the client's end: the server sees it, too.
		if sent, err := io.CopyN(w, n.file(rel), m.size); err == io.EOF || errors.Is(err, syscall.EIO) {
			h.log.Error("a response was cut short: the file shrank or the disk failed", "root", root.dir, "name", rel, "size", m.size, "sent", sent, "err", err)
		}
	}
}

func (h *Handler) sendSmall(w http.ResponseWriter, root *root, rel string, n *node, size int) {
	buf, ok := h.small.Get().(*[]byte)
	if !ok {
		b := make([]byte, smallFile)
		buf = &b
	}
	defer h.small.Put(buf)
	got, err := n.readStart((*buf)[:size])
	if err == nil && got < size {
		err = errors.New("the file shrank while it was read")
	}
	if err != nil {
		h.log.Error("cannot read file", "root", root.dir, "name", rel, "err", err)
		for _, key := range []string{"Accept-Ranges", "Last-Modified", "Content-Length", "Etag"} {
			delete(w.Header(), key)
		}
		plain(w, http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write((*buf)[:size]) // an error is the client's end: the server sees it, too
}

// describe sets the headers that hold for any response about the file.
func (h *Handler) describe(header http.Header, rel string, m meta) {
	header["Content-Type"] = []string{h.types.ByName(rel)}
	header["X-Content-Type-Options"] = []string{"nosniff"}
	var tag [40]byte
	b := append(tag[:0], '"')
	b = strconv.AppendInt(b, m.size, 16)
	b = append(b, '-')
	b = strconv.AppendInt(b, m.mtime.UnixNano(), 16)
	header["Etag"] = []string{string(append(b, '"'))}
}

// epoch says whether t stands for "no time", as http.ServeContent has it.
func epoch(t time.Time) bool { return t.IsZero() || t.Equal(time.Unix(0, 0)) }

// conditional says whether the request asks for more than the whole file.
func conditional(h http.Header) bool {
	for _, key := range [...]string{"Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"} {
		if _, ok := h[key]; ok {
			return true
		}
	}
	return false
}

// fewRanges returns r, or when it asks for too many ranges, one without them.
func fewRanges(r *http.Request) *http.Request {
	if strings.Count(r.Header.Get("Range"), ",") < maxRanges {
		return r
	}
	whole := new(*r)
	whole.Header = r.Header.Clone()
	whole.Header.Del("Range")
	return whole
}

// redirect sends the client to path, a clean one of this site, with its query.
func redirect(w http.ResponseWriter, r *http.Request, path string) {
	// A path with one slash at its start is never another site's; and all that
	// is not plain in it is escaped.
	to := (&url.URL{Path: path}).EscapedPath()
	if r.URL.RawQuery != "" {
		to += "?" + escapeBytes(r.URL.RawQuery)
	}
	w.Header().Set("Location", to)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusMovedPermanently)
}

// escapeBytes escapes what may not be in a header: a query is as the client
// sent it.
func escapeBytes(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
