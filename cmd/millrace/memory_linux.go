package main

import (
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// machineMemory is how many bytes of memory there are for us: the machine's,
// or as many as our control group may have.
func machineMemory() int64 {
	total := int64(math.MaxInt64)
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) == nil {
		total = int64(info.Totalram) * int64(info.Unit)
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return total
	}
	for line := range strings.Lines(string(groups)) {
		path, unified := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !unified {
			continue
		}
		for ; path != "" && path != "/"; path = path[:strings.LastIndexByte(path, '/')] {
			text, err := os.ReadFile("/sys/fs/cgroup" + path + "/memory.max")
			if err != nil {
				continue // seen from within a container, or not limited here
			}
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
				total = min(total, n)
			}
		}
		if text, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil { // a container's root
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
				total = min(total, n)
			}
		}
	}
	return total
}
