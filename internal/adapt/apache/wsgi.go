package apache

// Apps: WSGI scripts of mod_wsgi, programs of mod_fcgid, and PHP.

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// wsgiMapping notes a WSGIScriptAlias.
func (l *lowering) wsgiMapping(s *site, d *directive) {
	if strings.HasSuffix(d.name, "match") {
		l.refuse(d, "WSGIScriptAliasMatch: the script is another for each request", "write WSGIScriptAlias for each")
		return
	}
	file := l.path(d.arg(1))
	if strings.HasSuffix(d.arg(1), "/") {
		l.refuse(d, "WSGIScriptAlias of a folder: the scripts are not known before a request", "write WSGIScriptAlias for each script")
		return
	}
	prefix := d.arg(0)
	if prefix != "/" {
		prefix = strings.TrimRight(prefix, "/")
	}
	s.mappings = append(s.mappings, &mapping{kind: isWSGI, d: d, prefix: prefix, folder: path.Dir(file), file: "", to: path.Base(file)})
}

// wsgiRoute is the route of a WSGI script.
func (l *lowering) wsgiRoute(a area, c *conf, on cond, guard pairs) {
	d := a.m.d
	file := a.m.folder + "/" + a.m.to
	group := c.text("wsgiprocessgroup")
	callable := "application"
	if name := c.text("wsgicallableobject"); name != "" {
		callable = name
	}
	for _, w := range d.texts()[2:] {
		k, v, _ := strings.Cut(w, "=")
		switch strings.ToLower(k) {
		case "process-group":
			group = v
		case "callable-object":
			callable = v
		case "application-group":
		default:
			l.refuse(d, "Invalid option to WSGI script alias definition: "+w, "it takes process-group, application-group and callable-object")
		}
	}
	b := answer(d.place, "app", l.wsgiApp(d, c, group, file, callable))
	if a.m.prefix != "/" {
		b.keys.set("mount", a.m.prefix, d.place)
	}
	b.keys = append(append(b.keys, guard...), l.around(c, "app", "wsgi")...)
	l.site.emit(on, b)
}

// wsgiApp is the [app.NAME] of a script.
func (l *lowering) wsgiApp(d *directive, c *conf, group, file, callable string) string {
	if group == "%{GLOBAL}" {
		group = ""
	}
	key := "wsgi " + group + " " + file + " " + callable
	if name, ok := l.apps[key]; ok {
		return name
	}
	daemon := l.daemons[group]
	if group != "" && daemon == nil {
		l.refuse(d, fmt.Sprintf("there is no WSGIDaemonProcess %s", group), "define it, outside of <Directory> and <Location>")
		return ""
	}
	wanted := group
	if wanted == "" || l.names[nameOf(wanted)] {
		wanted = strings.TrimSuffix(path.Base(file), path.Ext(file))
		if wanted == "wsgi" || wanted == "django" || wanted == "application" {
			wanted = path.Base(path.Dir(file))
		}
	}
	name := l.name(nameOf(wanted))
	l.apps[key] = name
	t := l.doc.Table("app", d.place).Table(name, d.place)
	base, ext := strings.TrimSuffix(path.Base(file), path.Ext(file)), path.Ext(file)
	if ext != ".py" {
		l.refuse(d, fmt.Sprintf("WSGIScriptAlias: %s is no module that can be imported: its name does not end with .py", file), fmt.Sprintf("rename it to %s.py, or link it: ln -s %s %s.py", base, path.Base(file), file[:len(file)-len(ext)]))
	}
	if !isModule(base) {
		l.refuse(d, fmt.Sprintf("WSGIScriptAlias: %s is no module that can be imported: its name has other characters than letters, digits and _", file), "rename it")
	}
	dir, module := path.Dir(file), base
	var paths []string
	set := map[string]string{}
	if daemon != nil {
		for _, w := range daemon.texts()[1:] {
			k, v, _ := strings.Cut(w, "=")
			set[strings.ToLower(k)] = v
		}
		paths = filepath.SplitList(set["python-path"])
	} else if p := l.site.last("wsgipythonpath"); p != nil {
		paths = filepath.SplitList(p.arg(0))
	}
	var others []string
	for _, p := range paths {
		p = strings.TrimRight(l.path(p), "/")
		if rest, below := strings.CutPrefix(dir+"/", p+"/"); below && module == base && dir != p && isPackages(rest) {
			dir, module = p, strings.ReplaceAll(rest, "/", ".")+base
			continue
		}
		if p != dir {
			others = append(others, p)
		}
	}
	t.Set("wsgi", module+":"+callable, d.place)
	if home := set["home"]; home != "" && home != dir {
		others = append([]string{dir}, others...)
		if strings.Contains(module, ".") {
			others = slices.Compact(others)
		}
		dir = l.path(home)
	}
	t.Set("dir", dir, d.place)
	place := d.place
	if daemon != nil {
		place = daemon.place
	}
	home := set["python-home"]
	if daemon == nil || home == "" {
		if p := l.site.last("wsgipythonhome"); p != nil {
			home = p.arg(0)
		}
	}
	if home != "" {
		t.Set("venv", l.path(home), place)
	}
	env := l.staticEnvOfApp(c)
	if len(others) > 0 {
		env.set("PYTHONPATH", strings.Join(others, ":"), place)
	}
	if lang := set["lang"]; lang != "" {
		env.set("LANG", lang, place)
	}
	if locale := set["locale"]; locale != "" {
		env.set("LC_ALL", locale, place)
	}
	if len(env) > 0 {
		t.Set("env", env.inline(), place)
	}
	if daemon == nil {
		t.Comment("mod_wsgi ran it in Apache's own processes, threads of each; here it has workers of its own")
		t.Set("method", "prefork", place)
		return name
	}
	l.daemon(daemon, set, t)
	return name
}

