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
		if at := join(path, "wsgi"); app.WSGI == "" && !k.bad[at] {
			k.fail(at, "wsgi is missing in "+where, `write wsgi = "module:callable"`)
		}
		if k.given(join(path, "venv")) && k.given(join(path, "python")) && app.Venv != "" && app.Python != "" {
			k.warn(join(path, "venv"), fmt.Sprintf("venv in %s has no effect beside python", where), "leave out one of the two")
		}
		k.fitPool(path, where, app)
		k.threads(path, where, app)
		for i := range app.Listen {
			k.appListen(element(join(path, "listen"), i), appListenSection.label("app."+name), &app.Listen[i])
		}
	}
}

// threads refuses a number of threads where there are none.
func (k *checker) threads(path, where string, app *App) {
	at := join(path, "threads")
	if app.Threads == 0 || app.Method == "threaded" || k.bad[at] || k.bad[join(path, "method")] {
		return
	}
	k.refuse(spot{path: at, name: "threads", where: where, form: &form{}}, fmt.Sprint(app.Threads),
		&refusal{fmt.Sprintf("method = %s has no threads", quote(app.Method)), `write method = "threaded", or leave threads out`})
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
		k.routes(join(path, "route"), s.Routes, used)
	}
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

func (k *checker) routes(path string, routes []Route, used map[string]bool) {
	all := -1                      // the first route that matches every path
	exact := make(map[string]bool) // paths there were
	for j := range routes {
		at, r := element(path, j), &routes[j]
		if k.bad[at] {
			continue
		}
		k.route(at, r)
		used["app "+r.App], used["upstream "+r.Upstream] = true, true
		matchesAll := r.Regexp == "" && (r.Path == "" || r.Path == "/*") && !k.bad[join(at, "path")] && !k.bad[join(at, "regexp")]
		switch {
		case all >= 0:
			k.warn(at, "[[site.route]] is never reached: a route before it matches every path", "the first route that matches wins; move this one up")
		case r.Path != "" && exact[r.Path]:
			k.warn(at, fmt.Sprintf("[[site.route]] is never reached: a route before it has path = %s as well", quote(r.Path)), "leave one of them out")
		case matchesAll:
			all = j
		}
		exact[r.Path] = true
	}
}

func (k *checker) route(path string, r *Route) {
	const where = "[[site.route]]"
	has := func(key string, set bool) bool { return set || k.given(join(path, key)) }
	files, app, upstream := has("files", r.Files != nil), has("app", r.App != ""), has("upstream", r.Upstream != "")
	switch {
	case files && app:
		k.fail(join(path, "app"), where+" has both files and app", "make two routes; the first that matches wins")
	case upstream && (files || app):
		other := "app"
		if files {
			other = "files"
		}
		k.fail(join(path, "upstream"), where+" has both "+other+" and upstream", "make two routes; the first that matches wins")
	case !files && !app && !upstream:
		k.fail(path, where+" has none of files, app and upstream: it leads nowhere", `add app = "NAME", upstream = "NAME" or files = { root = "FOLDER" }`)
	case app:
		known(k, join(path, "app"), r.App, "app", k.c.Apps)
	case upstream:
		known(k, join(path, "upstream"), r.Upstream, "upstream", k.c.Upstreams)
	}
	if has("path", r.Path != "") && has("regexp", r.Regexp != "") {
		k.fail(join(path, "regexp"), where+" has both path and regexp", "leave out one of the two, or make two routes")
	}
	if files && r.Mount != "" {
		k.fail(join(path, "mount"), where+" has mount beside files", `mount is for an app or back ends; files take strip = "/prefix"`)
	} else {
		k.prefix(join(path, "mount"), where, r, r.Mount)
	}
	if r.Files == nil || k.bad[join(path, "files")] {
		return
	}
	at := join(path, "files")
	if len(r.Files.Root) == 0 && !k.bad[join(at, "root")] {
		k.fail(join(at, "root"), "root is missing in "+filesSection.label(where), `write files = { root = "FOLDER" }`)
	}
	k.prefix(join(at, "strip"), filesSection.label(where), r, r.Files.Strip)
}

// prefix refuses a mount or strip that no path of its route begins with.
func (k *checker) prefix(path, where string, r *Route, prefix string) {
	if prefix == "" || r.Path == "" || k.bad[path] {
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
	k.refuse(spot{path: path, name: kind, where: "[[site.route]]", form: &form{}}, quote(name), &refusal{"there is no such " + kind, hint})
}
