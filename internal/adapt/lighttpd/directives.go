package lighttpd

// This file: every directive that is known, and what becomes of it.

import (
	"slices"
	"strings"

	"millrace/internal/suggest"
)

// fate is what becomes of a directive.
type fate int

const (
	lowered  fate = iota // somewhere in this package
	harmless             // a comment says why it has no meaning here
	refused              // a problem says why not
)

// scope is where a directive may stand, as far as it has an equal here.
type scope int

const (
	ofServer  scope = iota // outside of conditions alone
	ofSite                 // also within conditions on host and socket
	ofRequest              // within any condition
)

// directive is a line of the table.
type directive struct {
	name  string
	shape string // of its value: s string, n number, b enable or disable, l list; several: one of them
	fate  fate
	scope scope
	why   string // of what is harmless or refused
}

const (
	ofTheLoop   = "there is nothing to choose here"
	ofTheSystem = "the system's own limits hold"
	itself      = "millrace does so by itself"
)

var directives = []directive{
	{"server.modules", "l", lowered, ofServer, ""},
	{"server.document-root", "s", lowered, ofRequest, ""},
	{"server.port", "n", lowered, ofServer, ""},
	{"server.bind", "s", lowered, ofServer, ""},
	{"server.use-ipv6", "b", lowered, ofSite, ""},
	{"server.set-v6only", "b", lowered, ofSite, ""},
	{"server.errorlog", "s", lowered, ofServer, ""},
	{"server.errorlog-use-syslog", "b", refused, ofServer, "millrace logs to a file or to stderr, which systemd takes on"},
	{"server.breakagelog", "s", harmless, ofServer, "what programs write to stderr is in the error log"},
	{"server.event-handler", "s", harmless, ofServer, ofTheLoop},
	{"server.network-backend", "s", harmless, ofServer, ofTheLoop},
	{"server.error-handler", "s", lowered, ofSite, ""},
	{"server.error-handler-404", "s", lowered, ofRequest, ""},
	{"server.error-intercept", "b", lowered, ofSite, ""},
	{"server.errorfile-prefix", "s", lowered, ofSite, ""},
	{"server.tag", "s", lowered, ofSite, ""},
	{"server.name", "s", harmless, ofRequest, "SERVER_NAME is the host that the client asks for"},
	{"server.max-keep-alive-requests", "n", harmless, ofRequest, "a connection takes any number of requests"},
	{"server.max-keep-alive-idle", "n", lowered, ofServer, ""},
	{"server.max-read-idle", "n", lowered, ofServer, ""},
	{"server.max-write-idle", "n", lowered, ofServer, ""},
	{"server.max-connections", "n", lowered, ofServer, ""},
	{"server.max-request-size", "n", lowered, ofRequest, ""},
	{"server.max-request-field-size", "n", lowered, ofServer, ""},
	{"server.max-fds", "n", harmless, ofServer, ofTheSystem},
	{"server.max-worker", "n", harmless, ofServer, "one process uses all processors"},
	{"server.listen-backlog", "n", harmless, ofSite, ofTheSystem},
	{"server.reject-expect-100-with-417", "b", harmless, ofServer, itself},
	{"server.username", "s", lowered, ofServer, ""},
	{"server.groupname", "s", lowered, ofServer, ""},
	{"server.chroot", "s", refused, ofServer, "millrace itself has no root folder of its own; apps have chroot"},
	{"server.pid-file", "s", lowered, ofServer, ""},
	{"server.upload-dirs", "l", lowered, ofServer, ""},
	{"server.core-files", "b", harmless, ofServer, ofTheSystem},
	{"server.feature-flags", "l", harmless, ofServer, "they choose among ways of lighttpd's own"},
	{"server.http-parseopts", "l", harmless, ofServer, "paths are decoded once, cleaned, and refused where they lead out"},
	{"server.http-parseopt-header-strict", "b", harmless, ofServer, "headers are read strictly"},
	{"server.http-parseopt-host-strict", "b", harmless, ofServer, "the Host is read strictly"},
	{"server.http-parseopt-host-normalize", "b", harmless, ofServer, "the Host is compared in lower case"},
	{"server.systemd-socket-activation", "b", harmless, ofServer, "write listen = [\"systemd:NAME\"] for a socket of systemd's"},
	{"server.defer-accept", "n", harmless, ofSite, ofTheSystem},
	{"server.protocol-http11", "b", harmless, ofRequest, "HTTP/1.0 and HTTP/1.1 are spoken as the client has it"},
	{"server.h2proto", "b", harmless, ofSite, "HTTP/2 is spoken over TLS"},
	{"server.follow-symlink", "b", lowered, ofRequest, ""},
	{"server.range-requests", "b", harmless, ofRequest, "ranges are answered; a client that asks for none gets none"},
	{"server.force-lowercase-filenames", "b", refused, ofRequest, "names of files are compared as they are"},
	{"server.stat-cache-engine", "s", harmless, ofServer, "[server.file_cache] keeps what is known of files"},
	{"server.stream-request-body", "n", lowered, ofRequest, ""},
	{"server.stream-response-body", "n", harmless, ofRequest, "a client gets at once what there is, and a back end never waits for it"},
	{"server.kbytes-per-second", "n", refused, ofRequest, "the rate of a response is not bounded"},
	{"connection.kbytes-per-second", "n", refused, ofRequest, "the rate of a response is not bounded"},
	{"server.indexfiles", "l", lowered, ofRequest, ""},
	{"index-file.names", "l", lowered, ofRequest, ""},
	{"server.dir-listing", "b", lowered, ofRequest, ""},
	{"dir-listing.activate", "b", lowered, ofRequest, ""},
	{"dir-listing.encoding", "s", harmless, ofRequest, "listings are in UTF-8"},
	{"dir-listing.hide-dotfiles", "b", harmless, ofRequest, "names that begin with a dot are never listed"},
	{"dir-listing.show-header", "bs", refused, ofRequest, "listings have no texts around them"},
	{"dir-listing.show-readme", "bs", refused, ofRequest, "listings have no texts around them"},
	{"dir-listing.hide-header-file", "b", harmless, ofRequest, "there is no such file"},
	{"dir-listing.hide-readme-file", "b", harmless, ofRequest, "there is no such file"},
	{"dir-listing.set-footer", "s", harmless, ofRequest, "listings have no footer"},
	{"dir-listing.external-css", "s", harmless, ofRequest, "listings have a look of their own"},
	{"dir-listing.external-js", "s", harmless, ofRequest, "listings have a look of their own"},
	{"dir-listing.encode-header", "b", harmless, ofRequest, "there is no such file"},
	{"dir-listing.encode-readme", "b", harmless, ofRequest, "there is no such file"},
	{"dir-listing.auto-layout", "b", harmless, ofRequest, "listings have a look of their own"},
	{"dir-listing.exclude", "l", lowered, ofRequest, ""},
	{"dir-listing.cache", "l", harmless, ofRequest, "listings are made anew"},
	{"static-file.exclude-extensions", "l", lowered, ofRequest, ""},
	{"static-file.etags", "b", harmless, ofRequest, "files have an ETag and a Last-Modified"},
	{"static-file.use-etags", "b", harmless, ofRequest, "files have an ETag and a Last-Modified"},
	{"static-file.disable-pathinfo", "b", harmless, ofRequest, "a file has no path behind it"},
	{"etag.use-inode", "b", harmless, ofRequest, "an ETag is of size and time"},
	{"etag.use-mtime", "b", harmless, ofRequest, "an ETag is of size and time"},
	{"etag.use-size", "b", harmless, ofRequest, "an ETag is of size and time"},
	{"mimetype.assign", "l", lowered, ofRequest, ""},
	{"mimetype.use-xattr", "b", harmless, ofRequest, "the type of a file is by its name"},
	{"mimetype.xattr-name", "s", harmless, ofRequest, "the type of a file is by its name"},
	{"url.rewrite", "l", lowered, ofRequest, ""},
	{"url.rewrite-once", "l", lowered, ofRequest, ""},
	{"url.rewrite-final", "l", lowered, ofRequest, ""},
	{"url.rewrite-repeat", "l", lowered, ofRequest, ""},
	{"url.rewrite-if-not-file", "l", lowered, ofRequest, ""},
	{"url.rewrite-repeat-if-not-file", "l", lowered, ofRequest, ""},
	{"url.redirect", "l", lowered, ofRequest, ""},
	{"url.redirect-code", "n", lowered, ofRequest, ""},
	{"url.access-deny", "l", lowered, ofRequest, ""},
	{"url.access-allow", "l", lowered, ofRequest, ""},
	{"access.deny", "l", lowered, ofRequest, ""},
	{"alias.url", "l", lowered, ofRequest, ""},
	{"fastcgi.server", "l", lowered, ofRequest, ""},
	{"fastcgi.balance", "s", lowered, ofRequest, ""},
	{"fastcgi.map-extensions", "l", lowered, ofRequest, ""},
	{"fastcgi.debug", "n", harmless, ofRequest, "millrace request and bench show what goes over a connection"},
	{"scgi.server", "l", lowered, ofRequest, ""},
	{"scgi.balance", "s", lowered, ofRequest, ""},
	{"scgi.map-extensions", "l", lowered, ofRequest, ""},
	{"scgi.protocol", "s", lowered, ofRequest, ""},
	{"scgi.debug", "n", harmless, ofRequest, "millrace request and bench show what goes over a connection"},
	{"proxy.server", "l", lowered, ofRequest, ""},
	{"proxy.balance", "s", lowered, ofRequest, ""},
	{"proxy.map-extensions", "l", lowered, ofRequest, ""},
	{"proxy.debug", "n", harmless, ofRequest, "millrace request and bench show what goes over a connection"},
	{"proxy.forwarded", "l", refused, ofRequest, "back ends get X-Forwarded-For, -Host and -Proto, and no Forwarded"},
	{"proxy.header", "l", lowered, ofRequest, ""},
	{"proxy.replace-http-host", "b", refused, ofRequest, "back ends are told the host that the client asked for"},
	{"cgi.assign", "l", lowered, ofRequest, ""},
	{"cgi.execute-x-only", "b", harmless, ofRequest, "a program that is not executable, and has no interpreter, is 403"},
	{"cgi.x-sendfile", "b", refused, ofRequest, "a CGI program cannot have files sent"},
	{"cgi.x-sendfile-docroot", "l", refused, ofRequest, "a CGI program cannot have files sent"},
	{"cgi.local-redir", "b", harmless, ofRequest, "Location: /path of a program is routed anew"},
	{"cgi.upgrade", "b", refused, ofRequest, "a CGI program cannot take over a connection"},
	{"cgi.limits", "l", lowered, ofRequest, ""},
	{"auth.require", "l", lowered, ofRequest, ""},
	{"auth.backend", "s", lowered, ofRequest, ""},
	{"auth.backend.htpasswd.userfile", "s", lowered, ofRequest, ""},
	{"auth.backend.plain.userfile", "s", lowered, ofRequest, ""},
	{"auth.backend.plain.groupfile", "s", lowered, ofRequest, ""},
	{"auth.cache", "l", harmless, ofRequest, "a password that was right is known for a while"},
	{"auth.extern-authn", "b", refused, ofRequest, "who the client is can be asked of an app: auth of a route"},
	{"auth.debug", "n", harmless, ofRequest, "the error log says who was refused"},
	{"setenv.add-request-header", "l", lowered, ofRequest, ""},
	{"setenv.add-response-header", "l", lowered, ofRequest, ""},
	{"setenv.add-environment", "l", lowered, ofRequest, ""},
	{"setenv.set-request-header", "l", lowered, ofRequest, ""},
	{"setenv.set-response-header", "l", lowered, ofRequest, ""},
	{"setenv.set-environment", "l", lowered, ofRequest, ""},
	{"accesslog.filename", "s", lowered, ofSite, ""},
	{"accesslog.format", "s", lowered, ofSite, ""},
	{"accesslog.use-syslog", "b", refused, ofSite, "an access log is a file, or stdout, which systemd takes on"},
	{"accesslog.syslog-level", "n", harmless, ofSite, "there is no syslog"},
	{"accesslog.escaping", "s", harmless, ofSite, "a log's values are always escaped"},
	{"expire.url", "l", lowered, ofRequest, ""},
	{"expire.mimetypes", "l", refused, ofRequest, "how long a file is kept goes by its path: expire.url says it"},
	{"deflate.mimetypes", "l", lowered, ofSite, ""},
	{"deflate.allowed-encodings", "l", lowered, ofSite, ""},
	{"deflate.max-compress-size", "n", harmless, ofRequest, "what is compressed has no upper bound"},
	{"deflate.min-compress-size", "n", lowered, ofSite, ""},
	{"deflate.compression-level", "n", lowered, ofSite, ""},
	{"deflate.params", "l", harmless, ofRequest, "each encoding has a level of its own"},
	{"deflate.cache-dir", "s", harmless, ofRequest, "compressed files are kept in memory"},
	{"deflate.max-loadavg", "s", harmless, ofRequest, "each file is compressed once"},
	{"deflate.output-buffer-size", "n", harmless, ofRequest, ofTheLoop},
	{"deflate.work-block-size", "n", harmless, ofRequest, ofTheLoop},
	{"compress.filetype", "l", lowered, ofSite, ""},
	{"compress.allowed-encodings", "l", lowered, ofSite, ""},
	{"compress.cache-dir", "s", harmless, ofRequest, "compressed files are kept in memory"},
	{"compress.max-filesize", "n", harmless, ofRequest, "what is compressed has no upper bound"},
	{"compress.max-loadavg", "s", harmless, ofRequest, "each file is compressed once"},
	{"userdir.path", "s", lowered, ofRequest, ""},
	{"userdir.basepath", "s", lowered, ofRequest, ""},
	{"userdir.include-user", "l", lowered, ofRequest, ""},
	{"userdir.exclude-user", "l", lowered, ofRequest, ""},
	{"userdir.letterhomes", "b", refused, ofRequest, "homes are those of the system's users"},
	{"userdir.active", "b", lowered, ofRequest, ""},
	{"evhost.path-pattern", "s", lowered, ofRequest, ""},
	{"simple-vhost.server-root", "s", lowered, ofRequest, ""},
	{"simple-vhost.document-root", "s", lowered, ofRequest, ""},
	{"simple-vhost.default-host", "s", lowered, ofRequest, ""},
	{"simple-vhost.debug", "n", harmless, ofRequest, "there is nothing to be told"},
	{"status.status-url", "s", lowered, ofRequest, ""},
	{"status.config-url", "s", refused, ofRequest, "millrace shows no configuration to clients"},
	{"status.statistics-url", "s", refused, ofRequest, "millrace serves its numbers at the address status of [server]"},
	{"status.enable-sort", "b", harmless, ofRequest, "the status has an order of its own"},
	{"extforward.forwarder", "l", lowered, ofServer, ""},
	{"extforward.headers", "l", lowered, ofServer, ""},
	{"extforward.hap-PROXY", "b", lowered, ofSite, ""},
	{"evasive.max-conns-per-ip", "n", lowered, ofServer, ""},
	{"evasive.silent", "b", harmless, ofServer, "the error log says what is refused"},
	{"ssl.engine", "b", lowered, ofSite, ""},
	{"ssl.pemfile", "s", lowered, ofSite, ""},
	{"ssl.privkey", "s", lowered, ofSite, ""},
	{"ssl.ca-file", "s", lowered, ofSite, ""},
	{"ssl.verifyclient.activate", "b", lowered, ofSite, ""},
	{"ssl.verifyclient.enforce", "b", lowered, ofSite, ""},
	{"ssl.verifyclient.ca-file", "s", lowered, ofSite, ""},
	{"ssl.verifyclient.depth", "n", harmless, ofSite, "a chain may be as long as it is"},
	{"ssl.verifyclient.username", "s", refused, ofSite, "a certificate makes no REMOTE_USER: apps are told of it by SSL_CLIENT_S_DN_CN and its like"},
	{"ssl.verifyclient.exportcert", "b", harmless, ofSite, "apps get SSL_CLIENT_CERT with the others"},
	{"ssl.openssl.ssl-conf-cmd", "l", lowered, ofSite, ""},
	{"ssl.cipher-list", "s", harmless, ofSite, "the ciphers are Go's, which has none that are weak"},
	{"ssl.honor-cipher-order", "b", harmless, ofSite, "the ciphers are Go's, which has none that are weak"},
	{"ssl.dh-file", "s", harmless, ofSite, "keys are exchanged by elliptic curves"},
	{"ssl.ec-curve", "s", harmless, ofSite, "Go chooses the curve"},
	{"ssl.use-sslv2", "b", harmless, ofSite, "TLS 1.2 is the oldest that is spoken"},
	{"ssl.use-sslv3", "b", harmless, ofSite, "TLS 1.2 is the oldest that is spoken"},
	{"ssl.use-compression", "b", harmless, ofSite, "there is none"},
	{"ssl.disable-client-renegotiation", "b", harmless, ofSite, "there is none"},
	{"ssl.empty-fragments", "b", harmless, ofSite, "TLS 1.2 is the oldest that is spoken"},
	{"ssl.stapling-file", "s", harmless, ofSite, "no response of OCSP is sent along"},
	{"ssl.read-ahead", "b", harmless, ofSite, ofTheLoop},
	{"debug.log-request-header", "b", harmless, ofRequest, "the error log has one level"},
	{"debug.log-response-header", "b", harmless, ofRequest, "the error log has one level"},
	{"debug.log-request-handling", "b", harmless, ofRequest, "the error log has one level"},
	{"debug.log-file-not-found", "b", harmless, ofRequest, "the access log has the status"},
	{"debug.log-condition-handling", "b", harmless, ofRequest, "the error log has one level"},
	{"debug.log-condition-cache-handling", "b", harmless, ofRequest, "the error log has one level"},
	{"debug.log-request-header-on-error", "b", harmless, ofRequest, "the error log has one level"},
	{"debug.log-ssl-noise", "b", harmless, ofServer, "the error log has one level"},
	{"debug.log-timeouts", "b", harmless, ofServer, "the error log has one level"},
	{"debug.log-state-handling", "b", harmless, ofServer, "the error log has one level"},
}

