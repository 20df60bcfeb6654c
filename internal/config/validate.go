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
	}
}

func (k *checker) sites() {
	used := make(map[string]bool)
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
	for _, name := range slices.Sorted(maps.Keys(k.c.Apps)) {
		if len(k.c.Sites) > 0 && !used[name] {
			k.warn(familyPath("app", name), "no route leads to "+appSection.label(name), fmt.Sprintf("add [[site.route]] with app = %q, or leave the app out", short(name)))
		}
	}
	k.hosts()
	k.addresses()
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
		used[r.App] = true
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
	files, app := has("files", r.Files != nil), has("app", r.App != "")
	switch {
	case files && app:
		k.fail(join(path, "app"), where+" has both files and app", "make two routes; the first that matches wins")
	case !files && !app:
		k.fail(path, where+" has neither files nor app: it leads nowhere", `add app = "NAME", or files = { root = "FOLDER" }`)
	case app && !k.bad[join(path, "app")]:
		k.appOf(join(path, "app"), r.App)
	}
	if has("path", r.Path != "") && has("regexp", r.Regexp != "") {
		k.fail(join(path, "regexp"), where+" has both path and regexp", "leave out one of the two, or make two routes")
	}
	if files && r.Mount != "" {
		k.fail(join(path, "mount"), where+" has mount beside files", `mount is for an app; files take strip = "/prefix"`)
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

// appOf checks the name of an app.
func (k *checker) appOf(path, name string) {
	if _, ok := k.c.Apps[name]; ok || k.bad["app"] {
		return
	}
	names := slices.Sorted(maps.Keys(k.c.Apps))
	hint := "the apps are " + short(strings.Join(names, ", "))
	if near := nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	} else if len(names) == 0 {
		hint = fmt.Sprintf("add [app.%s]", short(name))
	}
	k.refuse(spot{path: path, name: "app", where: "[[site.route]]", form: &form{}}, quote(name), &refusal{"there is no such app", hint})
}
