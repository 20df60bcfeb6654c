package apache

// Virtual hosts: which there are, and what each answers.

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

// site is one [[site]].
type site struct {
	table    *document.Table
	at       *directive   // its <VirtualHost>; nil: the main server
	own      []*directive // what stands in it
	main     []*directive // of the main server
	listen   []string
	hosts    []string
	root     string // DocumentRoot; "": none
	tls      bool
	first    bool  // of an address: it answers for names that none has
	base     *conf // what holds outside of all sections
	sections []section
	mappings []*mapping

	routes      []routed
	group       string
	types       pairs                 // of files, by extension
	pages       map[string]*directive // ErrorDocument of all that says nothing else
	texts       map[string]string     // paths of its texts
	before      []routed              // and what answers there
	names       map[string]bool
	closed      map[string]bool // conditions all of whose requests are taken
	maps        map[string]string
	constants   map[string]string // variables that rules set for every request
	params      pairs
	rewriteMaps map[string]*directive
	passAuth    bool
	headersHere bool            // headers are those of each route
	seen        map[string]bool // extensions of the files
	serverRules *ruleset        // that are outside of folders, where there are some
	always      *document.Table
}

// both are the directives of the main server, and then of the host itself.
func (s *site) both() []*directive {
	if s.at == nil {
		return s.main
	}
	return append(slices.Clone(s.main), s.own...)
}

// last is the directive of a name that holds; nil: there is none.
func (s *site) last(name string) *directive {
	var found *directive
	for _, d := range s.both() {
		if d.name == name {
			found = d
		}
	}
	return found
}

// all are those of a name, the host's own first, as mod_alias has them.
func (s *site) all(names ...string) []*directive {
	var own, main []*directive
	for _, d := range s.own {
		if slices.Contains(names, d.name) {
			own = append(own, d)
		}
	}
	if s.at == nil {
		return own
	}
	for _, d := range s.main {
		if slices.Contains(names, d.name) {
			main = append(main, d)
		}
	}
	return append(own, main...)
}

// note is a comment of the site.
func (s *site) note(d *directive, text string) { s.table.Comment(d.known.name + ": " + text) }

// hosts finds the sites: the virtual hosts, or the main server where there are
// none.
func (l *lowering) hosts() {
	var main, virtual []*directive
	for _, d := range l.top {
		if d.name == "virtualhost" {
			virtual = append(virtual, d)
		} else {
			main = append(main, d)
		}
	}
	listens := l.listens(main)
	covered := map[string]bool{}
	for _, d := range virtual {
		s := l.newSite(d, d.within, main)
		for _, a := range d.args {
			address, ok := hostAddress(a.text, listens)
			if !ok {
				l.problems.Add(a.place, fmt.Sprintf("<VirtualHost %s>: the address is none", a.text), "write <VirtualHost *:80>, or an address with a port")
				continue
			}
			for _, one := range address {
				s.listen = append(s.listen, one)
				covered[one] = true
			}
		}
		l.names1(s)
		l.sites = append(l.sites, s)
	}
	var left []string
	for _, a := range listens {
		if !covered[a] {
			left = append(left, a)
		}
	}
	wants := func(name string) bool {
		return slices.ContainsFunc(main, func(d *directive) bool { return d.name == name })
	}
	switch {
	case len(virtual) == 0, len(left) > 0 && wants("listen") && wants("documentroot"):
		s := l.newSite(nil, main, main)
		s.listen = left
		if len(s.listen) == 0 {
			s.listen = []string{":80"}
		}
		l.names1(s)
		l.sites = append(l.sites, s)
	}
	// The first of an address answers for hosts that none names.
	for i, s := range l.sites {
		first := true
		for _, before := range l.sites[:i] {
			first = first && !slices.ContainsFunc(before.listen, func(a string) bool { return slices.Contains(s.listen, a) })
		}
		s.first = first
	}
}

// newSite begins a site.
func (l *lowering) newSite(d *directive, own, main []*directive) *site {
	s := &site{at: d, own: own, main: main, names: map[string]bool{}, closed: map[string]bool{}, texts: map[string]string{}, maps: map[string]string{}, constants: map[string]string{}, rewriteMaps: map[string]*directive{}}
	place := document.Place{File: l.read.file0, Line: 1, Column: 1}
	if d != nil {
		place = d.place
	}
	s.table = l.doc.Append("site", place)
	for _, m := range s.both() {
		if m.name == "rewritemap" {
			s.rewriteMaps[m.arg(0)] = m
		}
	}
	return s
}

// names1 are the names of a site.
func (l *lowering) names1(s *site) {
	for _, d := range s.own {
		switch d.name {
		case "servername":
			name := d.arg(0)
			if i := strings.Index(name, "://"); i >= 0 {
				name = name[i+3:]
			}
			if host, _, err := net.SplitHostPort(name); err == nil {
				name = host
			}
			if s.at != nil {
				s.hosts = append(s.hosts, strings.ToLower(name))
			}
		case "serveralias":
			for _, name := range d.texts() {
				s.hosts = append(s.hosts, hostPattern(strings.ToLower(name)))
			}
		}
	}
	slices.SortStableFunc(s.hosts, func(a, b string) int { return 0 })
	s.hosts = unique(s.hosts)
	if slices.Contains(s.hosts, "*") || slices.Contains(s.hosts, "~^.*$") {
		s.hosts = nil
	}
}

