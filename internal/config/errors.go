package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Error is one problem with a configuration.
type Error struct {
	File    string // as Load was given it, or the origin that Set was given; empty: made in code
	Line    int    // from 1; 0: not in a file
	Column  int    // from 1, in bytes; 0: not in a file
	Problem string // one line
	Hint    string // one line: what to do; may be empty
}

// Error is "file:line:column: problem" and, on a line of its own, the hint.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File + ":")
		if e.Line > 0 {
			fmt.Fprintf(&b, "%d:%d:", e.Line, e.Column)
		}
		b.WriteString(" ")
	}
	b.WriteString(oneLine(e.Problem))
	if e.Hint != "" {
		b.WriteString("\n  hint: " + oneLine(e.Hint))
	}
	return b.String()
}

// Errors is every problem of a configuration, in the order of the file.
type Errors []*Error

// Error is the text of each, a newline between.
func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, problem := range e {
		texts[i] = problem.Error()
	}
	return strings.Join(texts, "\n")
}

// Unwrap gives each problem to errors.As.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, problem := range e {
		errs[i] = problem
	}
	return errs
}

// sortByPlace puts problems of one place in the order in which they were found.
func sortByPlace(list []*Error) {
	slices.SortStableFunc(list, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// oneLine keeps what came out of a file from writing lines of its own to a
// terminal or a log.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}

// quote shows a text of the file, bounded.
func quote(s string) string { return fmt.Sprintf("%q", short(s)) }

// short bounds what a message shows of a text.
func short(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
