package encode

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// holdMost is how much of a body is held before it becomes a stream.
const holdMost = 64 << 10

// wholeMost is how long a body may be that is compressed in one piece because
// its handler gives it in one.
const wholeMost = 1 << 20

// state is what becomes of the bytes that the handler writes.
type state uint8

const (
	fresh     state = iota // there is no head yet
	passing                // they pass
	holding                // they are held; the head is, too
	streaming              // they go through an encoder
	dropping               // nobody wants them: of a HEAD request, or of a file that we have
	complete               // all that Content-Length says have come
)

// writer is the ResponseWriter that a handler gets.
type writer struct {
	w      http.ResponseWriter
	r      *http.Request
	policy *Policy

	state   state
	status  int
	coding  string // chosen, from holding on
	refused bool   // the client does not take the identity
	length  int64  // Content-Length of what the handler writes; negative: none
	seen    int64  // bytes that it wrote
	held    []byte
	file    FileID // OfFile's
	making  *file  // which the body becomes; nil: none
	enc     coder  // of a stream
	unsent  bool   // the encoder may hold something
	err     error  // of the client
}

var (
	_ http.Flusher    = (*writer)(nil)
	_ io.ReaderFrom   = (*writer)(nil)
	_ io.StringWriter = (*writer)(nil)

	writers     = sync.Pool{New: func() any { return new(writer) }}
	copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}
	outBuffers  = sync.Pool{New: func() any { return new(bytes.Buffer) }}
)

// release gives the writer back. Its room for held bytes stays if it is small.
func (w *writer) release() {
	held := w.held[:0]
	if cap(held) > 8<<10 {
		held = nil
	}
	*w = writer{held: held}
	writers.Put(w)
}

func (w *writer) Unwrap() http.ResponseWriter { return w.w }

func (w *writer) Header() http.Header { return w.w.Header() }

func (w *writer) WriteHeader(status int) {
	switch {
	case w.state == passing: // which is superfluous, and the server says so
		w.w.WriteHeader(status)
	case w.state != fresh:
	case status < 200 && status != http.StatusSwitchingProtocols:
		w.w.WriteHeader(status)
	default:
		w.begin(status)
	}
}

// begin decides what becomes of the body.
func (w *writer) begin(status int) {
	w.status = status
	if w.coding = w.choose(status); w.coding == "" {
		w.pass()
		return
	}
	w.state = holding
	now := time.Now()
	kept := status == http.StatusOK && w.file.Size == w.length && w.policy.engine.keeps(w.file, now)
	switch head := w.r.Method == http.MethodHead; {
	case head && kept:
		if f := w.policy.engine.has(w.fileKey()); f != nil && (!f.plain || w.refused) {
			w.announce(int64(len(f.body)))
		} else if f != nil {
			w.pass()
		} else {
			w.announce(-1)
		}
		w.state = dropping
	case head:
		w.announce(-1)
		w.state = dropping
	case kept:
		w.beginFile()
	}
}

func (w *writer) fileKey() fileKey {
	k, _ := w.policy.kind(w.coding)
	return fileKey{w.file, k}
}

// beginFile answers with the compressed file if it is there, or begins to make
// it.
func (w *writer) beginFile() {
	f, mine := w.policy.engine.get(w.r.Context(), w.fileKey())
	switch {
	case f == nil: // as if it was no file
	case mine:
		w.making = f
	case f.plain && !w.refused:
		w.pass()
	default:
		w.announce(int64(len(f.body)))
		_, w.err = w.w.Write(f.body)
		w.state = dropping
	}
}

// pass lets the response go as it is. What is held goes first.
func (w *writer) pass() {
	w.dropMaking()
	w.state = passing
	w.w.WriteHeader(w.status)
	if len(w.held) > 0 {
		_, w.err = w.w.Write(w.held)
	}
}

func (w *writer) Write(b []byte) (int, error) {
	if w.state == fresh {
		w.begin(http.StatusOK)
	}
	if w.err != nil {
		return 0, w.err
	}
	switch w.state {
	case passing:
		return w.w.Write(b)
	case dropping:
		return len(b), nil
	case complete:
		if len(b) == 0 {
			return 0, nil
		}
		return 0, http.ErrContentLength
	}
	if rest := w.length - w.seen; w.length >= 0 && int64(len(b)) > rest {
		if n, err := w.take(b[:rest]); err != nil {
			return n, err
		}
		return int(rest), http.ErrContentLength
	}
	return w.take(b)
}

func (w *writer) WriteString(s string) (int, error) {
	if w.state == fresh {
		w.begin(http.StatusOK)
	}
	if w.state == passing && w.err == nil {
		return io.WriteString(w.w, s)
	}
	return w.Write([]byte(s))
}

