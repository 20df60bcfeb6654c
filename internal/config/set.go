package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Set gives a key a value that goes before that of the file, as the flags of
// the command line do. Origin stands for it in messages: "--workers". The key
// is "server.KEY"; "site.KEY", for every site there is; "app.KEY", for every
// app; "app.listen.KEY", for every address of every app; or "upstream.KEY",
// for every group of back ends. Values are as a person types them: 4, 30s, true. A list is
// replaced by all of them; to a table of strings each adds its NAME=value;
// any other key takes one. Setting workers puts out the three keys that it
// stands for, and each of those puts out workers. ${NAME} is left as it is.
//
// The error is an Errors: a key or a value that can't be. Complete has to be
// called after the last Set, also for a Config that Load completed before; it
// finds what else is wrong.
func (c *Config) Set(origin, key string, values ...string) error {
	d := &decoder{src: new(source)}
	at := place{file: origin}
	switch family, name, _ := strings.Cut(key, "."); family {
	case "server":
		c.set(d, serverSection, "server", serverSection.title, name, at, values, &c.Server)
	case "site":
		for i := range c.Sites {
			c.set(d, siteSection, element("site", i), siteSection.title, name, at, values, &c.Sites[i])
		}
	case "app":
		key, ofListen := strings.CutPrefix(name, "listen.")
		for _, app := range slices.Sorted(maps.Keys(c.Apps)) {
			path := familyPath("app", app)
			if c.Apps[app] == nil {
				c.Apps[app] = new(App)
			}
			if ofListen {
				c.setListen(d, join(path, "listen"), app, key, at, values)
				continue
			}
			if c.set(d, appSection, path, appSection.label(app), name, at, values, c.Apps[app]) {
				c.src.excludeWorkers(path, name, c.Apps[app])
			}
		}
	case "upstream":
		for _, group := range slices.Sorted(maps.Keys(c.Upstreams)) {
			if c.Upstreams[group] == nil {
				c.Upstreams[group] = new(Upstream)
			}
			c.set(d, upstreamSection, familyPath("upstream", group), upstreamSection.label(group), name, at, values, c.Upstreams[group])
		}
	default:
		d.src.refuse(key, at, "unknown key "+quote(key), "write server.KEY, site.KEY, app.KEY or upstream.KEY")
	}
	if len(d.src.problems) > 0 {
		return Errors(d.src.problems)
	}
	return nil
}

// setListen sets one key of all the addresses of an app.
func (c *Config) setListen(d *decoder, path, app, name string, at place, values []string) {
	title := appListenSection.label("app." + app)
	for i := range c.Apps[app].Listen {
		c.set(d, appListenSection, element(path, i), title, name, at, values, &c.Apps[app].Listen[i])
	}
}

// set sets one key of one table, and reports whether it could.
func (c *Config) set(d *decoder, s *section, path, where, name string, at place, values []string, target any) bool {
	k := s.key(name)
	if k != nil && k.within != nil && k.within.alone != "" {
		return c.setAlone(d, k, spot{path: join(path, name), name: name, where: where, at: at}, values, target)
	}
	if k == nil || k.within != nil {
		d.src.refuse(path, at, fmt.Sprintf("unknown key %s in %s", quote(name), where), hintFor(s, name))
		return false
	}
	of := spot{path: join(path, name), name: name, where: where, at: at, form: &k.form}
	field := reflect.ValueOf(target).Elem().FieldByName(k.field)
	before := field.Interface()
	v, reason := typed(before, values)
	if reason != "" {
		d.refuse(of, v, reason, "")
	} else {
		d.value(of, v, field)
	}
	if d.src.bad[of.path] {
		return false
	}
	if old, ok := before.(map[string]string); ok {
		all := maps.Clone(old)
		if all == nil {
			all = make(map[string]string)
		}
		maps.Copy(all, field.Interface().(map[string]string))
		field.Set(reflect.ValueOf(all))
		for name := range d.src.given { // the others keep their places
			c.src.give(name, at)
		}
	} else {
		c.src.forget(of.path)
	}
	c.src.give(of.path, at)
	return true
}

// setAlone sets a list of tables, or one, by the texts that stand for them.
func (c *Config) setAlone(d *decoder, k *key, at spot, values []string, target any) bool {
	field := reflect.ValueOf(target).Elem().FieldByName(k.field)
	v := &value{shape: shapeList, at: at.at}
	for _, text := range values {
		v.items = append(v.items, &value{text: text, at: at.at})
	}
	c.src.forget(at.path)
	if field.SetZero(); field.Kind() == reflect.Slice {
		d.tables(k.within, at, v, field)
	} else if len(v.items) == 1 {
		d.one(k, at, v.items[0], field)
	} else {
		d.refuse(at, v, "is not one value", "")
	}
	c.src.give(at.path, at.at)
	return !d.src.bad[at.path]
}

// typed is what a person typed, as TOML would have it for a field that holds
// now.
func typed(now any, values []string) (v *value, reason string) {
	switch now.(type) {
	case []string, Strings:
		v = &value{shape: shapeList}
		for _, text := range values {
			v.items = append(v.items, &value{text: text})
		}
		return v, ""
	case map[string]string:
		v = &value{shape: shapeTable, table: newTable()}
		for _, text := range values {
			name, rest, ok := strings.Cut(text, "=")
			if !ok {
				return &value{text: text}, "is not NAME=value"
			}
			v.table.add(name, place{}, &value{text: rest})
		}
		return v, ""
	}
	v = &value{text: strings.Join(values, " ")}
	if len(values) != 1 {
		return v, "is not one value"
	}
	switch now.(type) {
	case int:
		if n, err := strconv.Atoi(v.text); err == nil {
			v.shape, v.text = shapeInteger, strconv.Itoa(n)
		}
	case bool, *bool, Preload, Immutable:
		if v.text == "true" || v.text == "false" {
			v.shape = shapeBool
		}
	}
	return v, ""
}

// excludeWorkers keeps workers and the keys that it stands for from
// contradicting each other after one of them was set.
func (s *source) excludeWorkers(path, name string, app *App) {
	fixed := name == "workers"
	for _, n := range app.numbers() {
		if n.key != "workers" == fixed && (fixed || slices.Contains(spareKeys, name)) {
			s.forget(join(path, n.key))
			*n.value = 0
		}
	}
}
