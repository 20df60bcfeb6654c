package apache

// What belongs to the whole server, and to all of a site: users, times, logs,
// TLS, pages of errors.

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// server makes the document.
func (l *lowering) server() {
	t := l.doc.Table("server", document.Place{File: l.read.file0, Line: 1, Column: 1})
	if l.read.htaccess {
		place := document.Place{File: l.read.file0, Line: 1, Column: 1}
		d := &directive{name: "directory", shown: "Directory", known: directives["directory"], place: place, args: []arg{{text: l.read.root, place: place}}, within: l.top}
		l.top = []*directive{d}
	}
	for _, d := range l.everything(l.top) {
		switch d.name {
		case "proxy":
			l.proxies[strings.ToLower(strings.TrimRight(d.arg(0), "/"))] = d
		case "wsgidaemonprocess":
			l.daemons[d.arg(0)] = d
		}
	}
	l.top = l.matchedScripts(byExtension(l.top))
	l.hosts()
	l.settings(t)
	l.guessPHP = !l.read.whole && l.leadsToPHP(l.top)
	for _, s := range l.sites {
		l.build(s)
	}
	l.nothing(t, l.top)
}

// everything is all directives, those in sections too.
func (l *lowering) everything(list []*directive) []*directive {
	var all []*directive
	for _, d := range list {
		all = append(append(all, d), l.everything(d.within)...)
	}
	return all
}

// leadsToPHP reports whether rules of a snippet lead to PHP, and nothing says
// who runs it.
func (l *lowering) leadsToPHP(list []*directive) bool {
	leads := false
	for _, d := range l.everything(list) {
		text := strings.ToLower(strings.Join(d.texts(), " "))
		switch d.name {
		case "rewriterule", "fallbackresource", "directoryindex":
			leads = leads || strings.Contains(text, ".php")
		case "sethandler", "addhandler", "addtype", "fcgidwrapper", "proxypassmatch", "action":
			if strings.Contains(text, "php") || strings.Contains(text, "fcgi") {
				return false
			}
		case "php_value", "php_flag", "php_admin_value", "php_admin_flag":
			leads = true
		}
	}
	return leads
}

// settings is what holds for all sites.
func (l *lowering) settings(t *document.Table) {
	main := &site{main: l.top}
	t.Set("idle_timeout", "5s", t.Place()) // KeepAliveTimeout's default
	for _, d := range l.top {
		switch d.name {
		case "user", "group":
			t.Set(d.name, strings.TrimPrefix(d.arg(0), "#"), d.place)
		case "pidfile":
			t.Set("pidfile", l.path(d.arg(0)), d.place)
		case "errorlog":
			l.errorLog(t, d)
		case "timeout":
			if text, ok := l.seconds(d, d.arg(0), "s"); ok && text != "0s" {
				t.Set("body_timeout", text, d.place)
				t.Set("write_timeout", text, d.place)
			}
		case "keepalivetimeout":
			if text, ok := l.seconds(d, d.arg(0), "s"); ok && text != "0s" {
				t.Set("idle_timeout", text, d.place)
			}
		case "keepalive":
			if !d.on() {
				t.Comment("KeepAlive Off: connections are kept, for a second at most: an idle one costs next to nothing")
				t.Set("idle_timeout", "1s", d.place)
			}
		case "maxrequestworkers", "maxclients":
			t.Comment(d.known.name + ": connections cost no workers; max_children of an app bounds what runs at a time")
		case "limitrequestline", "limitrequestfieldsize", "limitrequestfields":
			t.Comment(d.known.name + ": max_header bounds the line and all headers together")
		case "requestreadtimeout":
			l.readTimeout(t, d)
		case "servertokens":
			t.Comment("ServerTokens: no version of millrace is told in any case")
		case "phpinidir", "typesconfig":
			t.Comment(d.known.name + ": not read")
		}
	}
	if t.Get("error_log") == nil {
		for _, d := range l.ownOfHosts() {
			if d.name == "errorlog" && t.Get("error_log") == nil {
				l.errorLog(t, d)
			}
		}
	}
	var types pairs
	for _, d := range append(slices.Clone(l.top), l.ownOfHosts()...) {
		if d.name == "addtype" && handlerName(d) != "php" {
			for _, ext := range d.texts()[1:] {
				types.set("."+extension(ext), d.arg(0), d.place)
			}
		}
	}
	for _, d := range l.everything(l.top) {
		if d.name == "addtype" && handlerName(d) != "php" {
			for _, ext := range d.texts()[1:] {
				if is, _ := types.get("." + extension(ext)).(string); is != "" && is != d.arg(0) {
					l.refuse(d, fmt.Sprintf("AddType: .%s has another type elsewhere: types are the same for all folders", extension(ext)), "give the files another extension")
					continue
				}
				types.set("."+extension(ext), d.arg(0), d.place)
			}
		}
	}
	if len(types) > 0 {
		t.Set("types", types.inline(), types[0].at)
	}
	l.remoteIP(t, main)
}

