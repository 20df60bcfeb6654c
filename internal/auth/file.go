package auth

// This file: a file of users that is read anew when it changes.

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// fileAge is how old what is known of a file may be: it is looked at by the
// first request after that, and by nobody while there are no requests.
const fileAge = time.Second

// File is a file of users, as htpasswd writes it. Its methods may be called from
// any goroutine.
//
// When the file changes, its users are those of the lines that can be used; the
// others are told to the log. While it cannot be read, who was in it last stays:
// an editor replaces a file by two steps.
type File struct {
	path string
	log  *slog.Logger
	now  func() time.Time

	users atomic.Pointer[table]
	next  atomic.Int64 // when it is looked at again, in Unix nanoseconds

	mu     sync.Mutex // held by who looks
	seen   seen
	unread bool // it could not be read, and that was told
}

// CheckFile says why OpenFile would refuse a file; nil if it would not.
func CheckFile(path string) error {
	_, err := OpenFile(path, nil)
	return err
}

// OpenFile reads a file for the first time: an error of it, or of any of its
// lines, is returned. log is told what is wrong later on.
func OpenFile(path string, log *slog.Logger) (*File, error) {
	f := &File{path: path, log: log, now: time.Now}
	text, info, err := read(path)
	if err != nil {
		return nil, err
	}
	t, bad := parseFile(path, text)
	if len(bad) > 0 {
		return nil, bad[0]
	}
	f.users.Store(t)
	f.seen = seen{info, sha256.Sum256(text), f.now()}
	f.next.Store(f.now().Add(fileAge).UnixNano())
	return f, nil
}

// table returns the users of now, or of at most fileAge ago.
func (f *File) table() *table {
	now := f.now().UnixNano()
	if now >= f.next.Load() && f.mu.TryLock() { // one looks, the others go on with what there is
		f.look()
		f.next.Store(f.now().Add(fileAge).UnixNano())
		f.mu.Unlock()
	}
	return f.users.Load()
}

func (f *File) look() {
	info, err := os.Stat(f.path)
	if err == nil && f.seen.is(info) {
		f.unread = false
		return
	}
	var text []byte
	if err == nil {
		text, info, err = read(f.path)
	}
	if err != nil {
		if !f.unread {
			f.log.Error("cannot read the file of users anew; those who were in it stay", "file", f.path, "error", err)
		}
		f.unread = true
		return
	}
	f.unread = false
	before := f.seen
	f.seen = seen{info, sha256.Sum256(text), f.now()}
	if f.seen.sum == before.sum {
		return
	}
	t, bad := parseFile(f.path, text)
	for _, b := range bad {
		f.log.Error("a line of the file of users is not used", "error", b)
	}
	f.users.Store(t)
	f.log.Info("the file of users has changed", "file", f.path, "users", len(t.users))
}

// seen is what a file was when it was read.
type seen struct {
	info fs.FileInfo
	sum  [sha256.Size]byte
	at   time.Time
}

// coarse is what a file system's clock may be behind.
const coarse = 2 * time.Second

// is reports whether a file is the one that was read. One that was written just
// before may have been written again without a sign of it, where a file system
// counts time in large steps.
func (s *seen) is(now fs.FileInfo) bool {
	return os.SameFile(now, s.info) && now.Size() == s.info.Size() && now.ModTime().Equal(s.info.ModTime()) &&
		s.at.Sub(s.info.ModTime()) > coarse
}

// read reads a file whole.
func read(path string) ([]byte, fs.FileInfo, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s: %w", path, errNotRegular)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: %w", path, errTooLong)
	}
	return text, info, err
}

var (
	errNotRegular = errors.New("it is no file")
	errTooLong    = fmt.Errorf("it is longer than %d MiB", maxFile>>20)
)
