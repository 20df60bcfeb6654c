package config

// What the texts of a site and of its routes may name, for the checks here and
// for package server, which parses them again.

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"millrace/internal/placeholder"
)

// Scope is what the texts of a site itself may name: its maps, the named
// groups of its hosts, and the groups of any of its routes, which are empty
// where another route answers. The error is of a map.
func (s *Site) Scope() (placeholder.Scope, error) {
	scope := placeholder.Scope{Names: s.hostNames(), Maps: make(map[string]*placeholder.Map)}
	for i := range s.Routes {
		of := s.Routes[i].groups()
		scope.Whole = scope.Whole || of.Whole
		scope.Groups = max(scope.Groups, of.Groups)
		scope.Names = append(scope.Names, of.Names...)
	}
	// A map may name others, which come before it.
	for rest := sortedNames(s.Maps); len(rest) > 0; {
		var later []string
		var first error
		for _, name := range rest {
			made, err := s.Maps[name].table(scope)
			if err != nil {
				if first == nil {
					first = err
				}
				later = append(later, name)
				continue
			}
			scope.Maps[name] = made
		}
		if len(later) == len(rest) {
			return scope, first
		}
		rest = later
	}
	return scope, nil
}

// table makes the table of a map, in a scope that has the maps it names.
func (m *Map) table(scope placeholder.Scope) (*placeholder.Map, error) {
	scope.Response = true // its texts are only where there is one, if it names that
	from, err := placeholder.Parse(m.From, scope)
	if err != nil {
		return nil, err
	}
	entries := make([]placeholder.Entry, len(m.Values))
	for i, line := range m.Values {
		value, err := placeholder.Parse(line.Value, scope)
		if err != nil {
			return nil, err
		}
		entries[i] = placeholder.Entry{Key: line.Name, Value: value}
	}
	def, err := placeholder.Parse(m.Default, scope)
	if err != nil {
		return nil, err
	}
	table := placeholder.NewMap
	switch {
	case m.Kind == "networks":
		table = placeholder.Networks
	case m.Kind == "split":
		table = placeholder.Split
	case m.IgnoreCase:
		table = placeholder.NewFolded
	}
	return table(from, entries, def)
}

// Scope is what the texts of a route may name, in a site whose scope is given.
func (r *Route) Scope(s *Site, site placeholder.Scope) placeholder.Scope {
	scope := r.groups()
	scope.Maps = site.Maps
	scope.Names = append(scope.Names, s.hostNames()...)
	return scope
}

func sortedNames[T any](m map[string]T) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// hostNames are the named groups of a site's hosts.
func (s *Site) hostNames() []string {
	var names []string
	for _, host := range s.Hosts {
		if expr, isRegexp := strings.CutPrefix(host, "~"); isRegexp {
			_, of := groupsOf(expr)
			names = append(names, of...)
		}
	}
	return names
}

// groups are the groups of a route's regexp, and the named ones of its other
// conditions.
func (r *Route) groups() placeholder.Scope {
	var scope placeholder.Scope
	if expr := cmp.Or(r.Regexp, r.URI); expr != "" {
		scope.Whole = true
		scope.Groups, scope.Names = groupsOf(expr)
	}
	for _, values := range []map[string]string{r.Header, r.Query, r.Cookie, r.Value} {
		for _, name := range sortedNames(values) {
			if expr, isRegexp := strings.CutPrefix(values[name], "~"); isRegexp {
				_, names := groupsOf(expr)
				scope.Names = append(scope.Names, names...)
			}
		}
	}
	return scope
}

// groupsOf are the groups of a regexp: how many there are, and their names.
func groupsOf(expr string) (n int, names []string) {
	if !strings.Contains(expr, "(") {
		return 0, nil
	}
	re, err := regexp.Compile(expr)
	if err != nil { // which is refused elsewhere
		return 0, nil
	}
	for _, name := range re.SubexpNames() {
		if name != "" {
			names = append(names, name)
		}
	}
	return re.NumSubexp(), names
}

// names reports whether a text of a map has a placeholder.
func (m *Map) names(placeholder string) bool {
	return strings.Contains(m.From, placeholder) || strings.Contains(m.Default, placeholder) ||
		slices.ContainsFunc(m.Values, func(l Line) bool { return strings.Contains(l.Value, placeholder) })
}

// ofResponse reports whether a map looks up a header of the response, by itself or
// by other maps.
func (s *Site) ofResponse(name string) bool {
	seen := map[string]bool{}
	var comes func(of string) bool
	comes = func(of string) bool {
		m := s.Maps[of]
		if m == nil || seen[of] {
			return false
		}
		seen[of] = true
		if m.names("{response.") {
			return true
		}
		for other := range s.Maps {
			if m.names("{map."+other+"}") && comes(other) {
				return true
			}
		}
		return false
	}
	return comes(name)
}

// with is a scope with the further names of a form.
func (f *form) with(scope placeholder.Scope) placeholder.Scope {
	scope.Response = scope.Response || f.response
	if len(f.names) == 0 {
		return scope
	}
	scope.Extra = func(name string) placeholder.Value {
		for _, known := range f.names {
			family, isFamily := strings.CutSuffix(known, "*")
			if name == known || isFamily && strings.HasPrefix(name, family) && name != family {
				return func(dst []byte, _ *http.Request, _ any) []byte { return dst }
			}
		}
		return nil
	}
	for _, known := range f.names {
		scope.ExtraNames = append(scope.ExtraNames, strings.Replace(known, "*", "NAME", 1))
	}
	return scope
}
