package apache

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

// lowering makes a document of what was read.
type lowering struct {
	problems *document.Problems
	doc      *document.Document
	read     *reader
	top      []*directive // of the main server
	site     *site
	under    *mapping // whose rules are lowered

	sites     []*site
	upstreams map[string]string // by what they are for, their names
	apps      map[string]string
	names     map[string]bool // of upstreams and apps
	proxies   map[string]*directive
	daemons   map[string]*directive // WSGIDaemonProcess by name
	used      map[*directive]bool   // what became a comment
	told      map[*directive]bool   // what was refused by once
	guessPHP  bool                  // no handler of .php is in sight, and there are rules that lead to one
}

// Adapt is an Apache configuration, or a piece of one, as a millrace.toml.
// Relative paths of the file are relative to its ServerRoot; without one, to the
// folder of the file. The error is a config.Errors of all that cannot be carried
// over.
func Adapt(path string, o document.Options) (*document.Document, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	l := &lowering{
		problems: &document.Problems{}, doc: document.New(), upstreams: map[string]string{}, apps: map[string]string{}, names: map[string]bool{},
		proxies: map[string]*directive{}, daemons: map[string]*directive{}, used: map[*directive]bool{}, told: map[*directive]bool{},
	}
	l.read = &reader{
		problems: l.problems, options: o, root: filepath.Dir(abs), defined: map[string]string{}, loaded: map[string]bool{}, doc: l.doc,
		htaccess: isHtaccess(path), file0: abs,
	}
	for _, folder := range []string{"/sites-available", "/sites-enabled", "/conf-available", "/conf-enabled", "/mods-available", "/mods-enabled"} {
		if above, ok := strings.CutSuffix(l.read.root, folder); ok {
			l.read.root = above
		}
	}
	l.read.file(abs, document.Place{File: abs}, &l.top, nil)
	if l.problems.Len() > 0 {
		return nil, l.problems.Err()
	}
	l.server()
	if err := l.problems.Err(); err != nil {
		return nil, err
	}
	return l.doc, nil
}

func isHtaccess(path string) bool {
	name := filepath.Base(path)
	return name == ".htaccess" || name == "htaccess" || strings.HasSuffix(name, ".htaccess")
}

// refuse says that a directive is not carried over, and why.
func (l *lowering) refuse(d *directive, problem, hint string) {
	at := placeOf(d)
	if d == nil { // of the file as a whole
		at = document.Place{File: l.read.file0, Line: 1, Column: 1}
	}
	l.problems.Add(at, problem, hint)
}

// path makes a path of the file absolute.
func (l *lowering) path(text string) string { return l.read.under(text) }

// nothing is comments for directives that have no meaning here, each once, and
// errors for those that cannot be carried over.
func (l *lowering) nothing(t *document.Table, list []*directive) {
	for _, d := range list {
		if l.used[d] {
			continue
		}
		l.used[d] = true
		switch {
		case isLimit(d):
			l.limitRight(d)
		case d.name == "rewriteoptions":
			l.rewriteOptionsRight(d)
		}
		switch {
		case d.known == nil:
		case d.known.unless && !d.on():
		case d.known.refused != "":
			l.refuse(d, fmt.Sprintf("%s is not carried over: %s", d.known.name, d.known.refused), "take it out, or keep what needs it behind Apache")
		case d.name == "accessfilename" && !slices.Equal(d.texts(), []string{".htaccess"}):
			l.refuse(d, "AccessFileName: files that hold rules of folders are called .htaccess", "rename them, or write their rules into <Directory>")
		case d.name == "addencoding":
			for _, ext := range d.texts()[1:] {
				if !slices.Contains([]string{"gz", "tgz", "z", "bz2", "xz"}, extension(ext)) {
					l.refuse(d, fmt.Sprintf("AddEncoding of .%s: files are sent without Content-Encoding", extension(ext)), "keep the file unpacked beside it, and set precompressed in millrace.toml")
				}
			}
			t.Comment("AddEncoding: an archive is sent as it is, and stays one")
		case d.known.nothing != "":
			t.Comment(fmt.Sprintf("%s: %s", d.known.name, d.known.nothing))
		}
		l.nothing(t, d.within)
		l.wideOnly(d)
	}
}

// ofSites are directives that are heard of a site as a whole, and not in a section
// for some of it.
var ofSites = []string{"sslverifyclient", "sslcacertificatefile", "sslproxyverify", "proxyerroroverride", "userdir"}

// wideOnly refuses those in a section.
func (l *lowering) wideOnly(d *directive) {
	if d.name == "virtualhost" || d.known == nil || !d.known.section {
		return
	}
	for _, in := range d.within {
		if slices.Contains(ofSites, in.name) && !(in.name == "sslverifyclient" && strings.EqualFold(in.arg(0), "none") || len(in.args) > 0 && strings.EqualFold(in.arg(0), "off")) {
			l.refuse(in, in.known.name+" within <"+d.known.name+">: it is heard of a site as a whole here", "write it outside of the section")
		}
	}
}
