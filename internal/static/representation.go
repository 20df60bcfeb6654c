package static

import (
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"millrace/internal/encode"
)

// representation is one file that may answer for a path: the file itself, or
// its sibling in an encoding. Its headers are made once: a response assigns
// them, and nothing is formatted. All but body, asked, and what package files
// guards, never changes.
type representation struct {
	root     *root
	rel      string
	identity identity
	tag      string // the ETag, with its quotes
	modified int64  // Unix seconds, as in Last-Modified; 0: not known

	contentType, etag, lastModified, length, encoding []string

	body  atomic.Pointer[[]byte] // the contents, once they are kept
	asked atomic.Bool            // for the contents, once before

	idle    *handle // guarded by files' mu
	retired bool    // guarded by files' mu
}

// describe makes the headers. coding is "" for the file itself.
func (rep *representation) describe(contentType, coding string, now time.Time) {
	id := &rep.identity
	var b [64]byte
	tag := append(b[:0], '"')
	tag = strconv.AppendInt(tag, id.size, 16)
	tag = append(tag, '-')
	tag = strconv.AppendInt(tag, id.mtime, 16)
	if coding != "" { // a strong tag names one sequence of bytes (RFC 9110, 8.8.3.3)
		tag = append(append(tag, '-'), coding...)
	}
	rep.tag = string(append(tag, '"'))

	values := [...]string{contentType, rep.tag, strconv.FormatInt(id.size, 10), coding, ""}
	rep.etag, rep.length = values[1:2:2], values[2:3:3]
	if contentType != "" {
		rep.contentType = values[0:1:1]
	}
	if coding != "" {
		rep.encoding = values[3:4:4]
	}
	// A time to come is not sent (RFC 9110, 8.8.2.1), nor one that stands for none.
	mtime := time.Unix(0, id.mtime)
	if mtime.After(now) {
		mtime = now
	}
	if id.mtime != 0 && !mtime.Equal(time.Time{}) {
		rep.modified = mtime.Unix()
		values[4] = mtime.UTC().Format(http.TimeFormat)
		rep.lastModified = values[4:5:5]
	}
}

// head sets what is the same for the whole representation and a part of it.
func (h *Handler) head(header http.Header, e *entry, rep *representation) {
	h.validators(header, e, rep)
	header["Content-Type"] = rep.contentType // nil, which keeps net/http from guessing, for a file without a type
	if rep.contentType != nil {
		header["X-Content-Type-Options"] = h.noSniff
	}
	header["Accept-Ranges"] = h.acceptRanges
	if rep.encoding != nil {
		header["Content-Encoding"] = rep.encoding
	}
	if rep.lastModified != nil {
		header["Last-Modified"] = rep.lastModified
	}
}

// validators sets what a 304 has, too (RFC 9110, 15.4.5).
func (h *Handler) validators(header http.Header, e *entry, rep *representation) {
	header["Etag"] = rep.etag
	if e.cacheControl != nil {
		header["Cache-Control"] = e.cacheControl
	}
	if len(e.reps) > 1 {
		vary(header, h.varyEncoding)
	}
}

// offer tells who compresses on the way which file it is that leaves in whole,
// so that it is compressed once.
func (rep *representation) offer(w http.ResponseWriter) {
	if rep.encoding == nil {
		id := &rep.identity
		encode.OfFile(w, encode.FileID{Device: id.dev, Inode: id.ino, Size: id.size, Modified: id.mtime, Changed: id.ctime})
	}
}

// vary adds to a Vary that may be there.
func vary(header http.Header, value []string) {
	if had := header["Vary"]; len(had) > 0 {
		header["Vary"] = append(had[:len(had):len(had)], value...)
	} else {
		header["Vary"] = value
	}
}

// choose picks the representation that a client takes best.
func (e *entry) choose(header http.Header) *representation {
	if len(e.reps) == 1 {
		return &e.reps[0]
	}
	coding, _ := encode.Negotiate(header["Accept-Encoding"], e.offers...)
	if i := slices.Index(e.offers, coding); i >= 0 {
		return &e.reps[i+1]
	}
	return &e.reps[0]
}
