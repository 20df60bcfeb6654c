package cache

// Which of several stored responses to one URL is meant for a request (RFC
// 9111, 4.1).

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"strings"
)

const (
	// maxVary is how many headers a response may depend on; what depends on more
	// is not stored.
	maxVary = 16

	// maxVaryValue is how long what stands in them may be before its digest
	// stands for it.
	maxVaryValue = 256
)

// varyNames are the headers that a response depends on, sorted; star: on more
// than can be named.
func varyNames(h http.Header) (names []string, star bool) {
	for _, v := range h["Vary"] {
		for name := range strings.SplitSeq(v, ",") {
			name = strings.TrimSpace(name)
			switch {
			case name == "":
				continue
			case name == "*" || !isToken(name):
				return nil, true
			}
			if name = http.CanonicalHeaderKey(name); !slices.Contains(names, name) {
				names = append(names, name)
			}
			if len(names) > maxVary {
				return names, false
			}
		}
	}
	slices.Sort(names)
	return names, false
}

// varyValue is what a request says in some headers, so that two requests with
// the same value are the same for the response.
func varyValue(names []string, h http.Header) string {
	if len(names) == 0 {
		return ""
	}
	var room [128]byte
	b := room[:0]
	for _, name := range names {
		values, ok := h[name]
		if !ok {
			b = append(b, 0)
			continue
		}
		b = append(b, 1)
		b = appendNormal(b, values, caseless(name))
		b = append(b, 2)
	}
	if len(b) > maxVaryValue {
		sum := sha256.Sum256(b)
		return "#" + string(sum[:])
	}
	return string(b)
}

// caseless says whether upper case means nothing in a header's value.
func caseless(name string) bool {
	return name == "Accept-Encoding" || name == "Accept-Language" || name == "Accept-Charset"
}

// appendNormal appends the members of a list, with one comma between them,
// whatever white space stood around it.
func appendNormal(b []byte, values []string, caseless bool) []byte {
	first := true
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			part = strings.Trim(part, " \t")
			if !first {
				b = append(b, ',')
			}
			first = false
			if !caseless {
				b = append(b, part...)
				continue
			}
			for i := range len(part) {
				c := part[i]
				if 'A' <= c && c <= 'Z' {
					c += 'a' - 'A'
				}
				if c != ' ' && c != '\t' {
					b = append(b, c)
				}
			}
		}
	}
	return b
}
