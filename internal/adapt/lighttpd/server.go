package lighttpd

// This file: what is for the whole server, and for all requests of a site.

import (
	"fmt"
	"maps"
	"mime"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// server writes [server].
func (l *lowering) server() {
	top := l.blocks[0]
	t := l.document.Table("server", top.at)
	text := func(name, key string, of func(string) string) {
		if s := top.byName[name]; s != nil && s.value.text != "" {
			t.Set(key, of(s.value.text), s.at)
		}
	}
	same := func(s string) string { return s }
	text("server.username", "user", same)
	text("server.groupname", "group", same)
	text("server.pid-file", "pidfile", absolute)
	text("server.errorlog", "error_log", absolute)
	seconds := func(name string, keys ...string) {
		if s := top.byName[name]; s != nil && number(s.value) > 0 {
			for _, key := range keys {
				t.Set(key, fmt.Sprintf("%ds", number(s.value)), s.at)
			}
		}
	}
	seconds("server.max-keep-alive-idle", "idle_timeout")
	seconds("server.max-read-idle", "header_timeout", "body_timeout")
	seconds("server.max-write-idle", "write_timeout")
	if s := top.byName["server.max-connections"]; s != nil && number(s.value) > 0 {
		t.Set("max_connections", int(number(s.value)), s.at)
	}
	if s := top.byName["evasive.max-conns-per-ip"]; s != nil && number(s.value) > 0 {
		t.Set("max_connections_per_client", int(number(s.value)), s.at)
	}
	if s := top.byName["server.max-request-field-size"]; s != nil && number(s.value) > 0 {
		t.Set("max_header", fmt.Sprintf("%dB", number(s.value)), s.at)
	}
	if s := top.byName["server.upload-dirs"]; s != nil {
		if len(s.value.items) > 1 {
			t.Comment("of the folders for bodies the first is used")
		}
		if len(s.value.items) > 0 {
			t.Set("spool", absolute(s.value.items[0].value.string()), s.at)
		}
	}
	l.proxies(t, top)
}

// proxies writes who tells whose request it passes on.
func (l *lowering) proxies(t *document.Table, top *block) {
	if s := top.byName["extforward.forwarder"]; s != nil {
		var trusted []string
		for _, of := range s.value.items {
			switch how := of.value.string(); {
			case how != "trust":
			case of.key == "all":
				trusted = append(trusted, "0.0.0.0/0", "::/0")
			default:
				if _, ok := networkOf(of.key); !ok {
					l.problems.Add(of.at, "invalid IP addr: "+shown(of.key), "write an address, a network, or \"all\"")
					continue
				}
				trusted = append(trusted, of.key)
			}
		}
		if len(trusted) > 0 {
			t.Set("trusted_proxies", trusted, s.at)
		}
	}
	s := top.byName["extforward.headers"]
	if s == nil {
		return
	}
	var headers []string
	for _, of := range s.value.items {
		name := strings.ToLower(of.value.string())
		if name != "x-forwarded-for" && name != "forwarded" {
			l.problems.Add(of.at, "extforward.headers cannot be carried over with "+quote(of.value.string()), "the header is X-Forwarded-For or Forwarded")
			continue
		}
		headers = append(headers, name)
	}
	if len(headers) > 1 {
		t.Comment("of the headers the first is read: all that are named must be the proxy's own")
		headers = headers[:1]
	}
	if len(headers) > 0 {
		t.Set("proxy_headers", headers, s.at)
	}
}

// types are mimetype.assign in a case as a table; what has no type there is
// application/octet-stream.
func (l *lowering) types(all []known) (*document.Table, document.Place) {
	t := document.Inline()
	s := l.effective("mimetype.assign", all)
	if s == nil {
		t.Set("", "application/octet-stream", l.blocks[0].at)
		return t, l.blocks[0].at
	}
	for _, of := range s.value.items {
		key, kind := of.key, of.value.string()
		_, _, err := mime.ParseMediaType(kind)
		switch {
		case !of.keyed || of.value.shape == isList:
			l.problems.Add(of.at, `mimetype.assign takes "ending" => "type"`, `write ".html" => "text/html"`)
		case err != nil || !strings.Contains(kind, "/"):
			l.problems.Add(of.value.at, quote(kind)+" is not a media type", `write one like "text/html"`)
		case strings.Contains(key, "/"):
			l.problems.Add(of.at, "mimetype.assign cannot be carried over with "+quote(key)+": a type is by the name of a file", `write an ending, ".html", or a name`)
		default:
			t.Set(key, kind, of.at)
		}
	}
	if t.Get("") == nil {
		t.Set("", "application/octet-stream", s.at)
	}
	return t, s.at
}

func (l *lowering) links(t *document.Table, all []known) {
	if s := l.effective("server.follow-symlink", all); s != nil {
		t.Set("follow_symlinks", enabled(s.value), s.at)
		return
	}
	t.Set("follow_symlinks", true, document.Place{})
}

// log writes the access log.
func (l *lowering) log(t *document.Table, all []known) {
	file := l.effective("accesslog.filename", all)
	format := l.effective("accesslog.format", all)
	if file == nil || file.value.text == "" {
		return
	}
	if strings.HasPrefix(file.value.text, "|") {
		l.problems.Add(file.value.at, "accesslog.filename cannot be carried over: a log is a file, not a program", "write it to a file, which millrace rotates by access_log_max_size")
		return
	}
	t.Set("access_log", absolute(file.value.text), file.at)
	if format == nil {
		t.Set("log_format", logFormat(defaultFormat, nil), file.at)
		return
	}
	t.Set("log_format", logFormat(format.value.text, func(problem string) {
		l.problems.Add(format.value.at, "accesslog.format cannot be carried over: "+problem, "the placeholders of a log are in docs/access-log.md")
	}), format.at)
}

// defaultFormat is lighttpd's own.
const defaultFormat = `%h %V %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`

// logFields are the letters of a log's format.
var logFields = map[byte]string{
	'h': "{client}", 'a': "{client}", 'l': "-", 'u': "{user}", 't': "[{time}]", 'r': "{request}", 's': "{status}", 'b': "{bytes}", 'B': "{bytes}", 'O': "{bytes}",
	'm': "{method}", 'U': "{path}", 'q': "{query}", 'H': "{protocol}", 'p': "{port}", 'v': "{host}", 'V': "{host}", 'T': "{duration}", '%': "%",
}

var logField = regexp.MustCompile(`%[<>]?(?:\{([^}]*)\})?([A-Za-z%])`)

func logFormat(format string, fail func(string)) string {
	if format == `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"` {
		return "combined"
	}
	var b strings.Builder
	rest := 0
	for _, m := range logField.FindAllStringSubmatchIndex(format, -1) {
		b.WriteString(document.Literal(format[rest:m[0]]))
		rest = m[1]
		name, letter := "", format[m[4]]
		if m[2] >= 0 {
			name = format[m[2]:m[3]]
		}
		switch {
		case letter == 'i' && name != "":
			b.WriteString("{header." + name + "}")
		case letter == 'o' && name != "":
			b.WriteString("{response." + name + "}")
		case letter == 'C' && name != "":
			b.WriteString("{cookie." + name + "}")
		case letter == 't' && name == "", name == "" && logFields[letter] != "":
			b.WriteString(logFields[letter])
		case letter == 't' && name == "sec":
			b.WriteString("{time_unix}")
		case letter == 'T' && name == "ms":
			b.WriteString("{request_time_ms}")
		default:
			fail("no placeholder stands for " + quote(format[m[0]:m[1]]))
		}
	}
	return b.String() + document.Literal(format[rest:])
}

// errorPages writes the pages of server.errorfile-prefix, which are looked for now,
// and of server.error-handler.
func (l *lowering) errorPages(t *document.Table, all []known) {
	pages := document.Inline()
	if s := l.effective("server.errorfile-prefix", all); s != nil && s.value.text != "" {
		prefix := absolute(s.value.text)
		if strings.HasSuffix(s.value.text, "/") {
			prefix += "/"
		}
		for status := 400; status < 600; status++ {
			file := prefix + strconv.Itoa(status) + ".html"
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
				pages.Set(strconv.Itoa(status), "file:"+document.Literal(file), s.at)
			}
		}
		if pages.Empty() {
			t.Comment("there is no page of an error like " + filepath.Base(prefix) + "404.html")
		}
	}
	if s := l.effective("server.error-handler", all); s != nil && s.value.text != "" {
		pages.Set("4xx", withQuery(s.value.text), s.at)
		pages.Set("5xx", withQuery(s.value.text), s.at)
	}
	l.missing(pages, all)
	if pages.Empty() {
		return
	}
	t.Set("error_pages", pages, t.Place())
	if s := l.effective("server.error-intercept", all); s != nil && enabled(s.value) {
		t.Set("error_pages_of_apps", true, s.at)
	}
}

