package nginx

// The addresses and names of servers.

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
	"millrace/internal/adapt/pcre"
)

// listen is one address of a server.
type listen struct {
	address string // as the document has it
	port    string
	tls     bool
	proxied bool // connections begin with the PROXY protocol
	first   bool // default_server
	at      document.Place
}

// listens are the addresses of a server; without any: port 80.
func (a *adapter) listens(l *level) []listen {
	var all []listen
	for _, d := range l.own("listen") {
		one, ok := a.listen(d)
		if !ok {
			continue
		}
		if l.on("ssl", false) {
			one.tls = true
		}
		if i := slices.IndexFunc(all, func(o listen) bool { return o.address == one.address }); i >= 0 {
			a.problem(d.at, fmt.Sprintf("a duplicate listen %s", d.arg(0)), fmt.Sprintf("line %d has it as well", all[i].at.Line))
			continue
		}
		all = append(all, one)
	}
	if len(l.own("listen")) == 0 {
		all = append(all, listen{address: "0.0.0.0:80", port: "80", tls: l.on("ssl", false), at: l.at})
	}
	return joined(all)
}

// joined makes one address of a port of IPv4 and the same of IPv6.
func joined(all []listen) []listen {
	var list []listen
	for _, one := range all {
		six := "[::]:" + one.port
		four := "0.0.0.0:" + one.port
		other := func(o listen) bool {
			return (one.address == four && o.address == six || one.address == six && o.address == four) && o.tls == one.tls && o.proxied == one.proxied
		}
		if i := slices.IndexFunc(list, other); i >= 0 {
			list[i].address = ":" + one.port
			list[i].first = list[i].first || one.first
			continue
		}
		list = append(list, one)
	}
	return list
}

func (a *adapter) listen(d *directive) (listen, bool) {
	l := listen{at: d.at}
	text := d.arg(0)
	bad := func(what string) (listen, bool) {
		a.problem(d.argAt(0), fmt.Sprintf("%s in %q of the \"listen\" directive", what, text), `write "80", "127.0.0.1:80", "[::]:80" or "unix:/path"`)
		return l, false
	}
	switch {
	case strings.HasPrefix(text, "unix:"):
		l.address = text
		if !strings.HasPrefix(text, "unix:/") {
			return bad("invalid path")
		}
	default:
		host, port := text, "80"
		if i := strings.LastIndexByte(text, ':'); i >= 0 && !strings.HasSuffix(text, "]") {
			host, port = text[:i], text[i+1:]
		} else if _, err := strconv.Atoi(text); err == nil {
			host, port = "*", text
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return bad("invalid port")
		}
		if host == "*" || host == "" {
			host = "0.0.0.0"
		}
		if ip := strings.Trim(host, "[]"); strings.HasPrefix(host, "[") {
			if _, err := netip.ParseAddr(ip); err != nil {
				return bad("invalid IPv6 address")
			}
		} else if !hostPlain.MatchString(host) {
			return bad("invalid host")
		}
		l.address, l.port = host+":"+port, port
	}
	for _, p := range d.args[1:] {
		name, _, _ := strings.Cut(p.text, "=")
		switch name {
		case "default_server", "default":
			l.first = true
		case "ssl":
			l.tls = true
		case "proxy_protocol":
			l.proxied = true
		case "http2", "spdy":
			a.note(&directive{name: "listen … " + name, at: p.at}, "HTTP/2 is negotiated with TLS")
		case "quic":
			a.problem(p.at, `"quic" of listen is not carried over: HTTP/3 is spoken on the port of TLS by itself`, "write http3 = true under [site.tls] in the TOML, and leave this listen out")
			return l, false
		case "backlog", "rcvbuf", "sndbuf", "setfib", "fastopen", "accept_filter", "deferred", "bind", "reuseport", "so_keepalive", "ipv6only":
			a.note(&directive{name: "listen … " + name, at: p.at}, "sockets are opened as Go opens them")
		default:
			a.problem(p.at, fmt.Sprintf("invalid parameter %q", p.text), "")
			return l, false
		}
	}
	return l, true
}

var hostPlain = regexp.MustCompile(`^[A-Za-z0-9.-]+$`)

// choose finds which server has the names of an address that nobody has.
func (a *adapter) choose(http *level, servers []*directive) {
	said := map[string]bool{}
	for _, d := range servers {
		for _, one := range a.listensQuietly(http.within(d, 'S')) {
			switch {
			case one.first && said[one.address]:
				a.problem(one.at, fmt.Sprintf("a duplicate default server for %s", one.address), "one server of an address is the default")
			case one.first || a.defaultOf[one.address] == nil:
				a.defaultOf[one.address] = d
			}
			said[one.address] = said[one.address] || one.first
		}
	}
}

// listensQuietly is listens without what it complains of or notes.
func (a *adapter) listensQuietly(l *level) []listen {
	quiet := &adapter{doc: document.New()}
	return quiet.listens(l)
}

