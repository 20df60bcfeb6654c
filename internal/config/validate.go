package config

// What single values can't tell: how keys, routes, sites and apps go together.

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (k *checker) apps() {
	for _, name := range slices.Sorted(maps.Keys(k.c.Apps)) {
		path, where, app := familyPath("app", name), appSection.label(name), k.c.Apps[name]
		if k.bad[path] {
			continue
		}
		k.program(path, where, app)
		if k.given(join(path, "venv")) && k.given(join(path, "python")) && app.Venv != "" && app.Python != "" {
			k.warn(join(path, "venv"), fmt.Sprintf("venv in %s has no effect beside python", where), "leave out one of the two")
		}
		k.fitPool(path, where, app)
		k.threads(path, where, app)
		for _, of := range slices.Sorted(maps.Keys(app.Attached)) {
			k.attached(familyPath(join(path, "attached"), of), attachedSection.memberLabel("app."+name, of), app, app.Attached[of])
		}
		for i := range app.Listen {
			k.appListen(element(join(path, "listen"), i), appListenSection.label("app."+name), &app.Listen[i])
		}
	}
}

// threads refuses a number of threads where there are none.
func (k *checker) threads(path, where string, app *App) {
	at := join(path, "threads")
	if app.Threads == 0 || k.bad[at] || k.bad[join(path, "method")] {
		return
	}
	switch {
	case app.Method == "cgi":
		k.refuse(spot{path: at, name: "threads", where: where, form: &form{}}, fmt.Sprint(app.Threads),
			&refusal{`method = "cgi" has no threads`, "leave one of the two out"})
	case len(app.Command) > 0:
		k.refuse(spot{path: at, name: "threads", where: where, form: &form{}}, fmt.Sprint(app.Threads),
			&refusal{"the threads of a program are its own", "write concurrency for the number of requests that it is given at a time"})
	}
}

func (k *checker) sites() {
	used := make(map[string]bool) // "app NAME", "upstream NAME"
	for i := range k.c.Sites {
		path, s := element("site", i), &k.c.Sites[i]
		if k.bad[path] {
			continue
		}
		if len(s.Routes) == 0 && s.Root == "" && !k.bad[join(path, "route")] && !k.bad[join(path, "root")] {
			k.fail(path, "[[site]] has neither a route nor a root: it would answer everything with 404", `add [[site.route]] with app = "NAME"`)
		}
		k.compress(join(path, "compress"), compressSection.label(siteSection.title), s.Compress)
		k.access(path, "[[site]]", s.BasicAuth, s.Limit)
		k.errorGroups(path, "[[site]]", s, s.ErrorPages)
		k.routes(join(path, "route"), s, used)
	}
	k.accessLogs()
	listens := func(a *App) bool { return len(a.Listen) > 0 }
	some := len(k.c.Sites) > 0 || slices.ContainsFunc(slices.Collect(maps.Values(k.c.Apps)), listens)
	for _, name := range slices.Sorted(maps.Keys(k.c.Apps)) {
		if some && !used["app "+name] && !listens(k.c.Apps[name]) && !k.bad[join(familyPath("app", name), "listen")] {
			k.warn(familyPath("app", name), "no route leads to "+appSection.label(name), fmt.Sprintf("add [[site.route]] with app = %q, or leave the app out", short(name)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.c.Upstreams)) {
		if !used["upstream "+name] {
			k.warn(familyPath("upstream", name), "no route leads to "+upstreamSection.label(name), fmt.Sprintf("add [[site.route]] with upstream = %q, or leave the back ends out", short(name)))
		}
	}
}

// files checks how the keys of a tree of files go together.
func (k *checker) files(path, where string, f *Files) {
	if f.CacheControl != "" && f.Expires != 0 {
		k.fail(join(path, "expires"), where+" has both cache_control and expires", `leave out expires, and write cache_control = "max-age=SECONDS"`)
	}
	if l := f.Listing; l != nil {
		k.listing(join(path, "listing"), listingSection.label(where), l)
	}
}

// listing holds the bounds of what one request for a listing may cost.
func (k *checker) listing(path, where string, l *Listing) {
	for _, bound := range []struct {
		key     string
		got, at int
	}{{"page", l.Page, 5000}, {"max", l.Max, 1_000_000}} {
		if bound.got > bound.at && !k.bad[join(path, bound.key)] {
			k.fail(join(path, bound.key), fmt.Sprintf("%s = %d in %s: is more than %d", bound.key, bound.got, where, bound.at), "take less: each entry costs memory and time, of everyone")
		}
	}
}

// prefix refuses a mount or strip that no path of its route begins with.
func (k *checker) prefix(path, where string, r *Route, prefix string) {
	if prefix == "" || r.Path == "" || k.bad[path] || r.Rewrite != nil || len(r.TryFiles) > 0 { // which make another path
		return
	}
	fixed, open := strings.CutSuffix(r.Path, "*")
	if fixed == prefix || strings.HasPrefix(fixed, prefix+"/") || open && strings.HasPrefix(prefix+"/", fixed) {
		return
	}
	name := path[strings.LastIndexByte(path, '.')+1:]
	k.refuse(spot{path: path, name: name, where: where, form: &form{}}, quote(prefix),
		&refusal{fmt.Sprintf("no path that %s matches begins with it", quote(r.Path)), "correct one of the two"})
}

// known checks that a route's app or upstream is there.
func known[T any](k *checker, path, name, kind string, all map[string]*T) {
	knownIn(k, path, "[[site.route]]", name, kind, all)
}

// knownIn is known for another table than a route.
func knownIn[T any](k *checker, path, where, name, kind string, all map[string]*T) {
	if _, ok := all[name]; ok || k.bad[kind] || k.bad[path] {
		return
	}
	names := slices.Sorted(maps.Keys(all))
	hint := fmt.Sprintf("the %ss are %s", kind, short(strings.Join(names, ", ")))
	if near := nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	} else if len(names) == 0 {
		hint = fmt.Sprintf("add [%s.%s]", kind, short(name))
	}
	k.refuse(spot{path: path, name: kind, where: where, form: &form{}}, quote(name), &refusal{"there is no such " + kind, hint})
}
