package nginx

// From a file to words, each with its place.

import (
	"fmt"
	"strings"

	"millrace/internal/adapt/document"
)

// maxWord is how long nginx lets a parameter be.
const maxWord = 4096

// word is one parameter of a directive.
type word struct {
	text   string // without quotes and escapes
	quoted bool
	at     document.Place
}

// token is a word, ";", "{", "}", or the end of the file.
type token struct {
	kind byte // 'w', ';', '{', '}', 0
	word word
}

// lexer parts a file into tokens, as nginx does: a quote begins a word only at
// its start, and what follows a closing one must end it.
type lexer struct {
	text         string
	file         string
	offset       int
	line, column int
}

func newLexer(file, text string) *lexer {
	text = strings.TrimPrefix(text, "\ufeff")
	return &lexer{text: text, file: file, line: 1, column: 1}
}

func (l *lexer) here() document.Place {
	return document.Place{File: l.file, Line: l.line, Column: l.column}
}

func (l *lexer) advance() {
	if l.text[l.offset] == '\n' {
		l.line++
		l.column = 0
	}
	l.offset++
	l.column++
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// failure is what ends the reading of a file.
type failure struct {
	at            document.Place
	problem, hint string
}

func (l *lexer) skip() {
	for l.offset < len(l.text) {
		switch c := l.text[l.offset]; {
		case isSpace(c):
			l.advance()
		case c == '#':
			for l.offset < len(l.text) && l.text[l.offset] != '\n' {
				l.advance()
			}
		default:
			return
		}
	}
}

// next is the next token. After a word in quotes there must be an end of it.
func (l *lexer) next() (token, *failure) {
	l.skip()
	at := l.here()
	if l.offset >= len(l.text) {
		return token{word: word{at: at}}, nil
	}
	switch c := l.text[l.offset]; c {
	case ';', '{', '}':
		l.advance()
		return token{kind: c, word: word{text: string(c), at: at}}, nil
	case '"', '\'':
		return l.quotedWord(c, at)
	}
	return l.plainWord(at)
}

func (l *lexer) quotedWord(quote byte, at document.Place) (token, *failure) {
	l.advance()
	start := l.offset
	for {
		if l.offset >= len(l.text) {
			return token{}, &failure{at, `unexpected end of file, expecting ";" or "}"`, fmt.Sprintf("a word begins here with %c and does not end with it", quote)}
		}
		if l.offset-start > maxWord {
			return token{}, &failure{at, fmt.Sprintf(`too long parameter, probably missing terminating "%c" character`, quote), "close the quote that opens here"}
		}
		c := l.text[l.offset]
		if c == '\\' && l.offset+1 < len(l.text) {
			l.advance()
			l.advance()
			continue
		}
		if c == quote {
			break
		}
		l.advance()
	}
	text := unescape(l.text[start:l.offset])
	l.advance()
	if l.offset < len(l.text) {
		if c := l.text[l.offset]; !isSpace(c) && c != ';' && c != '{' && c != ')' {
			return token{}, &failure{l.here(), fmt.Sprintf("unexpected %q", string(c)), "a word in quotes ends with its quote: put all of it within, or a space behind it"}
		}
	}
	return token{'w', word{text, true, at}}, nil
}

// plainWord reads a word without quotes. A "{" that opens a variable's name
// belongs to it.
func (l *lexer) plainWord(at document.Place) (token, *failure) {
	start, dollar := l.offset, false
	for l.offset < len(l.text) {
		c := l.text[l.offset]
		if c == '{' && dollar {
			dollar = false
			l.advance()
			continue
		}
		dollar = false
		if c == '\\' && l.offset+1 < len(l.text) {
			l.advance()
			l.advance()
			continue
		}
		if isSpace(c) || c == ';' || c == '{' {
			break
		}
		dollar = c == '$'
		l.advance()
		if l.offset-start > maxWord {
			return token{}, &failure{at, fmt.Sprintf("too long parameter %q started", l.text[start:start+10]+"..."), "a parameter has at most 4096 bytes"}
		}
	}
	return token{'w', word{unescape(l.text[start:l.offset]), false, at}}, nil
}

// unescape drops the backslashes that nginx drops: before quotes, backslashes
// and the letters of control characters. Those of regular expressions stay.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			switch c := s[i+1]; c {
			case '"', '\'', '\\':
				b.WriteByte(c)
				i++
				continue
			case 't':
				b.WriteByte('\t')
				i++
				continue
			case 'r':
				b.WriteByte('\r')
				i++
				continue
			case 'n':
				b.WriteByte('\n')
				i++
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
