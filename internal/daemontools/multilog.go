//go:build unix

package daemontools

// This file: multilog from its start to its end. multilog_script.go is what it is
// to do, multilog_lines.go does it to each line, multilog_log.go is a folder with
// a log, multilog_journal.go what a kill leaves to the next one.

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// multilog is one that runs. A goroutine of its own takes signals; all else is
// the caller's of run.
type multilog struct {
	script
	stdin   int
	stdinID fileID
	stderr  io.Writer
	pause   time.Duration // after what failed, before it is tried again

	logs  []*rotated
	files []*lastLine

	pages      pages
	progress   progress // as it was written last
	data       []byte   // what was read; from start to end it is not logged yet
	start, end int
	within     bool   // start is within a line whose beginning is logged
	selected   []bool // by log: the line at hand is for it
	line       []byte // its beginning

	terminate atomic.Bool
	alarm     atomic.Bool
	wake      [2]int // a pipe, that ends a wait for stdin
}

// diskPause is the original's.
const diskPause = 5 * time.Second

func runMultilog(args []string, stdin io.Reader, _, stderr io.Writer) int {
	m := &multilog{script: parseScript(args[1:]), stderr: stderr, pause: diskPause}
	in, ok := stdin.(*os.File)
	if !ok {
		say(stderr, "multilog: fatal: unable to read: stdin is no file")
		return exitFault
	}
	m.stdin = int(in.Fd())
	m.stdinID = streamID(m.stdin)
	unix.Umask(0o22)
	if err := unix.Pipe(m.wake[:]); err != nil {
		return fault(stderr, err, "multilog: fatal: unable to create pipe: ")
	}
	for _, fd := range m.wake {
		unix.CloseOnExec(fd)
		_ = unix.SetNonblock(fd, true) // a pipe of ours
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGALRM)
	go m.signals(signals)
	// That nobody reads its warnings is no reason to end, and so to lose what is
	// still to come. Ignored, the signal would be so by processors, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	if err := m.open(); err != nil {
		var f *fatal
		if errors.As(err, &f) {
			return fault(stderr, f.err, "multilog: fatal: ", f.what, ": ")
		}
		return fault(stderr, err, "multilog: fatal: ")
	}
	m.run()
	return 0
}

// open opens all that the script names, and takes over what was left of the
// process before.
func (m *multilog) open() error {
	start, err := openAt(unix.AT_FDCWD, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return &fatal{"unable to switch to current directory", err}
	}
	for _, name := range m.script.files {
		f, err := openLastLine(start, name, m)
		if err != nil {
			return &fatal{"unable to create " + name, err}
		}
		m.files = append(m.files, f)
	}
	for _, f := range m.folders {
		m.logs = append(m.logs, &rotated{logFolder: f, m: m, folder: -1, lock: -1, current: -1})
	}
	m.selected = make([]bool, len(m.logs))
	return m.openLogs(start)
}

// openLogs opens the logs, and the journal with the first of them.
func (m *multilog) openLogs(start int) error {
	var left *progress
	known := map[fileID]journaled{}
	for i, d := range m.logs {
		if err := d.open(start); err != nil {
			m.leaveEmpty(left)
			return err
		}
		if i == 0 && len(m.logs) <= journalMax {
			if m.pages, left = openPages(d.lock); left != nil {
				for _, l := range left.logs {
					known[l.id] = l
				}
			}
		}
		if err := d.restart(known); err != nil {
			m.leaveEmpty(left)
			return err
		}
		// By its place: in a rotation current is no more the file that is noted.
		m.selected[i] = left != nil && i < len(left.logs) && left.logs[i].selected
	}
	if m.pages.mem == nil {
		m.data = make([]byte, journalData)
		return nil
	}
	m.data = m.pages.mem[2*slotSize:]
	if left == nil {
		m.commit()
		return nil
	}
	m.takeOver(left)
	return nil
}

// leaveEmpty takes back a journal that is new.
func (m *multilog) leaveEmpty(left *progress) {
	if m.pages.mem != nil && left == nil {
		m.pages.done()
	}
}

// takeOver logs what the process before had read.
func (m *multilog) takeOver(left *progress) {
	m.start, m.end, m.within = left.start, left.end, left.within
	m.write(true) // with the new files, before anything is in them
	m.zero(m.end, len(m.data))
	m.commit()
	m.process()
	if left.stdin == (fileID{}) || left.stdin != m.stdinID {
		m.finishLine() // its rest comes from nowhere
	}
}

// streamID is which pipe or socket a descriptor is: of another kind of file
// nobody knows whether it goes on where it was.
func streamID(fd int) fileID {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return fileID{}
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFIFO && kind != unix.S_IFSOCK {
		return fileID{}
	}
	return idOf(&st)
}

