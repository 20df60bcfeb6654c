package server

// Files of variables, as systemd's EnvironmentFile= takes them.

import (
	"bytes"
	"fmt"
	"strings"
)

// parseEnvFile adds the variables of a file to vars. The syntax is systemd's
// (systemd.exec(5)): NAME=value lines; blank lines, and such as begin with "#"
// or ";", are none. A value may be in single quotes, where everything stands
// for itself, or in double ones, where a backslash makes a quote, a backslash,
// a dollar or a backquote itself; without quotes blanks at its ends do not
// count, and a backslash makes any character itself. A backslash at a line's
// end joins the next one, except in single quotes; quoted values may have
// several lines. No variable is expanded.
//
// What systemd passes over or takes in a way that is hardly meant is an error
// here: a line without "=", a name that is none, text behind a closing quote. An
// error begins with ":line:column: ", and shows no value.
func parseEnvFile(text []byte, vars map[string]string) error {
	p := &envFile{rest: bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), line: 1, column: 1}
	if i := bytes.IndexByte(p.rest, 0); i >= 0 {
		p.skip(i)
		return p.fail("holds a NUL byte")
	}
	for {
		p.blanks(" \t\n")
		switch c, ok := p.peek(); {
		case !ok:
			return nil
		case c == '#' || c == ';':
			p.comment()
			continue
		}
		name, err := p.name()
		if err != nil {
			return err
		}
		if vars[name], err = p.value(); err != nil {
			return err
		}
	}
}

// envFile is what is left of a file, and where that begins.
type envFile struct {
	rest         []byte
	line, column int
}

func (p *envFile) fail(problem string) error {
	return fmt.Errorf(":%d:%d: %s", p.line, p.column, problem)
}

func (p *envFile) peek() (byte, bool) {
	if len(p.rest) == 0 {
		return 0, false
	}
	return p.rest[0], true
}

func (p *envFile) next() (byte, bool) {
	c, ok := p.peek()
	if ok {
		p.skip(1)
	}
	return c, ok
}

func (p *envFile) skip(n int) {
	for _, c := range p.rest[:n] {
		p.column++
		if c == '\n' {
			p.line, p.column = p.line+1, 1
		}
	}
	p.rest = p.rest[n:]
}

func (p *envFile) blanks(which string) {
	p.skip(len(p.rest) - len(bytes.TrimLeft(p.rest, which)))
}

// comment skips one, which a backslash at its end continues.
func (p *envFile) comment() {
	for c, ok := p.next(); ok && c != '\n'; c, ok = p.next() {
		if c == '\\' {
			p.next()
		}
	}
}

// name reads "NAME=".
func (p *envFile) name() (string, error) {
	line, _, _ := bytes.Cut(p.rest, []byte("\n"))
	text, _, ok := strings.Cut(string(line), "=")
	name := strings.TrimRight(text, " \t")
	switch {
	case !ok:
		return "", p.fail("there is no \"=\"")
	case strings.HasPrefix(name, "export "):
		return "", p.fail("\"export\" belongs to a shell: leave it out")
	case !isVariable(name):
		return "", p.fail("what stands before \"=\" is not the name of a variable")
	}
	p.skip(len(text) + 1)
	return name, nil
}

// isVariable reports whether a shell would take the name.
func isVariable(name string) bool {
	for i, c := range []byte(name) {
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// value reads what follows, to the line's end.
func (p *envFile) value() (string, error) {
	p.blanks(" \t")
	var value []byte
	for quoted := false; ; quoted = true {
		c, ok := p.peek()
		switch {
		case !ok || c == '\n':
			return string(value), nil
		case c == '\'' || c == '"':
			more, err := p.quoted(c)
			if err != nil {
				return "", err
			}
			value = append(value, more...)
		case !quoted:
			return p.plain(), nil
		case c == ' ' || c == '\t':
			p.blanks(" \t")
			if c, ok := p.peek(); ok && c != '\n' {
				return "", p.fail("something follows the closing quote")
			}
		default:
			return "", p.fail("something follows the closing quote")
		}
	}
}

// plain reads a value without quotes.
func (p *envFile) plain() string {
	var value []byte
	kept := 0 // what is not blanks at the end
	for c, ok := p.next(); ok && c != '\n'; c, ok = p.next() {
		if c == '\\' {
			if c, ok = p.next(); ok && c != '\n' {
				value = append(value, c)
				kept = len(value)
			}
			continue
		}
		value = append(value, c)
		if c != ' ' && c != '\t' {
			kept = len(value)
		}
	}
	return string(value[:kept])
}

// quoted reads what is in quotes.
func (p *envFile) quoted(quote byte) ([]byte, error) {
	open := *p
	p.skip(1)
	var value []byte
	for {
		c, ok := p.next()
		switch {
		case !ok:
			return nil, open.fail("the quote is not closed")
		case c == quote:
			return value, nil
		case c == '\\' && quote == '"':
			c, ok := p.next()
			switch {
			case !ok:
				return nil, open.fail("the quote is not closed")
			case c == '\n':
			case strings.IndexByte("\"\\`$", c) >= 0:
				value = append(value, c)
			default:
				value = append(value, '\\', c)
			}
		default:
			value = append(value, c)
		}
	}
}
