//go:build unix

package daemontools

// This file: tai64n and tai64nlocal, which copy lines.

import (
	"bufio"
	"io"
	"time"
)

// copyBuffer is how much they hold; what they have is written before they wait
// for more.
const copyBuffer = 64 << 10

// lazy flushes w before each Read of r, which may wait.
type lazy struct {
	r io.Reader
	w *bufio.Writer
}

func (l *lazy) Read(b []byte) (int, error) {
	if err := l.w.Flush(); err != nil {
		return 0, err
	}
	return l.r.Read(b)
}

// copyLines has each read all that there is, and write it.
func copyLines(stdin io.Reader, stdout io.Writer, each func(r *bufio.Reader, w *bufio.Writer) error) int {
	w := bufio.NewWriterSize(stdout, copyBuffer)
	err := each(bufio.NewReaderSize(&lazy{stdin, w}, copyBuffer), w)
	if flushed := w.Flush(); err == io.EOF {
		err = flushed
	}
	if err != nil {
		return exitFault // in silence, as the original
	}
	return 0
}

func runTai64n(_ []string, stdin io.Reader, stdout, _ io.Writer) int {
	return copyLines(stdin, stdout, func(r *bufio.Reader, w *bufio.Writer) error {
		var stamp []byte
		for within := false; ; {
			line, err := r.ReadSlice('\n')
			if len(line) > 0 && !within {
				stamp = append(appendStamp(stamp[:0], time.Now()), ' ')
				_, _ = w.Write(stamp) // the next Write or Flush fails too
			}
			if _, failed := w.Write(line); failed != nil {
				return failed
			}
			if within = err == bufio.ErrBufferFull; err != nil && !within {
				return err
			}
		}
	})
}

func runTai64nlocal(_ []string, stdin io.Reader, stdout, _ io.Writer) int {
	return copyLines(stdin, stdout, func(r *bufio.Reader, w *bufio.Writer) error {
		return copyLocal(r, w, time.Local)
	})
}

// copyLocal copies lines with the labels at their beginnings readable. It
// returns what r ends with, or why w does not take it. A label that the input
// ends in is left out, as the original does; one of no year there is stays as
// it is, where the original crashes.
func copyLocal(r *bufio.Reader, w *bufio.Writer, zone *time.Location) error {
	var out []byte
	for within := false; ; {
		if !within {
			first, err := r.ReadByte()
			if err != nil {
				return err
			}
			if first == '@' {
				out, err = appendLabel(out[:0], r, zone)
				if err != nil {
					return err
				}
				if _, err := w.Write(out); err != nil {
					return err
				}
			} else if err := r.UnreadByte(); err != nil {
				return err
			}
		}
		line, err := r.ReadSlice('\n')
		if _, failed := w.Write(line); failed != nil {
			return failed
		}
		if within = err == bufio.ErrBufferFull; err != nil && !within {
			return err
		}
	}
}

// mostDigits is how many digits of a label that cannot be read are kept: more
// have no meaning.
const mostDigits = 4096

// appendLabel appends what stands after an '@', readable if it can be.
func appendLabel(b []byte, r *bufio.Reader, zone *time.Location) ([]byte, error) {
	var l label
	start := len(b)
	b = append(b, '@')
	for {
		c, err := r.ReadByte()
		if err != nil {
			return b, err
		}
		if !l.add(c) {
			if err := r.UnreadByte(); err != nil {
				return b, err
			}
			break
		}
		if len(b)-start < mostDigits {
			b = append(b, c)
		}
	}
	if local, ok := l.appendLocal(b[:start:start], zone); ok {
		return append(b[:start], local[start:]...), nil
	}
	return b, nil
}
