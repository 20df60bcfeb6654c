package lighttpd

// This file: from blocks to sites. A site is what is the same for all requests to
// an address and a host; what depends on anything else is in its routes.

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
	"millrace/internal/adapt/pcre"
)

// lowering makes the document of what was parsed.
type lowering struct {
	*parser
	atoms   map[*block]tied
	modules map[string]int    // of server.modules, by their order
	names   map[string]string // of apps and upstreams, by what they are
	facts   map[factsKey]facts

	handlers map[string]string // of a site: groups for server.error-handler-404, by the path
	site404  *setting          // what is said for all of a site
	siteMIME *setting
}

func (l *lowering) run() {
	l.names, l.facts = map[string]string{}, map[factsKey]facts{}
	l.survey()
	if l.problems.Len() > 0 {
		return
	}
	l.bind()
	l.order()
	l.server()
	l.sites()
	l.document.Top().Comment("here names that begin with a dot are not served, and a file that is not run has no path behind it")
	l.comments()
}

// bind makes one atom of all conditions that say the same.
func (l *lowering) bind() {
	l.atoms = map[*block]tied{}
	var all []*atom
	for _, b := range l.blocks {
		if b.cond == nil {
			continue
		}
		a, opposite := newAtom(b.cond)
		if i := slices.IndexFunc(all, a.same); i >= 0 {
			a = all[i]
		} else {
			all = append(all, a)
		}
		l.atoms[b] = tied{a, opposite}
	}
}

// order is that of server.modules, by which two modules that both would answer are asked.
func (l *lowering) order() {
	l.modules = map[string]int{}
	if s := l.blocks[0].byName["server.modules"]; s != nil {
		for i, of := range s.value.items {
			l.modules[strings.TrimPrefix(of.value.string(), "mod_")] = i
		}
	}
}

// before reports whether one module is asked before another.
func (l *lowering) before(a, b string) bool {
	i, ok := l.modules[a]
	j, ok2 := l.modules[b]
	return !ok || !ok2 || i < j
}

// after reports whether server.modules has one module before another, both of them.
func (l *lowering) after(first, then string) bool {
	i, ok := l.modules[first]
	j, ok2 := l.modules[then]
	return ok && ok2 && i < j
}

// about are the atoms about a field, in the order of the file.
func (l *lowering) about(field string) []*atom {
	var all []*atom
	for _, b := range l.blocks {
		if of, ok := l.atoms[b]; ok && of.atom.field == field && !slices.Contains(all, of.atom) {
			all = append(all, of.atom)
		}
	}
	return all
}

// knowing is what is known of the atoms about a field, where its value is.
func (l *lowering) knowing(field, value string) []known {
	var all []known
	for _, a := range l.about(field) {
		all = append(all, known{a, truthOf(a.of(value))})
	}
	return all
}

// address is where a server listens.
type address struct {
	listen string
	at     document.Place
	known  []known
}

// addresses are those of server.port and server.bind, and of $SERVER["socket"].
func (l *lowering) addresses() []address {
	top := l.blocks[0]
	at := top.at
	port, bind := "80", ""
	if s := top.byName["server.port"]; s != nil {
		port, at = s.value.string(), s.at
	}
	if s := top.byName["server.bind"]; s != nil {
		bind, at = s.value.string(), s.at
	}
	if s := top.byName["server.use-ipv6"]; s != nil && bind == "" && enabled(s.value) {
		bind = "[::]"
	}
	main := listenOf(bind, port)
	sockets := l.about("socket")
	var all []address
	add := func(listen string, at document.Place) {
		if slices.ContainsFunc(all, func(a address) bool { return a.listen == listen }) {
			return
		}
		a := address{listen: listen, at: at}
		for _, s := range sockets {
			switch {
			case s.op == "==":
				a.known = append(a.known, known{s, truthOf(listenOf(s.value, port) == listen)})
			default:
				a.known = append(a.known, known{s, truthOf(s.of(strings.TrimPrefix(listen, "unix:")))})
			}
		}
		all = append(all, a)
	}
	add(main, at)
	for _, s := range sockets {
		if s.op == "==" {
			add(listenOf(s.value, port), s.first.at)
		}
	}
	return all
}

