package nginx

// From words to directives: blocks, includes, and which directive may stand
// where with how many parameters.

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
	"millrace/internal/suggest"
)

// Bounds of what a file may be.
const (
	maxBlocks     = 64     // blocks within blocks
	maxDirectives = 200000 // all in all
)

// directive is one of a file, with what its block holds.
type directive struct {
	name  string
	args  []word
	at    document.Place
	block []*directive
	opens bool // it has a block
	lines [][]word
}

// arg is a parameter; "": there is none.
func (d *directive) arg(i int) string {
	if i < len(d.args) {
		return d.args[i].text
	}
	return ""
}

// argAt is where a parameter stands, or else the directive.
func (d *directive) argAt(i int) document.Place {
	if i < len(d.args) {
		return d.args[i].at
	}
	return d.at
}

// words are the parameters as text.
func (d *directive) words() []string {
	all := make([]string, len(d.args))
	for i, a := range d.args {
		all[i] = a.text
	}
	return all
}

// parser reads a file and what it includes.
type parser struct {
	problems *document.Problems
	doc      *document.Document
	rules    map[string][]rule
	folders  []string // that relative includes are looked for in
	open     []string // files that are being read, the innermost last
	files    int
	count    int
}

// raw holds the names of blocks whose lines are no directives.
var raw = []string{"types", "map", "geo", "split_clients", "charset_map"}

// parse reads the file and returns its directives. Without a context (the file
// is a fragment) that is found out by what stands at its top.
func (p *parser) parse(name, abs, text string) (list []*directive, context byte) {
	p.open = append(p.open, abs)
	l := newLexer(name, text)
	list = p.block(l, 0, document.Place{}, '?', 0)
	return list, p.guess(list)
}

// block reads directives up to the "}" that ends the block, or the end of the
// file. A nil token of opened is the file itself.
func (p *parser) block(l *lexer, depth int, opened document.Place, context byte, includes int) []*directive {
	var list []*directive
	inBlock := opened != (document.Place{})
	for {
		d, end := p.directive(l, inBlock, opened)
		if end {
			return list
		}
		if p.count++; p.count > maxDirectives {
			if p.count == maxDirectives+1 {
				p.problems.Add(d.at, fmt.Sprintf("the configuration has more than %d directives", maxDirectives), "part it")
			}
			l.offset = len(l.text)
			return list
		}
		inner := contextOf(d, context)
		if d.opens {
			if depth >= maxBlocks {
				p.problems.Add(d.at, fmt.Sprintf("blocks are nested more than %d deep", maxBlocks), "close some of them before")
				l.offset = len(l.text)
				return list
			}
			if slices.Contains(raw, d.name) {
				p.lines(l, d, includes)
			} else {
				d.block = p.block(l, depth+1, d.at, inner, includes)
			}
		}
		if d.name == "include" && !d.opens && len(d.args) == 1 {
			list = append(list, p.include(d, depth, context, includes)...)
			continue
		}
		list = append(list, d)
	}
}

// directive reads one, up to its ";" or "{". End says that the block, or the
// file, has ended.
func (p *parser) directive(l *lexer, inBlock bool, opened document.Place) (d *directive, end bool) {
	stop := func(f *failure) (*directive, bool) {
		p.problems.Add(f.at, f.problem, f.hint)
		l.offset = len(l.text)
		return nil, true
	}
	for {
		t, bad := l.next()
		if bad != nil {
			return stop(bad)
		}
		switch t.kind {
		case 0:
			switch {
			case d != nil:
				return stop(&failure{t.word.at, `unexpected end of file, expecting ";" or "}"`, fmt.Sprintf("directive %q of line %d is not terminated by \";\"", d.name, d.at.Line)})
			case inBlock:
				return stop(&failure{t.word.at, `unexpected end of file, expecting "}"`, fmt.Sprintf("the block that line %d opens is not closed", opened.Line)})
			}
			return nil, true
		case ';', '{':
			if d == nil {
				return stop(&failure{t.word.at, fmt.Sprintf("unexpected %q", string(t.kind)), "a directive begins with its name"})
			}
			d.opens = t.kind == '{'
			return d, false
		case '}':
			switch {
			case d != nil:
				return stop(&failure{t.word.at, `unexpected "}"`, fmt.Sprintf("directive %q is not terminated by \";\"", d.name)})
			case !inBlock:
				return stop(&failure{t.word.at, `unexpected "}"`, "no block is open here"})
			}
			return nil, true
		}
		if d == nil {
			d = &directive{name: t.word.text, at: t.word.at}
			continue
		}
		d.args = append(d.args, t.word)
	}
}

// lines reads a block of a table: words up to each ";".
func (p *parser) lines(l *lexer, of *directive, includes int) {
	for {
		d, end := p.directive(l, true, of.at)
		if end {
			return
		}
		if d.opens {
			p.problems.Add(d.at, `unexpected "{"`, fmt.Sprintf("lines of %q have no blocks", of.name))
			l.offset = len(l.text)
			return
		}
		if p.count++; p.count > maxDirectives {
			l.offset = len(l.text)
			return
		}
		if d.name == "include" && len(d.args) == 1 {
			p.each(d, includes, func(inner *lexer) { p.linesOfFile(inner, of, includes+1) })
			continue
		}
		of.lines = append(of.lines, append([]word{{d.name, false, d.at}}, d.args...))
	}
}

