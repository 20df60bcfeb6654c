package apache

// From lines to a tree of directives and sections. What Apache decides while it
// reads (Include, Define, IfDefine, IfModule, IfVersion) is decided here.

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
	"millrace/internal/suggest"
)

// arg is a word of a directive.
type arg struct {
	text  string
	place document.Place
}

// directive is one line; within is what stands in a section.
type directive struct {
	name   string // lower case, without the "<" of a section
	shown  string // as it was written
	place  document.Place
	args   []arg
	raw    string // all that follows the name, as it was written
	known  *known
	within []*directive
}

// arg is the text of a word; "": there are fewer.
func (d *directive) arg(i int) string {
	if i < len(d.args) {
		return d.args[i].text
	}
	return ""
}

// texts are the words.
func (d *directive) texts() []string {
	var all []string
	for _, a := range d.args {
		all = append(all, a.text)
	}
	return all
}

// reader reads the files of a configuration.
type reader struct {
	problems *document.Problems
	options  document.Options
	root     string // ServerRoot
	defined  map[string]string
	loaded   map[string]bool // modules of LoadModule, by identifier and by file
	whole    bool            // it has a LoadModule: modules that are not loaded are missing
	bytes    int
	files    int
	lines    int
	open     []string
	htaccess bool   // what is read is a .htaccess
	file0    string // the file that was named
	doc      *document.Document
	halted   bool
}

// block is where directives are read into.
type block struct {
	list  *[]*directive
	name  string // of the section, lower case; "": the file
	up    *block
	place document.Place
	shown string
	skip  bool // its condition does not hold
}

// file reads one file into a block.
func (r *reader) file(path string, from document.Place, list *[]*directive, up *block) {
	if r.halted {
		return
	}
	refuse := func(problem, hint string) { r.problems.Add(from, problem, hint) }
	if slices.Contains(r.open, path) {
		refuse(fmt.Sprintf("Include: %s includes itself: %s", path, strings.Join(append(slices.Clone(r.open), path), " → ")), "take the file out of what it includes")
		return
	}
	if len(r.open) >= maxIncludes || r.files >= maxFiles {
		refuse(fmt.Sprintf("Include: Exceeded the maximum include depth or number of files at %s", path), "see whether files include each other")
		r.halted = true
		return
	}
	text, err := document.Read(path)
	if err != nil {
		refuse(fmt.Sprintf("Could not open configuration file %s: %v", path, err), "check the path and the rights of the file")
		return
	}
	r.files++
	if r.bytes += len(text); r.bytes > maxText {
		refuse(fmt.Sprintf("the configuration is larger than %d MiB", maxText>>20), "leave out what is no configuration")
		r.halted = true
		return
	}
	r.open = append(r.open, path)
	r.doc.From(path)
	r.text(path, text, list, up)
	r.open = r.open[:len(r.open)-1]
}

// text reads what a file holds.
func (r *reader) text(path string, text []byte, list *[]*directive, up *block) {
	in := &block{list: list, up: up}
	if up != nil {
		in.name = up.name
	}
	base, depth := in, 0
	for _, l := range lines(text) {
		if r.lines++; r.lines > maxLines || r.halted {
			r.halted = true
			r.problems.Add(document.Place{File: path, Line: l.spans[0].line, Column: 1}, fmt.Sprintf("the configuration has more than %d directives", maxLines), "leave out what is no configuration")
			return
		}
		d := r.split(path, &l)
		switch {
		case strings.HasPrefix(d.shown, "</"):
			if in == base {
				r.problems.Add(d.place, fmt.Sprintf("%s without matching <%s section", closer(d.shown), closer(d.shown)[2:]), "take it out, or open the section above it, in the same file")
				continue
			}
			r.closes(in, d)
			in, depth = in.up, depth-1
		case strings.HasPrefix(d.shown, "<"):
			if depth++; depth > maxBlocks {
				r.problems.Add(d.place, "sections are nested too deeply", "close those above")
				r.halted = true
				return
			}
			in = r.opens(in, d)
		case !in.skip:
			r.directive(in, d)
		}
	}
	for ; in != base; in = in.up {
		r.problems.Add(in.place, fmt.Sprintf("<%s> was not closed.", in.shown), fmt.Sprintf("write </%s> where the section ends, in the same file", in.shown))
	}
}

func closer(shown string) string { return strings.TrimSuffix(shown, ">") + ">" }

