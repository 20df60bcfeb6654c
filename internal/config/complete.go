package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"time"
)

// Complete fills in the defaults of what was not given, makes paths absolute
// (relative ones are relative to dir, and dir to the working folder), checks
// everything, and sets Warnings. The error is an Errors of every problem.
//
// Load has done this already; it is for a Config that was made in code, or
// changed after Load. Calling it again changes nothing.
func (c *Config) Complete(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Errors{{Problem: "cannot find the working folder: " + cause(err)}}
	}
	k := &checker{c: c, dir: dir, bad: maps.Clone(c.src.bad), errs: slices.Clone(c.src.problems)}
	if k.bad == nil {
		k.bad = make(map[string]bool)
	}
	k.defaultSite()
	k.table(fileSection, "", fileSection.title, reflect.ValueOf(c).Elem())
	k.apps()
	k.upstreams()
	k.sites()
	k.cacheStore()
	k.texts()
	k.proxies()
	k.hosts()
	k.addresses()
	k.tls()
	sortByPlace(k.errs)
	sortByPlace(k.warnings)
	c.Warnings = k.warnings
	if len(k.errs) > 0 {
		return Errors(k.errs)
	}
	return nil
}

// checker is one run of Complete.
type checker struct {
	c        *Config
	dir      string
	bad      map[string]bool // paths whose values were refused: nothing follows from them
	errs     []*Error
	warnings []*Error
}

func (k *checker) given(path string) bool {
	_, ok := k.c.src.given[path]
	return ok
}

// refuse notes a value that can't be.
func (k *checker) refuse(at spot, shown string, why *refusal) {
	problem, hint := at.problem(shown, why.reason, why.hint)
	k.fail(at.path, problem, hint)
}

// fail notes any other problem, at the place of a key or of its table.
func (k *checker) fail(path, problem, hint string) {
	k.bad[path] = true
	k.errs = append(k.errs, k.c.src.at(path).problem(problem, hint))
}

func (k *checker) warn(path, problem, hint string) {
	k.warnings = append(k.warnings, k.c.src.at(path).problem(problem, hint))
}

// defaultSite serves a lone app where no site is described.
func (k *checker) defaultSite() {
	c := k.c
	if len(c.Sites) > 0 || len(c.src.problems) > 0 { // [[sites]] is a slip, not an absence
		return
	}
	for _, app := range c.Apps {
		if app != nil && len(app.Listen) > 0 { // it serves there, and nothing else was asked for
			return
		}
	}
	switch names := slices.Sorted(maps.Keys(c.Apps)); len(names) {
	case 0:
		k.fail("site", "there is nothing to serve: neither [[site]] nor [app.NAME]", `the least is [app.main] with wsgi = "module:callable"`)
	case 1:
		c.Sites = []Site{{Routes: []Route{{App: names[0]}}}}
	default:
		k.fail("app", fmt.Sprintf("there are %d apps, and no [[site]] says which of them answers what", len(names)), fmt.Sprintf("add [[site]] and, for each app, [[site.route]] with app = %q", short(names[0])))
	}
}

// table completes and checks each key on its own.
func (k *checker) table(s *section, path, where string, target reflect.Value) {
	for i := range s.keys {
		key := &s.keys[i]
		field := target.FieldByName(key.field)
		at := spot{path: join(path, key.name), name: key.name, where: where, form: &key.form}
		switch {
		case k.bad[at.path]:
		case key.within != nil:
			k.within(key.within, at, field)
		case k.given(at.path) || !field.IsZero():
			k.form(at, field)
		case key.def != "" && !key.fitted:
			field.Set(key.byDefault(field.Type()))
			k.form(at, field)
		}
	}
}

func (k *checker) within(s *section, at spot, field reflect.Value) {
	switch field.Kind() {
	case reflect.Slice:
		for i := range field.Len() {
			if path := element(at.path, i); !k.bad[path] {
				k.table(s, path, s.listLabel(at.where), field.Index(i))
			}
		}
	case reflect.Map:
		for _, name := range familyNames(field) {
			path := familyPath(at.path, name)
			if !isAppName(name) {
				k.fail(path, fmt.Sprintf("%s in [%s] is not a name", quote(name), at.name), "a name is of letters, digits, _ and -, at most 64 of them")
				continue
			}
			member := field.MapIndex(reflect.ValueOf(name))
			if member.IsNil() {
				member = reflect.New(field.Type().Elem().Elem())
				field.SetMapIndex(reflect.ValueOf(name), member)
			}
			k.table(s, path, s.memberLabel(at.where, name), member.Elem())
		}
	case reflect.Pointer:
		if !field.IsNil() {
			k.table(s, at.path, s.label(at.where), field.Elem())
		}
	default:
		k.table(s, at.path, s.title, field)
	}
}