// elsewhere are modules of which nothing is carried over, by the beginnings of
// their directives.
var elsewhere = map[string]string{
	"webdav.": "there is no WebDAV", "magnet.": "there is no Lua", "ssi.": "there are no server-side includes",
	"rrdtool.": "the numbers are at the address status of [server], for Prometheus", "secdownload.": "there are no links that expire",
	"ajp13.": "write an [upstream.NAME] with protocol = \"ajp\"", "uwsgi.": "scgi.protocol = \"uwsgi\" says it", "wstunnel.": "WebSockets are passed on as they are",
	"sockproxy.": "connections that are not HTTP are not passed on", "vhostdb.": "hosts stand in the file", "mysql-vhost.": "hosts stand in the file",
	"auth.backend.": "passwords stand in a file of htpasswd's", "geoip.": "no place is known of a client", "maxminddb.": "no place is known of a client",
	"trigger-before-download.": "there is no such thing", "cml.": "there is no Lua", "flv-streaming.": "files are sent whole, or by ranges",
	"usertrack.": "no cookie is set for clients", "evasive.": "max_connections_per_client of [server] bounds them", "acme.": "ask [site.tls] acme for certificates",
	"ssl.acme-tls-1": "acme of [site.tls] does it by itself", "ssl.stek-file": "keys of tickets change by themselves",
}

