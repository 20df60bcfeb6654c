package apache

// What is around whatever answers: headers, variables, compression, bounds.

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/internal/adapt/document"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// around is the keys of a route that answers. Kind is files, app, upstream or
// cgi, and protocol what the app or the back end speaks.
func (l *lowering) around(c *conf, kind, protocol string) pairs {
	var p pairs
	s := l.site
	list := c.headers
	if !s.headersHere {
		list = nil
	}
	if h := l.headers(list); !h.Empty() {
		p.set("headers", h, list[0].place)
	}
	http := slices.Contains([]string{"http", "https", "h2", "h2c"}, protocol)
	if kind == "app" || kind == "upstream" {
		requests := l.requestHeaders(c, protocol)
		if !requests.Empty() {
			p.set("request_headers", requests, placeOf(firstOf(c.requests)))
		}
		if params := l.params(c, protocol); !params.Empty() && !http {
			p.set("params", params, placeOf(firstOf(c.env)))
		}
	}
	if c.maxBody != nil && kind != "files" {
		if n, err := strconv.ParseInt(c.maxBody.arg(0), 10, 64); err != nil || n < 0 {
			l.refuse(c.maxBody, fmt.Sprintf("LimitRequestBody: %s is no number of bytes", short(c.maxBody.arg(0))), "write LimitRequestBody 10485760")
		} else if n > 0 {
			p.set("max_body", strconv.FormatInt(n, 10)+"B", c.maxBody.place)
		}
	}
	p = append(p, l.ownPages(c)...)
	own, base := l.compression(c), l.compression(s.base)
	switch {
	case own == nil && base != nil:
		p.set("compress", false, placeOf(firstOf(c.filters)))
	case own != nil && (base == nil || fmt.Sprint(base) != fmt.Sprint(own)):
		p.set("compress", own, placeOf(firstOf(c.filters)))
	}
	return p
}

func firstOf(list []*directive) *directive {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// headers is Header, in the order in which they are said.
func (l *lowering) headers(list []*directive) *document.Table {
	var set, setOK, add, addOK pairs
	var remove []string
	for _, d := range list {
		words := d.texts()
		always := false
		if len(words) > 0 && (strings.EqualFold(words[0], "always") || strings.EqualFold(words[0], "onsuccess")) {
			always = strings.EqualFold(words[0], "always")
			words = words[1:]
		}
		if len(words) < 2 {
			l.refuse(d, "Header requires two to four arguments", "write Header set NAME VALUE")
			continue
		}
		action, name := strings.ToLower(words[0]), strings.TrimSuffix(words[1], ":")
		if !isToken(name) {
			l.refuse(d, fmt.Sprintf("Header: %s is no name of a header", short(name)), "write Header set NAME VALUE")
			continue
		}
		rest := words[2:]
		if n := len(rest); n > 0 && (strings.HasPrefix(rest[n-1], "env=") || strings.HasPrefix(rest[n-1], "expr=")) && (n > 1 || action == "unset") {
			if strings.Contains(strings.ToUpper(d.raw), "BALANCER_ROUTE_CHANGED") {
				l.site.note(d, "the cookie that brings clients back is the sticky of the upstream")
				continue
			}
			l.refuse(d, fmt.Sprintf("Header … %s: for some requests only", rest[n-1]), "write it into a <Location> or <Files> section")
			continue
		}
		text := ""
		if action != "unset" && action != "echo" {
			if len(rest) == 0 {
				l.refuse(d, "Header: action requires a value", "write Header set NAME VALUE")
				continue
			}
			var ok bool
			if text, ok = l.headerText(d, rest[0]); !ok {
				continue
			}
		}
		drop := func(lists ...*pairs) {
			for _, p := range lists {
				*p = slices.DeleteFunc(*p, func(one pair) bool { return strings.EqualFold(one.name, name) })
			}
		}
		switch action {
		case "unset":
			drop(&set, &setOK, &add, &addOK)
			remove = append(remove, name)
		case "set":
			if always {
				drop(&set, &add)
				set.set(name, text, d.place)
			} else {
				drop(&setOK, &addOK)
				setOK.set(name, text, d.place)
			}
		case "add", "append", "merge":
			to := &addOK
			if always {
				to = &add
			}
			if to.get(name) != nil {
				l.refuse(d, fmt.Sprintf("Header %s: a second %s", action, name), "write both values into one")
				continue
			}
			to.set(name, text, d.place)
		case "setifempty", "edit", "edit*", "echo", "note":
			l.refuse(d, "Header "+action+": headers are set, added and left out", "write Header set")
		default:
			l.refuse(d, "first argument must be 'add', 'set', 'setifempty', 'append', 'merge', 'unset', 'echo', 'note', 'edit', or 'edit*'.", "write Header set NAME VALUE")
		}
	}
	t := document.Inline()
	for _, of := range []struct {
		key string
		p   pairs
	}{{"set", set}, {"add", add}, {"set_unless_error", setOK}, {"add_unless_error", addOK}} {
		if len(of.p) > 0 {
			t.Set(of.key, of.p.inline(), of.p[0].at)
		}
	}
	if len(remove) > 0 {
		t.Set("remove", unique(remove), list[0].place)
	}
	return t
}

// headerText is a value, with %{NAME}s and its kin.
func (l *lowering) headerText(d *directive, text string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' || i+1 == len(text) {
			b.WriteString(fixed(text[i], false))
			continue
		}
		i++
		switch {
		case text[i] == '%':
			b.WriteByte('%')
		case text[i] == '{' && strings.IndexByte(text[i:], '}') > 0:
			end := i + strings.IndexByte(text[i:], '}')
			name := text[i+1 : end]
			i = end
			kind := byte(0)
			if end+1 < len(text) {
				kind = text[end+1]
				i++
			}
			value := ""
			switch {
			case kind == 's':
				value = variables["SSL:"+name]
				if name == "HTTPS" {
					value = l.needMap(d, "https", "{scheme}", []pair{{name: "https", value: "on"}}, "off")
				}
			case kind == 'e' && name == "REMOTE_USER":
				value = "{user}"
			case kind == 'e' && l.site.constants[name] != "":
				value = l.site.constants[name]
			case kind == 'e':
				value = l.envText(name)
			}
			if value == "" {
				l.refuse(d, fmt.Sprintf("%s: %%{%s}%c is not known here", d.known.name, name, kind), "what there is of a request is in docs/routes.md, under placeholders")
				return "", false
			}
			b.WriteString(value)
		default:
			l.refuse(d, fmt.Sprintf("%s: %%%c: times and loads are in the access log", d.known.name, text[i]), "write %% for the character itself")
			return "", false
		}
	}
	return b.String(), true
}

