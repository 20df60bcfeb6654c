package apache

// What belongs to the whole server, and to all of a site: users, times, logs,
// TLS, pages of errors.

import (
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
		case "phpinidir":
			t.Comment("PHPIniDir: php-cgi reads its own php.ini; PHPRC in the env of the app names another folder")
		}
	}
	if t.Get("error_log") == nil {
		for _, d := range l.ownOfHosts() {
			if d.name == "errorlog" && t.Get("error_log") == nil {
				l.errorLog(t, d)
			}
		}
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
		s.always = document.Inline() // of redirects and the like, which have no section of their own
		for _, key := range []string{"set", "add", "remove"} {
			if v := h.Get(key); v != nil {
				s.always.Set(key, v, s.base.headers[0].place)
			}
		}
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
	for _, name := range []string{"allowencodedslashes", "acceptpathinfo", "hostnamelookups", "protocols", "httpprotocoloptions", "mergeslashes"} {
		if d := s.last(name); d != nil {
			l.wideNote(s, d)
		}
	}
}

func (l *lowering) wideNote(s *site, d *directive) {
	notes := map[string]string{
		"allowencodedslashes": "%2F in a path reaches apps and back ends as it is", "acceptpathinfo": "scripts have what follows them as PATH_INFO, files do not",
		"hostnamelookups": "no name is looked up", "protocols": "HTTP/1.1 is spoken, and HTTP/2 over TLS", "httpprotocoloptions": "requests are read strictly",
		"mergeslashes": "several slashes count as one",
	}
	s.note(d, notes[d.name])
}
