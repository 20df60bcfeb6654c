package server

// From the routes of the configuration to those of package route.

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/config"
	"millrace/internal/placeholder"
	"millrace/internal/route"
	"millrace/internal/static"
)

// routing is what package route does for a route before its handler.
func (b *builder) routing(at *place, r *config.Route) (route.Route, error) {
	out := route.Route{}
	var err error
	out.Group, out.Goto = r.Group, r.Goto
	if out.Match, err = at.match(r.Match()); err != nil {
		return out, err
	}
	for _, one := range r.Any {
		m, err := at.match(one)
		if err != nil {
			return out, err
		}
		out.Any = append(out.Any, m)
	}
	if c := r.Rewrite; c != nil {
		out.Repeat = c.Repeat
		if out.Rewrite, err = at.text("rewrite", c.To); err != nil {
			return out, err
		}
	}
	if c := r.Redirect; c != nil {
		to, err := at.text("redirect", c.To)
		if err != nil {
			return out, err
		}
		out.When = to.LeadingMap()
	}
	return out, nil
}

// match is conditions as package route has them.
func (at *place) match(c config.Match) (route.Match, error) {
	m := route.Match{Path: c.Path, Regexp: c.Regexp, URI: c.URI, Methods: c.Method, Header: conditions(c.Header), Query: conditions(c.Query), Cookie: conditions(c.Cookie)}
	var err error
	if m.Client, err = prefixes(c.Client); err != nil {
		return m, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Value)) {
		text, err := at.text("value", name)
		if err != nil {
			return m, err
		}
		m.Value = append(m.Value, route.Value{Text: text, Value: c.Value[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Exists)) {
		text, err := at.text("exists", name)
		if err != nil {
			return m, err
		}
		m.Exists = append(m.Exists, route.Exists{Path: text, Kind: kinds[c.Exists[name]]})
	}
	if c.Not != nil {
		not, err := at.match(*c.Not)
		if err != nil {
			return m, err
		}
		m.Not = &not
	}
	return m, nil
}

// kinds are what exists may say; package config has checked it.
var kinds = map[string]route.Kind{"any": route.AnyKind, "file": route.File, "folder": route.Folder, "none": route.NoKind}

func conditions(table map[string]string) []route.Condition {
	var all []route.Condition
	for _, name := range slices.Sorted(maps.Keys(table)) {
		all = append(all, route.Condition{Name: name, Value: table[name]})
	}
	return all
}

// tryFiles is the files that a route looks for, before h answers: below the
// folders of h itself, if it serves files, else below the site's root.
func (b *builder) tryFiles(at *place, h http.Handler) (*route.Try, error) {
	list := at.route.TryFiles
	if len(list) == 0 {
		return nil, nil
	}
	exists := looksIn(h)
	if exists == nil {
		of := *at
		of.route = &config.Route{Files: &config.Files{Root: config.Strings{at.site.Root}}}
		made, err := b.answerFiles(&of)
		if err != nil {
			return nil, err
		}
		if exists = looksIn(made); exists == nil {
			return nil, fmt.Errorf("try_files in %s: there is no folder to look in", at.name)
		}
	}
	t := &route.Try{Exists: exists}
	for i, item := range list {
		if code, isStatus := strings.CutPrefix(item, "="); isStatus && i == len(list)-1 {
			var err error
			if t.Status, err = strconv.Atoi(code); err != nil {
				return nil, fmt.Errorf("try_files in %s: %w", at.name, err)
			}
			break
		}
		if group, isGroup := strings.CutPrefix(item, "@"); isGroup && i == len(list)-1 {
			t.Group = group
			break
		}
		text, err := at.text("try_files", item)
		if err != nil {
			return nil, err
		}
		if i == len(list)-1 {
			t.Else = text
			break
		}
		t.Paths = append(t.Paths, text)
	}
	return t, nil
}

// looksIn is how files are looked for that h would serve; nil if it serves none.
func looksIn(h http.Handler) func(r *http.Request, path string) bool {
	switch h := h.(type) {
	case *static.Handler:
		return func(_ *http.Request, path string) bool { return h.Exists(path) }
	case *static.Each:
		return h.Exists
	}
	return nil
}

// layerHostNames keeps the named groups of the site's hosts, where a text wants
// groups. It is made after all layers that have texts.
func layerHostNames(_ *builder, at *place, next http.Handler) (http.Handler, error) {
	if *at.needs&placeholder.NeedsGroups == 0 {
		return next, nil
	}
	return route.HostNames(at.site.Hosts, next)
}
