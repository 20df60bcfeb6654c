// Package static serves a tree of files over HTTP.
//
// A Handler answers GET and HEAD for the files below one or several folders,
// its roots. A request goes this way:
//
//  1. What the Handler knows of the path (entry, in a Cache) is used for a
//     second; then the names are looked up again, and if nothing is another,
//     used for a second more. A known path takes no system call, and when the
//     file's contents are kept, no allocation and one Write.
//  2. Else the path is checked and cut into a name below the roots (see name):
//     control characters are answered 400; dotfiles, "..", and backslashes 404.
//  3. The roots are tried in order. A name is opened below the root's open
//     folder, so that neither ".." nor a symlink nor a rename can lead out of
//     it (unless FollowSymlinks allows links to). Only regular files are served.
//  4. A folder without a slash at the end is redirected to the path with one;
//     with it, the first of Index that is there answers, else, if Listing
//     allows it, a listing as HTML or JSON.
//  5. Beside the file, Precompressed finds NAME.br, NAME.zst and NAME.gz, which
//     are representations of it (representation): the one that the client likes
//     best answers. One that is older than the file is never served.
//  6. Conditions (precondition) and ranges (parseRange) are evaluated by RFC
//  9110. The file leaves with Content-Type, ETag (size and time of
//     modification), Last-Modified and X-Content-Type-Options. A small file
//     leaves in one write; a large one is given to the ResponseWriter's
//     ReadFrom as an *os.File, so that sendfile can send it.
//
// A file that is replaced, cut short or deleted while it is served is served
// as it was, or the connection is cut: what a request is promised is either
// read before (a small file), or looked at once more in the open file (a large
// one) just before the headers leave.
//
// What is not there is left to NotFound. What may not be read is 403, anything
// else that goes wrong 500, both with a line in the log.
//
// A root may be missing at first and come later, or be replaced by another
// folder (a deploy that changes a symlink): that is seen within a second, for
// all its files at once.
package static

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

	// Check is asked about the folder of a root, whenever one was opened: an
	// error says why it is not to be served. For roots whose paths others may
	// change. Default: nobody is asked.
	Check func(folder fs.FileInfo) error

	// Precompressed serves NAME.br, NAME.zst or NAME.gz beside NAME in its
	// place to clients that take the encoding, if it is smaller than NAME and
	// not older.
	Precompressed bool

	// Immutable are the paths whose files never change, as their names do
	// instead; nil: none. See HashedName for the usual ones. Their responses say
	// that they may be kept for a year without asking.
	Immutable func(path string) bool

	// CacheControl is the Cache-Control of every other file; "": none.
	CacheControl string

	// Listing lists folders that have no index file; nil: they are not found.
	Listing *Listing

	// Cache keeps what is known of files. Default: one of the Handler's own,
	// with the default bounds.
	Cache *Cache

	// Types are the media types. Default: NewTypes(nil).
	Types *Types

	// NotFound answers for what is not there. Default: a plain 404.
	NotFound http.Handler

	// Log gets what went wrong on our side. Default: nothing is logged.
	Log *slog.Logger
}

// Handler serves files. It is safe for concurrent use.
type Handler struct {
	o          Options
	roots      []*root
	strip      string
	cache      *Cache
	ownCache   bool
	generation atomic.Uint64 // changes with the folder of any root
	closed     atomic.Bool
	small      sync.Pool     // of *[]byte, smallFile long
	listings   chan struct{} // holds one for each listing that is being made

	// Values of headers that all files share.
	noSniff, acceptRanges, varyEncoding, immutable, cacheControl []string
}

// smallFile is the size up to which a file is read and written in one piece:
// below it, net/http's way to sendfile costs more than it saves.
const smallFile = 32 << 10

