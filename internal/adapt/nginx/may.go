package nginx

// Whether an expression may match a file of any of the folders below a path.

import (
	"maps"
	"regexp/syntax"
	"strings"
)

// mayMatch reports whether an expression matches the path of a file in some folder
// whose path begins in some way. Within: also where it matches that of the folder
// already. What it cannot tell it says yes to.
func mayMatch(expr, beginning, file string, within bool) bool {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return true
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return true
	}
	m := &mayMatcher{prog: prog}
	now := m.follow(nil, uint32(prog.Start), true, false)
	for _, c := range beginning {
		now = m.next(now, func(i *syntax.Inst) bool { return i.MatchRune(c) }, false)
	}
	folders := map[uint32]bool{}
	if strings.HasSuffix(beginning, "/") {
		maps.Copy(folders, now)
	}
	for n := -1; n != len(now); { // any text: all that can be come to
		n = len(now)
		maps.Copy(now, m.next(now, func(*syntax.Inst) bool { return true }, false))
	}
	now = m.next(now, func(in *syntax.Inst) bool { return in.MatchRune('/') }, false)
	maps.Copy(now, folders)
	m.matched = m.matched && within
	runes := []rune(file)
	for i, c := range runes {
		now = m.next(now, func(in *syntax.Inst) bool { return in.MatchRune(c) }, i == len(runes)-1)
	}
	return m.matched
}

type mayMatcher struct {
	prog    *syntax.Prog
	matched bool
}

// next is where one more rune leads, and where a match may begin behind it.
func (m *mayMatcher) next(now map[uint32]bool, takes func(*syntax.Inst) bool, last bool) map[uint32]bool {
	then := m.follow(nil, uint32(m.prog.Start), false, last)
	for pc := range now {
		if in := &m.prog.Inst[pc]; takes(in) {
			then = m.follow(then, in.Out, false, last)
		}
	}
	return then
}

// follow adds the instructions that take a rune and are come to without one.
func (m *mayMatcher) follow(set map[uint32]bool, from uint32, first, last bool) map[uint32]bool {
	if set == nil {
		set = map[uint32]bool{}
	}
	seen := map[uint32]bool{}
	stack := []uint32{from}
	for len(stack) > 0 {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[pc] {
			continue
		}
		seen[pc] = true
		switch in := &m.prog.Inst[pc]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, in.Out, in.Arg)
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, in.Out)
		case syntax.InstEmptyWidth:
			const begins, ends = syntax.EmptyBeginText | syntax.EmptyBeginLine, syntax.EmptyEndText | syntax.EmptyEndLine
			if of := syntax.EmptyOp(in.Arg); (of&begins == 0 || first) && (of&ends == 0 || last) {
				stack = append(stack, in.Out)
			}
		case syntax.InstMatch:
			m.matched = true
		case syntax.InstFail:
		default:
			set[pc] = true
		}
	}
	return set
}