// listenOf is an address of lighttpd as listen has it.
func listenOf(bind, port string) string {
	switch {
	case strings.HasPrefix(bind, "/"):
		return "unix:" + bind
	case bind == "" || bind == "*":
		return "0.0.0.0:" + port
	case strings.HasPrefix(bind, "[") && strings.HasSuffix(bind, "]"):
		return bind + ":" + port
	case strings.HasPrefix(bind, ":"):
		return "0.0.0.0" + bind
	case strings.HasPrefix(bind, "*:"):
		return "0.0.0.0" + bind[1:]
	case !strings.Contains(bind, ":"):
		return bind + ":" + port
	case strings.Count(bind, ":") > 1 && !strings.HasPrefix(bind, "["):
		return "[" + bind + "]:" + port
	}
	return bind
}

// hostCase is hosts for which the same holds.
type hostCase struct {
	hosts []string
	known []known
	at    document.Place
	of    *atom // whose regexp the hosts are
	name  string
}

// hostCases are the hosts that conditions tell from one another: those that are
// named, one by one, then those of patterns, in their order, then all others.
func (l *lowering) hostCases(addressKnown []known) []hostCase {
	atoms := l.about("host")
	atoms = slices.DeleteFunc(atoms, func(a *atom) bool { return !l.matters(a, addressKnown) })
	var cases []hostCase
	add := func(c hostCase) {
		for i := range cases {
			if c.of == nil && cases[i].of == nil && slices.Equal(cases[i].known, c.known) && !l.captures(c.known) {
				cases[i].hosts = append(cases[i].hosts, c.hosts...)
				return
			}
		}
		cases = append(cases, c)
	}
	var patterns []*atom
	for _, a := range atoms {
		if a.op != "==" {
			patterns = append(patterns, a)
			continue
		}
		name := hostName(a.value)
		c := hostCase{hosts: []string{name}, at: a.first.at, name: name}
		for _, b := range atoms {
			is := truthOf(b.of(name))
			if b.op == "==" {
				is = truthOf(hostName(b.value) == name)
			}
			c.known = append(c.known, known{b, is})
		}
		add(c)
	}
	var none []known
	for _, a := range atoms {
		if a.op == "==" {
			none = append(none, known{a, no})
		}
	}
	for _, a := range patterns {
		c := hostCase{at: a.first.at, of: a, hosts: []string{hostPattern(a, patterns)}}
		c.known = append(append(slices.Clone(none), c.known...), known{a, yes})
		cases = append(cases, c)
		none = append(none, known{a, no})
	}
	return append(cases, hostCase{known: none, at: l.blocks[0].at})
}

// hostName is a host without its port.
func hostName(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > 0 && !strings.HasSuffix(host, "]") && strings.Trim(host[i+1:], "0123456789") == "" {
		return host[:i]
	}
	return host
}

// hostPattern is a pattern as hosts has it: *.example.com where all are of this kind.
func hostPattern(a *atom, all []*atom) string {
	simple := true
	for _, b := range all {
		simple = simple && b.op == "=$" && strings.HasPrefix(b.value, ".") && (b == a || !strings.HasSuffix(b.value, a.value) && !strings.HasSuffix(a.value, b.value))
	}
	if simple {
		return "*" + a.value
	}
	expr, _ := pcre.Name(a.expression(), "host")
	return "~" + expr
}

// matters reports whether a setting may depend on an atom.
func (l *lowering) matters(a *atom, all []known) bool {
	for _, b := range l.blocks {
		if len(b.settings) == 0 || l.active(b, all) == no {
			continue
		}
		for of := b; of != nil; of = of.parent {
			for p := of; p != nil; p = p.prev {
				if t, ok := l.atoms[p]; ok && t.atom == a {
					return true
				}
			}
		}
	}
	return false
}

