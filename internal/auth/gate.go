package auth

// This file: how many hashes are computed at a time, and for whom.

import (
	"context"
	"hash/maphash"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// Bounds of what may wait. One client cannot fill the queue: others find room. A
// browser that loads a page with six requests at a time waits for one hash: the
// same name and password are compared once for all who wait for it.
const (
	maxWaiting   = 256
	maxPerClient = 8
)

// Verifier compares passwords. One is enough for a server; it is shared by all
// its Basics.
type Verifier struct {
	cache *cache
	seed  maphash.Seed
	slots chan struct{} // holds a token for each hash that is computed
	now   func() time.Time

	mu      sync.Mutex
	waiting int
	clients map[netip.Addr]int
	flights map[digest]*flight
}

// flight is a comparison that is under way.
type flight struct {
	done    chan struct{} // closed when it is over
	verdict verdict       // then
}

// NewVerifier returns a Verifier that computes up to parallel hashes at a time;
// 0: as many as leave half of the cores to others.
func NewVerifier(parallel int) *Verifier {
	if parallel <= 0 {
		parallel = max(1, runtime.GOMAXPROCS(0)/2)
	}
	return &Verifier{
		cache: newCache(), seed: maphash.MakeSeed(), slots: make(chan struct{}, parallel), now: time.Now,
		clients: make(map[netip.Addr]int), flights: make(map[digest]*flight),
	}
}

type verdict int

const (
	wrong verdict = iota
	right
	busy // too many wait
	left // the client does not wait any more
)

// verify says whether a password is a user's.
func (v *Verifier) verify(r *http.Request, users *Users, user, password string) verdict {
	e, known, ok := users.find(user, maphash.String(v.seed, user))
	if !ok {
		return wrong // nobody is right, and that is no secret
	}
	d := v.cache.digest(user, password, e.hash)
	if v.cache.has(d, v.now()) && known {
		return right
	}
	for {
		f, mine := v.join(d)
		if mine {
			v.fly(f, r, d, e, known, password)
			return f.verdict
		}
		select {
		case <-f.done:
		case <-r.Context().Done():
			return left
		}
		if f.verdict != left { // whoever compared does not wait any more; we do
			return f.verdict
		}
	}
}

// join returns the comparison of d that is under way, or begins one, which is
// the caller's then.
func (v *Verifier) join(d digest) (f *flight, mine bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f := v.flights[d]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	v.flights[d] = f
	return f, true
}

// fly makes a comparison, for all who wait for it.
func (v *Verifier) fly(f *flight, r *http.Request, d digest, e entry, known bool, password string) {
	defer func() {
		v.mu.Lock()
		delete(v.flights, d)
		v.mu.Unlock()
		close(f.done)
	}()
	client := clientOf(r.RemoteAddr)
	if !v.enter(client) {
		f.verdict = busy
		return
	}
	defer v.leave(client)
	switch {
	case !v.slot(r.Context()):
		f.verdict = left
	case v.compare(e, password) && known:
		v.cache.add(d, v.now())
		f.verdict = right
	}
}

// compare computes a hash, and gives its slot back.
func (v *Verifier) compare(e entry, password string) bool {
	defer func() { <-v.slots }()
	return e.is(password)
}

// slot waits for a turn.
func (v *Verifier) slot(ctx context.Context) bool {
	select {
	case v.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// enter counts a client in who waits for a hash, or has one computed.
func (v *Verifier) enter(client netip.Addr) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.waiting >= maxWaiting || v.clients[client] >= maxPerClient {
		return false
	}
	v.waiting++
	v.clients[client]++
	return true
}

func (v *Verifier) leave(client netip.Addr) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.waiting--
	if v.clients[client]--; v.clients[client] == 0 {
		delete(v.clients, client)
	}
}

// clientOf is who shares a bound: an address, of IPv6 its network of 64 bits.
// All clients at Unix sockets are one.
func clientOf(remote string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}
