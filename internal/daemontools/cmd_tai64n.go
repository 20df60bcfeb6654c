//go:build unix

package daemontools

// This file: tai64n and tai64nlocal, which copy lines.

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
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
		return copyLocal(r, w, localZone())
	})
}

// localZone is the zone of $TZ: also one that is told by its rules, of which
// package time does not read $TZ.
func localZone() *time.Location {
	name := strings.TrimPrefix(os.Getenv("TZ"), ":")
	if name == "" || filepath.IsAbs(name) || strings.Contains(name, "\n") {
		return time.Local
	}
	if _, err := time.LoadLocation(name); err == nil {
		return time.Local
	}
	zone, err := time.LoadLocationFromTZData(name, zoneFile(name))
	if err != nil {
		return time.Local
	}
	return zone
}

// zoneFile is a file of the zone that rules tell (RFC 9636, POSIX's TZ): UTC
// where they are none.
func zoneFile(rules string) []byte {
	// Version 2, and counts: of its types of time, 1, and of the letters of their
	// names, 4; of all else none. The type is no offset, no summer time, the name at 0.
	const block = "TZif2" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x01" + "\x00\x00\x00\x04" +
		"\x00\x00\x00\x00\x00\x00" + "UTC\x00"
	return []byte(block + block + "\n" + rules + "\n") // with times of 32 bits, and of 64
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
