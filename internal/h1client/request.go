package h1client

// This file: a request as bytes (RFC 9112, sections 3, 5 and 6).

import (
	"fmt"
	"strconv"

	"millrace/gateway"
	"millrace/internal/field"
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
	case !field.IsToken(name):
		f.err = refused("header name", name)
	case !field.IsValue(value):
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
	if !field.IsToken(r.Method) {
		return b, refused("method", r.Method)
	}
	if !isTarget(r.Target) {
		return b, refused("request target", r.Target)
	}
	if !field.IsValue(r.Host) {
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
		if !field.IsValue(r.Upgrade) {
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

// isTarget reports whether s may be a request target: any bytes but white space
// and control characters.
func isTarget(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}
