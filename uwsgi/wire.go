package uwsgi

// This file is the encoding of a request's parameters, both ways.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"millrace/gateway"
)

const (
	headerSize = 4              // modifier1, size, modifier2
	maxSize    = math.MaxUint16 // bytes of a packet behind its header
)

// AppendRequest appends the packet of a request to b. What does not fit it, and
// a parameter without a name, which uWSGI refuses, is an error that wraps
// gateway.ErrTooLarge.
func AppendRequest(b []byte, modifier1, modifier2 uint8, params []gateway.Param) ([]byte, error) {
	start := len(b)
	b = append(b, modifier1, 0, 0, modifier2)
	for i := range params {
		var err error
		if b, err = appendParam(b, start, params[i].Name, params[i].Value); err != nil {
			return b[:start], err
		}
	}
	binary.LittleEndian.PutUint16(b[start+1:], uint16(len(b)-start-headerSize))
	return b, nil
}

func appendParam(b []byte, start int, name, value string) ([]byte, error) {
	switch size := len(b) - start - headerSize; {
	case name == "":
		return b, fmt.Errorf("uwsgi: a parameter without a name: %w", gateway.ErrTooLarge)
	case len(name) > maxSize, len(value) > maxSize, size+2+len(name)+2+len(value) > maxSize:
		return b, fmt.Errorf("uwsgi: with %.64q the parameters have more than %d bytes: %w", name, maxSize, gateway.ErrTooLarge)
	}
	b = append(binary.LittleEndian.AppendUint16(b, uint16(len(name))), name...)
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(value))), value...), nil
}

// ParseRequest reads the packet of a request from the start of b, which may be
// the start of a connection's bytes, and returns how many bytes it takes, its
// header included. 0 without an error: b ends before it does. The strings
// share no memory with b.
//
// maxParams is how many bytes the packet may hold; 65535 are what its header
// can say. More, and anything else that does not follow the protocol, is an
// error as soon as it shows.
func ParseRequest(b []byte, maxParams int) (params []gateway.Param, n int, err error) {
	if len(b) > 0 && b[0] != 0 {
		return nil, 0, fmt.Errorf("uwsgi: modifier1 is %d; only 0, a request, is known", b[0])
	}
	if len(b) < headerSize {
		return nil, 0, nil
	}
	size := int(binary.LittleEndian.Uint16(b[1:]))
	switch {
	case b[3] != 0:
		return nil, 0, fmt.Errorf("uwsgi: modifier2 is %d; only 0 is known", b[3])
	case size > maxParams:
		return nil, 0, fmt.Errorf("uwsgi: the parameters have %d bytes; at most %d are taken", size, maxParams)
	case len(b) < headerSize+size:
		return nil, 0, nil
	}
	if params, err = parseParams(string(b[headerSize : headerSize+size])); err != nil {
		return nil, 0, err
	}
	return params, headerSize + size, nil
}

var (
	errNoParams = errors.New("uwsgi: no parameters")
	errNoName   = errors.New("uwsgi: a parameter without a name")
	errBeyond   = errors.New("uwsgi: the length of a name or a value goes beyond the packet")
)

func parseParams(text string) ([]gateway.Param, error) {
	if text == "" {
		return nil, errNoParams
	}
	params := make([]gateway.Param, 0, 32)
	for text != "" {
		name, rest, ok := cut(text)
		if !ok {
			return nil, errBeyond
		}
		if name == "" {
			return nil, errNoName
		}
		value, rest, ok := cut(rest)
		if !ok {
			return nil, errBeyond
		}
		params = append(params, gateway.Param{Name: name, Value: value})
		text = rest
	}
	return params, nil
}

// cut takes a string with its length before it from the start of text.
func cut(text string) (s, rest string, ok bool) {
	if len(text) < 2 {
		return "", "", false
	}
	size := int(text[0]) | int(text[1])<<8
	if text = text[2:]; len(text) < size {
		return "", "", false
	}
	return text[:size], text[size:], true
}
