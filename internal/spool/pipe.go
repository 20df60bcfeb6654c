package spool

import (
	"io"
	"slices"
	"sync"
)

// PipeOptions bounds a Pipe.
type PipeOptions struct {
	Memory int   // bytes held in memory; default (0 or less) 64 KiB
	Disk   int64 // unread bytes held in a file beyond that; default 0: never a file

	// OnDegrade is called once, by the goroutine that writes, when the file
	// cannot be used: with an error that wraps ErrFull, or a *DiskError. No
	// byte is lost; the producer just waits for the consumer sooner.
	OnDegrade func(error)
}

// Pipe carries a body from one goroutine, the producer, that calls Write and
// then CloseWrite, to another, the consumer, that calls Read, WriteTo or
// CopyTo and then, always, CloseRead. CloseRead may also come from elsewhere.
//
// Bytes wait in memory up to a bound, those beyond it in a file up to another,
// and beyond both the producer waits. Once the consumer has read all that was
// in the file, the file is given up and memory is used again; and the file is
// a ring: an endless body takes a bounded space, whether its consumer ever
// catches up or not.
type Pipe struct {
	spool *Spool
	opt   PipeOptions

	mu       sync.Mutex
	readable sync.Cond // something to read, or an end
	writable sync.Cond // room, or nobody who reads
	flow
}

// flow is a Pipe's state. What is older is in memory, what is newer in the
// ring: so once the ring holds something, all that arrives goes there.
//
// The lock is not held while a file is written or read, nor while the
// consumer uses memory: inWrite and inRead say so, and what they use stays.
type flow struct {
	mem    []*chunk // in order; the last is being filled
	memR   int      // read of the first
	memW   int      // written of the last
	memLen int      // unread in memory

	ring ring

	degraded bool // the file failed: none until the consumer has caught up
	told     bool // OnDegrade was called

	inWrite, inRead bool

	writeClosed bool
	writeErr    error // CloseWrite's
	readClosed  bool
	readErr     error // the file could not be read; readClosed is set too
}

// NewPipe returns an empty pipe.
func (s *Spool) NewPipe(o PipeOptions) *Pipe {
	if o.Memory <= 0 {
		o.Memory = 64 << 10
	}
	p := &Pipe{spool: s, opt: o}
	p.ring.spool, p.ring.max = s, max(o.Disk, 0)
	p.readable.L, p.writable.L = &p.mu, &p.mu
	return p
}

// Write copies b into the pipe, waiting while the pipe is full. After
// CloseRead it fails with io.ErrClosedPipe at once, also when it was waiting.
func (p *Pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for done := 0; ; {
		switch {
		case p.readClosed || p.writeClosed:
			return done, io.ErrClosedPipe
		case done == len(b):
			return done, nil
		case p.memoryRoomLocked() > 0:
			done += p.toMemoryLocked(b[done:])
		case p.ringRoomLocked():
			done += p.toRingLocked(b[done:])
		default:
			p.writable.Wait()
		}
	}
}

// memoryRoomLocked returns how many bytes may go to memory: none that would
// overtake those in the file.
func (p *Pipe) memoryRoomLocked() int {
	if p.ring.len > 0 {
		return 0
	}
	return p.opt.Memory - p.memLen
}

func (p *Pipe) ringRoomLocked() bool { return !p.degraded && !p.ring.full() }

// toMemoryLocked copies what fits of b.
func (p *Pipe) toMemoryLocked(b []byte) int {
	b = b[:min(len(b), p.memoryRoomLocked())]
	done := 0
	for done < len(b) {
		if len(p.mem) == 0 || p.memW == len(p.mem[len(p.mem)-1].b) {
			p.mem = append(p.mem, newChunk(min(len(b)-done, ioPiece)))
			p.memW = 0
		}
		n := copy(p.mem[len(p.mem)-1].b[p.memW:], b[done:])
		p.memW += n
		done += n
	}
	p.memLen += done
	p.readable.Signal()
	return done
}

// toRingLocked writes to the file what fits of b, without the lock. When the
// file fails the pipe is degraded, and that is told.
func (p *Pipe) toRingLocked(b []byte) int {
	n := 0
	a, err := p.ring.reserve(len(b))
	if err == nil {
		p.inWrite = true
		p.mu.Unlock()
		n, err = p.ring.write(b, a)
		p.mu.Lock()
		p.inWrite = false
		p.ring.commit(a, n)
		p.readable.Signal()
		if p.readClosed {
			p.releaseLocked()
			return n
		}
	}
	if err != nil {
		p.degraded = true
		if p.ring.len == 0 {
			p.ring.drop()
		}
		if !p.told && p.opt.OnDegrade != nil {
			p.told = true
			p.unlocked(func() { p.opt.OnDegrade(err) })
		}
	}
	return n
}

// CloseWrite says that the body has ended: complete when err is nil, else cut
// short, and the consumer sees err after the data. Only the first call counts.
func (p *Pipe) CloseWrite(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writeClosed {
		return
	}
	p.writeClosed, p.writeErr = true, err
	p.readable.Broadcast()
	p.writable.Broadcast()
}

// CloseRead says that nobody reads any more: what is in the pipe is discarded,
// the file's space given back, and the producer's Write fails from now on. It
// may be called again, and by any goroutine; a Read that waits then returns
// io.ErrClosedPipe.
func (p *Pipe) CloseRead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readClosed = true
	p.readable.Broadcast()
	p.writable.Broadcast()
	p.releaseLocked()
}