// directiveOf is the line of a name; nil: it is not known.
func directiveOf(name string) *directive {
	for i := range directives {
		if directives[i].name == name {
			return &directives[i]
		}
	}
	return nil
}

// shapes reports whether a value has one of a directive's shapes.
func (d *directive) takes(v *value) bool {
	for _, of := range d.shape {
		switch {
		case of == 's' && v.shape == isText, of == 'n' && v.shape == isNumber, of == 'l' && v.shape == isList:
			return true
		case of == 'n' && v.shape == isText && v.text != "" && strings.Trim(v.text, "0123456789") == "":
			return true
		case of == 'b' && v.shape == isText && (v.text == "enable" || v.text == "disable"),
			of == 'b' && v.shape == isNumber && v.number >= 0 && v.number <= 1:
			return true
		}
	}
	return false
}

// wanted is what a directive takes, in words.
func (d *directive) wanted() string {
	var all []string
	for _, of := range d.shape {
		all = append(all, map[rune]string{'s': `a string, "…"`, 'n': "a number", 'l': "a list in parentheses", 'b': `"enable" or "disable"`}[of])
	}
	return strings.Join(all, " or ")
}

// survey says of each setting what cannot be carried over, before anything is made.
func (l *lowering) survey() {
	for _, b := range l.blocks {
		for _, s := range b.settings {
			if !strings.HasPrefix(s.name, "var.") {
				l.look(b, s)
			}
		}
	}
}

