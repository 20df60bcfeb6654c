package limit

// This file: how many requests of a key may come, and run at a time.

import (
	"cmp"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// State is what the limits of one place know of its clients. It is kept while
// the limits themselves change.
type State struct {
	Buckets *Buckets
	Running *Counts
}

// NewState returns a State that knows nobody.
func NewState() *State { return &State{NewBuckets(), NewCounts()} }

// Requests bounds the requests of each key.
type Requests struct {
	// Key appends the key of a request to dst.
	Key func(dst []byte, r *http.Request) []byte

	Rate   Rate // zero: any
	Burst  int  // 0: Rate.Burst
	AtOnce int  // requests that run at a time; 0: any number

	Status    int  // of the answer to what is beyond; 0: 429
	SkipEmpty bool // requests with an empty key are not bounded

	State *State // required
}

// keys lends buffers that keys are written in.
type keys struct{ pool sync.Pool }

func (k *keys) get() *[]byte {
	if b, ok := k.pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, 128)
	return &b
}

// put takes a buffer back; not one that a client has made large.
func (k *keys) put(b *[]byte) {
	if cap(*b) <= 4096 {
		k.pool.Put(b)
	}
}

// Wrap lets requests reach next while there is room for them. Others are
// answered with Status, and told in Retry-After when to come again.
func (l *Requests) Wrap(next http.Handler) http.Handler {
	h := &requests{Requests: *l, next: next}
	if h.Burst <= 0 {
		h.Burst = h.Rate.Burst()
	}
	return h
}

type requests struct {
	Requests
	next http.Handler
	keys keys
}

func (h *requests) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	wait, left, counted, ok := h.enter(r)
	switch {
	case wait > 0:
		h.refuse(w, wait)
		return
	case !ok:
		h.refuse(w, time.Second)
		return
	case h.AtOnce > 0 && counted:
		defer h.State.Running.Leave(left)
	}
	h.next.ServeHTTP(w, r)
}

// enter counts a request. One that there is no room for has not used up any of
// its rate.
func (h *requests) enter(r *http.Request) (wait time.Duration, at uint64, counted, ok bool) {
	b := h.keys.get()
	defer h.keys.put(b)
	*b = h.Key((*b)[:0], r)
	if h.SkipEmpty && len(*b) == 0 {
		return 0, 0, false, true
	}
	if h.AtOnce > 0 {
		if at, ok = h.State.Running.Enter(*b, h.AtOnce); !ok {
			return 0, 0, true, false
		}
	}
	if h.Rate.N > 0 {
		if wait = h.State.Buckets.Take(*b, h.Rate, h.Burst); wait > 0 && h.AtOnce > 0 {
			h.State.Running.Leave(at)
		}
	}
	return wait, at, true, true
}

func (h *requests) refuse(w http.ResponseWriter, wait time.Duration) {
	seconds := max(1, int64((wait+time.Second-1)/time.Second))
	w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	status := cmp.Or(h.Status, http.StatusTooManyRequests)
	http.Error(w, http.StatusText(status), status)
}

// AppendClient appends what stands for a client in a key, by its RemoteAddr: an
// IPv4 address, or the network of 64 bits of an IPv6 address, which one client
// has to itself. Clients at Unix sockets are all one.
func AppendClient(dst []byte, remote string) []byte {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return append(dst, "unix"...)
	}
	return appendAddr(dst, at.Addr())
}

func appendAddr(dst []byte, ip netip.Addr) []byte {
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		b := ip.As4()
		return append(append(dst, '4'), b[:]...)
	}
	b := ip.As16()
	return append(append(dst, '6'), b[:8]...)
}