func (l *lowering) ownOfHosts() []*directive {
	var all []*directive
	for _, s := range l.sites {
		if s.at != nil {
			all = append(all, s.own...)
		}
	}
	return all
}

func (l *lowering) errorLog(t *document.Table, d *directive) {
	switch to := d.arg(0); {
	case strings.HasPrefix(to, "|"), strings.HasPrefix(to, "syslog"), len(d.args) > 1:
		l.refuse(d, fmt.Sprintf("ErrorLog %s: a log is a file, or the standard error", short(to)), "name a file, or take it out and let what starts millrace read its standard error")
	case to == "/dev/stderr":
	default:
		t.Set("error_log", l.path(to), d.place)
	}
}

// readTimeout is RequestReadTimeout header=20-40,MinRate=500 body=20,MinRate=500.
func (l *lowering) readTimeout(t *document.Table, d *directive) {
	for _, w := range d.texts() {
		kind, value, _ := strings.Cut(strings.ToLower(w), "=")
		times, rate, hasRate := strings.Cut(value, ",minrate=")
		first, last, isRange := strings.Cut(times, "-")
		if isRange && kind == "header" {
			first = last
		}
		n, err := strconv.Atoi(first)
		if err != nil {
			l.refuse(d, "RequestReadTimeout: "+short(w), "write header=20-40,MinRate=500 body=20,MinRate=500")
			continue
		}
		if n > 0 && (kind == "header" || kind == "body") {
			t.Set(kind+"_timeout", strconv.Itoa(n)+"s", d.place)
		}
		if r, err := strconv.Atoi(rate); hasRate && err == nil && kind == "body" {
			t.Set("min_body_rate", strconv.Itoa(r)+"B", d.place)
		}
	}
}

// remoteIP is mod_remoteip's: who tells who the client is.
func (l *lowering) remoteIP(t *document.Table, main *site) {
	var trusted []string
	var header *directive
	for _, d := range append(slices.Clone(main.main), l.ownOfHosts()...) {
		switch d.name {
		case "remoteipheader":
			header = d
		case "remoteiptrustedproxy", "remoteipinternalproxy":
			trusted = append(trusted, l.networks(d, d.texts())...)
		}
	}
	if header == nil {
		return
	}
	if !strings.EqualFold(header.arg(0), "x-forwarded-for") {
		l.refuse(header, "RemoteIPHeader "+header.arg(0)+": the client's address is believed from X-Forwarded-For alone", "have the proxy send X-Forwarded-For")
		return
	}
	if len(trusted) == 0 {
		l.refuse(header, "RemoteIPHeader without RemoteIPTrustedProxy: every client could say who it is", "write RemoteIPTrustedProxy with the proxy's address")
		return
	}
	t.Set("trusted_proxies", unique(trusted), header.place)
	t.Set("proxy_headers", []string{"x-forwarded-for"}, header.place)
}

