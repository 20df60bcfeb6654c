package limit

// This file: how many requests in a time, for each of many keys.
//
// It is the generic cell rate algorithm: for a key one moment is kept, at which
// all that it has used is paid back. A request that would move it further into
// the future than the burst allows is refused, and told how long to wait.

import (
	"errors"
	"hash/maphash"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Rate is so many in a time. The zero value is any number.
type Rate struct {
	N   int
	Per time.Duration
}

var errRate = errors.New("is not a rate")

// ParseRate reads "10/s", "300/m", "1000/h" or "5000/d".
func ParseRate(text string) (Rate, error) {
	number, unit, ok := strings.Cut(text, "/")
	n, err := strconv.ParseUint(number, 10, 31)
	if !ok || err != nil || n == 0 || n > 1_000_000_000 || number[0] == '+' {
		return Rate{}, errRate
	}
	switch unit {
	case "s":
		return Rate{int(n), time.Second}, nil
	case "m":
		return Rate{int(n), time.Minute}, nil
	case "h":
		return Rate{int(n), time.Hour}, nil
	case "d":
		return Rate{int(n), 24 * time.Hour}, nil
	}
	return Rate{}, errRate
}

// Burst is what may come at once where nothing else is said: what comes in a
// second, at least 1.
func (r Rate) Burst() int {
	if r.Per <= 0 {
		return 1
	}
	return max(1, int(time.Duration(r.N)*time.Second/r.Per))
}

// interval is the time that one request takes to be paid back.
func (r Rate) interval() time.Duration { return max(1, r.Per/time.Duration(max(r.N, 1))) }

const (
	shards = 16
	// keysPerShard bounds the memory of one Buckets: some 3 MB in all.
	keysPerShard = 4096
	// maxRoom bounds a burst's time, 73 years, so that it can be added to now.
	maxRoom time.Duration = math.MaxInt64 / 4
	// samples is how many keys are looked at for one that can go.
	samples = 8
)

// Buckets is what is known of the keys of one limit. Its memory is bounded: when
// it is full, a key goes that has paid back most; of a few that it is one of the
// keys that are not being refused. Keys are kept as keyed hashes: they may be as
// long as a client likes.
type Buckets struct {
	seed  maphash.Seed
	base  time.Time
	now   func() time.Time
	parts [shards]bucketShard
}

type bucketShard struct {
	mu   sync.Mutex
	paid map[uint64]time.Duration // by key: when all is paid back, since base
}

// NewBuckets returns a Buckets that knows nobody.
func NewBuckets() *Buckets {
	return &Buckets{seed: maphash.MakeSeed(), base: time.Now(), now: time.Now}
}

// Take counts one request of a key. It is to wait if that is not 0: then it is
// refused, and was not counted.
func (b *Buckets) Take(key []byte, rate Rate, burst int) (wait time.Duration) {
	h := maphash.Bytes(b.seed, key)
	now := b.now().Sub(b.base)
	interval := rate.interval()
	room := interval * min(time.Duration(max(burst, 1)), maxRoom/interval)
	s := &b.parts[h%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	paid, known := s.paid[h]
	// The rate may have changed since: no key owes more than a burst.
	paid = min(max(paid, now), now+room)
	next := paid + interval
	if next > now+room {
		return next - now - room
	}
	if !known {
		if s.paid == nil {
			s.paid = make(map[uint64]time.Duration)
		}
		if len(s.paid) >= keysPerShard {
			s.forgetLocked(now)
		}
	}
	s.paid[h] = next
	return 0
}

// forgetLocked makes room: those of a few keys go that have paid back all, or
// else the one that will have first.
func (s *bucketShard) forgetLocked(now time.Duration) {
	var first uint64
	var least time.Duration
	seen, gone := 0, 0
	for h, paid := range s.paid { // begins anywhere
		if paid <= now {
			delete(s.paid, h)
			gone++
		} else if gone == 0 && (least == 0 || paid < least) {
			first, least = h, paid
		}
		if seen++; seen == samples {
			break
		}
	}
	if gone == 0 {
		delete(s.paid, first)
	}
}

// len is how many keys are known.
func (b *Buckets) len() int {
	n := 0
	for i := range b.parts {
		s := &b.parts[i]
		s.mu.Lock()
		n += len(s.paid)
		s.mu.Unlock()
	}
	return n
}

// Counts is how many there are of each key at a time: only those that there are
// take memory.
type Counts struct {
	seed  maphash.Seed
	parts [shards]countShard
}

type countShard struct {
	mu sync.Mutex
	n  map[uint64]int
}

// NewCounts returns a Counts of nobody.
func NewCounts() *Counts { return &Counts{seed: maphash.MakeSeed()} }

// Enter counts one in, unless there are most already. What it returns is for
// Leave.
func (c *Counts) Enter(key []byte, most int) (at uint64, ok bool) {
	at = maphash.Bytes(c.seed, key)
	s := &c.parts[at%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n[at] >= most {
		return at, false
	}
	if s.n == nil {
		s.n = make(map[uint64]int)
	}
	s.n[at]++
	return at, true
}

// Leave counts one out that entered.
func (c *Counts) Leave(at uint64) {
	s := &c.parts[at%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n[at]--; s.n[at] <= 0 {
		delete(s.n, at)
	}
}

// len is how many keys there are.
func (c *Counts) len() int {
	n := 0
	for i := range c.parts {
		s := &c.parts[i]
		s.mu.Lock()
		n += len(s.n)
		s.mu.Unlock()
	}
	return n
}
