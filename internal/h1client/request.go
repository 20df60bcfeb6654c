package h1client

// This file: a request as bytes (RFC 9112, sections 3, 5 and 6).

import (
	"fmt"
	"strconv"

	"millrace/gateway"
)

// Fields takes the header fields of a request.
type Fields struct {
	b   []byte
	err error
}

// Add adds one. What is no field is an error of the round trip: nothing is sent
// then.
func (f *Fields) Add(name, value string) {
	switch {
	case !isToken(name):
		f.err = refused("header name", name)
	case !isValue(value):
		f.err = refused("value of header "+name, value)
	}
	f.b = append(f.b, name...)
	f.b = append(f.b, ": "...)
	f.b = append(f.b, value...)
	f.b = append(f.b, "\r\n"...)
}

// appendHead appends the request's head. Whatever would make two lines of one,
// or two requests, is an error: nothing is sent then.
func (r *Request) appendHead(f *Fields, b []byte) ([]byte, error) {
	if !isToken(r.Method) {
		return b, refused("method", r.Method)
	}
	if !isTarget(r.Target) {
		return b, refused("request target", r.Target)
	}
	if !isValue(r.Host) {
		return b, refused("host", r.Host)
	}
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = append(b, r.Target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, r.Host...)
	b = append(b, "\r\n"...)
	if r.Fields != nil {
		f.b = b
		r.Fields(f)
		b, f.b = f.b, nil
		if f.err != nil {
			return b, f.err
		}
	}
	switch {
	case r.Body != nil && r.ContentLength < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case r.ContentLength > 0 || r.expectsLength():
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, max(r.ContentLength, 0), 10)
		b = append(b, "\r\n"...)
	}
	switch {
	case r.Upgrade != "":
		if !isValue(r.Upgrade) {
			return b, refused("value of header Upgrade", r.Upgrade)
		}
		b = append(b, "Connection: Upgrade\r\nUpgrade: "...)
		b = append(b, r.Upgrade...)
		b = append(b, "\r\n"...)
	case !r.mayKeep():
		b = append(b, "Connection: close\r\n"...)
	}
	return append(b, "\r\n"...), nil
}

// expectsLength: where a body is usual, its absence is said (RFC 9110, section
// 8.6).
func (r *Request) expectsLength() bool {
	return r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH"
}

func refused(what, value string) error {
	return fmt.Errorf("the request cannot be sent: bad %s %.64q: %w", what, value, gateway.ErrUnsupported)
}

// Classes of bytes.
const (
	tokenByte = 1 << iota // RFC 9110, 5.6.2
	valueByte             // RFC 9110, 5.5; no control characters but the tab
	targetByte
)

var classes = func() (t [256]uint8) {
	for c := range 256 {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			t[c] |= tokenByte
		}
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= valueByte
		}
		if c > ' ' && c != 0x7f {
			t[c] |= targetByte
		}
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		t[c] |= tokenByte
	}
	return t
}()

func all(s string, class uint8) bool {
	for i := range len(s) {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return true
}

func isToken(s string) bool  { return s != "" && all(s, tokenByte) }
func isTarget(s string) bool { return s != "" && all(s, targetByte) }