// tls is SSLEngine and its kin.
func (l *lowering) tls(s *site) {
	engine := s.last("sslengine")
	if engine == nil || !strings.EqualFold(engine.arg(0), "on") {
		return
	}
	s.tls = true
	t := s.table.Table("tls", engine.place)
	var certificates, keys []string
	at := engine.place
	for _, d := range s.both() {
		switch d.name {
		case "sslcertificatefile":
			certificates, at = append(certificates, l.path(d.arg(0))), d.place
		case "sslcertificatekeyfile":
			keys = append(keys, l.path(d.arg(0)))
		case "sslcertificatechainfile":
			l.refuse(d, "SSLCertificateChainFile: the chain stands in the file of the certificate, behind it", fmt.Sprintf("cat CERTIFICATE %s > FULLCHAIN, and name that with SSLCertificateFile", l.path(d.arg(0))))
		}
	}
	if len(certificates) == 0 {
		l.refuse(engine, "SSLEngine On, and no SSLCertificateFile", "write SSLCertificateFile and SSLCertificateKeyFile")
		return
	}
	one := func(key string, list []string) {
		if len(list) == 1 {
			t.Set(key, list[0], at)
		} else if len(list) > 1 {
			t.Set(key, list, at)
		}
	}
	one("certificate", certificates)
	one("key", keys)
	if d := s.last("sslprotocol"); d != nil && !l.allows12(d) {
		t.Set("min_version", "1.3", d.place)
	}
	t.Set("http3", false, engine.place) // which Apache does not speak
	verify := s.last("sslverifyclient")
	if verify == nil || strings.EqualFold(verify.arg(0), "none") {
		return
	}
	ca := s.last("sslcacertificatefile")
	if ca == nil {
		l.refuse(verify, "SSLVerifyClient without SSLCACertificateFile", "write SSLCACertificateFile with the roots of the clients' certificates")
		return
	}
	t.Set("client_ca", l.path(ca.arg(0)), ca.place)
	switch strings.ToLower(verify.arg(0)) {
	case "require":
	case "optional":
		t.Set("client_auth", "optional", verify.place)
	default:
		l.refuse(verify, "SSLVerifyClient "+verify.arg(0), "write require, optional or none")
	}
}

// allows12 reports whether TLS 1.2 is spoken.
func (l *lowering) allows12(d *directive) bool {
	on := true
	for i, w := range d.texts() {
		name := strings.ToLower(strings.TrimLeft(w, "+-"))
		is := name == "all" || name == "tlsv1.2"
		switch {
		case strings.HasPrefix(w, "-") && is:
			on = false
		case strings.HasPrefix(w, "-"):
		case strings.HasPrefix(w, "+"):
			on = on || is
		case i == 0:
			on = is
		default:
			on = on || is
		}
	}
	return on
}

// logs are CustomLog and its kin.
func (l *lowering) logs(s *site) {
	formats := map[string]string{
		"common": `%h %l %u %t "%r" %>s %b`, "combined": `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`,
	}
	known := map[string]bool{}
	plain := ""
	for _, d := range s.both() {
		if d.name == "logformat" {
			if len(d.args) == 2 {
				formats[d.arg(1)] = d.arg(0)
				known[d.arg(1)] = true
			} else {
				plain = d.arg(0)
			}
		}
	}
	var log *directive
	of := s.own
	if !slices.ContainsFunc(of, func(d *directive) bool { return d.name == "customlog" || d.name == "transferlog" }) {
		of = s.main
	}
	for _, d := range of {
		if d.name != "customlog" && d.name != "transferlog" {
			continue
		}
		if log != nil {
			l.refuse(d, d.known.name+": a second access log of the site", "keep one; json has all that can be told of a request")
			continue
		}
		log = d
	}
	if s.at != nil {
		for _, d := range s.own {
			if d.name == "errorlog" && l.doc.Table("server", document.Place{}).Get("error_log") != l.path(d.arg(0)) {
				s.note(d, "errors of all sites are in one log, each with its request")
			}
		}
	}
	if log == nil {
		return
	}
	if to := log.arg(0); strings.HasPrefix(to, "|") || strings.HasPrefix(to, "syslog") {
		l.refuse(log, fmt.Sprintf("%s %s: a log is a file", log.known.name, short(to)), "name a file; access_log_max_size renames it when it is long, and SIGUSR1 opens it anew")
		return
	}
	if len(log.args) > 2 && !strings.EqualFold(log.arg(2), "env=!dontlog") {
		l.refuse(log, fmt.Sprintf("%s … %s: some requests only", log.known.name, log.arg(2)), "log them all, and leave them out when you read it")
		return
	}
	to := l.path(log.arg(0))
	if log.arg(0) == "/dev/stdout" || log.arg(0) == "/proc/self/fd/1" {
		to = "-"
	}
	s.table.Set("access_log", to, log.place)
	format := plain
	if format == "" {
		format = formats["common"]
	}
	if log.name == "customlog" {
		format = log.arg(1)
		if named, ok := formats[format]; ok {
			format = named
		} else if !strings.Contains(format, "%") {
			l.refuse(log, fmt.Sprintf("CustomLog: there is no LogFormat %s", format), "define it above, or write the format itself")
			return
		}
	}
	text, ok := l.logFormat(log, format)
	if ok {
		s.table.Set("log_format", text, log.place)
	}
}

