package authorize

// Answers that are kept: bounded in number and in time, one question for all who
// wait for the same answer.

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"slices"
	"sync"
	"time"

	"millrace/gateway"
)

const (
	defaultEntries = 4096

	// maxHead bounds the headers of an answer that is kept.
	maxHead = 16 << 10
)

// key is what an answer was for. It is a hash, so that no password stays in
// memory, and a key has no length that a client could choose.
type key [sha256.Size]byte

// cache holds answers for a time. All live equally long, so the order in which
// they came is the one in which they end.
type cache struct {
	ttl time.Duration

	mu     sync.Mutex
	flying map[key]*flight
	kept   map[key]*keptVerdict
	ring   []key // of those kept, the oldest at next
	next   int
	full   bool // ring has gone round
}

type keptVerdict struct {
	verdict *verdict
	until   time.Time
	at      int // in the ring
}

// flight is a question that is being asked.
type flight struct {
	done    chan struct{}
	verdict *verdict // nil: it is not for others
	again   bool     // whoever asked left: another must ask
}

func newCache(ttl time.Duration, entries int) *cache {
	if entries <= 0 {
		entries = defaultEntries
	}
	return &cache{ttl: ttl, flying: map[key]*flight{}, kept: map[key]*keptVerdict{}, ring: make([]key, entries)}
}

// look returns the verdict that is kept, or the flight to wait for, or neither:
// then the caller asks, and lands mine.
func (c *cache) look(k key, now time.Time) (v *verdict, wait, mine *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if kept := c.kept[k]; kept != nil {
		if now.Before(kept.until) {
			return kept.verdict, nil, nil
		}
		delete(c.kept, k) // its place in the ring comes round
	}
	if f := c.flying[k]; f != nil {
		return nil, f, nil
	}
	f := &flight{done: make(chan struct{})}
	c.flying[k] = f
	return nil, nil, f
}

// land ends a flight: with a verdict for all, with none, or (again) with
// nothing known.
func (c *cache) land(k key, f *flight, v *verdict, again bool, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flying, k)
	f.again = again
	if v != nil && v.share && v.small() {
		f.verdict = v
		c.keepLocked(k, v, now)
	}
	close(f.done)
}

func (c *cache) keepLocked(k key, v *verdict, now time.Time) {
	if c.full {
		if old := c.kept[c.ring[c.next]]; old != nil && old.at == c.next {
			delete(c.kept, c.ring[c.next])
		}
	}
	c.ring[c.next] = k
	c.kept[k] = &keptVerdict{v, now.Add(c.ttl), c.next}
	if c.next++; c.next == len(c.ring) {
		c.next, c.full = 0, true
	}
}

// small reports whether a verdict takes little enough to be kept.
func (v *verdict) small() bool {
	size := 0
	for _, h := range []http.Header{v.header, v.toClient} {
		size += headerSize(h)
	}
	if v.said != nil {
		size += headerSize(v.said.Headers)
		for _, p := range v.said.Variables {
			size += len(p.Name) + len(p.Value)
		}
	}
	return size <= maxHead
}

func headerSize(h http.Header) (n int) {
	for name, values := range h {
		for _, value := range values {
			n += len(name) + len(value)
		}
	}
	return n
}

// cached is the verdict on r by the cache, or else by who is asked. nil: the
// client has its answer.
func (a *authorize) cached(w http.ResponseWriter, r *http.Request) *verdict {
	k := a.key(r)
	for {
		v, wait, mine := a.cache.look(k, time.Now())
		switch {
		case v != nil:
			return v
		case mine != nil:
			return a.fly(w, r, k, mine)
		}
		select {
		case <-wait.done:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler) // the client has left
		}
		switch {
		case wait.verdict != nil:
			return wait.verdict
		case !wait.again: // what came of it is for nobody else
			return a.ask(w, r, false)
		}
	}
}

// fly asks for all who wait.
func (a *authorize) fly(w http.ResponseWriter, r *http.Request, k key, f *flight) (v *verdict) {
	again := true // if asking panics, as it does when the client leaves
	defer func() { a.cache.land(k, f, v, again, time.Now()) }()
	v = a.ask(w, r, true)
	again = false
	return v
}

// scratch is what a key is made in.
type scratch struct {
	b     []byte
	names []string
}

var scratches = sync.Pool{New: func() any { return &scratch{b: make([]byte, 0, 1024)} }}

// key is that of the answer about r. Each part has its length in front: no two
// requests that differ are the same.
func (a *authorize) key(r *http.Request) key {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	b := s.b[:0]
	if u := gateway.UserOf(r.Context()); u != nil {
		b = appendText(b, u.Name)
	}
	b = append(b, 0)
	if r.Method == http.MethodHead { // a refusal has no body then
		b = append(b, 1)
	}
	for _, by := range a.By {
		b = appendMade(b, by, r)
	}
	if a.By == nil {
		if a.Where != nil {
			b = appendMade(b, a.Where, r)
		}
		b = s.appendQuestion(b, r)
	}
	s.b = b
	return sha256.Sum256(b)
}

// ownHeaders differ in each request and are not what an answer depends on.
var ownHeaders = map[string]bool{"X-Request-Id": true, "X-Request-Start": true, "Traceparent": true, "Tracestate": true}

// appendQuestion appends all of q that is told to whoever is asked (Bare).
func (s *scratch) appendQuestion(b []byte, q *http.Request) []byte {
	scheme := "http"
	if q.TLS != nil {
		scheme = "https"
	}
	client := q.RemoteAddr
	if i := lastColon(client); i >= 0 {
		client = client[:i]
	}
	for _, text := range [...]string{q.Method, scheme, q.Host, q.RequestURI, q.URL.Path, q.URL.RawQuery, client} {
		b = appendText(b, text)
	}
	var certificate []byte // of which apps are told
	if q.TLS != nil && len(q.TLS.PeerCertificates) > 0 {
		certificate = q.TLS.PeerCertificates[0].Raw
	}
	b = appendBytes(b, certificate)
	s.names = s.names[:0]
	for name := range q.Header {
		if !ownHeaders[name] && !notAsked[name] {
			s.names = append(s.names, name)
		}
	}
	slices.Sort(s.names)
	for _, name := range s.names {
		b = appendText(b, name)
		b = binary.AppendUvarint(b, uint64(len(q.Header[name])))
		for _, value := range q.Header[name] {
			b = appendText(b, value)
		}
	}
	return b
}

func lastColon(s string) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == ':' {
			return i
		}
	}
	return -1
}

func appendMade(b []byte, by func([]byte, *http.Request) []byte, r *http.Request) []byte {
	start := len(b)
	b = by(append(b, 0, 0, 0, 0, 0, 0, 0, 0), r)
	binary.LittleEndian.PutUint64(b[start:], uint64(len(b)-start-8))
	return b
}

func appendBytes(b, s []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}

func appendText(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}
