package cache

// A request whose answer is not stored: it asks, or waits for another one that
// does.

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

type result uint8

const (
	answered  result = iota
	lookAgain        // there may be something by now
	askAlone         // what another one has got is not for this one
)

// fetch has a request answered by a fetch: another one's that runs, or its own.
// e is what is stored and to be confirmed; nil: there is nothing.
func (q *query) fetch(e *entry, why string, vary []string, separate bool) result {
	h, c := q.h, q.h.cache
	private := q.authorization || q.cookie
	join := ""
	c.mu.Lock()
	if until, ok := c.marks[q.key]; ok {
		if c.now().Before(until) {
			separate = true
		} else {
			delete(c.marks, q.key)
		}
	}
	// Whose answer may be his alone asks alone, unless it is known that it is
	// for all.
	if !separate && (!private || e != nil) {
		join = q.joinKey(vary)
		f := c.flights[join]
		if f != nil && f.isForOthers(q.r) {
			join = q.joinKey(f.entry.vary)
			f = c.flights[join]
		}
		if f != nil {
			if f.isForOthers(q.r) {
				c.mu.Unlock()
				return askAlone
			}
			f.waiters++
			rd := f.body.join()
			c.mu.Unlock()
			defer rd.leave()
			return q.await(f, rd)
		}
		if v, _ := c.store.selectLocked(q.key, q.r); v != nil && (e == nil || v.came.After(e.came)) {
			c.mu.Unlock()
			return lookAgain
		}
	}
	h.forward(q.w, q.r) // first: the fetch may answer this client itself, at once
	f := h.beginLocked(q.key, join, why, q.r, e, e == nil && (separate || private), q.w)
	if f == nil { // the server is being closed, or the handler is
		c.mu.Unlock()
		h.note(q.w.Header(), "fwd=bypass; detail=closing")
		h.next.ServeHTTP(q.w, q.r)
		return answered
	}
	rd := f.body.join()
	c.mu.Unlock()
	defer rd.leave()
	if e == nil {
		c.counts.misses.Add(1)
	} else {
		c.counts.revalidated.Add(1)
	}
	return q.lead(f, rd)
}

// lead answers who asked first.
func (q *query) lead(f *flight, rd *reader) result {
	ctx := q.r.Context()
	for waits := true; waits; {
		select {
		case <-f.ready:
			waits = false
		case <-f.hinted:
			f.hints(q.w)
		case <-ctx.Done():
			if f.leave() {
				return answered
			}
			<-f.ready
			waits = false
		}
	}
	switch f.outcome {
	case stored, kept:
		f.hints(q.w)
		q.fromFlight(f, rd, f.note(""))
		return answered
	case alone:
		stop := context.AfterFunc(ctx, f.cancel)
		<-f.done
		stop()
	case failed:
		if <-f.done; f.panic == nil { // it was not whole, and nothing of it has left
			panic(http.ErrAbortHandler)
		}
	}
	if f.panic != nil {
		panic(f.panic)
	}
	return answered
}

// await answers one who found another's fetch under way.
func (q *query) await(f *flight, rd *reader) result {
	c := q.h.cache
	late := time.NewTimer(q.h.rules.Wait)
	defer late.Stop()
	select {
	case <-f.ready:
	case <-q.r.Context().Done():
		return answered
	case <-late.C:
		return askAlone
	}
	e := f.entry
	if f.outcome != stored && f.outcome != kept || !q.mayHave(e) {
		return askAlone
	}
	if !e.matches(q.r) {
		return lookAgain // its Vary is known now: there will be a fetch for this one's kind
	}
	if f.outcome == kept && f.why != "" { // it stands for an error: who may have it stale?
		if !q.h.hides(e, q.r, c.now()) {
			return askAlone
		}
	} else if !e.reusable(c.now()) {
		return askAlone
	}
	c.counts.collapsed.Add(1)
	q.fromFlight(f, rd, f.note("")+"; collapsed")
	return answered
}

// isForOthers says whether a fetch has come to something that is not for a
// request, as Vary has it.
func (f *flight) isForOthers(r *http.Request) bool {
	select {
	case <-f.ready:
		return f.entry != nil && !f.entry.matches(r)
	default:
		return false
	}
}

// fromFlight answers with what a fetch has got.
func (q *query) fromFlight(f *flight, rd *reader, note string) {
	c := q.h.cache
	e, now := f.entry, c.now()
	src := source{length: e.length, mem: e.body}
	switch {
	case f.outcome == stored && e.body == nil:
		src = source{reader: rd, length: f.expects()}
	case e.body == nil && e.length > 0: // it was confirmed, and is on disk
		_, file, _ := c.find(q.key, q.r)
		if file == nil {
			q.h.next.ServeHTTP(q.w, q.r) // it has just gone
			return
		}
		defer file.Close()
		src.file = file
	}
	q.answer(e, src, now, note)
}

// expects is how long the body will be; -1: that is not known.
func (f *flight) expects() int64 {
	if n, whole := f.body.ended(); whole {
		return n
	}
	return f.length
}

// note is Cache-Status for whom the fetch was begun.
func (f *flight) note(why string) string {
	b := "fwd=" + f.fwd
	if f.status != 0 && (f.status == http.StatusNotModified || f.fwd == "stale") {
		b += "; fwd-status=" + strconv.Itoa(f.status)
	}
	switch {
	case why != "":
		b += "; detail=" + why
	case f.why != "":
		b += "; detail=" + f.why
	case f.outcome == stored:
		b += "; stored"
	}
	return b
}
