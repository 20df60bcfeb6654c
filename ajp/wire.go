package ajp

// Packets, and the integers and strings within them, as both sides read and
// write them.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Bounds of PacketSize, the bytes of a packet with its header of 4. The
// specification has 8192 alone; Apache and Tomcat go up to 65536.
const (
	DefaultPacketSize = 8192
	MaxPacketSize     = 65536
)

const (
	headerSize = 4
	chunkHead  = headerSize + 2 // of a packet with a part of a request's body
	sendHead   = headerSize + 3 // of SEND_BODY_CHUNK; a NUL follows the data
)

// Types of messages: the first byte of a payload. Body packets have none.
const (
	typeForwardRequest = 2
	typeSendBodyChunk  = 3
	typeSendHeaders    = 4
	typeEndResponse    = 5
	typeGetBodyChunk   = 6
	typeShutdown       = 7
	typePing           = 8
	typeCPong          = 9
	typeCPing          = 10
)

const (
	toBackEnd = 0x1234
	toFront   = 'A'<<8 | 'B'
	nullSize  = 0xFFFF // of a string that is not there, and has no NUL
)

// packetSize is the size that a PacketSize field asks for.
func packetSize(size int) (int, error) {
	switch {
	case size == 0:
		return DefaultPacketSize, nil
	case size < DefaultPacketSize || size > MaxPacketSize:
		return 0, fmt.Errorf("ajp: PacketSize %d; want %d to %d", size, DefaultPacketSize, MaxPacketSize)
	}
	return size, nil
}

// packetReader takes packets out of a connection. Its buffer grows with what
// has arrived, to one packet at most.
type packetReader struct {
	r          io.Reader
	magic      uint16 // of the packets that come
	max        int    // bytes of a packet
	buf        []byte
	start, end int // what has been read and not taken
}

// firstBuffer holds most requests: a connection that idles costs no more.
const firstBuffer = 2048

// take returns the payload of the next packet if all of it has arrived; it is
// good until the next fill. An error is the peer's fault.
func (p *packetReader) take() (payload []byte, ok bool, err error) {
	b := p.buf[p.start:p.end]
	if len(b) < headerSize {
		return nil, false, nil
	}
	if magic := binary.BigEndian.Uint16(b); magic != p.magic {
		return nil, false, fmt.Errorf("ajp: a packet begins with %#04x, not %#04x", magic, p.magic)
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if headerSize+n > p.max {
		return nil, false, fmt.Errorf("ajp: a packet of %d bytes; PacketSize is %d, and has to be the same on both sides", headerSize+n, p.max)
	}
	if len(b) < headerSize+n {
		return nil, false, nil
	}
	p.start += headerSize + n
	return b[headerSize : headerSize+n : headerSize+n], true, nil
}

// ready reports whether take has an answer without another fill.
func (p *packetReader) ready() bool {
	b := p.buf[p.start:p.end]
	return len(b) >= headerSize && (len(b)-headerSize >= int(binary.BigEndian.Uint16(b[2:])) || binary.BigEndian.Uint16(b) != p.magic)
}

// buffered is how many bytes have arrived and are not taken.
func (p *packetReader) buffered() int { return p.end - p.start }

// fill reads once. io.EOF is an end between packets, io.ErrUnexpectedEOF one
// within.
func (p *packetReader) fill() error {
	switch {
	case p.start == p.end:
		p.start, p.end = 0, 0
	case p.start > 0 && p.end == len(p.buf):
		p.end = copy(p.buf, p.buf[p.start:p.end])
		p.start = 0
	}
	if p.end == len(p.buf) {
		b := make([]byte, min(max(firstBuffer, 2*len(p.buf)), p.max))
		copy(b, p.buf[:p.end])
		p.buf = b
	}
	n, err := p.r.Read(p.buf[p.end:])
	p.end += n
	if n > 0 {
		return nil
	}
	if errors.Is(err, io.EOF) && p.buffered() > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// cursor reads the fields of a payload. After the first error it gives zeros.
type cursor struct {
	s   string
	err error
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("ajp: "+format, args...)
	}
	c.s = ""
}

func (c *cursor) byte() byte {
	if len(c.s) < 1 {
		c.fail("the packet ends where a byte should be")
		return 0
	}
	b := c.s[0]
	c.s = c.s[1:]
	return b
}

func (c *cursor) uint16() int {
	if len(c.s) < 2 {
		c.fail("the packet ends where an integer should be")
		return 0
	}
	n := int(c.s[0])<<8 | int(c.s[1])
	c.s = c.s[2:]
	return n
}

// string reads a string; one that is not there is "".
func (c *cursor) string() string {
	n := c.uint16()
	if n == nullSize || c.err != nil {
		return ""
	}
	if n+1 > len(c.s) {
		c.fail("a string of %d bytes and a NUL, and %d bytes are left", n, len(c.s))
		return ""
	}
	if c.s[n] != 0 {
		c.fail("a string of %d bytes does not end with a NUL", n)
		return ""
	}
	s := c.s[:n]
	c.s = c.s[n+1:]
	return s
}

// name reads a header's name: one of the coded ones, 0xA001 and on, or a
// string.
func (c *cursor) name(coded []string) string {
	if len(c.s) < 2 || c.s[0] != 0xA0 {
		s := c.string()
		if s == "" {
			c.fail("a header without a name")
		}
		return s
	}
	code := c.uint16() - 0xA000
	if code == 0 || code >= len(coded) {
		c.fail("unknown header code 0xA0%02X", code)
		return ""
	}
	return coded[code]
}

// end fails when something is left.
func (c *cursor) end(of string) error {
	if c.err == nil && len(c.s) > 0 {
		c.fail("%d bytes after the end of %s", len(c.s), of)
	}
	return c.err
}

// beginPacket appends a packet's header; endPacket sets the length.
func beginPacket(b []byte, magic uint16) []byte {
	return append(b, byte(magic>>8), byte(magic), 0, 0)
}

// endPacket completes the packet that begins at start. False: it is larger
// than max.
func endPacket(b []byte, start, max int) bool {
	if len(b)-start > max {
		return false
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start-headerSize))
	return true
}

func appendUint16(b []byte, n int) []byte { return append(b, byte(n>>8), byte(n)) }

// appendString appends s, which has to be shorter than 65535 bytes; anything
// as long makes its packet too large, and is cut for that reason alone.
func appendString[S ~string | ~[]byte](b []byte, s S) []byte {
	b = appendUint16(b, min(len(s), math.MaxUint16-1))
	b = append(b, s...)
	return append(b, 0)
}

// appendOptional appends s, or that there is none.
func appendOptional(b []byte, s string) []byte {
	if s == "" {
		return appendUint16(b, nullSize)
	}
	return appendString(b, s)
}
