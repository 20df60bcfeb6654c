package lighttpd

// This file: fastcgi.server, scgi.server and proxy.server, as apps that are started and
// back ends that are there already.

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
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
			fail(k.at, "unknown config-key: "+shown(k.key)+" in "+s.name, "the keys are those of docs/adapt.md")
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

var balances = map[string][2]string{
	"fair": {"least-busy", ""}, "least-connection": {"least-busy", ""}, "round-robin": {"round-robin", ""},
	"hash": {"hash", "{scheme}{host}{path}{query}"}, "source-ip": {"hash", "{client}"}, "sticky": {"hash", "{client}"},
}

// upstream writes [upstream.NAME].
func (l *lowering) upstream(g *gateway, s *setting, hosts []item, all []known) string {
	protocol := map[string]string{"fastcgi": "fastcgi", "scgi": "scgi", "proxy": "http"}[g.module]
	if p := l.effective("scgi.protocol", all); p != nil && g.module == "scgi" && p.value.text == "uwsgi" {
		protocol = "uwsgi"
	}
	balance := l.effective(g.module+".balance", all)
	how := ""
	if balance != nil {
		how = balance.value.text
	}
	name, fresh := l.nameOf("upstream", g.module+"-"+strings.Trim(g.key, "./"), content(g.module, hosts, protocol, how, fmt.Sprint(g.buffers)))
	if !fresh {
		return name
	}
	t := l.document.Table("upstream", g.at).Table(name, g.at)
	t.Set("protocol", protocol, g.at)
	var servers []string
	for _, of := range hosts {
		address := serverOf(of.value, g.module)
		if slices.Contains(servers, address) {
			continue
		}
		servers = append(servers, address)
	}
	t.Set("servers", servers, hosts[0].at)
	if balance != nil && len(servers) > 1 {
		b, ok := balances[how]
		if !ok {
			l.problems.Add(balance.value.at, "xxxxx.balance has to be one of: least-connection, round-robin, hash, sticky, but not: "+shown(how), "fair is least-connection")
		}
		t.Set("balance", b[0], balance.at)
		if b[1] != "" {
			t.Set("hash", b[1], balance.at)
		}
	}
	first := hosts[0].value
	seconds := func(key, as, otherwise string) {
		if v := first.get(key); v != nil && number(v) > 0 {
			t.Set(as, fmt.Sprintf("%ds", number(v)), v.at)
		} else if otherwise != "" {
			t.Set(as, otherwise, g.at)
		}
	}
	seconds("connect-timeout", "connect_timeout", "8s")
	if v := first.get("read-timeout"); v == nil || number(v) == 0 {
		t.Comment("lighttpd waits for an answer without end")
	}
	seconds("read-timeout", "timeout", "1d")
	seconds("disable-time", "fail_timeout", "1s")
	if !g.buffers {
		t.Set("request_buffering", false, g.at)
	}
	if g.http {
		l.proxyUpgrade(t, all)
	}
	return name
}

// proxyUpgrade says whether connections may become others, which lighttpd does not
// let them by default.
func (l *lowering) proxyUpgrade(t *document.Table, all []known) {
	if s := l.effective("proxy.header", all); s != nil {
		for _, of := range s.value.items {
			if of.key != "upgrade" && (len(of.value.items) > 0 || enabled(of.value)) {
				l.problems.Add(of.at, "proxy.header "+quote(of.key)+" is not carried over", "write rewrite, request_headers and reverse in a millrace.toml")
			}
		}
		if v := s.value.get("upgrade"); v != nil && enabled(v) {
			return
		}
		t.Set("upgrade", false, s.at)
		return
	}
	t.Set("upgrade", false, t.Place())
}

