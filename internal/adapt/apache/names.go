package apache

// Expressions on the names of files, as expressions on paths.

import "regexp/syntax"

// withinNames reports whether an expression asks for nothing at its ends, and
// matches no slash but where dotless sees to it.
func withinNames(expr string) bool {
	tree, err := syntax.Parse(expr, syntax.Perl)
	return err == nil && !holdsOp(tree, func(e *syntax.Regexp) bool {
		return isEdge(e.Op) || e.Op == syntax.OpCharClass && matchesSlash(e.Rune)
	})
}

// looksAround reports whether an expression asks for an end, or for the edge of a
// word: it may match a text, and not one that goes on.
func looksAround(expr string) bool {
	tree, err := syntax.Parse(expr, syntax.Perl)
	return err != nil || holdsOp(tree, func(e *syntax.Regexp) bool { return isEdge(e.Op) && e.Op != syntax.OpBeginText })
}

func isEdge(op syntax.Op) bool {
	switch op {
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return false
}

func holdsOp(e *syntax.Regexp, is func(*syntax.Regexp) bool) bool {
	if is(e) {
		return true
	}
	for _, sub := range e.Sub {
		if holdsOp(sub, is) {
			return true
		}
	}
	return false
}

func matchesSlash(ranges []rune) bool {
	for i := 0; i+1 < len(ranges); i += 2 {
		if ranges[i] <= '/' && '/' <= ranges[i+1] {
			return true
		}
	}
	return false
}

// onNames has an expression match within one name of a path: its beginning is
// behind a slash, its end before one, and nothing else in it matches a slash. Last
// is for the last name alone.
func onNames(expr string, last bool) (string, bool) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil || holdsOp(tree, func(e *syntax.Regexp) bool {
		return e.Op == syntax.OpWordBoundary || e.Op == syntax.OpNoWordBoundary || e.Op == syntax.OpBeginLine || e.Op == syntax.OpEndLine
	}) {
		return "", false
	}
	parse := func(text string) *syntax.Regexp {
		e, _ := syntax.Parse(text, syntax.Perl) // of fixed texts
		return e
	}
	end := parse(`(?:/|\z)`)
	if last {
		end = parse(`\z`)
	}
	var change func(e *syntax.Regexp) *syntax.Regexp
	change = func(e *syntax.Regexp) *syntax.Regexp {
		switch e.Op {
		case syntax.OpBeginText:
			return parse("/")
		case syntax.OpEndText:
			return end
		case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
			return parse("[^/]")
		case syntax.OpCharClass:
			if !matchesSlash(e.Rune) {
				return e
			}
			of := *e
			of.Rune = nil
			for i := 0; i+1 < len(e.Rune); i += 2 {
				lo, hi := e.Rune[i], e.Rune[i+1]
				if lo > '/' || hi < '/' {
					of.Rune = append(of.Rune, lo, hi)
					continue
				}
				if lo < '/' {
					of.Rune = append(of.Rune, lo, '/'-1)
				}
				if hi > '/' {
					of.Rune = append(of.Rune, '/'+1, hi)
				}
			}
			if len(of.Rune) == 0 {
				of.Op = syntax.OpNoMatch
			}
			return &of
		}
		of := *e
		of.Sub = nil
		for _, sub := range e.Sub {
			of.Sub = append(of.Sub, change(sub))
		}
		return &of
	}
	out := change(tree).String()
	if last {
		out = "(?:" + out + ")[^/]*$"
	}
	return out, true
}
