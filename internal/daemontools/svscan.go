//go:build unix

package daemontools

import (
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	scanEvery   = 5 * time.Second
	maxServices = 1000 // without their logs
	maxLogName  = 255  // a longer name has no log
)

// scanner is svscan: the services of a folder, which it keeps itself, or for
// each of which it keeps a process supervise.
type scanner struct {
	e        *engine
	root     int // descriptor of the folder
	separate bool
	grace    time.Duration
	entries  []*entry
	stopping bool
	late     bool // the grace is over
	circle   bool // nothing is left that nobody depends on
}

// entry is one service, and its log.
type entry struct {
	dev, ino  uint64
	name      string
	active    bool // it was there at the last look
	service   keeper
	log       keeper
	hasLog    bool
	pipe      [2]int // with a log: from the service to it
	ending    bool   // the service's end was asked for
	logEnding bool   // and the log's
}

// keeper is what supervises one folder: a *service, or a process.
type keeper interface {
	// command does what a letter in supervise/control asks for.
	command(letter byte)
	// signal signals what is supervised.
	signal(signals ...unix.Signal)
}

// svscan supervises the services in a folder.
func svscan(args []string, _ io.Reader, _, stderr io.Writer) int {
	sc := &scanner{e: newEngine(stderr), grace: 8 * time.Second}
	rest := args[1:]
	for len(rest) > 0 && strings.HasPrefix(rest[0], "--") {
		value, isGrace := strings.CutPrefix(rest[0], "--grace=")
		switch {
		case rest[0] == "--separate":
			sc.separate = true
		case isGrace:
			grace, err := time.ParseDuration(value)
			if err != nil || grace < 0 {
				return usage(stderr, "svscan: usage: svscan [--separate] [--grace=8s] [dir]")
			}
			sc.grace = grace
		default:
			return usage(stderr, "svscan: usage: svscan [--separate] [--grace=8s] [dir]")
		}
		rest = rest[1:]
	}
	dir := "."
	if len(rest) > 0 {
		dir = rest[0]
	}
	if err := os.Chdir(dir); err != nil {
		return fault(stderr, err, "svscan: fatal: unable to chdir to ", dir, ": ")
	}
	var err error
	if sc.root, err = openFolder("."); err != nil {
		return fault(stderr, err, "svscan: fatal: unable to chdir to ", dir, ": ")
	}
	sc.e.lookup = sc.lookup
	sc.e.onChange = sc.changed
	signals := []os.Signal{syscall.SIGTERM, syscall.SIGINT}
	switch {
	case os.Getpid() == 1:
		signals = append(signals, forwarded()...)
	case sc.separate: // as with the original, what it started goes on without it
		signals = nil
	}
	return sc.e.run(sc.scan, signals, sc.signalled)
}

// signalled does what a signal asks for.
func (sc *scanner) signalled(sig syscall.Signal) {
	if sig == syscall.SIGTERM || sig == syscall.SIGINT {
		sc.stop()
		return
	}
	for _, en := range sc.entries {
		if en.service != nil {
			en.service.signal(unix.Signal(sig))
		}
	}
}

func (sc *scanner) warn(err error, parts ...string) {
	say(sc.e.stderr, "svscan: warning: ", strings.Join(parts, ""), words(err))
}

// enter makes the folder the working folder. It was once, but the right to may
// be gone since: then the working folder is that of a service.
func (sc *scanner) enter() error { return unix.Fchdir(sc.root) }

// scan looks for services, and again later.
func (sc *scanner) scan() {
	if sc.stopping {
		return
	}
	sc.e.after(scanEvery, sc.scan)
	for _, en := range sc.entries {
		en.active = false
	}
	err := sc.enter()
	var folder *os.File
	if err == nil {
		folder, err = os.Open(".")
	}
	if err != nil {
		sc.warn(err, "unable to read directory: ")
		return
	}
	names, err := folder.Readdirnames(-1)
	folder.Close()
	for _, name := range names {
		sc.found(name)
	}
	if err != nil {
		sc.warn(err, "unable to read directory: ")
		return
	}
	sc.entries = slices.DeleteFunc(sc.entries, func(en *entry) bool {
		if en.active || en.service != nil || en.log != nil {
			return false
		}
		en.closePipe()
		return true
	})
}

