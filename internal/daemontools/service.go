//go:build unix

package daemontools

import (
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/supervise"
)

const (
	// pause is the least time between two starts, and for as long after a
	// start the original does not look whether the service has ended: svstat
	// says "up" of one that ends at once. So does ours.
	pause = time.Second

	// forkPause is how long nothing is started after the system had no room
	// for a process.
	forkPause = time.Minute

	// patience is how many failures in a row are answered by the pause alone.
	patience = 10
)

// wish is what is wanted of a service.
type wish byte

const (
	wantUp   wish = 'u'
	wantDown wish = 'd'
	wantOnce wish = 0 // what runs may end, and is not started again
)

// service is one folder that is supervised. It is the engine's.
type service struct {
	e     *engine
	label string // how messages name the folder
	name  string // how others depend on it; "": nobody can
	log   bool   // it is a log, whose end comes with that of what it reads

	dir, lock, ok int // descriptors: the folder, supervise/lock, supervise/ok
	pipe          int // too, or -1: see drain
	control       *os.File
	stdin, stdout int // what it runs with

	status  Status
	pid     int    // of run; 0: down
	birth   string // see birthOf
	adopted bool   // run is no child of ours
	want    wish
	starts  bool // it is to be started once more, whatever is wanted
	exiting bool // supervision ends when it is down
	drains  bool // it is started once more before that
	paused  bool

	started time.Time           // the last start
	next    time.Time           // no start before
	ended   *syscall.WaitStatus // run has ended, and the pause is not over
	endedAt time.Time
	unknown bool        // nobody knows how
	timer   *time.Timer // for the next start
	closed  func()      // told when supervision has ended

	failures int
	backoff  supervise.Backoff

	finishing int      // process of finish; 0: none
	failed    bool     // finish said that there is no use
	last      *exit    // how run ended last
	ready     ready    // see ready.go
	depends   []string // services that are to be ready first; nil: none, or no longer
	needs     []string // the same, for as long as it is supervised
	waiting   bool     // for one of them
	circle    bool     // it was said that they depend on each other
	cgroup    *cgroup  // nil: none

	noCgroupSaid bool
	sweeping     bool // what run left behind is being killed

	details string // as they were written last
}

// exit is how run ended.
type exit struct {
	Code   int // its status; -1: a signal ended it, or nobody knows
	Signal int
	Time   time.Time
}

// openService takes the service in a folder, dir from the working folder, and
// begins to supervise it. If it can't, it says so and returns nil.
func (e *engine) openService(dir, label string, stdin, stdout int, closed func()) *service {
	s := &service{
		e: e, label: label, dir: -1, lock: -1, ok: -1, pipe: -1, stdin: stdin, stdout: stdout, want: wantUp, closed: closed,
		backoff: supervise.Backoff{First: 2 * time.Second, Limit: time.Minute, Factor: 2},
	}
	if what, err := s.open(dir); err != nil {
		say(e.stderr, "supervise: fatal: unable to ", strings.ReplaceAll(what, "DIR", label), ": ", words(err))
		s.release()
		return nil
	}
	return s
}

// open takes the folder. What it could not do is in the original's words, with
// DIR for the folder.
func (s *service) open(dir string) (what string, err error) {
	if s.dir, err = openFolder(dir); err != nil {
		return "chdir to DIR", err
	}
	if err = unix.Fchdir(s.dir); err != nil {
		return "chdir to DIR", err
	}
	var st unix.Stat_t
	if err = unix.Stat("down", &st); err == nil {
		s.want = wantDown
	} else if err != unix.ENOENT {
		return "stat DIR/down", err
	}
	if what, err := makeFolder(); err != nil {
		return what, err
	}
	if s.lock, err = unix.Open("supervise/lock", unix.O_WRONLY|unix.O_NONBLOCK|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC, 0o600); err != nil {
		return "acquire DIR/supervise/lock", err
	}
	if err = unix.Flock(s.lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return "acquire DIR/supervise/lock", err
	}
	if what, err := s.openControl(); err != nil {
		return what, err
	}
	if !s.adopt() {
		s.pidChanged(0, time.Now())
	}
	s.takeCgroup()
	_ = unix.Mkfifo("supervise/ok", 0o600)
	if s.ok, err = unix.Open("supervise/ok", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		return "read DIR/supervise/ok", err
	}
	s.needs = s.readDepends()
	s.depends = s.needs
	go s.listen(s.control)
	return "", nil
}

