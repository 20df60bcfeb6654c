package h1client

// This file: the body of a request that does not leave with its head.

import (
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"millrace/gateway"
)

// sender sends a request while its response is read. It also moves the
// deadline of the connection: a server that takes what it is sent is not late,
// nor is one whose request has not come yet.
type sender struct {
	k    *conn
	m    *message
	body io.Reader
	left int64 // negative: the body goes in chunks

	// waits says that the body may keep us waiting.
	waits bool

	mu   sync.Mutex
	done bool // all is sent
	err  error
}

// startSender sends head and then the body of req. It owns head's buffer.
func startSender(m *message, req *Request, head []byte) *sender {
	s := &sender{k: m.k, m: m, body: req.Body, left: req.ContentLength, waits: req.GetBody == nil}
	m.k.mu.Lock()
	m.k.paced = true
	m.k.mu.Unlock()
	go s.run(m.buf, head)
	return s
}

func (s *sender) run(buf *buffer, head []byte) {
	defer buf.free()
	err := s.write(head)
	if err == nil {
		if s.left >= 0 {
			err = s.sendLength()
		} else {
			err = s.sendChunks()
		}
	}
	s.k.pace(s.k.c.timeout())
	s.k.mu.Lock()
	s.k.paced = false
	s.k.mu.Unlock()
	s.mu.Lock() // last: then the connection may be another request's
	defer s.mu.Unlock()
	s.done, s.err = err == nil, err
}

// write writes within the time-out.
func (s *sender) write(b []byte) error {
	s.k.pace(s.k.c.timeout())
	_, err := s.k.nc.Write(b)
	return err
}

// read reads a part of the body.
func (s *sender) read(b []byte) (int, error) {
	if s.waits {
		s.k.pace(0)
	}
	n, err := s.body.Read(b)
	if err != nil && err != io.EOF {
		err = s.broken(err)
	}
	return n, err
}

// broken ends the exchange: half a body must not pass for a whole one.
func (s *sender) broken(err error) error {
	err = fmt.Errorf("%w: %w", gateway.ErrBody, err)
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.m.abandon()
	return err
}

func (s *sender) sendLength() error {
	part := make([]byte, min(partSize, s.left+1))
	for {
		n, err := s.read(part[:min(int64(len(part)), s.left+1)])
		if int64(n) > s.left {
			return s.broken(fmt.Errorf("it is longer than its length"))
		}
		if n > 0 {
			if werr := s.write(part[:n]); werr != nil {
				return werr
			}
			s.left -= int64(n)
		}
		switch {
		case err == io.EOF && s.left > 0:
			return s.broken(fmt.Errorf("it is %d bytes shorter than its length", s.left))
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case s.left == 0 && !s.waits:
			return nil
		}
	}
}

// sendChunks sends a body in chunks, each as it comes (RFC 9112, section 7.1).
func (s *sender) sendChunks() error {
	const room = len("ffffffff\r\n")
	part := make([]byte, room+partSize+2)
	for {
		n, err := s.read(part[room : room+partSize])
		if n > 0 {
			size := strconv.FormatInt(int64(n), 16)
			at := room - 2 - len(size)
			copy(part[at:], size)
			part[room-2], part[room-1] = '\r', '\n'
			part[room+n], part[room+n+1] = '\r', '\n'
			if werr := s.write(part[at : room+n+2]); werr != nil {
				return werr
			}
		}
		switch {
		case err == io.EOF:
			return s.write([]byte("0\r\n\r\n"))
		case err != nil:
			return err
		}
	}
}

// pace sets the deadline for the sender; 0: none.
func (k *conn) pace(timeout time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.until = time.Time{}
	if timeout > 0 {
		k.until = time.Now().Add(timeout)
	}
	_ = k.nc.SetDeadline(k.until) // fails on a closed connection alone, which the next call shows
}

// isDone reports whether all of the request is sent.
func (s *sender) isDone() bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// failure is why the request was not sent.
func (s *sender) failure() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