// serverOf is the address of one server.
func serverOf(v *value, module string) string {
	if s := v.get("socket"); s != nil {
		return "unix:" + absolute(s.text)
	}
	host := v.get("host").text
	if strings.HasPrefix(host, "/") {
		return "unix:" + host
	}
	port := "80"
	if p := v.get("port"); p != nil {
		port = p.string()
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}

// app writes [app.NAME], for a program of bin-path.
func (l *lowering) app(g *gateway, s *setting, v *value, times int, all []known) string {
	bin := v.get("bin-path")
	command := words(bin.text)
	if g.module == "scgi" { // whose programs a shell starts
		command = []string{"/bin/sh", "-c", "exec " + bin.text}
	}
	if len(command) == 0 {
		l.problems.Add(bin.at, "bin-path in "+s.name+" is empty", "write the path of the program")
		return "-"
	}
	name, fresh := l.nameOf("app", filepath.Base(words(bin.text)[0]), content(g.module, []item{{value: v}}, fmt.Sprint(times)))
	if !fresh {
		return name
	}
	t := l.document.Table("app", g.at).Table(name, g.at)
	t.Set("command", command, bin.at)
	if g.module != "fastcgi" {
		t.Set("protocol", g.module, g.at)
	}
	t.Set("dir", absolute("."), g.at)
	l.processes(t, v, times)
	env := document.Inline()
	if list := v.get("bin-copy-environment"); list != nil {
		for _, of := range list.items {
			if text, ok := l.options.Getenv(of.value.string()); ok {
				env.Set(of.value.string(), text, of.at)
			} else {
				t.Comment("the environment has no " + of.value.string() + ", which bin-copy-environment names")
			}
		}
	}
	if list := v.get("bin-environment"); list != nil {
		for _, of := range list.items {
			env.Set(of.key, of.value.string(), of.at)
		}
	}
	if !env.Empty() {
		t.Set("env", env, g.at)
	}
	t.Comment("lighttpd waits for an answer without end")
	timeout := "0s"
	if of := v.get("read-timeout"); of != nil && number(of) > 0 {
		timeout = fmt.Sprintf("%ds", number(of))
	}
	t.Set("request_timeout", timeout, g.at)
	for _, key := range []string{"socket", "host", "port"} {
		if of := v.get(key); of != nil {
			t.Comment(place(of.at) + ": " + key + " is left out: processes have sockets of their own")
		}
	}
	for _, left := range [][2]string{{"kill-signal", "processes are asked to end by TERM"}, {"max-load-per-proc", "a process gets a request when it is free"}, {"listen-backlog", "requests wait here, not at a socket"}, {"idle-timeout", "processes that are not needed any more go by themselves"}} {
		if of := v.get(left[0]); of != nil {
			t.Comment(place(of.at) + ": " + left[0] + " is left out: " + left[1])
		}
	}
	return name
}

// processes writes how many there are. PHP_FCGI_CHILDREN makes each answer several
// requests at a time.
func (l *lowering) processes(t *document.Table, v *value, times int) {
	least, most := int64(4), int64(4)
	at := t.Place()
	if of := v.get("min-procs"); of != nil {
		least, at = number(of), of.at
	}
	if of := v.get("max-procs"); of != nil {
		most, at = number(of), of.at
	}
	most = max(1, most) * int64(times)
	least = min(max(0, least)*int64(times), most)
	if least == most {
		t.Set("workers", int(most), at)
	} else {
		t.Set("max_children", int(most), at)
		t.Set("min_spare", int(max(1, least)), at)
		t.Set("max_spare", int(max(1, least, min(most, 5))), at)
	}
	env := v.get("bin-environment")
	if env == nil {
		return
	}
	if of := env.get("PHP_FCGI_CHILDREN"); of != nil {
		if n, err := strconv.Atoi(of.string()); err == nil && n > 1 && n <= 1000 {
			t.Set("concurrency", n, of.at)
		}
	}
}

// words parts a command as lighttpd does: at blanks, with \ before one that is meant.
func words(command string) []string {
	var out []string
	var b strings.Builder
	in := false
	for i := 0; i < len(command); i++ {
		switch c := command[i]; {
		case c == '\\' && i+1 < len(command):
			i++
			b.WriteByte(command[i])
			in = true
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			if in {
				out = append(out, b.String())
				b.Reset()
			}
			in = false
		default:
			b.WriteByte(c)
			in = true
		}
	}
	if in {
		out = append(out, b.String())
	}
	return out
}

// isFile reports whether a path is a plain file now.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// place is where something stands, for a comment.
func place(at document.Place) string {
	return filepath.Base(at.File) + ":" + strconv.Itoa(at.Line)
}
