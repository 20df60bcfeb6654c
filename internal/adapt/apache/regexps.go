package apache

// Regular expressions: those of Apache, and what is made of them.

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
	"millrace/internal/adapt/pcre"
)

// pattern is a regular expression as it is here, and one that must not match.
type pattern struct {
	expr string
	not  string // of a negative look-ahead behind a fixed beginning; "": none
}

// regexp translates one. Problems are of the place.
func (l *lowering) regexp(at document.Place, expr string, fold bool) (pattern, bool) {
	re, err := pcre.Translate(expr, 0)
	if err != nil || strings.HasPrefix(expr, "^(?!") { // which is read best as an exception
		re, err = pcre.Translate(expr, pcre.Except)
	}
	if err != nil {
		why := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		hint := "regular expressions are RE2's here: no look-ahead, look-behind, back reference or possessive quantifier; write what is excepted as a rule of its own above it"
		l.problems.Add(at, fmt.Sprintf("the regular expression %s cannot be carried over: %s", short(expr), why), hint)
		return pattern{expr: "$.^"}, false
	}
	p := pattern{re.Expr, re.Except}
	if fold {
		p.expr = "(?i)" + p.expr
		if p.not != "" {
			p.not = "(?i)" + p.not
		}
	}
	return p, true
}

// matching translates an expression of which it only counts whether it matches.
func (l *lowering) matching(at document.Place, expr string) (pattern, bool) {
	if re, err := pcre.Translate(expr, pcre.Longer); err == nil {
		return pattern{expr: re.Expr}, true
	}
	return l.regexp(at, expr, false)
}

// below is an expression on what follows a prefix of a path, as one on the
// path: as rules of a folder are tried.
func below(prefix, expr string) string {
	fold := strings.HasPrefix(expr, "(?i)")
	expr = strings.TrimPrefix(expr, "(?i)")
	head := "^" + regexp.QuoteMeta(prefix)
	parts := pcre.Alternatives(expr)
	for i, p := range parts {
		if rest, anchored := strings.CutPrefix(p, "^"); anchored {
			parts[i] = rest
		} else {
			parts[i] = ".*?" + p
		}
	}
	var out string
	switch {
	case len(parts) > 1:
		out = "(?:" + strings.Join(parts, "|") + ")"
	case parts[0] == ".*?.":
		out = "." // "." is anything there
	case parts[0] == ".*?.*" || parts[0] == ".*?":
		out = ""
	default:
		out = parts[0]
	}
	if fold && out != "" {
		if len(parts) > 1 {
			out = "(?i:" + out[3:]
		} else {
			out = "(?i:" + out + ")"
		}
	}
	return head + out
}

// everything reports whether an expression matches whatever it is tried on.
func everything(expr string) bool {
	return slices.Contains([]string{"", "^", "$", ".*", "^.*", "^.*$", "(.*)", "^(.*)$", "^(.*)", "^/(.*)$", "^/(.*)", "^/"}, strings.TrimPrefix(expr, "(?i)"))
}

// extensions are the ends that an expression on names demands, as ".php" and
// ".phtml" for `\.ph(?:p|tml)$`; nil: it is no such expression.
func extensions(expr string) []string {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil
	}
	tree = tree.Simplify()
	parts := []*syntax.Regexp{tree}
	if tree.Op == syntax.OpConcat {
		parts = tree.Sub
	} else if tree.Op == syntax.OpCapture {
		return nil
	}
	for len(parts) > 0 && (parts[0].Op == syntax.OpBeginText || free(parts[0])) {
		parts = parts[1:]
	}
	if len(parts) == 0 || parts[len(parts)-1].Op != syntax.OpEndText {
		return nil
	}
	all := []string{""}
	for _, p := range parts[:len(parts)-1] {
		of := words(p, 0)
		if of == nil || len(all)*len(of) > 32 {
			return nil
		}
		var more []string
		for _, a := range all {
			for _, b := range of {
				more = append(more, a+b)
			}
		}
		all = more
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for _, ext := range all {
		if len(ext) < 2 || ext[0] != '.' || strings.Contains(ext, "/") {
			return nil
		}
	}
	return all
}

// free is any text: .* or .+
func free(e *syntax.Regexp) bool {
	return (e.Op == syntax.OpStar || e.Op == syntax.OpPlus) && (e.Sub[0].Op == syntax.OpAnyCharNotNL || e.Sub[0].Op == syntax.OpAnyChar) ||
		e.Op == syntax.OpCapture && free(e.Sub[0])
}

// words are all texts that an expression matches; nil: too many.
func words(e *syntax.Regexp, depth int) []string {
	if depth > 20 {
		return nil
	}
	var all []string
	switch e.Op {
	case syntax.OpEmptyMatch:
		return []string{""}
	case syntax.OpLiteral:
		return []string{string(e.Rune)}
	case syntax.OpCharClass:
		for i := 0; i+1 < len(e.Rune); i += 2 {
			if e.Rune[i+1]-e.Rune[i] > 16 || len(all) > 32 {
				return nil
			}
			for c := e.Rune[i]; c <= e.Rune[i+1]; c++ {
				all = append(all, string(c))
			}
		}
		return all
	case syntax.OpCapture:
		return words(e.Sub[0], depth+1)
	case syntax.OpQuest:
		if all = words(e.Sub[0], depth+1); all == nil {
			return nil
		}
		return append(all, "")
	case syntax.OpAlternate:
		for _, s := range e.Sub {
			of := words(s, depth+1)
			if of == nil || len(all)+len(of) > 32 {
				return nil
			}
			all = append(all, of...)
		}
		return all
	case syntax.OpConcat:
		all = []string{""}
		for _, s := range e.Sub {
			of := words(s, depth+1)
			if of == nil || len(all)*len(of) > 32 {
				return nil
			}
			var more []string
			for _, a := range all {
				for _, b := range of {
					more = append(more, a+b)
				}
			}
			all = more
		}
		return all
	}
	return nil
}

// glob is a pattern of the shell as an expression; a "*" matches no slash where
// it says so.
func glob(pattern string, slashes bool) string {
	any := "[^/]"
	if slashes {
		any = "."
	}
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			b.WriteString(any + "*")
		case '?':
			b.WriteString(any)
		case '[':
			if end := strings.IndexByte(pattern[i:], ']'); end > 1 {
				class := pattern[i+1 : i+end]
				if class[0] == '!' {
					class = "^" + class[1:]
				}
				b.WriteString("[" + strings.ReplaceAll(class, `\`, `\\`) + "]")
				i += end
				continue
			}
			b.WriteString(`\[`)
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return b.String()
}

func isGlob(text string) bool { return strings.ContainsAny(text, "*?[") }

// short bounds what a message shows of a text.
func short(s string) string {
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}
