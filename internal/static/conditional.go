package static

import (
	"net/http"
	"strings"
	"time"
)

// conditional says whether the request asks for more than the whole file.
func conditional(h http.Header) bool {
	for _, key := range [...]string{"Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"} {
		if _, ok := h[key]; ok {
			return true
		}
	}
	return false
}

// precondition is the status that a request's conditions lead to, in the
// order of RFC 9110, 13.2.2: 412, 304, or 200 when there is nothing against
// the answer.
func precondition(h http.Header, rep *representation) int {
	tag, modified := rep.tag, rep.modified
	if match, ok := h["If-Match"]; ok {
		if !matches(match, tag, false) {
			return http.StatusPreconditionFailed
		}
	} else if since, ok := rep.date(h["If-Unmodified-Since"]); ok && modified != 0 && modified > since {
		return http.StatusPreconditionFailed
	}
	if none, ok := h["If-None-Match"]; ok {
		if matches(none, tag, true) {
			return http.StatusNotModified
		}
	} else if since, ok := rep.date(h["If-Modified-Since"]); ok && modified != 0 && modified <= since {
		return http.StatusNotModified
	}
	return http.StatusOK
}

// date reads the one value of a date header. Several, or what is no date, are
// as if it were not there.
func (rep *representation) date(values []string) (unix int64, ok bool) {
	if len(values) != 1 {
		return 0, false
	}
	if rep.lastModified != nil && values[0] == rep.lastModified[0] { // as clients do
		return rep.modified, true
	}
	t, err := http.ParseTime(values[0])
	return t.Unix(), err == nil
}

// matches says whether a list of entity tags, or "*", has tag, a strong one.
// Only the weak comparison takes a weak tag of the list for it. What follows
// after something that is no entity tag is not looked at.
func matches(values []string, tag string, weak bool) bool {
	for _, list := range values {
		list = strings.TrimLeft(list, " \t")
		if strings.TrimRight(list, " \t") == "*" && len(values) == 1 {
			return true
		}
		for list != "" {
			if list[0] == ',' || list[0] == ' ' || list[0] == '\t' {
				list = list[1:]
				continue
			}
			one, isWeak, rest, ok := cutTag(list)
			if !ok {
				break
			}
			if one == tag && (weak || !isWeak) {
				return true
			}
			list = rest
		}
	}
	return false
}

// cutTag takes the entity tag at the start of s (RFC 9110, 8.8.3), with its
// quotes and without its W/.
func cutTag(s string) (tag string, weak bool, rest string, ok bool) {
	if strings.HasPrefix(s, "W/") {
		weak, s = true, s[2:]
	}
	if s == "" || s[0] != '"' {
		return "", false, "", false
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[:i+1], weak, s[i+1:], true
		case c < '!' || c == 0x7f:
			return "", false, "", false
		}
	}
	return "", false, "", false
}

// ranged says whether a Range counts, as If-Range has it (RFC 9110, 13.1.5):
// only for the very same representation, by a strong tag or, a second or more
// after it was modified, by its date.
func ranged(h http.Header, rep *representation, now time.Time) bool {
	values, ok := h["If-Range"]
	if !ok {
		return true
	}
	if len(values) != 1 {
		return false
	}
	value := strings.Trim(values[0], " \t")
	if one, weak, rest, ok := cutTag(value); ok {
		return !weak && rest == "" && one == rep.tag
	}
	since, ok := rep.date(values)
	return ok && rep.modified != 0 && since == rep.modified && now.Unix() > rep.modified
}
