package apache

// The [upstream.NAME] of an address, and of a balancer.

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// backend is an address of ProxyPass.
type backend struct {
	protocol string
	address  string // host:port, or unix:/path
	path     string // what follows; "" or "/…"
}

var protocols = map[string]string{
	"http": "http", "https": "https", "h2": "h2", "h2c": "h2c", "fcgi": "fastcgi", "scgi": "scgi", "uwsgi": "uwsgi", "ajp": "ajp", "ws": "http", "wss": "https",
}

var ports = map[string]string{"http": "80", "https": "443", "h2": "443", "h2c": "80", "fcgi": "8000", "scgi": "4000", "uwsgi": "3031", "ajp": "8009", "ws": "80", "wss": "443"}

// backendOf reads an address.
func backendOf(text string) (b backend, ok bool) {
	socket := ""
	if rest, is := strings.CutPrefix(text, "unix:"); is {
		socket, text, ok = strings.Cut(rest, "|")
		if !ok || socket == "" {
			return b, false
		}
	}
	scheme, rest, ok := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	if !ok {
		if scheme, ok = strings.CutSuffix(scheme, ":"); !ok || socket == "" {
			return b, false
		}
		rest = "localhost"
	}
	if b.protocol = protocols[scheme]; b.protocol == "" {
		return b, false
	}
	host, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	b.path = path
	if socket != "" {
		b.address = "unix:" + socket
		return b, true
	}
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		return b, false
	}
	h, port, err := net.SplitHostPort(host)
	if err != nil {
		h, port = strings.Trim(host, "[]"), ports[scheme]
	}
	if h == "" || port == "" || strings.Trim(port, "0123456789") != "" || !isHost(h) && net.ParseIP(h) == nil {
		return b, false
	}
	b.address = net.JoinHostPort(h, port)
	return b, true
}

// settings are the KEY=VALUE of ProxyPass and BalancerMember.
func settings(words []string) map[string]string {
	all := map[string]string{}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		all[strings.ToLower(k)] = v
	}
	return all
}

// upstreamOf is the [upstream.NAME] of an address; made at its first use.
func (l *lowering) upstreamOf(d *directive, text string, params []string) (name, protocol string, ok bool) {
	if strings.HasPrefix(strings.ToLower(text), "balancer://") {
		return l.balancer(d, text)
	}
	b, ok := backendOf(text)
	if !ok {
		l.refuse(d, fmt.Sprintf("%s: %s is no address of a back end that is known when millrace starts", d.known.name, short(text)), "it takes http, https, h2, h2c, ws, wss, fcgi, scgi, uwsgi, ajp or balancer://NAME")
		return "", "", false
	}
	set := settings(params)
	key := fmt.Sprint(b.protocol, b.address, sortedKeys(set), set, l.site.proxyTimeout(l))
	if name, ok := l.upstreams[key]; ok {
		return name, b.protocol, true
	}
	name = l.name(nameOf(b.address))
	l.upstreams[key] = name
	t := l.doc.Table("upstream", d.place).Table(name, d.place)
	t.Set("protocol", b.protocol, d.place)
	t.Set("servers", []string{b.address}, d.place)
	l.tuning(d, t, set, b.protocol)
	return name, b.protocol, true
}

// nameOf is a name for what has an address.
func nameOf(address string) string {
	name := strings.TrimPrefix(address, "unix:")
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		name = strings.TrimSuffix(strings.TrimSuffix(name[i+1:], ".sock"), ".socket")
	}
	name = strings.Trim(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, name), "_")
	if name == "" {
		name = "backend"
	}
	return name
}

// name is one that no app and no upstream has yet.
func (l *lowering) name(wanted string) string {
	for i := 1; ; i++ {
		n := wanted
		if i > 1 {
			n += "_" + strconv.Itoa(i)
		}
		if !l.names[n] {
			l.names[n] = true
			return n
		}
	}
}

// proxyTimeout is ProxyTimeout, or Timeout.
func (s *site) proxyTimeout(l *lowering) string {
	for _, name := range []string{"proxytimeout", "timeout"} {
		if d := s.last(name); d != nil {
			if text, ok := l.seconds(d, d.arg(0), "s"); ok {
				return text
			}
		}
	}
	return "60s"
}