// missing adds what server.error-handler-404 says to pages of errors: that path
// answers, as it is asked for, with a status of its own.
func (l *lowering) missing(pages *document.Table, all []known) {
	s := l.handler404(all)
	if s == nil {
		return
	}
	group := l.handlerGroup(s)
	for _, status := range []string{"403", "404"} {
		if pages.Get("4xx") == nil { // server.error-handler goes before it
			pages.Set(status, "= @"+group, s.at)
		}
	}
}

// handlerGroup is the group whose routes begin anew with the path of a handler.
func (l *lowering) handlerGroup(s *setting) string {
	group := l.handlers[s.value.text]
	if group == "" {
		group = "error-handler-" + strconv.Itoa(len(l.handlers)+1)
		l.handlers[s.value.text] = group
	}
	return group
}

func (l *lowering) handler404(all []known) *setting {
	if s := l.effective("server.error-handler-404", all); s != nil && s.value.text != "" {
		return s
	}
	return nil
}

// withQuery is a path with the query that it has, which may be none, in place of that
// of the request.
func withQuery(path string) string {
	if !strings.Contains(path, "?") {
		path += "?"
	}
	return document.Literal(path)
}

// handlerRoutes are the groups that missing has named: each begins anew with a path.
func (l *lowering) handlerRoutes(t *document.Table) {
	for _, path := range slices.Sorted(maps.Keys(l.handlers)) {
		to := document.Inline()
		to.Set("to", withQuery(path), t.Place())
		to.Set("repeat", true, t.Place())
		l.emit(t, l.handlers[path], []*route{(&route{at: t.Place()}).set("rewrite", to, t.Place())})
	}
}

