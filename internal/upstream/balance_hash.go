package upstream

// The consistent hash: each server has a score for each key, and the highest
// one gets it ("highest random weight", Thaler and Ravishankar, 1996). Without
// a server its keys alone go elsewhere, spread over the others; with one more
// of n, one n-th of each other's. The scores depend on nothing but key and
// address, so that several front servers agree.

import (
	"math"
	"net/http"
	"time"
)

// keyOf is FNV-1a, mixed.
func keyOf[T string | []byte](text T) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * prime
	}
	return mix(h)
}

// mix lets each bit of h have a say in each bit of the result (the finalizer of
// splitmix64).
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// setKey sets the key of a request. One whose text is empty has none, and is
// balanced as by least busy: else all that lack a cookie would have one server.
func (g *Group) setKey(w *want, r *http.Request) {
	if g.cfg.Balance != Hash || g.cfg.Key == nil {
		return
	}
	var room [256]byte
	if text := g.cfg.Key(room[:0], r); len(text) > 0 {
		w.key, w.keyed = keyOf(text), true
	}
}

// highest is the server with the highest score for a key.
func (g *Group) highest(free []*server, key uint64, now time.Time) *server {
	if g.even && g.settled(now) {
		best, top := free[0], mix(key^free[0].id)
		for _, s := range free[1:] {
			if score := mix(key ^ s.id); score > top || score == top && s.id > best.id {
				best, top = s, score
			}
		}
		return best
	}
	var best *server
	top := math.Inf(-1)
	for _, s := range free {
		// -ln of what is evenly spread in (0, 1) is how long one waits for what
		// comes once in a while; the weight is how often it comes.
		even := (float64(mix(key^s.id)>>11) + 0.5) / (1 << 53)
		if score := math.Log(even) / float64(g.weightOf(s, now)); best == nil || score > top || score == top && s.id > best.id {
			best, top = s, score
		}
	}
	return best
}
