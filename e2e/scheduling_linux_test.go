package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestScheduling: the threads of a front and of its workers are of SCHED_BATCH,
// those of the keeper are not.
func TestScheduling(t *testing.T) {
	if attr, err := unix.SchedGetAttr(0, 0); err != nil || attr.Policy != unix.SCHED_NORMAL {
		t.Skipf("the tests have a policy of their own, which stays: %v, %v", attr, err)
	}
	dir := t.TempDir()
	put(t, filepath.Join(dir, "app.py"), `
import os

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]
`)
	s := start(t, dir, "app:application")
	worker, err := strconv.Atoi(get(t, client(t), s.url, 200).text)
	if err != nil {
		t.Fatal(err)
	}
	for pid, want := range map[int]int{s.front(): unix.SCHED_BATCH, worker: unix.SCHED_BATCH, s.cmd.Process.Pid: unix.SCHED_NORMAL} {
		tasks, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil {
				t.Fatal(err)
			}
			attr, err := unix.SchedGetAttr(tid, 0)
			if errors.Is(err, unix.ESRCH) {
				continue // it has ended
			}
			if err != nil {
				t.Fatal(err)
			}
			if int(attr.Policy) != want {
				t.Errorf("thread %d of process %d: policy %d, not %d", tid, pid, attr.Policy, want)
			}
		}
	}
}
