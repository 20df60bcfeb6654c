package listen

// This file: sockets that one process opens and owns, and others serve.

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
)

// Owner is the process that opened a socket, for the one that serves it.
type Owner interface {
	// Release closes the owner's part of the socket, and removes a Unix
	// socket's file, if nobody else serves it: then last is true.
	Release() (last bool, err error)
	// SetMode changes the mode of a Unix socket's file.
	SetMode(mode fs.FileMode) error
}

// Given returns a Listener of a socket that listens on address and that owner
// opened. f stays the caller's.
func Given(address string, f *os.File, owner Owner, opts Options) (*Listener, error) {
	inner, err := net.FileListener(f)
	if err != nil {
		return nil, &Error{Address: address, Err: fmt.Errorf("the socket that was given for it does not listen: %w", err)}
	}
	if u, ok := inner.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	l := &socket{address: address, owner: owner, inner: inner, buffers: sync.Pool{New: func() any { return new([copyBuffer]byte) }}}
	l.path, _ = strings.CutPrefix(address, "unix:")
	if l.path == address {
		l.path = ""
	}
	l.shared = strings.HasPrefix(address, "systemd:") || strings.HasPrefix(address, "fd:")
	l.timeout.Store(int64(opts.WriteTimeout))
	l.rate.Store(opts.MinWriteRate)
	l.close = sync.OnceValue(l.shut)
	return &Listener{socket: l, count: opts.Count}, nil
}

// File returns a duplicate of the socket, for a process that serves it. It is
// the caller's.
func (l *Listener) File() (*os.File, error) {
	f, ok := l.inner.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, &Error{Address: l.address, Err: fmt.Errorf("it has no descriptor")}
	}
	return f.File()
}
