package cache

// What the handler behind the cache writes to, while it is not known yet for
// whom.

import (
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// holdMost is how much of a stored response is held before those who wait for it
// are told of it: one that ends before that goes to them in one piece, with its
// length.
const holdMost = 32 << 10

var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// fetchWriter is the ResponseWriter of a fetch.
type fetchWriter struct {
	f         *flight
	r         *http.Request
	h         http.Header
	requested time.Time
	accel     string // X-Accel-Expires
	told      bool   // of it, or that there is none
	elsewhere bool   // who answers is not the app, which has not said how long
	own       bool   // the answer is not the app's

	began    bool
	returned bool
	retry    bool // what has come is about something else: ask again
	cfg      Config
	mode     mode
	client   http.ResponseWriter // for direct
	length   int64               // Content-Length; -1: none
	seen     int64
	memory   int64    // of flying
	nf       *newFile // that the body goes to
	keeping  *entry   // to be written to disk when all have their answer
	confirms bool     // keeping was confirmed by a 304
	err      error
}

type mode uint8

const (
	storing   mode = iota
	streaming      // not to be stored, but for all who wait already
	direct
	dropping // nobody wants it
)

var (
	_ http.Flusher    = (*fetchWriter)(nil)
	_ io.ReaderFrom   = (*fetchWriter)(nil)
	_ io.StringWriter = (*fetchWriter)(nil)
)

func (w *fetchWriter) Header() http.Header { return w.h }

// Unwrap leads to the client once he is known to be there.
func (w *fetchWriter) Unwrap() http.ResponseWriter { return w.client }

// OwnAnswer is called by a gateway that answers in an app's stead.
func (w *fetchWriter) OwnAnswer() { w.own = true }

// AccelExpires is told what the app has said in X-Accel-Expires. Only the first
// time counts: what comes later is of who answers in the app's place.
func (w *fetchWriter) AccelExpires(value string) {
	if !w.told {
		w.accel, w.told = value, true
	}
}

// Elsewhere is told that the app has another path of the site answer in its
// place, and whether the app has said itself how long that is good. What the
// other says is of its own URL: whether this one leads there, the app has decided
// for one request.
func (w *fetchWriter) Elsewhere(said bool) {
	w.told = true
	w.elsewhere = w.elsewhere || !said
}

func (w *fetchWriter) WriteHeader(status int) {
	if w.began {
		if w.mode == direct {
			w.client.WriteHeader(status) // which is superfluous, and the server says so
		}
		return
	}
	if status < 200 {
		w.f.hint(status, w.h)
		return
	}
	w.began = true
	w.begin(status)
}

// begin decides what becomes of a response.
func (w *fetchWriter) begin(status int) {
	f, now := w.f, w.f.c.now()
	f.status = status
	if v := w.h["X-Accel-Expires"]; len(v) > 0 { // without anybody in between who takes it
		w.AccelExpires(v[0])
		delete(w.h, "X-Accel-Expires")
	}
	if f.stale != nil {
		switch {
		case status == http.StatusNotModified && f.conds:
			w.confirmed(now)
			return
		case status >= 500 && f.h.hides(f.stale, w.r, now):
			f.c.counts.hidden.Add(1)
			f.why = "stale-if-error"
			w.mode, f.entry = dropping, f.stale
			f.decide(kept)
			return
		}
	}
	date := dateOf(w.h, now)
	v := f.h.rules.judge(w.r, status, w.h, w.accel, date)
	length, ok := contentLength(w.h)
	w.length = length
	switch {
	case !v.store:
	case w.elsewhere && (w.accel == "" || f.h.rules.Ignore.AccelExpires):
		v = refuse("another-answers")
	case w.own && status >= 400:
		v = refuse("not-of-the-app")
	case w.r.Method != http.MethodGet:
		v = refuse("method")
	case !ok || length > w.cfg.MaxEntry:
		v = refuse("too-long")
	case f.c.flying.Load() > w.cfg.Memory+DefaultMemory:
		v = refuse("busy")
	}
	if !v.store {
		f.why = v.why
		w.alone(status)
		return
	}
	f.entry = f.h.rules.makeEntry(w.r, f.key, status, w.h, w.accel, &v, date, w.requested, now)
	f.entry.serial = f.c.serial.Add(1)
	f.entry.verified = true
	if !f.entry.reusable(now) { // each must ask for himself
		f.mark(false)
	}
	if bodyless(status) {
		w.length = 0
	}
	f.length = w.length
}

// confirmed answers with what was stored: it has not changed.
func (w *fetchWriter) confirmed(now time.Time) {
	f := w.f
	w.mode = dropping
	if tag := w.h["Etag"]; len(tag) == 1 && f.stale.header["Etag"] != nil && weak(tag[0]) != weak(f.stale.header["Etag"][0]) {
		// It is about something else (RFC 9111, 4.3.4): nobody has what it means.
		f.c.drop(f.stale)
		w.retry = true
		return
	}
	e, keep := f.h.rules.freshened(f.stale, w.r, w.h, w.accel, w.requested, now)
	f.entry = e
	if keep {
		w.keeping, w.confirms = e, true
		if e.body != nil || e.length == 0 {
			f.c.keep(e, nil, f.since)
		}
	} else {
		f.c.drop(f.stale)
	}
	f.c.counts.confirmed.Add(1)
	f.c.mu.Lock()
	f.leaveLocked()
	f.c.mu.Unlock()
	f.decide(kept)
}

// alone hands a response to who asked first, and to nobody else.
func (w *fetchWriter) alone(status int) {
	f := w.f
	if f.stale != nil && status < 500 {
		f.c.drop(f.stale) // there is something newer, which is not for all
	}
	f.mark(false)
	w.client = f.claim()
	f.decide(alone)
	if w.client == nil {
		w.mode, w.err = dropping, errLeft
		f.cancel()
		return
	}
	w.mode = direct
	if w.own {
		own(w.client)
	}
	to := w.client.Header()
	for name, values := range w.h {
		to[name] = values
	}
	f.h.note(to, f.note(f.why))
	if f.conds && status == http.StatusOK && notModified(f.asked, w.h) {
		stripBody(to)
		w.client.WriteHeader(http.StatusNotModified)
		w.client, w.mode = nil, dropping
		return
	}
	w.h = to // trailers come yet
	w.client.WriteHeader(status)
}

func (w *fetchWriter) start() {
	if !w.began {
		w.WriteHeader(http.StatusOK)
	}
}

func (w *fetchWriter) Write(b []byte) (int, error) {
	w.start()
	switch w.mode {
	case direct:
		return w.client.Write(b)
	case dropping:
		if w.err != nil {
			return 0, w.err
		}
		return len(b), nil
	}
	if rest := w.length - w.seen; w.length >= 0 && int64(len(b)) > rest {
		n, err := w.take(b[:rest])
		if err == nil {
			err = http.ErrContentLength
		}
		return n, err
	}
	return w.take(b)
}

// take takes bytes for all who wait.
func (w *fetchWriter) take(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	f := w.f
	w.seen += int64(len(b))
	if w.mode == storing {
		if err := w.store(b); err == nil {
			if w.seen > holdMost {
				f.decide(stored)
			}
			return len(b), nil
		}
		w.giveUp()
	}
	if w.err = f.body.pass(w.r.Context(), b); w.err != nil {
		f.cancel()
		return 0, w.err
	}
	return len(b), nil
}

// store takes bytes of a body that is to be stored. It fails where there is no
// room for them.
func (w *fetchWriter) store(b []byte) error {
	f, cfg := w.f, &w.cfg
	if w.nf != nil {
		if w.seen > cfg.MaxEntry {
			return errEntry
		}
		if err := f.body.toFile(b); err != nil {
			f.c.diskFailed(w.nf.d, err)
			return err
		}
		return nil
	}
	if w.seen <= cfg.MemoryEntry && w.length <= cfg.MemoryEntry {
		f.body.append(b, w.length)
		w.memory += int64(len(b))
		f.c.flying.Add(int64(len(b)))
		return nil
	}
	d := f.c.writable()
	if d == nil || w.seen > cfg.MaxEntry {
		return errEntry
	}
	nf, err := d.create()
	if err == nil {
		if err = f.body.spill(nf); err != nil {
			nf.discard()
		}
	}
	if err != nil {
		f.c.diskFailed(d, err)
		return err
	}
	w.nf = nf
	f.c.flying.Add(-w.memory)
	w.memory = 0
	return f.body.toFile(b)
}

// giveUp has a response that cannot be stored go to those who wait for it, as
// fast as they take it.
func (w *fetchWriter) giveUp() {
	f := w.f
	w.mode = streaming
	select {
	case <-f.ready:
	default:
		f.why = "too-long"
	}
	f.c.mu.Lock()
	f.leaveLocked()
	f.c.mu.Unlock()
	f.decide(stored)
}

func (w *fetchWriter) WriteString(s string) (int, error) {
	if w.mode == direct {
		return io.WriteString(w.client, s)
	}
	return w.Write([]byte(s))
}

// ReadFrom hands src on as it is to a client who gets it directly, so that
// sendfile sees the file in it.
func (w *fetchWriter) ReadFrom(src io.Reader) (int64, error) {
	w.start()
	if w.mode == direct {
		if to, ok := w.client.(io.ReaderFrom); ok {
			return to.ReadFrom(src)
		}
	}
	return copyTo(w, src)
}

func (w *fetchWriter) Flush() { _ = w.FlushError() } // http.Flusher has no way to say it

func (w *fetchWriter) FlushError() error {
	w.start()
	switch w.mode {
	case direct:
		return http.NewResponseController(w.client).Flush()
	case dropping:
		return w.err
	}
	w.f.body.flush()
	w.f.decide(stored)
	return nil
}

// finish ends a response whose handler has returned.
func (w *fetchWriter) finish() {
	w.start()
	f := w.f
	if w.mode == direct || w.mode == dropping {
		return
	}
	defer w.giveBack()
	if w.err != nil || w.length >= 0 && w.seen < w.length {
		w.fail()
		return
	}
	f.body.end(nil)
	if w.mode != storing {
		w.discard()
		return
	}
	final := *f.entry // those who have it do not see its body change
	final.length = w.seen
	if w.nf == nil {
		f.body.mu.Lock()
		mem := f.body.mem
		f.body.mu.Unlock()
		if cap(mem) > len(mem)+len(mem)/8+64 {
			mem = append(make([]byte, 0, len(mem)), mem...)
		}
		final.body, final.sum = mem, crc32.Checksum(mem, castagnoli)
		if f.c.keep(&final, nil, f.since) {
			w.keeping = &final
		}
	} else {
		f.c.keep(&final, w.nf, f.since)
	}
	select {
	case <-f.ready:
	default:
		f.entry = &final
		f.decide(stored)
	}
}

// fail ends a response that will not be whole.
func (w *fetchWriter) fail() {
	w.f.body.end(io.ErrUnexpectedEOF)
	w.discard()
	w.giveBack()
}

func (w *fetchWriter) discard() {
	if w.nf != nil {
		removeFile(w.nf)
	}
}

func (w *fetchWriter) giveBack() {
	w.f.c.flying.Add(-w.memory)
	w.memory = 0
}

// file brings to the disk what was stored in memory.
func (w *fetchWriter) file() {
	switch {
	case w.keeping == nil:
	case w.confirms && w.keeping.body == nil && w.keeping.length > 0:
		w.f.c.confirm(w.keeping, w.f.since)
	default:
		w.f.c.toDisk(w.keeping, w.f.since)
	}
}

// contentLength is -1 for none. It is not ok when it is no number.
func contentLength(h http.Header) (int64, bool) {
	values := h["Content-Length"]
	if len(values) == 0 {
		return -1, true
	}
	n, err := strconv.ParseInt(values[0], 10, 64)
	return n, err == nil && n >= 0 && len(values) == 1
}

func bodyless(status int) bool {
	return status == http.StatusNoContent || status == http.StatusNotModified
}

// own is gateway.OwnAnswer, for whoever is around w.
func own(w http.ResponseWriter) {
	for w != nil {
		if o, ok := w.(interface{ OwnAnswer() }); ok {
			o.OwnAnswer()
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = u.Unwrap()
	}
}

// stripBody removes what a 304 does not carry (RFC 9110, 15.4.5).
func stripBody(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "Content-") && name != "Content-Location" && !strings.HasPrefix(name, "Content-Security-") {
			delete(h, name)
		}
	}
}
