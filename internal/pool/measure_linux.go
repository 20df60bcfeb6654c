package pool

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// readUsage looks at processes.
func readUsage(looks []look) {
	for i := range looks {
		l := &looks[i]
		cpu, err := processCPU(l.pid)
		if err != nil {
			continue // it has just ended
		}
		rss, err := residentMemory(l.pid)
		if err != nil {
			continue
		}
		l.usage, l.shared, l.ok = l.was.usage, l.was.sharedAt, true
		l.usage.cpu, l.usage.rss = cpu, rss
	}
	order := make([]*look, 0, len(looks))
	for i := range looks {
		if l := &looks[i]; l.ok && time.Since(l.shared) >= shareEvery {
			order = append(order, l)
		}
	}
	slices.SortStableFunc(order, func(a, b *look) int { return a.shared.Compare(b.shared) })
	began := time.Now()
	for _, l := range order {
		if time.Since(began) > shareBudget {
			return
		}
		if err := l.usage.readShares(l.pid); err == nil {
			l.shared = time.Now()
		}
	}
}

// processCPU is the processor time of all threads of a process so far, in
// nanoseconds: /proc/PID/stat counts in hundredths of a second.
func processCPU(pid int) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &t); err != nil { // clock_getcpuclockid(3)
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(t.Nano()), nil
}

// residentMemory is the RSS of a process in bytes.
func residentMemory(pid int) (int64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0, fmt.Errorf("unexpected /proc/%d/statm: %.80q", pid, b)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("unexpected /proc/%d/statm: %w", pid, err)
	}
	return pages * int64(os.Getpagesize()), nil
}

// readShares reads what a process shares with others. Only who may trace it
// is told, so not a front whose apps have users of their own.
func (u *usage) readShares(pid int) error {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		return err
	}
	var rss, pss, shared int64
	for line := range bytes.Lines(b) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		fields := bytes.Fields(value)
		if !ok || len(fields) != 2 || string(fields[1]) != "kB" {
			continue
		}
		n, err := strconv.ParseInt(string(fields[0]), 10, 64)
		if err != nil {
			return fmt.Errorf("unexpected /proc/%d/smaps_rollup: %w", pid, err)
		}
		switch string(name) {
		case "Rss":
			rss = n << 10
		case "Pss":
			pss = n << 10
		case "Shared_Clean", "Shared_Dirty":
			shared += n << 10
		}
	}
	if rss == 0 {
		return fmt.Errorf("/proc/%d/smaps_rollup has no Rss", pid) // a zombie
	}
	u.pss, u.shared, u.sharedOf = pss, shared, rss
	return nil
}
