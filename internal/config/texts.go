package config

// Texts with placeholders: that each names what there is.

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"millrace/internal/placeholder"
)

// texts checks the texts of all sites: every key whose form has texts, wherever
// it is in the table of keys.
func (k *checker) texts() {
	for i := range k.c.Sites {
		path, s := element("site", i), &k.c.Sites[i]
		if k.bad[path] {
			continue
		}
		k.groupNames(path, s)
		scope := k.siteScope(path, s)
		k.textsOf(siteSection, path, siteSection.title, reflect.ValueOf(s).Elem(), scope)
		for j := range s.Routes {
			at := element(join(path, "route"), j)
			if k.bad[at] || k.bad[join(at, "regexp")] || k.bad[join(at, "uri")] {
				continue
			}
			k.textsOf(routeSection, at, routeSection.title, reflect.ValueOf(&s.Routes[j]).Elem(), s.Routes[j].Scope(s, scope))
		}
	}
}

// siteScope is the site's, in which a map that is refused is one all the same:
// texts that name it are not at fault.
func (k *checker) siteScope(path string, s *Site) placeholder.Scope {
	bare := Site{Hosts: s.Hosts, Routes: s.Routes}
	scope, err := bare.Scope()
	if err != nil { // it has no map
		return scope
	}
	for _, name := range sortedNames(s.Maps) {
		within := scope
		within.Response = true
		within.Maps = make(map[string]*placeholder.Map)
		for other := range s.Maps {
			if other != name {
				within.Maps[other] = placeholder.NoMap(s.ofResponse(other))
			}
		}
		at, where := familyPath(join(path, "map"), name), mapSection.label(name)
		if m := s.Maps[name]; m.From == "" && !k.bad[at] && !k.bad[join(at, "from")] {
			k.fail(join(at, "from"), "from is missing in "+where, `write what is looked up, like from = "{host}"`)
		}
		k.textsOf(mapSection, at, where, reflect.ValueOf(s.Maps[name]).Elem(), within)
		k.tableKeys(at, where, s.Maps[name])
		if k.inCircle(s, name) && !k.bad[at] && !k.bad[join(at, "from")] {
			k.fail(join(at, "from"), "from of "+where+" comes back to the table itself, by others", "look up something that is no table")
		}
		scope.Maps[name] = placeholder.NoMap(s.ofResponse(name))
	}
	return scope
}

// inCircle reports whether what a map looks up is made of the map itself.
func (k *checker) inCircle(s *Site, name string) bool {
	seen := map[string]bool{}
	var comes func(of string) bool
	comes = func(of string) bool {
		for other, m := range s.Maps {
			if m == nil || !s.Maps[of].names("{map."+other+"}") {
				continue
			}
			if other == name {
				return true
			}
			if !seen[other] {
				seen[other] = true
				if comes(other) {
					return true
				}
			}
		}
		return false
	}
	return s.Maps[name] != nil && comes(name)
}

// tableKeys checks the keys of a table that is no table of texts.
func (k *checker) tableKeys(path, where string, m *Map) {
	at := join(path, "values")
	if k.bad[path] || k.bad[at] || m.Kind == "" || m.Kind == "text" {
		return
	}
	if m.IgnoreCase {
		k.warn(join(path, "ignore_case"), "ignore_case in "+where+" has no effect: its keys have no case", "leave it out")
	}
	sum := 0
	for _, line := range m.Values {
		var err error
		hint := `write a network like "10.0.0.0/8"`
		if m.Kind == "networks" {
			_, err = placeholder.ParseNetwork(line.Name)
		} else {
			var share int
			hint = `write a share like "25%"`
			share, err = placeholder.ParseShare(line.Name)
			if sum += share; err == nil && sum > 10000 {
				err = errors.New("the shares are more than 100% together")
			}
		}
		if err != nil {
			k.fail(join(at, line.Name), fmt.Sprintf("%s in values of %s: %s", quote(line.Name), where, err), hint)
		}
	}
}

