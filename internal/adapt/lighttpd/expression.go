package lighttpd

// This file: values as they are written: sums, variables and lists.

import (
	"path/filepath"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// expression reads VALUE + VALUE + ….
func (p *parser) expression() (*value, error) {
	v, err := p.value()
	for err == nil && p.is("+") {
		at := p.tok.at
		if err = p.advance(); err != nil {
			break
		}
		var right *value
		if right, err = p.value(); err == nil {
			sum, problem := p.plus(v, right)
			if problem != "" {
				return nil, fail(at, problem, "+ takes two values of one type")
			}
			v = sum
		}
	}
	return v, err
}

func (p *parser) value() (*value, error) {
	at := p.tok.at
	switch {
	case p.tok.kind == text:
		v := &value{shape: isText, text: p.tok.text, at: at}
		return v, p.advance()
	case p.tok.kind == integer:
		n, err := strconv.ParseInt(p.tok.text, 10, 64)
		if err != nil {
			return nil, fail(at, "error parsing number: '"+shown(p.tok.text)+"'", "it is too large")
		}
		return &value{shape: isNumber, number: n, at: at}, p.advance()
	case p.is("("):
		return p.list()
	case p.tok.kind == word && !keyword(p.tok.text):
		v, err := p.variable(p.tok.text, at)
		if err != nil {
			return nil, err
		}
		return v, p.advance()
	}
	return nil, p.unexpected("a value is \"…\" in double quotes, a number, a list in parentheses, or a variable")
}

func (p *parser) variable(name string, at document.Place) (*value, error) {
	name = qualified(name)
	if of, ok := strings.CutPrefix(name, "env."); ok {
		text, ok := p.options.Getenv(of)
		if !ok {
			return nil, fail(at, "Undefined env variable: "+shown(of), "set it in the environment of millrace")
		}
		return &value{shape: isText, text: text, at: at}, nil
	}
	if v := p.current.lookup(name); v != nil {
		copied := *v
		copied.at = at
		return &copied, nil
	}
	if v := p.builtin(name, at); v != nil {
		return v, nil
	}
	return nil, fail(at, "Undefined config variable: "+shown(name), "variables are set before they are used: "+shown(name)+" = …; a text stands in double quotes")
}

// builtin are the variables that lighttpd sets itself.
func (p *parser) builtin(name string, at document.Place) *value {
	switch name {
	case "var.CWD":
		if dir, err := filepath.Abs("."); err == nil {
			return &value{shape: isText, text: dir, at: at}
		}
	case "var.PID":
		return &value{shape: isNumber, number: 0, at: at}
	}
	return nil
}

// plus is plus, as often as may be: a file of a few lines can have a list, or a text,
// copied again and again.
func (p *parser) plus(a, b *value) (*value, string) {
	if p.copied += len(a.text) + len(a.items)*32; p.copied > maxCopied {
		return nil, "too much is added up"
	}
	return plus(a, b)
}

func (p *parser) list() (*value, error) {
	v := &value{shape: isList, at: p.tok.at}
	keys := map[string]bool{}
	if err := p.advance(); err != nil {
		return nil, err
	}
	for n := 0; ; n++ {
		for n > 0 && p.is(",") { // several, and one at the end, are allowed
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
		switch {
		case p.is(")"):
			return v, p.advance()
		case p.tok.kind == endOfFile:
			return nil, fail(v.at, "missing close-parens", "the list that begins here has no ) at its end")
		}
		of, err := p.item()
		if err != nil {
			return nil, err
		}
		if of.keyed && keys[of.key] {
			return nil, fail(of.at, "duplicate array-key: "+shown(of.key)+". Please get rid of the duplicate entry.", "a key stands once in a list")
		}
		keys[of.key] = keys[of.key] || of.keyed
		v.items = append(v.items, of)
		if len(v.items) > maxItems {
			return nil, fail(v.at, "the list is too long", "is this the right file?")
		}
		if !p.is(",") && !p.is(")") && p.tok.kind != endOfFile {
			return nil, p.unexpected("items of a list are separated by commas")
		}
	}
}

func (p *parser) item() (item, error) {
	at := p.tok.at
	v, err := p.expression()
	if err != nil {
		return item{}, err
	}
	if !p.is("=>") {
		return item{at: at, value: v}, nil
	}
	if v.shape == isList {
		return item{}, fail(at, "operand must be string", "the key of an item is a string")
	}
	if err := p.advance(); err != nil {
		return item{}, err
	}
	of, err := p.expression()
	return item{key: v.string(), keyed: true, at: at, value: of}, err
}