// take takes bytes of a body that is held or a stream; never more than
// Content-Length says.
func (w *writer) take(b []byte) (int, error) {
	if w.state == holding {
		n := int64(len(b))
		switch {
		case n == w.length && n <= wholeMost: // all of it in one piece
			w.seen += n
			w.whole(b)
			return len(b), w.err
		case w.making == nil && (int64(len(w.held))+n > holdMost || w.length > holdMost):
			w.stream()
			if w.state == passing {
				if w.err != nil {
					return 0, w.err
				}
				return w.w.Write(b)
			}
		default:
			w.held = append(w.held, b...)
			if w.seen += n; w.seen == w.length {
				w.whole(w.held)
			}
			return len(b), w.err
		}
	}
	if w.err != nil {
		return 0, w.err
	}
	w.seen += int64(len(b))
	w.unsent = true
	if _, err := w.enc.Write(b); err != nil {
		w.err = err
		return 0, err
	}
	return len(b), nil
}

// whole answers with a body that is there in whole.
func (w *writer) whole(body []byte) {
	w.state = complete
	w.compressed(int64(len(body)), func(to io.Writer) error {
		_, err := to.Write(body)
		return err
	}, func() { _, w.err = w.w.Write(body) })
}

// compressed compresses the size bytes that from gives, in one piece, and
// sends them; or, where that gains nothing, has plain send the body as it is.
func (w *writer) compressed(size int64, from func(io.Writer) error, plain func()) {
	out := outBuffers.Get().(*bytes.Buffer)
	defer func() {
		if out.Cap() <= 256<<10 {
			out.Reset()
			outBuffers.Put(out)
		}
	}()
	_, pool := w.policy.kind(w.coding)
	err := w.policy.engine.coders.whole(pool, out, from)
	gains := int64(out.Len()) < size
	if f := w.making; f != nil {
		w.making = nil
		f.fail = err != nil
		f.plain = !gains
		f.body = bytes.Clone(out.Bytes())
		w.policy.engine.put(f)
	}
	if err != nil || !gains && !w.refused {
		w.w.WriteHeader(w.status)
		plain()
		return
	}
	w.announce(int64(out.Len()))
	_, w.err = w.w.Write(out.Bytes())
}

// stream begins to compress as bytes come, or where there is no memory for it,
// lets them pass.
func (w *writer) stream() {
	w.dropMaking()
	k, pool := w.policy.kind(w.coding)
	if !w.policy.engine.coders.reserve(k) {
		w.pass()
		return
	}
	w.state = streaming
	w.enc = pool.Get().(coder)
	w.enc.Reset(w.w)
	w.announce(-1)
	if len(w.held) > 0 {
		w.unsent = true
		_, w.err = w.enc.Write(w.held)
		w.held = w.held[:0]
	}
}

// dropMaking tells those who wait for the compressed file that there is none.
func (w *writer) dropMaking() {
	if f := w.making; f != nil {
		w.making = nil
		f.fail = true
		w.policy.engine.put(f)
	}
}

func (w *writer) Flush() { _ = w.FlushError() } // http.Flusher has no way to say it

func (w *writer) FlushError() error {
	if w.state == fresh {
		w.begin(http.StatusOK)
	}
	if w.state == holding {
		w.stream()
	}
	if w.err != nil {
		return w.err
	}
	if w.state == streaming && w.unsent {
		if w.err = w.enc.Flush(); w.err != nil {
			return w.err
		}
		w.unsent = false
	}
	return http.NewResponseController(w.w).Flush()
}

// finish ends a response whose handler has returned.
func (w *writer) finish() {
	short := w.length >= 0 && w.seen < w.length
	switch w.state {
	case holding:
		switch {
		case short: // the server sees it as well, and cuts the connection
			w.pass()
		case int64(len(w.held)) < w.policy.minSize && !w.refused:
			w.w.Header()["Content-Length"] = []string{strconv.Itoa(len(w.held))}
			w.pass()
		default:
			w.whole(w.held)
		}
	case streaming:
		if short && w.err == nil {
			_ = w.FlushError()          // what there is of it leaves first
			panic(http.ErrAbortHandler) // so that the client sees a cut, not an end
		}
		if w.err == nil {
			w.err = w.enc.Close()
		}
		w.endStream(true)
	}
}

// abandon ends a response whose handler has panicked.
func (w *writer) abandon() {
	w.dropMaking()
	w.endStream(false)
}

func (w *writer) endStream(again bool) {
	if w.enc == nil {
		return
	}
	k, pool := w.policy.kind(w.coding)
	if again {
		w.enc.Reset(io.Discard)
		pool.Put(w.enc)
	}
	w.enc = nil
	w.policy.engine.coders.giveBack(k)
}
