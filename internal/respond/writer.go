package respond

// The way of a response through a wrapper: its head is seen once, what follows
// is not touched.

import (
	"errors"
	"io"
	"net/http"
)

// writer asks its watcher once, before the head of a response is sent, and sends
// the status that it returns. Where that is 0, the response is swallowed.
type writer struct {
	http.ResponseWriter
	watch   watcher
	wrote   bool
	swallow bool
	gone    int64 // bytes that were swallowed
}

type watcher interface{ head(status int) int }

// maxSwallowed is how much of a body is taken for nothing; beyond it the writer
// fails, as it does when a client leaves: a body may be without end.
const maxSwallowed = 256 << 10

var errSwallowed = errors.New("the response has been given up for another one")

// full reports whether the writer has failed by itself.
func (w *writer) full() bool { return w.gone > maxSwallowed }

func (w *writer) discard(n int) (int, error) {
	if w.gone += int64(n); w.full() {
		return 0, errSwallowed
	}
	return n, nil
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(status int) {
	if w.wrote {
		if !w.swallow {
			w.ResponseWriter.WriteHeader(status) // which says what is wrong
		}
		return
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.wrote = true
	if status = w.watch.head(status); status == 0 {
		w.swallow = true
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if w.swallow {
		return w.discard(len(b))
	}
	return w.ResponseWriter.Write(b)
}

// ReadFrom keeps sendfile alive.
func (w *writer) ReadFrom(from io.Reader) (int64, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if w.swallow {
		n, err := io.Copy(io.Discard, io.LimitReader(from, maxSwallowed+1-w.gone))
		if w.gone += n; err == nil && w.full() {
			err = errSwallowed
		}
		return n, err
	}
	if to, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return to.ReadFrom(from)
	}
	return io.Copy(onlyWriter{w.ResponseWriter}, from)
}

// onlyWriter keeps io.Copy from asking for ReadFrom again.
type onlyWriter struct{ io.Writer }

// FlushError is for http.ResponseController.
func (w *writer) FlushError() error {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if w.swallow {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush is for those who look for an http.Flusher.
func (w *writer) Flush() { _ = w.FlushError() }