// tuning is what ProxyPass says of connections.
func (l *lowering) tuning(d *directive, t *document.Table, set map[string]string, protocol string) {
	timeout := l.site.proxyTimeout(l)
	for _, k := range sortedKeys(set) {
		v := set[k]
		switch k {
		case "timeout":
			if text, ok := l.seconds(d, v, "s"); ok {
				timeout = text
			}
		case "connectiontimeout":
			if text, ok := l.seconds(d, v, "s"); ok {
				t.Set("connect_timeout", text, d.place)
			}
		case "retry":
			if text, ok := l.seconds(d, v, "s"); ok && text != "0s" {
				t.Set("fail_timeout", text, d.place)
			}
		case "max":
			if n, err := strconv.Atoi(v); err == nil && n > 0 {
				t.Set("max_conns", n, d.place)
			}
		case "secret":
			t.Set("secret", v, d.place)
		case "iobuffersize":
			if n, err := strconv.Atoi(v); err == nil && protocol == "ajp" {
				t.Set("packet_size", strconv.Itoa(n)+"B", d.place)
			}
		case "min", "smax", "acquire", "disablereuse", "enablereuse", "flushpackets", "flushwait", "keepalive", "lbset", "ping", "receivebuffersize", "redirect", "ttl", "route", "status", "loadfactor", "responsefieldsize", "addressttl", "nocanon", "upgrade", "responsefieldsizes", "failonstatus", "hcmethod", "hcinterval", "hcpasses", "hcfails", "hcuri", "hcexpr", "mapping":
		case "lbmethod", "stickysession", "nofailover", "maxattempts", "scolonpathdelim", "stickysessionsep", "forcerecovery", "growth", "nonce":
		default:
			l.refuse(d, fmt.Sprintf("%s: unknown %s parameter: %s", d.known.name, d.known.name, k), "see the table of its parameters in Apache's manual")
		}
	}
	if timeout != "60s" {
		t.Set("timeout", timeout, d.place)
	}
	if uri := set["hcuri"]; uri != "" || strings.EqualFold(set["hcmethod"], "tcp") {
		h := document.Inline()
		if uri != "" {
			h.Set("path", uri, d.place)
		} else {
			h.Set("connect", true, d.place)
		}
		if text, ok := l.seconds(d, set["hcinterval"], "s"); ok && set["hcinterval"] != "" {
			h.Set("interval", text, d.place)
		} else {
			h.Set("interval", "30s", d.place)
		}
		for k, key := range map[string]string{"hcpasses": "passes", "hcfails": "fails"} {
			if n, err := strconv.Atoi(set[k]); err == nil && n > 0 {
				h.Set(key, n, d.place)
			}
		}
		t.Set("health", h, d.place)
	}
	if protocol != "https" && protocol != "h2" {
		return
	}
	verify := l.site.last("sslproxyverify")
	tls := document.Inline()
	ca := l.site.last("sslproxycacertificatefile")
	if ca != nil {
		tls.Set("ca", l.path(ca.arg(0)), ca.place)
	}
	if verify == nil || !strings.EqualFold(verify.arg(0), "require") && !strings.EqualFold(verify.arg(0), "optional") {
		tls.Set("verify", false, d.place)
		t.Comment("Apache looks at no certificate of a back end without SSLProxyVerify require")
	}
	if own := l.site.last("sslproxymachinecertificatefile"); own != nil {
		tls.Set("certificate", l.path(own.arg(0)), own.place)
	}
	if !tls.Empty() {
		t.Set("tls", tls, d.place)
	}
}