// makeFolder makes the folder supervise. It may be a link to where one can be
// made, as on a system whose services are on a disk that cannot be written.
func makeFolder() (what string, err error) {
	if unix.Mkdir("supervise", 0o700) != unix.EEXIST {
		return "", nil // or the lock will say why
	}
	var target [1024]byte
	n, err := unix.Readlink("supervise", target[:])
	if err == unix.EINVAL {
		return "", nil // it is a folder
	}
	if err != nil {
		return "readlink ./supervise", err
	}
	_ = unix.Mkdir(string(target[:n]), 0o700)
	return "", nil
}

// openControl opens the FIFO that commands come by, for reading, and for
// writing too, so that it has no end when nobody else has it open.
func (s *service) openControl() (what string, err error) {
	const control = "supervise/control"
	_ = unix.Mkfifo(control, 0o600)
	fd, err := unix.Open(control, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		if fd, failed := unix.Open(control, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); failed != nil {
			return "read DIR/" + control, failed
		} else {
			_ = unix.Close(fd)
		}
		return "write DIR/" + control, err
	}
	s.control = os.NewFile(uintptr(fd), control)
	return "", nil
}

// listen reads commands until the FIFO is closed. It runs beside the engine.
func (s *service) listen(control *os.File) {
	var b [maxCommands]byte
	for {
		n, err := control.Read(b[:])
		if n > 0 {
			letters := string(b[:n])
			s.e.post(func() {
				for i := 0; i < len(letters) && s.control != nil; i++ {
					s.command(letters[i])
				}
			})
		}
		if err != nil { // closed, or no FIFO: one would have no end
			return
		}
	}
}

// release gives back what is open.
func (s *service) release() {
	for _, fd := range []*int{&s.dir, &s.lock, &s.ok, &s.pipe} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
	if s.control != nil {
		s.control.Close()
		s.control = nil
	}
	if s.timer != nil {
		s.timer.Stop()
	}
}

// enter makes the service's folder the working folder. It was once, but the
// right to may be gone since; what is meant for it must then not be done in the
// folder of another service, which is the working folder still.
func (s *service) enter() error { return unix.Fchdir(s.dir) }

// pidChanged notes that another process runs, or none, and says so.
func (s *service) pidChanged(pid int, at time.Time) {
	s.pid, s.birth = pid, ""
	if pid != 0 {
		s.birth = birthOf(pid)
	}
	s.status.PID = uint32(pid)
	s.status.stamp(at)
	s.announce()
}

// announce writes the status.
func (s *service) announce() {
	const file = "supervise/status"
	s.status.Paused, s.status.Want = 0, byte(s.want)
	if s.pid != 0 && s.paused {
		s.status.Paused = 1
	}
	warn := func(what, after string, err error) {
		text := "partial write"
		if err != nil {
			text = words(err)
		}
		say(s.e.stderr, "supervise: warning: unable to ", what, " ", s.label, "/", file, ".new", after, text)
	}
	if err := s.enter(); err != nil {
		warn("open", ": ", err)
		return
	}
	if what, err := writeFile(file+".new", s.status.Encode()); what != "" {
		warn(what, ": ", err)
		return
	}
	if err := unix.Rename(file+".new", file); err != nil {
		warn("rename", " to status: ", err)
	}
	s.writeDetails()
}

// writeFile writes a file anew. what is "" when that is done; err nil with
// another: it was written in part.
func writeFile(name string, text []byte) (what string, err error) {
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_TRUNC|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return "open", err
	}
	defer unix.Close(fd)
	switch n, err := unix.Write(fd, text); {
	case err != nil:
		return "write", err
	case n < len(text):
		return "write", nil
	}
	return "", nil
}

// running reports whether run can be sent signals.
func (s *service) running() bool { return s.pid != 0 && s.ended == nil }

// signal sends run signals, if it runs. What was taken back is no child: its
// number may be another's before its end is heard of.
func (s *service) signal(signals ...unix.Signal) {
	if s.running() && (!s.adopted || s.birth == birthOf(s.pid)) {
		for _, sig := range signals {
			_ = unix.Kill(s.pid, sig) // it has ended and is not reaped, at worst
		}
	}
}

