// Package spool keeps bodies that are on their way: in memory while they are
// small, in a file when they are not, and never more on disk in all than a
// cap allows.
//
// A Spool is a folder and that cap. It gives out two kinds of store:
//
//   - A Buffer is a body collected whole before anything is done with it: a
//     request's, so that a slow client never holds a worker. It is in memory
//     up to a bound, which may rise while there is memory to lend; the first
//     byte beyond it moves everything to one file, which can be handed on as a
//     descriptor.
//   - A Pipe is a body under way from a fast producer to a slow consumer: a
//     response, so that a worker leaves at its own speed. It holds a bounded
//     number of bytes in memory, then a bounded number in a file, then the
//     producer waits.
//
// A file has no name: it is gone when its last descriptor is closed, whatever
// becomes of the process. (Where the system cannot create a file without a
// name, the name lives for as long as it takes to remove it.) Files are made
// when the first byte needs them, readable by their owner alone.
//
// Memory comes from pools by size and goes back to them; a slice that Bytes
// returned must not be used after Close.
//
// The package counts bytes, not files: who limits the number of bodies limits
// the number of descriptors, one a body at most. It does not survive a
// restart, and syncs nothing to disk.
package spool

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// ErrFull says that all bodies on disk together have reached the spool's cap.
// It comes wrapped, with the folder and the cap.
var ErrFull = errors.New("the spool is full")

// A reader or a writer broke the contract of its interface.
var (
	errInvalidRead  = errors.New("spool: reader returned an impossible count")
	errInvalidWrite = errors.New("spool: writer returned an impossible count")
)

// DiskError is a failure of the disk under the spool: no space, no rights,
// a defect.
type DiskError struct {
	Op  string // "create", "write" or "read"
	Dir string // the spool's folder
	Err error  // the system's error: syscall.ENOSPC and so on, wrapped
}

func (e *DiskError) Error() string {
	return fmt.Sprintf("cannot %s spool file in %s: %v: make room there, or set another folder for the spool", e.Op, e.Dir, e.Err)
}

func (e *DiskError) Unwrap() error { return e.Err }

// Spool is a folder for bodies with a cap on all of them together. Its
// methods may be called from any goroutine.
type Spool struct {
	dir    string
	max    int64
	used   atomic.Int64
	memory atomic.Int64 // lent to Buffers
}

const (
	bodyMost = 256 << 10 // bytes in memory of one body that borrows
	lendable = 32 << 20  // bytes that a Spool lends in all
)

// New returns a spool in the folder dir that holds at most max bytes on disk;
// with a max of zero or less nothing goes to disk. Nothing is created until a
// body needs it: a folder that is missing shows then, as a *DiskError.
func New(dir string, max int64) *Spool { return &Spool{dir: dir, max: max} }

// Dir returns the spool's folder.
func (s *Spool) Dir() string { return s.dir }

// Max returns the cap on all bodies on disk together, in bytes.
func (s *Spool) Max() int64 { return s.max }

// Used returns the bytes that bodies take on disk now.
func (s *Spool) Used() int64 { return s.used.Load() }

// take reserves n bytes of the cap, or none.
func (s *Spool) take(n int64) error {
	for {
		used := s.used.Load()
		if n > s.max-used {
			return fmt.Errorf("%w: bodies in %s have reached %d bytes in all", ErrFull, s.dir, s.max)
		}
		if s.used.CompareAndSwap(used, used+n) {
			return nil
		}
	}
}

// give returns n bytes that take reserved.
func (s *Spool) give(n int64) { s.used.Add(-n) }

// lend reserves n bytes of the memory for larger bodies, or none.
func (s *Spool) lend(n int) bool {
	if s.memory.Add(int64(n)) <= lendable {
		return true
	}
	s.memory.Add(-int64(n))
	return false
}

// repay returns n bytes that lend reserved.
func (s *Spool) repay(n int) { s.memory.Add(-int64(n)) }

// openFile creates a file without a name in the spool's folder, for reading
// and writing, with rights for its owner alone. Each system has its own way.
func (s *Spool) openFile() (*os.File, error) {
	f, err := createUnnamed(s.dir)
	if err != nil {
		return nil, &DiskError{Op: "create", Dir: s.dir, Err: err}
	}
	return f, nil
}