func unique(list []string) []string {
	var out []string
	for _, one := range list {
		if !slices.Contains(out, one) {
			out = append(out, one)
		}
	}
	return out
}

// hostPattern is a name of ServerAlias: * and ? stand for any text.
func hostPattern(name string) string {
	rest, below := strings.CutPrefix(name, "*.")
	if !strings.ContainsAny(name, "*?") || below && !strings.ContainsAny(rest, "*?") {
		return name
	}
	var b strings.Builder
	for i := range len(name) {
		switch name[i] {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(name[i : i+1]))
		}
	}
	return "~^" + b.String() + "$"
}

// listens are the addresses of Listen.
func (l *lowering) listens(main []*directive) []string {
	var all []string
	for _, d := range main {
		if d.name != "listen" {
			continue
		}
		address := d.arg(0)
		if !strings.Contains(address, ":") {
			address = ":" + address
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil || port == "" {
			l.refuse(d, "Listen: Port must be specified", "write Listen 80, or Listen 192.0.2.1:80")
			continue
		}
		if host == "*" || host == "0.0.0.0" || host == "::" {
			host = ""
		}
		if host, _, ok := strings.Cut(host, "%"); ok {
			l.refuse(d, "Listen with the zone of an address: "+host, "write the address without it")
			continue
		}
		all = append(all, net.JoinHostPort(host, port))
	}
	return unique(all)
}

// hostAddress is where a virtual host listens: of Listen's addresses those
// that it names.
func hostAddress(text string, listens []string) ([]string, bool) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.Trim(text, "[]"), "*"
	}
	if host == "*" || strings.EqualFold(host, "_default_") || host == "0.0.0.0" || host == "::" {
		host = ""
	}
	if host != "" && net.ParseIP(host) == nil && !isHost(host) {
		return nil, false
	}
	if port != "*" && (port == "" || strings.Trim(port, "0123456789") != "") {
		return nil, false
	}
	var all []string
	for _, one := range listens {
		h, p, _ := net.SplitHostPort(one)
		if (port == "*" || port == p) && (host == "" || h == "" || h == host) {
			if h == "" {
				h = host
			}
			if host == "" {
				h, _, _ = net.SplitHostPort(one)
			}
			all = append(all, net.JoinHostPort(h, p))
		}
	}
	if len(all) == 0 {
		if port == "*" {
			port = "80"
		}
		all = []string{net.JoinHostPort(host, port)}
	}
	return all, true
}

func isHost(text string) bool {
	return text != "" && strings.Trim(strings.ToLower(text), "abcdefghijklmnopqrstuvwxyz0123456789.-_") == ""
}

// build makes the routes of a site.
func (l *lowering) build(s *site) {
	l.site = s
	s.table.Set("listen", s.listen, s.table.Place())
	if len(s.hosts) > 0 {
		s.table.Set("hosts", s.hosts, placeOf(s.lastOwn("servername")))
	}
	if s.first && len(s.hosts) > 0 {
		s.table.Set("default", true, s.table.Place())
	}
	s.base = newConf()
	if l.guessPHP { // who runs PHP has it among the indexes
		s.base.index = []string{"index.php", "index.html"}
	}
	s.base = s.base.with(s.main, scope{server: true})
	if s.at != nil {
		s.base = s.base.with(s.own, scope{server: true})
	}
	s.sections = sections(s.main)
	if s.at != nil {
		s.sections = append(s.sections, sections(s.own)...)
	}
	l.root(s)
	l.htaccesses(s)
	l.tls(s)
	l.logs(s)
	l.wide(s)
	l.mappingsOf(s)
	l.plainSections()
	if s.hasFiles() {
		s.types = l.knownTypes(s)
		s.table.Set("types", l.mediaTypes(s.base), s.table.Place())
	}
	l.routesOf(s)
	l.nothing(s.table, s.own)
	s.write()
}

func (s *site) lastOwn(name string) *directive {
	var found *directive
	for _, d := range s.own {
		if d.name == name {
			found = d
		}
	}
	return found
}

// root is DocumentRoot; of a .htaccess its folder.
func (l *lowering) root(s *site) {
	if d := s.last("documentroot"); d != nil {
		s.root = strings.TrimRight(l.path(d.arg(0)), "/")
		if info, err := os.Stat(s.root); err != nil || !info.IsDir() {
			l.refuse(d, fmt.Sprintf("DocumentRoot '%s' is not a directory, or is not readable", s.root), "make the folder, or correct the path")
		}
		return
	}
	if l.read.htaccess {
		s.root = l.read.root
	}
}