// balancer is <Proxy balancer://NAME>.
func (l *lowering) balancer(d *directive, text string) (name, protocol string, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		l.refuse(d, d.known.name+": "+short(text)+" names no balancer", "write balancer://NAME")
		return "", "", false
	}
	key := "balancer://" + u.Host
	if known, ok := l.upstreams[key]; ok {
		return known, l.upstreams[key+" protocol"], true
	}
	p := l.proxies[strings.ToLower(key)]
	if p == nil {
		l.refuse(d, fmt.Sprintf("%s: there is no <Proxy %s>", d.known.name, key), "write one, with BalancerMember in it")
		return "", "", false
	}
	set := map[string]string{}
	var servers []*document.Table
	plain := []string{}
	simple := true
	paths := map[string]bool{}
	members := map[string]string{}
	for _, m := range p.within {
		switch m.name {
		case "proxyset":
			for k, v := range settings(m.texts()) {
				set[k] = v
			}
		case "balancermember":
			b, good := backendOf(m.arg(0))
			if !good {
				l.refuse(m, fmt.Sprintf("BalancerMember: %s is no address of a back end", short(m.arg(0))), "it takes http, https, h2, h2c, fcgi, scgi, uwsgi or ajp")
				return "", "", false
			}
			if protocol != "" && protocol != b.protocol {
				l.refuse(m, fmt.Sprintf("BalancerMember: the members of %s speak %s and %s", key, protocol, b.protocol), "make a balancer for each")
				return "", "", false
			}
			protocol = b.protocol
			paths[strings.TrimSuffix(b.path, "/")] = true
			one := settings(m.texts()[1:])
			s := document.Inline()
			s.Set("address", b.address, m.place)
			plain = append(plain, b.address)
			if n, err := strconv.ParseFloat(one["loadfactor"], 64); err == nil && n != 1 {
				weight := int(n)
				if n != float64(weight) || weight < 1 || weight > 1000 {
					l.refuse(m, "BalancerMember: loadfactor="+one["loadfactor"], "weights are whole numbers from 1 to 1000")
				}
				s.Set("weight", weight, m.place)
				simple = false
			}
			if status := strings.ToUpper(one["status"]); strings.Contains(status, "H") || strings.Contains(status, "R") {
				s.Set("backup", true, m.place)
				simple = false
			} else if strings.ContainsAny(status, "DSN") {
				s.Set("drain", true, m.place)
				simple = false
			}
			if n, err := strconv.Atoi(one["max"]); err == nil && n > 0 {
				s.Set("max_conns", n, m.place)
				simple = false
			}
			for _, k := range []string{"timeout", "connectiontimeout", "retry", "secret", "hcuri", "hcmethod", "hcinterval", "hcpasses", "hcfails"} {
				if v := one[k]; v != "" {
					members[k] = v
				}
			}
			servers = append(servers, s)
		}
	}
	if len(servers) == 0 {
		l.refuse(p, fmt.Sprintf("<Proxy %s> has no BalancerMember", key), "write BalancerMember with the address of a back end in it")
		return "", "", false
	}
	if len(paths) > 1 {
		l.refuse(p, fmt.Sprintf("the members of %s have different paths", key), "give them the same")
		return "", "", false
	}
	for path := range paths {
		l.upstreams[key+" path"] = path
	}
	name = l.name(nameOf(u.Host))
	l.upstreams[key], l.upstreams[key+" protocol"] = name, protocol
	t := l.doc.Table("upstream", p.place).Table(name, p.place)
	t.Set("protocol", protocol, p.place)
	if simple {
		t.Set("servers", plain, p.place)
	} else {
		t.Set("servers", servers, p.place)
	}
	switch method := strings.ToLower(set["lbmethod"]); method {
	case "", "byrequests":
		t.Set("balance", "round-robin", p.place)
	case "bybusyness":
	case "bytraffic":
		t.Comment("lbmethod=bytraffic: the least busy server is taken, which also spares those with long responses")
	default:
		l.refuse(p, "lbmethod="+method+" is not carried over", "byrequests, bybusyness and bytraffic are")
	}
	if sticky := set["stickysession"]; sticky != "" {
		t.Comment(fmt.Sprintf("stickysession=%s: a client is brought back to its server by a cookie of millrace's own", sticky))
		t.Set("sticky", "millrace_"+nameOf(u.Host), p.place)
	}
	if n, err := strconv.Atoi(set["maxattempts"]); err == nil {
		t.Set("retries", n, p.place)
	}
	for k, v := range members {
		if set[k] == "" {
			set[k] = v
		}
	}
	l.tuning(p, t, set, protocol)
	return name, protocol, true
}
