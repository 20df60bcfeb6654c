package pool

// What a program's process is connected to over: a listening socket that is
// its standard input, FastCGI's convention, or an address that it binds itself.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"millrace/gateway"
)

// backlog is how many connections may wait for a process to accept them: one
// for each request that it is lent, and the probe.
const backlog = 1024

var errProcessEnded = errors.New("the process has ended")

// programSocket is what one process is connected to over.
type programSocket struct {
	listener *os.File          // its standard input; nil: it binds an address itself
	replace  map[string]string // "{socket}" or "{port}" in its arguments
	network  string
	address  string
	folder   string // that is ours to remove; "": none

	mu      sync.Mutex // held while a connection is opened: their order is known
	dialled uint64     // connections so far
	waiting uint64     // of the last of them, were never accepted; known once it died
	over    bool       // it died
}

// newProgramSocket makes what a process of a program is to listen on.
func newProgramSocket(cfg *Program) (*programSocket, error) {
	s := &programSocket{network: "unix"}
	arguments := strings.Join(cfg.Args, "\n")
	var err error
	switch {
	case strings.Contains(arguments, "{port}"):
		s.network = "tcp"
		err = s.choosePort()
	case strings.Contains(arguments, "{socket}"):
		err = s.choosePath()
	default:
		err = s.listen()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// choosePort finds a port of the loopback that is free now.
func (s *programSocket) choosePort() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("cannot find a free port: %w", err)
	}
	s.address = l.Addr().String()
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	s.replace = map[string]string{"port": port}
	return l.Close()
}

// choosePath makes a folder for a socket that the program binds. Its owner is
// who we are, and so must be the program.
func (s *programSocket) choosePath() error {
	if err := s.makeFolder(); err != nil {
		return err
	}
	s.address = filepath.Join(s.folder, "socket")
	s.replace = map[string]string{"socket": s.address}
	return nil
}

// makeFolder makes a folder with mode 0700.
func (s *programSocket) makeFolder() error {
	folder, err := os.MkdirTemp("", "millrace-")
	if err != nil {
		return fmt.Errorf("cannot make a folder for its socket: %w", err)
	}
	s.folder = folder
	return nil
}

// listen opens the socket that is to be the standard input.
func (s *programSocket) listen() error {
	if err := s.makeFolder(); err != nil {
		return err
	}
	path := filepath.Join(s.folder, "socket")
	fd, err := listenUnix(path, backlog)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	s.listener, s.address = os.NewFile(uintptr(fd), "listener"), path
	return nil
}

// inherited reports whether the socket is the process's standard input.
func (s *programSocket) inherited() bool { return s.replace == nil }

// where is the address in words.
func (s *programSocket) where() string {
	switch {
	case s.inherited():
		return "its standard input, which is a listening socket"
	case s.network == "tcp":
		return "{port}, which is " + s.address
	}
	return "{socket}, which is " + s.address
}

// dial opens a connection, and returns its number.
func (s *programSocket) dial(ctx context.Context) (net.Conn, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil, 0, fmt.Errorf("%w: %w", gateway.ErrUnreachable, errProcessEnded)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, s.network, s.address)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", gateway.ErrUnreachable, err)
	}
	s.dialled++
	return c, s.dialled, nil
}

// accepted reports whether the process, which has died, had accepted a
// connection; true where that is not known.
func (s *programSocket) accepted(number uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return number+s.waiting <= s.dialled
}

// accepts returns when the process takes connections, or with ctx's error.
func (s *programSocket) accepts(ctx context.Context) error {
	if !s.inherited() {
		return s.answers(ctx)
	}
	c, _, err := s.dial(ctx)
	if err != nil {
		return err
	}
	// It is closed before it is accepted, and waits for that all the same:
	// libfcgi waits two seconds for what a connection has to say, and never
	// leaves if SIGTERM comes then.
	if err := c.Close(); err != nil {
		return err
	}
	for beat := newBeat(); ; {
		if waits, err := s.pending(); err != nil || !waits {
			return err
		}
		if err := beat.wait(ctx); err != nil {
			return err
		}
	}
}

// answers returns when a connection can be opened.
func (s *programSocket) answers(ctx context.Context) error {
	for beat := newBeat(); ; {
		c, _, err := s.dial(ctx)
		if err == nil {
			return c.Close()
		}
		if err := beat.wait(ctx); err != nil {
			return err
		}
	}
}

// pending reports whether a connection waits to be accepted.
func (s *programSocket) pending() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false, errProcessEnded
	}
	return readable(int(s.listener.Fd())), nil
}

// ended reports whether the process has ended, which the pool learns next.
func (s *programSocket) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// died counts the connections that the process had not accepted, and closes
// everything.
func (s *programSocket) died() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.listener != nil {
		s.waiting = drain(int(s.listener.Fd()))
	}
	s.closeLocked()
}

func (s *programSocket) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeLocked()
}

func (s *programSocket) closeLocked() {
	if s.listener != nil {
		s.listener.Close()
		s.listener = nil
	}
	if s.folder != "" {
		_ = os.RemoveAll(s.folder) // what is in there is the program's
		s.folder = ""
	}
}

// beat paces a look at what cannot be waited for: soon at first, then seldom.
type beat struct {
	next time.Duration
}

func newBeat() *beat { return &beat{time.Millisecond} }

func (b *beat) wait(ctx context.Context) error {
	timer := time.NewTimer(b.next)
	defer timer.Stop()
	b.next = min(b.next*5/4+time.Millisecond, 25*time.Millisecond)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
