package static

import (
	"encoding/json"
	"errors"
	"hash/fnv"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
)

// list answers with the listing of a folder.
func (h *Handler) list(w http.ResponseWriter, r *http.Request, path, rel string) {
	select {
	case h.listings <- struct{}{}:
		defer func() { <-h.listings }()
	case <-r.Context().Done():
		panic(http.ErrAbortHandler) // the client has left
	}
	want, asJSON := h.wanted(r)
	p, at, err := h.read(r.Context(), path, rel, want)
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		if errors.Is(err, os.ErrNotExist) { // deleted just now
			h.o.NotFound.ServeHTTP(w, r)
			return
		}
		h.fail(w, r, at, err)
		return
	}
	var body []byte
	header := w.Header()
	if asJSON {
		header["Content-Type"] = []string{"application/json"}
		body = p.json()
	} else {
		header["Content-Type"] = []string{"text/html; charset=utf-8"}
		header["Content-Security-Policy"] = []string{pagePolicy()}
		body = p.html(h.o.Listing.Sort, h.o.Types)
	}
	vary(header, []string{"Accept"})
	sum := fnv.New64a()
	sum.Write(body)
	tag := `"` + strconv.FormatUint(sum.Sum64(), 16) + `"`
	header["Etag"] = []string{"W/" + tag}
	header["Cache-Control"] = []string{"no-cache"} // a client asks each time, and is told 304
	header["X-Content-Type-Options"] = h.noSniff
	if none, ok := r.Header["If-None-Match"]; ok && matches(none, tag, true) {
		delete(header, "Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // an error is the client's end: the server sees it, too
	}
}

// wanted reads the query: sort, page, q (a part of the name), format. What is
// not understood is as if it were not there.
func (h *Handler) wanted(r *http.Request) (want asked, asJSON bool) {
	want = asked{sort: h.o.Listing.Sort, page: 1}
	asJSON = prefersJSON(r.Header["Accept"])
	if r.URL.RawQuery == "" {
		return want, asJSON
	}
	query := r.URL.Query()
	switch s := query.Get("sort"); strings.TrimPrefix(s, "-") {
	case "name", "size", "time":
		want.sort = s
	}
	if n, err := strconv.Atoi(query.Get("page")); err == nil {
		want.page = n
	}
	want.query = strings.TrimSpace(query.Get("q"))
	if len(want.query) > 255 { // longer than any name
		want.query = want.query[:255]
	}
	switch query.Get("format") {
	case "json":
		asJSON = true
	case "html":
		asJSON = false
	}
	return want, asJSON
}

// prefersJSON says whether JSON is named in an Accept header, and HTML is not
// liked as much.
func prefersJSON(accept []string) bool {
	liked := map[string]float64{}
	for _, value := range accept {
		if len(value) > 1024 {
			continue
		}
		for one := range strings.SplitSeq(value, ",") {
			kind, params, _ := strings.Cut(one, ";")
			q := 1.0
			for param := range strings.SplitSeq(params, ";") {
				if text, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(param)), "q="); ok {
					var err error
					if q, err = strconv.ParseFloat(text, 64); err != nil || !(q >= 0 && q <= 1) {
						q = 0
					}
				}
			}
			kind = strings.ToLower(strings.TrimSpace(kind))
			liked[kind] = max(liked[kind], q)
		}
	}
	html := max(liked["text/html"], liked["application/xhtml+xml"])
	return liked["application/json"] > html
}

// jsonPage is a listing for programs.
type jsonPage struct {
	Path    string      `json:"path"`
	Sort    string      `json:"sort"`
	Query   string      `json:"q,omitempty"`
	Page    int         `json:"page"`
	Pages   int         `json:"pages"`
	Total   int         `json:"total"`
	Whole   bool        `json:"whole"`
	Entries []jsonEntry `json:"entries"`
}

type jsonEntry struct {
	Name     string    `json:"name"`
	Type     string    `json:"type"` // "file" or "directory"
	Size     *int64    `json:"size,omitempty"`
	Modified time.Time `json:"modified"`
	Href     string    `json:"href"` // relative to the folder: exact where the name is not UTF-8
}

func (p *page) json() []byte {
	out := jsonPage{p.path, p.sort, p.query, p.number, p.pages, p.folders + p.files, p.whole, make([]jsonEntry, 0, len(p.items))}
	for i := range p.items {
		it := &p.items[i]
		e := jsonEntry{Name: it.name, Type: "file", Size: &it.size, Modified: time.Unix(it.mtime/1e9, 0).UTC(), Href: it.href()}
		if it.folder {
			e.Type, e.Size = "directory", nil
		}
		out.Entries = append(out.Entries, e)
	}
	body, err := json.Marshal(out)
	if err != nil {
		panic(err) // of a time before the year 0: no filesystem has one
	}
	return append(body, '\n')
}

// href is a link to an entry from its folder. "./" keeps a name with a colon
// from being a scheme.
func (it *item) href() string {
	to := "./" + url.PathEscape(it.name)
	if it.folder {
		to += "/"
	}
	return to
}

// kind is what an entry's picture shows.
func (it *item) kind(types *Types) string {
	if it.folder {
		return "folder"
	}
	mediaType := types.ByName(it.name)
	top, _, _ := strings.Cut(mediaType, "/")
	switch {
	case top == "image", top == "video", top == "audio":
		return top
	case strings.Contains("application/zip application/gzip application/x-tar application/x-7z-compressed application/zstd application/x-xz application/x-bzip2 application/vnd.rar", mediaType):
		return "archive"
	case top == "text", mediaType == "application/pdf":
		return "text"
	}
	return "file"
}

// crumb is one folder on the way to the one that is listed.
type crumb struct{ name, href string }

// crumbs are the folders from the top to this one.
func (p *page) crumbs() []crumb {
	link := func(path string) string { return (&url.URL{Path: path}).EscapedPath() }
	name := path.Base(p.top)
	if name == "/" {
		name = "Home"
	}
	all := []crumb{{name, link(p.top)}}
	at := p.top
	for part := range strings.SplitSeq(strings.Trim(strings.TrimPrefix(p.path, p.top), "/"), "/") {
		if part != "" {
			at += part + "/"
			all = append(all, crumb{part, link(at)})
		}
	}
	return all
}

// sizeText is a size for people, with three figures or so.
func sizeText(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	x := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB", "PB", "EB"} {
		if x /= 1000; x < 999.5 {
			digits := 0
			if x < 9.95 {
				digits = 1
			}
			return strconv.FormatFloat(x, 'f', digits, 64) + " " + unit
		}
	}
	return ""
}

func timeText(unixNano int64) (text, iso string) {
	t := time.Unix(unixNano/1e9, 0).UTC()
	return t.Format("2006-01-02 15:04"), t.Format("2006-01-02T15:04:05Z")
}