// complete fills in the defaults.
func (o *Options) complete() error {
	if o.Index == nil {
		o.Index = []string{"index.html"}
	}
	for _, name := range o.Index {
		if name == "" || name[0] == '.' || strings.ContainsAny(name, "/\\\x00") {
			return fmt.Errorf("cannot use %q as an index file: it must be the plain name of a file that is not hidden", name)
		}
	}
	o.Listing = listOptions(o.Listing)
	if o.Types == nil {
		o.Types = NewTypes(nil)
	}
	if o.NotFound == nil {
		o.NotFound = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusNotFound) })
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// New opens the roots. Close the Handler when it is no longer needed.
func New(o Options) (*Handler, error) {
	if len(o.Roots) == 0 {
		return nil, errors.New("cannot serve files: there is no root; name a folder")
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	h := &Handler{
		o: o, strip: "/" + strings.Trim(o.Strip, "/"), cache: o.Cache, ownCache: o.Cache == nil,
		listings: make(chan struct{}, maxListings),
		noSniff:  []string{"nosniff"}, acceptRanges: []string{"bytes"}, varyEncoding: []string{"Accept-Encoding"},
		immutable: []string{"public, max-age=31536000, immutable"},
	}
	if o.CacheControl != "" {
		h.cacheControl = []string{o.CacheControl}
	}
	if h.ownCache {
		h.cache = NewCache(CacheOptions{})
	}
	for _, dir := range o.Roots {
		r, err := newRoot(dir, &o)
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
	h.closed.Store(true)
	h.cache.forget(h)
	var errs []error
	if h.ownCache {
		h.cache.Close()
	}
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

// attempts is how often a file is looked up that changes while it is served.
const attempts = 3

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
	now := h.cache.now()
	h.refresh(now)
	// What is known was checked when it became so.
	if e := h.known(r.URL.Path, now); e != nil && h.answer(w, r, e, nil, true) {
		return
	}
	if r.URL.Path == "" || r.URL.Path[0] != '/' || hasControl(r.URL.Path) {
		plain(w, http.StatusBadRequest)
		return
	}
	clean := mergeSlashes(r.URL.Path)
	rel, isFolder, ok := h.name(clean)
	if !ok {
		h.o.NotFound.ServeHTTP(w, r)
		return
	}
	for attempt := 1; ; attempt++ {
		generation := h.generation.Load()
		f, err := h.look(rel, isFolder)
		switch {
		case err != nil:
			h.fail(w, r, f, err)
		case f.root == nil:
			h.o.NotFound.ServeHTTP(w, r)
		case f.meta.mode.IsRegular():
			e := h.describe(clean, &f, now)
			e.generation = generation
			h.cache.put(e)
			if !h.answer(w, r, e, &f.node, attempt < attempts) {
				now = h.cache.now()
				continue
			}
		case isFolder:
			f.node.close()
			h.list(w, r, clean, rel)
		default:
			f.node.close()
			redirect(w, r, clean+"/")
		}
		return
	}
}

// refresh has the roots look at their paths again, when it is time.
func (h *Handler) refresh(now int64) {
	for _, root := range h.roots {
		if !root.due(now) {
			continue
		}
		changed, err := root.refresh()
		if changed {
			h.generation.Add(1)
		}
		if err != nil {
			h.o.Log.Error("cannot change to the new folder of a files root", "root", root.dir, "err", err)
		}
	}
}

// fail answers a request whose file could not be opened.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, f found, err error) {
	switch {
	case errors.Is(err, fs.ErrPermission):
		h.o.Log.Warn("cannot open file: give the server's user the right to read it", "root", f.root.dir, "name", f.rel, "err", err)
		plain(w, http.StatusForbidden)
	case errors.Is(err, os.ErrClosed):
		plain(w, http.StatusServiceUnavailable)
	default:
		h.o.Log.Error("cannot open file", "root", f.root.dir, "name", f.rel, "path", r.URL.Path, "err", err)
		plain(w, http.StatusInternalServerError)
	}
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
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '#' { // "#": it would end the query
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
