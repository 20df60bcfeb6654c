//go:build unix

package daemontools

// This file: what multilog does to each line.

import (
	"bytes"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lineHead is how much of a line is looked at, its time included. What comes
	// after that is copied.
	lineHead = 1000

	alertHead = 200 // what goes to stderr

	// nearEnd is how near to its size a log is big enough at the end of a line.
	nearEnd = 2000

	// mostPending is how much is kept before it is written.
	mostPending = 256 << 10
)

// process logs what is in the data, but for a beginning of a line that is
// shorter than a head.
func (m *multilog) process() {
	for m.start < m.end {
		if m.within {
			m.copyRest()
			continue
		}
		most := lineHead
		if m.stamp {
			most -= stampLength + 1
		}
		rest := m.data[m.start:m.end]
		switch at := bytes.IndexByte(rest[:min(len(rest), most+1)], '\n'); {
		case at >= 0:
			m.head(rest[:at], at+1, true)
		case len(rest) >= most:
			m.head(rest[:most], most, false)
		default:
			return
		}
	}
}

// finishLine ends a line that has no end.
func (m *multilog) finishLine() {
	switch {
	case m.within:
		for i, d := range m.logs {
			if m.selected[i] {
				d.add([]byte{'\n'})
			}
		}
		m.within = false
		m.endLine()
	case m.start < m.end:
		m.head(m.data[m.start:m.end], m.end-m.start, true)
	}
}

// head takes a line, or the beginning of a long one, that is so many bytes of
// the data.
func (m *multilog) head(text []byte, taken int, whole bool) {
	line := m.line[:0]
	if m.stamp {
		line = append(appendStamp(line, time.Now()), ' ')
	}
	line = append(line, text...)
	m.line = line
	clear(m.selected)
	selected := true
	for i := range m.actions {
		a := &m.actions[i]
		switch {
		case a.kind == '+':
			selected = selected || matches(a.pattern, line)
		case !selected:
		case a.kind == '-':
			selected = !matches(a.pattern, line)
		case a.kind == 'e':
			m.alert(line)
		case a.kind == '=':
			m.files[a.index].set(line)
		default:
			m.selected[a.index] = true
		}
	}
	if whole {
		line = append(line, '\n')
		m.line = line
	}
	// A head is in one file whole: the journal cannot part it.
	for i, d := range m.logs {
		if m.selected[i] && d.bytes > 0 && d.bytes+int64(len(line)) > d.size {
			m.rotate(d)
		}
	}
	for i, d := range m.logs {
		if m.selected[i] {
			d.add(line)
		}
	}
	m.start = min(m.start+taken, m.end) // the end is another if the journal was left with a loss
	if m.within = !whole; whole {
		m.endLine()
	}
}

// copyRest copies what there is of a long line after its head.
func (m *multilog) copyRest() {
	rest := m.data[m.start:m.end]
	if at := bytes.IndexByte(rest, '\n'); at >= 0 {
		rest = rest[:at+1]
	}
	for i, d := range m.logs {
		if !m.selected[i] {
			continue
		}
		if d.bytes >= d.size {
			m.rotate(d)
		}
		rest = rest[:min(int64(len(rest)), d.size-d.bytes)]
	}
	for i, d := range m.logs {
		if m.selected[i] {
			d.add(rest)
		}
	}
	m.start += len(rest)
	if rest[len(rest)-1] == '\n' {
		m.within = false
		m.endLine()
	}
}

// endLine begins another file where a log is big enough.
func (m *multilog) endLine() {
	for i, d := range m.logs {
		if m.selected[i] && d.bytes >= d.size-nearEnd {
			m.rotate(d)
		}
	}
}

// rotate begins another file. All logs are written first, so that the journal
// can say where they are.
func (m *multilog) rotate(d *rotated) {
	m.flush()
	d.rotate()
}

// add takes bytes to be written.
func (d *rotated) add(b []byte) {
	d.out = append(d.out, b...)
	d.bytes += int64(len(b))
	if len(d.out) >= mostPending {
		d.flush()
	}
}

// alert writes the beginning of a line to stderr.
func (m *multilog) alert(line []byte) {
	b := append([]byte(nil), line[:min(len(line), alertHead)]...)
	if len(line) > alertHead {
		b = append(b, "..."...)
	}
	_, _ = m.stderr.Write(append(b, '\n')) // as the original, which has nobody to tell either
}

// lastLine is a file that holds the last line.
type lastLine struct {
	m    *multilog
	fd   int
	name string
}

func openLastLine(start int, name string, m *multilog) (*lastLine, error) {
	fd, err := openAt(start, name, unix.O_WRONLY|unix.O_CREAT, 0o600)
	return &lastLine{m, fd, name}, err
}

// set replaces the content.
func (f *lastLine) set(line []byte) {
	var b [lineHead + 1]byte
	for i := copy(b[:], line); i < len(b); i++ {
		b[i] = '\n'
	}
	for at := 0; at < len(b); {
		n, err := unix.Pwrite(f.fd, b[at:], int64(at))
		switch {
		case n > 0:
			at += n
		case errors.Is(err, unix.ESPIPE): // a FIFO or a terminal
			if n, err = unix.Write(f.fd, b[at:]); n > 0 {
				at += n
				continue
			}
			fallthrough
		default:
			if err == nil {
				err = unix.EIO
			}
			f.m.pausing(err, "unable to write ", f.name)
		}
	}
}
