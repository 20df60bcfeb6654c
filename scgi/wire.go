package scgi

// This file is the encoding of a request's parameters, both ways.

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"millrace/gateway"
)

const (
	contentLength = "CONTENT_LENGTH"
	version       = "SCGI"
	versionOne    = "1"
)

// AppendRequest appends what goes before the body of a request to b:
// CONTENT_LENGTH with length and SCGI, whatever params say of them, then the
// other params. Of a name that comes twice the last value is sent, as the
// protocol allows each name once.
//
// The error for a name that is empty, and for a NUL in a name or a value,
// wraps gateway.ErrTooLarge.
func AppendRequest(b []byte, params []gateway.Param, length int64) ([]byte, error) {
	var digits [20]byte
	value := strconv.AppendInt(digits[:0], length, 10)
	size := len(contentLength) + 1 + len(value) + 1 + len(version) + 1 + len(versionOne) + 1
	later := laterNames(params)
	for i := range params {
		p := &params[i]
		if p.Name == "" || strings.IndexByte(p.Name, 0) >= 0 || strings.IndexByte(p.Value, 0) >= 0 {
			return b, fmt.Errorf("scgi: parameter %.64q has no name or a NUL: %w", p.Name, gateway.ErrTooLarge)
		}
		if !later(i) {
			size += len(p.Name) + 1 + len(p.Value) + 1
		}
	}
	b = strconv.AppendInt(b, int64(size), 10)
	b = append(b, ':')
	b = append(append(append(b, contentLength...), 0), value...)
	b = append(b, 0)
	b = append(append(append(append(b, version...), 0), versionOne...), 0)
	for i := range params {
		if p := &params[i]; !later(i) {
			b = append(append(append(append(b, p.Name...), 0), p.Value...), 0)
		}
	}
	return append(b, ','), nil
}

// manyParams is how many parameters are compared one with the other before a
// map is worth its allocation.
const manyParams = 64

// laterNames tells for the index of a parameter whether another one is sent in
// its place: one of the same name behind it, or one of the protocol's own two.
func laterNames(params []gateway.Param) func(i int) bool {
	own := func(name string) bool { return name == contentLength || name == version }
	if len(params) <= manyParams {
		return func(i int) bool {
			name := params[i].Name
			for j := i + 1; j < len(params); j++ {
				if params[j].Name == name {
					return true
				}
			}
			return own(name)
		}
	}
	last := make(map[string]int, len(params))
	for i := range params {
		last[params[i].Name] = i
	}
	return func(i int) bool { return last[params[i].Name] != i || own(params[i].Name) }
}

// ParseRequest reads the parameters of a request from the start of b, which
// may be the start of a connection's bytes, and returns how many bytes they
// take, the netstring's frame included. 0 without an error: b ends before they
// do. The strings share no memory with b.
//
// maxParams is how many bytes the netstring may hold. More, and anything else
// that does not follow the protocol, is an error as soon as it shows.
func ParseRequest(b []byte, maxParams int) (params []gateway.Param, n int, err error) {
	size, start, err := parseSize(b, maxParams)
	if err != nil || start == 0 || len(b) < start+size+1 {
		return nil, 0, err
	}
	if c := b[start+size]; c != ',' {
		return nil, 0, fmt.Errorf("scgi: the netstring of %d bytes ends with %q, not with a comma", size, c)
	}
	if params, err = parseParams(string(b[start : start+size])); err != nil {
		return nil, 0, err
	}
	return params, start + size + 1, nil
}

// parseSize reads the length of a netstring and returns where its bytes start;
// 0: b ends before that.
func parseSize(b []byte, limit int) (size, start int, err error) {
	for i, c := range b {
		switch {
		case c == ':' && i > 0:
			return size, i + 1, nil
		case c < '0' || c > '9':
			return 0, 0, fmt.Errorf("scgi: no netstring: it begins with %.16q", b)
		case i == 1 && size == 0:
			return 0, 0, fmt.Errorf("scgi: the netstring's length has a leading zero: %.16q", b)
		}
		if size = size*10 + int(c-'0'); size > limit {
			return 0, 0, fmt.Errorf("scgi: the parameters have more than %d bytes", limit)
		}
	}
	return 0, 0, nil
}

var (
	errNoLength   = errors.New("scgi: the first parameter is not CONTENT_LENGTH")
	errTwoLengths = errors.New("scgi: CONTENT_LENGTH comes twice")
	errNoVersion  = errors.New("scgi: no parameter SCGI")
	errNoName     = errors.New("scgi: a parameter without a name")
	errPairs      = errors.New("scgi: the parameters are no pairs of strings that end with a NUL")
)

func parseParams(text string) ([]gateway.Param, error) {
	if text == "" || text[len(text)-1] != 0 {
		return nil, errPairs
	}
	nuls := strings.Count(text, "\x00")
	if nuls%2 != 0 {
		return nil, errPairs
	}
	params := make([]gateway.Param, nuls/2)
	versioned := false
	for i := range params {
		p := &params[i]
		p.Name, text, _ = strings.Cut(text, "\x00")
		p.Value, text, _ = strings.Cut(text, "\x00")
		switch {
		case p.Name == "":
			return nil, errNoName
		case i == 0:
			if p.Name != contentLength {
				return nil, errNoLength
			}
			if _, err := gateway.ParseLength(p.Value); err != nil {
				return nil, fmt.Errorf("scgi: CONTENT_LENGTH: %w", err)
			}
		case p.Name == contentLength:
			return nil, errTwoLengths
		case p.Name == version:
			if p.Value != versionOne {
				return nil, fmt.Errorf("scgi: version %.16q; only 1 is known", p.Value)
			}
			versioned = true
		}
	}
	if !versioned {
		return nil, errNoVersion
	}
	return params, nil
}
