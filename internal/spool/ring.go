package spool

import (
	"io"
	"os"
)

// ring is a queue of bytes in a file without a name. The file never grows
// beyond max bytes, and what it has grown to is taken from the spool's cap.
// All but write and read, which touch only the file, need the Pipe's lock.
type ring struct {
	spool *Spool
	max   int64
	file  *os.File // made by the first write
	head  int64    // where the oldest byte is
	len   int64    // bytes in the queue
	high  int64    // the file's size at most: what is taken from the spool
}

// area is a part of the file that one system call can write or read.
type area struct {
	off, len int64
	high     int64 // the ring's high before the area was reserved
}

func (r *ring) full() bool { return r.len == r.max }

// reserve returns where the next n bytes, or as many as fit, are to be
// written. It fails with ErrFull.
func (r *ring) reserve(n int) (area, error) {
	if r.full() {
		return area{}, nil
	}
	tail := (r.head + r.len) % r.max
	a := area{off: tail, len: min(int64(n), r.max-r.len, r.max-tail), high: r.high}
	if more := a.off + a.len - r.high; more > 0 {
		if err := r.spool.take(more); err != nil {
			return area{}, err
		}
		r.high += more
	}
	return a, nil
}

// write fills the area with the start of b.
func (r *ring) write(b []byte, a area) (int, error) {
	if r.file == nil {
		f, err := r.spool.openFile()
		if err != nil {
			return 0, err
		}
		r.file = f
	}
	n, err := r.file.WriteAt(b[:a.len], a.off)
	if err != nil {
		return n, &DiskError{Op: "write", Dir: r.spool.dir, Err: err}
	}
	return n, nil
}

// commit puts the n bytes that were written to a in the queue, and gives back
// what the area had taken for those that were not.
func (r *ring) commit(a area, n int) {
	r.len += int64(n)
	high := max(a.high, a.off+int64(n))
	r.spool.give(r.high - high)
	r.high = high
}

// oldest returns where the n oldest bytes, or as many as lie together, are.
func (r *ring) oldest(n int) area {
	return area{off: r.head, len: min(int64(n), r.len, r.max-r.head)}
}

// read fills b with the area.
//
// The file is read, never handed to sendfile: that would put the very pages
// that a later write goes over into the socket's queue.
func (r *ring) read(b []byte, a area) (int, error) {
	n, err := r.file.ReadAt(b[:a.len], a.off)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // somebody cut our file
	}
	if err != nil {
		return n, &DiskError{Op: "read", Dir: r.spool.dir, Err: err}
	}
	return n, nil
}

// discard takes the n oldest bytes out of the queue.
func (r *ring) discard(n int) {
	r.head = (r.head + int64(n)) % r.max
	r.len -= int64(n)
}

// drop empties the queue and gives the file and its share of the cap back.
func (r *ring) drop() {
	if r.file != nil {
		_ = r.file.Close() // the descriptor is gone whatever it says
	}
	r.spool.give(r.high)
	*r = ring{spool: r.spool, max: r.max}
}