func (l *lowering) look(b *block, s *setting) {
	d := directiveOf(s.name)
	if d == nil {
		for beginning, why := range elsewhere {
			if strings.HasPrefix(s.name, beginning) {
				l.problems.Add(s.at, s.name+" cannot be carried over: "+why, "leave it out, if the site does without")
				return
			}
		}
		hint := "lighttpd ignores what it does not know; leave it out"
		var names []string
		for i := range directives {
			names = append(names, directives[i].name)
		}
		if like := suggest.Nearest(s.name, names); like != "" {
			hint = "did you mean " + like + "?"
		}
		l.problems.Add(s.at, "unknown config-key: "+shown(s.name)+" (which lighttpd ignores)", hint)
		return
	}
	switch {
	case !d.takes(s.value):
		l.problems.Add(s.value.at, s.name+" takes "+d.wanted()+", and this is "+s.value.shape.String(), "write "+s.name+" = "+d.wanted())
	case d.fate == refused && s.value.text != "disable" && !(s.value.shape == isNumber && s.value.number == 0):
		l.problems.Add(s.at, s.name+" cannot be carried over: "+d.why, "leave it out, if the site does without")
	case s.name == "server.http-parseopts":
		l.parseOptions(s)
	case d.fate != lowered:
	case d.scope == ofServer && b.parent != nil:
		l.problems.Add(s.at, s.name+" is for the whole server, and stands within a condition", "move it out of the condition")
	case d.scope == ofSite && !l.ofSite(b):
		l.problems.Add(s.at, s.name+" is the same for all requests to a host, and stands within a condition on "+l.fieldOf(b), `it can stand outside of conditions, in $HTTP["host"], $HTTP["scheme"] and $SERVER["socket"]`)
	}
}

