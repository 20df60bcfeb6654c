package fcgi

// A server's request's input: STDIN or DATA, as long as it was announced.

import (
	"fmt"
	"io"
)

// input is one of a request's two streams. The connection's reader adds to it,
// the handler reads it.
type input struct {
	pipe
	length int64 // that was announced; negative: up to its end
	came   int64 // the connection's reader's
	gone   int64 // the handler's
	ended  bool  // guarded by conn.mu for all but the connection's reader, who writes it
}

// add keeps b, but for what goes beyond the length. surplus says that it now
// does, once.
func (in *input) add(b []byte) (surplus bool, err error) {
	before := in.came
	in.came += int64(len(b))
	if in.length >= 0 && in.came > in.length {
		surplus = before <= in.length
		b = b[:max(in.length-before, 0)]
	}
	if len(b) > 0 {
		err = in.write(b)
	}
	return surplus, err
}

// Read is the handler's.
func (in *input) Read(b []byte) (int, error) {
	if in.length < 0 {
		return in.pipe.Read(b)
	}
	left := in.length - in.gone
	if left == 0 {
		return 0, io.EOF
	}
	n, err := in.pipe.Read(b[:min(int64(len(b)), left)])
	in.gone += int64(n)
	if err == io.EOF {
		err = fmt.Errorf("fcgi: the request's input ends %d bytes before its announced length: %w", left, io.ErrUnexpectedEOF)
	}
	return n, err
}

var _ io.Reader = (*input)(nil)
