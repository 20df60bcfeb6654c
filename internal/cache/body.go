package cache

// A body that comes, and those who read it meanwhile.

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
)

const (
	// windowSize is how much of a body that is not stored is held for those who
	// read it.
	windowSize = 256 << 10

	// readSize is how much is read of a file at a time.
	readSize = 64 << 10
)

var errNobody = errors.New("cache: nobody reads the response any more")

// body is written by one fetch, and read by any number of readers, each at its
// own pace, from its beginning. It is held in memory, and from a size on in the
// file of an entry that is being made. When it turns out not to be stored, it
// becomes a window: whoever writes waits for whoever reads.
type body struct {
	mu   sync.Mutex
	mem  []byte   // what follows base
	base int64    // what is before is in file
	file *newFile // nil: there is none
	n    int64    // all that was written

	flushed int64 // up to where the writer wants it to be sent
	done    bool
	err     error // with done: it is not whole

	wake    chan struct{} // closed when there is more; nil: nobody waits
	space   chan struct{} // closed when a reader has moved; nil: the writer does not wait
	window  bool
	readers map[*reader]struct{}
	holds   int // of the file: the writer's, and the readers'
}

// reader is one who reads a body.
type reader struct {
	b   *body
	off int64
	buf []byte
}

func newBody() *body { return &body{readers: map[*reader]struct{}{}, holds: 1} }

// join adds a reader. Every reader must leave.
func (b *body) join() *reader {
	b.mu.Lock()
	defer b.mu.Unlock()
	rd := &reader{b: b}
	b.readers[rd] = struct{}{}
	b.holds++
	return rd
}

// leave ends a reader.
func (rd *reader) leave() {
	b := rd.b
	b.mu.Lock()
	delete(b.readers, rd)
	b.movedLocked()
	b.mu.Unlock()
	b.release()
}

// release gives up a hold on the file; the last closes it.
func (b *body) release() {
	b.mu.Lock()
	b.holds--
	var f *os.File
	if b.holds == 0 && b.file != nil {
		f = b.file.f
	}
	b.mu.Unlock()
	if f != nil {
		f.Close()
	}
}

func (b *body) wakeLocked() {
	if b.wake != nil {
		close(b.wake)
		b.wake = nil
	}
}

func (b *body) movedLocked() {
	if b.space != nil {
		close(b.space)
		b.space = nil
	}
}

// append adds what was written, in memory. length is what is expected in all;
// negative: that is not known.
func (b *body) append(p []byte, length int64) {
	b.mu.Lock()
	if b.mem == nil && length > 0 {
		b.mem = make([]byte, 0, length)
	}
	b.mem = append(b.mem, p...)
	b.n += int64(len(p))
	b.wakeLocked()
	b.mu.Unlock()
}

// spill moves what is in memory to a file, behind which all further bytes go.
func (b *body) spill(nf *newFile) error {
	b.mu.Lock()
	mem := b.mem
	b.mu.Unlock()
	if _, err := nf.Write(mem); err != nil {
		return err
	}
	b.mu.Lock()
	b.file, b.base, b.mem = nf, b.n, nil
	b.mu.Unlock()
	return nil
}

// toFile adds what was written, in the file.
func (b *body) toFile(p []byte) error {
	n, err := b.file.Write(p)
	b.mu.Lock()
	b.n += int64(n)
	b.base = b.n
	b.wakeLocked()
	b.mu.Unlock()
	return err
}

// pass hands bytes of a body that is not stored to its readers. It waits for
// them; without any, it fails.
func (b *body) pass(ctx context.Context, p []byte) error {
	for len(p) > 0 {
		b.mu.Lock()
		b.window = true
		low := b.n
		for rd := range b.readers {
			low = min(low, rd.off)
		}
		if len(b.readers) == 0 {
			b.mu.Unlock()
			return errNobody
		}
		if low > b.base {
			b.mem = b.mem[low-b.base:]
			b.base = low
		}
		if room := windowSize - (b.n - low); room > 0 {
			part := p[:min(int(room), len(p))]
			b.mem = append(b.mem, part...)
			b.n += int64(len(part))
			p = p[len(part):]
			b.wakeLocked()
			b.mu.Unlock()
			continue
		}
		space := make(chan struct{})
		b.space = space
		b.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// flush says that all that was written should be sent.
func (b *body) flush() {
	b.mu.Lock()
	b.flushed = b.n
	b.wakeLocked()
	b.mu.Unlock()
}

// end says that nothing more will come. With an error, the body is not whole.
func (b *body) end(err error) {
	b.mu.Lock()
	if !b.done {
		b.done, b.err = true, err
		b.wakeLocked()
	}
	b.mu.Unlock()
}

// ended reports whether all has come, and whole.
func (b *body) ended() (length int64, whole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n, b.done && b.err == nil
}

// next returns what follows, which must not be changed, and is valid until the
// next call. At the end it returns io.EOF, or why there is none. flush says that
// all before the wait should be sent first: then nothing is returned.
func (rd *reader) next(ctx context.Context, flushed int64) (p []byte, flush bool, err error) {
	b := rd.b
	for {
		b.mu.Lock()
		switch {
		case rd.off < b.base && b.file != nil:
			n := min(b.base-rd.off, readSize)
			file := b.file.f
			b.mu.Unlock()
			if rd.buf == nil {
				rd.buf = make([]byte, readSize)
			}
			got, err := file.ReadAt(rd.buf[:n], rd.off)
			if int64(got) < n {
				return nil, false, errors.Join(err, io.ErrUnexpectedEOF)
			}
			rd.moved(n)
			return rd.buf[:n], false, nil
		case rd.off < b.n:
			p := b.mem[rd.off-b.base:]
			rd.off = b.n
			b.movedLocked()
			b.mu.Unlock()
			return p, false, nil
		case b.done:
			err := b.err
			b.mu.Unlock()
			if err == nil {
				err = io.EOF
			}
			return nil, false, err
		case b.flushed > flushed:
			b.mu.Unlock()
			return nil, true, nil
		}
		if b.wake == nil {
			b.wake = make(chan struct{})
		}
		wake := b.wake
		b.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

func (rd *reader) moved(n int64) {
	rd.b.mu.Lock()
	rd.off += n
	rd.b.movedLocked()
	rd.b.mu.Unlock()
}
