package apache

// SetEnv, SetEnvIf and their kin.

import (
	"fmt"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
	"millrace/internal/adapt/pcre"
)

// envText is a variable that SetEnv or SetEnvIf outside of all sections sets.
func (l *lowering) envText(name string) string {
	vars, _ := l.variables(l.site.base, false)
	if v, ok := vars.get(name).(string); ok {
		return v
	}
	return ""
}

// special are variables that tell Apache's own modules something.
var special = []string{
	"nokeepalive", "downgrade-1.0", "force-response-1.0", "force-no-vary", "no-gzip", "gzip-only-text/html", "dont-vary", "no-brotli", "redirect-carefully",
	"suppress-error-charset", "prefer-language", "ssl-unclean-shutdown", "ssl-accurate-shutdown", "no-cache", "proxy-nokeepalive", "proxy-sendcl", "proxy-sendchunks",
	"proxy-sendchunked", "proxy-sendextracrlf", "proxy-interim-response", "proxy-initial-not-pooled", "proxy-chain-auth", "proxy-fcgi-pathinfo", "proxy-scgi-pathinfo",
	"force-proxy-request-1.0", "proxy-nokeepalive", "proxy-flushall", "ap_trust_cgilike_cl", "nolog", "dontlog",
}

// variables are those that programs are told. The second are only known with a
// request, where dynamic is not wanted.
func (l *lowering) variables(c *conf, dynamic bool) (pairs, *directive) {
	var p pairs
	var left *directive
	for _, d := range c.env {
		switch d.name {
		case "setenv":
			if slices.Contains(special, strings.ToLower(d.arg(0))) {
				if strings.EqualFold(d.arg(0), "no-gzip") {
					continue
				}
				l.site.note(d, d.arg(0)+" tells a module of Apache's something that it needs not be told here")
				continue
			}
			p.set(d.arg(0), document.Literal(d.arg(1)), d.place)
		case "unsetenv":
			for _, name := range d.texts() {
				p = slices.DeleteFunc(p, func(one pair) bool { return one.name == name })
			}
		case "passenv":
			for _, name := range d.texts() {
				if v, ok := l.read.options.Getenv(name); ok {
					p.set(name, document.Literal(v), d.place)
				} else {
					l.site.table.Comment(fmt.Sprintf("PassEnv %s: it is not set", name))
				}
			}
		default:
			left = d
			if dynamic {
				l.setEnvIf(d, &p)
			}
		}
	}
	return p, left
}

// setEnvIf is SetEnvIf and BrowserMatch, as a map.
func (l *lowering) setEnvIf(d *directive, p *pairs) {
	words := d.texts()
	from := "{header.User-Agent}"
	if strings.HasPrefix(d.name, "setenvif") {
		switch attr := words[0]; strings.ToLower(attr) {
		case "remote_addr":
			from = "{client}"
		case "request_method":
			from = "{method}"
		case "request_uri":
			from = "{path}"
		case "remote_host", "server_addr", "request_protocol":
			l.refuse(d, d.known.name+" of "+attr, "test a header, Remote_Addr, Request_Method or Request_URI")
			return
		default:
			if !isToken(attr) {
				l.refuse(d, d.known.name+": an expression for the names of headers", "name the header")
				return
			}
			from = "{header." + attr + "}"
		}
		words = words[1:]
	}
	vars := words[1:]
	known := true
	for _, v := range vars {
		name, _, _ := strings.Cut(strings.TrimPrefix(v, "!"), "=")
		known = known && slices.Contains(special, strings.ToLower(name))
	}
	if known {
		l.site.note(d, "what it tells of old browsers is not needed")
		return
	}
	re, ok := l.regexp(d.place, words[0], strings.HasSuffix(d.name, "nocase"))
	if !ok || re.not != "" {
		if ok {
			l.refuse(d, d.known.name+" with a negative look-ahead", "write the exception as a SetEnvIf below it, with !NAME")
		}
		return
	}
	for _, v := range vars {
		name, value, has := strings.Cut(v, "=")
		switch {
		case strings.HasPrefix(name, "!"), p.get(name) != nil:
			l.refuse(d, fmt.Sprintf("%s: %s is set above as well", d.known.name, strings.TrimPrefix(name, "!")), "join the expressions with |")
			continue
		case !has:
			value = "1"
		case strings.Contains(value, "$"):
			n := pcre.Groups(re.expr)
			if value != "$0" && !(value == "$1" && n == 1 && everything(words[0])) {
				l.refuse(d, fmt.Sprintf("%s: %s is a part of what was found", d.known.name, v), "let the app look at the header itself")
				continue
			}
			l.site.note(d, name+" is there with each request, and empty where Apache does not set it")
			p.set(name, from, d.place)
			continue
		}
		l.site.note(d, name+" is there with each request, and empty where Apache does not set it")
		p.set(name, l.needMap(d, "env_"+name, from, []pair{{name: "~" + re.expr, value: value}}, ""), d.place)
	}
}

// params are the variables that an app gets with each request.
func (l *lowering) params(c *conf, protocol string) *document.Table {
	t := document.Inline()
	vars, _ := l.variables(c, true)
	for _, p := range append(slices.Clone(l.site.params), vars...) {
		if text, ok := p.value.(string); ok {
			t.Set(p.name, text, p.at)
		}
	}
	if d := c.get("sslusername"); d != nil {
		value := variables["SSL:"+d.arg(0)]
		if value == "" {
			l.refuse(d, "SSLUserName "+d.arg(0)+" is not known here", "SSL_CLIENT_S_DN and SSL_CLIENT_S_DN_CN are")
		}
		t.Set("REMOTE_USER", value, d.place)
	}
	return t
}

// staticEnv is the environment of programs, in which nothing is of a request.
func (l *lowering) staticEnv(c *conf) pairs {
	vars, left := l.variables(c, false)
	if left != nil {
		probe := pairs{}
		l.setEnvIf(left, &probe)
		if len(probe) > 0 {
			l.refuse(left, left.known.name+" for CGI programs: their environment is the same for all requests", "let the program look at the header itself: HTTP_…")
		}
	}
	for i := range vars {
		vars[i].value = strings.ReplaceAll(vars[i].value.(string), "{{", "{")
	}
	return vars
}

// staticEnvOfApp is what an app has in its environment: nothing of SetEnv, which
// is of requests.
func (l *lowering) staticEnvOfApp(*conf) pairs { return nil }