// logFormat is a LogFormat as a text with placeholders.
func (l *lowering) logFormat(d *directive, format string) (string, bool) {
	names := map[string]string{
		"h": "{client}", "a": "{client}", "l": "-", "u": "{user}", "t": "[{time}]", "r": "{request}", "s": "{status}", "b": "{bytes}", "B": "{bytes}", "O": "{bytes}",
		"m": "{method}", "U": "{path}", "H": "{protocol}", "v": "{site}", "V": "{host}", "p": "{port}", "T": "{duration}", "L": "{request_id}", "%": "%",
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c == '\\' && i+1 < len(format) {
			i++
			switch format[i] {
			case 't':
				b.WriteByte('\t')
			case 'n':
			default:
				b.WriteString(fixed(format[i], false))
			}
			continue
		}
		if c != '%' {
			b.WriteString(fixed(c, false))
			continue
		}
		i++
		name := ""
		for i < len(format) && strings.IndexByte("<>!,0123456789", format[i]) >= 0 {
			i++
		}
		if i < len(format) && format[i] == '{' {
			if end := strings.IndexByte(format[i:], '}'); end > 0 {
				name = format[i+1 : i+end]
				i += end + 1
			}
		}
		if i >= len(format) {
			break
		}
		value := names[format[i:i+1]]
		switch kind := format[i]; {
		case name == "":
		case kind == 'i' && isToken(name):
			value = "{header." + name + "}"
		case kind == 'o' && isToken(name):
			value = "{response." + name + "}"
		case kind == 'C' && isToken(name):
			value = "{cookie." + name + "}"
		case kind == 'T' && name == "ms":
			value = "{request_time_ms}"
		case kind == 'x' && variables["SSL:"+name] != "":
			value = variables["SSL:"+name]
		case kind == 'e' && name == "UNIQUE_ID":
			value = "{request_id}"
		case kind == 'p':
		case kind == 't' && name == "sec":
			value = "{time_unix}"
		default:
			value = ""
		}
		switch {
		case value == "" && format[i] == 'q':
			value = "{map.log_query}"
			l.logQuery(d)
		case value == "":
			l.refuse(d, fmt.Sprintf("LogFormat: %%%s%c is not known of a request", map[bool]string{true: "{" + name + "}", false: ""}[name != ""], format[i]), "docs/access-log.md has what a log knows")
			return "", false
		}
		b.WriteString(value)
	}
	return b.String(), true
}

// logQuery is the map of %q: the query with its "?".
func (l *lowering) logQuery(d *directive) {
	l.refuse(d, "LogFormat: %q alone is not known of a request", "write %U%q as %r, which has both")
}

