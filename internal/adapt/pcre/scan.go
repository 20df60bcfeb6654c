package pcre

// Where the parts of an expression are.

import (
	"iter"
	"regexp"
	"strings"
)

// structure are the places of the bytes that are neither escaped nor in a class.
func structure(expr string) iter.Seq2[int, byte] {
	return func(yield func(int, byte) bool) {
		for i := 0; i < len(expr); i++ {
			switch expr[i] {
			case '\\':
				i = escapeEnd(expr, i) - 1
			case '[':
				i = classEnd(expr, i) - 1
			default:
				if !yield(i, expr[i]) {
					return
				}
			}
		}
	}
}

// escapeEnd is the place behind the escape that begins at i: of \Q, behind its \E.
func escapeEnd(expr string, i int) int {
	if !strings.HasPrefix(expr[i:], `\Q`) {
		return min(i+2, len(expr))
	}
	if n := strings.Index(expr[i:], `\E`); n >= 0 {
		return i + n + 2
	}
	return len(expr)
}

// named is the rest of a class of characters that has a name, "[:alpha:]".
var named = regexp.MustCompile(`^\[:\^?[a-z]+:`)

// classEnd is the place behind the class that begins at i, in which a "]" at the
// beginning is one of the characters.
func classEnd(expr string, i int) int {
	i++
	if i < len(expr) && expr[i] == '^' {
		i++
	}
	for first := i; i < len(expr); i++ {
		switch {
		case expr[i] == '\\':
			i++
		case strings.HasPrefix(expr[i:], "[:"):
			i += len(named.FindString(expr[i:]))
		case expr[i] == ']' && i > first:
			return i + 1
		}
	}
	return len(expr)
}

// groupEnd is the place of the parenthesis that closes the one at open; -1: none.
func groupEnd(expr string, open int) int {
	depth := 0
	for i, c := range structure(expr[open:]) {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return open + i
			}
		}
	}
	return -1
}

// repeated reports whether what follows an item says how often it is there.
func repeated(rest string) bool { return rest != "" && strings.IndexByte("*+?{", rest[0]) >= 0 }

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
