package main

import (
	"os"
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