// wide is what holds for all of a site.
func (l *lowering) wide(s *site) {
	t := s.table
	if c := l.compression(s.base); c != nil {
		t.Set("compress", c, placeOf(firstOf(s.base.filters)))
	} else {
		t.Set("compress", false, t.Place())
	}
	elsewhere := false
	for _, of := range s.sections {
		for _, d := range l.everything(of.list) {
			elsewhere = elsewhere || d.name == "header"
		}
	}
	s.headersHere = elsewhere
	if h := l.headers(s.base.headers); !h.Empty() && !elsewhere {
		t.Set("headers", h, s.base.headers[0].place)
	} else if !h.Empty() {
		s.always = h // of what has no section of its own
	}
	s.pages = s.base.errors
	if s.root != "" {
		s.pages = l.holding(area{m: &mapping{kind: isFiles, prefix: "/", folder: s.root}, prefix: "/", folder: s.root}, nil).errors
	}
	if pages := l.errorPages(s.pages); !pages.Empty() {
		t.Set("error_pages", pages, t.Place())
	}
	if d := s.last("proxyerroroverride"); d != nil && d.on() {
		t.Set("error_pages_of_apps", true, d.place)
	}
	if d := s.last("remoteipproxyprotocol"); d != nil && d.on() {
		t.Set("proxy_protocol", true, d.place)
	}
	if d := s.last("usecanonicalname"); d != nil && !strings.EqualFold(d.arg(0), "off") {
		s.note(d, "the site's own address in redirects and variables is the one that was asked for")
	}
	if d := s.base.charset; d != nil && !strings.EqualFold(d.arg(0), "on") && !strings.EqualFold(strings.ReplaceAll(d.arg(0), "_", "-"), "utf-8") {
		l.refuse(d, "AddDefaultCharset "+d.arg(0)+": files of text are said to be UTF-8", "convert them, or name their types with AddType text/html;charset=… .html")
	}
	if d := s.base.forceType; d != nil {
		l.refuse(d, "ForceType: types go by extensions", "write AddType")
	}
	for _, name := range []string{"allowencodedslashes", "acceptpathinfo", "hostnamelookups", "protocols", "httpprotocoloptions", "mergeslashes", "indexignore"} {
		if d := s.last(name); d != nil {
			l.wideNote(s, d)
		}
	}
}

func (l *lowering) wideNote(s *site, d *directive) {
	notes := map[string]string{
		"allowencodedslashes": "%2F in a path reaches apps and back ends as it is", "acceptpathinfo": "scripts have what follows them as PATH_INFO, files do not",
		"hostnamelookups": "no name is looked up", "protocols": "HTTP/1.1 is spoken, and HTTP/2 over TLS", "httpprotocoloptions": "requests are read strictly",
		"mergeslashes": "several slashes count as one", "indexignore": "names that begin with a dot are not listed",
	}
	s.note(d, notes[d.name])
}

// errorPages is ErrorDocument, of all statuses.
func (l *lowering) errorPages(of map[string]*directive) *document.Table {
	pages := document.Inline()
	for _, code := range sortedKeys(of) {
		l.errorPage(pages, code, of[code])
	}
	return pages
}

// ownPages is the error_pages of a route, where they are not the site's.
func (l *lowering) ownPages(c *conf) pairs {
	same := len(c.errors) == len(l.site.pages)
	var at *directive
	for code, d := range c.errors {
		if other := l.site.pages[code]; other == nil || other.arg(1) != d.arg(1) {
			same, at = false, d
		}
	}
	if same {
		return nil
	}
	var p pairs
	p.set("error_pages", l.errorPages(c.errors), placeOf(at))
	return p
}

// errorPage is an ErrorDocument.
func (l *lowering) errorPage(pages *document.Table, code string, d *directive) {
	to := d.arg(1)
	n, err := strconv.Atoi(code)
	switch {
	case err != nil || n < 400 || n > 599:
		l.refuse(d, fmt.Sprintf("ErrorDocument: Unsupported HTTP response code %s", code), "it takes one from 400 to 599")
	case strings.EqualFold(to, "default"):
	case strings.HasPrefix(to, "/"):
		pages.Set(code, document.Literal(path.Clean(to)), d.place)
	case strings.Contains(to, "://"):
		if n == 401 {
			l.refuse(d, "cannot use a full URL in a 401 ErrorDocument directive --- ignoring!", "write a path of the site, or a text")
			return
		}
		pages.Set(code, document.Literal(to), d.place)
	default:
		pages.Set(code, l.errorText(code, to, d), d.place)
	}
}

