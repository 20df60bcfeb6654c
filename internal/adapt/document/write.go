package document

// This file: a document as text.

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// wide is how long a line gets before a list is broken into lines.
const wide = 100

func (w *writer) print(text string) {
	for i := range len(text) {
		if text[i] == '\n' {
			w.line++
			w.start = w.text.Len() + i + 1
		}
	}
	w.text.WriteString(text)
}

func (w *writer) mark(at Place) {
	w.marks = append(w.marks, mark{w.line, w.text.Len() - w.start + 1, at})
}

// table writes what is in a table, whose header is there already.
func (w *writer) table(path string, t *Table, indent bool) {
	for _, e := range t.keys {
		if e.comment() {
			w.print(strings.TrimRight("# "+clean(e.name), " ") + "\n")
			continue
		}
		w.mark(e.at)
		w.print(key(e.name) + " = ")
		w.value(e.value, e.at, "")
		w.print("\n")
	}
	for _, s := range t.tables {
		for _, of := range s.of {
			name := key(s.name)
			if path != "" {
				name = path + "." + name
			}
			if s.list || len(of.keys) > 0 { // else the header says nothing
				w.header(name, s.list, of)
			}
			w.table(name, of, true)
		}
	}
}

func (w *writer) header(name string, list bool, t *Table) {
	if w.text.Len() > 0 {
		w.print("\n")
	}
	open, end := "[", "]\n"
	if list {
		open, end = "[[", "]]\n"
	}
	w.mark(t.at)
	w.print(open + name + end)
}

func (w *writer) value(value any, at Place, indent string) {
	w.mark(at)
	switch v := value.(type) {
	case string:
		w.print(text(v))
	case int:
		w.print(strconv.Itoa(v))
	case bool:
		w.print(strconv.FormatBool(v))
	case []string:
		items := make([]any, len(v))
		for i := range v {
			items[i] = v[i]
		}
		w.list(items, at, indent)
	case []*Table:
		items := make([]any, len(v))
		for i := range v {
			items[i] = v[i]
		}
		w.list(items, at, indent)
	case *Table:
		w.inline(v, indent)
	default:
		panic(fmt.Sprintf("document: a value of type %T", value)) // a defect of an adapter, which its tests find
	}
}

func (w *writer) list(items []any, at Place, indent string) {
	broken := false
	if len(items) > 1 && !w.within {
		width := w.text.Len() - w.start
		for _, item := range items {
			width += lengthOf(item) + 2
		}
		broken = width > wide
	}
	w.print("[")
	for i, item := range items {
		switch {
		case broken:
			w.print("\n" + indent + "    ")
		case i > 0:
			w.print(", ")
		}
		place := at
		if t, ok := item.(*Table); ok && t.at != (Place{}) {
			place = t.at
		}
		w.value(item, place, indent+"    ")
		if broken {
			w.print(",")
		}
	}
	if broken {
		w.print("\n" + indent)
	}
	w.print("]")
}

func (w *writer) inline(t *Table, indent string) {
	n := 0
	around := w.within
	w.within = true
	defer func() { w.within = around }()
	w.print("{")
	for _, e := range t.keys {
		if e.comment() {
			continue // there is no room for it on a line
		}
		if n > 0 {
			w.print(",")
		}
		n++
		w.print(" ")
		w.mark(e.at)
		w.print(key(e.name) + " = ")
		w.value(e.value, e.at, indent)
	}
	if n > 0 {
		w.print(" ")
	}
	w.print("}")
}

// lengthOf is about how long a value will be.
func lengthOf(value any) int {
	switch v := value.(type) {
	case string:
		return len(v) + 2
	case *Table:
		n := 4
		for _, e := range v.keys {
			n += len(e.name) + 5 + lengthOf(e.value)
		}
		return n
	case []string:
		n := 2
		for _, s := range v {
			n += len(s) + 4
		}
		return n
	case []*Table:
		n := 2
		for _, t := range v {
			n += lengthOf(t) + 2
		}
		return n
	}
	return 5
}

// key is a key as TOML has it.
func key(name string) string {
	if name != "" && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789_-") == "" {
		return name
	}
	return quoted(name)
}

// text is a string as config reads it back: ${NAME} is no variable in it.
func text(s string) string { return quoted(escapeVariables(s)) }

// quoted is a string as TOML has it: best as it is, where it has backslashes.
func quoted(s string) string {
	if strings.ContainsAny(s, `\"`) && !strings.Contains(s, "'") && s == clean(s) {
		return "'" + s + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r) // what is no UTF-8 became U+FFFD; Read refuses it before
		}
	}
	b.WriteByte('"')
	return b.String()
}

// clean is a text without what must not stand in a comment or between '.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// escapeVariables doubles the $ of each ${NAME}.
func escapeVariables(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] == '$' && i+2 < len(s) && s[i+1] == '{' && beginsName(s[i+2]) {
			b.WriteByte('$')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func beginsName(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// Literal is a text that stands for itself where placeholders are known.
func Literal(s string) string { return strings.ReplaceAll(s, "{", "{{") }
