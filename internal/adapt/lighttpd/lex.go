package lighttpd

// This file: the text of a file as tokens with places.

import (
	"strings"

	"millrace/internal/adapt/document"
)

type kind int

const (
	endOfFile kind = iota
	endOfLine
	word    // server.port
	text    // "…", as it means
	integer // 80
	mark    // = += := => == =~ =^ =$ != !~ ( ) { } [ ] , + $
)

type token struct {
	kind kind
	text string
	at   document.Place
}

// near is a token as lighttpd's messages show it.
func (t token) near() string {
	switch t.kind {
	case endOfFile, endOfLine:
		return "(EOL)"
	case mark:
		if t.text == "," {
			return "(COMMA)"
		}
	}
	return t.text
}

// lexer gives the tokens of one file. Where an "=" leads depends on what was
// before it, as lighttpd has it: within parentheses it is a part of "=>", after
// "$" a part of an operator.
type lexer struct {
	input  string
	file   string
	offset int
	line   int
	start  int // offset of the line

	parens  int
	inCond  bool // after "$", until the operator
	newLine bool // after "}": what follows on its line is on one of its own
	last    kind
}

// syntaxError is what ends the reading.
type syntaxError struct {
	at            document.Place
	problem, hint string
}

func (e *syntaxError) Error() string { return e.problem }

func (l *lexer) place() document.Place {
	return document.Place{File: l.file, Line: l.line, Column: l.offset - l.start + 1}
}

func (l *lexer) fail(problem, hint string) (token, error) {
	return token{}, &syntaxError{l.place(), problem, hint}
}

func (l *lexer) peek(n int) byte {
	if l.offset+n < len(l.input) {
		return l.input[l.offset+n]
	}
	return 0
}

// take makes a token of the next n bytes.
func (l *lexer) take(k kind, n int) (token, error) {
	t := token{k, l.input[l.offset : l.offset+n], l.place()}
	l.offset += n
	l.last = k
	return t, nil
}

func (l *lexer) next() (token, error) {
	if l.newLine {
		l.newLine = false
		return l.take(endOfLine, 0)
	}
	for l.offset < len(l.input) {
		switch c := l.input[l.offset]; {
		case c == ' ' || c == '\t':
			l.offset++
		case strings.HasPrefix(l.input[l.offset:], "\u00a0"): // pasted from a page
			l.offset += 2
		case l.offset == 0 && strings.HasPrefix(l.input, "\ufeff"):
			l.offset, l.start = 3, 3
		case c == '#':
			l.comment()
		case c == '\n' || c == '\r':
			at := l.place()
			l.lines()
			if l.parens == 0 {
				l.last, l.inCond = endOfLine, false
				return token{endOfLine, "", at}, nil
			}
		case c == ',' && l.parens == 0:
			l.offset++ // lighttpd reads over it
		case c == '"':
			return l.quoted()
		case c == 0:
			return l.fail("stray NUL", "the file is damaged, or is not a configuration")
		case '0' <= c && c <= '9' && !l.inCond:
			n := 1
			for c := l.peek(n); '0' <= c && c <= '9'; c = l.peek(n) {
				n++
			}
			return l.take(integer, n)
		case isWord(c) && c != '.' && c != '-' || (c == '.' || c == '-') && !l.inCond:
			return l.word()
		default:
			return l.mark(c)
		}
	}
	return l.take(endOfFile, 0)
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}

func (l *lexer) comment() {
	for l.offset < len(l.input) && l.input[l.offset] != '\n' && l.input[l.offset] != '\r' {
		l.offset++
	}
}

// lines reads over newlines, and lines that are empty.
func (l *lexer) lines() {
	for l.offset < len(l.input) {
		switch c := l.input[l.offset]; c {
		case '\r', '\n':
			l.offset++
			if c == '\r' && l.peek(0) == '\n' {
				l.offset++
			}
			l.line++
			l.start = l.offset
		case ' ', '\t':
			l.offset++
		case '#':
			l.comment()
		default:
			return
		}
	}
}

