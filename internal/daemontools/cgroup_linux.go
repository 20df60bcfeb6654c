package daemontools

// This file: services whose folder has a file cgroup run in a control group of
// their own (version 2), below that of whoever supervises them. What run leaves
// behind when it ends, in whatever session or process group, is killed before
// finish and before the next start.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	sweepEvery = 10 * time.Millisecond
	sweepTime  = 5 * time.Second // how long it may take until the killed are gone
)

// cgroup is a control group.
type cgroup struct {
	path string
	fd   int
}

// takeCgroup opens the group, if that is asked for and possible, when supervision
// begins. A supervisor that was killed may have left something in it: if that is
// not run, which was taken back, it is killed first.
func (s *service) takeCgroup() {
	if !s.wantsCgroup() {
		return
	}
	if s.pid == 0 && !s.cgroup.empty() {
		s.sweep(func() { s.e.after(0, s.step) }) // not before it is opened to its end
	}
}

// wantsCgroup opens the group, if it is not open, and reports whether it is.
func (s *service) wantsCgroup() bool {
	if unix.Access("cgroup", unix.F_OK) != nil {
		s.removeCgroup()
		return false
	}
	if s.cgroup != nil {
		return true
	}
	var st unix.Stat_t
	err := unix.Fstat(s.dir, &st)
	if err == nil {
		s.cgroup, err = openCgroup(fmt.Sprintf("millrace-%x-%x", uint64(st.Dev), st.Ino))
	}
	if err != nil {
		s.noCgroup(err)
		return false
	}
	return true
}

// prepareCgroup has run started in its group.
func (s *service) prepareCgroup(attr *syscall.ProcAttr) {
	if s.wantsCgroup() {
		attr.Sys = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: s.cgroup.fd}
	}
}

// noCgroup says, once, why there is none.
func (s *service) noCgroup(err error) {
	s.removeCgroup()
	if !s.noCgroupSaid {
		s.noCgroupSaid = true
		say(s.e.stderr, "supervise: warning: ", s.label, " has no control group of its own, so what it leaves behind is not killed: ", err.Error())
	}
}

// cgroupFailed reports whether it is the group that a process could not be
// started in, and goes on without.
func (s *service) cgroupFailed(err error, attr *syscall.ProcAttr) bool {
	if attr.Sys == nil {
		return false
	}
	switch err {
	case unix.EBUSY, unix.ENODEV, unix.EOPNOTSUPP, unix.ENOSYS, unix.EINVAL, unix.EPERM:
		attr.Sys = nil
		s.noCgroup(fmt.Errorf("no process can be started in %s: %w", s.cgroup.path, err))
		return true
	}
	return false
}

// openCgroup makes a group below ours.
func openCgroup(name string) (*cgroup, error) {
	own, err := ownCgroup()
	if err != nil {
		return nil, err
	}
	c := &cgroup{path: filepath.Join(own, name)}
	if err := os.Mkdir(c.path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	if c.fd, err = unix.Open(c.path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, &os.PathError{Op: "open", Path: c.path, Err: err}
	}
	c.freeze("0") // a supervisor that was killed within kill may have left it so
	return c, nil
}

// ownCgroup is the folder of the group that this process is in.
func ownCgroup() (string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	path, found := "", false
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			path, found = rest, true
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(mounts)) {
		// 30 23 0:26 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw
		before, after, _ := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if found && len(fields) >= 5 && strings.HasPrefix(after, "cgroup2 ") {
			below, ok := strings.CutPrefix(path, strings.TrimSuffix(fields[3], "/"))
			if ok {
				return filepath.Join(fields[4], below), nil
			}
		}
	}
	return "", errors.New("this system has no cgroup v2 that this process is in")
}

// kill kills all that is in the group, which stands still meanwhile: what forks
// would get away. It does not use cgroup.kill: a kernel since 6.14 that was told
// so once kills whatever is started in the group from outside from then on.
func (c *cgroup) kill() {
	c.freeze("1")
	c.below(func(group string) {
		text, _ := os.ReadFile(filepath.Join(group, "cgroup.procs")) // the next try comes soon
		for pid := range strings.FieldsSeq(string(text)) {
			if n, err := strconv.Atoi(pid); err == nil && n > 1 {
				_ = unix.Kill(n, unix.SIGKILL)
			}
		}
	})
	c.freeze("0")
}

// below does something with each group that is below, the innermost first, and
// with this one. What runs in it may have made some.
func (c *cgroup) below(do func(group string)) {
	var all []string
	_ = filepath.WalkDir(c.path, func(path string, entry os.DirEntry, err error) error { // one that is gone is none
		if err == nil && entry.IsDir() {
			all = append(all, path)
		}
		return nil
	})
	for _, group := range slices.Backward(all) {
		do(group)
	}
}

// freeze has the group stand still, or not. Before Linux 5.2 it does nothing.
func (c *cgroup) freeze(yes string) {
	_ = os.WriteFile(filepath.Join(c.path, "cgroup.freeze"), []byte(yes), 0)
}

// empty reports whether nothing is in the group or below.
func (c *cgroup) empty() bool {
	text, err := os.ReadFile(filepath.Join(c.path, "cgroup.events"))
	return err != nil || strings.Contains(string(text), "populated 0")
}

// sweep kills what run has left in its group, and goes on when that is gone.
func (s *service) sweep(then func()) {
	c := s.cgroup
	if c == nil || c.empty() {
		then()
		return
	}
	began := time.Now()
	s.sweeping = true
	var again func()
	again = func() {
		if !c.empty() {
			if time.Since(began) < sweepTime {
				c.kill()
				s.e.after(sweepEvery, again)
				return
			}
			say(s.e.stderr, "supervise: warning: ", s.label, " leaves processes that cannot be killed: see ", c.path, "/cgroup.procs")
		}
		s.sweeping = false
		then()
	}
	again()
}

// removeCgroup gives the group back. One with processes in it stays.
func (s *service) removeCgroup() {
	if s.cgroup != nil {
		_ = unix.Close(s.cgroup.fd)
		s.cgroup.below(func(group string) { _ = unix.Rmdir(group) })
		s.cgroup = nil
	}
}