func (p *parser) linesOfFile(l *lexer, of *directive, includes int) {
	for {
		d, end := p.directive(l, false, of.at)
		if end {
			return
		}
		if p.count++; d.opens || p.count > maxDirectives {
			p.problems.Add(d.at, `unexpected "{"`, fmt.Sprintf("lines of %q have no blocks", of.name))
			return
		}
		of.lines = append(of.lines, append([]word{{d.name, false, d.at}}, d.args...))
	}
}

// include is the directives of the files that an include names.
func (p *parser) include(d *directive, depth int, context byte, includes int) []*directive {
	var list []*directive
	p.each(d, includes, func(l *lexer) {
		list = append(list, p.block(l, depth, document.Place{}, context, includes+1)...)
	})
	return list
}

// each calls read for each file that an include names.
func (p *parser) each(d *directive, includes int, read func(l *lexer)) {
	if includes >= document.MaxDepth {
		p.problems.Add(d.at, fmt.Sprintf("includes are nested more than %d deep", document.MaxDepth), "a file that includes itself never ends")
		return
	}
	paths, bad := p.find(d.arg(0))
	if bad != "" {
		p.problems.Add(d.argAt(0), bad, "correct the path; a relative one is looked for beside nginx.conf")
		return
	}
	for _, path := range paths {
		if slices.Contains(p.open, path) {
			p.problems.Add(d.argAt(0), fmt.Sprintf("%q includes itself", d.arg(0)), "leave this include out")
			continue
		}
		if p.files++; p.files > document.MaxFiles {
			p.problems.Add(d.argAt(0), fmt.Sprintf("more than %d files are included", document.MaxFiles), "")
			return
		}
		text, err := document.Read(path)
		if err != nil {
			p.problems.Add(d.argAt(0), fmt.Sprintf("open() %q failed (%s)", path, err), "correct the path, or the rights of the file")
			continue
		}
		p.doc.From(path)
		p.open = append(p.open, path)
		read(newLexer(path, string(text)))
		p.open = p.open[:len(p.open)-1]
	}
}

// find is the files of an include: all that a pattern matches, in order, or the
// one. Relative ones are looked for in the folders, the first of which has it.
func (p *parser) find(name string) (paths []string, bad string) {
	folders := p.folders
	if filepath.IsAbs(name) {
		folders = []string{"/"}
	}
	isPattern := strings.ContainsAny(name, "*?[")
	for _, folder := range folders {
		path := filepath.Join(folder, name)
		if isPattern {
			found, err := filepath.Glob(path)
			if err != nil {
				return nil, fmt.Sprintf("glob() %q failed (%s)", path, err)
			}
			if len(found) > 0 {
				slices.Sort(found)
				return found, ""
			}
			continue
		}
		if exists(path) {
			return []string{path}, ""
		}
	}
	if isPattern {
		return nil, ""
	}
	return nil, fmt.Sprintf("open() %q failed (2: No such file or directory)", filepath.Join(folders[0], name))
}

// check holds the directives of a context to the rules: that nginx knows each,
// that it may stand there, and how many parameters it has.
func (p *parser) check(list []*directive, context byte) {
	for _, d := range list {
		if p.rule(d, context) && !slices.Contains(raw, d.name) && d.name != "stream" && d.name != "mail" {
			p.check(d.block, contextOf(d, context))
		}
	}
}

func (p *parser) rule(d *directive, context byte) bool {
	rules, known := p.rules[d.name]
	if why := elsewhere(d.name); !known && why != "" {
		p.problems.Add(d.at, fmt.Sprintf("unknown directive %q", d.name), why)
		return false
	}
	if !known {
		hint := "no module of nginx that is known here has it"
		if near := suggest.Nearest(d.name, p.names()); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		p.problems.Add(d.at, fmt.Sprintf("unknown directive %q", d.name), hint)
		return false
	}
	i := slices.IndexFunc(rules, func(r rule) bool { return strings.IndexByte(r.contexts, context) >= 0 })
	if i < 0 {
		p.problems.Add(d.at, fmt.Sprintf("%q directive is not allowed here", d.name), "it may stand in "+contextsOf(rules))
		return false
	}
	switch r := rules[i]; {
	case !r.block && d.opens:
		p.problems.Add(d.at, fmt.Sprintf("directive %q is not terminated by \";\"", d.name), "it has no block")
		return false
	case r.block && !d.opens:
		p.problems.Add(d.at, fmt.Sprintf("directive %q has no opening \"{\"", d.name), "its block follows it: "+d.name+" … { … }")
		return false
	case !r.takes(len(d.args)):
		p.problems.Add(d.at, fmt.Sprintf("invalid number of arguments in %q directive", d.name), "it takes "+r.count()+", and has "+fmt.Sprint(len(d.args)))
		return false
	case r.flag && d.arg(0) != "on" && d.arg(0) != "off" && d.arg(0) != "ON" && d.arg(0) != "OFF":
		p.problems.Add(d.argAt(0), fmt.Sprintf(`invalid value %q in %q directive, it must be "on" or "off"`, d.arg(0), d.name), "")
		return false
	}
	return true
}
