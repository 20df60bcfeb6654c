package cache

// From what is stored to a response: conditions, ranges, the body.

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// source is where a body is: in memory, in a file from its beginning, or with
// one who reads it as it comes.
type source struct {
	mem    []byte
	file   *os.File
	reader *reader
	length int64 // -1: not known
}

// answer answers with an entry.
func (q *query) answer(e *entry, src source, now time.Time, note string) {
	w, r, h := q.w, q.r, q.w.Header()
	for name, values := range e.header {
		h[name] = values
	}
	if _, ok := e.header["Content-Type"]; !ok {
		h["Content-Type"] = nil // the server must not guess one
	}
	h["Age"] = []string{strconv.FormatInt(int64(e.age(now)/time.Second), 10)}
	q.h.note(h, note)
	if e.status != http.StatusOK {
		q.whole(e, src)
		return
	}
	if notModified(r, e.header) {
		stripBody(h)
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if src.length >= 0 && h["Accept-Ranges"] == nil {
		h["Accept-Ranges"] = []string{"bytes"}
	}
	if src.length >= 0 && r.Method == http.MethodGet && ranged(r) && rangeHolds(r, e.header) {
		ranges, ok := parseRange(r.Header["Range"], src.length)
		switch {
		case !ok || src.reader != nil && len(ranges) > 1:
		case len(ranges) == 0:
			h["Content-Range"] = []string{"bytes */" + strconv.FormatInt(src.length, 10)}
			stripUnsatisfied(h)
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		case len(ranges) == 1:
			at := ranges[0]
			h["Content-Range"] = []string{at.text(src.length)}
			h["Content-Length"] = []string{strconv.FormatInt(at.length, 10)}
			w.WriteHeader(http.StatusPartialContent)
			q.send(src, at)
			return
		default:
			q.parts(src, ranges)
			return
		}
	}
	q.whole(e, src)
}

// whole sends all of a body.
func (q *query) whole(e *entry, src source) {
	h := q.w.Header()
	if src.length >= 0 && !bodyless(e.status) {
		h["Content-Length"] = []string{strconv.FormatInt(src.length, 10)}
		if of := q.h.rules.OfEntry; of != nil && e.status == http.StatusOK && src.mem != nil {
			of(q.w, e.serial, src.length)
		}
	}
	q.w.WriteHeader(e.status)
	if q.r.Method != http.MethodHead && !bodyless(e.status) {
		q.send(src, byteRange{0, src.length})
	}
}

// send sends a part of a body. A body that ends early is cut short for the
// client as well.
func (q *query) send(src source, at byteRange) {
	switch {
	case src.reader != nil:
		q.stream(src.reader, at)
	case src.file != nil:
		if _, err := src.file.Seek(at.start, io.SeekStart); err != nil {
			panic(http.ErrAbortHandler)
		}
		n, err := io.CopyN(q.w, src.file, at.length)
		if n < at.length && errors.Is(err, io.EOF) {
			panic(http.ErrAbortHandler)
		}
	case at.length > 0:
		_, _ = q.w.Write(src.mem[at.start : at.start+at.length]) // an error is a client that has left
	}
}

// stream sends a body as it comes; at.length may be unknown.
func (q *query) stream(rd *reader, at byteRange) {
	ctx := q.r.Context()
	skip, left, flushed := at.start, at.length, int64(0)
	for left != 0 {
		p, flush, err := rd.next(ctx, flushed)
		switch {
		case errors.Is(err, io.EOF) && left < 0:
			return
		case errors.Is(err, context.Canceled):
			return
		case err != nil:
			panic(http.ErrAbortHandler)
		case flush:
			flushed = rd.off
			if http.NewResponseController(q.w).Flush() != nil {
				return
			}
			continue
		}
		if skip > 0 {
			n := min(skip, int64(len(p)))
			skip, p = skip-n, p[n:]
		}
		if left >= 0 {
			p = p[:min(left, int64(len(p)))]
			left -= int64(len(p))
		}
		if len(p) == 0 {
			continue
		}
		if _, err := q.w.Write(p); err != nil {
			return
		}
	}
}

// parts sends several ranges (RFC 9110, 14.6).
func (q *query) parts(src source, ranges []byteRange) {
	h := q.w.Header()
	var random [15]byte
	_, _ = rand.Read(random[:])
	boundary := hex.EncodeToString(random[:])
	kind := ""
	if t := h["Content-Type"]; len(t) > 0 {
		kind = "Content-Type: " + t[0] + "\r\n"
	}
	heads, total := make([]string, len(ranges)), int64(0)
	for i, at := range ranges {
		heads[i] = fmt.Sprintf("\r\n--%s\r\n%sContent-Range: %s\r\n\r\n", boundary, kind, at.text(src.length))
		total += int64(len(heads[i])) + at.length
	}
	end := "\r\n--" + boundary + "--\r\n"
	h["Content-Type"] = []string{"multipart/byteranges; boundary=" + boundary}
	h["Content-Length"] = []string{strconv.FormatInt(total+int64(len(end)), 10)}
	q.w.WriteHeader(http.StatusPartialContent)
	for i, at := range ranges {
		if _, err := io.WriteString(q.w, heads[i]); err != nil {
			return
		}
		q.send(src, at)
	}
	_, _ = io.WriteString(q.w, end)
}

func stripUnsatisfied(h http.Header) {
	for _, name := range [...]string{"Content-Type", "Content-Encoding", "Content-Length", "Content-Disposition", "Etag", "Last-Modified"} {
		delete(h, name)
	}
}

// notModified evaluates the conditions of a GET or a HEAD (RFC 9110, 13.2.2).
func notModified(r *http.Request, h http.Header) bool {
	if tags, ok := r.Header["If-None-Match"]; ok {
		tag := h["Etag"]
		return namesTag(tags, tag)
	}
	since := r.Header["If-Modified-Since"]
	modified := h["Last-Modified"]
	if len(since) != 1 || len(modified) != 1 {
		return false
	}
	if since[0] == modified[0] {
		return true
	}
	at, err := http.ParseTime(since[0])
	if err != nil {
		return false
	}
	last, err := http.ParseTime(modified[0])
	return err == nil && !last.After(at)
}

// namesTag says whether a list of entity tags names one, weakly.
func namesTag(values, tag []string) bool {
	for _, value := range values {
		for value != "" {
			value = strings.TrimLeft(value, ", \t")
			if strings.HasPrefix(value, "*") {
				return true
			}
			start := 0
			if strings.HasPrefix(value, "W/") {
				start = 2
			}
			if len(value) <= start || value[start] != '"' {
				break
			}
			end := strings.IndexByte(value[start+1:], '"')
			if end < 0 {
				break
			}
			end += start + 2
			if len(tag) == 1 && weak(tag[0]) == value[start:end] {
				return true
			}
			value = value[end:]
		}
	}
	return false
}

func weak(tag string) string { return strings.TrimPrefix(tag, "W/") }
