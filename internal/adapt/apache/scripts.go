package apache

// Handlers: scripts of PHP, CGI programs and FastCGI programs among files.

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

// handlerName is the handler that a directive sets, or the type that is one.
func handlerName(d *directive) string {
	name := d.arg(0)
	if strings.HasPrefix(strings.ToLower(name), "application/x-httpd-php") && !strings.HasSuffix(strings.ToLower(name), "-source") || strings.HasPrefix(strings.ToLower(name), "php") && strings.HasSuffix(strings.ToLower(name), "-script") || strings.EqualFold(name, "x-httpd-php") {
		return "php"
	}
	if strings.EqualFold(name, "fastcgi-script") {
		return "fcgid-script"
	}
	if strings.HasPrefix(strings.ToLower(name), "proxy:") {
		return name
	}
	return strings.ToLower(name)
}

// byHandler are the extensions of an area, by their handlers.
type byHandler struct {
	d    *directive
	exts []string
}

func (c *conf) byHandler() (all []*byHandler) {
	find := map[string]*byHandler{}
	add := func(ext string, d *directive) {
		name := handlerName(d)
		h := find[name]
		if h == nil {
			h = &byHandler{d: d}
			find[name], all = h, append(all, h)
		}
		if !slices.Contains(h.exts, ext) {
			h.exts = append(h.exts, ext)
		}
	}
	byName := c.handler == nil // SetHandler goes before AddHandler
	exts := sortedKeys(c.forced)
	if byName {
		exts = append(exts, sortedKeys(c.handlers)...)
		exts = append(exts, sortedKeys(c.types)...)
	}
	slices.Sort(exts)
	for _, ext := range slices.Compact(exts) {
		switch d := c.handlers[ext]; {
		case c.forced[ext] != nil:
			add(ext, c.forced[ext])
		case d != nil && byName:
			add(ext, d)
		case byName && handlerName(c.types[ext]) == "php":
			add(ext, c.types[ext])
		}
	}
	return all
}

// scripts emits the routes of the scripts in an area, and returns their
// extensions.
func (l *lowering) scripts(a area, c *conf, on cond, guard pairs) []string {
	var taken []string
	if l.guessPHP && c.handlers["php"] == nil && c.forced["php"] == nil && c.types["php"] == nil && a.m.folder != "" {
		c = c.clone()
		c.handlers["php"] = &directive{name: "addhandler", known: directives["addhandler"], place: placeOf(a.m.d), args: []arg{{text: "php-script"}, {text: ".php"}}}
	}
	for _, h := range c.byHandler() {
		name := handlerName(h.d)
		switch {
		case a.m.file != "" && !slices.Contains(h.exts, extension(path.Ext(a.m.file))):
			continue // one file, of another kind
		case name == "php" && c.engineOff():
			b := status(h.d.place, 403)
			b.comments = []string{"PHP's engine is off here; Apache would send what is in the scripts"}
			l.site.emit(l.narrowed(on, extensionExpr(h.exts), h.d), b)
		case name == "php", strings.HasPrefix(name, "proxy:"):
			l.script(a, c, on, guard, h, name)
		case name == "fcgid-script":
			if !c.has(optCGI) {
				l.forbidden(on, h)
				break
			}
			l.fcgid(a, c, on, guard, h)
		case name == "cgi-script":
			if !c.has(optCGI) {
				l.forbidden(on, h)
				break
			}
			l.cgi(a, c, on, guard, h)
		case name == "wsgi-script":
			l.wsgiFolder(a, c, on, guard, h)
		case name == "type-map":
			continue // Debian's mime.conf has it; a .var is a file like others
		case name == "default-handler":
			continue
		default:
			l.refuse(h.d, fmt.Sprintf("%s %s: the handler is not carried over", h.d.known.name, h.d.arg(0)), "there are cgi-script, fcgid-script, wsgi-script, PHP's and proxy:…")
		}
		taken = append(taken, h.exts...)
	}
	l.withinName(c, on, taken)
	if a.m.kind == isFiles && !l.read.whole && c.handlerOf("php") == nil && c.types["php"] == nil && c.handler == nil && l.site.hasPHP(l) {
		b := status(placeOf(a.m.d), 403)
		b.comments = []string{"who runs PHP is not said here: scripts are not run, and what is in them is not sent"}
		l.site.emit(l.narrowed(on, `(?i)\.ph(?:p|tml|ar)(?:/|$)`, a.m.d), b)
	}
	return taken
}

