// Package stall ends responses that their clients do not take, on connections
// that carry many: HTTP/2 and HTTP/3.
//
// There a client may read the connection and still take nothing of a response,
// by never enlarging its window; the handler would wait for ever. What package
// listen does for a connection, Writer does for one response: its write deadline
// renews itself with every piece that the client takes, so that a slow one may
// take hours over a large file, and one that stops is cut off.
package stall

import (
	"net/http"
	"time"
)

// piece is what goes out under one deadline.
const piece = 64 << 10

// Writer is the http.ResponseWriter of one response.
type Writer struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	until   time.Time // the deadline that is set
}

// New returns a Writer in front of w. timeout is how long the client may take
// nothing; it is never shorter than that, and may be twice as long.
func New(w http.ResponseWriter, timeout time.Duration) *Writer {
	return &Writer{ResponseWriter: w, control: http.NewResponseController(w), timeout: timeout}
}

func (w *Writer) renew() {
	now := time.Now()
	if w.until.Sub(now) < w.timeout {
		w.until = now.Add(2 * w.timeout)
		_ = w.control.SetWriteDeadline(w.until) // of a stream that has ended it fails, as the write will
	}
}

// Write is http.ResponseWriter's.
func (w *Writer) Write(b []byte) (int, error) {
	done := 0
	for {
		w.renew()
		part := b[done:min(len(b), done+piece)]
		n, err := w.ResponseWriter.Write(part)
		if done += n; err != nil || done == len(b) {
			return done, err
		}
	}
}

// FlushError is for http.ResponseController.
func (w *Writer) FlushError() error {
	w.renew()
	return w.control.Flush()
}

// Flush is http.Flusher's.
func (w *Writer) Flush() { _ = w.FlushError() }

// Unwrap is for http.ResponseController.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