// envText is a variable that SetEnv or SetEnvIf outside of all sections sets.
func (l *lowering) envText(name string) string {
	vars, _ := l.variables(l.site.base, false)
	if v, ok := vars.get(name).(string); ok {
		return v
	}
	return ""
}

// requestHeaders is RequestHeader.
func (l *lowering) requestHeaders(c *conf, protocol string) *document.Table {
	set, add := document.Inline(), document.Inline()
	var remove []string
	for _, d := range c.requests {
		words := d.texts()
		if n := len(words); n > 2 && strings.EqualFold(words[n-1], "early") {
			words = words[:n-1]
		}
		action, name := strings.ToLower(words[0]), strings.TrimSuffix(words[1], ":")
		if n := len(words); n > 2 && (strings.HasPrefix(words[n-1], "env=") || strings.HasPrefix(words[n-1], "expr=")) {
			l.refuse(d, fmt.Sprintf("RequestHeader … %s: for some requests only", words[n-1]), "write it into a <Location> or <Files> section")
			continue
		}
		if !isToken(name) {
			l.refuse(d, fmt.Sprintf("RequestHeader: %s is no name of a header", short(name)), "write RequestHeader set NAME VALUE")
			continue
		}
		if action == "unset" {
			if strings.EqualFold(name, "proxy") {
				l.site.note(d, "a header Proxy reaches no program in any case")
				continue
			}
			remove = append(remove, name)
			continue
		}
		if len(words) < 3 {
			l.refuse(d, "RequestHeader: action requires a value", "write RequestHeader set NAME VALUE")
			continue
		}
		text, ok := l.headerText(d, words[2])
		switch {
		case !ok:
		case action == "set":
			set.Set(name, text, d.place)
		case action == "add", action == "append", action == "merge":
			add.Set(name, text, d.place)
		default:
			l.refuse(d, "RequestHeader "+action+": headers are set, added and left out", "write RequestHeader set")
		}
	}
	if pass := c.get("wsgipassauthorization"); protocol == "wsgi" && (pass == nil || !pass.on()) && !l.site.passAuth {
		remove = append(remove, "Authorization") // which mod_wsgi keeps to itself
	}
	t := document.Inline()
	for key, of := range map[string]*document.Table{"set": set} {
		if !of.Empty() {
			t.Set(key, of, placeOf(firstOf(c.requests)))
		}
	}
	if !add.Empty() {
		t.Set("add", add, placeOf(firstOf(c.requests)))
	}
	if len(remove) > 0 {
		t.Set("remove", unique(remove), placeOf(firstOf(c.requests)))
	}
	return t
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
			n := groupsOf(re.expr)
			if value != "$0" && !(value == "$1" && n == 1 && everything(words[0])) {
				l.refuse(d, fmt.Sprintf("%s: %s is a part of what was found", d.known.name, v), "let the app look at the header itself")
				continue
			}
			p.set(name, from, d.place)
			continue
		}
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