// parseOptions refuses options that have lighttpd refuse what is answered here.
func (l *lowering) parseOptions(s *setting) {
	for _, of := range s.value.items {
		if (of.key == "url-path-2f-reject" || of.key == "url-invalid-utf8-reject") && enabled(of.value) {
			l.problems.Add(of.at, s.name+" "+quote(of.key)+" cannot be carried over: an encoded slash is a slash of the path, and bytes are not looked at as text", "leave it out, if the site does without")
		}
	}
}

// ofSite reports whether a block depends on host, scheme and socket alone.
func (l *lowering) ofSite(b *block) bool { return l.fieldOf(b) == "" }

// fieldOf is what a block depends on beside them, as it is written.
func (l *lowering) fieldOf(b *block) string {
	for ; b != nil && b.parent != nil; b = b.parent {
		for p := b; p != nil; p = p.prev {
			if p.cond != nil && !slices.Contains([]string{"host", "scheme", "socket"}, p.cond.field) {
				if p.cond.field == "header" {
					return `$REQUEST_HEADER["` + p.cond.name + `"]`
				}
				return `$HTTP["` + p.cond.field + `"]`
			}
		}
	}
	return ""
}

// comments says of all that has no meaning here why that is so.
func (l *lowering) comments() {
	for _, b := range l.blocks {
		for _, s := range b.settings {
			d := directiveOf(s.name)
			if d != nil && (d.fate == harmless || d.fate == refused) {
				l.document.Top().Comment(place(s.at) + ": " + s.name + " is left out: " + d.why)
			}
		}
	}
}