// compression writes what is compressed: nothing, if nothing is said.
func (l *lowering) compression(t *document.Table, all []known) {
	types := l.effective("deflate.mimetypes", all)
	encodings := l.effective("deflate.allowed-encodings", all)
	if types == nil {
		types = l.effective("compress.filetype", all)
		encodings = l.effective("compress.allowed-encodings", all)
	}
	if types == nil || len(types.value.items) == 0 {
		t.Set("compress", false, t.Place())
		return
	}
	in := document.Inline()
	var names []string
	for _, of := range types.value.items {
		name := of.value.string()
		if name == "" || name == "*" || name == "*/*" {
			l.problems.Add(of.at, types.name+" cannot be carried over with "+quote(name)+": types are named, or are all of a kind", `write "text/", or "application/json"`)
			continue
		}
		kind, _, _ := strings.Cut(name, ";")
		if kind = strings.TrimSpace(kind); strings.HasSuffix(kind, "/") {
			kind += "*"
		}
		if !slices.Contains(names, kind) {
			names = append(names, kind)
		}
	}
	in.Set("types", names, types.at)
	offered := []string{"gzip"}
	if encodings != nil {
		offered = nil
		for _, of := range encodings.value.items {
			name := strings.TrimPrefix(strings.ToLower(of.value.string()), "x-")
			switch name {
			case "brotli":
				name = "br"
			case "gzip", "br", "zstd":
			default: // deflate and bzip2, which every client that has them has gzip beside
				continue
			}
			if !slices.Contains(offered, name) {
				offered = append(offered, name)
			}
		}
		if len(offered) == 0 {
			offered = []string{"gzip"}
		}
	}
	at := types.at
	if encodings != nil {
		at = encodings.at
	}
	in.Set("encodings", offered, at)
	least := int64(256)
	if s := l.effective("deflate.min-compress-size", all); s != nil {
		least, at = max(1, number(s.value)), s.at
	}
	in.Set("min_size", fmt.Sprintf("%dB", least), at)
	if s := l.effective("deflate.compression-level", all); s != nil && number(s.value) >= 1 && number(s.value) <= 9 {
		in.Set("gzip_level", int(number(s.value)), s.at)
	}
	t.Set("compress", in, types.at)
}

