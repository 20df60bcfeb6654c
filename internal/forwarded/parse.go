package forwarded

// This file: the header Forwarded of RFC 7239.

import (
	"net/netip"
	"strconv"
	"strings"
)

// Element is what one proxy says of the request that it received.
type Element struct {
	For, By, Host, Proto string // unquoted; "" if it is not said
}

// maxElements bounds what one request can make us keep.
const maxElements = 256

// Parse reads the lines of a Forwarded header; false if they are not one. A
// parameter that comes twice in an element is an error (section 4); one that is
// not known is passed over.
func Parse(lines []string) (elements []Element, ok bool) {
	for _, line := range lines {
		s := scanner{line}
		for {
			s.space()
			e, ok := s.element()
			if !ok || len(elements) == maxElements {
				return nil, false
			}
			if e != (Element{}) {
				elements = append(elements, e)
			}
			if s.rest == "" {
				break
			}
			if !s.take(',') {
				return nil, false
			}
		}
	}
	return elements, true
}

// scanner reads one line from its beginning.
type scanner struct{ rest string }

func (s *scanner) space() { s.rest = strings.TrimLeft(s.rest, " \t") }

func (s *scanner) take(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// element reads pairs with ";" between them, which may be missing as well.
func (s *scanner) element() (e Element, ok bool) {
	seen := 0
	for {
		s.space()
		if name := s.token(); name != "" {
			if !s.take('=') {
				return e, false
			}
			value, ok := s.value()
			if !ok || !e.set(name, value, &seen) {
				return e, false
			}
			s.space()
		}
		if !s.take(';') {
			return e, true
		}
	}
}

// set keeps one parameter; false if it is there already.
func (e *Element) set(name, value string, seen *int) bool {
	for i, p := range [...]struct {
		name string
		at   *string
	}{{"for", &e.For}, {"by", &e.By}, {"host", &e.Host}, {"proto", &e.Proto}} {
		if !strings.EqualFold(name, p.name) {
			continue
		}
		if *seen&(1<<i) != 0 {
			return false
		}
		*seen |= 1 << i
		*p.at = value
	}
	return true
}

func (s *scanner) token() string {
	n := 0
	for n < len(s.rest) && isToken(s.rest[n]) {
		n++
	}
	token := s.rest[:n]
	s.rest = s.rest[n:]
	return token
}

// value reads a token or a quoted string. Some write addresses without quotes,
// although ":" and brackets are in no token: they are taken.
func (s *scanner) value() (string, bool) {
	if !s.take('"') {
		n := 0
		for n < len(s.rest) && (isToken(s.rest[n]) || strings.IndexByte(":[]", s.rest[n]) >= 0) {
			n++
		}
		value := s.rest[:n]
		s.rest = s.rest[n:]
		return value, n > 0
	}
	var b strings.Builder
	for i := 0; i < len(s.rest); i++ {
		c := s.rest[i]
		switch {
		case c == '"':
			s.rest = s.rest[i+1:]
			return b.String(), true
		case c == '\\':
			if i++; i == len(s.rest) {
				return "", false
			}
			c = s.rest[i]
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			return "", false
		}
		b.WriteByte(c)
	}
	return "", false // no quote ends it
}

// isToken is tchar of RFC 9110, section 5.6.2.
func isToken(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// parseNode reads a node that is an address: "unknown" and "_hidden" are none
// (section 6).
func parseNode(text string) (node, bool) {
	host, port := text, ""
	if strings.HasPrefix(text, "[") {
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return node{}, false
		}
		host, port = text[1:end], text[end+1:]
	} else if i := strings.IndexByte(text, ':'); i >= 0 && strings.LastIndexByte(text, ':') == i {
		host, port = text[:i], text[i:]
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Zone() != "" {
		return node{}, false
	}
	n := node{plain(ip), "0"}
	if port == "" {
		return n, true
	}
	number, isPort := strings.CutPrefix(port, ":")
	if !isPort {
		return node{}, false
	}
	if p, err := strconv.ParseUint(number, 10, 16); err == nil { // else it is hidden
		n.port = strconv.FormatUint(p, 10)
	}
	return n, true
}
