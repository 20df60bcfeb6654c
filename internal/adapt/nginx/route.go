package nginx

// The routes of a site, before they are written.

import (
	"fmt"
	"slices"

	"millrace/internal/adapt/document"
)

// route is a [[site.route]] in the making.
type route struct {
	group    string
	when     conditions
	at       document.Place
	comments []string
	keys     []entry
}

type entry struct {
	name  string
	value any
	at    document.Place
}

func (r *route) set(name string, value any, at document.Place) {
	for i := range r.keys {
		if r.keys[i].name == name {
			r.keys[i].value, r.keys[i].at = value, at
			return
		}
	}
	r.keys = append(r.keys, entry{name, value, at})
}

func (r *route) get(name string) any {
	for _, k := range r.keys {
		if k.name == name {
			return k.value
		}
	}
	return nil
}

func (r *route) comment(text string) {
	if !slices.Contains(r.comments, text) {
		r.comments = append(r.comments, text)
	}
}

// maxRoutes bounds what a site may become.
const maxRoutes = 20000

// add is another route of the site.
func (s *site) add(group string, when conditions, at document.Place) *route {
	r := &route{group: group, when: when, at: at}
	if len(s.routes) == maxRoutes {
		s.a.problem(at, fmt.Sprintf("the server would become more than %d routes", maxRoutes), "part it, or put regular expressions at the level of the server")
	}
	if len(s.routes) < maxRoutes {
		s.routes = append(s.routes, r)
	}
	return r
}

// writeRoutes writes them: those that all requests come to, then the groups.
func (s *site) writeRoutes() {
	groups := []string{""}
	for _, r := range s.routes {
		if !slices.Contains(groups, r.group) {
			groups = append(groups, r.group)
		}
	}
	for _, g := range groups {
		for _, r := range s.routes {
			if r.group == g {
				s.writeRoute(r)
			}
		}
	}
}

func (s *site) writeRoute(r *route) {
	t := s.table.Append("route", r.at)
	for _, c := range r.comments {
		t.Comment(c)
	}
	if r.group != "" {
		t.Set("group", r.group, r.at)
	}
	if !r.when.write(t, r.at) {
		s.a.problem(r.at, "what is asked here of a request is more than one route can ask", "write fewer conditions at a time: a map of several variables is one")
	}
	for _, k := range r.keys {
		t.Set(k.name, k.value, k.at)
	}
}
