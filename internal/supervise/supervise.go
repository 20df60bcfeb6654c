// Package supervise holds what keeping a process in the wanted state needs
// beyond starting it: how long to wait before it is started again.
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
