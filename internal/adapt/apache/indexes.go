package apache

// Who may see the file that answers for a folder: Apache asks that of the folder,
// and again of the file.

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// indexes has the paths of folders become those of their index files, where some
// section is for these.
func (l *lowering) indexes(areas []area, sets []*ruleset) {
	if l.site.serverRules != nil {
		sets = append(slices.Clone(sets), l.site.serverRules)
	}
	for i, a := range areas {
		if a.m.kind != isFiles && a.m.kind != isUserDir && a.m.kind != isVirtual || a.m.file != "" {
			continue
		}
		l.indexLocations(a, areas)
		l.indexesOf(a, areas[:i], sets)
	}
}

// indexLocations is those for <Location> of one index file.
func (l *lowering) indexLocations(a area, areas []area) {
	folder, name, _ := cutLast(a.prefix)
	for _, around := range areas {
		if around.prefix == a.prefix || folder != "/" && !inLocation(strings.TrimSuffix(folder, "/"), around.prefix) {
			continue
		}
		c := l.holding(around, nil)
		if i := slices.Index(c.indexes(), name); i >= 0 {
			l.indexRoute(cond{path: folder, at: placeOf(a.m.d)}, a, around, c, l.holding(a, nil), c.indexes()[:i], name, false)
		}
		return
	}
}

func cutLast(path string) (folder, name string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	return path[:i+1], path[i+1:], i >= 0
}

// indexesOf is those for sections that are for the index files of an area.
func (l *lowering) indexesOf(a area, deeper []area, sets []*ruleset) {
	c := l.holding(a, nil)
	all := l.partials(a)
	for i, name := range c.indexes() {
		if strings.Contains(name, "/") {
			continue
		}
		var of, self []partial // for the file, and for its folder
		for _, p := range all {
			folder := strings.TrimSuffix(a.prefix, "/") + "/"
			if p.file {
				folder = a.folder + "/"
			}
			if tried(p.expr, folder) {
				self = append(self, p)
			}
			if tried(p.expr, folder+name) || p.s.kind != "files" && strings.Contains(strings.ReplaceAll(p.expr, `\`, ""), name) {
				of = append(of, p)
			}
		}
		again := a.m.like == nil && a.m.expr == "" && slices.ContainsFunc(sets, func(set *ruleset) bool { return turnsAway(set, name) })
		if len(of)+len(self) == 0 && !again {
			continue
		}
		on := at(a.prefix, placeOf(a.m.d), "/$")
		for _, d := range deeper {
			if inLocation(d.prefix, a.prefix) {
				on.exclude = append(on.exclude, "^"+regexp.QuoteMeta(strings.TrimSuffix(d.prefix, "/"))+"(?:/|$)")
			}
		}
		l.indexRoute(on, a, a, l.holding(a, self), l.holding(a, of), c.indexes()[:i], name, again)
	}
}

// turnsAway reports whether a rule turns a client away from an index file, and not
// from its folder.
func turnsAway(set *ruleset, name string) bool {
	for ; set != nil; set = set.also {
		for _, r := range set.rules {
			expr := strings.TrimPrefix(r.d.arg(0), "!")
			if r.has("nc") {
				expr = "(?i)" + expr
			}
			if set.on && r.turnsAway() && (tried(expr, name) != tried(expr, "") || tried(expr, "/"+name) != tried(expr, "/") || strings.Contains(strings.ReplaceAll(expr, `\`, ""), name) ||
				slices.ContainsFunc(r.conds, func(c condition) bool {
					on := strings.ToUpper(c.d.arg(0))
					return strings.Contains(on, "REQUEST_URI") || strings.Contains(on, "FILENAME")
				})) {
				return true
			}
		}
	}
	return false
}

// indexRoute is the route of one index file, which is asked for what holds for it
// by the routes below. Who may see the folder has been asked, where nobody is
// turned away, or the file lets nobody in.
func (l *lowering) indexRoute(on cond, a, around area, c, with *conf, before []string, name string, again bool) {
	if !again && l.made(around, c) == l.made(around, with) {
		return
	}
	plain, same := l.entry(c)
	e, all := l.entry(with)
	switch {
	case same && all && (plain.open() || e.shut() || sameEntry(e, plain)):
	case same && plain.shut(), same && all && e.open():
		return // the folder asks for more
	default:
		l.once(c.get("directoryindex").or(around.m.d), fmt.Sprintf("%s answers for folders, and others may see it than the folders", name), "write who may in <Directory>, or take the section for the file out")
		return
	}
	if a.m.like != nil {
		l.once(around.m.d, "a section for index files of folders that are not known when millrace starts", "write it into a <Directory> with Options and DirectoryIndex of its own")
		return
	}
	text, expr := a.m.fileOf()
	if expr != "" {
		was := on.regexp
		if on.regexp = expr; was != "" {
			on.match(was)
		}
	}
	for _, other := range before {
		on.exists.set(text+other, "none", on.at)
	}
	on.exists.set(text+name, "file", on.at)
	b := answer(on.at, "rewrite", "{path}"+name)
	if again { // by the rules, too
		var p pairs
		p.set("to", "{path}"+name, on.at)
		p.set("repeat", true, on.at)
		b = answer(on.at, "rewrite", p.inline())
	}
	b.comments = []string{"some of what holds for " + name + " does not hold for its folder"}
	l.site.emit(on, b)
}

func (d *directive) or(other *directive) *directive {
	if d == nil {
		return other
	}
	return d
}