// isPackages reports whether folders are packages' names.
func isPackages(rest string) bool {
	for part := range strings.SplitSeq(strings.Trim(rest, "/"), "/") {
		if !isModule(part) {
			return false
		}
	}
	return true
}

func isModule(name string) bool {
	return name != "" && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789_") == "" && (name[0] < '0' || name[0] > '9')
}

// daemon is the processes of a WSGIDaemonProcess.
func (l *lowering) daemon(d *directive, set map[string]string, t *document.Table) {
	number := func(key string, without int) int {
		v, there := set[key]
		if !there {
			return without
		}
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			l.refuse(d, fmt.Sprintf("WSGIDaemonProcess: Invalid value for %s: %s", key, v), "write a whole number")
		}
		return n
	}
	processes, threads := max(1, number("processes", 1)), max(1, number("threads", 15))
	switch {
	case threads == 1:
		t.Set("method", "prefork", d.place)
		t.Set("workers", processes, d.place)
	case processes == 1:
		t.Set("method", "threaded", d.place)
		t.Set("workers", threads, d.place)
	default:
		t.Set("method", "threaded", d.place)
		t.Set("threads", threads, d.place)
		t.Set("workers", processes*threads, d.place)
	}
	for _, k := range sortedKeys(set) {
		v := set[k]
		duration := func(key string) {
			if text, ok := l.seconds(d, v, "s"); ok && text != "0s" {
				t.Set(key, text, d.place)
			}
		}
		switch k {
		case "user", "group":
			t.Set(k, strings.TrimPrefix(v, "#"), d.place)
		case "umask":
			t.Set("umask", v, d.place)
		case "maximum-requests":
			if n := number(k, 0); n > 0 {
				t.Set("max_requests", n, d.place)
			}
		case "request-timeout":
			duration("request_timeout")
		case "queue-timeout":
			duration("queue_timeout")
		case "shutdown-timeout", "graceful-timeout":
			duration("stop_timeout")
		case "startup-timeout":
			duration("startup_timeout")
		case "restart-interval":
			duration("max_lifetime")
		case "listen-backlog":
			if n := number(k, 0); n > 0 {
				t.Set("queue", n, d.place)
			}
		case "memory-limit":
			if n := number(k, 0); n > 0 {
				t.Set("max_memory", strconv.Itoa(n)+"B", d.place)
			}
		case "cpu-time-limit", "virtual-memory-limit":
			if n := number(k, 0); n > 0 {
				r := document.Inline()
				if old, ok := t.Get("rlimits").(*document.Table); ok {
					r = old
				}
				r.Set(map[string]string{"cpu-time-limit": "cpu", "virtual-memory-limit": "as"}[k], strconv.Itoa(n), d.place)
				t.Set("rlimits", r, d.place)
			}
		case "chroot":
			t.Set("chroot", l.path(v), d.place)
		case "processes", "threads", "python-home", "python-path", "home", "lang", "locale":
		case "display-name", "inactivity-timeout", "deadlock-timeout", "eviction-timeout", "socket-timeout", "connect-timeout", "response-socket-timeout", "response-buffer-size", "send-buffer-size", "receive-buffer-size", "header-buffer-size", "stack-size", "socket-user", "python-eggs", "cpu-priority", "supplementary-groups", "server-metrics", "proxy-buffer-size", "display-name=%{group}":
			t.Comment(k + ": workers are named, watched and spoken to in a way of millrace's own")
		case "script-user", "script-group", "user-locale":
			l.refuse(d, "WSGIDaemonProcess: "+k, "run the app as the owner: user=NAME")
		default:
			l.refuse(d, "Invalid option to WSGI daemon process definition: "+k, "see the options of WSGIDaemonProcess in mod_wsgi's manual")
		}
	}
}

