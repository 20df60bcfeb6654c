// Package accesslog writes one line for each request, in Apache's combined
// format, which every log analyser reads, with the request's id as one more
// field at the end:
//
//	%h - %u [%t] "%r" %>s %b "%{Referer}i" "%{User-Agent}i" "%{X-Request-ID}i"
//
//	127.0.0.1 - - [03/Feb/2020:04:05:06 +0000] "GET / HTTP/1.1" 200 1234 "-" "curl/8.5.0" "q3v9k0c2ya0000000001"
//
// Wrap puts a Log around an http.Handler. When the handler returns (or
// panics) the line is made and put in a buffer; a request never waits for the
// file. The buffer is written when it has grown, at the latest a second after
// its first line, and by Flush, Reopen and Close; while no request comes,
// nothing runs.
//
// A Format other than the combined one is given to WrapAs: the same line behind
// the site's name, a JSON object, or whatever a text with placeholders says. A
// file that has grown to a size is rotated: see Rotation.
//
// If what is written to stops taking lines, they are kept up to a bound, and
// beyond it counted instead; an error is reported once, to ErrorLog, and so
// are the lines that were lost when it works again.
//
// What a client sent is escaped as Apache does, so that no request can forge
// a line or move a terminal's cursor. The fields:
//
//   - %h is the peer's address, "-" for a Unix socket;
//   - %u is the user that the client has proved to be to this server; whom it
//     merely names may be anyone;
//   - %t is when the request's head had been read;
//   - %>s is 499 when the client was gone before the response began (but for
//     400, 408 and 413, which answer a body that failed), and "-" when the
//     handler panicked before it did;
//   - %b is the body's bytes that the server took to send, without headers.
//
// A connection that a handler takes over (Hijack) is not followed: such a
// handler's line has the status that it set, or 200, and the bytes that it says
// itself, to the ResponseWriter's method Carried, which Unwrap leads to.
package accesslog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"millrace/internal/logfile"
)

const (
	flushAt    = 64 << 10 // bytes in the buffer that are worth a write
	flushAfter = time.Second
	maxPending = 4 << 20 // bytes kept while the writer does not take them
)

// Log is an access log. Its methods may be called from any goroutine.
type Log struct {
	// ErrorLog is told, once each time, that lines cannot be written and that
	// they can again. It is set before use; nil: nobody is told.
	ErrorLog *slog.Logger

	path  string // of the file, to reopen it; "": not a file of ours
	open  func(path string) (*os.File, error)
	stamp atomic.Pointer[stamp]

	mu      sync.Mutex
	idle    sync.Cond // nobody is writing
	pending []byte    // lines to be written
	spare   []byte    // the other buffer, empty
	timer   *time.Timer
	armed   bool   // the timer will fire
	hurried bool   // at once
	writing bool   // somebody has taken pending and writes it without the lock
	lost    uint64 // lines since the last report
	closed  bool

	toldClosed bool // that a line came after Close

	rotation Rotation

	// For whoever has set writing.
	w      io.Writer
	failed bool  // the last write did, and it was reported
	torn   bool  // it ended inside a line
	size   int64 // of the file, as far as it is known
}

// New returns a log that writes to w. Close does not close w.
func New(w io.Writer) *Log {
	l := &Log{w: w}
	l.idle.L = &l.mu
	return l
}

// Open returns a log that appends to the file path, which is created if need
// be, readable by its owner and group; "-" is the standard output.
func Open(path string) (*Log, error) {
	return OpenBy(path, logfile.Open)
}

// OpenBy is Open for a file that open opens to append to, also when it is
// reopened.
func OpenBy(path string, open func(path string) (*os.File, error)) (*Log, error) {
	if path == "-" {
		return New(os.Stdout), nil
	}
	f, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open access log: %w", err)
	}
	l := New(f)
	l.path, l.open, l.size = path, open, sizeOf(f)
	return l, nil
}

// ErrNotWritten is Write's error for an entry that the log does not take: it
// is closed, or its file takes no more.
var ErrNotWritten = errors.New("the log is closed, or its file takes no more")

// Write puts an entry of another kind than Wrap's in the log: whole, in its
// place among the lines.
func (l *Log) Write(entry []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.pending)+len(entry) > maxPending {
		return 0, ErrNotWritten
	}
	l.appendLocked(entry)
	return len(entry), nil
}

