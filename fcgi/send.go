package fcgi

// A client's request as records.

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"millrace/gateway"
)

const (
	maxParams = 16 << 20 // bytes of parameters that a client sends
	smallBody = 32 << 10 // a body up to this leaves in one write with the parameters
)

// check refuses a request whose lengths nobody could keep.
func check(req *gateway.Request) error {
	switch {
	case req.ContentLength < 0, req.Body == nil && req.ContentLength != 0:
		return fmt.Errorf("%w: a length of %d without a body", gateway.ErrBody, req.ContentLength)
	case req.Role == gateway.Filter && (req.DataLength < 0 || req.Data == nil && req.DataLength != 0):
		return fmt.Errorf("%w: a length of %d without data", gateway.ErrBody, req.DataLength)
	}
	return nil
}

// begin appends BEGIN_REQUEST and the parameters.
func begin(b []byte, id uint16, req *gateway.Request, keep bool) ([]byte, error) {
	b = appendBegin(b, id, req.Role, keep)
	head := len(b)
	b = append(b, make([]byte, HeaderLen)...)
	role := false
	for i := range req.Params {
		role = role || req.Params[i].Name == "FCGI_ROLE"
		b = AppendPair(b, req.Params[i].Name, req.Params[i].Value)
		if len(b) > maxParams {
			return b, fmt.Errorf("%w: parameters of more than %d bytes", gateway.ErrTooLarge, maxParams)
		}
	}
	if !role {
		b = AppendPair(b, "FCGI_ROLE", req.Role.String())
	}
	if len(b)-head-HeaderLen > MaxContent {
		b = split(b, head, id)
	} else {
		AppendHeader(b[:head], Header{Type: Params, ID: id, Length: len(b) - head - HeaderLen})
	}
	return AppendHeader(b, Header{Type: Params, ID: id}), nil
}

// split makes several records of parameters that do not fit one. It cuts
// between two of them, and inside only one that is larger than a record: flup
// reads each record by itself.
func split(b []byte, head int, id uint16) []byte {
	all := append([]byte(nil), b[head+HeaderLen:]...)
	b = b[:head]
	inside := 0 // bytes of a pair that the record before began
	for len(all) > 0 {
		n := min(inside, MaxContent)
		inside -= n
		for n < len(all) {
			size := pairSize(all[n:])
			if n+size > MaxContent {
				if n == 0 {
					n, inside = MaxContent, size-MaxContent
				}
				break
			}
			n += size
		}
		b = AppendHeader(b, Header{Type: Params, ID: id, Length: n})
		b = append(b, all[:n]...)
		all = all[n:]
	}
	return b
}

// pairSize is how many bytes the pair at the start of b takes.
func pairSize(b []byte) int {
	lengths := string(b[:min(len(b), 8)])
	name, rest, _ := cutLength(lengths)
	value, rest, _ := cutLength(rest)
	return len(lengths) - len(rest) + name + value
}

// inputs are the streams that follow the parameters, one after the other.
type inputs struct {
	id   uint16
	list []source // those that have not ended
	two  [2]source
}

// source is where one stream comes from.
type source struct {
	kind Type
	from io.Reader
	left int64
}

func (in *inputs) init(id uint16, req *gateway.Request) {
	in.id = id
	in.two = [2]source{{Stdin, req.Body, req.ContentLength}, {Data, req.Data, req.DataLength}}
	switch req.Role {
	case gateway.Authorizer: // it has no input
	case gateway.Filter:
		in.list = in.two[:]
	default:
		in.list = in.two[:1]
	}
}

// ready reports whether all of it can be had without waiting, and leaves in
// one write with the parameters.
func (in *inputs) ready() bool {
	total := int64(0)
	for i := range in.list {
		if _, inMemory := in.list[i].from.(interface{ Len() int }); in.list[i].from != nil && !inMemory {
			return false
		}
		total += in.list[i].left
	}
	return total <= smallBody
}

