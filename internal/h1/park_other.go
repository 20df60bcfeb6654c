//go:build !linux

package h1

import (
	"syscall"
	"time"
)

// seat and poller are what park_linux.go has; here a connection's goroutine
// stays.
type seat struct{}

func (*seat) taken() bool { return false }
func (*seat) atEnd() bool { return false }
func (*seat) more() bool  { return false }

type poller struct{}

func newPoller() *poller                   { return nil }
func (*poller) add(*conn, syscall.RawConn) {}
func (*poller) remove(*conn)               {}
func (*poller) park(*conn, time.Time) bool { return false }
func (*poller) unpark(*conn)               {}
func (*poller) close() error               { return nil }
func (*poller) idleSince() time.Time       { return time.Time{} }
func (*poller) takeIdle() *conn            { return nil }
