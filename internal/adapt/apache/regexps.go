package apache

// Regular expressions: from PCRE, which Apache has, to RE2.

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

// pattern is a regular expression as it is here, and one that must not match.
type pattern struct {
	expr string
	not  string // of a negative look-ahead at the beginning; "": none
}

// regexp translates one. Problems are of the place.
func (l *lowering) regexp(at document.Place, expr string, fold bool) (pattern, bool) {
	p := pattern{expr: expr}
	begins := strings.HasPrefix(expr, "^(?!")
	if begins || strings.HasPrefix(expr, "(?!") {
		open := strings.Index(expr, "(?!")
		if end := closing(expr, open); end > 0 && begins {
			p.not, p.expr = "^(?:"+expr[open+3:end]+")", "^"+expr[end+1:]
		}
	}
	p.expr = unlooked(p.expr)
	p.expr = strings.ReplaceAll(p.expr, `\/`, "/")
	p.not = strings.ReplaceAll(p.not, `\/`, "/")
	if fold {
		p.expr = "(?i)" + p.expr
		if p.not != "" {
			p.not = "(?i)" + p.not
		}
	}
	for _, e := range []string{p.expr, p.not} {
		if _, err := regexp.Compile(e); err != nil {
			why := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
			hint := "regular expressions are RE2's here: no look-ahead, look-behind, back reference or possessive quantifier; write what is excepted as a rule of its own above it"
			l.problems.Add(at, fmt.Sprintf("the regular expression %s cannot be carried over: %s", short(expr), why), hint)
			return pattern{expr: "$.^"}, false
		}
	}
	return p, true
}

// lookAhead is one that a fixed text does not follow, before anything.
var lookAhead = regexp.MustCompile(`\(\?!([A-Za-z0-9_-]{1,40})\)\.\*`)

// unlooked has "what does not begin with TEXT" without look-ahead: something
// else stands at one of its places.
func unlooked(expr string) string {
	return lookAhead.ReplaceAllStringFunc(expr, func(found string) string {
		text := lookAhead.FindStringSubmatch(found)[1]
		out := ""
		for i := len(text) - 1; i >= 0; i-- {
			c := text[i : i+1]
			if out != "" {
				out = "|" + regexp.QuoteMeta(c) + out
			}
			out = "(?:[^" + strings.ReplaceAll(c, "-", `\-`) + "].*" + out + ")?"
		}
		return out
	})
}

// closing is where a group ends that is opened at a place; -1: nowhere.
func closing(expr string, open int) int {
	depth, class := 0, false
	for i := open; i < len(expr); i++ {
		switch c := expr[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// alternatives parts an expression at its outermost bars.
func alternatives(expr string) []string {
	var all []string
	depth, class, start := 0, false, 0
	for i := 0; i < len(expr); i++ {
		switch c := expr[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
			if i+1 < len(expr) && expr[i+1] == ']' {
				i++
			}
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '|' && depth == 0:
			all = append(all, expr[start:i])
			start = i + 1
		}
	}
	return append(all, expr[start:])
}

// below is an expression on what follows a prefix of a path, as one on the
// path: as rules of a folder are tried.
func below(prefix, expr string) string {
	fold := strings.HasPrefix(expr, "(?i)")
	expr = strings.TrimPrefix(expr, "(?i)")
	head := "^" + regexp.QuoteMeta(prefix)
	parts := alternatives(expr)
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

// groupsOf is how many groups an expression has.
func groupsOf(expr string) int {
	re, err := regexp.Compile(expr)
	if err != nil {
		return 0
	}
	return re.NumSubexp()
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
