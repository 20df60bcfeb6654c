package h1

// This file: connections without a goroutine.
//
// Every socket of the server has a seat in one epoll set, from accept to
// close. While a request may run the set listens for one thing alone, the
// client's leaving, and a request makes no system call for it. A connection
// that is parked listens for bytes too, once.
//
// The set itself is waited for by Go's own poller, so that it costs one
// goroutine and no thread.

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	leaving  = syscall.EPOLLRDHUP | 1<<31 // EPOLLET, which package syscall has as a negative number
	arriving = syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT
)

// seat is a connection's place with the poller.
type seat struct {
	raw    syscall.RawConn // nil: it has none
	number int32
	until  time.Time // parked connections are closed then; zero: never
	list   *queue    // that it waits in; nil: none
	next   *conn
	before *conn
}

func (s *seat) taken() bool { return s.raw != nil }

// atEnd reports whether the client has closed its side and nothing is before
// that.
func (s *seat) atEnd() bool {
	n, err := s.peek()
	return n == 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EINTR //nolint:errorlint // an errno
}

// more reports whether there are bytes to be read.
func (s *seat) more() bool {
	n, err := s.peek()
	return n > 0 && err == nil
}

// peek looks at the next byte, without waiting for it.
func (s *seat) peek() (n int, err error) {
	closed := s.raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	if closed != nil {
		return 0, closed
	}
	return n, err
}

// queue holds parked connections that are to be closed after the same time:
// in the order in which they came, which is that of their ends.
type queue struct{ first, last *conn }

func (q *queue) push(c *conn) {
	c.seat.list, c.seat.before = q, q.last
	if q.last == nil {
		q.first = c
	} else {
		q.last.seat.next = c
	}
	q.last = c
}

func (q *queue) remove(c *conn) {
	s := &c.seat
	if s.before == nil {
		q.first = s.next
	} else {
		s.before.seat.next = s.next
	}
	if s.next == nil {
		q.last = s.before
	} else {
		s.next.seat.before = s.before
	}
	s.list, s.next, s.before = nil, nil, nil
}

// poller is the epoll set.
type poller struct {
	file *os.File
	fd   int
	raw  syscall.RawConn
	done chan struct{}

	mu     sync.Mutex
	closed bool
	seats  []*conn
	ages   []int32 // how often a seat was given away: an event may be about who sat there before
	free   []int32
	idle   queue // kept connections
	fresh  queue // those that never said anything
	armed  time.Time
}

// newPoller returns nil when the system gives no epoll set.
func newPoller() *poller {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd) // a new one
		return nil
	}
	p := &poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), done: make(chan struct{})}
	if p.raw, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetDeadline(time.Time{}) // fails on a file that Go's poller does not take
	}
	if err != nil {
		_ = p.file.Close() // a new one
		return nil
	}
	go p.run()
	return p
}

// add gives a connection a seat, if epoll takes it.
func (p *poller) add(c *conn, raw syscall.RawConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var n int32
	if last := len(p.free) - 1; last >= 0 {
		n, p.free = p.free[last], p.free[:last]
	} else {
		n = int32(len(p.seats))
		p.seats, p.ages = append(p.seats, nil), append(p.ages, 0)
	}
	c.seat.raw, c.seat.number = raw, n
	if p.control(c, syscall.EPOLL_CTL_ADD, leaving) != nil {
		c.seat.raw = nil
		p.free = append(p.free, n)
		return
	}
	p.seats[n] = c
}

// control changes what the set listens for. The lock is held.
func (p *poller) control(c *conn, op int, events uint32) error {
	if p.closed { // the number of its descriptor may be another's
		return os.ErrClosed
	}
	e := syscall.EpollEvent{Events: events, Fd: c.seat.number, Pad: p.ages[c.seat.number]}
	var err error
	if closed := c.seat.raw.Control(func(fd uintptr) { err = syscall.EpollCtl(p.fd, op, int(fd), &e) }); closed != nil {
		return closed
	}
	return err
}

