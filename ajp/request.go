package ajp

// The FORWARD_REQUEST message, its code tables, and the packets of a body.

import (
	"fmt"
	"math"
)

// methods are the coded ones, from 1. The specification's table, as Tomcat
// prints it, has 26 with a hyphen, which is how RFC 3253 spells it.
var methods = [...]string{
	1: "OPTIONS", 2: "GET", 3: "HEAD", 4: "POST", 5: "PUT", 6: "DELETE", 7: "TRACE",
	8: "PROPFIND", 9: "PROPPATCH", 10: "MKCOL", 11: "COPY", 12: "MOVE", 13: "LOCK", 14: "UNLOCK",
	15: "ACL", 16: "REPORT", 17: "VERSION-CONTROL", 18: "CHECKIN", 19: "CHECKOUT", 20: "UNCHECKOUT",
	21: "SEARCH", 22: "MKWORKSPACE", 23: "UPDATE", 24: "LABEL", 25: "MERGE", 26: "BASELINE-CONTROL",
	27: "MKACTIVITY",
}

// storedMethod says that the method is in the attribute of that name.
const storedMethod = 0xFF

// requestHeaders are the coded names, from 0xA001.
var requestHeaders = []string{
	1: "Accept", 2: "Accept-Charset", 3: "Accept-Encoding", 4: "Accept-Language", 5: "Authorization",
	6: "Connection", 7: "Content-Type", 8: "Content-Length", 9: "Cookie", 10: "Cookie2", 11: "Host",
	12: "Pragma", 13: "Referer", 14: "User-Agent",
}

// Attributes: a byte and a string, but for attrRequest (two strings) and
// attrSSLKeySize (an integer).
const (
	attrContext      = 0x01
	attrServletPath  = 0x02
	attrRemoteUser   = 0x03
	attrAuthType     = 0x04
	attrQueryString  = 0x05
	attrRoute        = 0x06
	attrSSLCert      = 0x07
	attrSSLCipher    = 0x08
	attrSSLSession   = 0x09
	attrRequest      = 0x0A
	attrSSLKeySize   = 0x0B
	attrSecret       = 0x0C
	attrStoredMethod = 0x0D
	attrEnd          = 0xFF
)

// forward is a FORWARD_REQUEST.
type forward struct {
	method     string
	protocol   string
	uri        string // without the query
	remoteAddr string
	remoteHost string
	serverName string
	serverPort int
	ssl        bool
	headers    []field
	attributes []attribute // but for attrStoredMethod
}

type field struct{ name, value string }

type attribute struct {
	code  byte
	name  string // of an attrRequest
	value string
	size  int // of an attrSSLKeySize
}

// parseForward reads a FORWARD_REQUEST, its type included.
func parseForward(payload []byte) (*forward, error) {
	c := &cursor{s: string(payload)} // the strings are parts of this one
	if t := c.byte(); t != typeForwardRequest {
		c.fail("message type %d where a FORWARD_REQUEST should be", t)
	}
	f := &forward{}
	code := int(c.byte())
	f.protocol = c.string()
	f.uri = c.string()
	f.remoteAddr = c.string()
	f.remoteHost = c.string()
	f.serverName = c.string()
	f.serverPort = c.uint16()
	f.ssl = c.byte() != 0
	n := c.uint16()
	f.headers = make([]field, 0, min(n, 32, len(c.s)/4)) // a code and a null are four bytes
	for ; n > 0 && c.err == nil; n-- {
		name := c.name(requestHeaders)
		f.headers = append(f.headers, field{name, c.string()})
	}
	f.parseAttributes(c)
	f.setMethod(c, code)
	if err := c.end("the request"); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *forward) parseAttributes(c *cursor) {
	for c.err == nil {
		a := attribute{code: c.byte()}
		switch a.code {
		case attrEnd:
			return
		case attrRequest:
			a.name = c.string()
			a.value = c.string()
		case attrSSLKeySize:
			a.size = c.uint16()
		case attrContext, attrServletPath, attrRemoteUser, attrAuthType, attrQueryString, attrRoute,
			attrSSLCert, attrSSLCipher, attrSSLSession, attrSecret:
			a.value = c.string()
		case attrStoredMethod:
			method := c.string()
			if f.method != "" {
				c.fail("two stored methods")
			}
			f.method = method
			continue
		default: // its length is not known, nor what follows
			c.fail("unknown attribute 0x%02X", a.code)
		}
		f.attributes = append(f.attributes, a)
	}
}

