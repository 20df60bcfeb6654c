package lighttpd

// This file: programs of bin-path, as [app.NAME].

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// app writes [app.NAME], for a program of bin-path.
func (l *lowering) app(g *gateway, s *setting, v *value, times int, all []known) string {
	bin := v.get("bin-path")
	command := words(bin.text)
	if g.module == "scgi" { // whose programs a shell starts
		command = []string{"/bin/sh", "-c", "exec " + bin.text}
	}
	if len(command) == 0 {
		l.problems.Add(bin.at, "bin-path in "+s.name+" is empty", "write the path of the program")
		return "-"
	}
	name, fresh := l.nameOf("app", filepath.Base(words(bin.text)[0]), content(g.module, []item{{value: v}}, fmt.Sprint(times)))
	if !fresh {
		return name
	}
	t := l.document.Table("app", g.at).Table(name, g.at)
	t.Set("command", command, bin.at)
	if g.module != "fastcgi" {
		t.Set("protocol", g.module, g.at)
	}
	t.Set("dir", absolute("."), g.at)
	l.processes(t, v, times)
	env := document.Inline()
	if list := v.get("bin-copy-environment"); list != nil {
		for _, of := range list.items {
			if text, ok := l.options.Getenv(of.value.string()); ok {
				env.Set(of.value.string(), text, of.at)
			} else {
				t.Comment("the environment has no " + of.value.string() + ", which bin-copy-environment names")
			}
		}
	}
	if list := v.get("bin-environment"); list != nil {
		for _, of := range list.items {
			env.Set(of.key, of.value.string(), of.at)
		}
	}
	if !env.Empty() {
		t.Set("env", env, g.at)
	}
	t.Comment("lighttpd waits for an answer without end")
	timeout := "0s"
	if of := v.get("read-timeout"); of != nil && number(of) > 0 {
		timeout = fmt.Sprintf("%ds", number(of))
	}
	t.Set("request_timeout", timeout, g.at)
	for _, key := range []string{"socket", "host", "port"} {
		if of := v.get(key); of != nil {
			t.Comment(place(of.at) + ": " + key + " is left out: processes have sockets of their own")
		}
	}
	for _, left := range [][2]string{{"kill-signal", "processes are asked to end by TERM"}, {"max-load-per-proc", "a process gets a request when it is free"}, {"listen-backlog", "requests wait here, not at a socket"}, {"idle-timeout", "processes that are not needed any more go by themselves"}, unwritten, halves} {
		if of := v.get(left[0]); of != nil {
			t.Comment(place(of.at) + ": " + left[0] + " is left out: " + left[1])
		}
	}
	return name
}

// processes writes how many there are. PHP_FCGI_CHILDREN makes each answer several
// requests at a time.
func (l *lowering) processes(t *document.Table, v *value, times int) {
	least, most := int64(4), int64(4)
	at := t.Place()
	if of := v.get("min-procs"); of != nil {
		least, at = number(of), of.at
	}
	if of := v.get("max-procs"); of != nil {
		most, at = number(of), of.at
	}
	most = max(1, most) * int64(times)
	least = min(max(0, least)*int64(times), most)
	if least == most {
		t.Set("workers", int(most), at)
	} else {
		t.Set("max_children", int(most), at)
		t.Set("min_spare", int(max(1, least)), at)
		t.Set("max_spare", int(max(1, least, min(most, 5))), at)
	}
	env := v.get("bin-environment")
	if env == nil {
		return
	}
	if of := env.get("PHP_FCGI_CHILDREN"); of != nil {
		if n, err := strconv.Atoi(of.string()); err == nil && n > 1 && n <= 1000 {
			t.Set("concurrency", n, of.at)
		}
	}
}

// words parts a command as lighttpd does: at blanks, with \ before one that is meant.
func words(command string) []string {
	var out []string
	var b strings.Builder
	in := false
	for i := 0; i < len(command); i++ {
		switch c := command[i]; {
		case c == '\\' && i+1 < len(command):
			i++
			b.WriteByte(command[i])
			in = true
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			if in {
				out = append(out, b.String())
				b.Reset()
			}
			in = false
		default:
			b.WriteByte(c)
			in = true
		}
	}
	if in {
		out = append(out, b.String())
	}
	return out
}

// isFile reports whether a path is a plain file now.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// place is where something stands, for a comment.
func place(at document.Place) string {
	return filepath.Base(at.File) + ":" + strconv.Itoa(at.Line)
}
