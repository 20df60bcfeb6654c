package main

// Processes: starting and stopping them, and what they cost, from /proc.

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of times in /proc/PID/stat: USER_HZ, 100 on every Linux.
const tick = time.Second / 100

// process is one that was started here, the head of a process group.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string // file with its output
	ended chan struct{}
}

func startProcess(folder string, env []string, name string, args ...string) (*process, error) {
	log, err := os.CreateTemp(folder, filepath.Base(name)+"-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{name: filepath.Base(name), cmd: exec.Command(name, args...), log: log.Name(), ended: make(chan struct{})}
	p.cmd.Dir = folder
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.cmd.Wait() // how it ended is in its log
		close(p.ended)
	}()
	return p, nil
}

// stop asks the process to end, waits, and kills what is left of its group.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM) // an error: it has ended already
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // an error: the group is empty
	<-p.ended
}

func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	const most = 4000
	return string(text[max(0, len(text)-most):])
}

// cost is CPU time of a stack's two halves.
type cost struct{ front, worker time.Duration }

// held is the memory of a stack's two halves: PSS, in bytes. The front's first
// process, in millrace the keeper, is told apart, too.
type held struct{ front, worker, root int64 }

// groups are the processes of a stack's halves. With one tree, its root and
// what isFront tells are the front, and all else below are the workers.
func (st *stack) groups() (front, worker []int, err error) {
	children, err := processTree()
	if err != nil {
		return nil, nil, err
	}
	isFront := st.isFront
	if isFront == nil {
		isFront = isMillraceFront
	}
	for _, p := range st.front {
		front = append(front, p.cmd.Process.Pid)
		for _, pid := range descendants(children, p.cmd.Process.Pid) {
			if len(st.worker) > 0 || isFront(pid) {
				front = append(front, pid)
			} else {
				worker = append(worker, pid)
			}
		}
	}
	for _, p := range st.worker {
		worker = append(append(worker, p.cmd.Process.Pid), descendants(children, p.cmd.Process.Pid)...)
	}
	return front, worker, nil
}

func (st *stack) cost() (c cost, err error) {
	front, worker, err := st.groups()
	for _, pid := range front {
		c.front += cpuTime(pid)
	}
	for _, pid := range worker {
		c.worker += cpuTime(pid)
	}
	return c, err
}

func (st *stack) held() (h held, err error) {
	front, worker, err := st.groups()
	for i, pid := range front {
		pss := pssOf(pid)
		if i == 0 {
			h.root = pss
		}
		h.front += pss
	}
	for _, pid := range worker {
		h.worker += pssOf(pid)
	}
	return h, err
}

// pssOf is the PSS of a process; 0 once it is gone.
func pssOf(pid int) int64 {
	m, err := memoryOf(pid)
	if err != nil {
		return 0
	}
	return m.pss
}

// isMillraceFront tells millrace's process that answers requests.
func isMillraceFront(pid int) bool { return bytes.HasSuffix(commandLine(pid), []byte("\x00front\x00")) }

// commandLine is a process's arguments; nil once it is gone.
func commandLine(pid int) []byte {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil
	}
	return line
}

// stat is the fields of /proc/PID/stat behind the name, which may hold
// anything: state is the first. nil: the process is gone.
func stat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
}

// cpuTime is user and system time of a process; 0 once it is gone.
func cpuTime(pid int) time.Duration {
	fields := stat(pid)
	if len(fields) < 13 {
		return 0
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64) // utime
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return time.Duration(user+system) * tick
}

// processTree is the children of every process.
func processTree() (map[int][]int, error) {
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		if fields := stat(pid); len(fields) > 1 {
			if parent, err := strconv.Atoi(fields[1]); err == nil {
				children[parent] = append(children[parent], pid)
			}
		}
	}
	return children, nil
}

func descendants(children map[int][]int, pid int) []int {
	var all []int
	for _, child := range children[pid] {
		all = append(append(all, child), descendants(children, child)...)
	}
	return all
}

// memory is what a process holds, in bytes.
type memory struct{ rss, pss, peak int64 }

func memoryOf(pid int) (m memory, err error) {
	for _, read := range []struct {
		file, key string
		value     *int64
	}{{"smaps_rollup", "Rss:", &m.rss}, {"smaps_rollup", "Pss:", &m.pss}, {"status", "VmHWM:", &m.peak}} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, read.file))
		if err != nil {
			return m, err
		}
		_, rest, _ := strings.Cut(string(text), read.key)
		var kib int64
		if _, err := fmt.Sscanf(rest, "%d kB", &kib); err != nil {
			return m, fmt.Errorf("no %s in /proc/%d/%s", read.key, pid, read.file)
		}
		*read.value = kib << 10
	}
	return m, nil
}
