package server

import (
	"fmt"
	"strings"
)

// writeBeside shows attached programs and cron jobs, if there are any.
func (s *Status) writeBeside(b *strings.Builder) {
	const minute = "Jan _2 15:04"
	t := table{right: "lllrrrl"}
	t.row("ATTACHED", "APP", "STATE", "PID", "SINCE", "RESTARTS", "LAST EXIT")
	for _, p := range s.Attached {
		t.row(p.Name, p.App, p.State, number(p.PID), duration(p.Since), fmt.Sprint(p.Restarts), printable(p.LastExit))
	}
	t.write(b)
	t = table{right: "lrllll"}
	t.row("CRON", "PID", "NEXT", "LAST", "HOW", "COMMAND")
	for _, j := range s.Cron {
		next, last, how := "", "", ""
		if j.Next != nil {
			next = j.Next.Format(minute)
		}
		if r := j.Last; r != nil {
			last, how = r.At.Format(minute), printable(r.How)
		}
		t.row(j.App, number(j.PID), next, last, how, printable(j.Line))
	}
	t.write(b)
}

// number is a process id, or nothing.
func number(pid int) string {
	if pid == 0 {
		return ""
	}
	return fmt.Sprint(pid)
}

// writeCache shows what the cache of responses holds, and what it has done.
func (s *Status) writeCache(b *strings.Builder) {
	c := s.Cache
	if c == nil {
		return
	}
	t := table{right: "lrrrrrrrr"}
	t.row("CACHE", "ENTRIES", "USED", "HITS", "STALE", "MISSES", "ASKED AGAIN", "WAITED", "BYPASSED")
	t.row("memory", fmt.Sprint(c.InMemory), size(c.MemoryUsed)+" of "+size(c.MemoryLimit), fmt.Sprint(c.Hits), fmt.Sprint(c.Stale), fmt.Sprint(c.Misses),
		fmt.Sprint(c.Revalidated), fmt.Sprint(c.Collapsed), fmt.Sprint(c.Bypassed))
	if c.Folder != "" {
		entries := fmt.Sprint(c.OnDisk)
		if !c.Scanned {
			entries += " so far"
		}
		t.row("disk", entries, size(c.DiskUsed)+" of "+size(c.DiskLimit), "", "", "", "", "", "")
	}
	t.write(b)
}
