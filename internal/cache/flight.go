package cache

// One fetch, and all who wait for it.

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// outcome is what a fetch has come to, once its head is there.
type outcome uint8

const (
	failed outcome = iota // it panicked, or was given up
	stored                // a response that may be stored comes: body
	kept                  // what was stored is the answer: a 304, or a failure that it hides
	alone                 // a response for nobody but who asked first, who gets it directly
)

// flight is one fetch. It runs in a goroutine of its own, so that it goes at the
// back end's pace, and so that who asked first may leave.
type flight struct {
	c      *Cache
	h      *Handler
	key    string
	join   string // its key in Cache.flights; "": nobody may join
	place  string
	asked  *http.Request // of the client who asked first; only to be read
	stale  *entry        // what is to be confirmed; nil: there is nothing
	conds  bool          // its conditions are ours: a 304 is about stale
	since  uint64        // purges before it
	cancel context.CancelFunc
	ready  chan struct{} // closed when what follows is set
	done   chan struct{} // closed when the fetch has ended

	outcome outcome
	early   chan interim  // for who asked first
	hinted  chan struct{} // there is one
	hinting sync.Mutex    // held while he is told

	entry  *entry
	why    string // it is not stored
	status int    // that the back end has answered
	length int64  // of the body that comes; -1: not known
	body   *body

	// Of who asked first; guarded by Cache.mu.
	fwd     string              // why there is a fetch, in the words of RFC 9211
	client  http.ResponseWriter // nil: nobody, or he has left
	claimed bool                // the fetch writes to client
	waiters int                 // others who have joined
	panic   any                 // what the handler has panicked with
}

// beginLocked makes a flight and starts it. fwd is why there is one. w is whom a response that is for one
// alone goes to; nil: nobody waits. nil is returned when it cannot be: the server
// is being closed.
func (h *Handler) beginLocked(key, join, fwd string, r *http.Request, stale *entry, keepConditions bool, w http.ResponseWriter) *flight {
	c := h.cache
	if c.closed || h.rules.Enter != nil && !h.rules.Enter() {
		return nil
	}
	f := &flight{
		c: c, h: h, key: key, join: join, place: placeOf(r), asked: r, stale: stale, since: c.seq, fwd: fwd, length: -1,
		ready: make(chan struct{}), done: make(chan struct{}), body: newBody(), client: w,
		early: make(chan interim, maxEarly), hinted: make(chan struct{}, 1),
	}
	ctx, cancel := context.WithCancel(context.WithValue(context.WithoutCancel(r.Context()), withinKey{}, true))
	f.cancel = cancel
	next := r.Clone(ctx)
	if h.rules.Detach != nil {
		next = h.rules.Detach(next)
	}
	next.Method, next.Body, next.ContentLength = http.MethodGet, http.NoBody, 0
	if !keepConditions {
		f.conds = true
		for _, name := range []string{"Range", "If-Range", "If-None-Match", "If-Modified-Since"} {
			delete(next.Header, name)
		}
		if stale != nil {
			if tag := stale.header["Etag"]; len(tag) == 1 {
				next.Header["If-None-Match"] = tag
			}
			if modified := stale.header["Last-Modified"]; len(modified) == 1 {
				next.Header["If-Modified-Since"] = modified
			}
		}
	} else if r.Method == http.MethodHead {
		next.Method = http.MethodHead
	}
	if join != "" {
		c.flights[join] = f
	}
	c.active++
	c.counts.fetches.Add(1)
	c.running.Go(func() { f.run(ctx, next) })
	return f
}

// withinKey marks requests that a fetch is answered by: an X-Accel-Redirect. They
// wait for no other fetch, which might be the one that they are within, or wait
// for it.
type withinKey struct{}

// run fetches.
func (f *flight) run(ctx context.Context, r *http.Request) {
	c := f.c
	stop := context.AfterFunc(c.ctx, f.cancel) // nobody waits for the end of a server
	fw := f.writer(r)
	defer func() {
		f.land(fw, recover())
		stop()
		f.cancel()
		if f.h.rules.Leave != nil {
			f.h.rules.Leave()
		}
	}()
	f.h.next.ServeHTTP(fw, r)
	fw.start()
	if fw.retry {
		r = r.Clone(ctx)
		delete(r.Header, "If-None-Match")
		delete(r.Header, "If-Modified-Since")
		f.stale = nil
		fw = f.writer(r)
		f.h.next.ServeHTTP(fw, r)
	}
	fw.returned = true
}

