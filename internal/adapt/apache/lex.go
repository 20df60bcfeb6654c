package apache

// From the bytes of a file to logical lines and their words, as Apache's
// ap_cfg_getline and ap_getword_conf read them.

import (
	"bytes"
	"strings"
)

// What is read of a configuration, all its files together.
const (
	maxFile     = 4 << 20  // bytes of one file
	maxText     = 16 << 20 // bytes of all
	maxFiles    = 1000
	maxIncludes = 64     // files within files
	maxBlocks   = 64     // sections within sections
	maxLines    = 200000 // directives of all files
)

// span is a piece of a logical line that stands in one physical line.
type span struct {
	offset int // in the text of the logical line
	line   int
	column int
}

// logical is a line with those that a backslash at the end continues.
type logical struct {
	text  string
	spans []span
}

// at is the place of a byte of the line.
func (l *logical) at(offset int) (line, column int) {
	of := l.spans[0]
	for _, s := range l.spans {
		if s.offset <= offset {
			of = s
		}
	}
	return of.line, of.column + offset - of.offset
}

// lines parts a file. A line that is empty, or a comment, is left out.
func lines(text []byte) []logical {
	var all []logical
	number := 0
	for len(text) > 0 {
		var one logical
		var b strings.Builder
		for {
			number++
			physical, rest, _ := bytes.Cut(text, []byte("\n"))
			text = rest
			physical = bytes.TrimSuffix(physical, []byte("\r"))
			more, continues := bytes.CutSuffix(physical, []byte(`\`))
			one.spans = append(one.spans, span{b.Len(), number, 1})
			b.Write(more)
			if !continues || len(text) == 0 {
				break
			}
		}
		all = one.trimmed(b.String(), all)
	}
	return all
}

// trimmed adds a line to a list, without the blanks around it.
func (l *logical) trimmed(text string, list []logical) []logical {
	bare := strings.TrimLeft(text, blanks)
	cut := len(text) - len(bare)
	bare = strings.TrimRight(bare, blanks)
	if bare == "" || bare[0] == '#' {
		return list
	}
	out := logical{text: bare}
	for i, s := range l.spans {
		end := len(text) + 1
		if i+1 < len(l.spans) {
			end = l.spans[i+1].offset
		}
		switch {
		case end <= cut && i+1 < len(l.spans):
		case s.offset < cut:
			out.spans = append(out.spans, span{0, s.line, s.column + cut - s.offset})
		default:
			out.spans = append(out.spans, span{s.offset - cut, s.line, s.column})
		}
	}
	return append(list, out)
}

const blanks = " \t\r\v\f\x00"

func isBlank(c byte) bool { return strings.IndexByte(blanks, c) >= 0 }

// word takes the first word of a text: quoted by " or ', in which a backslash
// stands before a quote or a backslash, or up to a blank. It returns the word,
// where it begins, and where the text goes on.
func word(text string, from int) (w string, start, next int) {
	for from < len(text) && isBlank(text[from]) {
		from++
	}
	start = from
	if from == len(text) {
		return "", start, from
	}
	var quote byte
	if text[from] == '"' || text[from] == '\'' {
		quote = text[from]
		from++
	}
	var b strings.Builder
	for from < len(text) {
		c := text[from]
		switch {
		case c == '\\' && from+1 < len(text) && (text[from+1] == '\\' || quote != 0 && text[from+1] == quote):
			from++
			c = text[from]
		case quote != 0 && c == quote, quote == 0 && isBlank(c):
			if quote != 0 {
				from++
			}
			for from < len(text) && isBlank(text[from]) {
				from++
			}
			return b.String(), start, from
		}
		b.WriteByte(c)
		from++
	}
	return b.String(), start, from
}
