package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
		tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "stat"))
		if err != nil || len(tasks) == 0 {
			t.Fatalf("process %d has no threads: %v", pid, err)
		}
		for _, task := range tasks {
			text, err := os.ReadFile(task)
			if err != nil {
				continue // it has ended
			}
			_, rest, _ := strings.Cut(string(text), ") ") // proc_pid_stat(5): the third field follows
			if policy := strings.Fields(rest)[41-3]; policy != strconv.Itoa(want) {
				t.Errorf("%s: policy %s, not %d", task, policy, want)
			}
		}
	}
}
