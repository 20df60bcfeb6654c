package nginx

// The locations of a server: what each is for, and that they go together.

import (
	"fmt"
	"strings"
)

// location is one location, with those in it.
type location struct {
	level   *level
	d       *directive
	outer   *location // nil: of the server
	exact   bool
	noRegex bool // ^~
	named   bool
	regex   *pattern
	name    string // the path, the expression, or the name with its @
	inner   []*location
	group   string // of the routes that it has; "": they stand where it is tried
	uses    int
}

// maxLocations bounds the locations of a server, which are compared with each other.
const maxLocations = 3000

func (l *location) is() string {
	if l.d == nil {
		return "server"
	}
	return "location " + strings.Join(l.d.words(), " ")
}

// readLocations are those of a level. Outer is the location around them.
func (s *site) readLocations(of *level, outer *location) []*location {
	var all []*location
	for _, d := range of.own("location") {
		if s.count++; s.count > maxLocations {
			if s.count == maxLocations+1 {
				s.a.problem(d.at, fmt.Sprintf("a server has more than %d locations", maxLocations), "part it")
			}
			return all
		}
		l := s.readLocation(d, of, outer)
		if l == nil {
			continue
		}
		twice := false
		for _, other := range all {
			if l.regex == nil && other.regex == nil && other.name == l.name && other.exact == l.exact {
				s.a.problem(d.argAt(len(d.args)-1), fmt.Sprintf("duplicate location %q", l.name), fmt.Sprintf("line %d has it as well", other.d.at.Line))
				twice = true
			}
		}
		if !twice {
			all = append(all, l)
		}
	}
	return all
}

func (s *site) readLocation(d *directive, of *level, outer *location) *location {
	l := &location{level: of.within(d, 'L'), d: d, outer: outer}
	modifier, name := "", d.arg(0)
	at := d.argAt(len(d.args) - 1)
	if len(d.args) == 2 {
		modifier, name = d.arg(0), d.arg(1)
	} else { // written together
		for _, m := range []string{"=", "^~", "~*", "~"} {
			if rest, is := strings.CutPrefix(name, m); is {
				modifier, name = m, rest
				break
			}
		}
	}
	l.name = name
	switch modifier {
	case "":
		l.named = strings.HasPrefix(name, "@")
	case "=":
		l.exact = true
	case "^~":
		l.noRegex = true
	case "~", "~*":
		p, bad := newPattern(name, modifier == "~*")
		if bad != nil {
			s.a.problem(at, bad.problem, bad.hint)
			return nil
		}
		l.regex = &p
	default:
		s.a.problem(d.argAt(0), fmt.Sprintf("invalid location modifier %q", modifier), `it is "=", "^~", "~" or "~*"`)
		return nil
	}
	if outer != nil {
		switch {
		case outer.exact:
			s.a.problem(at, fmt.Sprintf("location %q cannot be inside the exact location %q", name, outer.name), "put it beside that one")
			return nil
		case outer.named:
			s.a.problem(at, fmt.Sprintf("location %q cannot be inside the named location %q", name, outer.name), "put it beside that one")
			return nil
		case l.named:
			s.a.problem(at, fmt.Sprintf("named location %q can be on the server level only", name), "put it beside the other locations")
			return nil
		case l.regex == nil && !strings.HasPrefix(name, outer.name):
			s.a.problem(at, fmt.Sprintf("location %q is outside location %q", name, outer.name), "its path begins with that of the location around it")
			return nil
		}
	}
	if l.regex == nil && !l.named && !strings.HasPrefix(name, "/") {
		s.a.problem(at, fmt.Sprintf("location %q is never chosen: a path begins with a slash", name), fmt.Sprintf("write %q, or ~ before a regular expression", "/"+name))
		return nil
	}
	l.inner = s.readLocations(l.level, l)
	return l
}
