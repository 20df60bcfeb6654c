package nginx

// What belongs to the whole process, and the units of nginx.

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"millrace/internal/adapt/document"
)

// server is [server], of the main context.
func (a *adapter) server(main *level) {
	a.sweep(&level{list: withoutBlocks(main.list)})
	for _, d := range main.own("events") {
		a.sweep(&level{list: d.block})
	}
	set := func(key, value string, at document.Place) { a.doc.Table("server", at).Set(key, value, at) }
	if d := main.last("user"); d != nil {
		set("user", d.arg(0), d.at)
		if len(d.args) > 1 {
			set("group", d.arg(1), d.at)
		}
	}
	if d := main.last("pid"); d != nil {
		set("pidfile", a.beside(d.arg(0)), d.at)
	}
	a.errors(main)
}

func withoutBlocks(list []*directive) []*directive {
	var all []*directive
	for _, d := range list {
		if d.name != "http" && d.name != "events" {
			all = append(all, d)
		}
	}
	return all
}

// errors is the first error_log: there is one.
func (a *adapter) errors(l *level) {
	for _, d := range l.own("error_log") {
		path := d.arg(0)
		switch {
		case a.errorLog:
			a.note(d, "there is one log of errors, of the whole process")
			continue
		case strings.HasPrefix(path, "syslog:"):
			a.problem(d.argAt(0), "error_log to syslog is not carried over", "let the supervisor's log take stderr: error_log stderr")
			continue
		case path == "stderr":
			a.note(d, "errors go to stderr")
		case path == "/dev/null":
			a.note(d, "errors go to stderr, and are not thrown away")
		default:
			a.doc.Table("server", d.at).Set("error_log", a.beside(path), d.at)
		}
		if len(d.args) > 1 {
			a.note(&directive{name: "error_log … " + d.arg(1), at: d.argAt(1)}, "the log has no levels to choose from")
		}
		a.errorLog = true
	}
}

// globals are directives of http that are of the whole process here.
func (a *adapter) globals(http *level) {
	a.errors(http)
	for _, d := range http.own("server") {
		a.errors(&level{list: d.block})
	}
	t := func(key, name string) {
		if d := http.last(name); d != nil && len(d.args) > 0 {
			if text := a.time(d); text != "" && text != "0s" {
				a.doc.Table("server", d.at).Set(key, text, d.at)
			}
		}
	}
	t("header_timeout", "client_header_timeout")
	t("body_timeout", "client_body_timeout")
	t("write_timeout", "send_timeout")
	if d := http.last("keepalive_timeout"); d != nil {
		if text := a.time(d); text == "0s" {
			a.problem(d.at, "keepalive_timeout 0 is not carried over: connections are kept", "write a short time")
		} else if text != "" {
			a.doc.Table("server", d.at).Set("idle_timeout", text, d.at)
		}
	}
	if d := http.last("large_client_header_buffers"); d != nil {
		n, err := strconv.Atoi(d.arg(0))
		size, ok := nginxSize(d.arg(1))
		if err != nil || !ok || n < 1 || size < 1 {
			a.problem(d.at, `"large_client_header_buffers" directive invalid value`, "")
		} else {
			a.doc.Table("server", d.at).Set("max_header", bytesText(int64(n)*size), d.at)
		}
	}
	for _, d := range http.own("server") {
		for _, of := range d.block {
			switch of.name {
			case "client_header_timeout", "keepalive_timeout", "large_client_header_buffers":
				a.note(of, "it is of the whole process here: write it in http")
			}
		}
	}
}

func unique(list []string) []string {
	var all []string
	for _, s := range list {
		if !contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

func contains(list []string, s string) bool {
	for _, of := range list {
		if of == s {
			return true
		}
	}
	return false
}

// beside is a path that is relative to the folder of the configuration.
func (a *adapter) beside(path string) string {
	if filepath.IsAbs(path) || path == "" {
		return path
	}
	return filepath.Join(a.folder, path)
}

// nginxTime is a time as nginx writes it: "30s", "1h30m", "500ms"; a number alone
// is seconds.
func nginxTime(text string) (time.Duration, bool) {
	units := []struct {
		name string
		of   time.Duration
	}{{"ms", time.Millisecond}, {"y", 365 * 24 * time.Hour}, {"M", 30 * 24 * time.Hour}, {"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}
	var total time.Duration
	if text == "" {
		return 0, false
	}
	for text != "" {
		i := 0
		for i < len(text) && text[i] >= '0' && text[i] <= '9' {
			i++
		}
		n, err := strconv.ParseInt(text[:i], 10, 32)
		if err != nil {
			return 0, false
		}
		text = strings.TrimLeft(text[i:], " ")
		unit := time.Second
		for _, u := range units {
			if rest, is := strings.CutPrefix(text, u.name); is && text != "" {
				unit, text = u.of, strings.TrimLeft(rest, " ")
				break
			}
			if text == "" {
				break
			}
		}
		if text != "" && (text[0] < '0' || text[0] > '9') {
			return 0, false
		}
		total += time.Duration(n) * unit
		if total < 0 {
			return 0, false
		}
	}
	return total, true
}

// duration is a time as millrace.toml has it.
func duration(d time.Duration) string {
	switch {
	case d == 0:
		return "0s"
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0 && d >= 5*time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d%time.Second == 0:
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return fmt.Sprintf("%dms", d/time.Millisecond)
}

// time is the first parameter of a directive as a time.
func (a *adapter) time(d *directive) string {
	t, ok := nginxTime(d.arg(0))
	if !ok {
		a.problem(d.argAt(0), fmt.Sprintf("%q directive invalid value", d.name), `write a time like "30s" or "5m"`)
		return ""
	}
	return duration(t)
}

// nginxSize is a size as nginx writes it.
func nginxSize(text string) (int64, bool) {
	unit := int64(1)
	if text != "" {
		switch text[len(text)-1] {
		case 'k', 'K':
			unit = 1 << 10
		case 'm', 'M':
			unit = 1 << 20
		case 'g', 'G':
			unit = 1 << 30
		}
	}
	if unit > 1 {
		text = text[:len(text)-1]
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, false
	}
	return n * unit, true
}

func bytesText(n int64) string {
	switch {
	case n == 0:
		return "0B"
	case n%(1<<30) == 0:
		return fmt.Sprintf("%dGiB", n>>30)
	case n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%dB", n)
}

// size is the first parameter of a directive as a size.
func (a *adapter) size(d *directive) string {
	n, ok := nginxSize(d.arg(0))
	if !ok {
		a.problem(d.argAt(0), fmt.Sprintf("%q directive invalid value", d.name), `write a size like "10m"`)
		return "0B"
	}
	return bytesText(n)
}