// captures reports whether texts take parts of the host that a regexp matched.
func (l *lowering) captures(all []known) bool {
	return slices.ContainsFunc(all, func(k known) bool { return k.is == yes && k.atom.op == "=~" && k.atom.re.NumSubexp() > 0 })
}

// sites writes [[site]] for each host of each address. Addresses with the same sites
// are written once.
func (l *lowering) sites() {
	type made struct {
		addresses []address
		host      hostCase
		text      string
	}
	var all []made
	for _, a := range l.addresses() {
		for _, scheme := range []string{"http", "https"} {
			base := append(slices.Clone(a.known), l.knowing("scheme", scheme)...)
			s := l.effective("ssl.engine", base)
			if tls := s != nil && enabled(s.value); tls != (scheme == "https") {
				continue
			}
			first := len(all)
			for _, h := range l.hostCases(base) {
				h.known = append(slices.Clone(base), h.known...)
				text := l.siteText(h)
				if i := slices.IndexFunc(all[first:], func(m made) bool { return m.text == text && m.host.name != "" && h.name != "" }); i >= 0 {
					all[first+i].host.hosts = append(all[first+i].host.hosts, h.hosts...)
					continue
				}
				all = append(all, made{[]address{a}, h, text})
			}
			// What another address has word for word is written once.
			for i := first; i < len(all); {
				j := slices.IndexFunc(all[:first], func(m made) bool { return m.text == all[i].text && slices.Equal(m.host.hosts, all[i].host.hosts) })
				if j < 0 {
					i++
					continue
				}
				all[j].addresses = append(all[j].addresses, a)
				all = slices.Delete(all, i, i+1)
			}
		}
	}
	for _, m := range all {
		t := l.document.Append("site", m.host.at)
		listen := make([]string, len(m.addresses))
		for i, a := range m.addresses {
			listen[i] = a.listen
		}
		t.Set("listen", both(listen), m.addresses[0].at)
		l.site(t, m.host, m.host.known)
	}
}

// siteText is what a site is, but for where it listens and for the names of its hosts.
func (l *lowering) siteText(h hostCase) string {
	scratch := *l
	scratch.parser = &parser{options: l.options, document: document.New(), problems: l.problems, blocks: l.blocks}
	if h.name != "" {
		h.hosts = nil
	}
	scratch.site(scratch.document.Append("site", h.at), h, h.known)
	return string(scratch.document.Bytes())
}

// both joins 0.0.0.0:80 and [::]:80 to :80.
func both(listen []string) []string {
	var out []string
	for _, a := range listen {
		port, any6 := strings.CutPrefix(a, "[::]:")
		if any6 && slices.Contains(listen, "0.0.0.0:"+port) {
			continue
		}
		if port, any4 := strings.CutPrefix(a, "0.0.0.0:"); any4 && slices.Contains(listen, "[::]:"+port) {
			a = ":" + port
		}
		out = append(out, a)
	}
	return out
}

// site writes what is the same for all requests of a site, and its routes.
func (l *lowering) site(t *document.Table, h hostCase, all []known) {
	if len(h.hosts) > 0 {
		if h.of != nil {
			t.Comment("the port that a client names with the host is not looked at")
		}
		t.Set("hosts", h.hosts, h.at)
	}
	l.handlers, l.site404 = map[string]string{}, l.handler404(all)
	l.links(t, all)
	l.log(t, all)
	l.errorPages(t, all)
	l.compression(t, all)
	l.proxyProtocol(t, all)
	l.tag(t, all)
	l.tls(t, all)
	l.siteMIME = l.effective("mimetype.assign", all)
	types, at := l.types(all)
	t.Table("types", at).Fill(types)
	l.routes(t, h, all)
	l.handlerRoutes(t)
}

func enabled(v *value) bool {
	return v.text == "enable" || v.shape == isNumber && v.number != 0
}

// absolute is a path; lighttpd takes relative ones from the folder that it is started in.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// number is a setting's number, which lighttpd also takes as a string.
func number(v *value) int64 {
	if v.shape == isNumber {
		return v.number
	}
	n, _ := strconv.ParseInt(v.text, 10, 64) // which the table of directives has looked at
	return n
}
