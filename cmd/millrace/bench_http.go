package main

// This file is the load's HTTP: as much of a response is read as its end needs.

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"millrace/gateway"
)

// httpSender sends over one connection, and opens it anew where it ends.
type httpSender struct {
	loadConn
	head bool // responses have no body
}

func newHTTPSender(l *load) *httpSender {
	s := &httpSender{head: l.m.http.Method == http.MethodHead}
	s.init(l, httpBytes(l.m, l.fresh), s.exchange)
	return s
}

// httpBytes is the whole of a request.
func httpBytes(m *message, fresh bool) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", m.http.Method, m.http.RequestURI, m.http.Host)
	header := m.http.Header.Clone()
	if fresh && header.Get("Connection") == "" {
		header.Set("Connection", "close")
	}
	if m.body != nil {
		header.Set("Content-Length", strconv.FormatInt(m.body.size, 10))
	}
	_ = header.Write(&b) // memory takes it
	b.WriteString("\r\n")
	if m.body != nil {
		_, _ = io.Copy(&b, m.body.reader()) // it is in memory too
	}
	return b.Bytes()
}

// exchange is one request and its response.
func (s *httpSender) exchange() (status int, size int64, keep bool, err error) {
	r, err := s.readHead()
	if err != nil {
		return 0, 0, false, err
	}
	if size, err = s.readBody(r); err != nil {
		return 0, size, false, err
	}
	return r.status, size, !r.closes, nil
}

// httpHead is what the end of a response depends on.
type httpHead struct {
	status  int
	length  int64 // negative: until the connection ends
	chunked bool
	closes  bool
}

// readHead reads heads until one is final.
func (s *httpSender) readHead() (httpHead, error) {
	for {
		r, err := s.readOneHead()
		if err != nil || r.status >= 200 {
			return r, err
		}
	}
}

func (s *httpSender) readOneHead() (httpHead, error) {
	r := httpHead{length: -1}
	line, err := s.line()
	if err != nil {
		return r, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || len(line) > 12 && line[12] != ' ' {
		return r, fmt.Errorf("%w: it begins with %.40q", gateway.ErrBadResponse, line)
	}
	if r.status, err = strconv.Atoi(string(line[9:12])); err != nil || r.status < 100 {
		return r, fmt.Errorf("%w: the status is %.40q", gateway.ErrBadResponse, line[9:])
	}
	r.closes = line[7] == '0'
	for total := 0; ; total += len(line) {
		switch line, err = s.line(); {
		case err != nil:
			return r, err
		case total > gateway.DefaultMaxHead:
			return r, fmt.Errorf("%w: a head of more than %d bytes", gateway.ErrBadResponse, gateway.DefaultMaxHead)
		case len(line) == 0:
			if s.head || r.status < 200 || r.status == 204 || r.status == 304 {
				r.length, r.chunked = 0, false
			} else if r.length < 0 && !r.chunked {
				r.closes = true
			}
			return r, nil
		}
		if err := r.header(line); err != nil {
			return r, err
		}
	}
}

// line is the next line without its end; it is good until the next read.
func (s *httpSender) line() ([]byte, error) {
	line, err := s.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("%w: a line of more than %d bytes", gateway.ErrBadResponse, loadBuffer)
	case err != nil:
		return nil, s.failed(io.ErrUnexpectedEOF, err)
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// header looks at one header.
func (r *httpHead) header(line []byte) error {
	switch line[0] | 0x20 { // most need not be looked at
	case 'c', 't':
	default:
		return nil
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		n, err := gateway.ParseLength(string(value))
		if err != nil || r.length >= 0 && r.length != n {
			return fmt.Errorf("%w: Content-Length %.40q", gateway.ErrBadResponse, value)
		}
		r.length = n
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		if !bytes.EqualFold(value, []byte("chunked")) {
			return fmt.Errorf("%w: Transfer-Encoding %.40q", gateway.ErrBadResponse, value)
		}
		r.chunked = true
	case bytes.EqualFold(name, []byte("Connection")):
		if bytes.EqualFold(value, []byte("close")) {
			r.closes = true
		} else if bytes.EqualFold(value, []byte("keep-alive")) {
			r.closes = false
		}
	}
	return nil
}

// readBody reads the body and tells its size.
func (s *httpSender) readBody(r httpHead) (size int64, err error) {
	switch {
	case r.chunked:
		return s.readChunks()
	case r.length < 0:
		size, err = s.in.WriteTo(io.Discard)
	default:
		return s.discard(r.length)
	}
	if err != nil {
		err = s.failed(io.ErrUnexpectedEOF, err)
	}
	return size, err
}

func (s *httpSender) readChunks() (size int64, err error) {
	for {
		line, err := s.line()
		if err != nil {
			return size, err
		}
		digits, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimSpace(digits)), 16, 62)
		if err != nil {
			return size, fmt.Errorf("%w: a chunk begins with %.40q", gateway.ErrBadResponse, line)
		}
		if n == 0 {
			return size, s.trailers()
		}
		got, err := s.discard(int64(n))
		size += got
		if err != nil {
			return size, err
		}
		if end, err := s.line(); err != nil {
			return size, err
		} else if len(end) > 0 {
			return size, fmt.Errorf("%w: a chunk ends with %.40q", gateway.ErrBadResponse, end)
		}
	}
}

// trailers reads to the end of a chunked body.
func (s *httpSender) trailers() error {
	for total := 0; total <= gateway.DefaultMaxHead; {
		line, err := s.line()
		if err != nil || len(line) == 0 {
			return err
		}
		total += len(line)
	}
	return fmt.Errorf("%w: trailers of more than %d bytes", gateway.ErrBadResponse, gateway.DefaultMaxHead)
}
