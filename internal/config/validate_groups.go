package config

// Groups of routes: that there are routes in each.

import (
	"fmt"
	"slices"
	"strings"
)

// groups checks what a route says of groups.
func (k *checker) groups(path, where string, s *Site, r *Route) {
	check := func(at, name string) {
		if name != "" && !k.bad[at] && !slices.ContainsFunc(s.Routes, func(o Route) bool { return o.Group == name }) {
			k.fail(at, fmt.Sprintf("%s names group %s, and no route of the site is in it", where, quote(name)), fmt.Sprintf("add [[site.route]] with group = %q", short(name)))
		}
	}
	check(join(path, "goto"), r.Goto)
	if n := len(r.TryFiles); n > 0 {
		if name, isGroup := strings.CutPrefix(r.TryFiles[n-1], "@"); isGroup {
			check(element(join(path, "try_files"), n-1), name)
		}
	}
	if at := join(path, "group"); r.Group != "" && !k.bad[at] && !slices.ContainsFunc(s.Routes, func(o Route) bool { return o.leadsTo(r.Group) }) {
		k.warn(path, fmt.Sprintf("%s is never reached: nothing sends requests to group %s", where, quote(r.Group)), fmt.Sprintf("write goto = %q, or \"@%s\" as the last of try_files", short(r.Group), short(r.Group)))
	}
}

// leadsTo reports whether a route may send requests to a group.
func (r *Route) leadsTo(group string) bool {
	return r.Goto == group || len(r.TryFiles) > 0 && r.TryFiles[len(r.TryFiles)-1] == "@"+group
}
