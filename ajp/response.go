package ajp

// The messages of a response: SEND_HEADERS, SEND_BODY_CHUNK, GET_BODY_CHUNK,
// END_RESPONSE.

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"millrace/gateway"
)

// responseHeaders are the coded names, from 0xA001.
var responseHeaders = []string{
	1: "Content-Type", 2: "Content-Language", 3: "Content-Length", 4: "Date", 5: "Last-Modified",
	6: "Location", 7: "Set-Cookie", 8: "Set-Cookie2", 9: "Servlet-Engine", 10: "Status",
	11: "Www-Authenticate", // the canonical form, as Go has it
}

// appendHead appends SEND_HEADERS. False: it is larger than max.
//
// Coded headers go first, then the others from the longest name on: lighttpd
// (1.4.69) reads the count of headers two bytes too late, where the
// first header's code or the length of its name is, and takes no more headers
// than that. With statusFirst the first header is a coded Status, which lighttpd
// takes for itself.
func appendHead(b []byte, status int, header http.Header, max int, statusFirst bool) ([]byte, bool) {
	start := len(b)
	b = beginPacket(b, toFront)
	b = append(b, typeSendHeaders)
	b = appendUint16(b, status)
	b = appendString(b, http.StatusText(status))
	count := len(b)
	b = append(b, 0, 0)
	n := 0
	if statusFirst {
		b = append(b, 0xA0, 10)
		b = appendString(b, strconv.Itoa(status))
		n++
	}
	for code := 1; code < len(responseHeaders); code++ {
		for _, value := range header[responseHeaders[code]] {
			b = append(b, 0xA0, byte(code))
			b = appendValue(b, value)
			n++
		}
	}
	var room [16]string
	names := room[:0]
	for name := range header {
		if _, coded := codeOf(responseHeaders, name); !coded && !gateway.Hop(name) && isToken(name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		for _, value := range header[name] {
			b = appendString(b, name)
			b = appendValue(b, value)
			n++
			if len(b)-start > max {
				return b, false
			}
		}
	}
	b[count], b[count+1] = byte(n>>8), byte(n)
	return b, endPacket(b, start, max)
}

// appendValue appends a header's value; a line break in it becomes a space, as
// gateway.AppendHead has it.
func appendValue(b []byte, value string) []byte {
	start := len(b) + 2
	b = appendString(b, value)
	if strings.ContainsAny(value, "\r\n\x00") {
		for i := start; i < start+len(value); i++ {
			if c := b[i]; c == '\r' || c == '\n' || c == 0 {
				b[i] = ' '
			}
		}
	}
	return b
}

func isToken(name string) bool {
	_, _, err := gateway.AppHeader(name, "")
	return err == nil
}

// parseHead reads a SEND_HEADERS, its type included.
func parseHead(payload []byte) (*gateway.Head, error) {
	c := &cursor{s: string(payload)} // the strings are parts of this one
	if t := c.byte(); t != typeSendHeaders {
		c.fail("message type %d where SEND_HEADERS should be", t)
	}
	h := &gateway.Head{Status: c.uint16(), ContentLength: -1}
	c.string() // the reason says nothing that the status does not
	n := c.uint16()
	h.Header = make(http.Header, min(n, 32, len(c.s)/4))
	for ; n > 0 && c.err == nil; n-- {
		name := c.name(responseHeaders)
		value := c.string()
		if c.err == nil {
			if err := addHeader(h, name, value); err != nil {
				return nil, err
			}
		}
	}
	if err := c.end("the response's head"); err != nil {
		return nil, err
	}
	if h.Status < 200 || h.Status > 999 { // the protocol has no interim responses
		return nil, fmt.Errorf("ajp: bad status %d: not a final status", h.Status)
	}
	return h, nil
}

// addHeader adds what a back end may say (see gateway.ParseHead).
func addHeader(h *gateway.Head, name, value string) error {
	value = strings.Trim(value, " \t")
	name, keep, err := gateway.AppHeader(name, value)
	switch {
	case err != nil:
		return err
	case !keep:
		h.Dropped = append(h.Dropped, name)
		return nil
	}
	switch {
	case strings.HasPrefix(name, "Variable-"):
		h.Variables = append(h.Variables, gateway.Param{Name: strings.TrimPrefix(name, "Variable-"), Value: value})
		return nil
	case name == "Status": // what counts is in the message itself
		if code, err := gateway.ParseStatus(value); err != nil {
			return err
		} else if code != h.Status {
			return fmt.Errorf("ajp: two statuses, %d and %d", h.Status, code)
		}
		return nil
	case name == "Content-Length":
		n, err := gateway.ParseLength(value)
		if err != nil || h.ContentLength >= 0 && h.ContentLength != n {
			return fmt.Errorf("ajp: bad Content-Length %.64q", value)
		}
		h.ContentLength = n
		h.Header[name] = []string{value}
		return nil
	case name == "Location" && h.Header[name] != nil:
		return errors.New("ajp: two Location headers")
	}
	h.Header[name] = append(h.Header[name], value)
	return nil
}

// parseBodyChunk returns the data of a SEND_BODY_CHUNK, its type included. The
// specification forgets the NUL after it, and some back ends leave it out.
func parseBodyChunk(payload []byte) ([]byte, error) {
	if len(payload) < 3 {
		return nil, fmt.Errorf("ajp: SEND_BODY_CHUNK of %d bytes has no length", len(payload))
	}
	n := int(payload[1])<<8 | int(payload[2])
	data := payload[3:]
	switch len(data) - n {
	case 0:
		return data, nil
	case 1:
		if data[n] == 0 {
			return data[:n], nil
		}
	}
	return nil, fmt.Errorf("ajp: SEND_BODY_CHUNK announces %d bytes and has %d", n, len(data))
}

// parseGetBody returns how many bytes a GET_BODY_CHUNK asks for.
func parseGetBody(payload []byte) (int, error) {
	if len(payload) != 3 || payload[1] == 0 && payload[2] == 0 {
		return 0, fmt.Errorf("ajp: bad GET_BODY_CHUNK % x", payload[:min(len(payload), 8)])
	}
	return int(payload[1])<<8 | int(payload[2]), nil
}

func appendGetBody(b []byte, n int) []byte {
	b = append(b, 'A', 'B', 0, 3, typeGetBodyChunk)
	return appendUint16(b, n)
}

// parseEnd reports whether an END_RESPONSE lets the connection be used again.
func parseEnd(payload []byte) (reuse bool, err error) {
	if len(payload) != 2 || payload[1] > 1 {
		return false, fmt.Errorf("ajp: bad END_RESPONSE % x", payload[:min(len(payload), 8)])
	}
	return payload[1] == 1, nil
}

func appendEnd(b []byte, reuse bool) []byte {
	return append(b, 'A', 'B', 0, 2, typeEndResponse, boolByte(reuse))
}

// appendCPing and appendCPong are whole packets of one byte.
func appendCPing(b []byte) []byte { return append(b, toBackEnd>>8, toBackEnd&0xFF, 0, 1, typeCPing) }
func appendCPong(b []byte) []byte { return append(b, 'A', 'B', 0, 1, typeCPong) }
