package lighttpd

// This file: fastcgi.server, scgi.server and proxy.server: what each key of them is for,
// and what its servers share.

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
	"millrace/internal/suggest"
)

// gateway is one key of a list of servers: what it is for, and who answers.
type gateway struct {
	module string // fastcgi, scgi, proxy
	key    string // "/prefix", ".ending"; "": all
	mapped []string
	at     document.Place

	kind, name string // app or upstream, and its name
	http       bool

	local      bool // only what there is a file for
	authorizer bool
	docroot    string
	root       string // what DOCUMENT_ROOT is where no file is looked at, as a text
	strip      string
	fixRoot    bool
	sendfile   []string
	buffers    bool
}

// hostKeys are those of one server, and their shapes.
var hostKeys = map[string]string{
	"host": "s", "port": "n", "socket": "s", "listen-backlog": "n", "bin-path": "s", "kill-signal": "n", "check-local": "b", "mode": "s",
	"docroot": "s", "min-procs": "n", "max-procs": "n", "max-load-per-proc": "n", "idle-timeout": "n", "disable-time": "n",
	"bin-environment": "l", "bin-copy-environment": "l", "broken-scriptfilename": "b", "strip-request-uri": "s", "fix-root-scriptname": "b",
	"allow-x-send-file": "b", "x-sendfile": "b", "x-sendfile-docroot": "l", "tcp-fin-propagate": "b",
	"connect-timeout": "n", "read-timeout": "n", "write-timeout": "n",
}

// gateways are the servers of a module in a case, in their order.
func (l *lowering) gateways(module string, all []known) []*gateway {
	s := l.effective(module+".server", all)
	if s == nil {
		return nil
	}
	var out []*gateway
	for _, ext := range s.value.items {
		if !ext.keyed || ext.value.shape != isList {
			l.unexpected(s, ext)
			continue
		}
		// A key may have servers of both kinds: who may, and who answers.
		for _, authorizer := range []bool{true, false} {
			var hosts []item
			for _, of := range ext.value.items {
				if of.value.shape != isList {
					l.unexpected(s, of)
					hosts = nil
					break
				}
				if mode := of.value.get("mode"); (mode != nil && mode.string() == "authorizer") == authorizer {
					hosts = append(hosts, of)
				}
			}
			if len(hosts) > 0 {
				if g := l.gateway(module, s, ext, hosts, all); g != nil {
					g.authorizer = authorizer
					out = append(out, g)
				}
			}
		}
	}
	l.mapExtensions(module, out, all)
	return out
}

func (l *lowering) unexpected(s *setting, of item) {
	l.problems.Add(of.at, "unexpected value for "+s.name+" near ["+shown(of.key)+"]("+of.value.shape.String()+"); expected ( \"ext\" => ( \"backend-label\" => ( \"key\" => \"value\" )))",
		"the keys of a server stand in parentheses of their own: "+s.name+` = ( ".php" => (( "host" => "127.0.0.1", "port" => 9000 )) )`)
}

// mapExtensions adds the endings that stand for another.
func (l *lowering) mapExtensions(module string, all []*gateway, known []known) {
	s := l.effective(module+".map-extensions", known)
	if s == nil {
		return
	}
	for _, of := range s.value.items {
		i := slices.IndexFunc(all, func(g *gateway) bool { return g.key == of.value.string() && !g.authorizer })
		if i < 0 {
			l.problems.Add(of.at, s.name+": no server is for "+quote(of.value.string()), "name a key of "+module+".server")
			continue
		}
		all[i].mapped = append(all[i].mapped, of.key)
	}
}

// gateway is the servers of one key.
func (l *lowering) gateway(module string, s *setting, ext item, hosts []item, all []known) *gateway {
	g := &gateway{module: module, key: ext.key, at: ext.at, local: module != "proxy", http: module == "proxy", buffers: true}
	good := true
	for _, of := range hosts {
		good = l.checkHost(s, of) && good
	}
	if !good {
		return nil
	}
	first := hosts[0].value
	l.common(g, s, hosts)
	if root := l.effective("server.document-root", all); g.docroot != "" {
		g.root = document.Literal(filepath.Clean(g.docroot))
	} else if root != nil && root.value.text != "" {
		g.root = document.Literal(absolute(root.value.text))
	}
	if v := l.effective("server.stream-request-body", all); v != nil && number(v.value) > 0 {
		g.buffers = false
	}
	started := slices.ContainsFunc(hosts, func(of item) bool { return of.value.get("bin-path") != nil })
	if started {
		for _, of := range hosts[1:] {
			if of.value.get("bin-path") == nil || of.value.get("bin-path").text != first.get("bin-path").text {
				l.problems.Add(of.at, s.name+": servers that are started, and others, stand in one list", "write the program once, with max-procs, or start it elsewhere")
				return nil
			}
		}
		g.kind = "app"
		g.name = l.app(g, s, first, len(hosts), all)
		return g
	}
	g.kind = "upstream"
	g.name = l.upstream(g, s, hosts, all)
	return g
}

