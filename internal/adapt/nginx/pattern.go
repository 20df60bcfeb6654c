package nginx

// Regular expressions, and the names of their groups.

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"millrace/internal/adapt/pcre"
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
	translated, err := pcre.Translate(freeNames(expr), pcre.Longer)
	if err != nil {
		translated, err = pcre.Translate(freeNames(expr), pcre.Longer|pcre.Except)
	}
	if err != nil {
		return pattern{}, cannot(expr, err)
	}
	p := pattern{expr: translated.Expr, except: translated.Except}
	if fold {
		p.expr = "(?i)" + p.expr
		if p.except != "" {
			p.except = "(?i)" + p.except
		}
	}
	re, err := regexp.Compile(p.expr)
	if err != nil {
		return pattern{}, cannot(expr, err)
	}
	p.groups, p.names = re.NumSubexp(), re.SubexpNames()
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

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
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
