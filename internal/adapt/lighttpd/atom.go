package lighttpd

// This file: what is known of conditions when some others are known.

import (
	"net/netip"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// truth is of a condition: it holds, it does not, or that depends on the request.
type truth int8

const (
	unknown truth = iota
	yes
	no
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

func (t truth) not() truth {
	switch t {
	case yes:
		return no
	case no:
		return yes
	}
	return unknown
}

func (t truth) and(o truth) truth {
	switch {
	case t == no || o == no:
		return no
	case t == yes && o == yes:
		return yes
	}
	return unknown
}

// atom is a condition in its positive form: != is an == that does not hold.
type atom struct {
	field, name string
	op          string // == =~ =^ =$
	value       string
	re          *regexp.Regexp
	literal     string // that all that =~ matches begins with
	first       *condition
}

func (a *atom) same(b *atom) bool {
	return a.field == b.field && a.name == b.name && a.op == b.op && a.value == b.value
}

// about reports whether two are about the same thing.
func (a *atom) about(b *atom) bool {
	return a.field == b.field && strings.EqualFold(a.name, b.name)
}

// newAtom is a condition's atom, and whether it is the opposite of it.
func newAtom(c *condition) (a *atom, opposite bool) {
	a = &atom{field: c.field, name: c.name, op: c.op, value: c.value, first: c}
	switch c.op {
	case "!=":
		a.op, opposite = "==", true
	case "!~":
		a.op, opposite = "=~", true
	}
	if a.op == "=~" {
		expr, _ := translate(a.value)
		a.re = regexp.MustCompile(expr) // which canonical has seen
		a.literal = literalPrefix(expr)
	}
	return a, opposite
}

// literalPrefix is the text that all begins with that a regexp matches; "" where
// that is not seen.
func literalPrefix(expr string) string {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return ""
	}
	tree = tree.Simplify()
	if tree.Op != syntax.OpConcat || len(tree.Sub) < 2 || tree.Sub[0].Op != syntax.OpBeginText {
		return ""
	}
	var b strings.Builder
	for _, sub := range tree.Sub[1:] {
		for sub.Op == syntax.OpCapture {
			sub = sub.Sub[0]
		}
		if sub.Op != syntax.OpLiteral || sub.Flags&syntax.FoldCase != 0 {
			break
		}
		b.WriteString(string(sub.Rune))
	}
	return b.String()
}

// of is whether the atom holds for a value.
func (a *atom) of(value string) bool {
	switch a.op {
	case "==":
		if a.field == "remote-ip" {
			return networkHolds(a.value, value)
		}
		return a.value == value
	case "=^":
		return strings.HasPrefix(value, a.value)
	case "=$":
		return strings.HasSuffix(value, a.value)
	}
	return a.re.MatchString(value)
}

func networkHolds(network, address string) bool {
	outer, ok := networkOf(network)
	inner, ok2 := networkOf(address)
	return ok && ok2 && outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

func networkOf(text string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), true
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	return netip.Prefix{}, false
}

// known is an atom that holds, or does not.
type known struct {
	atom *atom
	is   truth
}

// implied is what is known of an atom, given what is known of others.
func implied(a *atom, all []known) truth {
	for _, k := range all {
		if k.atom.same(a) {
			return k.is
		}
	}
	for _, k := range all {
		if !k.atom.about(a) {
			continue
		}
		if t := follows(a, k); t != unknown {
			return t
		}
	}
	return unknown
}

// follows is what one that is known says of another about the same thing.
func follows(a *atom, k known) truth {
	if k.is == no {
		switch {
		case k.atom.op == "=^" && strings.HasPrefix(a.beginning(), k.atom.value),
			k.atom.op == "=$" && (a.op == "=$" || a.op == "==") && strings.HasSuffix(a.value, k.atom.value),
			k.atom.op == "=~" && a.op == "==" && k.atom.re.MatchString(a.value),
			k.atom.field == "remote-ip" && k.atom.op == "==" && a.op == "==" && networkHolds(k.atom.value, a.value):
			return no
		}
		return unknown
	}
	if a.field == "remote-ip" && a.op == "==" && k.atom.op == "==" {
		switch {
		case networkHolds(a.value, k.atom.value):
			return yes
		case !networkHolds(k.atom.value, a.value):
			return no
		}
		return unknown
	}
	switch k.atom.op {
	case "==":
		return truthOf(a.of(k.atom.value))
	case "=$":
		switch {
		case a.op == "=$" && strings.HasSuffix(k.atom.value, a.value):
			return yes
		case a.op == "=$" && !strings.HasSuffix(a.value, k.atom.value), a.op == "==" && !k.atom.of(a.value):
			return no
		}
		return unknown
	}
	// It begins with a text, or is matched by a regexp.
	have, want := k.atom.beginning(), a.beginning()
	switch {
	case a.op == "=^" && strings.HasPrefix(have, a.value):
		return yes
	case !strings.HasPrefix(have, want) && !strings.HasPrefix(want, have), a.op == "==" && !k.atom.of(a.value):
		return no
	}
	return unknown
}

// beginning is the text that all begins with for which the atom holds.
func (a *atom) beginning() string {
	switch a.op {
	case "==", "=^":
		return a.value
	case "=~":
		return a.literal
	}
	return ""
}

// facts is what is known of all blocks, given what is known of some atoms.
type facts struct {
	all    []known // kept, as its place in memory is what it is found by
	active []truth // by the numbers of the blocks
}

type factsKey struct {
	first *known
	n     int
}

// truths are whether the settings of each block hold. They are worked out once for
// each list of known atoms, of which none is changed.
func (l *lowering) truths(all []known) []truth {
	key := factsKey{n: len(all)}
	if len(all) > 0 {
		key.first = &all[0]
	}
	if f, ok := l.facts[key]; ok {
		return f.active
	}
	active, left := make([]truth, len(l.blocks)), make([]truth, len(l.blocks))
	own := make([]truth, len(l.blocks))
	for i, b := range l.blocks { // parents, and what an else is of, come before
		own[i], left[i] = l.own(b, all), yes
		if b.prev != nil {
			left[i] = left[b.prev.number].and(own[b.prev.number].not())
		}
		active[i] = own[i].and(left[i])
		if b.parent != nil {
			active[i] = active[i].and(active[b.parent.number])
		}
	}
	l.facts[key] = facts{all, active}
	return active
}

// active is whether the settings of a block hold.
func (l *lowering) active(b *block, all []known) truth { return l.truths(all)[b.number] }

// own is whether the condition of a block holds, whatever is around it.
func (l *lowering) own(b *block, all []known) truth {
	if b.cond == nil {
		return yes
	}
	of := l.atoms[b]
	is := implied(of.atom, all)
	if of.opposite {
		return is.not()
	}
	return is
}

// deciding is the first atom that a block depends on and of which nothing is known.
func (l *lowering) deciding(b *block, all []known) *atom {
	if b == nil || b.parent == nil {
		return nil
	}
	if a := l.deciding(b.parent, all); a != nil {
		return a
	}
	var chain []*block
	for p := b; p != nil; p = p.prev {
		chain = append(chain, p)
	}
	for i := len(chain) - 1; i >= 0; i-- {
		if p := chain[i]; p.cond != nil && l.own(p, all) == unknown {
			return l.atoms[p].atom
		}
	}
	return nil
}

// tied is an atom as a block has it.
type tied struct {
	atom     *atom
	opposite bool
}

// leaf is one of the cases that requests fall into, with what holds in it.
type leaf struct {
	path  []known // what was decided on the way, in order
	all   []known // and what was known before
	holds string  // the blocks whose settings are in force
}

// maxLeaves bounds the cases of one site.
const maxLeaves = 256

// leaves are the cases that some settings part requests into: of two that an atom
// parts, the one where it holds comes first, so that the order of routes says where it
// does not. As the last block that holds counts, the last are asked first.
func (l *lowering) leaves(all []known, wanted func(*setting) bool) []leaf {
	var names []string
	with := map[string][]*block{} // from the last
	for _, b := range slices.Backward(l.blocks) {
		for _, s := range b.settings {
			if wanted(s) {
				if len(with[s.name]) == 0 {
					names = append(names, s.name)
				}
				with[s.name] = append(with[s.name], b)
			}
		}
	}
	n := 0
	var walk func(path, all []known) []leaf
	walk = func(path, all []known) []leaf {
		active := l.truths(all)
		var holds strings.Builder
		for _, name := range names {
			for _, b := range with[name] {
				if active[b.number] == yes {
					holds.WriteString(strconv.Itoa(b.number))
					break
				}
				if active[b.number] == no || n > maxLeaves {
					continue
				}
				a := l.deciding(b, all)
				part := func(is truth) []leaf {
					k := known{a, is}
					return walk(append(path[:len(path):len(path)], k), append(all[:len(all):len(all)], k))
				}
				is, isNot := part(yes), part(no)
				if alike(is, isNot, len(path)+1) {
					return isNot
				}
				return append(is, isNot...)
			}
			holds.WriteByte(' ')
		}
		n++
		return []leaf{{path, all, holds.String()}}
	}
	out := walk(nil, all)
	if n > maxLeaves {
		l.problems.Add(l.blocks[0].at, "the conditions part requests into too many cases", "several hundred of them would be as many routes; have fewer conditions that can hold together")
		return out[:1]
	}
	return out
}

// alike reports whether an atom makes no difference: the cases where it holds have
// the settings of those where it does not. from is where their paths part.
func alike(a, b []leaf, from int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].holds != b[i].holds || !slices.Equal(a[i].path[from:], b[i].path[from:]) {
			return false
		}
	}
	return true
}

// effective is the setting of a name in a case: that of the last block that holds.
func (l *lowering) effective(name string, all []known) *setting {
	for i := len(l.blocks) - 1; i >= 0; i-- {
		if s := l.blocks[i].byName[name]; s != nil && l.active(l.blocks[i], all) == yes {
			return s
		}
	}
	return nil
}

// effectiveBlock is the last block that holds and has one of some names.
func (l *lowering) effectiveBlock(names []string, all []known) *block {
	for i := len(l.blocks) - 1; i >= 0; i-- {
		for _, name := range names {
			if l.blocks[i].byName[name] != nil && l.active(l.blocks[i], all) == yes {
				return l.blocks[i]
			}
		}
	}
	return nil
}