// command does what a letter in the FIFO asks for. Others than the known ones
// ask for nothing.
func (s *service) command(letter byte) {
	switch letter {
	case 'd':
		s.want, s.starts = wantDown, false
		if s.pid != 0 {
			s.signal(unix.SIGTERM, unix.SIGCONT)
			s.paused = false
		}
		s.announce()
	case 'u':
		s.want, s.failed, s.failures, s.depends = wantUp, false, 0, nil
		s.backoff.Reset()
		s.next = s.started.Add(pause)
		s.announce()
	case 'o':
		s.want, s.failed, s.depends = wantOnce, false, nil
		s.starts = s.pid == 0 || s.ended != nil
		s.announce()
	case 'p':
		s.paused = true
		s.announce()
		s.signal(unix.SIGSTOP)
	case 'c':
		s.paused = false
		s.announce()
		s.signal(unix.SIGCONT)
	case 'x':
		s.exiting = true
		s.announce()
		s.died() // if it has: nothing is to be started for which to wait
	default:
		if sig := signalOf(letter); sig != 0 {
			s.signal(sig)
		}
		return
	}
	s.step()
}

// step does what follows from what is wanted and what is.
func (s *service) step() {
	switch {
	case s.pid != 0 || s.finishing != 0 || s.sweeping || s.control == nil:
	case s.exiting && !(s.drains && s.want == wantUp):
		s.close()
	case s.want == wantUp || s.starts:
		if wait := time.Until(s.next); wait > 0 {
			s.later(wait)
		} else if !s.mustWait() {
			s.start()
		}
	}
}

// later has step done again.
func (s *service) later(wait time.Duration) {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = s.e.after(wait, s.step)
}

// start starts run.
func (s *service) start() {
	s.starts, s.drains, s.paused, s.adopted, s.ended = false, false, false, false, nil
	s.started = time.Now()
	s.next = s.started.Add(pause)
	if err := s.enter(); err != nil { // so run cannot be executed
		say(s.e.stderr, "supervise: fatal: unable to start ", s.label, "/run: ", words(err))
		s.reckon(syscall.WaitStatus(exitFault<<8), 0)
		s.step()
		return
	}
	attr := &syscall.ProcAttr{Files: []uintptr{uintptr(s.stdin), uintptr(s.stdout), 2}}
	s.ready = ready{}
	s.prepareReady(attr)
	s.prepareCgroup(attr)
	pid, err := s.launch(attr)
	if err == nil { // its second begins when it is there
		s.started = time.Now()
		s.next = s.started.Add(pause)
	}
	s.ready.begun(s)
	if err != nil {
		say(s.e.stderr, "supervise: warning: unable to fork for ", s.label, ", sleeping 60 seconds: ", words(err))
		s.next = s.started.Add(forkPause)
		s.starts = s.want != wantUp // what was to be started once still is
		s.step()
		return
	}
	s.pidChanged(pid, s.started)
	s.e.changed()
}

// launch starts the process. Where run can't be executed that is one that does
// what the original's would after its fork: it tries again, says why it can't,
// and ends. An error is of the system's, which has no room for any.
func (s *service) launch(attr *syscall.ProcAttr) (pid int, err error) {
	ended := func(status syscall.WaitStatus) { s.over(&status) }
	run := func() (int, error) { return s.e.spawn("./run", []string{"./run"}, attr, ended) }
	pid, err = run()
	if err != nil && s.cgroupFailed(err, attr) {
		pid, err = run()
	}
	if err != nil && err != syscall.EAGAIN && err != syscall.ENOMEM {
		pid, err = s.e.spawnSelf(runName, []string{s.label}, attr, ended)
	}
	return pid, err
}

// over hears that run has ended; nil: nobody knows how. Within the pause that
// is looked at when it is over, as by the original; unless nothing is to be
// started any more.
func (s *service) over(status *syscall.WaitStatus) {
	s.unknown = status == nil
	if s.unknown {
		status = new(syscall.WaitStatus)
	}
	s.ended, s.endedAt = status, time.Now()
	if wait := time.Until(s.started.Add(pause)); wait > 0 && !s.exiting {
		s.e.after(wait, s.died)
		return
	}
	s.died()
}

// died is what follows when run has ended.
func (s *service) died() {
	if s.ended == nil || s.control == nil {
		return
	}
	status := *s.ended
	s.ended = nil
	s.last = &exit{Code: status.ExitStatus(), Time: s.endedAt}
	if status.Signaled() || s.unknown {
		s.last.Code, s.last.Signal = -1, 0
	}
	if status.Signaled() {
		s.last.Signal = int(status.Signal())
	}
	s.reckon(status, s.endedAt.Sub(s.started))
	s.ready.end()
	s.pidChanged(0, time.Now())
	s.e.changed()
	s.sweep(s.finish)
}

// close ends supervision.
func (s *service) close() {
	s.announce()
	s.removeCgroup()
	s.release()
	s.closed()
	s.e.changed()
}
