package encode

import (
	"errors"
	"io"
	"net/http"
)

var errShort = errors.New("the file ends before its size")

// ReadFrom hands src on as it is where nothing is compressed, so that sendfile
// sees the file in it.
func (w *writer) ReadFrom(src io.Reader) (int64, error) {
	if w.state == fresh {
		w.begin(http.StatusOK)
	}
	if w.state == holding && w.making != nil && w.seen == 0 {
		if n, done, err := w.readFile(src); done {
			return n, err
		}
	}
	if w.state == holding && w.making == nil && w.length > holdMost {
		w.stream() // or pass
	}
	if w.err != nil {
		return 0, w.err
	}
	if w.state == dropping {
		if l, ok := src.(*io.LimitedReader); ok { // io.CopyN's: of a file that we have
			n := l.N
			l.N = 0
			return n, nil
		}
	}
	if w.state == passing {
		if to, ok := w.w.(io.ReaderFrom); ok {
			return to.ReadFrom(src)
		}
	}
	buf := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(buf)
	// Write alone is visible to io.CopyBuffer: no way back to ReadFrom.
	return io.CopyBuffer(struct{ io.Writer }{w}, src, buf[:])
}

// readFile compresses the file that is being made out of src, without holding
// it in whole. It is not done when nothing was read and sent.
func (w *writer) readFile(src io.Reader) (n int64, done bool, err error) {
	seeker, ok := rewinder(src)
	if !ok {
		return 0, false, nil
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, false, nil
	}
	size := w.length
	w.state = complete
	rewound := false
	w.compressed(size, func(to io.Writer) error {
		buf := copyBuffers.Get().(*[32 << 10]byte)
		defer copyBuffers.Put(buf)
		n, err = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{src}, buf[:])
		if err == nil && n != size {
			err = errShort
		}
		return err
	}, func() { rewound = true })
	if !rewound {
		w.seen = n
		return n, true, w.err
	}
	// It goes as it is, and the head has left. What was read is read again.
	w.state = passing
	if _, err = seeker.Seek(start, io.SeekStart); err != nil {
		return 0, true, err
	}
	if l, ok := src.(*io.LimitedReader); ok {
		l.N += n
	}
	return 0, false, nil
}

// rewinder is the file in a source.
func rewinder(src io.Reader) (io.Seeker, bool) {
	if l, ok := src.(*io.LimitedReader); ok {
		src = l.R
	}
	s, ok := src.(io.Seeker)
	return s, ok
}