// hosts are the names of a server. False: something was wrong.
func (s *site) hosts(at []listen) ([]string, bool) {
	var hosts []string
	ok := true
	dollar := s.usesGroups()
	for _, d := range s.level.own("server_name") {
		for _, w := range d.args {
			if s.name == "" && w.text != "_" {
				s.name = w.text
			}
			list, fine := s.host(w, dollar)
			ok = ok && fine
			for _, h := range list {
				if !slices.Contains(hosts, h) {
					hosts = append(hosts, h)
				}
			}
		}
	}
	s.name = strings.TrimPrefix(s.name, ".")
	var free []string
	for _, h := range hosts {
		taken := false
		for _, one := range at {
			if s.a.hostsOf[one.address] == nil {
				s.a.hostsOf[one.address] = map[string]bool{}
			}
			taken = taken || s.a.hostsOf[one.address][h]
			s.a.hostsOf[one.address][h] = true
		}
		if taken {
			s.a.doc.Top().Comment(fmt.Sprintf("The server of line %d has the name %q, which one before it has on the same address: it is left out, as nginx does.", s.level.at.Line, h))
			continue
		}
		free = append(free, h)
	}
	return free, ok
}

// host is a name of a server, as sites have it.
func (s *site) host(w word, dollar bool) ([]string, bool) {
	text := w.text
	switch {
	case text == "_" || text == "":
		return nil, true
	case strings.HasPrefix(text, "~"):
		p, bad := newPattern(text[1:], true)
		if bad != nil || p.except != "" {
			if bad == nil {
				bad = &refusedPattern{fmt.Sprintf("regular expression %q looks ahead, which RE2 cannot", text), "give what is excepted a server of its own"}
			}
			s.a.problem(w.at, bad.problem, bad.hint)
			return nil, false
		}
		expr := p.expr
		if dollar && p.groups > 0 && s.hostGroup == nil {
			var names []string
			expr, names = pcre.Name(p.expr, "host")
			s.names = append(s.names, names...)
			for _, n := range names {
				s.hostGroup = append(s.hostGroup, "{"+n+"}")
			}
		} else {
			s.names = append(s.names, nonEmpty(p.names)...)
		}
		return []string{"~" + expr}, true
	case text == "*" || text == "$hostname" || strings.Contains(text, "$"):
		s.a.problem(w.at, fmt.Sprintf("server_name %q is not carried over", text), "write the name itself; a server that is the default has all names")
		return nil, false
	case strings.HasPrefix(text, "."):
		return []string{strings.ToLower(text[1:]), "*" + strings.ToLower(text)}, true
	case strings.HasSuffix(text, ".*"):
		if strings.HasPrefix(text, "*.") {
			return []string{`~(?i)^.+\.` + regexp.QuoteMeta(text[2:len(text)-1]) + ".+$"}, true
		}
		return []string{"~(?i)^" + regexp.QuoteMeta(text[:len(text)-1]) + ".+$"}, true
	case strings.Contains(strings.TrimPrefix(text, "*."), "*"):
		s.a.problem(w.at, fmt.Sprintf("invalid server name or wildcard %q", text), `a * stands for the first or the last label: "*.example.com"`)
		return nil, false
	}
	return []string{strings.ToLower(text)}, true
}

// usesGroups reports whether anything of the server names a group by its number.
func (s *site) usesGroups() bool {
	var uses func(list []*directive) bool
	uses = func(list []*directive) bool {
		return slices.ContainsFunc(list, func(d *directive) bool {
			return uses(d.block) || slices.ContainsFunc(d.args, func(w word) bool { return numbered.MatchString(w.text) })
		})
	}
	return uses(s.level.list)
}

var numbered = regexp.MustCompile(`\$[1-9]`)

// addresses writes where a site listens, and its certificates.
func (s *site) addresses(at []listen, hosts []string, isDefault bool) {
	var plain, secure []string
	proxied := 0
	for _, one := range at {
		if one.tls {
			secure = append(secure, one.address)
		} else {
			plain = append(plain, one.address)
		}
		if one.proxied {
			proxied++
		}
		if one.port != "" && !slices.Contains(s.ports, one.port) {
			s.ports = append(s.ports, one.port)
		}
	}
	where := at[0].at
	if len(secure) > 0 {
		s.table.Set("listen", secure, where)
	} else {
		s.table.Set("listen", plain, where)
	}
	if len(hosts) > 0 {
		d := s.level.last("server_name")
		s.table.Set("hosts", hosts, d.at)
		if isDefault {
			s.table.Set("default", true, where)
		}
	}
	if proxied > 0 {
		if proxied < len(at) {
			s.a.problem(where, "proxy_protocol on some addresses of a server alone is not carried over", "make two servers of it")
		}
		s.table.Set("proxy_protocol", true, where)
	}
	if len(secure) > 0 {
		s.tls(plain, where)
	}
}
