package h1

// This file: bodies that come from a reader, a file above all, which leaves by
// sendfile where the connection can.

import (
	"io"
	"net/http"
	"os"
	"syscall"
)

// ReadFrom sends a file with sendfile, where the connection can.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	switch {
	case w.done.Load():
		return 0, errOver
	case w.taken:
		return 0, http.ErrHijacked
	}
	if w.c.from == nil || w.isHead || !isFile(src) {
		return w.copyFrom(src)
	}
	total := int64(0)
	if !w.wrote {
		if _, ok := w.header["Content-Length"]; !ok {
			return w.copyFrom(src)
		}
		if _, typed := w.header["Content-Type"]; !typed { // its start is looked at
			n, err := w.copyFrom(io.LimitReader(src, sniffed))
			if total = n; err != nil || n < sniffed {
				return n, err
			}
		} else {
			w.WriteHeader(http.StatusOK)
		}
	}
	if w.length < 0 || !bodyAllowed(w.status) {
		n, err := w.copyFrom(src)
		return total + n, err
	}
	if !w.sent {
		w.compose(false)
	}
	limited, ok := src.(*io.LimitedReader)
	if err := w.leave(ok && limited.N > 0); err != nil {
		return total, err
	}
	n, err := w.sendFile(src)
	return total + n, err
}

// sendFile sends no more than the declared length has left.
func (w *response) sendFile(src io.Reader) (int64, error) {
	left := w.length - w.written
	limited, ok := src.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: src, N: left + 1}
	}
	surplus := max(0, limited.N-left) // perhaps it is not there
	limited.N -= surplus
	w.out.release() // a client may take its time over a file
	n, err := w.c.from.ReadFrom(limited)
	w.written += n
	if err != nil {
		w.c.failed(err)
		limited.N += surplus
		return n, err
	}
	limited.N += surplus
	if surplus > 0 && w.written == w.length {
		if more, _ := io.CopyN(io.Discard, limited, 1); more > 0 {
			w.written += more
			return n, http.ErrContentLength
		}
	}
	return n, nil
}

// moreWriter is a connection that can hold a head back until the file that
// follows has begun; see package listen.
type moreWriter interface {
	WriteMore(b []byte) (int, error)
}

// isFile reports whether sendfile may serve src.
func isFile(src io.Reader) bool {
	if limited, ok := src.(*io.LimitedReader); ok {
		src = limited.R
	}
	_, ok := src.(syscall.Conn)
	return ok
}

type writerOnly struct{ io.Writer }

func (w *response) copyFrom(src io.Reader) (int64, error) {
	b := w.c.srv.buffers.getMedium()
	defer b.release()
	if _, ok := src.(*os.File); ok { // whose WriteTo would make a buffer of its own
		src = struct{ io.Reader }{src}
	}
	return io.CopyBuffer(writerOnly{w}, src, b.b)
}
