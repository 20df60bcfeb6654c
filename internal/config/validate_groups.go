package config

// Groups of routes: that there are routes in each.

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// groups checks what a route says of groups.
func (k *checker) groups(path, where string, s *Site, r *Route) {
	check := func(at, name string) { k.group(at, where, s, name) }
	check(join(path, "goto"), r.Goto)
	if n := len(r.TryFiles); n > 0 {
		if name, isGroup := strings.CutPrefix(r.TryFiles[n-1], "@"); isGroup {
			check(element(join(path, "try_files"), n-1), name)
		}
	}
	k.errorGroups(path, where, s, r.ErrorPages)
	if at := join(path, "group"); r.Group != "" && !k.bad[at] && !slices.ContainsFunc(s.Routes, func(o Route) bool { return o.leadsTo(r.Group) }) && !leads(s.ErrorPages, r.Group) {
		k.warn(path, fmt.Sprintf("%s is never reached: nothing sends requests to group %s", where, quote(r.Group)), fmt.Sprintf("write goto = %q, or \"@%s\" as the last of try_files or in error_pages", short(r.Group), short(r.Group)))
	}
}

// group checks that there is a group; "" is none.
func (k *checker) group(at, where string, s *Site, name string) {
	if name != "" && !k.bad[at] && !slices.ContainsFunc(s.Routes, func(o Route) bool { return o.Group == name }) {
		k.fail(at, fmt.Sprintf("%s names group %s, and no route of the site is in it", where, quote(name)), fmt.Sprintf("add [[site.route]] with group = %q", short(name)))
	}
}

// errorGroups checks those that pages of errors lead to.
func (k *checker) errorGroups(path, where string, s *Site, table map[string]string) {
	groups := errorGroups(table)
	for _, status := range slices.Sorted(maps.Keys(groups)) {
		k.group(join(join(path, "error_pages"), status), where, s, groups[status])
	}
}

// leadsTo reports whether a route may send requests to a group.
func (r *Route) leadsTo(group string) bool {
	return r.Goto == group || len(r.TryFiles) > 0 && r.TryFiles[len(r.TryFiles)-1] == "@"+group || leads(r.ErrorPages, group)
}

// leads reports whether a table of pages of errors leads to a group.
func leads(table map[string]string, group string) bool {
	for _, name := range errorGroups(table) {
		if name == group {
			return true
		}
	}
	return false
}
