package h1

// This file: the characters that names and values are made of, and the
// spelling of header names.

import (
	"net/textproto"
	"strings"
)

// Classes of bytes; classes[b] is a set of them.
const (
	tokenByte = 1 << iota // RFC 9110, 5.6.2: methods and field names
	valueByte             // RFC 9110, 5.5: field values; no control characters but the tab
	plainByte             // of a path that package url keeps as it is
	queryByte             // of a request target behind the path; no controls, no space, no "#"
	hostByte              // of a name or an IPv4 address in Host
	hexByte
)

var classes = func() (t [256]uint8) {
	set := func(class uint8, chars string) {
		for _, c := range []byte(chars) {
			t[c] |= class
		}
	}
	const digits = "0123456789"
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	set(tokenByte, digits+letters+"!#$%&'*+-.^_`|~")
	set(plainByte, digits+letters+"-_.~$&+,/:;=@")
	set(hostByte, digits+letters+"-._~")
	set(hexByte, digits+"abcdefABCDEF")
	for c := range 256 {
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= valueByte
		}
		if c > ' ' && c != 0x7f && c != '#' {
			t[c] |= queryByte
		}
	}
	return t
}()

// all reports whether s consists of bytes of a class.
func all(s string, class uint8) bool {
	for i := range len(s) {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return true
}

// A field value is looked at eight bytes at a time.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// isValue reports whether s may be a field's value.
func isValue(s string) bool {
	for len(s) >= 8 {
		// The highest bit of a byte of low is set when it is below a space, of del
		// when it is 0x7f; bytes beyond 0x7f are left out. A borrow can mark a byte
		// too many, and never one too few: marked ones are looked at singly.
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56 // one load
		del := x ^ ones*0x7f
		if ((x-ones*' ')&^x|(del-ones)&^del)&highs != 0 && !all(s[:8], valueByte) {
			return false
		}
		s = s[8:]
	}
	return all(s, valueByte)
}

// wellKnown are the names that most requests have, by their length.
var wellKnown = func() (t [32][]string) {
	for _, name := range [...]string{
		"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control",
		"Connection", "Content-Encoding", "Content-Length", "Content-Type", "Cookie", "Date", "Dnt", "Expect", "Forwarded",
		"From", "Host", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since",
		"Keep-Alive", "Origin", "Pragma", "Priority", "Proxy-Connection", "Range", "Referer", "Sec-Ch-Ua",
		"Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site",
		"Sec-Fetch-User", "Sec-Gpc", "Te", "Traceparent", "Tracestate", "Trailer", "Transfer-Encoding", "Upgrade",
		"Upgrade-Insecure-Requests", "User-Agent", "Via", "X-Csrftoken", "X-Forwarded-For", "X-Forwarded-Host",
		"X-Forwarded-Port", "X-Forwarded-Proto", "X-Real-Ip", "X-Request-Id", "X-Request-Start", "X-Requested-With",
	} {
		t[len(name)] = append(t[len(name)], name)
	}
	return t
}()

// canonical returns a field name as http.Header spells it. The second is
// false when it is no name.
func canonical(name string) (string, bool) {
	if len(name) < len(wellKnown) {
		for _, known := range wellKnown[len(name)] {
			if equalFold(name, known) {
				return known, true
			}
		}
	}
	if name == "" || !all(name, tokenByte) {
		return "", false
	}
	return textproto.CanonicalMIMEHeaderKey(name), true
}

// equalFold compares ASCII without regard to case. known has letters, digits
// and hyphens alone.
func equalFold(s, known string) bool {
	if s == known {
		return true
	}
	if len(s) != len(known) {
		return false
	}
	for i := range len(s) {
		a, b := s[i], known[i]
		if a == b {
			continue
		}
		if a|0x20 != b|0x20 || a|0x20 < 'a' || a|0x20 > 'z' {
			return false
		}
	}
	return true
}

// hasToken reports whether a comma-separated list has an element.
func hasToken(list, token string) bool {
	for list != "" {
		var element string
		element, list = cut(list, ',')
		if equalFold(trim(element), token) {
			return true
		}
	}
	return false
}

// hasWord is hasToken for a list that may be malformed: white space parts its
// elements too.
func hasWord(list, word string) bool {
	for list != "" {
		var element string
		element, list = cut(list, ',')
		for element = trim(element); element != ""; element = trim(element) {
			i := strings.IndexAny(element, " \t")
			if i < 0 {
				i = len(element)
			}
			if equalFold(element[:i], word) {
				return true
			}
			element = element[i:]
		}
	}
	return false
}

// cut is strings.Cut at a byte.
func cut(s string, sep byte) (before, after string) {
	for i := range len(s) {
		if s[i] == sep {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// trim takes optional white space from both ends (RFC 9110, 5.6.3).
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
