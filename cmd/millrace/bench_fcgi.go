package main

// This file is the load's FastCGI on connections that serve one request at a
// time.

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"

	"millrace/fcgi"
	"millrace/gateway"
)

// fcgiSender sends over one connection, and opens it anew where it ends.
type fcgiSender struct {
	loadConn
	keep bool
	head bool   // responses have no body
	buf  []byte // a response's head
}

func newFCGISender(l *load) *fcgiSender {
	s := &fcgiSender{keep: !l.fresh, head: l.m.cgi.Param("REQUEST_METHOD") == http.MethodHead}
	s.init(l, fcgiBytes(l.m, s.keep), s.exchange)
	return s
}

// loadID is the number of the one request of a connection.
const loadID = 1

// fcgiBytes is the whole of a request.
func fcgiBytes(m *message, keep bool) []byte {
	flags := byte(0)
	if keep {
		flags = 1 // FCGI_KEEP_CONN
	}
	b := fcgi.AppendHeader(nil, fcgi.Header{Type: fcgi.BeginRequest, ID: loadID, Length: 8})
	b = append(b, 0, byte(m.cgi.Role)+1, flags, 0, 0, 0, 0, 0)
	params := fcgi.AppendPair(nil, "FCGI_ROLE", m.cgi.Role.String())
	for _, p := range m.cgi.Params {
		params = fcgi.AppendPair(params, p.Name, p.Value)
	}
	b = appendStream(b, fcgi.Params, params)
	var body []byte
	if m.body != nil {
		body, _ = io.ReadAll(m.body.reader()) // it is in memory
	}
	return appendStream(b, fcgi.Stdin, body)
}

// appendStream appends the records of a stream and of its end.
func appendStream(b []byte, t fcgi.Type, content []byte) []byte {
	for len(content) > 0 {
		n := min(len(content), fcgi.MaxContent)
		b = append(fcgi.AppendHeader(b, fcgi.Header{Type: t, ID: loadID, Length: n}), content[:n]...)
		content = content[n:]
	}
	return fcgi.AppendHeader(b, fcgi.Header{Type: t, ID: loadID})
}

// fcgiResponse is a response that is being read.
type fcgiResponse struct {
	head *gateway.Head // nil: not there yet
	size int64         // of the body
}

// exchange reads the records of one response.
func (s *fcgiSender) exchange() (status int, size int64, keep bool, err error) {
	var r fcgiResponse
	s.buf = s.buf[:0]
	for {
		b, err := s.in.Peek(fcgi.HeaderLen)
		if err != nil {
			return 0, r.size, false, s.failed(io.ErrUnexpectedEOF, err)
		}
		h, err := fcgi.ParseHeader(b)
		if err != nil {
			return 0, r.size, false, fmt.Errorf("%w: %w", gateway.ErrBadResponse, err)
		}
		_, _ = s.in.Discard(fcgi.HeaderLen) // they are there
		switch {
		case h.ID != loadID:
			err = fmt.Errorf("%w: %v for request %d", gateway.ErrBadResponse, h.Type, h.ID)
		case h.Type == fcgi.EndRequest:
			if err := s.end(h); err != nil {
				return 0, r.size, false, err
			}
			return s.whole(&r)
		case h.Type == fcgi.Stdout:
			err = s.stdout(h, &r)
		case h.Type == fcgi.Stderr:
			_, err = s.discard(int64(h.Length + h.Padding))
		default:
			err = fmt.Errorf("%w: %v from a program", gateway.ErrBadResponse, h.Type)
		}
		if err != nil {
			return 0, r.size, false, err
		}
	}
}

// stdout reads a record of STDOUT.
func (s *fcgiSender) stdout(h fcgi.Header, r *fcgiResponse) error {
	if r.head != nil {
		n, err := s.discard(int64(h.Length))
		r.size += n
		if err != nil {
			return err
		}
	} else if err := s.readHead(h, r); err != nil {
		return err
	}
	_, err := s.discard(int64(h.Padding))
	return err
}

// readHead reads a record that the head is a part of.
func (s *fcgiSender) readHead(h fcgi.Header, r *fcgiResponse) (err error) {
	from := len(s.buf)
	s.buf = append(s.buf, make([]byte, h.Length)...)
	if _, err := io.ReadFull(s.in, s.buf[from:]); err != nil {
		return s.failed(io.ErrUnexpectedEOF, err)
	}
	head, n, err := gateway.ParseHead(s.buf)
	switch {
	case err != nil:
		return err
	case n > 0:
		r.head, r.size = head, int64(len(s.buf)-n)
	case len(s.buf) > gateway.DefaultMaxHead:
		return fmt.Errorf("%w: a head of more than %d bytes", gateway.ErrBadResponse, gateway.DefaultMaxHead)
	}
	return nil
}

// end reads END_REQUEST.
func (s *fcgiSender) end(h fcgi.Header) error {
	if h.Length != 8 {
		return fmt.Errorf("%w: an END_REQUEST of %d bytes", gateway.ErrBadResponse, h.Length)
	}
	var b [8]byte
	if _, err := io.ReadFull(s.in, b[:]); err != nil {
		return s.failed(io.ErrUnexpectedEOF, err)
	}
	if _, err := s.discard(int64(h.Padding)); err != nil {
		return err
	}
	switch status := fcgi.Status(b[4]); status {
	case fcgi.RequestComplete:
		return nil
	case fcgi.Overloaded:
		return fmt.Errorf("%w (FCGI_OVERLOADED)", gateway.ErrOverloaded)
	default:
		return fmt.Errorf("%w: it ends with %v, exit status %d", gateway.ErrBadResponse, status, binary.BigEndian.Uint32(b[:]))
	}
}

// whole is the verdict on a response that has ended.
func (s *fcgiSender) whole(r *fcgiResponse) (status int, size int64, keep bool, err error) {
	switch {
	case r.head == nil:
		return 0, 0, false, fmt.Errorf("%w: it ends before its head does: %.64q", gateway.ErrBadResponse, s.buf)
	case s.head || r.head.Status == http.StatusNoContent || r.head.Status == http.StatusNotModified:
		return r.head.Status, 0, s.keep, nil
	case r.size < r.head.ContentLength:
		return 0, r.size, false, fmt.Errorf("%d bytes before its Content-Length: %w", r.head.ContentLength-r.size, io.ErrUnexpectedEOF)
	}
	return r.head.Status, r.size, s.keep, nil
}
