package main

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBatchThreads has the threads that are there, and those that come, run
// as SCHED_BATCH.
func TestBatchThreads(t *testing.T) {
	if policyOf(os.Getpid()) != unix.SCHED_NORMAL {
		t.Skip("the tests have another policy, which is left alone")
	}
	if os.Getenv("MILLRACE_TEST_BATCH") == "" { // by itself: the other tests keep theirs
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBatchThreads$")
		cmd.Env = append(os.Environ(), "MILLRACE_TEST_BATCH=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	batchThreads()
	var ready, done sync.WaitGroup
	end := make(chan struct{})
	for range 2 * runtime.GOMAXPROCS(0) { // each has a thread to itself
		ready.Add(1)
		done.Go(func() {
			runtime.LockOSThread()
			ready.Done()
			<-end
		})
	}
	ready.Wait()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		if policy := policyOf(tid); policy != unix.SCHED_BATCH && policy != -1 {
			t.Errorf("thread %d has policy %d", tid, policy)
		}
	}
	close(end)
	done.Wait()
}
