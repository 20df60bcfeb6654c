// Package document holds a millrace.toml while it is being made out of another
// program's configuration, and remembers of each key where that came from.
//
// An adapter makes a Document of tables:
//
//	d := document.New()
//	site := d.Append("site", at)             // [[site]]
//	site.Set("root", "/srv/www", at)         // root = "/srv/www"
//	route := site.Append("route", at)        // [[site.route]]
//	route.Comment("the last rule wins there") // # the last rule wins there
//	files := document.Inline()
//	files.Set("root", "/srv/media", at)
//	route.Set("files", files, at)            // files = { root = "/srv/media" }
//	d.Table("app", at).Table("main", at)     // [app.main]
//
// at is the place in the foreign file that a key is there for. Bytes is the text,
// which is printed, and is parsed by package config to be served: what runs is
// what is shown. Where config finds a problem in it, Locate (or Translate, for
// all of them) says which place of the foreign file it is about.
//
// Values are string, int, bool, []string, *Table made by Inline, and []*Table of
// these. Strings are written so that config reads them back as they are, "${NAME}"
// included; Literal also keeps the braces of what goes into a text with
// placeholders.
//
// What an adapter cannot carry over it notes in a Problems, which prints as
// config's own do. Options is what adapters are told, Read how they get at files.
// The package opens nothing else, and knows no syntax.
package document

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"millrace/internal/config"
)

// Place is where something stands in a foreign file. The zero value is nowhere.
type Place struct {
	File         string
	Line, Column int // from 1, the column in bytes
}

// String is "file:line:column".
func (p Place) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Document is a millrace.toml in the making.
type Document struct {
	root  Table
	files []string
}

// New is an empty document.
func New() *Document { return &Document{} }

// Top is the table around all others: for comments at the beginning.
func (d *Document) Top() *Table { return &d.root }

// Table is [name], made at its first use.
func (d *Document) Table(name string, at Place) *Table { return d.root.Table(name, at) }

// Append is another [[name]].
func (d *Document) Append(name string, at Place) *Table { return d.root.Append(name, at) }

// Tables are the [[name]] that there are.
func (d *Document) Tables(name string) []*Table { return d.root.Tables(name) }

// Families are the names of the tables [name.…], in their order.
func (d *Document) Families(name string) []string {
	var names []string
	for _, s := range d.root.tables {
		if s.name == name && !s.list {
			for _, member := range s.of[0].tables {
				names = append(names, member.name)
			}
		}
	}
	return names
}

// From notes a file that the document was made of.
func (d *Document) From(file string) {
	if !slices.Contains(d.files, file) {
		d.files = append(d.files, file)
	}
}

// Files are the files that the document was made of.
func (d *Document) Files() []string { return slices.Clone(d.files) }

// Table is a table of a document: its keys and comments, in the order in which
// they were set, then its subtables.
type Table struct {
	at     Place
	keys   []entry // and comments
	tables []sub
}

// entry is a key and its value, or a comment.
type entry struct {
	name  string
	value any // nil: a comment, which is the name
	at    Place
}

func (e *entry) comment() bool { return e.value == nil }

// sub is the table, or the tables, of one name below another.
type sub struct {
	name string
	list bool
	of   []*Table
}

// Inline is a table for a value, { … }.
func Inline() *Table { return &Table{} }

// Place is where the table came from.
func (t *Table) Place() Place { return t.at }

// Set gives a key its value: a new one at the end, one that is there in its place.
func (t *Table) Set(name string, value any, at Place) {
	for i := range t.keys {
		if t.keys[i].name == name && !t.keys[i].comment() {
			t.keys[i].value, t.keys[i].at = value, at
			return
		}
	}
	t.keys = append(t.keys, entry{name: name, value: value, at: at})
}

// Get is the value of a key; nil: it has none.
func (t *Table) Get(name string) any {
	for i := range t.keys {
		if t.keys[i].name == name && !t.keys[i].comment() {
			return t.keys[i].value
		}
	}
	return nil
}

