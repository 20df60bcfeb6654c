package static

import (
	"math"
	"strings"
)

// maxRanges is how many ranges a request may ask for; beyond it they are
// ignored (RFC 9110, 14.2), as each costs a part with headers of its own.
const maxRanges = 32

// span is length bytes from start.
type span struct{ start, length int64 }

// parseRange reads a Range header for a representation of size bytes:
//
//   - no spans and satisfiable: the header is to be ignored, as it is not of
//     bytes, asks for too much, or for what the whole is simpler for;
//   - not satisfiable: 416, as no range is in the representation, or the
//     header is malformed.
//
// Spans are in the order they were asked for, each within the representation
// and not empty.
func parseRange(values []string, size int64) (spans []span, satisfiable bool) {
	if len(values) != 1 { // the header is no list: neither is meant more than the other
		return nil, true
	}
	unit, set, found := strings.Cut(values[0], "=")
	if !found || !strings.EqualFold(strings.Trim(unit, " \t"), "bytes") || size == 0 {
		return nil, true // for an empty file the whole is the nearest to what was meant
	}
	if strings.Count(set, ",") >= maxRanges {
		return nil, true
	}
	var asked int
	var total int64
	for one := range strings.SplitSeq(set, ",") {
		if one = strings.Trim(one, " \t"); one == "" { // RFC 9110, 5.6.1.2
			continue
		}
		asked++
		s, ok := parseSpan(one, size)
		if !ok {
			return nil, false
		}
		if s.length > 0 {
			spans = append(spans, s)
			if total += s.length; total < 0 { // cannot happen: 32 files of 2^58 bytes
				return nil, true
			}
		}
	}
	switch {
	case asked == 0 || len(spans) == 0:
		return nil, false
	case len(spans) > 1 && total >= size: // overlapping: an attack, or a mistake
		return nil, true
	}
	return spans, true
}

// parseSpan reads "first-last", "first-" or "-length". One that lies beyond
// the end has length 0; false is one that no grammar knows.
func parseSpan(text string, size int64) (span, bool) {
	first, last, found := strings.Cut(text, "-")
	if !found {
		return span{}, false
	}
	if first == "" {
		n, ok := position(last)
		n = min(n, size)
		return span{size - n, n}, ok
	}
	start, ok := position(first)
	if !ok {
		return span{}, false
	}
	end := int64(math.MaxInt64)
	if last != "" {
		if end, ok = position(last); !ok || end < start {
			return span{}, false
		}
	}
	if start >= size {
		return span{}, true
	}
	return span{start, min(end, size-1) - start + 1}, true
}

// position reads digits; a number that is too large is as large as can be.
func position(text string) (int64, bool) {
	if text == "" {
		return 0, false
	}
	var n int64
	for i := range len(text) {
		c := text[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		if n > (math.MaxInt64-9)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
