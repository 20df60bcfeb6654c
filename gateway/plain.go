package gateway

import (
	"io"
	"net/http"
	"time"
)

// PlainStream is the Stream of the protocols whose response is a head and a
// body without any framing: CGI, SCGI and uwsgi. Head and body leave together
// where they fit the buffer.
type PlainStream struct {
	w    io.Writer
	form Form
	b    []byte
}

var (
	_ Stream        = (*PlainStream)(nil)
	_ io.ReaderFrom = (*PlainStream)(nil)
)

// plainBuffer is how much of a response is collected before it is written.
const plainBuffer = 16 << 10

// Reset makes s ready for one response to w.
func (s *PlainStream) Reset(w io.Writer, form Form) {
	*s = PlainStream{w: w, form: form, b: s.b[:0]}
}

// WriteHead holds the head back for the first bytes of the body.
func (s *PlainStream) WriteHead(status int, header http.Header) error {
	s.b = AppendHead(s.b, s.form, status, header)
	return nil
}

func (s *PlainStream) Write(b []byte) (int, error) {
	if len(s.b)+len(b) <= plainBuffer {
		s.b = append(s.b, b...)
		return len(b), nil
	}
	if err := s.Flush(); err != nil {
		return 0, err
	}
	if len(b) >= plainBuffer {
		return s.w.Write(b)
	}
	s.b = append(s.b, b...)
	return len(b), nil
}

// Flush writes what is held.
func (s *PlainStream) Flush() error {
	if len(s.b) == 0 {
		return nil
	}
	_, err := s.w.Write(s.b)
	s.b = s.b[:0]
	return err
}

// ReadFrom sends r's bytes; a file goes by sendfile where the connection can.
func (s *PlainStream) ReadFrom(r io.Reader) (int64, error) {
	if err := s.Flush(); err != nil {
		return 0, err
	}
	return io.Copy(s.w, r)
}

// SetReadDeadline is the connection's, if it has one.
func (s *PlainStream) SetReadDeadline(t time.Time) error {
	if d, ok := s.w.(interface{ SetReadDeadline(time.Time) error }); ok {
		return d.SetReadDeadline(t)
	}
	return http.ErrNotSupported
}

// SetWriteDeadline is the connection's, if it has one.
func (s *PlainStream) SetWriteDeadline(t time.Time) error {
	if d, ok := s.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		return d.SetWriteDeadline(t)
	}
	return http.ErrNotSupported
}
