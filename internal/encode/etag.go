package encode

import (
	"net/http"
	"slices"
	"strings"
)

// A strong ETag names bytes, and compressed ones are others (RFC 9110,
// 8.8.3.3): "x" becomes W/"x-gzip". It is weak as one compression of the same
// bytes may differ from the next. A weak ETag names what the bytes mean, and
// stays.

// encodedTag is the ETag of what tag names, in a coding; "" for one that is
// none.
func encodedTag(tag, coding string) string {
	switch {
	case strings.HasPrefix(tag, "W/"):
		return tag
	case len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"':
		return ""
	}
	return `W/` + tag[:len(tag)-1] + "-" + coding + `"`
}

// plainTags returns values with the plain ETag added behind each that
// encodedTag made. It is added, and takes no place: an app may have tags of
// its own that end like ours.
func plainTags(values, codings []string) []string {
	var added []string
	for _, value := range values {
		for tag := range tags(value) {
			for _, coding := range codings {
				if rest, ok := strings.CutSuffix(strings.TrimPrefix(tag, "W/"), "-"+coding+`"`); ok && strings.HasPrefix(rest, `"`) && !slices.Contains(added, rest+`"`) {
					added = append(added, rest+`"`)
				}
			}
		}
	}
	if added == nil {
		return values
	}
	return []string{strings.Join(append(slices.Clone(values), added...), ", ")}
}

// tags are the entity tags of one value of If-None-Match. What is not one ends
// it.
func tags(value string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for {
			value = strings.TrimLeft(value, ", \t")
			start := 0
			if strings.HasPrefix(value, "W/") {
				start = 2
			}
			if len(value) <= start || value[start] != '"' {
				return
			}
			end := strings.IndexByte(value[start+1:], '"')
			if end < 0 {
				return
			}
			end += start + 2
			if !yield(value[:end]) {
				return
			}
			value = value[end:]
		}
	}
}

// namesEncoded says which coding's ETag of tag the client has, if any; the
// preferred coding first.
func namesEncoded(values []string, tag, preferred string, codings []string) string {
	if tag == "" || tag[0] != '"' {
		return ""
	}
	has := func(coding string) bool {
		want := strings.TrimPrefix(encodedTag(tag, coding), "W/")
		for _, value := range values {
			for t := range tags(value) {
				if strings.TrimPrefix(t, "W/") == want {
					return true
				}
			}
		}
		return false
	}
	if preferred != "" && has(preferred) {
		return preferred
	}
	for _, coding := range codings {
		if has(coding) {
			return coding
		}
	}
	return ""
}

// forHandler is r as the handler sees it: with the plain ETags of those that
// we made.
func forHandler(r *http.Request, codings []string) *http.Request {
	var changed http.Header
	for _, name := range [...]string{"If-None-Match", "If-Match"} {
		values, ok := r.Header[name]
		if !ok {
			continue
		}
		if added := plainTags(values, codings); len(added) != len(values) || added[0] != values[0] {
			if changed == nil {
				changed = r.Header.Clone()
			}
			changed[name] = added
		}
	}
	if changed == nil {
		return r
	}
	next := new(*r)
	next.Header = changed
	return next
}
