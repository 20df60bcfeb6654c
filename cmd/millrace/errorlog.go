package main

import (
	"io"
	"log/slog"
	"os"
	"sync"
)

// errorLog is where the error log goes: a file that can be opened anew after
// it was moved away, or a stream.
type errorLog struct {
	path string // empty: a stream, which stays

	mu sync.Mutex
	w  io.Writer
	f  *os.File
}

// openErrorLog opens path, or uses stderr if it is empty.
func openErrorLog(path string, stderr io.Writer) (*errorLog, error) {
	l := &errorLog{path: path, w: stderr}
	return l, l.reopen()
}

func (l *errorLog) reopen() error {
	if l.path == "" {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return &failure{"cannot open the error log " + l.path + ": " + cause(err).Error(), "check the folder and its rights"}
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