// found sees to what has a name in the folder.
func (sc *scanner) found(name string) {
	if name[0] == '.' {
		return
	}
	var st unix.Stat_t
	err := sc.enter()
	if err == nil {
		err = unix.Stat(name, &st)
	}
	if err != nil {
		sc.warn(err, "unable to stat ", name, ": ")
		return
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return
	}
	i := slices.IndexFunc(sc.entries, func(en *entry) bool { return en.ino == uint64(st.Ino) && en.dev == uint64(st.Dev) })
	if i < 0 {
		en := sc.enroll(name, &st)
		if en == nil {
			return
		}
		sc.entries = append(sc.entries, en)
		i = len(sc.entries) - 1
	}
	en := sc.entries[i]
	en.active, en.name = true, name
	if en.service == nil {
		stdout := 1
		if en.hasLog {
			stdout = en.pipe[1]
		}
		if !sc.keep(en, &en.service, name, "", 0, stdout) {
			return
		}
	}
	if en.hasLog && en.log == nil {
		sc.keep(en, &en.log, name, "log", en.pipe[0], 1)
	}
}

// enroll makes an entry; nil if that is impossible now, which it says.
func (sc *scanner) enroll(name string, st *unix.Stat_t) *entry {
	if len(sc.entries) >= maxServices {
		say(sc.e.stderr, "svscan: warning: unable to start ", name, ": running too many services")
		return nil
	}
	en := &entry{dev: uint64(st.Dev), ino: uint64(st.Ino)}
	if len(name) > maxLogName {
		return en
	}
	var log unix.Stat_t
	if err := unix.Stat(name+"/log", &log); err == unix.ENOENT {
		return en
	} else if err != nil {
		sc.warn(err, "unable to stat ", name, "/log: ")
		return nil
	}
	var err error
	if en.pipe[0], en.pipe[1], err = pipe(); err != nil {
		sc.warn(err, "unable to create pipe for ", name, ": ")
		return nil
	}
	en.hasLog = true
	return en
}

func (en *entry) closePipe() {
	if en.hasLog {
		_ = unix.Close(en.pipe[0])
		_ = unix.Close(en.pipe[1])
		en.hasLog = false
	}
}

// keep begins to supervise a folder: that of a service, or "log" in it.
func (sc *scanner) keep(en *entry, k *keeper, name, log string, stdin, stdout int) bool {
	if sc.separate {
		return sc.keepApart(k, name, log, stdin, stdout)
	}
	if err := sc.enter(); err != nil {
		sc.warn(err, "unable to switch to ", name, ": ")
		return false
	}
	dir, label := name, name
	if log != "" {
		dir, label = name+"/"+log, log // which is what the original calls it
	}
	s := sc.e.openService(dir, label, stdin, stdout, func() {
		*k = nil
		sc.changed()
	})
	if s == nil {
		return true // it said so; and again at the next look
	}
	*k = s
	s.log = log != ""
	if !s.log {
		s.name = name
		sc.takePipe(en, s, 1)
	} else {
		sc.takePipe(en, s, 0)
		s.depends, s.needs = nil, nil
	}
	sc.e.after(0, s.step)
	return true
}

// takePipe takes back the pipe of what was adopted, whose descriptor fd leads
// to it: without, what is written to it would get lost, or end who writes. The
// log is asked last, which is right where the two do not agree: what a service
// prints it may have sent through a pipe of its own.
func (sc *scanner) takePipe(en *entry, s *service, fd int) {
	if !s.adopted || !en.hasLog {
		return
	}
	read, err := endOfPipe(s.pid, fd, unix.O_RDONLY)
	if err != nil {
		return
	}
	write, err := endOfPipe(s.pid, fd, unix.O_WRONLY)
	if err != nil {
		_ = unix.Close(read)
		return
	}
	en.closePipe()
	en.pipe, en.hasLog = [2]int{read, write}, true
	if fd == 1 {
		s.stdout = write
		return
	}
	s.stdin = read
	if other, ok := en.service.(*service); ok {
		other.stdout = write
	}
}

// lookup is the service of a name.
func (sc *scanner) lookup(name string) *service {
	for _, en := range sc.entries {
		if s, ok := en.service.(*service); ok && en.name == name {
			return s
		}
	}
	return nil
}

// changed goes on with what waited for another service.
func (sc *scanner) changed() {
	for _, en := range sc.entries {
		if s, ok := en.service.(*service); ok && s.waiting {
			sc.e.after(0, s.step)
		}
	}
	if sc.stopping {
		sc.e.after(0, sc.stopNext)
	}
}