func (l *lowering) proxyProtocol(t *document.Table, all []known) {
	if s := l.effective("extforward.hap-PROXY", all); s != nil && enabled(s.value) {
		t.Set("proxy_protocol", true, s.at)
	}
}

// tag writes the Server header.
func (l *lowering) tag(t *document.Table, all []known) {
	s := l.effective("server.tag", all)
	if s == nil {
		return
	}
	headers := document.Inline()
	if s.value.text == "" {
		headers.Set("remove", []string{"Server"}, s.at)
	} else {
		set := document.Inline()
		set.Set("Server", document.Literal(s.value.text), s.at)
		headers.Set("set", set, s.at)
	}
	t.Set("headers", headers, s.at)
}

// tls writes [site.tls].
func (l *lowering) tls(t *document.Table, all []known) {
	engine := l.effective("ssl.engine", all)
	if engine == nil || !enabled(engine.value) {
		return
	}
	in := document.Inline()
	pem := l.effective("ssl.pemfile", all)
	if pem == nil {
		l.problems.Add(engine.at, "ssl.pemfile has to be set when ssl.engine = \"enable\"", "write ssl.pemfile = \"FILE\"")
		return
	}
	in.Set("certificate", absolute(pem.value.text), pem.at)
	if s := l.effective("ssl.privkey", all); s != nil {
		in.Set("key", absolute(s.value.text), s.at)
	}
	if s := l.effective("ssl.ca-file", all); s != nil {
		verify := l.effective("ssl.verifyclient.activate", all)
		if verify == nil || !enabled(verify.value) {
			l.problems.Add(s.at, "ssl.ca-file cannot be carried over: the chain stands in the file of the certificate", "cat "+shown(pem.value.text)+" "+shown(s.value.text)+", and name the result in ssl.pemfile")
		}
	}
	l.clients(in, all)
	if s := l.effective("ssl.openssl.ssl-conf-cmd", all); s != nil {
		if v := s.value.get("MinProtocol"); v != nil && v.text == "TLSv1.3" {
			in.Set("min_version", "1.3", v.at)
		}
	}
	in.Set("http3", false, engine.at)
	t.Set("tls", in, engine.at)
}

// clients writes whose certificates are asked for.
func (l *lowering) clients(in *document.Table, all []known) {
	verify := l.effective("ssl.verifyclient.activate", all)
	if verify == nil || !enabled(verify.value) {
		return
	}
	ca := l.effective("ssl.verifyclient.ca-file", all)
	if ca == nil {
		ca = l.effective("ssl.ca-file", all)
	}
	if ca == nil {
		l.problems.Add(verify.at, "ssl.verifyclient.activate needs ssl.verifyclient.ca-file", "name the roots of the clients' certificates")
		return
	}
	in.Set("client_ca", absolute(ca.value.text), ca.at)
	if s := l.effective("ssl.verifyclient.enforce", all); s != nil && !enabled(s.value) {
		in.Set("client_auth", "optional", s.at)
	}
}
