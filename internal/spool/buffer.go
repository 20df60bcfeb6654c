package spool

import (
	"io"
	"os"
)

// Buffer is a body collected whole: in memory while it has at most a given
// number of bytes, in a file once it has more. One goroutine at a time may
// use it. Its owner calls Close when the body is no longer needed.
type Buffer struct {
	spool  *Spool
	memory int // bytes that stay in memory
	most   int // what memory may become, while the spool has memory to lend
	lent   int // bytes of memory that are the spool's
	size   int64
	mem    *chunk   // holds size bytes; nil when empty or in the file
	file   *os.File // nil until memory is exceeded
	err    error    // the first write error; the body is lost
}

// NewBuffer returns an empty Buffer that keeps up to memory bytes in memory;
// zero or less: all goes to a file.
func (s *Spool) NewBuffer(memory int) *Buffer { return &Buffer{spool: s, memory: memory} }

// NewBody returns an empty Buffer for the body of a request: it keeps up to
// memory bytes in memory at all times. The first byte beyond them borrows the
// rest of 256 KiB, whatever the body will have, while the spool has so much of
// its 32 MiB to lend. To make a file, fill it and remove it takes longer than the
// work on most forms.
func (s *Spool) NewBody(memory int) *Buffer {
	return &Buffer{spool: s, memory: memory, most: bodyMost}
}

// Len returns the number of bytes in the body.
func (b *Buffer) Len() int64 { return b.size }

// Bytes returns the body when it is in memory, and nil when it is in a file
// (or empty). The slice is valid until the next Write, ReadFrom or Close.
func (b *Buffer) Bytes() []byte {
	if b.mem == nil {
		return nil
	}
	return b.mem.b[:b.size]
}

// File returns the file with the body, which starts at offset 0 and ends at
// Len; nil when the body is in memory. The file's own offset may be anywhere.
// The Buffer closes the file: a descriptor that must outlive it is a duplicate.
func (b *Buffer) File() *os.File { return b.file }

// Write appends p. It fails with an error that wraps ErrFull, or with a
// *DiskError; the body is incomplete then, every further Write fails alike,
// and all that is left to do is Close. A closed Buffer answers os.ErrClosed.
func (b *Buffer) Write(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.file == nil && b.fits(len(p)) {
		b.grow(len(p))
		if len(p) > 0 {
			copy(b.mem.b[b.size:], p)
			b.size += int64(len(p))
		}
		return len(p), nil
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.writeFile(p)
	b.err = err
	return n, err
}

// fits reports whether n more bytes may be in memory; it borrows for them.
func (b *Buffer) fits(n int) bool {
	need := b.size + int64(n)
	if need > int64(b.memory) && need <= int64(b.most) && b.spool.lend(b.most-b.memory) {
		b.lent = b.most - b.memory
		b.memory = b.most
	}
	return need <= int64(b.memory)
}

// repay gives back what fits has borrowed.
func (b *Buffer) repay() {
	if b.lent > 0 {
		b.spool.repay(b.lent)
	}
	b.lent, b.most = 0, 0
}

// grow makes room for n more bytes in memory.
func (b *Buffer) grow(n int) {
	need := int(b.size) + n
	switch {
	case need == 0 || b.mem != nil && need <= len(b.mem.b):
		return
	case b.mem == nil:
		b.mem = newChunk(need)
		return
	}
	// Above the pools' sizes a chunk has no slack: double, so that many small
	// writes copy each byte a bounded number of times.
	bigger := newChunk(min(max(need, 2*len(b.mem.b)), max(b.memory, need)))
	copy(bigger.b, b.mem.b[:b.size])
	b.mem.free()
	b.mem = bigger
}

// writeFile appends p to the file, which it makes if need be.
func (b *Buffer) writeFile(p []byte) (int, error) {
	if b.file == nil {
		if err := b.spill(int64(len(p))); err != nil {
			return 0, err
		}
	} else if err := b.spool.take(int64(len(p))); err != nil {
		return 0, err
	}
	// At an offset of our own: the file's may belong to whoever it was given.
	n, err := b.file.WriteAt(p, b.size)
	b.size += int64(n)
	if err != nil {
		b.spool.give(int64(len(p) - n))
		return n, &DiskError{Op: "write", Dir: b.spool.dir, Err: err}
	}
	return n, nil
}

// spill moves what is in memory to a new file, and reserves room for more
// bytes beyond it. When it fails, nothing has changed.
func (b *Buffer) spill(more int64) error {
	if err := b.spool.take(b.size + more); err != nil {
		return err
	}
	f, err := b.spool.openFile()
	if err != nil {
		b.spool.give(b.size + more)
		return err
	}
	if b.mem != nil {
		if _, err := f.WriteAt(b.mem.b[:b.size], 0); err != nil {
			b.spool.give(b.size + more)
			_ = f.Close() // nothing in it is wanted
			return &DiskError{Op: "write", Dir: b.spool.dir, Err: err}
		}
		b.mem.free()
		b.mem = nil
	}
	b.repay()
	b.file = f
	return nil
}

// ReadFrom appends what r gives until it ends. A read error is returned as r
// gave it (it is the client's); a write error is one of Write's (it is ours):
// errors.Is ErrFull or errors.As *DiskError tells them apart. An r that
// returns nothing a hundred times in a row gets io.ErrNoProgress.
func (b *Buffer) ReadFrom(r io.Reader) (int64, error) {
	if b.err != nil {
		return 0, b.err
	}
	var piece *chunk // what is read once memory is full goes through this
	defer func() {
		if piece != nil {
			piece.free()
		}
	}()
	start, idle := b.size, 0
	for {
		room := b.room()
		inMemory := room != nil
		if !inMemory {
			if piece == nil {
				piece = newChunk(ioPiece)
			}
			room = piece.b
		}
		n, err := r.Read(room)
		if n < 0 || n > len(room) {
			return b.size - start, errInvalidRead
		}
		if inMemory {
			b.size += int64(n)
		} else if n > 0 {
			if _, werr := b.Write(room[:n]); werr != nil {
				return b.size - start, werr
			}
		}
		switch {
		case err == io.EOF:
			return b.size - start, nil
		case err != nil:
			return b.size - start, err
		case n > 0:
			idle = 0
		default:
			if idle++; idle == 100 {
				return b.size - start, io.ErrNoProgress
			}
		}
	}
}

// room returns where in memory the next read may go; nil: nowhere.
func (b *Buffer) room() []byte {
	if b.file != nil || !b.fits(1) {
		return nil
	}
	if b.mem == nil || b.size == int64(len(b.mem.b)) {
		b.grow(1)
	}
	return b.mem.b[b.size:min(int64(len(b.mem.b)), int64(b.memory))]
}

// Close gives the body's memory and its share of the disk back. Only the
// first call does anything; it has no error to report, as nothing that was
// written is wanted any more.
func (b *Buffer) Close() error {
	if b.mem != nil {
		b.mem.free()
	}
	b.repay()
	if b.file != nil {
		// The descriptor is gone even if the system complains.
		_ = b.file.Close()
		b.spool.give(b.size)
	}
	b.mem, b.file, b.size, b.err = nil, nil, 0, os.ErrClosed
	return nil
}

var (
	_ io.ReaderFrom  = (*Buffer)(nil)
	_ io.WriteCloser = (*Buffer)(nil)
)