// wsgiFolder is scripts of AddHandler wsgi-script, those that are there now.
func (l *lowering) wsgiFolder(a area, c *conf, on cond, guard pairs, h *byHandler) {
	if !c.has(optCGI) {
		l.forbidden(on, h)
		return
	}
	entries, _ := os.ReadDir(a.folder)
	found := false
	for _, e := range entries {
		ext := extension(path.Ext(e.Name()))
		if e.IsDir() || h.exts != nil && !slices.Contains(h.exts, ext) {
			continue
		}
		found = true
		file := a.folder + "/" + e.Name()
		url := strings.TrimSuffix(a.prefix, "/") + "/" + e.Name()
		b := answer(h.d.place, "app", l.wsgiApp(h.d, c, c.text("wsgiprocessgroup"), file, "application"))
		b.keys.set("mount", url, h.d.place)
		b.keys = append(append(b.keys, guard...), l.around(c, "app", "wsgi")...)
		l.site.emit(at(url, h.d.place), b)
	}
	if !found {
		l.refuse(h.d, fmt.Sprintf("no WSGI script is in %s: each becomes an app of its own", a.folder), "put the scripts there first, or write WSGIScriptAlias")
	}
}

// program is the [app.NAME] of a FastCGI program.
func (l *lowering) program(d *directive, c *conf, command []string, wanted string) string {
	key := "fcgi " + strings.Join(command, "\x00") + fmt.Sprint(l.site.last("suexecusergroup"))
	if name, ok := l.apps[key]; ok {
		return name
	}
	name := l.name(nameOf(strings.TrimSuffix(wanted, path.Ext(wanted))))
	l.apps[key] = name
	t := l.doc.Table("app", placeOf(d)).Table(name, placeOf(d))
	t.Set("command", command, placeOf(d))
	t.Set("dir", path.Dir(command[0]), placeOf(d))
	l.fcgidKeys(t, c)
	return name
}

// wrapper is the [app.NAME] of a FcgidWrapper.
func (l *lowering) wrapper(d *directive, c *conf) string {
	command := strings.Fields(d.arg(0))
	if len(command) == 0 {
		l.refuse(d, "FcgidWrapper: Invalid wrapper file ", "write the path of the program")
		return ""
	}
	command[0] = l.path(command[0])
	return l.program(d, c, command, path.Base(command[0]))
}