func (f *flight) writer(r *http.Request) *fetchWriter {
	return &fetchWriter{f: f, r: r, h: http.Header{}, requested: f.c.now(), cfg: f.c.config()}
}

// land ends a fetch whose handler has returned or panicked.
func (f *flight) land(fw *fetchWriter, panicked any) {
	if !fw.returned && panicked == nil { // runtime.Goexit
		panicked = http.ErrAbortHandler
	}
	if panicked != nil {
		fw.fail()
		f.c.mu.Lock()
		f.panic = panicked
		quiet := f.client != nil || panicked == http.ErrAbortHandler //nolint:errorlint // it is the value itself
		f.c.mu.Unlock()
		if !quiet {
			f.c.log.Error("a fetch for the cache panicked", "url", f.place, "panic", panicked)
		}
	} else {
		fw.finish()
	}
	f.c.mu.Lock()
	f.leaveLocked()
	f.c.mu.Unlock()
	f.decide(failed)
	close(f.done)
	fw.file() // nobody waits for this
	f.c.mu.Lock()
	if f.c.active--; f.c.active == 0 {
		f.c.purges = nil
	}
	f.c.mu.Unlock()
	f.body.release()
}

// leaveLocked has nobody join any more.
func (f *flight) leaveLocked() {
	if f.join != "" && f.c.flights[f.join] == f {
		delete(f.c.flights, f.join)
	}
}

// decide says what the fetch has come to; only the first time counts.
func (f *flight) decide(o outcome) {
	select {
	case <-f.ready:
	default:
		f.outcome = o
		close(f.ready)
	}
}

// leave says that who asked first does not want the answer any more; it reports
// false when the answer is on its way to him already.
func (f *flight) leave() bool {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if f.claimed {
		return false
	}
	f.client = nil
	return true
}

// claim takes the ResponseWriter of who asked first; nil: he has left.
func (f *flight) claim() http.ResponseWriter {
	f.c.mu.Lock()
	client := f.client
	f.claimed = client != nil
	f.c.mu.Unlock()
	if client != nil {
		f.hinting.Lock() // lead tells him nothing more
		f.hintsLocked(client)
		f.hinting.Unlock()
	}
	return client
}

// interim is an interim response (RFC 9110, section 15.2).
type interim struct {
	status int
	header http.Header
}

// maxEarly is how many of them wait for who asked first; others are dropped.
const maxEarly = 8

// hint notes one.
func (f *flight) hint(status int, header http.Header) {
	select {
	case f.early <- interim{status, header.Clone()}:
	default:
		return
	}
	select {
	case f.hinted <- struct{}{}:
	default:
	}
}

// hints tells who asked first, and waits, what there is.
func (f *flight) hints(w http.ResponseWriter) {
	f.hinting.Lock()
	defer f.hinting.Unlock()
	f.c.mu.Lock()
	claimed := f.claimed
	f.c.mu.Unlock()
	if !claimed {
		f.hintsLocked(w)
	}
}

func (f *flight) hintsLocked(w http.ResponseWriter) {
	for {
		select {
		case e := <-f.early:
			e.tell(w)
		default:
			return
		}
	}
}

func (e interim) tell(w http.ResponseWriter) {
	to := w.Header()
	var ours []string
	for name, values := range e.header {
		if to[name] == nil {
			to[name] = values
			ours = append(ours, name)
		}
	}
	w.WriteHeader(e.status)
	for _, name := range ours { // they are not of the response
		delete(to, name)
	}
}

// markTime is how long it is remembered that a key's responses are not for all,
// so that nobody waits for another one's.
const markTime = 20 * time.Second

// maxMarks bounds the memory for that.
const maxMarks = 8192

// markLocked remembers it, if anybody has waited.
func (f *flight) mark(always bool) {
	c := f.c
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	f.leaveLocked()
	if f.waiters == 0 && !always {
		return
	}
	if len(c.marks) >= maxMarks {
		clear(c.marks)
	}
	c.marks[f.key] = now.Add(markTime)
}

var errLeft = errors.New("cache: the client has left")

// copyTo is io.Copy to a writer without looking for a way around it.
func copyTo(w io.Writer, src io.Reader) (int64, error) {
	buf := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{src}, buf[:])
}