// releaseLocked gives back all that a pipe nobody reads holds, unless it is in
// use at this moment: who uses it calls again.
func (p *Pipe) releaseLocked() {
	if p.inWrite || p.inRead {
		return
	}
	for _, c := range p.mem {
		c.free()
	}
	p.mem, p.memR, p.memW, p.memLen = nil, 0, 0, 0
	p.ring.drop()
}

// Read reads into b what the pipe holds, waiting while that is nothing. At the
// end it returns io.EOF, or the error given to CloseWrite. A spool file that
// cannot be read is a *DiskError, and the rest of the body is lost.
func (p *Pipe) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.waitLocked(); err != nil {
		return 0, err
	}
	if p.memLen > 0 {
		n := copy(b, p.headLocked())
		p.consumeLocked(n)
		return n, nil
	}
	return p.fromRingLocked(b)
}

// WriteTo writes all that comes through the pipe to w. See CopyTo.
func (p *Pipe) WriteTo(w io.Writer) (int64, error) { return p.CopyTo(w, nil) }

// CopyTo writes all that comes through the pipe to w, until the end. When it has
// written something and would wait for more, it first calls caughtUp (which may
// be nil): the moment to flush to the client. An error of w, of
// caughtUp, or of CloseWrite ends it and is returned as it is; a complete body
// gives nil. The caller still has to call CloseRead.
func (p *Pipe) CopyTo(w io.Writer, caughtUp func() error) (int64, error) {
	var piece *chunk // what comes from the file goes through this
	defer func() {
		if piece != nil {
			piece.free()
		}
	}()
	total := int64(0)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if total > 0 && caughtUp != nil && p.emptyLocked() && !p.writeClosed && !p.readClosed {
			var err error
			p.unlocked(func() { err = caughtUp() })
			if err != nil {
				return total, err
			}
		}
		if err := p.waitLocked(); err == io.EOF && p.writeErr == nil {
			return total, nil
		} else if err != nil {
			return total, err
		}
		var n int
		var err error
		if p.memLen > 0 {
			n, err = p.lendLocked(w, p.headLocked())
			p.consumeLocked(n)
		} else {
			if piece == nil {
				piece = newChunk(ioPiece)
			}
			if n, err = p.fromRingLocked(piece.b); err == nil {
				n, err = p.lendLocked(w, piece.b[:n])
			}
		}
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

// lendLocked writes b to w without the lock; b stays where it is meanwhile.
func (p *Pipe) lendLocked(w io.Writer, b []byte) (n int, err error) {
	p.inRead = true
	p.mu.Unlock()
	defer func() { // deferred, as w may panic: http.ErrAbortHandler
		p.mu.Lock()
		p.inRead = false
		if p.readClosed {
			p.releaseLocked()
			if err == nil {
				err = io.ErrClosedPipe
			}
		}
	}()
	n, err = w.Write(b)
	switch {
	case n < 0 || n > len(b):
		return 0, errInvalidWrite
	case err == nil && n < len(b):
		return n, io.ErrShortWrite
	}
	return n, err
}

// unlocked calls f without the lock, and has it again also when f panics.
func (p *Pipe) unlocked(f func()) {
	p.mu.Unlock()
	defer p.mu.Lock()
	f()
}

func (p *Pipe) emptyLocked() bool { return p.memLen == 0 && p.ring.len == 0 }

// waitLocked waits until there is something to read, and returns nil; or an
// end, and returns that.
func (p *Pipe) waitLocked() error {
	for {
		switch {
		case p.readErr != nil:
			return p.readErr
		case p.readClosed:
			return io.ErrClosedPipe
		case !p.emptyLocked():
			return nil
		case p.writeErr != nil:
			return p.writeErr
		case p.writeClosed:
			return io.EOF
		}
		p.readable.Wait()
	}
}

// headLocked returns the oldest bytes in memory that lie together.
func (p *Pipe) headLocked() []byte {
	end := len(p.mem[0].b)
	if len(p.mem) == 1 {
		end = p.memW
	}
	return p.mem[0].b[p.memR:end]
}

// consumeLocked drops the n oldest bytes in memory, which lie together.
func (p *Pipe) consumeLocked(n int) {
	if p.readClosed { // all is gone already
		return
	}
	p.memR += n
	p.memLen -= n
	if p.memLen == 0 || p.memR == len(p.mem[0].b) {
		p.mem[0].free()
		p.mem = slices.Delete(p.mem, 0, 1)
		p.memR = 0
	}
	if p.emptyLocked() {
		p.degraded = false
	}
	p.writable.Signal()
}

// fromRingLocked reads from the file, without the lock. What was read leaves
// the ring, and an empty ring leaves the disk.
func (p *Pipe) fromRingLocked(b []byte) (int, error) {
	area := p.ring.oldest(len(b))
	p.inRead = true
	p.mu.Unlock()
	n, err := p.ring.read(b, area)
	p.mu.Lock()
	p.inRead = false
	if p.readClosed {
		p.releaseLocked()
		return 0, io.ErrClosedPipe
	}
	if err != nil {
		// The body has a hole, and nothing after that may be delivered: the
		// producer shall not wait for a reader that cannot go on.
		p.readErr, p.readClosed = err, true
		p.writable.Broadcast()
		p.releaseLocked()
		return 0, err
	}
	p.ring.discard(n)
	if p.ring.len == 0 && !p.inWrite {
		p.ring.drop()
		p.degraded = false
	}
	p.writable.Signal()
	return n, nil
}

var (
	_ io.Writer   = (*Pipe)(nil)
	_ io.Reader   = (*Pipe)(nil)
	_ io.WriterTo = (*Pipe)(nil)
)
