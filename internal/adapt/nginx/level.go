package nginx

// Levels of configuration, and what is inherited from one to the next.

import (
	"slices"

	"millrace/internal/adapt/document"
)

// level is what stands in one block: http, a server, a location, an if.
type level struct {
	parent  *level
	context byte
	at      document.Place
	list    []*directive
	of      *directive // whose block it is; nil: a file's
}

func (l *level) within(d *directive, context byte) *level {
	return &level{parent: l, context: context, at: d.at, list: d.block, of: d}
}

// own are the directives of some names that stand at the level itself.
func (l *level) own(names ...string) []*directive {
	var all []*directive
	for _, d := range l.list {
		if slices.Contains(names, d.name) {
			all = append(all, d)
		}
	}
	return all
}

// find are the directives of some names that hold at a level: its own, or else
// those of the level around it. That is nginx's rule: a level that says anything
// of a kind says all.
func (l *level) find(names ...string) []*directive {
	for ; l != nil; l = l.parent {
		if own := l.own(names...); len(own) > 0 {
			return own
		}
	}
	return nil
}

// last is the one directive of a name that holds; nil: none.
func (l *level) last(names ...string) *directive {
	if all := l.find(names...); len(all) > 0 {
		return all[len(all)-1]
	}
	return nil
}

// internal is what says that no client's request comes to a location: its own, or that
// of a location around it. Nil: nothing says so.
func (l *level) internal() *directive {
	for ; l != nil && l.context != 'S'; l = l.parent {
		if own := l.own("internal"); len(own) > 0 {
			return own[0]
		}
	}
	return nil
}

// on reports whether a flag is on; without it: def.
func (l *level) on(name string, def bool) bool {
	if d := l.last(name); d != nil {
		return d.arg(0) == "on" || d.arg(0) == "ON"
	}
	return def
}
