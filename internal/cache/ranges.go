package cache

// Ranges of a stored body (RFC 9110, 14).

import (
	"net/http"
	"strconv"
	"strings"
)

// maxRanges is how many ranges a request may ask for; beyond it they are
// ignored (RFC 9110, 14.2), as each costs a part with headers of its own.
const maxRanges = 32

// byteRange is a part of a body.
type byteRange struct{ start, length int64 }

func (b byteRange) text(of int64) string {
	return "bytes " + strconv.FormatInt(b.start, 10) + "-" + strconv.FormatInt(b.start+b.length-1, 10) + "/" + strconv.FormatInt(of, 10)
}

func ranged(r *http.Request) bool { _, ok := r.Header["Range"]; return ok }

// fromStart says whether a request wants one range that begins where the body
// does.
func fromStart(r *http.Request) bool {
	v := r.Header["Range"]
	return len(v) == 1 && strings.HasPrefix(v[0], "bytes=0-") && !strings.Contains(v[0], ",")
}

// rangeHolds evaluates If-Range (RFC 9110, 13.1.5).
func rangeHolds(r *http.Request, h http.Header) bool {
	v, ok := r.Header["If-Range"]
	switch {
	case !ok:
		return true
	case len(v) != 1:
		return false
	case strings.HasPrefix(v[0], `"`):
		tag := h["Etag"]
		return len(tag) == 1 && tag[0] == v[0]
	case strings.HasPrefix(v[0], "W/"):
		return false
	}
	modified := h["Last-Modified"]
	return len(modified) == 1 && modified[0] == v[0] && strongDate(h)
}

// strongDate says whether Last-Modified tells one body from another: it is at
// least a second older than the response (RFC 9110, 8.8.2.2).
func strongDate(h http.Header) bool {
	last, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return false
	}
	date, err := http.ParseTime(h.Get("Date"))
	return err == nil && last.Before(date)
}

// parseRange reads a Range for a body of a length. It is not ok where the whole
// is to be sent: it is of no unit that we know, or not well formed, or asks for
// more than there is. Without any range, none can be satisfied.
func parseRange(values []string, length int64) (ranges []byteRange, ok bool) {
	if len(values) != 1 {
		return nil, false
	}
	list, found := strings.CutPrefix(values[0], "bytes=")
	if !found {
		return nil, false
	}
	count, total := 0, int64(0)
	for spec := range strings.SplitSeq(list, ",") {
		if spec = strings.Trim(spec, " \t"); spec == "" {
			continue
		}
		if count++; count > maxRanges {
			return nil, false
		}
		at, well, satisfiable := parseSpec(spec, length)
		if !well {
			return nil, false
		}
		if satisfiable {
			ranges = append(ranges, at)
			total += at.length
		}
	}
	if count == 0 || total > length {
		return nil, false
	}
	return ranges, true
}

func parseSpec(spec string, length int64) (at byteRange, well, satisfiable bool) {
	first, last, found := strings.Cut(spec, "-")
	if !found {
		return at, false, false
	}
	if first == "" { // the last so many bytes
		n, ok := position(last)
		if !ok {
			return at, false, false
		}
		n = min(n, length)
		return byteRange{length - n, n}, true, n > 0
	}
	start, ok := position(first)
	if !ok {
		return at, false, false
	}
	end := length - 1
	if last != "" {
		n, ok := position(last)
		if !ok || n < start {
			return at, false, false
		}
		end = min(end, n)
	}
	return byteRange{start, end - start + 1}, true, start < length
}

func position(text string) (int64, bool) {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}