// remove takes a connection's seat. It is still open, or was closed by others.
func (p *poller) remove(c *conn) {
	if !c.seat.taken() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := c.seat.number
	if p.seats[n] != c {
		return
	}
	_ = p.control(c, syscall.EPOLL_CTL_DEL, 0) // fails on a closed one, which has left the set
	p.unlistLocked(c)
	p.seats[n] = nil
	p.ages[n]++
	p.free = append(p.free, n)
}

func (p *poller) unlistLocked(c *conn) {
	if c.seat.list != nil {
		c.seat.list.remove(c)
	}
}

// park takes a connection over until its next byte. False: its goroutine keeps
// it.
func (p *poller) park(c *conn, until time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.phase.Store(parked)
	if !until.IsZero() {
		c.seat.until = until
		if c.fresh {
			p.fresh.push(c)
		} else {
			p.idle.push(c)
		}
		p.armLocked(until)
	}
	err := p.control(c, syscall.EPOLL_CTL_MOD, arriving)
	if (err != nil || c.srv.draining.Load()) && c.phase.CompareAndSwap(parked, busy) {
		p.unlistLocked(c)
		return false
	}
	return true
}

// unpark is for whoever has taken a connection out of the phase parked.
func (p *poller) unpark(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unlistLocked(c)
	_ = p.control(c, syscall.EPOLL_CTL_MOD, leaving) // fails on a closed one, as reading will
}

// armLocked has the wait end at t at the latest.
func (p *poller) armLocked(t time.Time) {
	if p.armed.IsZero() || t.Before(p.armed) {
		p.armed = t
		_ = p.file.SetReadDeadline(t) // fails on a closed set alone
	}
}

// run waits for events until the set is closed.
func (p *poller) run() {
	defer close(p.done)
	var events [128]syscall.EpollEvent
	for {
		n := 0
		err := p.raw.Read(func(fd uintptr) bool {
			var err error
			n, err = syscall.EpollWait(int(fd), events[:], 0)
			return n > 0 || err != nil && err != syscall.EINTR //nolint:errorlint // an errno
		})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			p.expire()
		case err != nil:
			return
		}
		for _, e := range events[:max(n, 0)] {
			p.event(e)
		}
	}
}

func (p *poller) event(e syscall.EpollEvent) {
	p.mu.Lock()
	var c *conn
	if p.ages[e.Fd] == e.Pad {
		c = p.seats[e.Fd]
	}
	p.mu.Unlock()
	switch {
	case c == nil:
	case c.phase.CompareAndSwap(parked, busy):
		p.unpark(c)
		go c.serve()
	case e.Events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0:
		c.hears()
	}
}

// expire closes the connections whose time is over.
func (p *poller) expire() {
	now := time.Now()
	var over []*conn
	p.mu.Lock()
	p.armed = time.Time{}
	for _, q := range [...]*queue{&p.idle, &p.fresh} {
		for c := q.first; c != nil && !c.seat.until.After(now); c = q.first {
			q.remove(c)
			if c.phase.CompareAndSwap(parked, busy) {
				over = append(over, c)
			}
		}
		if q.first != nil {
			p.armLocked(q.first.seat.until)
		}
	}
	if p.armed.IsZero() {
		_ = p.file.SetReadDeadline(time.Time{}) // fails on a closed set alone
	}
	p.mu.Unlock()
	for _, c := range over {
		if c.tls != nil {
			go c.close() // says farewell, for which a deaf client has it wait
			continue
		}
		c.close()
	}
}

// idleSince and takeIdle are of the kept connection that was parked first;
// takeIdle takes it out of the phase parked.
func (p *poller) idleSince() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.idle.first == nil {
		return time.Time{}
	}
	return p.idle.first.since
}

func (p *poller) takeIdle() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := p.idle.first; c != nil; c = p.idle.first {
		p.idle.remove(c)
		if c.phase.CompareAndSwap(parked, busy) {
			return c
		}
	}
	return nil
}

// close ends the poller, and waits for it.
func (p *poller) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.file.Close()
	<-p.done
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