// next appends records of about one buffer's size. more is false with the
// last. The end of a stream is not given before its reader's own end is seen:
// a program must not take a body that goes on for a whole one.
func (in *inputs) next(b []byte) (_ []byte, more bool, err error) {
	for room := smallBody; len(in.list) > 0; {
		s := &in.list[0]
		if s.left > 0 {
			if room == 0 {
				return b, true, nil
			}
			var n int
			if b, n, err = s.append(b, in.id, room); err != nil {
				return b, false, err
			}
			room -= n
			s.left -= int64(n)
			if s.left > int64(room) {
				return b, true, nil // what has come leaves
			}
			continue
		}
		if b, err = s.end(b); err != nil {
			return b, false, err
		}
		b = AppendHeader(b, Header{Type: s.kind, ID: in.id})
		in.list = in.list[1:]
	}
	return b, false, nil
}

// finish appends the ends of the streams that have not ended.
func (in *inputs) finish(b []byte) []byte {
	for i := range in.list {
		b = AppendHeader(b, Header{Type: in.list[i].kind, ID: in.id})
	}
	return b
}

// append appends a record with what one read gives, which goes behind the
// header's room without a copy.
func (s *source) append(b []byte, id uint16, room int) ([]byte, int, error) {
	head, want := len(b), int(min(s.left, int64(room)))
	if need := head + HeaderLen + want; cap(b) < need+64 {
		b = append(make([]byte, 0, need+64), b...)
	}
	n, err := read(s.from, b[head+HeaderLen:head+HeaderLen+want])
	switch {
	case n > 0: // an error comes again
		b = AppendHeader(b[:head], Header{Type: s.kind, ID: id, Length: n})
		return b[:head+HeaderLen+n], n, nil
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("%d bytes of what was announced are missing: %w", s.left, io.ErrUnexpectedEOF)
	}
	return b, 0, fmt.Errorf("%w: %w", gateway.ErrBody, err)
}

// end sees that the reader ends where it should.
func (s *source) end(b []byte) ([]byte, error) {
	if s.from == nil {
		return b, nil
	}
	b = append(b, 0)
	n, err := read(s.from, b[len(b)-1:])
	b = b[:len(b)-1]
	switch {
	case n > 0:
		return b, fmt.Errorf("%w: it is longer than announced", gateway.ErrBody)
	case !errors.Is(err, io.EOF):
		return b, fmt.Errorf("%w: %w", gateway.ErrBody, err)
	}
	return b, nil
}

// read reads at least a byte.
func read(src io.Reader, b []byte) (n int, err error) {
	for range 100 {
		if n, err = src.Read(b); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// upload is what the reader of a response must know of the input that is still
// on its way.
type upload struct {
	mu      sync.Mutex
	active  bool // more is to be sent, or could not be
	waiting bool // for the request's body: the program is not late
	moved   time.Time
	sent    int // bytes of the request that left
	err     error
}

// wait notes the beginning and the end of a wait for the request's body.
func (u *upload) wait(waiting bool) {
	u.mu.Lock()
	u.waiting, u.moved = waiting, time.Now()
	u.mu.Unlock()
}

// wrote notes a write's outcome.
func (u *upload) wrote(n int, more bool, err error) {
	u.mu.Lock()
	u.sent += n
	u.moved = time.Now()
	u.active = more || err != nil
	u.err = err
	u.mu.Unlock()
}

func (u *upload) fail(err error) {
	u.mu.Lock()
	u.waiting, u.err = false, err
	u.mu.Unlock()
}

// state returns whether the input is on its way, and why not.
func (u *upload) state() (active bool, sent int, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.active, u.sent, u.err
}

// grace is how long a program that has been silent for timeout is given still,
// because it has taken input since, or is not to blame. 0: none.
func (u *upload) grace(timeout time.Duration) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case !u.active && u.moved.IsZero(), u.err != nil:
		return 0
	case u.waiting:
		return timeout
	}
	return max(timeout-time.Since(u.moved), 0)
}
