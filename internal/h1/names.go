package h1

// This file: the characters that names and values are made of, and the
// spelling of header names.

import (
	"net/textproto"
	"strings"

	"millrace/internal/field"
)

// Classes of bytes, beside those of package field; classes[b] is a set of them.
const (
	plainByte = 1 << iota // of a path that package url keeps as it is
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
	set(plainByte, digits+letters+"-_.~$&+,/:;=@")
	set(hostByte, digits+letters+"-._~")
	set(hexByte, digits+"abcdefABCDEF")
	for c := range 256 {
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
			if field.EqualFold(name, known) {
				return known, true
			}
		}
	}
	if !field.IsToken(name) {
		return "", false
	}
	return textproto.CanonicalMIMEHeaderKey(name), true
}

// hasWord is field.HasToken for a list that may be malformed: white space parts its
// elements too.
func hasWord(list, word string) bool {
	for list != "" {
		var element string
		element, list = field.Cut(list, ',')
		for element = field.Trim(element); element != ""; element = field.Trim(element) {
			i := strings.IndexAny(element, " \t")
			if i < 0 {
				i = len(element)
			}
			if field.EqualFold(element[:i], word) {
				return true
			}
			element = element[i:]
		}
	}
	return false
}
