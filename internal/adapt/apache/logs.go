package apache

// Access logs, and what a line of theirs looks like.

import (
	"fmt"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

func (l *lowering) errorLog(t *document.Table, d *directive) {
	switch to := d.arg(0); {
	case strings.HasPrefix(to, "|"), strings.HasPrefix(to, "syslog"), len(d.args) > 1:
		l.refuse(d, fmt.Sprintf("ErrorLog %s: a log is a file, or the standard error", short(to)), "name a file, or take it out and let what starts millrace read its standard error")
	case to == "/dev/stderr":
	default:
		t.Set("error_log", l.path(to), d.place)
	}
}

// logs are CustomLog and its kin.
func (l *lowering) logs(s *site) {
	formats := map[string]string{
		"common": `%h %l %u %t "%r" %>s %b`, "combined": `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`,
	}
	known := map[string]bool{}
	plain := ""
	for _, d := range s.both() {
		if d.name == "logformat" {
			if len(d.args) == 2 {
				formats[d.arg(1)] = d.arg(0)
				known[d.arg(1)] = true
			} else {
				plain = d.arg(0)
			}
		}
	}
	var log *directive
	of := s.own
	if !slices.ContainsFunc(of, func(d *directive) bool { return d.name == "customlog" || d.name == "transferlog" }) {
		of = s.main
	}
	for _, d := range of {
		if d.name != "customlog" && d.name != "transferlog" {
			continue
		}
		if log != nil {
			l.refuse(d, d.known.name+": a second access log of the site", "keep one; json has all that can be told of a request")
			continue
		}
		log = d
	}
	if s.at != nil {
		for _, d := range s.own {
			if d.name == "errorlog" && l.doc.Table("server", document.Place{}).Get("error_log") != l.path(d.arg(0)) {
				s.note(d, "errors of all sites are in one log, each with its request")
			}
		}
	}
	if log == nil {
		return
	}
	if to := log.arg(0); strings.HasPrefix(to, "|") || strings.HasPrefix(to, "syslog") {
		l.refuse(log, fmt.Sprintf("%s %s: a log is a file", log.known.name, short(to)), "name a file; access_log_max_size renames it when it is long, and SIGUSR1 opens it anew")
		return
	}
	if len(log.args) > 2 && !strings.EqualFold(log.arg(2), "env=!dontlog") {
		l.refuse(log, fmt.Sprintf("%s … %s: some requests only", log.known.name, log.arg(2)), "log them all, and leave them out when you read it")
		return
	}
	to := l.path(log.arg(0))
	if log.arg(0) == "/dev/stdout" || log.arg(0) == "/proc/self/fd/1" {
		to = "-"
	}
	s.table.Set("access_log", to, log.place)
	format := plain
	if format == "" {
		format = formats["common"]
	}
	if log.name == "customlog" {
		format = log.arg(1)
		if named, ok := formats[format]; ok {
			format = named
		} else if !strings.Contains(format, "%") {
			l.refuse(log, fmt.Sprintf("CustomLog: there is no LogFormat %s", format), "define it above, or write the format itself")
			return
		}
	}
	text, ok := l.logFormat(log, format)
	if ok {
		s.table.Set("log_format", text, log.place)
	}
}

// logFormat is a LogFormat as a text with placeholders.
func (l *lowering) logFormat(d *directive, format string) (string, bool) {
	names := map[string]string{
		"h": "{client}", "a": "{client}", "l": "-", "u": "{user}", "t": "[{time}]", "r": "{request}", "s": "{status}", "b": "{bytes}", "B": "{bytes}", "O": "{bytes}",
		"m": "{method}", "U": "{path}", "H": "{protocol}", "v": "{site}", "V": "{host}", "p": "{port}", "T": "{duration}", "L": "{request_id}", "%": "%",
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c == '\\' && i+1 < len(format) {
			i++
			switch format[i] {
			case 't':
				b.WriteByte('\t')
			case 'n':
			default:
				b.WriteString(fixed(format[i], false))
			}
			continue
		}
		if c != '%' {
			b.WriteString(fixed(c, false))
			continue
		}
		i++
		name := ""
		for i < len(format) && strings.IndexByte("<>!,0123456789", format[i]) >= 0 {
			i++
		}
		if i < len(format) && format[i] == '{' {
			if end := strings.IndexByte(format[i:], '}'); end > 0 {
				name = format[i+1 : i+end]
				i += end + 1
			}
		}
		if i >= len(format) {
			break
		}
		value := names[format[i:i+1]]
		switch kind := format[i]; {
		case name == "":
		case kind == 'i' && isToken(name):
			value = "{header." + name + "}"
		case kind == 'o' && isToken(name):
			value = "{response." + name + "}"
		case kind == 'C' && isToken(name):
			value = "{cookie." + name + "}"
		case kind == 'T' && name == "ms":
			value = "{request_time_ms}"
		case kind == 'x' && variables["SSL:"+name] != "":
			value = variables["SSL:"+name]
		case kind == 'e' && name == "UNIQUE_ID":
			value = "{request_id}"
		case kind == 'p':
		case kind == 't' && name == "sec":
			value = "{time_unix}"
		default:
			value = ""
		}
		switch {
		case value == "" && format[i] == 'q':
			value = "{map.log_query}"
			l.logQuery(d)
		case value == "":
			l.refuse(d, fmt.Sprintf("LogFormat: %%%s%c is not known of a request", map[bool]string{true: "{" + name + "}", false: ""}[name != ""], format[i]), "docs/access-log.md has what a log knows")
			return "", false
		}
		b.WriteString(value)
	}
	return b.String(), true
}

// logQuery is the map of %q: the query with its "?".
func (l *lowering) logQuery(d *directive) {
	l.refuse(d, "LogFormat: %q alone is not known of a request", "write %U%q as %r, which has both")
}
