package pcre

// What PCRE does, for expressions with look-ahead: all places where a match may
// end, found by trying each.

import (
	"fmt"
	"maps"
	"regexp/syntax"
	"strings"
	"testing"
)

// oracle is an expression, with empty groups that have names in place of its
// look-aheads.
type oracle struct {
	tree   *syntax.Regexp
	aheads []*oracle
}

// newOracle reads an expression without escapes and classes around "(?!".
func newOracle(expr string) (*oracle, error) {
	o := &oracle{}
	for {
		i := strings.LastIndex(expr, "(?!")
		if i < 0 {
			break
		}
		depth, end := 0, i
		for ; end < len(expr); end++ {
			if expr[end] == '(' {
				depth++
			}
			if expr[end] == ')' {
				if depth--; depth == 0 {
					break
				}
			}
		}
		if end == len(expr) {
			return nil, &syntax.Error{Code: syntax.ErrMissingParen, Expr: expr}
		}
		ahead, err := newOracle(expr[i+3 : end])
		if err != nil {
			return nil, err
		}
		o.aheads = append(o.aheads, ahead)
		expr = fmt.Sprintf("%s(?P<ahead%d>)%s", expr[:i], len(o.aheads)-1, expr[end+1:])
	}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	o.tree = tree.Simplify()
	return o, nil
}

func (o *oracle) matches(text string) bool {
	for i := range len(text) + 1 {
		if len(o.ends(o.tree, []rune(text), i)) > 0 {
			return true
		}
	}
	return false
}

type places map[int]bool

// ends are the places where a match of a part may end that begins at i.
func (o *oracle) ends(re *syntax.Regexp, text []rune, i int) places {
	one := func(ok bool) places {
		if ok {
			return places{i: true}
		}
		return nil
	}
	next := func(ok bool) places {
		if ok {
			return places{i + 1: true}
		}
		return nil
	}
	switch re.Op {
	case syntax.OpEmptyMatch:
		return one(true)
	case syntax.OpLiteral:
		at := places{i: true}
		for _, r := range re.Rune {
			at = o.then(at, func(j int) places {
				if j < len(text) && text[j] == r {
					return places{j + 1: true}
				}
				return nil
			})
		}
		return at
	case syntax.OpCharClass:
		in := false
		for k := 0; i < len(text) && k < len(re.Rune); k += 2 {
			in = in || re.Rune[k] <= text[i] && text[i] <= re.Rune[k+1]
		}
		return next(in)
	case syntax.OpAnyCharNotNL, syntax.OpAnyChar:
		return next(i < len(text))
	case syntax.OpBeginText:
		return one(i == 0)
	case syntax.OpEndText:
		return one(i == len(text))
	case syntax.OpCapture:
		var n int
		if _, err := fmt.Sscanf(re.Name, "ahead%d", &n); err == nil {
			ahead := o.aheads[n]
			return one(len(ahead.ends(ahead.tree, text, i)) == 0)
		}
		return o.ends(re.Sub[0], text, i)
	case syntax.OpQuest:
		at := o.ends(re.Sub[0], text, i)
		return o.also(at, one(true))
	case syntax.OpStar, syntax.OpPlus:
		at := places{i: true}
		if re.Op == syntax.OpPlus {
			at = o.ends(re.Sub[0], text, i)
		}
		for n := -1; n != len(at); {
			n = len(at)
			at = o.also(at, o.then(at, func(j int) places { return o.ends(re.Sub[0], text, j) }))
		}
		return at
	case syntax.OpConcat:
		at := places{i: true}
		for _, sub := range re.Sub {
			at = o.then(at, func(j int) places { return o.ends(sub, text, j) })
		}
		return at
	case syntax.OpAlternate:
		at := places{}
		for _, sub := range re.Sub {
			at = o.also(at, o.ends(sub, text, i))
		}
		return at
	case syntax.OpNoMatch:
		return nil
	}
	panic("what is " + re.Op.String() + "?")
}

func (o *oracle) then(at places, f func(int) places) places {
	out := places{}
	for i := range at {
		maps.Copy(out, f(i))
	}
	return out
}

func (o *oracle) also(a, b places) places {
	out := places{}
	maps.Copy(out, a)
	maps.Copy(out, b)
	return out
}

// The oracle agrees with package regexp, where that has the answer, and with
// PCRE's manual.
func TestOracle(t *testing.T) {
	for _, test := range []struct {
		expr, text string
		want       bool
	}{
		{"^foo(?!bar)", "foobar", false},
		{"^foo(?!bar)", "foobaz", true},
		{"(?!foo)bar", "foobar", true}, // as the manual warns
		{"^((?!ab).)*$", "xxab", false},
		{"^((?!ab).)*$", "xxa", true},
		{"^a(b|c)+?d?$", "abcbd", true},
		{"^a(b|c)+?d?$", "ad", false},
		{"^a{2,3}[x-z]$", "aaay", true},
	} {
		o, err := newOracle(test.expr)
		if err != nil {
			t.Fatal(err)
		}
		if got := o.matches(test.text); got != test.want {
			t.Errorf("%s on %q: %v, want %v", test.expr, test.text, got, test.want)
		}
	}
}