// hasPHP reports whether there are scripts of PHP among the files.
func (s *site) hasPHP(l *lowering) bool {
	if s.seen == nil {
		s.seen = l.extensionsIn(s)
	}
	return s.seen["php"] || s.seen["phtml"] || s.seen["phar"]
}

// withinName is names that have the extension of a script before another one:
// AddHandler is for them, too. They are not run here, and their source is not sent.
func (l *lowering) withinName(c *conf, on cond, exts []string) {
	var inner []string
	var d *directive
	for _, ext := range exts {
		if c.forced[ext] != nil {
			continue
		}
		inner = append(inner, quoteMeta(ext))
		if d = c.handlers[ext]; d == nil {
			d = c.types[ext]
		}
	}
	if d == nil {
		return
	}
	b := status(d.place, 403)
	b.comments = []string{"to Apache a script as well, which is not run by this name, and not sent"}
	l.site.emit(l.narrowed(on, `(?i)\.(?:`+strings.Join(inner, "|")+`)\.[^/]*(?:/|$)`, d), b)
}

// handlerOf is the handler of an extension; nil: there is none.
func (c *conf) handlerOf(ext string) *directive {
	if d := c.forced[extension(ext)]; d != nil {
		return d
	}
	return c.handlers[extension(ext)]
}

// engineOff reports whether PHP's engine is switched off.
func (c *conf) engineOff() bool {
	d := c.single["php engine"]
	return d != nil && slices.Contains([]string{"off", "0", "no", "false"}, strings.ToLower(d.arg(1)))
}

// oneScript is Alias of one file that a handler runs, by the extension of the file
// and not of the path. False: it is a file like others, or its path tells as much.
func (l *lowering) oneScript(a area, c *conf, on cond, guard pairs) bool {
	of := extension(path.Ext(a.m.file))
	all := c.byHandler()
	i := slices.IndexFunc(all, func(h *byHandler) bool { return slices.Contains(h.exts, of) })
	if i < 0 {
		if names := strings.Split(a.m.file, "."); slices.ContainsFunc(names[1:], func(e string) bool { return c.handlers[extension(e)] != nil }) {
			l.refuse(a.m.d, a.m.d.known.name+" of one file that has the extension of a script in its name", "rename the file")
			return true
		}
		if of == "php" && l.guessPHP && extension(path.Ext(a.m.prefix)) != of {
			l.refuse(a.m.d, a.m.d.known.name+" of one file of PHP", "alias the folder that it is in")
			return true
		}
		return false
	}
	h := all[i]
	switch name := handlerName(h.d); {
	case name == "type-map", name == "default-handler":
		return false
	case name == "php", strings.HasPrefix(name, "proxy:"):
		if extension(path.Ext(a.m.prefix)) == of {
			return false
		}
	case name == "fcgid-script", name == "cgi-script":
		if !c.has(optCGI) {
			b := status(h.d.place, 403)
			b.comments = []string{"Options ExecCGI is off here"}
			l.site.emit(on, b)
			return true
		}
		if l.fcgidFile(a, c, on, guard) {
			return true
		}
	}
	l.refuse(a.m.d, fmt.Sprintf("%s of one file that %s runs", a.m.d.known.name, handlerName(h.d)), "alias the folder that it is in")
	return true
}

// forbidden is scripts where Options has no ExecCGI.
func (l *lowering) forbidden(on cond, h *byHandler) {
	of := l.narrowed(on, extensionExpr(h.exts), h.d)
	b := status(h.d.place, 403)
	b.comments = []string{"Options ExecCGI is off here"}
	l.site.emit(of, b)
}

