package nginx

// Regular expressions: PCRE's as Go has them.

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// pattern is a regular expression. What it must not match beside it stands for a
// negative look-ahead behind a fixed beginning.
type pattern struct {
	expr   string
	except string // ""; or an expression that must not match
	groups int
	names  []string // of groups; "" for those without
}

// refusedPattern says why a pattern cannot be carried over.
type refusedPattern struct{ problem, hint string }

// newPattern translates an expression; fold is for ~*.
func newPattern(expr string, fold bool) (pattern, *refusedPattern) {
	var p pattern
	text, except, bad := lookAhead(expr)
	if bad != nil {
		return p, bad
	}
	prefix := ""
	if fold {
		prefix = "(?i)"
	}
	p.expr = prefix + freeNames(plainEscapes(text))
	re, err := regexp.Compile(p.expr)
	if err != nil {
		return p, cannot(expr, err)
	}
	p.groups, p.names = re.NumSubexp(), re.SubexpNames()
	if except != "" {
		p.except = prefix + plainEscapes(except)
		if _, err := regexp.Compile(p.except); err != nil {
			return p, cannot(expr, err)
		}
	}
	return p, nil
}

func cannot(expr string, err error) *refusedPattern {
	var why *syntax.Error
	reason := err.Error()
	if e, ok := err.(*syntax.Error); ok {
		why = e
		reason = why.Code.String() + ": " + why.Expr
	}
	switch {
	case strings.Contains(expr, "(?=") || strings.Contains(expr, "(?!") || strings.Contains(expr, "(?<=") || strings.Contains(expr, "(?<!"):
		return &refusedPattern{fmt.Sprintf("regular expression %q looks ahead or behind, which RE2 cannot", expr), "say what is excepted by a location of its own, which is tried before"}
	case why != nil && why.Code == syntax.ErrMissingParen:
		return &refusedPattern{fmt.Sprintf("pcre_compile() failed: missing closing parenthesis in %q", expr), "close each (, or write \\( for the character"}
	}
	return &refusedPattern{fmt.Sprintf("regular expression %q cannot be carried over: %s", expr, reason), "write it without what RE2 lacks: look-around, back references, possessive and atomic groups"}
}

// lookAhead takes a negative look-ahead out of an expression, where what stands
// before it is fixed: "^/(?!api/)" is "^/" and not "^/api/".
func lookAhead(expr string) (text, except string, bad *refusedPattern) {
	i := strings.Index(expr, "(?!")
	if i < 0 {
		return expr, "", nil
	}
	before := expr[:i]
	open := 0 // a group that the look-ahead is in
	for strings.HasSuffix(before, "(") && !strings.HasSuffix(before, `\(`) {
		before = before[:len(before)-1]
		open++
	}
	fixed := strings.HasPrefix(before, "^")
	for j := 1; fixed && j < len(before); j++ {
		if before[j] == '\\' && j+1 < len(before) && !isWord(before[j+1]) {
			j++
			continue
		}
		fixed = isWord(before[j]) || strings.IndexByte("/-_%,;:=@~! ", before[j]) >= 0
	}
	end := closing(expr, i)
	if end > 0 && strings.Trim(strings.TrimSuffix(strings.TrimSuffix(expr[end+1:], "$"), ")"), ")") == ".*" || end > 0 && expr[end+1:] == "" {
		if words, ok := literals(expr[i+3 : end]); ok && !strings.Contains(expr[:i], "(?=") {
			text, _, bad := lookAhead(expr[:i]) // one before it
			return text + otherThan(words) + expr[end+1:], "", bad
		}
	}
	if !fixed || end < 0 || strings.Contains(expr[end:], "(?!") {
		return "", "", &refusedPattern{fmt.Sprintf("regular expression %q looks ahead or behind, which RE2 cannot", expr), "say what is excepted by a location of its own, which is tried before"}
	}
	return expr[:i] + expr[end+1:], before + "(?:" + expr[i+3:end] + ")", nil
}

// literals are the words of an expression that is some words with "|" between.
func literals(expr string) (words []string, ok bool) {
	expr = strings.TrimSuffix(strings.TrimPrefix(expr, "(?:"), ")")
	for part := range strings.SplitSeq(expr, "|") {
		var word strings.Builder
		for i := 0; i < len(part); i++ {
			c := part[i]
			if c == '\\' && i+1 < len(part) && !isWord(part[i+1]) {
				i++
				word.WriteByte(part[i])
				continue
			}
			if !isWord(c) && c != '-' && c != '/' {
				return nil, false
			}
			word.WriteByte(c)
		}
		if word.Len() == 0 || word.Len() > 40 {
			return nil, false
		}
		words = append(words, word.String())
	}
	return words, len(words) <= 10
}

