package server

// The status as text, for people.

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"millrace/internal/pool"
)

const (
	// textWidth is what the lines of the usual status fit in. A column that is
	// the last of its table is cut for it, to no less than lastWidth.
	textWidth = 100
	lastWidth = 20
)

// table is text in columns.
type table struct {
	rows  [][]string // the first is the head
	right string     // for each column: 'r' if it is aligned to the right
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// write writes the table after an empty line; one that has only a head is left
// out.
func (t *table) write(b *strings.Builder) {
	if len(t.rows) < 2 {
		return
	}
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	room := textWidth
	for _, w := range widths[:len(widths)-1] {
		room -= w + 2
	}
	room = max(room, lastWidth)
	b.WriteByte('\n')
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			if i == len(row)-1 {
				cell = shortened(cell, room)
			}
			pad := strings.Repeat(" ", max(widths[i]-utf8.RuneCountInString(cell), 0))
			if t.right[i] == 'r' {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// shortened cuts a text in the middle: the end of a path tells as much as its
// beginning.
func shortened(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	end := (width - 1) / 2
	return string(r[:width-1-end]) + "…" + string(r[len(r)-end:])
}

// printable is a text of a client's that cannot play with a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// WriteText writes the status for people.
func (s *Status) WriteText(w io.Writer) error {
	var b strings.Builder
	s.writeServer(&b)
	s.writeApps(&b)
	s.writeTimes(&b)
	s.writeWorkers(&b)
	s.writeBeside(&b)
	s.writeGateways(&b)
	s.writeCache(&b)
	for i := range s.Apps {
		if a := &s.Apps[i]; a.Failure != "" {
			fmt.Fprintf(&b, "\napp %s cannot be imported:\n%s\n", a.Name, strings.TrimRight(a.Failure, "\n"))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *Status) writeServer(b *strings.Builder) {
	fmt.Fprintf(b, "millrace %s, pid %d, %s, up %s: %s\n", s.Version, s.PID, s.State, duration(s.Uptime), s.Source)
	var urls []string
	for _, a := range s.Listen {
		switch {
		case a.Status:
			urls = append(urls, a.URL+" (status)")
		case a.App == "": // the others have a table
			urls = append(urls, a.URL)
		}
	}
	if len(urls) > 0 {
		fmt.Fprintf(b, "listens on %s; ", strings.Join(urls, ", "))
	}
	fmt.Fprintf(b, "%s; %s\n", plural(int(s.Connections), "connection"), plural(s.Reloads, "reload"))
	if m := s.Maintenance; m != nil {
		fmt.Fprintf(b, "in maintenance since %s: %s\n", m.Since.Format(time.DateTime), m)
	}
	if r := s.LastReload; r != nil && r.Error != "" {
		fmt.Fprintf(b, "last reload failed at %s: %s\n", r.At.Format(time.DateTime), strings.ReplaceAll(r.Error, "\n", "; "))
	}
}

// writeApps shows what the apps do and have done.
func (s *Status) writeApps(b *strings.Builder) {
	t := table{right: "llrrrrrrrrr"}
	t.row("APP", "STATE", "GEN", "WORKERS", "IDLE", "ACTIVE", "QUEUE", "ANSWERED", "REFUSED", "LOST", "TIMED OUT")
	for i := range s.Apps {
		a := &s.Apps[i]
		t.row(a.Name, a.State, fmt.Sprint(a.Generation), fmt.Sprintf("%d of %d", a.Total, a.MaxChildren), fmt.Sprint(a.Idle),
			fmt.Sprintf("%d, max %d", a.Active, a.MaxActive), fmt.Sprintf("%d, max %d", a.QueueLen, a.QueueSeen),
			fmt.Sprint(a.Answered), fmt.Sprint(a.Refused.Count+a.QueueTimeouts), fmt.Sprint(a.Lost), fmt.Sprint(a.Timeouts))
	}
	t.write(b)
}

// writeTimes shows what the apps take.
func (s *Status) writeTimes(b *strings.Builder) {
	t := table{right: "lllrrrrrr"}
	t.row("APP", "WAIT 50% 90% 99%", "RUN 50% 90% 99%", "SLOW", "FULL", "STARTED", "RECYCLED", "MEMORY", "SHARED")
	for i := range s.Apps {
		a := &s.Apps[i]
		memory, shared := "", ""
		if m := a.Memory; m != nil {
			memory = size(m.RSS)
			if m.PSS > 0 {
				memory = size(m.PSS)
			}
			if m.SharedShare > 0 {
				shared = fmt.Sprintf("%.0f%%", 100*m.SharedShare)
			}
		}
		t.row(a.Name, percentiles(&a.QueueTime), percentiles(&a.ServiceTime), fmt.Sprint(a.Slow), fmt.Sprint(a.Reached),
			fmt.Sprint(a.Started), fmt.Sprint(a.Recycled), memory, shared)
	}
	t.write(b)
}

func percentiles(h *pool.Histogram) string {
	if h.Count == 0 {
		return ""
	}
	return "≤ " + duration(h.P50/1e3) + " " + duration(h.P90/1e3) + " " + duration(h.P99/1e3)
}

func (s *Status) writeWorkers(b *strings.Builder) {
	t := table{right: "lllrrrrrl"}
	t.row("WORKER", "APP", "STATE", "SINCE", "REQUESTS", "CPU", "LAST CPU", "MEMORY", "RUNNING")
	for i := range s.Apps {
		a := &s.Apps[i]
		for j := range a.Workers {
			k := &a.Workers[j]
			cpu, last, memory, runs := "", "", "", ""
			if p := k.Process; p != nil {
				cpu, last, memory = duration(p.CPU), duration(p.LastCPU/1e3), size(p.RSS)
			}
			if k.Running != "" {
				runs = duration(k.RunningFor) + ": " + printable(k.Running)
			}
			t.row(number(k.PID), a.Name, k.State, duration(k.Since), fmt.Sprint(k.Requests), cpu, last, memory, runs)
		}
	}
	t.write(b)
}

// writeGateways shows the addresses for other front servers, and the back ends
// that millrace did not start, if there are any.
func (s *Status) writeGateways(b *strings.Builder) {
	t := table{right: "lllr"}
	t.row("ADDRESS", "APP", "PROTOCOL", "CONNECTIONS")
	for _, a := range s.Listen {
		if a.App != "" {
			t.row(a.URL, a.App, a.Protocol, fmt.Sprint(a.Connections))
		}
	}
	t.write(b)
	t = table{right: "llllrrr"}
	t.row("UPSTREAM", "SERVER", "PROTOCOL", "STATE", "ACTIVE", "ANSWERED", "FAILED")
	for _, u := range s.Upstreams {
		for _, k := range u.Servers {
			t.row(u.Name, k.Address, u.Protocol, string(k.State), fmt.Sprint(k.Active), fmt.Sprint(k.Answered), fmt.Sprint(k.Failed))
		}
	}
	t.write(b)
}

// duration is seconds for people, in three digits: "62.5µs", "12ms", "3.4s",
// "5m10s", "2h5m", "9d3h".
func duration(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d < time.Millisecond:
		return d.Round(100 * time.Nanosecond).String()
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 24*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	hours := int(d.Round(time.Hour) / time.Hour)
	return fmt.Sprintf("%dd%dh", hours/24, hours%24)
}

// size is bytes for people: "45.3M".
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%dB", n)
	case n < 1<<20:
		return fmt.Sprintf("%.0fK", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1fM", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.2fG", float64(n)/(1<<30))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