// extensionExpr is an expression for names with some extensions.
func extensionExpr(exts []string) string {
	var parts []string
	for _, e := range exts {
		parts = append(parts, quoteMeta(e))
	}
	if len(parts) == 1 {
		return `(?i)\.` + parts[0] + `(?:/|$)`
	}
	return `(?i)\.(?:` + strings.Join(parts, "|") + `)(?:/|$)`
}

// narrowed has an expression hold beside a condition.
func (l *lowering) narrowed(on cond, expr string, d *directive) cond {
	of := on.clone()
	if !of.match(expr) {
		l.once(d, d.known.name+" beside more sections for the same paths than one route can hold", "join those that say the same")
	}
	return of
}

// script is a route of scripts that an app or back ends run.
func (l *lowering) script(a area, c *conf, on cond, guard pairs, h *byHandler, handler string) {
	var runs pairs
	kind := "fastcgi"
	root := ""
	if handler == "php" {
		runs.set("app", l.php(h.d, c), h.d.place)
	} else {
		name, protocol, ok := l.upstreamOf(h.d, strings.TrimPrefix(handler, "proxy:"), nil)
		if !ok {
			return
		}
		runs.set("upstream", name, h.d.place)
		if kind = protocol; protocol == "http" || protocol == "https" || protocol == "ajp" {
			of := l.narrowed(on, extensionExpr(h.exts), h.d)
			b := body{at: h.d.place, keys: runs}
			b.keys = append(append(b.keys, guard...), l.around(c, "upstream", kind)...)
			l.site.emit(of, b)
			return
		}
	}
	if a.m.kind == isVirtual {
		l.refuse(h.d, "scripts below VirtualDocumentRoot: their folder is another for each host", "write a <VirtualHost> for each")
		return
	}
	root = a.m.folder
	emit := func(of cond, index string) {
		var p pairs
		p.set("root", root, placeOf(a.m.d))
		exts := []string{}
		for _, e := range h.exts {
			exts = append(exts, "."+e)
		}
		if !slices.Equal(exts, []string{".php"}) {
			p.set("extensions", exts, h.d.place)
		}
		if index != "index.php" {
			p.set("index", index, h.d.place)
		}
		if c.has(optFollow) {
			p.set("follow_symlinks", true, placeOf(c.optionsAt))
		}
		b := body{at: h.d.place}
		b.keys = append(b.keys, runs...)
		b.keys.set("script", p.inline(), h.d.place)
		if mount := strings.TrimSuffix(a.m.prefix, "/"); mount != "" && a.m.expr == "" && a.m.file == "" {
			b.keys.set("mount", mount, placeOf(a.m.d))
		}
		if a.m.expr != "" || a.m.file != "" {
			to := a.m.to
			if a.m.file != "" {
				to = "/" + document.Literal(a.m.file)
			}
			b.keys.set("rewrite", to, placeOf(a.m.d))
		}
		b.keys = append(append(b.keys, guard...), l.around(c, "app", kind)...)
		if runs[0].name == "app" && handler == "php" {
			b.comments = append(b.comments, "PHP runs in php-cgi, in place of a module of Apache's")
		}
		l.site.emit(of, b)
	}
	var before []string
	for _, name := range c.indexes() {
		ext := strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))
		if !slices.Contains(h.exts, ext) {
			before = append(before, name)
			continue
		}
		text, ok := a.m.fileText()
		if len(before) == 0 || !ok || strings.Contains(name, "/") {
			emit(on, name)
			return
		}
		emit(on, "")
		of := l.narrowed(on, "/$", h.d)
		for _, file := range before {
			of.exists.set(text+file, "none", h.d.place)
		}
		emit(of, name)
		return
	}
	emit(on, "")
}

