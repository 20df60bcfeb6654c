package main

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"

	"millrace/internal/logfile"
)

// errorLog is where the error log goes: a file that can be opened anew after
// it was moved away, or a stream.
type errorLog struct {
	path string // empty: a stream, which stays
	open func(path string) (*os.File, error)

	mu sync.Mutex
	w  io.Writer
	f  *os.File
}

// openErrorLog opens path, or uses stderr if it is empty.
func openErrorLog(path string, stderr io.Writer) (*errorLog, error) {
	return openErrorLogBy(path, stderr, logfile.Open)
}

// openErrorLogBy is openErrorLog for a file that open opens to append to.
func openErrorLogBy(path string, stderr io.Writer, open func(path string) (*os.File, error)) (*errorLog, error) {
	l := &errorLog{path: path, w: stderr, open: open}
	return l, l.reopen()
}

func (l *errorLog) reopen() error {
	if l.path == "" {
		return nil
	}
	f, err := l.open(l.path)
	if err != nil {
		f := &failure{"cannot open the error log " + l.path + ": " + cause(err).Error(), "check the folder and its rights"}
		var refused *logfile.Error
		var hint interface{ Hint() string } // a keeper's, too
		if errors.As(err, &refused) {
			f.problem = "cannot open the error log " + l.path + ": " + refused.Why
		}
		if errors.As(err, &hint) && hint.Hint() != "" {
			f.hint = hint.Hint()
		}
		return f
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		_ = l.f.Close() // what was written is written
	}
	l.w, l.f = f, f
	return nil
}

// Write writes one record.
func (l *errorLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (l *errorLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		_ = l.f.Close() // the process ends
	}
}

func (l *errorLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
