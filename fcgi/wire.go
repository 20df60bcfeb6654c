package fcgi

// The wire: records, name-value pairs, and a reader that yields a record's
// content where it lies in the buffer.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"millrace/gateway"
)

// Type is the type of a record (section 3.3).
type Type uint8

// The types of records.
const (
	BeginRequest Type = iota + 1
	AbortRequest
	EndRequest
	Params
	Stdin
	Stdout
	Stderr
	Data
	GetValues
	GetValuesResult
	UnknownType
)

func (t Type) String() string {
	names := [...]string{
		"type 0", "BEGIN_REQUEST", "ABORT_REQUEST", "END_REQUEST", "PARAMS", "STDIN", "STDOUT", "STDERR", "DATA",
		"GET_VALUES", "GET_VALUES_RESULT", "UNKNOWN_TYPE",
	}
	if int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Sizes of the wire.
const (
	HeaderLen  = 8     // bytes of a record's header
	MaxContent = 65535 // bytes of a record's content at most
	version    = 1
	keepConn   = 1 // flag of BEGIN_REQUEST: the connection stays open
)

// Status is the protocol's verdict in END_REQUEST (section 5.5).
type Status uint8

// The statuses of END_REQUEST.
const (
	RequestComplete Status = iota
	CantMpxConn
	Overloaded
	UnknownRole
)

func (s Status) String() string {
	names := [...]string{"REQUEST_COMPLETE", "CANT_MPX_CONN", "OVERLOADED", "UNKNOWN_ROLE"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// Names of GET_VALUES (section 4.1).
const (
	nameMaxConns  = "FCGI_MAX_CONNS"
	nameMaxReqs   = "FCGI_MAX_REQS"
	nameMpxsConns = "FCGI_MPXS_CONNS"
)

// Header is a record's header.
type Header struct {
	Type    Type
	ID      uint16 // of the request; 0: a management record
	Length  int    // bytes of content, at most MaxContent
	Padding int    // bytes after the content, at most 255
}

// ErrProtocol is wrapped by the errors of what breaks the protocol's rules:
// the connection is of no use any more.
var ErrProtocol = errors.New("fcgi: protocol error")

// AppendHeader appends a record's header. It panics at a length or a padding
// that a record cannot have: one that were cut would let the rest pass for
// records of its own.
func AppendHeader(b []byte, h Header) []byte {
	if h.Length < 0 || h.Length > MaxContent || h.Padding < 0 || h.Padding > 255 {
		panic(fmt.Sprintf("fcgi: a record of %d bytes and %d of padding", h.Length, h.Padding))
	}
	return append(b, version, byte(h.Type), byte(h.ID>>8), byte(h.ID), byte(h.Length>>8), byte(h.Length), byte(h.Padding), 0)
}

// ParseHeader reads a record's header from b, which holds HeaderLen bytes.
func ParseHeader(b []byte) (Header, error) {
	h := Header{
		Type:    Type(b[1]),
		ID:      binary.BigEndian.Uint16(b[2:]),
		Length:  int(binary.BigEndian.Uint16(b[4:])),
		Padding: int(b[6]),
	}
	switch {
	case b[0] != version:
		return h, fmt.Errorf("%w: version %d, want %d", ErrProtocol, b[0], version)
	case b[7] != 0:
		return h, fmt.Errorf("%w: reserved byte %#x of a header, want 0", ErrProtocol, b[7])
	}
	return h, nil
}

// AppendPair appends a name-value pair (section 3.4).
func AppendPair(b []byte, name, value string) []byte {
	b = appendLength(b, len(name))
	b = appendLength(b, len(value))
	b = append(b, name...)
	return append(b, value...)
}

func appendLength(b []byte, n int) []byte {
	if n < 128 {
		return append(b, byte(n))
	}
	return binary.BigEndian.AppendUint32(b, uint32(n)|1<<31)
}

// AppendPairs reads all name-value pairs of b and appends them to params. b is
// the whole of a stream of PARAMS, which the parameters' strings share a copy
// of. Every length is checked against what remains.
func AppendPairs(params []gateway.Param, b []byte) ([]gateway.Param, error) {
	for s := string(b); s != ""; {
		nameLen, rest, ok := cutLength(s)
		if !ok {
			return params, errPair
		}
		valueLen, rest, ok := cutLength(rest)
		if !ok || nameLen > len(rest) || valueLen > len(rest)-nameLen {
			return params, errPair
		}
		name := rest[:nameLen]
		if name == "" || strings.IndexByte(name, 0) >= 0 || strings.IndexByte(name, '=') >= 0 {
			return params, fmt.Errorf("%w: %.64q is no name of a parameter", ErrProtocol, name)
		}
		params = append(params, gateway.Param{Name: name, Value: rest[nameLen : nameLen+valueLen]})
		s = rest[nameLen+valueLen:]
	}
	return params, nil
}

var errPair = fmt.Errorf("%w: a name-value pair is longer than what there is of it", ErrProtocol)

// cutLength takes a length of one or four bytes off s.
func cutLength(s string) (n int, rest string, ok bool) {
	switch {
	case s == "":
		return 0, s, false
	case s[0] < 128:
		return int(s[0]), s[1:], true
	case len(s) < 4:
		return 0, s, false
	}
	return int(s[0]&0x7f)<<24 | int(s[1])<<16 | int(s[2])<<8 | int(s[3]), s[4:], true
}

// beginBody is the content of BEGIN_REQUEST (section 5.1).
type beginBody struct {
	role uint16 // 1 is a responder, 2 an authorizer, 3 a filter
	keep bool
}

func appendBegin(b []byte, id uint16, role gateway.Role, keep bool) []byte {
	flags := byte(0)
	if keep {
		flags = keepConn
	}
	b = AppendHeader(b, Header{Type: BeginRequest, ID: id, Length: 8})
	return append(b, 0, byte(role)+1, flags, 0, 0, 0, 0, 0)
}

func parseBegin(b []byte) (beginBody, error) {
	if len(b) != 8 {
		return beginBody{}, fmt.Errorf("%w: a BEGIN_REQUEST of %d bytes, want 8", ErrProtocol, len(b))
	}
	if b[3]|b[4]|b[5]|b[6]|b[7] != 0 {
		return beginBody{}, fmt.Errorf("%w: reserved bytes %x of BEGIN_REQUEST, want 0", ErrProtocol, b[3:])
	}
	return beginBody{role: binary.BigEndian.Uint16(b), keep: b[2]&keepConn != 0}, nil
}

// endBody is the content of END_REQUEST (section 5.5).
type endBody struct {
	app    uint32 // the app's exit status
	status Status
}

func appendEnd(b []byte, id uint16, e endBody) []byte {
	b = AppendHeader(b, Header{Type: EndRequest, ID: id, Length: 8})
	b = binary.BigEndian.AppendUint32(b, e.app)
	return append(b, byte(e.status), 0, 0, 0)
}

func parseEnd(b []byte) (endBody, error) {
	if len(b) != 8 {
		return endBody{}, fmt.Errorf("%w: an END_REQUEST of %d bytes, want 8", ErrProtocol, len(b))
	}
	return endBody{app: binary.BigEndian.Uint32(b), status: Status(b[4])}, nil
}

// reader reads records. The content of one is had with content, in parts.
type reader struct {
	src  io.Reader
	buf  []byte
	r, w int // what is read and not used: buf[r:w]
	left int // of the current record's content
	pad  int // of its padding
}

const (
	readBuffer    = 8 << 10
	readBufferMax = 64 << 10 // what it becomes when a read has filled it
)

var readBuffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}

func newReader(src io.Reader) reader {
	return reader{src: src, buf: readBuffers.Get().(*[readBuffer]byte)[:]}
}

// free gives the buffer to whoever comes next; nothing is read any more, and
// no content used.
func (r *reader) free() {
	if len(r.buf) == readBuffer {
		readBuffers.Put((*[readBuffer]byte)(r.buf))
	}
	r.buf, r.r, r.w = nil, 0, 0
}

// buffered reports whether bytes are there that were not used.
func (r *reader) buffered() bool { return r.w > r.r }

// inside reports whether a record has begun and is not whole.
func (r *reader) inside() bool { return r.left > 0 || r.pad > 0 || r.buffered() }

// fill reads more, after what is there.
func (r *reader) fill() error {
	if r.r == r.w {
		if r.w == len(r.buf) && len(r.buf) < readBufferMax {
			r.buf = make([]byte, readBufferMax)
		}
		r.r, r.w = 0, 0
	} else if r.w == len(r.buf) {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// next reads the header of the next record; what was not read of the current
// one is passed over. io.EOF comes between two records only.
func (r *reader) next() (Header, error) {
	r.left, r.pad = 0, r.left+r.pad // from here on it is all the same
	for r.pad > 0 {
		if r.r == r.w {
			if err := r.fill(); err != nil {
				return Header{}, cut(err)
			}
		}
		n := min(r.pad, r.w-r.r)
		r.r += n
		r.pad -= n
	}
	for r.w-r.r < HeaderLen {
		inside := r.w > r.r
		if err := r.fill(); err != nil {
			if inside {
				err = cut(err)
			}
			return Header{}, err
		}
	}
	h, err := ParseHeader(r.buf[r.r:])
	if err != nil {
		return h, err
	}
	r.r += HeaderLen
	r.left, r.pad = h.Length, h.Padding
	return h, nil
}

// content is the next part of the current record, which lies in the buffer
// until the next call; empty when there is no more.
func (r *reader) content() ([]byte, error) {
	if r.left == 0 {
		return nil, nil
	}
	if r.r == r.w {
		if err := r.fill(); err != nil {
			return nil, cut(err)
		}
	}
	b := r.buf[r.r:min(r.w, r.r+r.left)]
	r.r += len(b)
	r.left -= len(b)
	return b, nil
}

// whole appends the rest of the current record to b.
func (r *reader) whole(b []byte) ([]byte, error) {
	for r.left > 0 {
		part, err := r.content()
		if err != nil {
			return b, err
		}
		b = append(b, part...)
	}
	return b, nil
}

// skipPadding passes over what has come of the current record's padding.
func (r *reader) skipPadding() {
	n := min(r.pad, r.w-r.r)
	r.r += n
	r.pad -= n
}

// cut makes an end inside a record an error.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