// add puts a line in the buffer.
func (l *Log) add(line []byte) {
	l.mu.Lock()
	if l.closed || len(l.pending)+len(line) > maxPending {
		l.lost++
		tell := l.closed && !l.toldClosed
		l.toldClosed = l.closed
		l.mu.Unlock()
		if tell {
			l.report(slog.LevelError, "access log is closed: requests are not logged any more")
		}
		return
	}
	defer l.mu.Unlock()
	l.appendLocked(line)
}

func (l *Log) appendLocked(line []byte) {
	l.pending = append(l.pending, line...)
	hurry := len(l.pending) >= flushAt && !l.hurried
	if l.armed && !hurry {
		return
	}
	l.armed, l.hurried = true, hurry
	wait := flushAfter
	if hurry {
		wait = 0
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(wait, l.tick)
	} else {
		l.timer.Reset(wait)
	}
}

// tick writes what is pending, in the timer's goroutine.
func (l *Log) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.acquireLocked()
		_ = l.writeLocked() // reported
		l.releaseLocked()
	}
}

// acquireLocked waits for the right to write.
func (l *Log) acquireLocked() {
	for l.writing {
		l.idle.Wait()
	}
	l.writing = true
}

func (l *Log) releaseLocked() {
	l.writing = false
	l.idle.Signal()
}

// writeLocked writes what is pending, without the lock. The caller has
// acquired the right to.
func (l *Log) writeLocked() error {
	l.armed, l.hurried = false, false
	if len(l.pending) == 0 {
		return nil
	}
	lines, rotation := l.pending, l.rotation
	l.pending, l.spare = l.spare[:0], nil
	l.mu.Unlock()
	err := l.write(lines)
	if err == nil && rotation.due(l.size) {
		l.rotate(rotation)
	}
	l.mu.Lock()
	if cap(lines) <= 4*flushAt { // one that grew in a bad time is not kept
		l.spare = lines[:0]
	}
	failed, lost := l.failed, l.lost
	l.failed = err != nil
	if err == nil {
		l.lost = 0
	}
	l.mu.Unlock()
	defer l.mu.Lock()
	switch {
	case err != nil && !failed:
		l.report(slog.LevelError, "cannot write access log: requests go on, their lines are lost; make room or give the right to write", "err", err)
	case err == nil && (failed || lost > 0):
		l.report(slog.LevelWarn, "access log is written again", "lines_lost", lost)
	}
	return err
}

// write writes lines; those that are not taken are lost.
func (l *Log) write(lines []byte) error {
	if l.torn { // what follows shall not continue half a line
		if _, err := l.w.Write([]byte{'\n'}); err != nil {
			l.countLost(lines)
			return err
		}
		l.torn = false
	}
	n, err := l.w.Write(lines)
	l.size += int64(max(n, 0))
	if err == nil && n < len(lines) {
		err = io.ErrShortWrite
	}
	if err != nil {
		n = min(max(n, 0), len(lines))
		l.torn = n > 0 && lines[n-1] != '\n'
		l.countLost(lines[n:])
	}
	return err
}

func (l *Log) countLost(lines []byte) {
	n := uint64(0)
	for _, c := range lines {
		if c == '\n' {
			n++
		}
	}
	l.mu.Lock()
	l.lost += n
	l.mu.Unlock()
}

func (l *Log) report(level slog.Level, what string, args ...any) {
	if l.ErrorLog == nil {
		return
	}
	if l.path != "" {
		args = append(args, "file", l.path)
	}
	l.ErrorLog.Log(context.Background(), level, what, args...)
}

// Flush writes all lines so far. It waits for a write that is under way.
func (l *Log) Flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.acquireLocked()
	defer l.releaseLocked()
	return l.writeLocked()
}

// Reopen writes all lines so far, then opens the file anew by its name: to be
// called when the old one was renamed. If that fails the old one is used on.
// A log that Open did not open as a file is only flushed.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	l.acquireLocked()
	defer l.releaseLocked()
	err := l.writeLocked()
	if l.path == "" {
		return err
	}
	l.mu.Unlock()
	next, openErr := l.open(l.path)
	l.mu.Lock()
	if openErr != nil {
		return openErr
	}
	old := l.w.(io.Closer)
	l.w, l.torn, l.size = next, false, sizeOf(next)
	// A failed write was to the old file, and is reported.
	if err := old.Close(); err != nil {
		return fmt.Errorf("cannot close the old access log: %w", err)
	}
	return nil
}

// Close writes all lines so far and closes the file, if Open opened one. Lines
// of requests that end later are lost: the server is to be drained before.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.acquireLocked()
	defer l.releaseLocked()
	err := l.writeLocked()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	if l.path != "" {
		err = errors.Join(err, l.w.(io.Closer).Close())
	}
	return err
}
