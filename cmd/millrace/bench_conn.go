package main

// This file is one connection of a load: requests that are the same bytes each
// time, one after the other. The clients of net/http and package fcgi would do
// too, at several times the cost, and with rules of their own about which
// request may have a kept connection: the load generator must not be what is
// measured.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"millrace/gateway"
)

// loadConn is a connection that is opened anew where it ends.
type loadConn struct {
	l        *load
	request  []byte
	exchange func() (status int, size int64, keep bool, err error) // reads a response

	conn  net.Conn
	in    *bufio.Reader
	used  bool
	until time.Time // the deadline that the connection has
	stop  func() bool
}

const loadBuffer = 32 << 10

func (s *loadConn) init(l *load, request []byte, exchange func() (int, int64, bool, error)) {
	s.l, s.request, s.exchange = l, request, exchange
	s.in = bufio.NewReaderSize(s, loadBuffer)
}

// extend moves the deadline when less than the timeout is left of it: setting
// it before each read would cost as much as the read.
func (s *loadConn) extend() error {
	now := time.Now()
	if s.until.Sub(now) >= s.l.o.timeout {
		return nil
	}
	s.until = now.Add(s.l.o.timeout + s.l.o.timeout/2)
	return s.conn.SetDeadline(s.until)
}

// Read is the connection's.
func (s *loadConn) Read(b []byte) (int, error) {
	if err := s.extend(); err != nil {
		return 0, err
	}
	return s.conn.Read(b)
}

func (s *loadConn) close() {
	if s.conn != nil {
		s.stop()
		_ = s.conn.Close() // nothing is under way
		s.conn = nil
	}
}

// send sends the request. A kept connection that turns out to have ended is
// replaced, as any client does.
func (s *loadConn) send(ctx context.Context) (status int, size int64, err error) {
	for {
		if s.conn == nil {
			if err := s.connect(ctx); err != nil {
				return 0, 0, err
			}
		}
		again := s.used
		status, size, err = s.roundTrip()
		if err == nil {
			return status, size, nil
		}
		s.close()
		var stale *staleError
		if !again || !errors.As(err, &stale) {
			return 0, size, err
		}
	}
}

func (s *loadConn) connect(ctx context.Context) error {
	c, err := s.l.dial(ctx)
	if err != nil {
		return err
	}
	s.conn, s.used, s.until = c, false, time.Time{}
	s.in.Reset(s)
	s.stop = context.AfterFunc(ctx, func() { c.Close() })
	return nil
}

// staleError is the end of a kept connection before any byte of a response.
type staleError struct{ err error }

func (e *staleError) Error() string   { return gateway.ErrNotAnswered.Error() + ": " + e.err.Error() }
func (e *staleError) Unwrap() []error { return []error{gateway.ErrNotAnswered, e.err} }

func (s *loadConn) roundTrip() (status int, size int64, err error) {
	kept := s.used
	s.used = true
	var wrote chan error
	if len(s.request) > loadBuffer {
		// A server that answers while it reads must not wait for us.
		wrote = make(chan error, 1)
		conn := s.conn
		if err := s.extend(); err != nil {
			return 0, 0, &staleError{err}
		}
		go func() { _, err := conn.Write(s.request); wrote <- err }()
	} else {
		err := s.extend()
		if err == nil {
			_, err = s.conn.Write(s.request)
		}
		if err != nil {
			return 0, 0, s.unanswered(kept, err)
		}
	}
	if _, err := s.in.Peek(1); err != nil {
		return 0, 0, s.unanswered(kept, err)
	}
	status, size, keep, err := s.exchange()
	if err != nil {
		return 0, size, err
	}
	if !keep || s.l.fresh || s.in.Buffered() > 0 {
		s.close() // which ends a Write that is still under way
	}
	if wrote != nil && <-wrote != nil {
		s.close()
	}
	return status, size, nil
}

// unanswered is the error for a request that was answered by nothing.
func (s *loadConn) unanswered(kept bool, err error) error {
	if kept && !errors.Is(err, os.ErrDeadlineExceeded) {
		return &staleError{err}
	}
	return s.failed(gateway.ErrNotAnswered, err)
}

// failed says of a read that failed what it means: a time-out, or what is
// given.
func (s *loadConn) failed(means, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: nothing came for %v", gateway.ErrTimeout, s.l.o.timeout)
	}
	return fmt.Errorf("%w: %w", means, err)
}

// discard reads n bytes that nobody wants.
func (s *loadConn) discard(n int64) (int64, error) {
	for left := n; left > 0; {
		part, err := s.in.Discard(int(min(left, loadBuffer)))
		if left -= int64(part); err != nil {
			return n - left, s.failed(io.ErrUnexpectedEOF, err)
		}
	}
	return n, nil
}