// cgi is programs among files, by their extensions.
func (l *lowering) cgi(a area, c *conf, on cond, guard pairs, h *byHandler) {
	var p pairs
	p.set("root", a.m.folder, placeOf(a.m.d))
	if strip := strings.TrimSuffix(a.m.prefix, "/"); strip != "" {
		p.set("strip", strip, placeOf(a.m.d))
	}
	var exts []string
	for _, e := range h.exts {
		exts = append(exts, "."+e)
	}
	if h.exts != nil {
		p.set("extensions", exts, h.d.place)
	}
	for _, name := range c.indexes() {
		if slices.Contains(exts, strings.ToLower(path.Ext(name))) {
			p.set("index", name, h.d.place)
			break
		}
	}
	l.cgiKeys(c, &p)
	b := answer(h.d.place, "cgi", p.inline())
	b.keys = append(append(b.keys, guard...), l.around(c, "cgi", "")...)
	l.site.emit(on, b)
}

// fcgid is FastCGI programs among files: those that are there now, or with
// FcgidWrapper one program for all.
func (l *lowering) fcgid(a area, c *conf, on cond, guard pairs, h *byHandler) {
	var plain []string
	for _, ext := range h.exts {
		w := c.fcgid[ext]
		if w == nil {
			w = c.fcgid[""]
		}
		if w == nil {
			plain = append(plain, ext)
			continue
		}
		name := l.wrapper(w, c)
		l.wrapped(a, c, on, guard, &byHandler{h.d, []string{ext}}, name)
	}
	if len(plain) > 0 {
		l.fcgidFolder(a, c, on, guard, plain)
	}
}

// wrapped is scripts that a FcgidWrapper runs.
func (l *lowering) wrapped(a area, c *conf, on cond, guard pairs, h *byHandler, app string) {
	var p pairs
	p.set("root", a.m.folder, placeOf(a.m.d))
	if h.exts[0] != "php" {
		p.set("extensions", []string{"." + h.exts[0]}, h.d.place)
	}
	index := ""
	for _, name := range c.indexes() {
		if strings.EqualFold(path.Ext(name), "."+h.exts[0]) {
			index = name
			break
		}
	}
	if index != "index.php" {
		p.set("index", index, h.d.place)
	}
	if c.has(optFollow) {
		p.set("follow_symlinks", true, placeOf(c.optionsAt))
	}
	b := answer(h.d.place, "app", app)
	b.keys.set("script", p.inline(), h.d.place)
	if mount := strings.TrimSuffix(a.m.prefix, "/"); mount != "" {
		b.keys.set("mount", mount, placeOf(a.m.d))
	}
	b.keys = append(append(b.keys, guard...), l.around(c, "app", "fastcgi")...)
	l.site.emit(on, b)
}

// fcgidFolder is a route for each FastCGI program of a folder that is there.
func (l *lowering) fcgidFolder(a area, c *conf, on cond, guard pairs, exts []string) {
	folder, base := a.folder, strings.TrimSuffix(a.prefix, "/")
	var found []string
	budget := 20000
	err := filepath.WalkDir(folder, func(file string, e os.DirEntry, err error) error {
		if budget--; budget < 0 {
			return filepath.SkipAll
		}
		if err != nil || e.IsDir() {
			return nil
		}
		ext := strings.ToLower(strings.TrimPrefix(filepath.Ext(file), "."))
		if exts == nil || slices.Contains(exts, ext) {
			found = append(found, strings.TrimPrefix(file, folder))
		}
		return nil
	})
	if err != nil || len(found) == 0 {
		d := a.m.d
		if c.handler != nil {
			d = c.handler
		}
		if exts != nil {
			d = c.handlerOf(exts[0])
		}
		l.refuse(d, fmt.Sprintf("no FastCGI program is in %s: each becomes an app of its own", folder), "put the programs there first")
		return
	}
	for _, file := range found {
		l.fcgidRoute(a, c, on, guard, base+file, folder+file)
	}
}

