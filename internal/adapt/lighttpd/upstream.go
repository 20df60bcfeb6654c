package lighttpd

// This file: servers that are there already, as [upstream.NAME].

import (
	"fmt"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

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
	for _, left := range [][2]string{unwritten, halves} {
		if of := first.get(left[0]); of != nil {
			t.Comment(place(of.at) + ": " + left[0] + " is left out: " + left[1])
		}
	}
	seconds("disable-time", "fail_timeout", "1s")
	if !g.buffers {
		t.Set("request_buffering", false, g.at)
	}
	if g.http {
		l.proxyUpgrade(t, all)
	}
	return name
}

// What any server may have, and nothing is made of.
var (
	unwritten = [2]string{"write-timeout", "a back end that takes nothing is waited for as long as one that says nothing"}
	halves    = [2]string{"tcp-fin-propagate", "a client that closes its half still waits for its answer"}
)

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