// fcgidKeys are Fcgid…: how many processes there are, and for how long.
func (l *lowering) fcgidKeys(t *document.Table, c *conf) {
	s := l.site
	old := map[string]string{
		"maxprocesscount": "fcgidmaxprocesses", "defaultmaxclassprocesscount": "fcgidmaxprocessesperclass", "defaultminclassprocesscount": "fcgidminprocessesperclass",
		"ipccommtimeout": "fcgidiotimeout", "busytimeout": "fcgidbusytimeout", "idletimeout": "fcgididletimeout", "processlifetime": "fcgidprocesslifetime",
		"maxrequestlen": "fcgidmaxrequestlen", "maxrequestsperprocess": "fcgidmaxrequestsperprocess",
	}
	said := map[string]*directive{}
	for _, d := range s.both() {
		name := d.name
		if is, ok := old[name]; ok {
			name = is
		}
		said[name] = d
	}
	env := l.staticEnvOfApp(c)
	for _, d := range s.both() {
		if d.name == "fcgidinitialenv" || d.name == "defaultinitenv" {
			env.set(d.arg(0), d.arg(1), d.place)
		}
	}
	if len(env) > 0 {
		t.Set("env", env.inline(), env[0].at)
	}
	if d := s.last("suexecusergroup"); d != nil {
		t.Set("user", strings.TrimPrefix(d.arg(0), "#"), d.place)
		t.Set("group", strings.TrimPrefix(d.arg(1), "#"), d.place)
	}
	number := func(name string, set func(n int, d *directive)) {
		d := said[name]
		if d == nil {
			return
		}
		n, err := strconv.Atoi(d.arg(0))
		if err != nil {
			l.refuse(d, fmt.Sprintf("%s: %s is no number", d.known.name, short(d.arg(0))), "write a whole number")
			return
		}
		set(n, d)
	}
	least, most := 3, 100
	place := t.Place()
	number("fcgidminprocessesperclass", func(n int, d *directive) { least = n })
	number("fcgidmaxprocessesperclass", func(n int, d *directive) { most, place = n, d.place })
	number("fcgidmaxprocesses", func(n int, d *directive) { most = min(most, max(1, n)) })
	t.Set("min_spare", max(1, min(least, most)), place)
	t.Set("max_spare", max(1, min(max(least, 5), most)), place)
	t.Set("max_children", most, place)
	number("fcgidmaxrequestsperprocess", func(n int, d *directive) {
		if n > 0 {
			t.Set("max_requests", n, d.place)
		}
	})
	timeout, at := "", place
	number("fcgidiotimeout", func(n int, d *directive) { timeout, at = strconv.Itoa(n)+"s", d.place })
	number("fcgidbusytimeout", func(n int, d *directive) { timeout, at = strconv.Itoa(n)+"s", d.place })
	if timeout == "" {
		timeout = "300s" // FcgidBusyTimeout's default
	}
	t.Set("request_timeout", timeout, at)
	number("fcgidprocesslifetime", func(n int, d *directive) {
		if n > 0 {
			t.Set("max_lifetime", strconv.Itoa(n)+"s", d.place)
		}
	})
	number("fcgidmaxrequestlen", func(n int, d *directive) {
		if n > 0 {
			t.Set("max_body", strconv.Itoa(n)+"B", d.place)
		}
	})
	if said["fcgidmaxrequestlen"] == nil {
		t.Set("max_body", "131072B", place)
		t.Comment("max_body is the default of FcgidMaxRequestLen")
	}
}

// php is the app that runs PHP where Apache had a module.
func (l *lowering) php(d *directive, c *conf) string {
	command := []string{"php-cgi"}
	for _, p := range l.site.both() {
		if strings.HasPrefix(p.name, "php_") {
			command = append(command, "-d", p.arg(0)+"="+p.arg(1))
		}
	}
	for _, k := range sortedKeys(c.single) {
		if p := c.single[k]; strings.HasPrefix(k, "php ") && !slices.Contains(command, p.arg(0)+"="+p.arg(1)) {
			command = append(command, "-d", p.arg(0)+"="+p.arg(1))
		}
	}
	key := "php " + strings.Join(command, "\x00")
	if name, ok := l.apps[key]; ok {
		return name
	}
	name := l.name("php")
	l.apps[key] = name
	t := l.doc.Table("app", d.place).Table(name, d.place)
	t.Set("command", command, d.place)
	t.Set("dir", "/", d.place)
	t.Set("max_requests", 1000, d.place)
	return name
}