// compression is the value of compress; nil: nothing is compressed.
func (l *lowering) compression(c *conf) any {
	var types, encodings []string
	for _, d := range c.filters {
		words := d.texts()
		filter := strings.ToUpper(words[0])
		names := map[string]string{"DEFLATE": "gzip", "BROTLI_COMPRESS": "br", "BROTLI": "br"}
		if filter == "INCLUDES" || strings.Contains(filter, ";") || names[filter] == "" {
			if filter == "NONE" && d.name == "setoutputfilter" {
				types, encodings = nil, nil
				continue
			}
			list := strings.Split(filter, ";")
			if names[list[0]] == "" || names[list[len(list)-1]] == "" {
				l.refuse(d, fmt.Sprintf("%s %s: the filter is not carried over", d.known.name, words[0]), "DEFLATE and BROTLI_COMPRESS are")
				continue
			}
			for _, f := range list {
				encodings = append(encodings, names[f])
			}
		} else {
			encodings = append(encodings, names[filter])
		}
		switch d.name {
		case "addoutputfilterbytype":
			types = append(types, words[1:]...)
		case "setoutputfilter":
			types = append(types, "text/*", "application/*", "image/*", "font/*", "audio/*", "video/*")
		default:
			l.refuse(d, "AddOutputFilter: compression goes by types", "write AddOutputFilterByType DEFLATE text/html …")
		}
	}
	for _, d := range c.env {
		if d.name == "setenv" && strings.EqualFold(d.arg(0), "no-gzip") {
			return nil
		}
	}
	if len(types) == 0 {
		return nil
	}
	var p pairs
	at := c.filters[0].place
	p.set("types", unique(types), at)
	p.set("encodings", unique(encodings), at)
	return p.inline()
}

// expiring emits the routes of files, one for each time that ExpiresByType says.
func (l *lowering) expiring(a area, c *conf, on cond, guard, f pairs, b body) {
	if !c.expires {
		l.filesRoute(c, on, guard, f, b)
		return
	}
	type group struct {
		text string
		exts []string
		at   *directive
	}
	var groups []*group
	plain := ""
	if c.expiresAll != nil {
		plain, _ = l.expiry(c.expiresAll, c.expiresAll.arg(0))
	}
	for _, kind := range sortedKeys(c.expiresType) {
		d := c.expiresType[kind]
		text, ok := l.expiry(d, d.arg(1))
		if !ok || text == plain {
			continue
		}
		exts := extensionsOf(kind, c)
		if len(exts) == 0 {
			l.site.table.Comment(fmt.Sprintf("ExpiresByType %s: no extension of files is known that has this type", kind))
			continue
		}
		var g *group
		for _, one := range groups {
			if one.text == text {
				g = one
			}
		}
		if g == nil {
			g = &group{text: text, at: d}
			groups = append(groups, g)
		}
		g.exts = append(g.exts, exts...)
	}
	for _, g := range groups {
		slices.Sort(g.exts)
		of, ok := narrowed(on, `(?i)\.(?:`+strings.Join(slices.Compact(g.exts), "|")+`)$`)
		if !ok {
			l.refuse(g.at, "ExpiresByType beside several sections that are for some files", "write ExpiresDefault into the <FilesMatch>")
			continue
		}
		with := slices.Clone(f)
		with.set("expires", g.text, g.at.place)
		l.filesRoute(c, of, guard, with, b)
	}
	if plain != "" {
		f.set("expires", plain, c.expiresAll.place)
	}
	l.filesRoute(c, on, guard, f, b)
}

// extensionsOf are the extensions of a media type.
func extensionsOf(kind string, c *conf) []string {
	exts := slices.Clone(typeExtensions[kind])
	for _, ext := range sortedKeys(c.types) {
		if strings.EqualFold(c.types[ext].arg(0), kind) {
			exts = append(exts, quoteMeta(ext))
		}
	}
	return exts
}

