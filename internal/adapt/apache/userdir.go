package apache

// UserDir.

import (
	"path"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

// userDir is UserDir.
func (l *lowering) userDir(a area, c *conf, on cond, guard pairs) {
	d := a.m.d
	folder := d.arg(0)
	if strings.HasPrefix(folder, "/") || strings.Contains(folder, "*") || strings.Contains(folder, "://") {
		rest, ok := strings.CutPrefix(folder, "/home/*/")
		if !ok {
			l.refuse(d, "UserDir "+folder+": the folders of users are within their homes", "write UserDir public_html")
			return
		}
		folder = rest
	}
	var p pairs
	if folder != "public_html" {
		p.set("folder", folder, d.place)
	}
	var enabled, disabled []string
	all := true
	for _, u := range l.site.both() {
		if u.name != "userdir" || len(u.args) == 0 {
			continue
		}
		names := u.texts()[1:]
		switch strings.ToLower(u.arg(0)) {
		case "disabled":
			all = all && len(names) > 0
			disabled = append(disabled, names...)
		case "enabled":
			enabled = append(enabled, names...)
		}
	}
	disabled = slices.DeleteFunc(disabled, func(n string) bool { return n == "root" })
	if !all {
		if len(enabled) == 0 {
			l.site.emit(on, status(d.place, 404))
			return
		}
		p.set("enabled", enabled, d.place)
	}
	if len(disabled) > 0 {
		p.set("disabled", disabled, d.place)
	}
	if index := c.indexes(); !slices.Equal(index, []string{"index.html"}) {
		var files []string
		for _, i := range index {
			ext := extension(path.Ext(i))
			if h := c.handlerOf(ext); h == nil && !strings.HasPrefix(i, "/") {
				files = append(files, i)
			}
		}
		p.set("index", append([]string{}, files...), d.place)
	}
	if c.has(optIndexes) {
		p.set("listing", l.listing(a, c), placeOf(c.optionsAt))
	}
	if c.handler != nil && handlerName(c.handler) != "default-handler" {
		l.refuse(c.handler, "SetHandler for the folders of users", "write AddHandler with the extensions of their programs")
	}
	var exts []string
	for _, h := range c.byHandler() {
		switch name := handlerName(h.d); {
		case (name == "cgi-script" || name == "fcgid-script") && c.has(optCGI):
			for _, e := range h.exts {
				exts = append(exts, "."+e)
			}
			if name == "fcgid-script" {
				l.site.table.Comment("FastCGI programs in the folders of users are started for each request, as CGI programs: each of them speaks both")
			}
		case name == "cgi-script" || name == "fcgid-script":
			l.forbidden(on, h)
		case name == "php" || strings.HasPrefix(name, "proxy:"):
			l.refuse(h.d, "PHP in the folders of users", "PHP is run below folders that are known when millrace starts")
		}
	}
	if len(exts) > 0 {
		cgi := document.Inline()
		cgi.Set("extensions", exts, placeOf(c.optionsAt))
		if !l.read.whole || l.read.loaded["suexec_module"] {
			cgi.Set("as_owner", true, placeOf(c.optionsAt)) // as suexec does
		}
		p.set("cgi", cgi, placeOf(c.optionsAt))
	}
	var taken []string
	for _, e := range exts {
		taken = append(taken, extension(e))
	}
	l.withinName(c, on, taken)
	b := answer(d.place, "user_dirs", p.inline())
	b.keys = append(append(b.keys, guard...), l.around(c, "files", "")...)
	l.site.emit(on, b)
}

// usersFolder is the folder within the homes.
func usersFolder(d *directive) string {
	folder, _ := strings.CutPrefix(d.arg(0), "/home/*/")
	return strings.Trim(folder, "/")
}
