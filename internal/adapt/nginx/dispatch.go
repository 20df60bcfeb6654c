package nginx

// From nginx's choice of a location to an order of routes.
//
// nginx takes the location with "=" and the very path. Else it takes the longest
// prefix, looks for a nested location of it in the same way, and then at the
// regular expressions of the level, in their order, unless the prefix has "^~".
// Here the first that matches is taken. So a prefix whose regular expressions are
// not those that all others have (it has "^~", or nested ones), and every prefix
// below it, comes first, longest first, with its own expressions before it; then
// come the expressions that are for all, then the other prefixes.

import (
	"slices"
	"strings"
)

// choice is one step of the order: which requests, and the location that has them.
type choice struct {
	when conditions
	to   *location
	add  bool // a slash, by a redirect
}

// maxChoices bounds what many expressions times many prefixes make.
const maxChoices = 5000

// prefix is a prefix location, and the expressions that are tried once it was
// found, in order.
type prefix struct {
	path  string
	to    *location
	tried []*location
	other bool // they are not those that all others have
}

// order is the choices among the locations of a server. The last is whole, the
// server itself, unless a location has every path.
func order(all []*location, whole *location) []choice {
	var exact []choice
	var prefixes []prefix
	collect(all, nil, func(c choice) { exact = append(exact, c) }, func(p prefix) { prefixes = append(prefixes, p) })
	common := expressions(all)
	if !slices.ContainsFunc(prefixes, func(p prefix) bool { return p.path == "/" }) {
		prefixes = append(prefixes, prefix{path: "/", to: whole, tried: common})
	}
	for i := range prefixes {
		prefixes[i].other = !slices.Equal(prefixes[i].tried, common)
	}
	slices.SortStableFunc(prefixes, func(a, b prefix) int { return len(b.path) - len(a.path) })
	apart := func(p prefix) bool {
		return slices.ContainsFunc(prefixes, func(q prefix) bool {
			return q.other && strings.HasPrefix(p.path, q.path)
		})
	}
	list := exact
	for _, p := range prefixes {
		if !apart(p) {
			continue
		}
		for _, l := range p.tried {
			list = appendExpression(list, p.path, l)
		}
		list = append(list, choice{when: conditions{path: p.path + "*"}, to: p.to})
	}
	for _, l := range common {
		list = appendExpression(list, "/", l)
	}
	for _, p := range prefixes {
		if !apart(p) {
			list = append(list, choice{when: conditions{path: p.path + "*"}, to: p.to})
		}
	}
	return reachable(list)
}

// collect finds the exact locations and the prefixes of a level and of those in
// it. After is the expressions of the levels around, which are tried later.
func collect(level []*location, after []*location, exact func(choice), found func(prefix)) {
	own := expressions(level)
	for _, l := range level {
		switch {
		case l.named || l.regex != nil:
			continue
		case l.exact:
			exact(choice{when: conditions{path: l.name}, to: l})
			continue
		}
		if slashed(l) && !slices.ContainsFunc(level, func(o *location) bool { return o.exact && o.name+"/" == l.name }) {
			exact(choice{when: conditions{path: strings.TrimSuffix(l.name, "/")}, to: l, add: true})
		}
		then := after
		if !l.noRegex {
			then = append(slices.Clone(own), after...)
		}
		hidden := func(path string) bool { // a longer one beside it has that path
			return slices.ContainsFunc(level, func(o *location) bool {
				return o != l && !o.named && !o.exact && o.regex == nil && len(o.name) > len(l.name) && strings.HasPrefix(path, o.name)
			})
		}
		collect(l.inner, then, func(c choice) {
			if !hidden(c.when.path) {
				exact(c)
			}
		}, func(p prefix) {
			if !hidden(p.path) {
				found(p)
			}
		})
		found(prefix{path: l.name, to: l, tried: append(expressions(l.inner), then...)})
	}
}

// slashed reports whether nginx redirects the path without the slash at its end.
func slashed(l *location) bool {
	return strings.HasSuffix(l.name, "/") && l.name != "/" && len(l.level.own(passes...)) > 0
}

// expressions are the locations with regular expressions of a level.
func expressions(level []*location) []*location {
	var all []*location
	for _, l := range level {
		if l.regex != nil {
			all = append(all, l)
		}
	}
	return all
}

// appendExpression adds a location with an expression, those in it first.
func appendExpression(list []choice, path string, l *location) []choice {
	if literal := fixedStart(l.regex.expr); path != "/" && literal != "" && !strings.HasPrefix(literal, path) && !strings.HasPrefix(path, literal) {
		return list // no path begins with both
	}
	when := conditions{path: path + "*"}
	var nest func(when conditions, l *location)
	nest = func(when conditions, l *location) {
		when = when.matching(*l.regex)
		for _, inner := range expressions(l.inner) {
			nest(when, inner)
		}
		list = append(list, choice{when: when, to: l})
	}
	nest(when, l)
	return list
}

// fixedStart is the text that all paths begin with that an expression matches.
func fixedStart(expr string) string {
	if !strings.HasPrefix(expr, "^") {
		return ""
	}
	end := 1
	for end < len(expr) && (isWord(expr[end]) || expr[end] == '/' || expr[end] == '-') {
		end++
	}
	if end < len(expr) && strings.IndexByte("?*+{", expr[end]) >= 0 && end > 1 {
		end-- // what is repeated is not fixed
	}
	if strings.Contains(expr, "|") {
		return ""
	}
	return expr[1:end]
}

// reachable is the list without what comes after a choice that has every path.
func reachable(list []choice) []choice {
	for i, c := range list {
		if (c.when.path == "/*" || c.when.path == "") && len(c.when.paths) == 0 {
			return list[:i+1]
		}
	}
	return list
}