// typeExtensions are the types that people name with ExpiresByType.
var typeExtensions = map[string][]string{
	"text/html": {"html?"}, "text/css": {"css"}, "text/plain": {"txt"}, "text/javascript": {"m?js"}, "application/javascript": {"m?js"}, "application/x-javascript": {"m?js"},
	"text/xml": {"xml"}, "application/xml": {"xml"}, "application/json": {"json"}, "application/pdf": {"pdf"}, "application/rss+xml": {"rss"}, "application/atom+xml": {"atom"},
	"image/jpeg": {"jpe?g"}, "image/jpg": {"jpe?g"}, "image/png": {"png"}, "image/gif": {"gif"}, "image/webp": {"webp"}, "image/avif": {"avif"}, "image/svg+xml": {"svgz?"},
	"image/x-icon": {"ico"}, "image/vnd.microsoft.icon": {"ico"}, "image/ico": {"ico"}, "image/icon": {"ico"}, "image/bmp": {"bmp"}, "image/tiff": {"tiff?"},
	"video/mp4": {"mp4"}, "video/webm": {"webm"}, "video/ogg": {"ogv"}, "video/mpeg": {"mpe?g"}, "audio/mpeg": {"mp3"}, "audio/ogg": {"og[ag]"}, "audio/wav": {"wav"},
	"font/woff": {"woff"}, "font/woff2": {"woff2"}, "font/ttf": {"ttf"}, "font/otf": {"otf"}, "application/font-woff": {"woff"}, "application/font-woff2": {"woff2"},
	"application/x-font-woff": {"woff"}, "application/x-font-ttf": {"ttf"}, "application/vnd.ms-fontobject": {"eot"}, "application/x-shockwave-flash": {"swf"},
	"application/zip": {"zip"}, "application/manifest+json": {"webmanifest"}, "text/x-component": {"htc"}, "text/vcard": {"vcf"}, "application/wasm": {"wasm"}, "text/cache-manifest": {"appcache"},
	"application/x-web-app-manifest+json": {"webapp"}, "application/geo+json": {"geojson"}, "application/ld+json": {"jsonld"}, "text/calendar": {"ics"}, "text/markdown": {"md"}, "font/opentype": {"otf"},
	"application/vnd.geo+json": {"geojson"}, "application/x-font-opentype": {"otf"}, "application/font-sfnt": {"[ot]tf"}, "audio/x-wav": {"wav"}, "video/quicktime": {"mov"}, "font/eot": {"eot"}, "font/truetype": {"ttf"},
}

// expiry is "access plus 1 month" as a duration.
func (l *lowering) expiry(d *directive, text string) (string, bool) {
	bad := func() (string, bool) {
		l.refuse(d, fmt.Sprintf("%s: bad expires code %s", d.known.name, short(text)), `write "access plus 1 month", or A2592000`)
		return "", false
	}
	fields := strings.Fields(text)
	if len(fields) == 1 && len(text) > 1 && (text[0] == 'A' || text[0] == 'M') {
		n, err := strconv.Atoi(text[1:])
		if err != nil {
			return bad()
		}
		if text[0] == 'M' {
			fields = []string{"modification"}
		} else {
			return seconds(n), true
		}
	}
	if len(fields) == 0 {
		return bad()
	}
	switch strings.ToLower(fields[0]) {
	case "access", "now":
	case "modification":
		l.refuse(d, d.known.name+": a time since the file was changed", "write one since access: a client is told how long, not until when")
		return "", false
	default:
		return bad()
	}
	fields = fields[1:]
	if len(fields) > 0 && strings.EqualFold(fields[0], "plus") {
		fields = fields[1:]
	}
	units := map[string]int{"year": 31536000, "month": 2592000, "week": 604800, "day": 86400, "hour": 3600, "minute": 60, "min": 60, "second": 1, "sec": 1}
	total := 0
	for len(fields) > 0 {
		if len(fields) < 2 {
			return bad()
		}
		n, err := strconv.Atoi(fields[0])
		unit := units[strings.TrimSuffix(strings.ToLower(fields[1]), "s")]
		if err != nil || unit == 0 || n < 0 || n > 1000000 {
			return bad()
		}
		total += n * unit
		fields = fields[2:]
	}
	return seconds(total), true
}

// seconds is a duration as it is read best.
func seconds(n int) string {
	switch {
	case n > 0 && n%86400 == 0:
		return strconv.Itoa(n/86400) + "d"
	case n > 0 && n%3600 == 0:
		return strconv.Itoa(n/3600) + "h"
	case n > 0 && n%60 == 0:
		return strconv.Itoa(n/60) + "m"
	}
	return strconv.Itoa(n) + "s"
}

// seconds is a time of a directive, in a unit that it may name itself.
func (l *lowering) seconds(d *directive, text, unit string) (string, bool) {
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz")
	if rest := text[len(number):]; rest != "" {
		unit = rest
	}
	if n, err := strconv.Atoi(number); err == nil && n >= 0 {
		switch unit {
		case "s":
			return strconv.Itoa(n) + "s", true
		case "ms":
			return (time.Duration(n) * time.Millisecond).String(), true
		case "m", "mi":
			return strconv.Itoa(n) + "m", true
		case "h":
			return strconv.Itoa(n) + "h", true
		}
	}
	l.refuse(d, fmt.Sprintf("%s: %s is no time", d.known.name, short(text)), "write seconds, or a number with ms, s, mi or h")
	return "", false
}
