package fcgi

// The head of a response, from the parts in which it comes.

import (
	"bytes"
	"fmt"

	"millrace/gateway"
)

// readHead reads parts up to the end of a head of so many bytes at most; rest is
// what follows it in the last.
func readHead(most int, next func() ([]byte, error)) (head *gateway.Head, rest []byte, err error) {
	r := headReader{most: most}
	for {
		part, err := next()
		if err == errEnd {
			err = r.cut()
		}
		if err != nil {
			return nil, nil, err
		}
		head, rest, err := r.add(part)
		if head != nil || err != nil {
			return head, rest, err
		}
	}
}

// headReader collects a head. One that comes whole is not copied.
type headReader struct {
	most int // bytes
	buf  []byte
}

// add takes the next part. head is nil until it is whole; rest is what follows
// it, a part of part or of the reader's own buffer.
func (r *headReader) add(part []byte) (head *gateway.Head, rest []byte, err error) {
	all, from := part, len(r.buf)
	if from > 0 {
		r.buf = append(r.buf, part...)
		all = r.buf
	}
	if !ends(all, from) {
		if len(all) > r.most {
			return nil, nil, r.tooLarge()
		}
		if from == 0 {
			r.buf = append(make([]byte, 0, 2*len(part)), part...)
		}
		return nil, nil, nil
	}
	head, n, err := gateway.ParseHead(all)
	switch {
	case err != nil:
		return nil, nil, err
	case n > r.most:
		return nil, nil, r.tooLarge()
	}
	return head, all[n:], nil
}

func (r *headReader) tooLarge() error {
	return fmt.Errorf("%w: a head of more than %d bytes", gateway.ErrBadResponse, r.most)
}

// cut is the error for a response that ends inside its head.
func (r *headReader) cut() error {
	return fmt.Errorf("%w: it ends before its head does: %.64q", gateway.ErrBadResponse, r.buf)
}

// ends reports whether b has the empty line that ends a head. Its first from
// bytes are known not to: so each byte is looked at once, however many parts
// it all comes in.
func ends(b []byte, from int) bool {
	for at := max(from-2, 0); ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return false
		}
		at += i
		if at == 0 || b[at-1] == '\n' || b[at-1] == '\r' && (at == 1 || b[at-2] == '\n') {
			return true
		}
		at++
	}
}
