package lighttpd

// This file: from tokens to blocks. Variables are replaced and files are included
// on the way, as lighttpd does it.

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// Bounds beside those of package document.
const (
	maxBlocks   = 2000
	maxSettings = 100_000
	maxCopied   = 256 << 20 // bytes, by + and +=
)

// condition is what a block is for.
type condition struct {
	field string // "url", "host", …: as canonical has it; "header" for headers
	name  string // of the header
	op    string // == != =~ !~ =^ =$
	value string
	text  string // as it is written
	at    document.Place
}

// block is the settings of the file outside of conditions, or of one condition.
// A condition that comes again at the same place adds to its block.
type block struct {
	number   int // in the order of their first lines; 0 is the file
	parent   *block
	prev     *block     // whose else this is
	next     *block     // that is its else
	cond     *condition // nil: the file, or a bare else
	settings []*setting
	byName   map[string]*setting
	blocks   map[string]*block // by their conditions' texts
	at       document.Place
}

// setting is one line NAME = VALUE.
type setting struct {
	name  string
	at    document.Place // of the name
	value *value
}

func (b *block) set(name string, at document.Place, v *value) {
	if old := b.byName[name]; old != nil {
		old.value = v
		return
	}
	s := &setting{name, at, v}
	b.settings = append(b.settings, s)
	b.byName[name] = s
}

// label is a block as lighttpd's messages name it: its number, and its conditions.
func (b *block) label() string {
	text := ""
	for of := b; of.parent != nil; of = of.parent {
		c := "else"
		if of.cond != nil {
			c = of.cond.text
		}
		text = " / " + c + text
	}
	return strconv.Itoa(b.number) + " global" + shown(text)
}

// lookup is a name's value here, or further out.
func (b *block) lookup(name string) *value {
	for ; b != nil; b = b.parent {
		if s := b.byName[name]; s != nil {
			return s.value
		}
	}
	return nil
}

// parser reads a file and all that it includes.
type parser struct {
	options  document.Options
	document *document.Document
	problems *document.Problems

	folder   string // of the main file
	open     []string
	files    int
	settings int
	copied   int
	blocks   []*block
	current  *block

	lex *lexer
	tok token
}

// parse reads a configuration. What is wrong is in p.problems: the first that
// ends the reading, as nothing after it is what it seems.
func (p *parser) parse(path string) {
	p.folder = filepath.Dir(path)
	p.current = p.newBlock(nil, "", document.Place{File: path, Line: 1, Column: 1})
	text, err := document.Read(path)
	if err != nil {
		p.problems.Add(document.Place{File: path}, "cannot read the configuration: "+err.Error(), "check the path and the rights of the file")
		return
	}
	p.document.From(path)
	p.open = []string{path}
	if err := p.file(path, string(text)); err != nil {
		var at *syntaxError
		if errors.As(err, &at) {
			p.problems.Add(at.at, at.problem, at.hint)
		}
	}
}

func (p *parser) newBlock(parent *block, key string, at document.Place) *block {
	b := &block{number: len(p.blocks), parent: parent, byName: map[string]*setting{}, blocks: map[string]*block{}, at: at}
	p.blocks = append(p.blocks, b)
	if parent != nil {
		parent.blocks[key] = b
	}
	return b
}

// file reads the text of one file into the current block.
func (p *parser) file(name, text string) error {
	lex, tok, current := p.lex, p.tok, p.current
	p.lex = &lexer{input: text, file: name, line: 1, last: endOfLine}
	if err := p.advance(); err != nil {
		return err
	}
	if err := p.lines(false); err != nil {
		return err
	}
	p.lex, p.tok, p.current = lex, tok, current
	return nil
}

func (p *parser) advance() (err error) {
	p.tok, err = p.lex.next()
	return err
}

func (p *parser) is(text string) bool { return p.tok.kind == mark && p.tok.text == text }

func (p *parser) isWord(text string) bool { return p.tok.kind == word && p.tok.text == text }

func (p *parser) expect(text, hint string) error {
	if !p.is(text) {
		return p.unexpected(hint)
	}
	return p.advance()
}

func (p *parser) unexpected(hint string) error {
	return &syntaxError{p.tok.at, "parser failed somehow near here: " + shown(p.tok.near()), hint}
}

func fail(at document.Place, problem, hint string) error { return &syntaxError{at, problem, hint} }