func (f *forward) setMethod(c *cursor, code int) {
	switch {
	case c.err != nil:
	case code == storedMethod:
		if f.method == "" {
			c.fail("the method should be stored, and is not")
		}
	case f.method != "":
		c.fail("method code %d beside the stored method %.32q", code, f.method)
	case code == 0 || code >= len(methods):
		c.fail("unknown method code %d", code)
	default:
		f.method = methods[code]
	}
}

// append appends the request as a packet. False: it is larger than max.
func (f *forward) append(b []byte, max int) ([]byte, bool) {
	start := len(b)
	b = beginPacket(b, toBackEnd)
	code, coded := codeOf(methods[:], f.method)
	if !coded {
		code = storedMethod
	}
	b = append(b, typeForwardRequest, byte(code))
	b = appendString(b, f.protocol)
	b = appendString(b, f.uri)
	b = appendOptional(b, f.remoteAddr)
	b = appendOptional(b, f.remoteHost)
	b = appendOptional(b, f.serverName)
	b = appendUint16(b, f.serverPort)
	b = append(b, boolByte(f.ssl))
	if len(f.headers) > math.MaxUint16 {
		return b, false
	}
	b = appendUint16(b, len(f.headers))
	for _, h := range f.headers {
		b = appendName(b, requestHeaders, h.name)
		b = appendString(b, h.value)
		if len(b)-start > max { // it need not all be copied
			return b, false
		}
	}
	if !coded { // first of the attributes, as Apache has it
		b = append(b, attrStoredMethod)
		b = appendString(b, f.method)
	}
	for _, a := range f.attributes {
		b = append(b, a.code)
		switch a.code {
		case attrSSLKeySize:
			b = appendUint16(b, a.size)
			continue
		case attrRequest:
			b = appendString(b, a.name)
		}
		b = appendString(b, a.value)
	}
	b = append(b, attrEnd)
	return b, endPacket(b, start, max)
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// codeOf finds a name in a table whose first code is 1.
func codeOf(table []string, name string) (code int, ok bool) {
	for i := 1; i < len(table); i++ {
		if table[i] == name {
			return i, true
		}
	}
	return 0, false
}

// appendName appends a header's canonical name, coded if that can be.
func appendName(b []byte, coded []string, name string) []byte {
	if code, ok := codeOf(coded, name); ok {
		return append(b, 0xA0, byte(code))
	}
	return appendString(b, name)
}

// parseChunk returns the data in a packet of a request's body; empty: the body
// has ended. Some front servers say that with an inner length of 0, others
// with an empty payload.
func parseChunk(payload []byte) ([]byte, error) {
	if len(payload) == 0 {
		return nil, nil
	}
	if len(payload) < 2 {
		return nil, fmt.Errorf("ajp: a body packet of %d bytes has no length", len(payload))
	}
	n := int(payload[0])<<8 | int(payload[1])
	if n != len(payload)-2 {
		return nil, fmt.Errorf("ajp: a body packet announces %d bytes and has %d", n, len(payload)-2)
	}
	return payload[2:], nil
}

// appendChunk appends a packet with a part of a request's body, which fits; the
// empty one ends a body.
func appendChunk(b, data []byte) []byte {
	if len(data) == 0 {
		return beginPacket(b, toBackEnd)
	}
	b = appendUint16(append(b, toBackEnd>>8, toBackEnd&0xFF), len(data)+2)
	b = appendUint16(b, len(data))
	return append(b, data...)
}