// fcgidRoute is the route of one FastCGI program.
func (l *lowering) fcgidRoute(a area, c *conf, on cond, guard pairs, url, file string) {
	s := l.site
	d := a.m.d
	if h := c.handlerOf(path.Ext(file)); h != nil {
		d = h
	}
	of := at(url, placeOf(d))
	of.client, of.method = on.client, on.method
	b := answer(placeOf(d), "app", l.program(d, c, []string{file}, path.Base(file)))
	b.keys.set("mount", url, placeOf(d))
	b.keys = append(append(b.keys, guard...), l.around(c, "app", "fastcgi")...)
	s.emit(of, b)
	for _, name := range c.indexes() { // it answers for its folder
		if name == path.Base(file) {
			is := cond{path: strings.TrimSuffix(url, name), at: placeOf(d)}
			var p pairs
			p.set("to", document.Literal(url), placeOf(d))
			p.set("repeat", true, placeOf(d))
			s.emit(is, answer(placeOf(d), "rewrite", p.inline()))
		}
	}
}

// fcgidFile is ScriptAlias of one FastCGI program.
func (l *lowering) fcgidFile(a area, c *conf, on cond, guard pairs) bool {
	h := c.handlerOf(path.Ext(a.m.file))
	if h == nil || handlerName(h) != "fcgid-script" {
		if path.Ext(a.m.file) != ".fcgi" {
			return false
		}
	}
	b := answer(placeOf(a.m.d), "app", l.program(a.m.d, c, []string{a.m.folder + "/" + a.m.file}, a.m.file))
	if a.m.prefix != "" && a.m.prefix != "/" {
		b.keys.set("mount", a.m.prefix, placeOf(a.m.d))
	}
	b.keys = append(append(b.keys, guard...), l.around(c, "app", "fastcgi")...)
	l.site.emit(on, b)
	return true
}

// handlerOfAll is SetHandler for all of an area. False: files answer.
func (l *lowering) handlerOfAll(a area, c *conf, on cond, guard pairs) bool {
	d := c.handler
	name := handlerName(d)
	b := body{at: d.place}
	switch {
	case name == "server-status":
		b.keys.set("status", true, d.place)
		b.keys = append(b.keys, guard...)
		l.site.emit(on, b)
	case name == "default-handler", name == "none", name == "":
		return false
	case name == "cgi-script":
		if !c.has(optCGI) {
			l.site.emit(on, status(d.place, 403))
			return true
		}
		l.cgi(a, c, on, guard, &byHandler{d: d})
		l.site.emit(on, status(d.place, 404)) // what is no program is no file either
	case name == "fcgid-script":
		l.fcgidFolder(a, c, on, guard, nil)
	case name == "wsgi-script":
		l.wsgiFolder(a, c, on, guard, &byHandler{d: d})
	case strings.HasPrefix(name, "proxy:"):
		up, protocol, ok := l.upstreamOf(d, strings.TrimPrefix(name, "proxy:"), nil)
		if !ok {
			return true
		}
		b.keys.set("upstream", up, d.place)
		b.keys = append(b.keys, guard...)
		around := l.around(c, "upstream", protocol)
		if protocol == "fastcgi" && a.m.folder != "" {
			if text, ok := a.m.fileText(); ok {
				around = withParam(around, "SCRIPT_FILENAME", text, d.place)
			}
		}
		b.keys = append(b.keys, around...)
		l.site.emit(on, b)
	case name == "php":
		l.refuse(d, "SetHandler of PHP for files of all kinds", `write it within <FilesMatch "\.php$">`)
	default:
		l.refuse(d, fmt.Sprintf("SetHandler %s: the handler is not carried over", d.arg(0)), "there are cgi-script, fcgid-script, wsgi-script, server-status, PHP's and proxy:…")
	}
	return true
}

func withParam(list pairs, name, value string, at document.Place) pairs {
	if t, ok := list.get("params").(*document.Table); ok {
		t.Set(name, value, at)
		return list
	}
	t := document.Inline()
	t.Set(name, value, at)
	list.set("params", t, at)
	return list
}
