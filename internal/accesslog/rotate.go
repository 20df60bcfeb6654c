package accesslog

import (
	"fmt"
	"io"
	"log/slog"
	"os"
)

// Rotation says when a file is rotated: renamed, and begun anew. The zero value
// never does.
type Rotation struct {
	// MaxSize is how many bytes the file may have; the lines that are written
	// together with the one that reaches it are still in it. 0: any number.
	MaxSize int64

	// Rename renames the file, and those that it was before: logfile.Rotate.
	Rename func(path string) error
}

// SetRotation has the log rotate its file from now on. One that is no file, as
// the standard output, is never rotated.
func (l *Log) SetRotation(r Rotation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path != "" {
		l.rotation = r
	}
}

func (r *Rotation) due(size int64) bool { return r.MaxSize > 0 && size >= r.MaxSize }

// rotate renames the file and opens another. The caller has acquired the right
// to write and does not hold the lock: lines that come meanwhile are pending. A
// file that cannot be renamed is written on, and tried again when it has grown
// by as much.
func (l *Log) rotate(r Rotation) {
	err := r.Rename(l.path)
	var next *os.File
	if err == nil {
		next, err = l.open(l.path)
	}
	if err != nil {
		l.size = 0
		l.report(slog.LevelError, "cannot rotate access log: the file is written on; give the right to write in its folder", "err", err)
		return
	}
	old := l.w.(io.Closer)
	l.w, l.torn, l.size = next, false, sizeOf(next)
	if err := old.Close(); err != nil {
		l.report(slog.LevelError, "cannot close the old access log", "err", fmt.Sprint(err))
	}
}

// sizeOf is a file's size; of what is none it stays small.
func sizeOf(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return -1 << 62
	}
	return info.Size()
}
