package listen

// This file: who listens on a TCP port, as Linux tells in /proc. Where there
// is no /proc, or no right to look into the other process, nothing is known.

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	maxSockets   = 100_000 // lines of /proc/net/tcp that are looked at
	stateListen  = "0A"    // of enum tcp_state in the kernel's headers
	fieldAddress = 1       // fields of a line of /proc/net/tcp
	fieldState   = 3
	fieldInode   = 9
)

// tcpOwner names the process that listens on port, as "nginx (pid 12)", or "".
func tcpOwner(port string) string {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return ""
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if inode := listeningInode(table, uint16(n)); inode != "" {
			return holder("socket:[" + inode + "]")
		}
	}
	return ""
}

func listeningInode(table string, port uint16) string {
	f, err := os.Open(table)
	if err != nil {
		return ""
	}
	defer f.Close()
	suffix := fmt.Sprintf(":%04X", port)
	lines := bufio.NewScanner(f)
	for n := 0; n < maxSockets && lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) > fieldInode && fields[fieldState] == stateListen && strings.HasSuffix(fields[fieldAddress], suffix) {
			return fields[fieldInode]
		}
	}
	return ""
}

// holder finds the process that has link among its descriptors.
func holder(link string) string {
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, fd := range links {
		if to, err := os.Readlink(fd); err != nil || to != link {
			continue
		}
		dir := filepath.Dir(filepath.Dir(fd))
		comm, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			return ""
		}
		return fmt.Sprintf("%q (pid %s)", strings.TrimSpace(string(comm)), filepath.Base(dir))
	}
	return ""
}
