package pcre

// Groups and alternatives.

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Name gives each group of an expression that has no name one of its own, the
// prefix and its number, so that texts can name it beside the groups of other
// expressions. It returns the names of all, the first group's first; none if
// there is no group, or a name is taken.
func Name(expr, prefix string) (string, []string) {
	re, err := regexp.Compile(expr)
	if err != nil || re.NumSubexp() == 0 {
		return expr, nil
	}
	var b strings.Builder
	names := re.SubexpNames()[1:]
	n, done := 0, 0
	for i, c := range structure(expr) {
		if c != '(' {
			continue
		}
		switch rest := expr[i+1:]; {
		case !strings.HasPrefix(rest, "?"):
			name := fmt.Sprintf("%s%d", prefix, n+1)
			if n == len(names) || slices.Contains(names, name) {
				return expr, nil
			}
			names[n] = name
			b.WriteString(expr[done:i+1] + "?P<" + names[n] + ">")
			done = i + 1
			n++
		case strings.HasPrefix(rest, "?<") || strings.HasPrefix(rest, "?P<"):
			n++
		}
	}
	b.WriteString(expr[done:])
	if _, err := regexp.Compile(b.String()); err != nil {
		return expr, nil
	}
	return b.String(), names
}

// Groups is how many groups an expression has.
func Groups(expr string) int {
	re, err := regexp.Compile(expr)
	if err != nil {
		return 0
	}
	return re.NumSubexp()
}

// Alternatives parts an expression at its outermost bars.
func Alternatives(expr string) []string {
	var all []string
	depth, start := 0, 0
	for i, c := range structure(expr) {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			if depth == 0 {
				all = append(all, expr[start:i])
				start = i + 1
			}
		}
	}
	return append(all, expr[start:])
}

// Union is an expression that matches where one of some does.
func Union(exprs []string) string {
	if len(exprs) == 1 {
		return exprs[0]
	}
	parts := make([]string, len(exprs))
	for i, e := range exprs {
		parts[i] = e
		if strings.HasPrefix(e, "(?") { // flags hold to the end of a group
			parts[i] = "(?:" + e + ")"
		}
	}
	return strings.Join(parts, "|")
}
