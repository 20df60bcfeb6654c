// Package supervise starts processes and helps to keep them in the wanted
// state.
//
// A Command (start.go) is a program, and as what it runs; a Starter starts it:
// Local (local_unix.go) does so itself. What is to run as another user, within
// limits or on a lifeline goes through a launcher (launch_unix.go, and
// start_launched_unix.go on this side), for which main calls Launch first. Child
// (child_unix.go) is a process that the program before this one has started,
// when that executed this one in its place. Backoff is how long to wait before
// what has failed is started again.
package supervise

import (
	"math/rand/v2"
	"time"
)

// Backoff is the delay before the next try of what has failed. It grows by a
// factor up to a limit, and each delay is spread by a tenth either way, so
// that what failed together is not tried together. The zero value waits 0.
// It is for one goroutine.
type Backoff struct {
	First  time.Duration // the first delay
	Limit  time.Duration // the longest
	Factor float64       // by which each is longer than the one before

	last time.Duration
}

// Next returns the delay before the next try.
func (b *Backoff) Next() time.Duration {
	if b.last == 0 {
		b.last = b.First
	} else {
		b.last = min(time.Duration(float64(b.last)*b.Factor), b.Limit)
	}
	spread := b.last / 10
	if spread <= 0 {
		return b.last
	}
	return b.last - spread + rand.N(2*spread+1)
}

// Reset begins again with the first delay, after a success.
func (b *Backoff) Reset() { b.last = 0 }
