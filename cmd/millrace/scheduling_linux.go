package main

// This file: how the kernel shares the processors between a front and its
// workers.

import (
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchThreads has the kernel wake the threads of this process without
// interrupting who runs: SCHED_BATCH (sched(7)), with the same share of the
// processor. A front that interrupts a worker at each answer passes one on,
// sleeps, and is woken by the next; one that waits for its turn finds several,
// and the worker has its caches to itself until then. Where a processor is idle
// it runs at once in either case.
//
// Threads that start later have the policy of the one that starts them. Who has
// chosen another policy for millrace keeps that, and a system that forbids this
// one goes on as it is.
func batchThreads() {
	if policyOf(os.Getpid()) != unix.SCHED_NORMAL {
		return
	}
	again := true // a thread of the old policy may have started one meanwhile
	for tries := 0; again && tries < 10; tries++ {
		again = false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil || policyOf(tid) != unix.SCHED_NORMAL {
				continue // it has ended, or is what it is to be
			}
			// The only parameter is a real-time priority, which this policy has not.
			var priority int32
			_, _, e := unix.Syscall(unix.SYS_SCHED_SETSCHEDULER, uintptr(tid), unix.SCHED_BATCH, uintptr(unsafe.Pointer(&priority)))
			if e != 0 && e != unix.ESRCH {
				return
			}
			again = true
		}
	}
}

// policyOf returns how a thread is scheduled, -1 for one that is no more.
func policyOf(tid int) int {
	policy, _, e := unix.Syscall(unix.SYS_SCHED_GETSCHEDULER, uintptr(tid), 0, 0)
	if e != 0 {
		return -1
	}
	return int(policy)
}
