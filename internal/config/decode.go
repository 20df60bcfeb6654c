package config

// From the tree to the types: the table in keys.go says which key is which
// field, the field's type says what TOML must give (decode_value.go). What a
// value means beyond its type is Complete's matter, as it is for a Config
// made in code.

import (
	"fmt"
	"reflect"
	"strings"
)

// decoder fills a Config and notes every problem in its source.
type decoder struct {
	src    *source
	expand bool // ${NAME} in strings
}

// spot is one value on its way: its path, and how messages name it.
type spot struct {
	path  string
	name  string // of the key, or the name in a table of strings
	where string // "[app.main]"
	at    place
	form  *form
}

// problem is "NAME = VALUE in TABLE: reason".
func (s spot) problem(shown, reason, hint string) (problem, advice string) {
	if hint == "" && s.form.takes != "" {
		hint = "it takes " + s.form.takes
	}
	return fmt.Sprintf("%s = %s in %s: %s", short(s.name), shown, s.where, reason), hint
}

func (d *decoder) refuse(s spot, v *value, reason, hint string) {
	problem, hint := s.problem(v.show(), reason, hint)
	d.src.refuse(s.path, s.at, problem, hint)
}

// table decodes into the struct target. path is the section's place in the
// config, where its name in messages.
func (d *decoder) table(s *section, path, where string, t *table, target reflect.Value) {
	for _, e := range t.entries {
		k := s.key(e.name)
		if k == nil {
			d.src.refuse(join(path, e.name), e.at, fmt.Sprintf("unknown key %s in %s", quote(e.name), where), hintFor(s, e.name))
			continue
		}
		at := spot{path: join(path, k.name), name: k.name, where: where, at: e.at, form: &k.form}
		field := target.FieldByName(k.field)
		d.src.give(at.path, at.at)
		switch {
		case k.within == nil:
			d.value(at, e.value, field)
		case field.Kind() == reflect.Slice:
			d.tables(k.within, at, e.value, field)
		case field.Kind() == reflect.Map:
			d.family(k.within, at, e.value, field)
		default:
			d.one(k, at, e.value, field)
		}
	}
}

// one decodes [server] or files = {…}.
func (d *decoder) one(k *key, at spot, v *value, field reflect.Value) {
	s := k.within
	if v.shape == shapeText && s.alone != "" {
		v = s.whole(v)
	}
	short := v.shape == shapeBool && (k.short || k.off && v.text == "false")
	if v.shape != shapeTable && !short {
		or := ""
		if k.short {
			or = at.name + " = true, "
		}
		if k.off {
			or = at.name + " = false, "
		}
		if s.alone != "" {
			or = at.name + ` = "…", `
		}
		d.refuse(at, v, "is not a table", "write "+or+at.name+" = { … } or a table of its own")
		return
	}
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	if short {
		field.FieldByName("Off").SetBool(v.text == "false")
		return
	}
	d.table(k.within, at.path, k.within.label(at.where), v.table, field)
}

// whole is the table that a text in its place stands for.
func (s *section) whole(v *value) *value {
	t := newTable()
	t.add(s.alone, v.at, v)
	return &value{shape: shapeTable, at: v.at, table: t}
}

// tables decodes [[site]].
func (d *decoder) tables(s *section, at spot, v *value, field reflect.Value) {
	title := s.listLabel(at.where)
	hint := "write " + title + ", in two brackets, for each"
	if s.alone != "" {
		hint = "write " + at.name + ` = ["…", { … }]`
		if v.shape == shapeText { // one for a list of one
			v = &value{shape: shapeList, at: v.at, items: []*value{v}}
		}
	}
	if v.shape != shapeList {
		d.refuse(at, v, "is not a list of tables", hint)
		return
	}
	for i, item := range v.items {
		field.Set(reflect.Append(field, reflect.Zero(field.Type().Elem())))
		of := at
		of.path, of.at = element(at.path, i), item.at
		d.src.give(of.path, of.at)
		if item.shape == shapeText && s.alone != "" {
			item = s.whole(item)
		}
		if item.shape != shapeTable {
			d.refuse(of, item, "is not a table", hint)
			continue
		}
		d.table(s, of.path, title, item.table, field.Index(i))
	}
}

// family decodes [app.NAME].
func (d *decoder) family(s *section, at spot, v *value, field reflect.Value) {
	hint := "write " + s.label(s.example) + " for each"
	if v.shape != shapeTable {
		d.refuse(at, v, "is not a table", hint)
		return
	}
	field.Set(reflect.MakeMap(field.Type()))
	for _, e := range v.table.entries {
		of := spot{path: familyPath(at.path, e.name), name: e.name, where: "[" + at.name + "]", at: e.at, form: &form{}}
		d.src.give(of.path, of.at)
		if e.value.shape != shapeTable {
			d.refuse(of, e.value, "is not a table", hint)
			continue
		}
		member := reflect.New(field.Type().Elem().Elem())
		field.SetMapIndex(reflect.ValueOf(e.name), member)
		d.table(s, of.path, s.memberLabel(at.where, e.name), e.value.table, member.Elem())
	}
}

// label is the section's title with the name, or the table around it, put in.
func (s *section) label(in string) string {
	return strings.ReplaceAll(strings.Replace(s.title, "%s", short(in), 1), "%s", "NAME")
}

// memberLabel is the title of one of a family: with the table around it, where
// there is one, and its name.
func (s *section) memberLabel(where, name string) string {
	if strings.Count(s.title, "%s") < 2 {
		return s.label(name)
	}
	around := strings.Replace(s.title, "%s", strings.Trim(where, "[]"), 1)
	return strings.Replace(around, "%s", short(name), 1)
}

// listLabel is the title of a list of tables within the table where.
func (s *section) listLabel(where string) string { return s.label(strings.Trim(where, "[]")) }

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// familyPath keeps a name that holds dots or brackets, which Complete
// refuses, from looking like the path of something else.
func familyPath(path, name string) string {
	if !isAppName(name) {
		name = fmt.Sprintf("%x", name) + "?"
	}
	return path + "." + name
}

func isAppName(name string) bool {
	return name != "" && len(name) <= 64 &&
		strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}
