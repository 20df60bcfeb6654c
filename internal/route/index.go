package route

// Which routes are worth trying for a path. The routes are kept in a tree of
// the texts that their paths begin with; a request's path leads down one branch
// of it, and what is on that branch, in the order of the routes, is tried.

import (
	"bytes"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// key is a text that the paths of a route are equal to, or begin with.
type key struct {
	text  string
	exact bool
}

// keys are the texts of a route, one of which each of its paths has.
func (c *compiled) keys() []key {
	if k := c.own.key(); k.text != "" || k.exact || len(c.any) == 0 {
		return []key{k}
	}
	var all []key
	for i := range c.any {
		k := c.any[i].key()
		if k.text == "" {
			return []key{k}
		}
		if !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	return all
}

func (m *matcher) key() key {
	k := key{m.path, m.kind == exact}
	if m.re != nil && !m.uri && !k.exact {
		if literal := literalPrefix(m.re.String()); len(literal) > len(k.text) {
			k.text = literal // a path that both take begins with both
		}
	}
	if i := strings.Index(k.text, "//"); i >= 0 { // paths are looked for with single slashes
		k = key{k.text[:i+1], false}
	}
	return k
}

// literalPrefix is the text that all paths begin with that a regexp matches;
// "" if that is not seen.
func literalPrefix(expr string) string {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return ""
	}
	p := prefixer{}
	p.add(tree.Simplify())
	if !p.anchored {
		return ""
	}
	return p.text.String()
}

// prefixer collects the text at the start of a regexp.
type prefixer struct {
	anchored bool
	text     strings.Builder
}

// add adds what an expression begins with, and reports whether it is that text
// alone.
func (p *prefixer) add(e *syntax.Regexp) bool {
	switch e.Op {
	case syntax.OpBeginText:
		p.anchored = true
		return true
	case syntax.OpEmptyMatch:
		return true
	case syntax.OpCapture:
		return p.add(e.Sub[0])
	case syntax.OpConcat:
		for _, sub := range e.Sub {
			if !p.add(sub) {
				return false
			}
		}
		return true
	case syntax.OpLiteral:
		if !p.anchored || e.Flags&syntax.FoldCase != 0 {
			return false
		}
		for _, r := range e.Rune {
			if r == utf8.RuneError { // which a byte that is no UTF-8 also is
				return false
			}
			p.text.WriteRune(r)
		}
		return true
	}
	return false
}

// index is the root of the tree.
type index struct{ root node }

// node stands for the text on the way to it.
type node struct {
	label string  // what its text has beyond its parent's
	exact []int32 // routes whose path is its text, in order
	begin []int32 // routes whose paths begin with it
	first []byte  // the first bytes of the labels of kids
	kids  []*node
}

// add adds a route, which comes after those there are.
func (x *index) add(route int, keys []key) {
	for _, k := range keys {
		n := x.root.at(k.text)
		if k.exact {
			n.exact = append(n.exact, int32(route))
		} else {
			n.begin = append(n.begin, int32(route))
		}
	}
}

// at returns the node of a text below n, which is made if need be.
func (n *node) at(text string) *node {
	for text != "" {
		i := bytes.IndexByte(n.first, text[0])
		if i < 0 {
			kid := &node{label: text}
			n.first, n.kids = append(n.first, text[0]), append(n.kids, kid)
			return kid
		}
		kid := n.kids[i]
		same := common(text, kid.label)
		if same < len(kid.label) { // part it
			upper := &node{label: kid.label[:same], first: []byte{kid.label[same]}, kids: []*node{kid}}
			kid.label = kid.label[same:]
			n.kids[i] = upper
			kid = upper
		}
		n, text = kid, text[same:]
	}
	return n
}

func common(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// candidates are the routes that are worth trying, in order.
type candidates struct {
	few   [8][]int32
	n     int
	more  [][]int32
	steps int // nodes and routes, for the test
}

// candidates returns those for a path, from a route on.
func (x *index) candidates(path string, from int) candidates {
	var c candidates
	n := &x.root
	for {
		c.steps++
		c.list(n.begin, from)
		if path == "" {
			c.list(n.exact, from)
			return c
		}
		i := bytes.IndexByte(n.first, path[0])
		if i < 0 {
			return c
		}
		if n = n.kids[i]; !strings.HasPrefix(path, n.label) {
			return c
		}
		path = path[len(n.label):]
	}
}

func (c *candidates) list(routes []int32, from int) {
	if from > 0 {
		i, _ := slices.BinarySearch(routes, int32(from))
		routes = routes[i:]
	}
	switch {
	case len(routes) == 0:
	case c.n < len(c.few):
		c.few[c.n] = routes
		c.n++
	default:
		c.more = append(c.more, routes)
	}
}

// next returns the next route; -1: there is none.
func (c *candidates) next() int {
	least := int32(-1)
	for i := range c.n {
		if l := c.few[i]; len(l) > 0 && (least < 0 || l[0] < least) {
			least = l[0]
		}
	}
	for _, l := range c.more {
		if len(l) > 0 && (least < 0 || l[0] < least) {
			least = l[0]
		}
	}
	if least < 0 {
		return -1
	}
	c.steps++
	for i := range c.n {
		if l := c.few[i]; len(l) > 0 && l[0] == least {
			c.few[i] = l[1:]
		}
	}
	for i, l := range c.more {
		if len(l) > 0 && l[0] == least {
			c.more[i] = l[1:]
		}
	}
	return int(least)
}
