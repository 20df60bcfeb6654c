package nginx

// The way from a file to a document.

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

// adapter makes one document.
type adapter struct {
	doc      *document.Document
	problems document.Problems
	options  document.Options
	whole    bool   // it is a whole nginx.conf
	folder   string // that relative paths are relative to
	http     *level

	maps      map[string]*table
	groups    map[string]*backends // upstreams, by name
	formats   map[string]*directive
	zones     map[string]*directive     // limits, by name
	zoneAt    map[*directive]*directive // where each was last used
	made      map[string]string         // upstreams of the document: what they are, to their names
	names     map[string]bool           // that are taken
	notes     []note
	errorLog  bool
	hostsOf   map[string]map[string]bool // by address: names that a server has
	defaultOf map[string]*directive      // by address: the server that has all others
}

// note is a directive that means nothing here.
type note struct {
	name, why string
	at        document.Place
	more      int
}

func (a *adapter) problem(at document.Place, problem, hint string) { a.problems.Add(at, problem, hint) }

// refuse says of a directive that it is not carried over.
func (a *adapter) refuse(d *directive, why, hint string) {
	a.problem(d.at, fmt.Sprintf("%q is not carried over: %s", d.name, why), hint)
}

// note remembers a directive that is left out without harm.
func (a *adapter) note(d *directive, why string) {
	for i := range a.notes {
		if a.notes[i].name == d.name && a.notes[i].why == why {
			a.notes[i].more++
			return
		}
	}
	a.notes = append(a.notes, note{d.name, why, d.at, 0})
}

// Adapt makes a document of an nginx configuration, or of a part of one. The
// error is a config.Errors of all that cannot be carried over.
func Adapt(path string, o document.Options) (*document.Document, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	a := &adapter{
		doc: document.New(), options: o, maps: map[string]*table{}, groups: map[string]*backends{}, formats: map[string]*directive{}, zones: map[string]*directive{},
		zoneAt: map[*directive]*directive{}, made: map[string]string{}, names: map[string]bool{}, hostsOf: map[string]map[string]bool{}, defaultOf: map[string]*directive{},
	}
	text, err := document.Read(path)
	if err != nil {
		a.problem(document.Place{File: path}, "cannot read the configuration: "+err.Error(), "check the path and the rights of the file")
		return nil, a.problems.Err()
	}
	a.doc.From(abs)
	a.read(path, abs, string(text))
	if err := a.problems.Err(); err != nil {
		return nil, err
	}
	return a.doc, nil
}

func (a *adapter) read(name, abs, text string) {
	a.folder = folders(abs)[len(folders(abs))-1]
	if len(folders(abs)) == 2 && folders(abs)[1] == "/etc/nginx" {
		a.folder = filepath.Dir(abs)
	}
	p := &parser{problems: &a.problems, doc: a.doc, rules: rules(), folders: folders(abs)}
	list, context := p.parse(name, abs, text)
	if a.problems.Len() > 0 { // what follows would be about something else
		return
	}
	p.check(list, context)
	if a.problems.Len() > 0 {
		return
	}
	main := &level{context: 'M', at: document.Place{File: name, Line: 1, Column: 1}, list: list}
	if context == 'M' {
		a.main(main)
		return
	}
	a.fragment(main, context)
}

// folders are where relative includes are looked for: beside the file, above the
// folder that parts are kept in (sites-available), in those above it that hold an
// nginx.conf, and where nginx has its own.
func folders(abs string) []string {
	dir := filepath.Dir(abs)
	all := []string{dir}
	add := func(f string) {
		if !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	for f := dir; len(all) < 4; f = filepath.Dir(f) {
		above := filepath.Dir(f)
		if above == f {
			break
		}
		if slices.Contains([]string{"sites-available", "sites-enabled", "conf.d"}, filepath.Base(f)) || exists(filepath.Join(above, "nginx.conf")) {
			add(above)
		}
	}
	if exists("/etc/nginx/nginx.conf") {
		add("/etc/nginx")
	}
	return all
}

// main is a whole nginx.conf.
func (a *adapter) main(main *level) {
	a.whole = true
	https := main.own("http")
	if len(https) == 0 {
		a.problem(main.at, "there is no http block: nothing is served", "write http { server { … } }")
		return
	}
	a.server(main)
	for _, d := range https {
		a.serve(main.within(d, 'H'))
	}
	a.writeNotes()
}

// fragment is a part of an nginx.conf, in what it would stand in.
func (a *adapter) fragment(main *level, context byte) {
	http := &level{parent: &level{context: 'M', at: main.at}, context: 'H', at: main.at}
	switch context {
	case 'H':
		http.list = main.list
	case 'S':
		http.list = []*directive{{name: "server", at: main.at, block: main.list, opens: true}}
	case 'L':
		location := &directive{name: "location", args: []word{{text: "/", at: main.at}}, at: main.at, block: main.list, opens: true}
		http.list = []*directive{{name: "server", at: main.at, block: []*directive{location}, opens: true}}
	case 'U':
		a.problem(main.at, "these are the servers of an upstream without its block", "write upstream NAME { … } around them")
		return
	}
	a.doc.Top().Comment("A part of an nginx configuration; around it are nginx's defaults.")
	a.serve(http)
	a.writeNotes()
}

// serve is what http holds.
func (a *adapter) serve(l *level) {
	a.http = l
	a.sweep(l)
	a.collectTables(l)
	a.collectUpstreams(l)
	for _, d := range l.own("log_format") {
		a.formats[d.arg(0)] = d
	}
	for _, d := range l.own("limit_req_zone", "limit_conn_zone") {
		a.zone(d)
	}
	a.realAddress(l)
	a.globals(l)
	servers := l.own("server")
	a.choose(l, servers)
	for i, d := range servers {
		a.site(l.within(d, 'S'), i)
	}
	if len(servers) == 0 {
		a.doc.Top().Comment("There is no server in it: nothing is served.")
	}
}

// sweep looks at every directive below a level: each is carried over by what
// follows, or noted, or refused.
func (a *adapter) sweep(l *level) {
	for _, d := range l.list {
		a.dispose(d)
		if d.opens && d.block != nil {
			a.sweep(&level{list: d.block})
		}
	}
}

// writeNotes writes what was left out without harm at the head of the document.
func (a *adapter) writeNotes() {
	if len(a.notes) == 0 {
		return
	}
	top := a.doc.Top()
	top.Comment("Left out, or otherwise than with nginx:")
	for _, n := range a.notes {
		more := ""
		if n.more > 0 {
			more = fmt.Sprintf(" and %s more", plural(n.more, "place"))
		}
		top.Comment(fmt.Sprintf("  %s:%d%s: %s: %s.", filepath.Base(n.at.File), n.at.Line, more, n.name, strings.TrimSuffix(n.why, ".")))
	}
}