// checkHost looks at the keys of one server.
func (l *lowering) checkHost(s *setting, of item) bool {
	good, v := true, of.value
	fail := func(at document.Place, problem, hint string) {
		good = false
		l.problems.Add(at, problem, hint)
	}
	for _, k := range v.items {
		shape, ok := hostKeys[k.key]
		d := directive{shape: shape}
		switch {
		case !ok && strings.Contains(k.key, "_"):
			fail(k.at, "incorrect directive contains underscore ('_') instead of dash ('-'): "+shown(k.key), "write "+strings.ReplaceAll(k.key, "_", "-"))
		case !ok:
			fail(k.at, "unknown config-key: "+shown(k.key)+" in "+s.name, hintForKey(k.key))
		case !d.takes(k.value):
			fail(k.value.at, k.key+" in "+s.name+" takes "+d.wanted()+", and this is "+k.value.shape.String(), "write \""+k.key+"\" => "+d.wanted())
		case shape == "s" && k.value.text == "" && k.key != "strip-request-uri":
			fail(k.value.at, k.key+" in "+s.name+" is empty", "leave it out")
		}
	}
	if !good {
		return false
	}
	switch host, port, socket, bin := v.get("host"), v.get("port"), v.get("socket"), v.get("bin-path"); {
	case (host != nil || port != nil) && socket != nil:
		fail(of.at, "either host/port or socket have to be set in: "+s.name, "leave one of them out")
	case host == nil && socket == nil && bin == nil:
		fail(of.at, "host or bin-path have to be set in: "+s.name, `write "host" => "127.0.0.1", "port" => 9000, or "socket" => "/path"`)
	case bin != nil && s.name == "proxy.server":
		fail(bin.at, "bin-path cannot be carried over in proxy.server: it starts nothing", "start the program elsewhere")
	}
	if mode := v.get("mode"); mode != nil && mode.text != "responder" && mode.text != "authorizer" {
		fail(mode.at, "unknown gw mode: "+shown(mode.text)+" (ignored, mode set to responder)", "write responder or authorizer")
	}
	return good
}

// hintForKey is the key that was probably meant.
func hintForKey(name string) string {
	if like := suggest.Nearest(name, slices.Sorted(maps.Keys(hostKeys))); like != "" {
		return "did you mean " + like + "?"
	}
	return "leave it out"
}

// common is what all servers of a key share: what the first says, which the others
// have to say as well.
func (l *lowering) common(g *gateway, s *setting, hosts []item) {
	same := func(key string) *value {
		v := hosts[0].value.get(key)
		for _, of := range hosts[1:] {
			o := of.value.get(key)
			if (o == nil) != (v == nil) || v != nil && (v.string() != o.string() || len(v.items) != len(o.items)) {
				l.problems.Add(of.at, key+" in "+s.name+" differs among the servers of "+quote(g.key), "a route has one; say the same for each of them")
				break
			}
		}
		return v
	}
	if v := same("check-local"); v != nil {
		g.local = enabled(v)
	}
	if v := same("docroot"); v != nil {
		g.docroot = v.text
	}
	if v := same("strip-request-uri"); v != nil {
		g.strip = strings.TrimSuffix(v.text, "/")
	}
	if v := same("fix-root-scriptname"); v != nil {
		g.fixRoot = enabled(v)
	}
	allow := same("x-sendfile")
	if allow == nil {
		allow = same("allow-x-send-file")
	}
	if allow == nil || !enabled(allow) {
		return
	}
	roots := same("x-sendfile-docroot")
	if roots == nil || len(roots.items) == 0 {
		l.problems.Add(allow.at, "x-sendfile without x-sendfile-docroot cannot be carried over: it lets the app have any file of this machine sent", `name the folders: "x-sendfile-docroot" => ( "/path" )`)
		return
	}
	for _, of := range roots.items {
		path := of.value.string()
		if !strings.HasPrefix(path, "/") {
			l.problems.Add(of.at, "x-sendfile-docroot paths must begin with '/'; invalid: "+quote(path), "write the whole path")
			continue
		}
		g.sendfile = append(g.sendfile, filepath.Clean(path))
	}
}

// name is a name for an app or a group of back ends, the same for the same.
func (l *lowering) nameOf(family, wish, content string) (name string, fresh bool) {
	wish = strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, wish), "-")
	if wish == "" {
		wish = "main"
	}
	wish = wish[:min(len(wish), 50)]
	key := family + "\x00" + content
	name, ok := l.names[key]
	for n := 1; !ok; n++ {
		name = wish
		if n > 1 {
			name += "-" + strconv.Itoa(n)
		}
		if _, taken := l.names[family+"\x01"+name]; !taken {
			l.names[family+"\x01"+name], l.names[key] = content, name
			break
		}
	}
	for _, t := range l.document.Families(family) {
		if t == name {
			return name, false
		}
	}
	return name, true
}

// content is what tells two servers apart.
func content(module string, hosts []item, more ...string) string {
	var b strings.Builder
	b.WriteString(module)
	for _, of := range hosts {
		for _, k := range of.value.items {
			fmt.Fprintf(&b, "\x00%s=%s", k.key, k.value.string())
			for _, in := range k.value.items {
				fmt.Fprintf(&b, "\x02%s=%s", in.key, in.value.string())
			}
		}
		b.WriteByte(3)
	}
	return b.String() + strings.Join(more, "\x04")
}
