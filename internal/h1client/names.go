package h1client

// This file: names and values of the fields that servers send.

import (
	"millrace/gateway"
)

// kind is what a field means here.
type kind uint8

const (
	passed kind = iota // on to the client
	ofConnection
	lengthField
)

type known struct {
	name string
	kind kind
}

// wellKnown are the fields that most responses have, by the length of the name:
// they cost no look at each byte of it.
var wellKnown = func() (t [32][]known) {
	for _, name := range [...]string{
		"Accept-Ranges", "Access-Control-Allow-Origin", "Age", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language",
		"Content-Range", "Content-Security-Policy", "Content-Type", "Date", "Etag", "Expires", "Last-Modified", "Link", "Location",
		"Pragma", "Referrer-Policy", "Server", "Set-Cookie", "Strict-Transport-Security", "Vary", "Via", "X-Accel-Buffering", "X-Content-Type-Options",
		"X-Frame-Options", "X-Powered-By", "X-Request-Id", "X-Sendfile",
	} {
		t[len(name)] = append(t[len(name)], known{name, passed})
	}
	for _, name := range [...]string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		t[len(name)] = append(t[len(name)], known{name, ofConnection})
	}
	t[len("Content-Length")] = append(t[len("Content-Length")], known{"Content-Length", lengthField})
	return t
}()

// field returns a field's canonical name and its kind, and checks both parts as
// gateway.AppHeader does.
func field(name, value string) (string, kind, error) {
	if len(name) < len(wellKnown) && isValue(value) {
		for _, k := range wellKnown[len(name)] {
			if equalFold(name, k.name) {
				return k.name, k.kind, nil
			}
		}
	}
	canonical, keep, err := gateway.AppHeader(name, value)
	switch {
	case err != nil:
		return "", passed, malformed("%w", err)
	case !keep:
		return canonical, ofConnection, nil
	}
	return canonical, passed, nil
}

// equalFold compares ASCII without regard to case. word has letters, digits
// and hyphens alone.
func equalFold(s, word string) bool {
	if s == word {
		return true
	}
	if len(s) != len(word) {
		return false
	}
	for i := range len(s) {
		a, b := s[i], word[i]
		if a != b && (a|0x20 != b|0x20 || a|0x20 < 'a' || a|0x20 > 'z') {
			return false
		}
	}
	return true
}

// Eight bytes are looked at together.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// isValue reports whether s may be a field's value.
func isValue(s string) bool {
	for len(s) >= 8 {
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56 // one load
		// A byte's highest bit is set when it is below a space, or 0x7f; a borrow
		// can mark one too many: those are looked at singly.
		del := x ^ ones*0x7f
		if ((x-ones*' ')&^x|(del-ones)&^del)&highs != 0 && !all(s[:8], valueByte) {
			return false
		}
		s = s[8:]
	}
	return all(s, valueByte)
}

// trim takes blanks from both ends.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