// quoted is a string. Only \" is an escape: a backslash before anything else is
// itself, as regular expressions want it.
func (l *lexer) quoted() (token, error) {
	switch l.last {
	case text:
		return l.fail(`strings may be combined with '+' or separated with ',' or '=>' in lists`, "put one of these between the two strings")
	case word:
		return l.fail(`missing assignment operator ('=') ?`, "write NAME = \"…\"")
	}
	at := l.place()
	line, start := l.line, l.start
	var b strings.Builder
	for i := l.offset + 1; i < len(l.input); i++ {
		switch c := l.input[i]; {
		case c == '"':
			l.offset, l.line, l.start, l.last = i+1, line, start, text
			return token{text, b.String(), at}, nil
		case c == '\\' && i+1 < len(l.input) && l.input[i+1] == '"':
			i++
			b.WriteByte('"')
		case c == 0:
			return l.fail("missing closing quote", "the string that begins here holds a NUL")
		default:
			if c == '\n' {
				line++
				start = i + 1
			}
			b.WriteByte(c)
		}
	}
	return l.fail("missing closing quote", `the string that begins here has no " at its end; a " in it is written \"`)
}

func (l *lexer) word() (token, error) {
	n := 0
	for c := l.peek(n); isWord(c) && (!l.inCond || c != '.' && c != '-' && (c < '0' || c > '9')); c = l.peek(n) {
		n++
	}
	if n == 0 {
		return l.fail("invalid character in condition", `a condition is written $HTTP["url"] =~ "…"`)
	}
	name := l.input[l.offset : l.offset+n]
	if l.last == word && !l.inCond && !keyword(name) {
		return l.fail("missing assignment operator ('=') or missing string concat operator ('+') ?", "write NAME = VALUE, or VALUE + VALUE")
	}
	t, err := l.take(word, n)
	if keyword(name) {
		l.last = mark
	}
	return t, err
}

func keyword(name string) bool {
	switch name {
	case "include", "include_shell", "global", "if", "else", "elif", "elsif", "elseif":
		return true
	}
	return false
}

func (l *lexer) mark(c byte) (token, error) {
	two := string([]byte{c, l.peek(1)})
	switch c {
	case '=':
		switch {
		case l.parens > 0 && two != "=>":
			return l.fail("use => for assignments in arrays", `write "KEY" => "VALUE"`)
		case l.parens > 0:
			return l.take(mark, 2)
		case l.inCond:
			if two != "==" && two != "=~" && two != "=^" && two != "=$" {
				return l.fail("only == =~ =^ =$ are allowed in the condition", "write one of these, != or !~")
			}
			l.inCond = false
			return l.take(mark, 2)
		}
		return l.take(mark, 1)
	case '!':
		switch {
		case !l.inCond:
			return l.fail("unexpected exclamation-marks: !", `conditions alone have it: $HTTP["url"] !~ "…"`)
		case two != "!=" && two != "!~":
			return l.fail("only !~ and != are allowed in the condition", "write one of these")
		}
		l.inCond = false
		return l.take(mark, 2)
	case '(':
		if l.parens++; l.parens > document.MaxDepth {
			return l.fail("parentheses are nested too deeply", "what is meant by it can be said in fewer")
		}
		return l.take(mark, 1)
	case ')':
		if l.parens == 0 {
			return l.fail("close-parens without open-parens", "leave it out, or write the ( that it closes")
		}
		l.parens--
		return l.take(mark, 1)
	case '$':
		l.inCond = true
		return l.take(mark, 1)
	case '+':
		if two == "+=" {
			return l.take(mark, 2)
		}
		return l.take(mark, 1)
	case ':':
		if two != ":=" {
			return l.fail("unexpected character ':'", "only := has one outside of strings")
		}
		return l.take(mark, 2)
	case '}':
		t, err := l.take(mark, 1)
		for l.peek(0) == ' ' || l.peek(0) == '\t' {
			l.offset++
		}
		if c := l.peek(0); l.offset < len(l.input) && c != '\n' && c != '\r' && c != '#' {
			l.newLine = true
		}
		return t, err
	case '{', '[', ']', ',':
		return l.take(mark, 1)
	}
	if l.inCond {
		return l.fail("invalid character in condition", `a condition is written $HTTP["url"] =~ "…"`)
	}
	return l.fail("invalid character in variable name", "a name is of letters, digits, '.', '_' and '-'; a text stands in double quotes")
}