// run logs stdin to its end, or to the first end of a line after SIGTERM.
func (m *multilog) run() {
	for {
		m.flush()
		m.compact()
		if m.alarm.Swap(false) {
			for _, d := range m.logs {
				if d.bytes > 0 {
					d.rotate()
				}
			}
		}
		most := len(m.data) - m.end
		if m.terminate.Load() {
			if m.start == m.end && !m.within {
				break
			}
			most = 1 // what comes after the line is for the next process
		}
		n, again := m.read(m.data[m.end:][:most])
		if n > 0 {
			m.end += n
			if !m.guarded(m.process) {
				m.leaveJournal()
			}
		} else if !again {
			if !m.guarded(m.finishLine) {
				m.leaveJournal()
			}
			m.flush()
			break
		}
	}
	for _, d := range m.logs {
		d.close()
	}
	if len(m.logs) > 0 {
		m.pages.done()
	}
}

// read waits for stdin, or a signal. again is false at the end of stdin; an
// error is that as well.
func (m *multilog) read(b []byte) (n int, again bool) {
	fds := []unix.PollFd{{Fd: int32(m.stdin), Events: unix.POLLIN}, {Fd: int32(m.wake[0]), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != nil {
			if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
				continue
			}
			return 0, false
		}
		if fds[1].Revents != 0 {
			var told [16]byte
			_, _ = unix.Read(m.wake[0], told[:]) // what was told is in the flags
			return 0, true
		}
		n, err := unix.Read(m.stdin, b)
		switch {
		case n > 0:
			return n, true
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		case errors.Is(err, unix.EFAULT) && m.pages.mem != nil:
			m.leaveJournal()
			return 0, true
		default:
			return 0, false
		}
	}
}

func (m *multilog) signals(signals <-chan os.Signal) {
	for sig := range signals {
		if sig == syscall.SIGTERM {
			m.terminate.Store(true)
		} else {
			m.alarm.Store(true)
		}
		_, _ = unix.Write(m.wake[1], []byte{1}) // a full pipe wakes as well
	}
}

// flush writes what is to be written to each log, and notes it.
func (m *multilog) flush() {
	for _, d := range m.logs {
		d.flush()
	}
	m.commit()
}

// commit notes how far all logs are.
func (m *multilog) commit() { m.write(false) }

func (m *multilog) write(settled bool) {
	if m.pages.mem == nil {
		return
	}
	p := &m.progress
	*p = progress{stdin: m.stdinID, start: m.start, end: m.end, settled: settled, within: m.within, logs: p.logs[:0]}
	for i, d := range m.logs {
		p.logs = append(p.logs, journaled{d.id, d.bytes - int64(len(d.out)), m.within && m.selected[i]})
	}
	if !m.pages.write(p) {
		m.leaveJournal()
	}
}

// compact moves what is left of the data, less than a line, to its beginning.
func (m *multilog) compact() {
	n, old := m.end-m.start, m.end
	if m.start < n || m.start == 0 {
		return // it would move onto itself; there is room enough
	}
	if !m.guarded(func() { copy(m.data, m.data[m.start:m.end]) }) {
		m.leaveJournal()
		return
	}
	m.start, m.end = 0, n
	m.write(true)
	m.zero(n, old)
	m.commit()
}

// zero clears a part of the data, by which the journal knows what is new.
func (m *multilog) zero(from, to int) {
	if !m.guarded(func() { clear(m.data[from:to]) }) {
		m.leaveJournal()
	}
}

func (m *multilog) guarded(do func()) bool {
	if m.pages.mem == nil {
		do()
		return true
	}
	return m.pages.guarded(do)
}

// leaveJournal goes on in memory alone, on a disk that has no room for pages, or
// when somebody has cut the file.
func (m *multilog) leaveJournal() {
	m.pages.mem = nil
	rest := make([]byte, journalData)
	if m.pages.guarded(func() { copy(rest, m.data[m.start:m.end]) }) {
		m.end -= m.start
	} else {
		m.say("the journal was cut: ", strconv.Itoa(m.end-m.start), " bytes of ", m.logs[0].path, " are lost")
		m.end = 0
	}
	m.data, m.start = rest, 0
	_ = unix.Ftruncate(m.logs[0].lock, 0) // it says what is not so any more
}

// say warns.
func (m *multilog) say(parts ...string) {
	say(m.stderr, "multilog: warning: ", strings.Join(parts, ""))
}

// pausing warns of what failed and will be tried again, and waits.
func (m *multilog) pausing(err error, what ...string) {
	m.say(strings.Join(what, ""), ", pausing: ", words(err))
	time.Sleep(m.pause)
}