// split parts a line into the name and the words.
func (r *reader) split(path string, l *logical) *directive {
	place := func(offset int) document.Place {
		line, column := l.at(offset)
		return document.Place{File: path, Line: line, Column: column}
	}
	name, start, next := word(l.text, 0)
	text := l.text
	if len(name) > 1 && name[0] == '<' { // "<Directory/srv>" is a name to Apache; a ">" ends it all the same
		if i := strings.IndexByte(name, '>'); i > 0 && i == len(name)-1 && name[1] != '/' {
			name = name[:i]
			text, next = l.text[:start+i]+">", start+i
		}
	}
	d := &directive{name: strings.ToLower(name), shown: name, place: place(start), raw: text[next:]}
	end := len(text)
	if strings.HasPrefix(name, "<") && !strings.HasPrefix(name, "</") {
		i := strings.LastIndexByte(text, '>')
		if i < next {
			if next < len(text) || !strings.HasSuffix(text, ">") {
				r.problems.Add(d.place, fmt.Sprintf("%s> directive missing closing '>'", name), "write > at the end of the line")
			}
			i = len(text)
		}
		end = max(i, next)
		d.raw = text[next:end]
	}
	for next < end {
		var a arg
		var at int
		a.text, at, next = word(text[:end], next)
		if at == end {
			break
		}
		a.text, a.place = r.resolve(a.text, place(at)), place(at)
		d.args = append(d.args, a)
	}
	return d
}

// opens begins a section.
func (r *reader) opens(in *block, d *directive) *block {
	name := strings.TrimPrefix(d.name, "<")
	d.name, d.shown = name, strings.TrimPrefix(d.shown, "<")
	out := &block{list: in.list, up: in, name: in.name, place: d.place, shown: d.shown, skip: in.skip}
	if in.skip {
		return out
	}
	first := d.arg(0)
	negated := strings.HasPrefix(first, "!")
	first = strings.TrimPrefix(first, "!")
	needs := func() bool {
		if first == "" {
			r.problems.Add(d.place, fmt.Sprintf("<%s> directive requires additional arguments", d.shown), "write what the section is for")
			out.skip = true
		}
		return first != ""
	}
	switch name {
	case "ifmodule":
		if needs() {
			out.skip = r.module(first) == negated
		}
	case "ifdefine":
		if needs() {
			_, there := r.defined[first]
			out.skip = there == negated
		}
	case "ifversion":
		if needs() {
			out.skip = !r.version(d)
		}
	case "iffile":
		if needs() {
			_, err := os.Stat(r.under(first))
			out.skip = (err == nil) == negated
		}
	case "ifdirective", "ifsection":
		if needs() {
			out.skip = (directives[strings.ToLower(strings.Trim(first, "<>"))] != nil) == negated
		}
	default:
		k := directives[name]
		if k == nil || !k.section {
			r.unknown(d, "<"+d.shown)
			out.skip = true
			return out
		}
		if len(d.args) == 0 && k.least > 0 {
			r.problems.Add(d.place, fmt.Sprintf("<%s> directive requires additional arguments", d.shown), "write what the section is for")
			out.skip = true
			return out
		}
		if !r.allowed(in, d, k) {
			out.skip = true
			return out
		}
		d.known = k
		*in.list = append(*in.list, d)
		out.list, out.name = &d.within, name
	}
	return out
}

// closes checks that an end is that of the section.
func (r *reader) closes(in *block, d *directive) {
	if !strings.HasSuffix(d.shown, ">") {
		r.problems.Add(d.place, fmt.Sprintf("%s> directive missing closing '>'", d.shown), "write > at its end")
		return
	}
	if !strings.EqualFold(d.shown, "</"+in.shown+">") {
		r.problems.Add(d.place, fmt.Sprintf("Expected </%s> but saw %s", in.shown, d.shown), fmt.Sprintf("the section was opened in line %d: close it first", in.place.Line))
	}
}

// directive takes a line that is no section.
func (r *reader) directive(in *block, d *directive) {
	k := directives[d.name]
	if k == nil || k.section {
		r.unknown(d, d.shown)
		return
	}
	d.known = k
	if !r.arity(d, k) || !r.allowed(in, d, k) {
		return
	}
	switch d.name {
	case "options":
		if !r.optionsRight(d) {
			return
		}
		*in.list = append(*in.list, d)
	case "include", "includeoptional":
		r.include(in, d)
	case "define":
		value := ""
		if len(d.args) > 1 {
			value = d.arg(1)
		}
		r.defined[d.arg(0)] = value
	case "undefine":
		delete(r.defined, d.arg(0))
	case "error":
		r.problems.Add(d.place, fmt.Sprintf("Configuration error: %s", strings.Join(d.texts(), " ")), "the configuration itself says that it cannot be used so")
	case "loadmodule":
		r.whole = true
		r.loaded[strings.ToLower(d.arg(0))] = true
	case "serverroot":
		r.root = filepath.Clean(d.arg(0))
	default:
		*in.list = append(*in.list, d)
	}
}

// unknown says what Apache says of a command that it does not know.
func (r *reader) unknown(d *directive, shown string) {
	hint := "see https://httpd.apache.org/docs/2.4/mod/directives.html for what there is"
	names := make([]string, 0, len(directives))
	for name := range directives {
		names = append(names, name)
	}
	slices.Sort(names)
	if near := suggest.Nearest(d.name, names); near != "" && near != d.name {
		hint = fmt.Sprintf("did you mean %s?", directives[near].name)
	}
	r.problems.Add(d.place, fmt.Sprintf("Invalid command '%s', perhaps misspelled or defined by a module not included in the server configuration", shown), hint)
}