// otherThan matches the beginning of a text that begins with none of some words:
// the end of the text, another byte than any of them goes on with, or one of these
// and so on. What follows it must match any text.
func otherThan(words []string) string {
	next := map[byte][]string{}
	var order []byte
	for _, w := range words {
		if w == "" { // a word is whole: nothing of the kind
			return `[^\x00-\x{10FFFF}]`
		}
		if next[w[0]] == nil {
			order = append(order, w[0])
		}
		next[w[0]] = append(next[w[0]], w[1:])
	}
	class := ""
	var more []string
	for _, c := range order {
		q := regexp.QuoteMeta(string(c))
		if c == '-' {
			q = `\-`
		}
		class += q
		if !slices.Contains(next[c], "") {
			more = append(more, q+otherThan(next[c]))
		}
	}
	return "(?:" + strings.Join(append([]string{`\z`, "[^" + class + "]"}, more...), "|") + ")"
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// closing is the place of the parenthesis that closes the one at i; -1: none.
func closing(expr string, i int) int {
	depth, class := 0, false
	for ; i < len(expr); i++ {
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

// plainEscapes drops backslashes that PCRE ignores and Go refuses ("\_", "\é"),
// and writes \Z and \h as Go has them.
func plainEscapes(expr string) string {
	if !strings.Contains(expr, `\`) {
		return expr
	}
	var b strings.Builder
	for i := 0; i < len(expr); i++ {
		if expr[i] != '\\' || i+1 == len(expr) {
			b.WriteByte(expr[i])
			continue
		}
		switch c := expr[i+1]; {
		case c == 'Z':
			b.WriteString(`\z`)
		case c == 'h':
			b.WriteString(`[ \t]`)
		case c == '_' || c >= 0x80:
			b.WriteByte(c)
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
		i++
	}
	return b.String()
}

// taken are names that mean something in every text: no group can have them.
var taken = []string{"path", "uri", "request_uri", "query", "host", "port", "method", "scheme", "client", "user", "request_id", "header", "cookie", "auth", "env", "map", "tls", "status"}

// freeNames puts "_" behind names of groups that are taken.
func freeNames(expr string) string {
	if !strings.Contains(expr, "(?") {
		return expr
	}
	for _, name := range taken {
		expr = strings.ReplaceAll(expr, "(?<"+name+">", "(?<"+name+"_>")
		expr = strings.ReplaceAll(expr, "(?P<"+name+">", "(?P<"+name+"_>")
	}
	return expr
}

// named gives each group of an expression that has no name one of its own, so
// that texts can name it beside the groups of other expressions. It returns the
// names of all, the first group's first.
func named(p pattern, prefix string) (string, []string) {
	var b strings.Builder
	names, class, n := make([]string, p.groups), false, 0
	for i := 0; i < len(p.expr); i++ {
		c := p.expr[i]
		b.WriteByte(c)
		switch {
		case c == '\\' && i+1 < len(p.expr):
			i++
			b.WriteByte(p.expr[i])
		case class:
			class = c != ']'
		case c == '[':
			class = true
			if i+1 < len(p.expr) && p.expr[i+1] == ']' {
				i++
				b.WriteByte(']')
			}
		case c == '(' && i+1 < len(p.expr) && p.expr[i+1] != '?':
			if n++; n < len(p.names) {
				names[n-1] = fmt.Sprintf("%s%d", prefix, n)
				b.WriteString("?P<" + names[n-1] + ">")
			}
		case c == '(' && (strings.HasPrefix(p.expr[i:], "(?<") || strings.HasPrefix(p.expr[i:], "(?P<")):
			if n++; n < len(p.names) {
				names[n-1] = p.names[n]
			}
		}
	}
	if _, err := regexp.Compile(b.String()); err != nil {
		return p.expr, nil
	}
	return b.String(), names
}

// union is an expression that matches where one of them does.
func union(exprs []string) string {
	if len(exprs) == 1 {
		return exprs[0]
	}
	parts := make([]string, len(exprs))
	for i, e := range exprs {
		parts[i] = "(?:" + e + ")"
	}
	return strings.Join(parts, "|")
}
