package cache

// Cache-Control of requests and of responses (RFC 9111, 5.2), and those fields
// that say the same otherwise: Pragma, CDN-Cache-Control (RFC 9213).

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxControl is how long all the values of one Cache-Control may be together:
// what says more is not understood, and not stored.
const maxControl = 8 << 10

// maxSeconds is what a larger number of seconds means (RFC 9111, 1.2.2).
const maxSeconds = 1 << 31

// absent is a number of seconds that nobody gave.
const absent = time.Duration(-1)

// asked is what a request says of how it wants to be answered.
type asked struct {
	noStore, noCache, onlyIfCached, maxStaleAny bool

	maxAge, minFresh, maxStale, ifError time.Duration // absent: not said
}

// said is what a response says of its being stored.
type said struct {
	noStore, noCache, private, public, mustUnderstand bool

	mustRevalidate, proxyRevalidate bool

	noCacheFields, privateFields []string // canonical names; the directive is about them alone

	maxAge, sharedMaxAge, whileRevalidate, ifError time.Duration // absent: not said

	broken bool // it cannot be told what it says
}

// parseAsked reads what a request says. Pragma counts where there is no
// Cache-Control (RFC 9111, 5.4).
func parseAsked(h http.Header) asked {
	a := asked{maxAge: absent, minFresh: absent, maxStale: absent, ifError: absent}
	values := h["Cache-Control"]
	if len(values) == 0 {
		for _, v := range h["Pragma"] {
			for part := range strings.SplitSeq(v, ",") {
				a.noCache = a.noCache || strings.EqualFold(strings.TrimSpace(part), "no-cache")
			}
		}
		return a
	}
	ok := eachDirective(values, func(name, value string, given bool) {
		switch name {
		case "no-store":
			a.noStore = true
		case "no-cache":
			a.noCache = true
		case "only-if-cached":
			a.onlyIfCached = true
		case "max-age":
			note(&a.maxAge, value)
		case "min-fresh":
			note(&a.minFresh, value)
		case "max-stale":
			if !given {
				a.maxStaleAny = true
			} else if d, ok := seconds(value); ok {
				a.maxStale = d
			}
		case "stale-if-error":
			if d, ok := seconds(value); ok {
				a.ifError = d
			}
		}
	})
	if !ok { // whatever it wants, it does not want less than this
		a.noCache = true
	}
	return a
}

// parseSaid reads the values of a Cache-Control of a response.
func parseSaid(values []string) said {
	s := said{maxAge: absent, sharedMaxAge: absent, whileRevalidate: absent, ifError: absent}
	if len(values) == 0 {
		return s
	}
	ok := eachDirective(values, func(name, value string, given bool) {
		switch name {
		case "no-store":
			s.noStore = true
		case "no-cache":
			s.noCacheFields, s.noCache = fields(s.noCacheFields, s.noCache, value, given)
		case "private":
			s.privateFields, s.private = fields(s.privateFields, s.private, value, given)
		case "public":
			s.public = true
		case "must-revalidate":
			s.mustRevalidate = true
		case "proxy-revalidate":
			s.proxyRevalidate = true
		case "must-understand":
			s.mustUnderstand = true
		case "max-age":
			note(&s.maxAge, value)
		case "s-maxage":
			note(&s.sharedMaxAge, value)
		case "stale-while-revalidate":
			note(&s.whileRevalidate, value)
		case "stale-if-error":
			note(&s.ifError, value)
		}
	})
	s.broken = !ok
	return s
}

// note keeps the seconds of a directive. What is no number, or contradicts
// what was said before, is stale (RFC 9111, 4.2.1).
func note(to *time.Duration, value string) {
	d, ok := seconds(value)
	switch {
	case !ok || *to != absent && *to != d:
		*to = 0
	default:
		*to = d
	}
}

// seconds reads delta-seconds (RFC 9111, 1.2.2).
func seconds(text string) (time.Duration, bool) {
	if text == "" {
		return 0, false
	}
	n := 0
	for i := range len(text) {
		c := text[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int(c-'0'), maxSeconds)
	}
	return time.Duration(n) * time.Second, true
}

// fields adds the names of headers that a directive is about. One without a
// name is about the whole response; so is one whose names are none.
func fields(have []string, whole bool, value string, given bool) ([]string, bool) {
	if !given {
		return have, true
	}
	any := false
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if !isToken(name) || len(have) > 64 {
			return have, true
		}
		any = true
		if name = http.CanonicalHeaderKey(name); !slices.Contains(have, name) {
			have = append(have, name)
		}
	}
	return have, whole || !any
}

// eachDirective calls f for each directive: its name in lower case, and its
// argument, without quotes, if one was given. It reports whether all of it was
// made of directives; what is none is passed over.
func eachDirective(values []string, f func(name, value string, given bool)) bool {
	total, well := 0, true
	for _, v := range values {
		if total += len(v); total > maxControl {
			return false
		}
		for i := 0; i < len(v); {
			for i < len(v) && (v[i] == ' ' || v[i] == '\t' || v[i] == ',') {
				i++
			}
			start := i
			for i < len(v) && isTokenByte(v[i]) {
				i++
			}
			name := v[start:i]
			value, given := "", false
			if name != "" && i < len(v) && v[i] == '=' {
				given = true
				var ok bool
				if value, i, ok = argument(v, i+1); !ok {
					well = false
				}
			}
			for i < len(v) && (v[i] == ' ' || v[i] == '\t') {
				i++
			}
			if i < len(v) && v[i] != ',' { // "max age=3"
				well = false
				for i < len(v) && v[i] != ',' {
					i++
				}
			}
			if name != "" {
				f(strings.ToLower(name), value, given)
			}
		}
	}
	return well
}

// argument reads a token or a quoted string that begins at i, and says where it
// ends.
func argument(v string, i int) (value string, end int, ok bool) {
	if i >= len(v) || v[i] != '"' {
		start := i
		for i < len(v) && isTokenByte(v[i]) {
			i++
		}
		return v[start:i], i, i > start
	}
	i++
	start, escaped := i, false
	for ; i < len(v) && v[i] != '"'; i++ {
		if v[i] == '\\' {
			escaped = true
			i++
		}
	}
	if i >= len(v) {
		return "", len(v), false
	}
	value = v[start:i]
	if escaped {
		b := make([]byte, 0, len(value))
		for j := 0; j < len(value); j++ {
			if value[j] == '\\' && j+1 < len(value) {
				j++
			}
			b = append(b, value[j])
		}
		value = string(b)
	}
	return value, i + 1, true
}

// isToken is RFC 9110, 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	switch {
	case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
