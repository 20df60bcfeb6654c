package config

// The text of a file as a tree that knows its places. go-toml's decoder finds
// what is not TOML, its parser finds where things are; nothing outside this
// file sees either.

import (
	"bytes"
	"errors"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// maxText bounds a file: a configuration of ten thousand sites is smaller.
const maxText = 4 << 20

// restUnread is the hint of what is not TOML.
const restUnread = "nothing else in the file was checked"

type shape int

const (
	shapeText shape = iota
	shapeInteger
	shapeFloat
	shapeBool
	shapeDate
	shapeList
	shapeTable
)

func (s shape) String() string {
	return [...]string{"a string", "a whole number", "a number", "true or false", "a date or time", "a list", "a table"}[s]
}

// value is one value of the file.
type value struct {
	shape shape
	at    place
	text  string   // of a string what it means, of other scalars what is written
	items []*value // of a list
	table *table   // of a table
}

type table struct {
	entries []*entry // in the order of the file
	index   map[string]*entry
}

type entry struct {
	name  string
	at    place
	value *value
}

func newTable() *table { return &table{index: make(map[string]*entry)} }

func (t *table) add(name string, at place, v *value) {
	e := &entry{name, at, v}
	t.entries = append(t.entries, e)
	t.index[name] = e
}

// parseTree reads a file's text. The error is an *Error with its place.
func parseTree(name string, text []byte, origin Origin) (*table, error) {
	start := place{name, 1, 1}
	if len(text) > maxText {
		return nil, start.problem("file is larger than 4 MiB", "a configuration is small; is this the right file?")
	}
	if bytes.HasPrefix(text, []byte("\ufeff")) { // some editors' first bytes; blanks keep the columns
		text = append([]byte("   "), text[3:]...)
	}
	// The parser alone takes double keys and tables that contradict each other.
	var all map[string]any
	if err := toml.Unmarshal(text, &all); err != nil {
		at := start
		var where *toml.DecodeError
		if errors.As(err, &where) {
			at.line, at.column = where.Position()
		}
		return nil, at.problem("not TOML: "+strings.TrimPrefix(err.Error(), "toml: "), restUnread)
	}
	b := builder{name: name, origin: origin, root: newTable()}
	for i, c := range text {
		if c == '\n' {
			b.ends = append(b.ends, i)
		}
	}
	b.parser.Reset(text)
	b.current = b.root
	for b.parser.NextExpression() {
		if err := b.expression(b.parser.Expression()); err != nil {
			return nil, err
		}
	}
	if err := b.parser.Error(); err != nil {
		return nil, start.problem("not TOML: "+err.Error(), restUnread)
	}
	return b.root, nil
}

// builder makes the tree out of the parser's expressions.
type builder struct {
	name    string
	origin  Origin // nil: the text is what was written
	ends    []int  // offsets of the newlines
	parser  unstable.Parser
	root    *table
	current *table // that [header] opened
}

func (b *builder) expression(n *unstable.Node) error {
	switch n.Kind {
	case unstable.Table, unstable.ArrayTable:
		in, last, at, err := b.descend(b.root, n.Key())
		if err != nil {
			return err
		}
		b.current = newTable()
		fresh := &value{shape: shapeTable, at: at, table: b.current}
		old := in.index[last]
		switch {
		case old == nil && n.Kind == unstable.Table:
			in.add(last, at, fresh)
		case old == nil:
			in.add(last, at, &value{shape: shapeList, at: at, items: []*value{fresh}})
		case n.Kind == unstable.ArrayTable && old.value.shape == shapeList:
			old.value.items = append(old.value.items, fresh)
		case n.Kind == unstable.Table && old.value.shape == shapeTable:
			b.current = old.value.table // [a.b] came before [a]
		default:
			return at.problem("not TOML: "+quote(last)+" is defined twice", restUnread)
		}
	case unstable.KeyValue:
		return b.keyValue(b.current, n)
	}
	return nil
}

func (b *builder) keyValue(in *table, n *unstable.Node) error {
	in, last, at, err := b.descend(in, n.Key())
	if err != nil {
		return err
	}
	v, err := b.value(n.Value(), at)
	if err != nil {
		return err
	}
	if in.index[last] != nil {
		return at.problem("not TOML: "+quote(last)+" is defined twice", restUnread)
	}
	in.add(last, at, v)
	return nil
}

// descend walks a dotted key to the table that holds its last part. Tables
// that are not there yet are made.
func (b *builder) descend(in *table, key unstable.Iterator) (*table, string, place, error) {
	key.Next()
	for {
		part := key.Node()
		name, at := string(part.Data), b.place(part, place{b.name, 1, 1})
		if !key.Next() {
			return in, name, at, nil
		}
		next := in.index[name]
		if next == nil {
			in.add(name, at, &value{shape: shapeTable, at: at, table: newTable()})
			next = in.index[name]
		}
		v := next.value
		if v.shape == shapeList && len(v.items) > 0 {
			v = v.items[len(v.items)-1] // the last [[header]]
		}
		if v.shape != shapeTable {
			return nil, "", at, at.problem("not TOML: "+quote(name)+" is not a table", restUnread)
		}
		in = v.table
	}
}

func (b *builder) value(n *unstable.Node, key place) (*value, error) {
	v := &value{at: b.place(n, key), text: string(n.Data)}
	switch n.Kind {
	case unstable.String:
		v.shape = shapeText
	case unstable.Integer:
		v.shape = shapeInteger
	case unstable.Float:
		v.shape = shapeFloat
	case unstable.Bool:
		v.shape = shapeBool
	case unstable.Array:
		v.shape = shapeList
		items := n.Children()
		for items.Next() {
			item, err := b.value(items.Node(), v.at)
			if err != nil {
				return nil, err
			}
			v.items = append(v.items, item)
		}
	case unstable.InlineTable:
		v.shape, v.table = shapeTable, newTable()
		pairs := n.Children()
		for pairs.Next() {
			if err := b.keyValue(v.table, pairs.Node()); err != nil {
				return nil, err
			}
		}
	default:
		v.shape = shapeDate
	}
	return v, nil
}

// place is where a node stands; the parser knows no place for a list, which
// then stands where its key does.
func (b *builder) place(n *unstable.Node, otherwise place) place {
	if n.Raw.Length == 0 {
		return otherwise
	}
	offset := int(n.Raw.Offset)
	line := sort.SearchInts(b.ends, offset)
	start := 0
	if line > 0 {
		start = b.ends[line-1] + 1
	}
	at := place{b.name, line + 1, offset - start + 1}
	if b.origin != nil {
		if file, line, column := b.origin(at.line, at.column); line > 0 {
			return place{file, line, column}
		}
	}
	return at
}