// Names are the keys of the table, in their order.
func (t *Table) Names() []string {
	var names []string
	for _, e := range t.keys {
		if !e.comment() {
			names = append(names, e.name)
		}
	}
	return names
}

// Fill adds the keys of another table, as they are there.
func (t *Table) Fill(of *Table) { t.keys = append(t.keys, of.keys...) }

// Empty reports whether the table has neither keys nor subtables.
func (t *Table) Empty() bool {
	return len(t.tables) == 0 && !slices.ContainsFunc(t.keys, func(e entry) bool { return !e.comment() })
}

// Comment writes a line of comment, before the key that is set next. A text of
// several lines is as many comments. One that was just said is not said twice.
func (t *Table) Comment(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		if !slices.ContainsFunc(t.keys, func(e entry) bool { return e.comment() && e.name == line }) {
			t.keys = append(t.keys, entry{name: line})
		}
	}
}

// Table is [….name], made at its first use.
func (t *Table) Table(name string, at Place) *Table {
	for i := range t.tables {
		if t.tables[i].name == name && !t.tables[i].list {
			return t.tables[i].of[0]
		}
	}
	made := &Table{at: at}
	t.tables = append(t.tables, sub{name, false, []*Table{made}})
	return made
}

// Append is another [[….name]].
func (t *Table) Append(name string, at Place) *Table {
	made := &Table{at: at}
	for i := range t.tables {
		if t.tables[i].name == name && t.tables[i].list {
			t.tables[i].of = append(t.tables[i].of, made)
			return made
		}
	}
	t.tables = append(t.tables, sub{name, true, []*Table{made}})
	return made
}

// Tables are the [[….name]] that there are.
func (t *Table) Tables(name string) []*Table {
	for i := range t.tables {
		if t.tables[i].name == name {
			return slices.Clone(t.tables[i].of)
		}
	}
	return nil
}

// Bytes is the document as text.
func (d *Document) Bytes() []byte { return d.write().text.Bytes() }

// Locator says of what stands at a line and column of the text, both from 1,
// where it came from: the place of the key, the item or the table there.
func (d *Document) Locator() func(line, column int) (Place, bool) { return d.write().locate }

// Config is the text as the configuration that is served. Problems, and
// warnings, name the places of the foreign files; name stands for those of what
// came from none.
func (d *Document) Config(name string) (*config.Config, error) {
	w := d.write()
	cfg, err := config.ParseFrom(name, w.text.Bytes(), "/", func(line, column int) (string, int, int) {
		at, _ := w.locate(line, column)
		return at.File, at.Line, at.Column
	})
	var all config.Errors
	if errors.As(err, &all) { // of one word there may be many keys: it is wrong once
		var once config.Errors
		for _, e := range all {
			if !slices.ContainsFunc(once, func(of *config.Error) bool { return *of == *e }) {
				once = append(once, e)
			}
		}
		return cfg, once
	}
	return cfg, err
}

func byPlace(a, b *config.Error) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// mark is where in the text something stands, and where it came from.
type mark struct {
	line, column int
	at           Place
}

// writer makes the text, and the marks in it in order.
type writer struct {
	text  bytes.Buffer
	line  int
	start int // offset of the line
	marks []mark

	within bool // an inline table, which stays on its line
}

func (d *Document) write() *writer {
	w := &writer{line: 1}
	w.table("", &d.root, false)
	return w
}

func (w *writer) locate(line, column int) (Place, bool) {
	// The marks are in order: of ten thousand, few are looked at.
	behind, _ := slices.BinarySearchFunc(w.marks, mark{line: line, column: column + 1}, func(m, at mark) int {
		return cmp.Or(cmp.Compare(m.line, at.line), cmp.Compare(m.column, at.column))
	})
	for behind--; behind >= 0; behind-- {
		if at := w.marks[behind].at; at != (Place{}) {
			return at, true
		}
	}
	return Place{}, false
}
