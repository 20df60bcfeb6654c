package cache

import (
	"net/http"
	"os"
	"strconv"
	"time"
)

// Handler answers from what is stored, and asks next for what is not.
type Handler struct {
	cache *Cache
	rules Rules
	next  http.Handler
}

// Wrap returns a Handler around next.
func (c *Cache) Wrap(next http.Handler, rules Rules) *Handler {
	if rules.Wait <= 0 {
		rules.Wait = defaultWait
	}
	return &Handler{cache: c, rules: rules, next: next}
}

// query is one request on its way through a Handler.
type query struct {
	h     *Handler
	w     http.ResponseWriter
	r     *http.Request
	asked asked
	key   string

	authorization, cookie bool // it has credentials
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if why := h.rules.bypasses(r); why != "" {
		h.pass(w, r, why)
		return
	}
	q := &query{h: h, w: w, r: r, key: h.rules.key(r), asked: asked{maxAge: absent, minFresh: absent, maxStale: absent, ifError: absent}}
	if !h.rules.IgnoreClient {
		q.asked = parseAsked(r.Header)
	}
	if q.asked.noStore { // nothing of it may be stored (RFC 9111, 5.2.1.5)
		h.pass(w, r, "no-store")
		return
	}
	q.authorization, q.cookie = h.rules.private(r)
	q.serve()
}

// serve answers: from what is stored, from what another request is fetching, or
// by asking.
func (q *query) serve() {
	h, c := q.h, q.h.cache
	separate := h.rules.Separate || q.r.Context().Value(withinKey{}) != nil
	for {
		e, file, vary := c.find(q.key, q.r)
		now := c.now()
		if e != nil && !q.mayHave(e) {
			closeFile(file)
			e, file, separate = nil, nil, true
		}
		why := "uri-miss"
		if e == nil && vary != nil {
			why = "vary-miss"
		}
		if e != nil {
			var use use
			if use, why = q.use(e, now); use != ask {
				q.hit(e, file, use, now)
				return
			}
		}
		if q.asked.onlyIfCached {
			closeFile(file)
			c.counts.misses.Add(1)
			h.note(q.w.Header(), "fwd="+why+"; detail=only-if-cached")
			http.Error(q.w, "504 this is not in the cache, and the request wants nothing else", http.StatusGatewayTimeout)
			return
		}
		if e == nil && (q.r.Method == http.MethodHead || ranged(q.r) && !fromStart(q.r)) {
			c.counts.misses.Add(1)
			h.forward(q.w, q.r)
			h.note(q.w.Header(), "fwd="+why+"; detail="+tokenOf(q.r))
			h.next.ServeHTTP(q.w, q.r)
			return
		}
		closeFile(file) // to be opened again, if it is confirmed
		switch q.fetch(e, why, vary, separate) {
		case answered:
			return
		case lookAgain:
		case askAlone:
			separate = true
		}
	}
}

func tokenOf(r *http.Request) string {
	if r.Method == http.MethodHead {
		return "head"
	}
	return "range"
}

func closeFile(f *os.File) {
	if f != nil {
		f.Close()
	}
}

// mayHave says whether a request with credentials may be answered by what is
// stored.
func (q *query) mayHave(e *entry) bool {
	return (!q.authorization || e.public) && (!q.cookie || e.cookies)
}

type use uint8

const (
	ask   use = iota
	fresh     // it is the answer
	stale     // it is the answer, as the client takes it stale
	while     // it is, and asked for meanwhile
)

// use says what becomes of what is stored; why is why it is not the answer, in
// the words of RFC 9211.
func (q *query) use(e *entry, now time.Time) (u use, why string) {
	a, left := &q.asked, e.left(now)
	switch {
	case e.validate:
		return ask, "stale"
	case a.noCache, a.maxAge != absent && e.age(now) > a.maxAge && !(left > 0 && a.takesStale()):
		return ask, "request"
	case a.minFresh != absent && left < a.minFresh:
		return ask, "request"
	case left > 0:
		return fresh, ""
	case e.strict:
		return ask, "stale"
	case !e.shared && (a.maxStaleAny || a.maxStale != absent && -left <= a.maxStale):
		return stale, ""
	case -left <= e.whileRevalidate && e.whileRevalidate > 0:
		return while, ""
	}
	return ask, "stale"
}

// takesStale is never so for max-age alone (RFC 9111, 5.2.1.1).
func (a *asked) takesStale() bool { return a.maxStaleAny || a.maxStale != absent }

// hides says whether a stored response stands for an error of the back end.
func (h *Handler) hides(e *entry, r *http.Request, now time.Time) bool {
	if e.strict || e.validate {
		return false
	}
	d := e.ifError
	if !h.rules.IgnoreClient {
		if a := parseAsked(r.Header); a.ifError > d && !e.shared {
			d = a.ifError
		}
	}
	return d > 0 && -e.left(now) <= d
}

// hit answers with what is stored.
func (q *query) hit(e *entry, file *os.File, u use, now time.Time) {
	c := q.h.cache
	switch u {
	case fresh:
		c.counts.hits.Add(1)
	case stale:
		c.counts.staleHits.Add(1)
	case while:
		c.counts.staleHits.Add(1)
		q.refresh(e)
	}
	defer closeFile(file)
	q.answer(e, source{mem: e.body, file: file, length: e.length}, now, "hit; ttl="+strconv.FormatInt(int64(e.left(now)/time.Second), 10))
}

// refresh asks for an entry while it answers.
func (q *query) refresh(e *entry) {
	c := q.h.cache
	join := q.joinKey(e.vary)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[join] != nil || c.closed {
		return
	}
	q.h.beginLocked(q.key, join, "stale", q.r, e, false, nil)
}

// joinKey is under which key others find the fetch for a request.
func (q *query) joinKey(vary []string) string {
	if len(vary) == 0 {
		return q.key
	}
	return q.key + "\x00" + varyValue(vary, q.r.Header)
}

// note adds to Cache-Status (RFC 9211).
func (h *Handler) note(to http.Header, text string) {
	if h.rules.NoStatus {
		return
	}
	have := to["Cache-Status"]
	to["Cache-Status"] = append(have[:len(have):len(have)], "millrace; "+text)
}

// forward says that a request is not answered by the cache alone.
func (h *Handler) forward(w http.ResponseWriter, r *http.Request) {
	if h.rules.Forward != nil {
		h.rules.Forward(w, r)
	}
}