// errorText is the path of a text of ErrorDocument, made at its first use.
func (l *lowering) errorText(code, text string, d *directive) string {
	s := l.site
	if page := s.texts[text]; page != "" {
		return page
	}
	page := "/" + s.unique("__error_"+code)
	s.texts[text] = page
	var p pairs
	p.set("body", document.Literal(text), d.place)
	if strings.Contains(text, "<") {
		p.set("type", "text/html; charset=utf-8", d.place)
	}
	b := answer(d.place, "respond", p.inline())
	b.keys.set("internal", true, d.place)
	s.before = append(s.before, routed{cond: cond{path: page, at: d.place}, body: b})
	return page
}

// userDir is UserDir.
func (l *lowering) userDir(a area, c *conf, on cond, guard pairs) {
	d := a.m.d
	folder := d.arg(0)
	if strings.HasPrefix(folder, "/") || strings.Contains(folder, "*") || strings.Contains(folder, "://") {
		rest, ok := strings.CutPrefix(folder, "/home/*/")
		if !ok {
			l.refuse(d, "UserDir "+folder+": the folders of users are within their homes", "write UserDir public_html")
			return
		}
		folder = rest
	}
	var p pairs
	if folder != "public_html" {
		p.set("folder", folder, d.place)
	}
	var enabled, disabled []string
	all := true
	for _, u := range l.site.both() {
		if u.name != "userdir" || len(u.args) == 0 {
			continue
		}
		names := u.texts()[1:]
		switch strings.ToLower(u.arg(0)) {
		case "disabled":
			all = all && len(names) > 0
			disabled = append(disabled, names...)
		case "enabled":
			enabled = append(enabled, names...)
		}
	}
	disabled = slices.DeleteFunc(disabled, func(n string) bool { return n == "root" })
	if !all {
		if len(enabled) == 0 {
			l.site.emit(cond{path: "/~*", at: d.place}, status(d.place, 404))
			return
		}
		p.set("enabled", enabled, d.place)
	}
	if len(disabled) > 0 {
		p.set("disabled", disabled, d.place)
	}
	c = l.userDirConf(c, folder)
	if index := c.indexes(); !slices.Equal(index, []string{"index.html"}) {
		var files []string
		for _, i := range index {
			ext := extension(path.Ext(i))
			if h := c.handlers[ext]; h == nil && !strings.HasPrefix(i, "/") {
				files = append(files, i)
			}
		}
		p.set("index", append([]string{}, files...), d.place)
	}
	if c.has(optIndexes) {
		p.set("listing", true, placeOf(c.optionsAt))
	}
	var exts []string
	for _, h := range c.byHandler() {
		switch name := handlerName(h.d); {
		case (name == "cgi-script" || name == "fcgid-script") && c.has(optCGI):
			for _, e := range h.exts {
				exts = append(exts, "."+e)
			}
			if name == "fcgid-script" {
				l.site.table.Comment("FastCGI programs in the folders of users are started for each request, as CGI programs: each of them speaks both")
			}
		case name == "php" || strings.HasPrefix(name, "proxy:"):
			l.refuse(h.d, "PHP in the folders of users", "PHP is run below folders that are known when millrace starts")
		}
	}
	if len(exts) > 0 {
		cgi := document.Inline()
		cgi.Set("extensions", exts, placeOf(c.optionsAt))
		if !l.read.whole || l.read.loaded["suexec_module"] {
			cgi.Set("as_owner", true, placeOf(c.optionsAt)) // as suexec does
		}
		p.set("cgi", cgi, placeOf(c.optionsAt))
	}
	b := answer(d.place, "user_dirs", p.inline())
	b.keys = append(append(b.keys, guard...), l.around(c, "files", "")...)
	l.site.emit(cond{path: "/~*", at: d.place, client: on.client, method: on.method}, b)
}

// userDirConf is what holds in the folders of users: the sections that name them
// with a *.
func (l *lowering) userDirConf(c *conf, folder string) *conf {
	for i := range l.site.sections {
		s := &l.site.sections[i]
		like := "/home/someone/" + folder
		if s.kind != "directory" {
			continue
		}
		if s.pattern == "/" || s.pattern == "/home" || isGlob(s.pattern) && tried("^"+glob(s.pattern, false)+"$", like) || s.regexp && tried(s.pattern, like) {
			c = c.with(s.list, scope{folder: s.pattern})
		}
	}
	return c
}