// familyNames are the names of a map of tables, in order.
func familyNames(family reflect.Value) []string {
	var names []string
	for _, name := range family.MapKeys() {
		names = append(names, name.String())
	}
	slices.Sort(names)
	return names
}

// byDefault decodes a default of the table as if it stood in a file.
func (key *key) byDefault(t reflect.Type) reflect.Value {
	tree, err := parseTree("default", []byte(key.name+" = "+key.def), nil)
	field := reflect.New(t).Elem()
	d := decoder{src: new(source)}
	if err == nil {
		d.value(spot{path: key.name, name: key.name, form: &key.form}, tree.entries[0].value, field)
	}
	if err != nil || len(d.src.problems) > 0 {
		panic("config: the default of " + key.name + " is not one") // a defect of keys.go, which its test finds
	}
	return field
}

// form checks a value that is there by its key's form, and puts what the form
// keeps in its stead.
func (k *checker) form(at spot, field reflect.Value) {
	switch v := field.Addr().Interface().(type) {
	case *string:
		*v = k.text(at, *v)
	case *int:
		k.amount(at, int64(*v), fmt.Sprint(*v), "is less than 1")
		if at.form.number != nil && !k.bad[at.path] {
			if bad := at.form.number(*v); bad != nil {
				k.refuse(at, fmt.Sprint(*v), bad)
			}
		}
	case *Size:
		k.amount(at, int64(*v), quote(v.String()), "is nothing at all")
	case *time.Duration:
		k.amount(at, int64(*v), quote(v.String()), "is no time at all")
	case *[]string:
		if at.form.repeats {
			*v = k.words(at, *v)
		} else {
			*v = k.list(at, *v)
		}
	case *Preload:
		if *v != "true" && *v != "false" && *v != "require" {
			k.refuse(at, quote(string(*v)), refuse("is neither"))
		}
	case *Immutable:
		if *v == "" {
			k.refuse(at, `""`, refuse("is empty"))
		} else if _, bad := checkRegexp("", string(*v)); bad != nil {
			k.refuse(at, quote(string(*v)), bad)
		}
	case *Strings:
		if at.form.repeats {
			*v = k.words(at, *v)
		} else {
			*v = k.list(at, *v)
		}
	case *map[string]string:
		*v = k.pairs(at, *v)
	case *Lines:
		k.lines(at, *v)
	}
}

func (k *checker) text(at spot, text string) string {
	switch {
	case text == "" && !at.form.empty:
		k.refuse(at, `""`, refuse("is empty"))
	case text != "" && at.form.check != nil:
		kept, bad := at.form.check(k.dir, text)
		if bad == nil {
			return kept
		}
		shown := quote(text)
		if at.form.hidden {
			shown = `"…"`
		}
		k.refuse(at, shown, bad)
	}
	return text
}

func (k *checker) amount(at spot, n int64, shown, reason string) {
	switch {
	case n < 0:
		k.refuse(at, shown, refuse("is negative"))
	case n == 0 && !at.form.zero:
		k.refuse(at, shown, refuse(reason))
	}
}

func (k *checker) list(at spot, list []string) []string {
	if len(list) == 0 && at.form.some {
		k.refuse(at, "[]", refuse("is empty"))
	}
	kept := make([]string, 0, len(list))
	for i, text := range list {
		of := at
		of.path = element(at.path, i)
		text = k.text(of, text)
		if slices.Contains(kept, text) && !k.bad[of.path] {
			k.refuse(of, quote(text), &refusal{"is there twice", "leave one of them out"})
		}
		if k.bad[of.path] {
			k.bad[at.path] = true
		}
		kept = append(kept, text)
	}
	return kept
}

// words is list, for a list in which the same may stand twice.
func (k *checker) words(at spot, list []string) []string {
	if len(list) == 0 && at.form.some {
		k.refuse(at, "[]", refuse("is empty"))
	}
	kept := make([]string, 0, len(list))
	for i, text := range list {
		of := at
		of.path = element(at.path, i)
		if text != "" || i == 0 {
			text = k.text(of, text)
		}
		if k.bad[of.path] {
			k.bad[at.path] = true
		}
		kept = append(kept, text)
	}
	return kept
}

func (k *checker) pairs(at spot, pairs map[string]string) map[string]string {
	kept := make(map[string]string, len(pairs))
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		of := spot{path: join(at.path, name), name: name, where: at.name + " of " + at.where, form: at.form}
		text := k.text(of, pairs[name])
		keptName, bad := at.form.name(name)
		if bad == nil {
			if _, twice := kept[keptName]; twice {
				bad = &refusal{"is there twice, but for its case", "leave one of them out"}
			}
		}
		if bad != nil {
			problem := fmt.Sprintf("%s in %s: %s", quote(name), of.where, bad.reason)
			hint := bad.hint
			if hint == "" {
				hint = "it takes " + at.form.takes
			}
			k.fail(of.path, problem, hint)
		}
		kept[keptName] = text
	}
	return kept
}
