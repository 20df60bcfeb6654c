// Package pcre translates regular expressions of PCRE, which other web servers
// have, to RE2, which Go has.
//
// RE2 has no look-around, back references, and possessive or atomic groups. Some
// negative look-aheads can be said without: Translate does that, and refuses what
// it cannot say exactly. Matches are the same, and so are the groups.
//
// A line feed is taken for any other character: "." may match one where an
// expression was written anew.
package pcre

import (
	"regexp"
	"strings"
)

// Pattern is an expression as RE2 has it.
type Pattern struct {
	Expr   string
	Except string // one that must not match the same text; "": none
}

// Ways say what a caller can do with a pattern beside matching one expression.
type Ways uint8

const (
	// Except is that it can have an expression that must not match. Then
	// "^/(?!api/)" is "^/" and not "^/(?:api/)".
	Except Ways = 1 << iota
	// Longer is that it does not look at the whole of what matched, which may
	// be a character longer than PCRE has it.
	Longer
)

// Translate returns what matches as an expression of PCRE does. An error is
// package regexp's, about what RE2 lacks.
func Translate(expr string, ways Ways) (Pattern, error) {
	var p Pattern
	p.Expr, p.Except = withoutLookAhead(escapes(expr), ways)
	for _, e := range []string{p.Expr, p.Except} {
		if _, err := regexp.Compile(e); err != nil {
			return Pattern{}, err
		}
	}
	return p, nil
}

// escapes drops backslashes that PCRE ignores and Go refuses ("\_", "\é"), or
// that say nothing ("\/"), and writes \Z and \h as Go has them.
func escapes(expr string) string {
	if !strings.Contains(expr, `\`) {
		return expr
	}
	var b strings.Builder
	class := 0 // where one ends
	for i := 0; i < len(expr); i++ {
		if expr[i] == '[' && i >= class {
			class = classEnd(expr, i)
		}
		if expr[i] != '\\' || i+1 == len(expr) {
			b.WriteByte(expr[i])
			continue
		}
		if quoted := escapeEnd(expr, i); quoted > i+2 { // \Q…\E
			b.WriteString(expr[i:quoted])
			i = quoted - 1
			continue
		}
		i++
		switch c := expr[i]; {
		case c == 'Z':
			b.WriteString(`\z`)
		case c == 'h' && i < class:
			b.WriteString(` \t`)
		case c == 'h':
			b.WriteString(`[ \t]`)
		case c == '_' || c == '/' || c >= 0x80:
			b.WriteByte(c)
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String()
}