// textsOf checks the texts of a table, but for those of its routes and maps,
// which may name other things.
func (k *checker) textsOf(s *section, path, where string, target reflect.Value, scope placeholder.Scope) {
	for i := range s.keys {
		key := &s.keys[i]
		if key.within == routeSection || key.within == mapSection {
			continue
		}
		field, at := target.FieldByName(key.field), spot{path: join(path, key.name), name: key.name, where: where, form: &key.form}
		if k.bad[at.path] {
			continue
		}
		if key.within == nil {
			if key.form.texts || key.form.textNames {
				k.textsIn(at, field, key.form.with(scope))
			}
			continue
		}
		switch field.Kind() {
		case reflect.Slice:
			for i := range field.Len() {
				k.textsOf(key.within, element(at.path, i), key.within.listLabel(where), field.Index(i), scope)
			}
		case reflect.Pointer:
			if !field.IsNil() {
				k.textsOf(key.within, at.path, key.within.label(where), field.Elem(), scope)
			}
		}
	}
}

// textsIn checks one key: a text, or a list or a table of them.
func (k *checker) textsIn(at spot, field reflect.Value, scope placeholder.Scope) {
	switch v := field.Addr().Interface().(type) {
	case *string:
		k.placeholders(at, *v, scope)
	case *[]string:
		k.textList(at, *v, scope)
	case *Strings:
		k.textList(at, *v, scope)
	case *Lines:
		for _, line := range *v {
			k.placeholders(spot{path: join(at.path, line.Name), name: line.Name, where: at.name + " of " + at.where, form: at.form}, line.Value, scope)
		}
	case *map[string]string:
		for _, name := range sortedNames(*v) {
			if at.form.textNames {
				k.placeholders(spot{path: join(at.path, name), name: "a name", where: at.name + " of " + at.where, form: at.form}, name, scope)
				continue
			}
			k.placeholders(spot{path: join(at.path, name), name: name, where: at.name + " of " + at.where, form: at.form}, (*v)[name], scope)
		}
	}
}

func (k *checker) textList(at spot, list []string, scope placeholder.Scope) {
	for i, text := range list {
		of := at
		of.path = element(at.path, i)
		k.placeholders(of, text, scope)
	}
}

func (k *checker) placeholders(at spot, text string, scope placeholder.Scope) {
	if k.bad[at.path] || !strings.Contains(text, "{") {
		return
	}
	_, err := placeholder.Parse(text, scope)
	var why *placeholder.Error
	if errors.As(err, &why) {
		k.refuse(at, quote(text), &refusal{why.Problem, why.Hint})
	}
}

// groupNames refuses named groups that no text could name, since the name
// means something else.
func (k *checker) groupNames(path string, s *Site) {
	check := func(at spot, expr string) {
		_, names := groupsOf(expr)
		for _, name := range names {
			if placeholder.Reserved(name) && !k.bad[at.path] {
				k.refuse(at, quote(expr), &refusal{fmt.Sprintf("its group is called %s, and {%s} means something else", name, name), "give the group another name"})
			}
		}
	}
	for i, host := range s.Hosts {
		if expr, isRegexp := strings.CutPrefix(host, "~"); isRegexp {
			check(spot{path: element(join(path, "hosts"), i), name: "hosts", where: "[[site]]", form: &form{}}, expr)
		}
	}
	for i := range s.Routes {
		at, r := element(join(path, "route"), i), &s.Routes[i]
		check(spot{path: join(at, "regexp"), name: "regexp", where: "[[site.route]]", form: &form{}}, r.Regexp)
		check(spot{path: join(at, "uri"), name: "uri", where: "[[site.route]]", form: &form{}}, r.URI)
		for name, values := range map[string]map[string]string{"header": r.Header, "query": r.Query, "cookie": r.Cookie, "value": r.Value} {
			for _, of := range sortedNames(values) {
				if expr, isRegexp := strings.CutPrefix(values[of], "~"); isRegexp {
					check(spot{path: join(join(at, name), of), name: of, where: name + " of [[site.route]]", form: &form{}}, expr)
				}
			}
		}
	}
}

// lines checks a table whose order matters.
func (k *checker) lines(at spot, lines Lines) {
	for _, line := range lines {
		of := spot{path: join(at.path, line.Name), name: line.Name, where: at.name + " of " + at.where, form: at.form}
		k.text(of, line.Value)
		if at.form.name == nil {
			continue
		}
		if _, bad := at.form.name(line.Name); bad != nil {
			k.bad[at.path] = true
			hint := bad.hint
			if hint == "" {
				hint = "it takes " + at.form.takes
			}
			k.fail(of.path, fmt.Sprintf("%s in %s: %s", quote(line.Name), of.where, bad.reason), hint)
		}
	}
}