// shown bounds what a message shows.
func shown(s string) string {
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

// lines reads until the end of the file, or the } of a block.
func (p *parser) lines(inBlock bool) error {
	var chain *block // the condition that an else may follow
	for {
		switch {
		case p.tok.kind == endOfLine:
			if err := p.advance(); err != nil {
				return err
			}
			continue
		case p.tok.kind == endOfFile && inBlock:
			return fail(p.current.at, "unclosed block: the { of it has no }", "write the } at its end")
		case p.tok.kind == endOfFile:
			return nil
		case p.is("}") && inBlock:
			return p.advance()
		}
		var err error
		switch at := p.tok.at; {
		case p.is("$"):
			chain, err = p.conditional(nil)
		case p.isWord("if"):
			if err = p.advance(); err == nil && !p.is("$") {
				err = p.unexpected(`write if $HTTP["…"] == "…" { … }`)
			}
			if err == nil {
				chain, err = p.conditional(nil)
			}
		case p.isWord("else"), p.isWord("elif"), p.isWord("elsif"), p.isWord("elseif"):
			if chain == nil {
				return p.unexpected("an else follows the } of a condition")
			}
			chain, err = p.orElse(chain)
		default:
			chain = nil
			err = p.line(at)
		}
		if err != nil {
			return err
		}
	}
}

// line reads a line that is no condition.
func (p *parser) line(at document.Place) error {
	switch {
	case p.isWord("global"):
		return p.global()
	case p.isWord("include"), p.isWord("include_shell"):
		return p.include(p.tok.text == "include_shell")
	case p.tok.kind != word:
		return p.unexpected("a line is NAME = VALUE, a condition or an include")
	}
	name := qualified(p.tok.text)
	if err := p.advance(); err != nil {
		return err
	}
	how := p.tok.text
	if p.tok.kind != mark || how != "=" && how != "+=" && how != ":=" {
		return p.unexpected("a line is NAME = VALUE; NAME += VALUE adds to it")
	}
	if err := p.advance(); err != nil {
		return err
	}
	v, err := p.expression()
	if err != nil {
		return err
	}
	if p.settings++; p.settings > maxSettings {
		return fail(at, "there are too many settings", "is this the right file?")
	}
	return p.assign(name, at, how, v)
}

// qualified is a name as lighttpd keeps it: one without a dot is a variable.
func qualified(name string) string {
	if !strings.Contains(name, ".") {
		return "var." + name
	}
	return name
}

func (p *parser) assign(name string, at document.Place, how string, v *value) error {
	b := p.current
	switch {
	case strings.HasPrefix(name, "env."):
		return fail(at, "Setting env variable is not supported in conditional "+b.label()+": "+name, "set a variable of your own: var."+name[4:]+" = …")
	case how == ":=":
		b.set(name, at, v)
	case how == "=":
		if b.byName[name] != nil {
			return fail(at, "Duplicate config variable in conditional "+b.label()+": "+name, "it is set at "+b.byName[name].at.String()+"; leave one of them out, or write := to set it anew, += to add to it")
		}
		b.set(name, at, v)
	default:
		if old := b.lookup(name); old != nil {
			sum, problem := p.plus(old, v)
			if problem != "" {
				return fail(at, problem, "+= takes what has the type of the value before")
			}
			v = sum
		}
		b.set(name, at, v)
	}
	return nil
}

func (p *parser) global() error {
	if p.current.number != 0 {
		return p.unexpected("global { … } stands outside of conditions")
	}
	if err := p.advance(); err != nil {
		return err
	}
	at := p.tok.at
	if err := p.expect("{", "write global { … }"); err != nil {
		return err
	}
	if p.depth() > document.MaxDepth {
		return fail(at, "blocks are nested too deeply", "what is meant by it can be said in fewer")
	}
	p.open = append(p.open, "")
	err := p.lines(true)
	p.open = p.open[:len(p.open)-1]
	return err
}

func (p *parser) depth() int {
	n := len(p.open)
	for b := p.current; b != nil; b = b.parent {
		n++
	}
	return n
}

// conditional reads $FIELD["name"] OP "value" { … }, which is an else of prev, if
// there is one.
func (p *parser) conditional(prev *block) (*block, error) {
	at := p.tok.at
	c, err := p.condition()
	if err != nil {
		return nil, err
	}
	key := c.field + "\x00" + c.name + "\x00" + c.op + "\x00" + c.value
	b := p.current.blocks[key]
	switch {
	case b == nil:
		b = p.newBlock(p.current, key, at)
		b.cond = c
		if prev != nil {
			b.prev, prev.next = prev, b
		}
	case prev != nil:
		return nil, fail(at, "unreachable else condition", "the same condition stands before it")
	}
	return b, p.within(b)
}

// orElse reads what follows an else.
func (p *parser) orElse(prev *block) (*block, error) {
	at := p.tok.at
	if err := p.advance(); err != nil {
		return nil, err
	}
	if prev.cond == nil {
		return nil, fail(at, "unreachable condition following else catch-all", "nothing is left for it; put it before the else")
	}
	if prev.next != nil {
		return nil, fail(at, "unreachable else condition", "the condition before it has an else already")
	}
	if p.isWord("if") {
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	if p.is("$") {
		return p.conditional(prev)
	}
	b := p.newBlock(p.current, "else\x00"+strconv.Itoa(prev.number), at)
	b.prev, prev.next = prev, b
	return b, p.within(b)
}

// within reads the { … } of a block.
func (p *parser) within(b *block) error {
	if len(p.blocks) > maxBlocks {
		return fail(b.at, "there are too many conditions", "is this the right file?")
	}
	if p.depth() > document.MaxDepth {
		return fail(b.at, "conditions are nested too deeply", "what is meant by it can be said in fewer")
	}
	if err := p.expect("{", "a condition is followed by { … }"); err != nil {
		return err
	}
	outer := p.current
	p.current = b
	if err := p.lines(true); err != nil {
		return err
	}
	p.current = outer
	return nil
}

func (p *parser) condition() (*condition, error) {
	at := p.tok.at
	const form = `a condition is written $HTTP["url"] =~ "…"`
	if err := p.advance(); err != nil { // over the $
		return nil, err
	}
	if p.tok.kind != word {
		return nil, p.unexpected(form)
	}
	family := p.tok.text
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.expect("[", form); err != nil {
		return nil, err
	}
	if p.tok.kind != text {
		return nil, p.unexpected(form)
	}
	name := p.tok.text
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.expect("]", form); err != nil {
		return nil, err
	}
	op := p.tok.text
	if p.tok.kind != mark || len(op) != 2 || op == "=>" || op == "+=" || op == ":=" {
		return nil, p.unexpected(form)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	v, err := p.expression()
	if err != nil {
		return nil, err
	}
	if v.shape != isText {
		return nil, fail(v.at, "rvalue must be string", "write it in double quotes")
	}
	return canonical(family, name, op, v, at)
}
