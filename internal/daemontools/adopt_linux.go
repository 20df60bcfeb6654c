package daemontools

// This file: what runs when supervision begins. The original would start a
// second copy beside what a supervise that was killed has left behind; ours
// takes it back.

import (
	"bytes"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// adoptSlack is how far the start of a process, by the kernel's clock in
// hundredths of a second, may be from the time in the status.
const adoptSlack = time.Second

// adopt takes back the process that the status names, if it still runs. Nobody
// else supervises it: the lock is ours. The number may be another's by now, so
// it must have been born as the details say; where there are none, as of the
// original's supervise, it must have been started when the status says. What is
// wanted of it is what was, unless that may have been to end with its supervision.
func (s *service) adopt() bool {
	text, err := readFile("supervise/status", statusSize)
	if err != nil {
		return false
	}
	status, err := DecodeStatus(text)
	if err != nil || status.PID <= 1 || status.PID > 1<<30 {
		return false
	}
	pid := int(status.PID)
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return false
	}
	handle := os.NewFile(uintptr(fd), "process")
	before := lookDetails()
	known := before.Stamp == status.stampText() && before.Birth != ""
	began, ok := startOf(pid)
	if known {
		ok = ok && before.Birth == birthOf(pid)
	} else {
		off := began.Sub(status.since())
		ok = ok && off >= -adoptSlack && off <= adoptSlack
	}
	if !ok {
		handle.Close()
		return false
	}
	s.birth = birthOf(pid)
	switch want := wish(status.Want); {
	case want == wantUp, known && !before.Exiting && (want == wantDown || want == wantOnce):
		s.want = want
	}
	s.status, s.pid, s.adopted, s.paused = status, pid, true, status.Paused == 1
	s.started = began
	s.announce()
	say(s.e.stderr, "supervise: warning: ", s.label, " runs already, as process ", strconv.Itoa(pid), ": it is kept")
	go func() {
		waitHandle(handle)
		handle.Close()
		s.e.post(func() {
			if s.pid == pid && s.adopted {
				s.over(nil)
			}
		})
	}()
	return true
}

// waitHandle returns when the process of a pidfd has ended.
func waitHandle(handle *os.File) {
	raw, err := handle.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
}

// ticksOf is when a process was started that is no zombie, in hundredths of a
// second since the machine was.
func ticksOf(pid int) (int64, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	const state, start = 0, 19 // of those after the name
	if len(fields) <= start || fields[state][0] == 'Z' {
		return 0, false
	}
	ticks, err := strconv.ParseInt(string(fields[start]), 10, 64)
	return ticks, err == nil
}

// birthOf is which process this is, whatever the clock is set to: when it was
// started, by the kernel's count, since which start of the machine. "": it is
// not known.
func birthOf(pid int) string {
	ticks, ok := ticksOf(pid)
	if !ok {
		return ""
	}
	boot := bootID()
	return hex.EncodeToString(boot[:]) + "/" + strconv.FormatInt(ticks, 10)
}

// startOf is when a process was started, by the clock as it is set now.
func startOf(pid int) (time.Time, bool) {
	ticks, ok := ticksOf(pid)
	if !ok {
		return time.Time{}, false
	}
	var sinceBoot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &sinceBoot); err != nil {
		return time.Time{}, false
	}
	const ticksPerSecond = 100 // USER_HZ, on every architecture of ours
	age := time.Duration(sinceBoot.Nano()) - time.Duration(ticks)*(time.Second/ticksPerSecond)
	return time.Now().Add(-age), true
}

// openFolder opens a folder to enter it, for which the right to is enough.
func openFolder(dir string) (int, error) {
	return unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// endOfPipe opens the other end, or the same, of a pipe that another process
// has as descriptor fd. A FIFO that has a name is none of svscan's.
func endOfPipe(pid, fd, mode int) (int, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/fd/" + strconv.Itoa(fd)
	target, err := os.Readlink(path)
	if err != nil {
		return -1, err
	}
	if !strings.HasPrefix(target, "pipe:[") {
		return -1, syscall.ENXIO
	}
	end, err := unix.Open(path, mode|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return end, unix.SetNonblock(end, false)
}
