package nginx

// Access logs.

import (
	"fmt"
	"slices"
	"strings"
)

// logs is the access log of a site. nginx keeps one without a word; here it is
// named.
func (s *site) logs() {
	all := s.level.find("access_log")
	all = slices.DeleteFunc(slices.Clone(all), func(d *directive) bool { return d.arg(0) == "off" })
	if len(all) == 0 {
		return
	}
	d := all[0]
	if len(all) > 1 {
		s.a.problem(all[1].at, "a second access_log of a server is not carried over: a site has one", "leave one of them out")
	}
	path := d.arg(0)
	switch {
	case strings.HasPrefix(path, "syslog:"):
		s.a.problem(d.argAt(0), "access_log to syslog is not carried over", "write a file, or /dev/stdout for the supervisor's log")
		return
	case strings.Contains(path, "$"):
		s.a.problem(d.argAt(0), "access_log to a file whose name has variables is not carried over", "write one file for each server")
		return
	case path == "/dev/stdout":
		path = "-"
	case path == "/dev/null":
		return
	default:
		path = s.a.beside(path)
	}
	s.table.Set("access_log", path, d.at)
	format := ""
	for i, w := range d.args[1:] {
		name, _, isOption := strings.Cut(w.text, "=")
		switch {
		case i == 0 && !isOption:
			format = w.text
		case name == "buffer" || name == "flush":
			s.a.note(&directive{name: "access_log … " + name, at: w.at}, "lines are written within a second, or by 64 KiB")
		case name == "gzip":
			s.a.problem(w.at, "access_log with gzip is not carried over", "have what rotates the log compress it")
		case name == "if":
			s.a.problem(w.at, "access_log with a condition is not carried over: a log has every request", "leave it out, or filter the log when it is read")
		default:
			s.a.problem(w.at, fmt.Sprintf("invalid parameter %q", w.text), "")
		}
	}
	if format == "" || format == "combined" {
		s.table.Set("log_format", combined, d.at)
		return
	}
	f := s.a.formats[format]
	if f == nil {
		s.a.problem(d.argAt(1), fmt.Sprintf("unknown log format %q", format), "write log_format in http")
		return
	}
	if text, ok := s.format(f); ok {
		s.table.Set("log_format", text, f.at)
	}
}

// combined is nginx's own format: millrace's has the request's id behind it.
const combined = `{client} - {user} [{time}] "{request}" {status} {bytes} "{header.Referer}" "{header.User-Agent}"`

// format is a log_format.
func (s *site) format(d *directive) (string, bool) {
	var text strings.Builder
	at := d.argAt(1)
	for _, w := range d.args[1:] {
		if strings.HasPrefix(w.text, "escape=") {
			if w.text == "escape=none" {
				s.a.problem(w.at, "log_format with escape=none is not carried over: a client could write lines of its own", "leave it out")
			}
			continue
		}
		text.WriteString(w.text)
	}
	sc := scope{site: s, level: s.level, names: s.names}
	return sc.expand(word{text: text.String(), at: at}, forLog)
}
