package adapt

// This file: the differences that are accepted, each with its reason. A rule
// that no request needs fails the test of its server.

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

var (
	// ownPage is what each server makes by itself for an error, a redirect or a
	// folder.
	ownPage = regexp.MustCompile(`<center>nginx|<!DOCTYPE HTML PUBLIC "-//(IETF|W3C)//DTD HTML|<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0|<!DOCTYPE html>\n<html lang="en">\n +<head>`)
	// ourPage is what millrace does.
	ourPage = regexp.MustCompile(`^(\d\d\d [^\n]*\n|<a href="[^\n]*">[^\n]*</a>\n|)$`)

	dots     = regexp.MustCompile(`(?i)/(\.|%2e){1,2}(/|%2f|\\|;|$|\?)`)
	controls = regexp.MustCompile(`(?i)%(0[0-9a-f]|1[0-9a-f]|7f)`)
	hidden   = regexp.MustCompile(`(?i)/(\.|%2e)[^/.%]`)
)

// path is the target without its query.
func path(x exchange) string {
	p, _, _ := strings.Cut(x.request.target, "?")
	return p
}

func target(re *regexp.Regexp, status int) func(x exchange) bool {
	return func(x exchange) bool { return re.MatchString(path(x)) && x.ours.status == status }
}

func statuses(theirs, ours int) func(x exchange) bool {
	return func(x exchange) bool { return x.theirs.status == theirs && x.ours.status == ours }
}

// madeByThemselves: both have answered with a page that nobody wrote.
func madeByThemselves(x exchange) bool {
	if x.theirs.failed != "" || x.ours.failed != "" || x.ours.status < 300 {
		return false
	}
	if x.request.method == "HEAD" {
		return x.theirs.status >= 300
	}
	return (x.theirs.body == "" || ownPage.MatchString(x.theirs.body)) && ourPage.MatchString(x.ours.body)
}

// samePlace: two Locations lead to the same place.
func samePlace(x exchange) bool {
	base := &url.URL{Scheme: "http", Host: "host:8001", Path: "/"}
	if x.request.host != "" {
		base.Host = x.request.host
	}
	resolve := func(r *response) string {
		u, err := base.Parse(strings.ReplaceAll(r.header.Get("Location"), "@HOST@", "host"))
		if err != nil {
			return r.header.Get("Location")
		}
		return strings.ReplaceAll(u.String(), "@HOST@", "host")
	}
	return x.ours.header.Get("Location") != "" && resolve(x.theirs) == resolve(x.ours)
}

var table = []rule{
	{
		name: "dot segments", reason: "a path with . or .. in it is refused before anything looks at it, encoded or not: nobody needs one, and every other reading of it was a hole once",
		when: target(dots, 400),
	},
	{
		name: "control characters", reason: "a path with a control character is refused, whatever a server makes of it",
		when: target(controls, 400),
	},
	{
		name: "hidden names", reason: "names that begin with a dot are never served as files, nor told from what is missing",
		when: target(hidden, 404),
	},
	{
		name: "own pages", reason: "the pages of errors and redirects that nobody wrote are each server's own",
		fields: []string{"body", "Content-Type", "X-Content-Type-Options"}, when: madeByThemselves,
	},
	{
		name: "nosniff", reason: "files have the type that is said, and browsers are told not to guess",
		fields: []string{"X-Content-Type-Options"}, theirs: "^$", ours: "^nosniff$",
	},
	{
		name: "relative Location", reason: "a Location may be relative (RFC 9110, 10.2.2), and leads to the same place",
		servers: "nginx apache",
		fields:  []string{"Location"}, when: samePlace,
	},
	{
		name: "told to back ends", reason: "each request has a name, under which the logs have it, and the time it came; back ends over HTTP are told by X-Forwarded-* whose it is",
		fields: []string{"env HTTP_X_REQUEST_ID", "env HTTP_X_REQUEST_START", "env HTTP_X_FORWARDED_FOR", "env HTTP_X_FORWARDED_HOST", "env HTTP_X_FORWARDED_PROTO"}, theirs: "^$",
	},
	{
		name: "what a stranger forwards", reason: "X-Forwarded-For of a client that is no trusted proxy is not passed on: it may say anything",
		servers: "nginx apache", fields: []string{"env HTTP_X_FORWARDED_FOR"}, theirs: "^192.0.2.7, 127.0.0.1$", ours: "^127.0.0.1$",
	},
	{
		name: "hop by hop", reason: "Connection is between two, and ends with each (RFC 9110, 7.6.1)",
		fields: []string{"env HTTP_CONNECTION", "env HTTP_TRANSFER_ENCODING", "env proxy-nokeepalive"}, ours: "^$",
	},
	{
		name: "Proxy", reason: "a request's header Proxy would become HTTP_PROXY, which programs take for their own proxy (httpoxy)",
		servers: "nginx apache", fields: []string{"env HTTP_PROXY"}, ours: "^$",
	},
	{
		name: "lengths and types twice", reason: "CONTENT_LENGTH and CONTENT_TYPE are not told under a second name (RFC 3875, 4.1.18)",
		servers: "nginx lighttpd", fields: []string{"env HTTP_CONTENT_LENGTH", "env HTTP_CONTENT_TYPE"}, ours: "^$",
	},
	{
		name: "methods of files", reason: "files take GET, HEAD and OPTIONS, which is answered; the others are 405 with Allow, POST as well",
		when: func(x exchange) bool {
			if x.ours.header == nil || !strings.Contains(x.ours.header.Get("Allow"), "HEAD") { // it was no file that was asked for
				return false
			}
			switch x.request.Method() {
			case "POST": // who answers it as a GET, finds what is there, or is not
				return x.ours.status == 405 && slices.Contains([]int{200, 301, 404, 405}, x.theirs.status)
			case "PUT", "DELETE", "BREW":
				return x.ours.status == 405 && slices.Contains([]int{404, 405, 501}, x.theirs.status)
			case "OPTIONS":
				return x.ours.status == 204 && slices.Contains([]int{200, 404, 405}, x.theirs.status)
			}
			return false
		},
	},
	{
		name: "folders", reason: "a folder that is not listed and has no index is not found, as what is not there",
		servers: "apache",
		when:    func(x exchange) bool { return statuses(403, 404)(x) && strings.HasSuffix(path(x), "/") },
	},
	{
		name: "listings", reason: "listings are millrace's own: names, sizes and times, sorted and in pages; by Accept also as JSON; asked for again they are 304",
		when: func(x exchange) bool {
			if x.theirs.status != 200 || x.request.method != "HEAD" && !strings.Contains(x.theirs.body, "Index of") { // it is one there, too
				return false
			}
			return strings.Contains(x.ours.header.Get("Content-Security-Policy"), "style-src 'sha256-") || x.ours.status == 304
		},
	},
	{
		name: "Vary", reason: "what may be compressed for other clients says so to caches, errors as well",
		servers: "nginx apache",
		fields:  []string{"Vary"}, theirs: "^$|^accept-encoding$", ours: "^$|^accept-encoding$",
	},
	{
		name: "304", reason: "a 304 says what a cache needs to update what it has (RFC 9110, 15.4.5), and no more",
		fields: []string{"Accept-Ranges", "Last-Modified", "Expires", "Content-Type", "Cache-Control"}, when: statuses(304, 304),
	},
	{
		name: "pages of errors have no date", reason: "the validators of a page are not those of the error: caches would go by them",
		servers: "nginx apache",
		fields:  []string{"Accept-Ranges", "Last-Modified", "Etag"}, ours: "^$", when: func(x exchange) bool { return x.ours.status >= 400 && x.theirs.status >= 400 },
	},
	{
		name: "headers of errors", reason: "which errors and redirects have the headers of a place is each server's own; here all that is said for them, and nothing else",
		servers: "nginx apache lighttpd", fields: []string{"Cache-Control", "X-Always", "X-Kind", "X-Kept", "X-Twice", "X-From", "X-Server", "X-By", "X-Uri", "Expires"},
		when: func(x exchange) bool { return x.ours.status >= 300 && x.theirs.status >= 300 },
	},
	{
		name: "416", reason: "a range that is not there is told how long the file is (RFC 9110, 15.5.17)",
		servers: "apache lighttpd",
		fields:  []string{"Content-Range"}, theirs: "^$", ours: `^bytes \*/\d+$`, when: statuses(416, 416),
	},
	{
		name: "Expires", reason: "Cache-Control: max-age says it, and goes before Expires with every cache (RFC 9111, 5.3)",
		servers: "nginx apache", fields: []string{"Expires"}, theirs: "there", ours: "^$",
		when: func(x exchange) bool { return x.ours.header.Get("Cache-Control") != "" || x.ours.status == 304 },
	},
	{
		name: "charset of passwords", reason: "browsers are told to send names and passwords as UTF-8 (RFC 7617, 2.1)",
		servers: "nginx apache",
		fields:  []string{"Www-Authenticate"}, ours: `^Basic realm="[^"]*", charset="UTF-8"$`, when: statuses(401, 401),
	},
	{
		name: "own pages of 401 and 413", reason: "these pages are each server's own as well",
		fields: []string{"body", "Content-Type", "X-Content-Type-Options"}, when: func(x exchange) bool {
			return x.theirs.status == x.ours.status && ownPage.MatchString(x.theirs.body) && regexp.MustCompile(`^[A-Z][A-Za-z ]+\n$`).MatchString(x.ours.body)
		},
	},
	{
		name: "charset of text", reason: "text says that it is UTF-8, where the server says nothing and browsers guess",
		fields: []string{"Content-Type"}, theirs: "^text/[a-z-]+$", ours: "^text/[a-z-]+; charset=utf-8$",
	},
	{
		name: "charset of back ends", reason: "charset is not added to what a back end says of its text, nor to the types of charset_types",
		servers: "nginx", sites: "django", fields: []string{"Content-Type"}, theirs: "^(text/[a-z]+|application/javascript); charset=utf-8$", ours: "^(text/[a-z]+|application/javascript)$",
	},
	{
		name: "unknown types", reason: "a file whose type is not known is application/octet-stream: browsers do not guess what it is",
		servers: "apache nginx", fields: []string{"Content-Type"}, theirs: "^$|^application/x-trash$|^text/plain$", ours: "^application/octet-stream$|^$",
	},
	{
		name: "encoded slash", reason: "%2F in a path is a slash; Apache has it not found without AllowEncodedSlashes",
		servers: "apache", when: func(x exchange) bool {
			return x.theirs.status == 404 && strings.Contains(strings.ToLower(path(x)), "%2f")
		},
	},
	{
		name: "fragments", reason: "a target with a # is malformed (RFC 9112, 3.2)",
		servers: "nginx lighttpd", when: func(x exchange) bool { return x.ours.status == 400 && strings.Contains(x.request.target, "#") },
	},
	{
		name: "double slashes", reason: "a back end gets a path with several slashes as the client sent it; files are found by any",
		fields: []string{"env SCRIPT_NAME", "env DOCUMENT_URI", "env PATH_INFO", "env RAW_URI", "env SCRIPT_FILENAME", "Location"},
		when:   func(x exchange) bool { return strings.Contains(path(x), "//") },
	},
	{
		name: "the client's port", reason: "SERVER_PORT is the port of the URL that the client has, which its links are to have",
		servers: "nginx lighttpd", fields: []string{"env SERVER_PORT"}, theirs: "^8001$", ours: "^80$", when: func(x exchange) bool {
			return x.request.host != "" && !strings.Contains(x.request.host, ":") || strings.HasPrefix(x.request.target, "http://")
		},
	},
	{
		name: "nginx asks in HTTP/1.0", reason: "back ends are asked in HTTP/1.1",
		servers: "nginx", fields: []string{"env SERVER_PROTOCOL"}, theirs: "^HTTP/1.0$", ours: "^HTTP/1.1$",
	},
	{
		name: "CGI's own variables", reason: "what CGI/1.1 says each program gets (RFC 3875, 4.1), or the server's place tells, is there, and what no standard knows is not",
		fields: []string{"env GATEWAY_INTERFACE", "env SERVER_SOFTWARE", "env SERVER_ADDR", "env DOCUMENT_ROOT", "env REDIRECT_STATUS", "env REDIRECT_URI", "env PATH_TRANSLATED", "env CONTENT_LENGTH",
			"env CONTEXT_*", "env SCRIPT_UR*", "env SERVER_ADMIN", "env SERVER_SIGNATURE", "env BALANCER_*", "env HTTP_X_FORWARDED_SERVER", "env UNIQUE_ID", "env REDIRECT_*", "env PATH", "env SCRIPT_FILENAME"},
		when: func(x exchange) bool { return true },
	},
	{
		name: "SCRIPT_NAME of proxies", reason: "Apache tells FastCGI, SCGI and uwsgi back ends of ProxyPass the whole path as SCRIPT_NAME, under which no app finds its pages; here what follows is PATH_INFO",
		servers: "apache", sites: "proxy", fields: []string{"env SCRIPT_NAME", "env PATH_INFO"},
	},
	{
		name: "scripts that are not there", reason: "what asks for a script that does not exist is not found, and no back end is asked (cgi.fix_pathinfo)",
		servers: "apache", sites: "proxy", when: func(x exchange) bool { return strings.HasSuffix(path(x), "/missing.php") && x.ours.status == 404 },
	},
	{
		name: "ranges of back ends", reason: "a range of what a back end answers is the back end's to give",
		servers: "apache lighttpd", when: func(x exchange) bool { return x.request.kind == "range" && x.ours.status == 200 },
	},
	{
		name: "encodings as they came", reason: "a back end gets the path as the client spelt it",
		servers: "apache lighttpd", fields: []string{"env RAW_URI"},
	},
	{
		name: "the authorizer's own words", reason: "who is asked whether a request may pass also says what the client is told",
		servers: "nginx", sites: "gateways", fields: []string{"body", "Content-Type"}, theirs: "403 Forbidden|text/html", ours: "the cave stays shut|text/plain",
		when: statuses(403, 403),
	},
	{
		name: "nosniff once more", reason: "a header that is said once more says the same",
		servers: "nginx", fields: []string{"X-Content-Type-Options"}, theirs: "^nosniff$", ours: "^nosniff\nnosniff$",
	},
	{
		name: "the rest behind a file", reason: "what follows the name of a file makes it another path; lighttpd and Apache take it for PATH_INFO",
		servers: "lighttpd apache", when: func(x exchange) bool {
			return regexp.MustCompile(`(\.[a-z]+|LICENSE)/`).MatchString(path(x))
		},
	},
	{
		name: "REQUEST_URI of absolute targets", reason: "REQUEST_URI is what the client sent, of a target in absolute form as well",
		servers: "nginx", fields: []string{"env REQUEST_URI"}, ours: "^http://", when: func(x exchange) bool { return strings.HasPrefix(x.request.target, "http://") },
	},
	{
		name: "names without ports", reason: "a site is found by the name of the host; lighttpd compares the port as well, if the client sends it",
		servers: "lighttpd", sites: "root site", when: func(x exchange) bool { return strings.HasSuffix(x.request.host, ":8001") },
	},
	{
		name: "malformed escapes", reason: "a target with a % that begins no escape is malformed",
		servers: "lighttpd", when: func(x exchange) bool {
			return x.ours.status == 400 && (x.request.target == "/%" || x.request.target == "/%zz")
		},
	},
	{
		name: "hidden names of an app", reason: "what is no file, as a name with a dot, goes to the app",
		servers: "nginx lighttpd", sites: "django fastcgi", when: func(x exchange) bool { return hidden.MatchString(path(x)) },
	},
	{
		name: "Accept-Ranges", reason: "that ranges are taken is said of files, and of nothing else",
		servers: "nginx lighttpd",
		fields:  []string{"Accept-Ranges"}, when: func(x exchange) bool { return x.ours.status == 206 || x.ours.status == 200 },
	},
	{
		name: "the host of absolute targets", reason: "back ends are told the host that is asked for, which a target in absolute form names (RFC 9112, 3.2.2)",
		servers: "nginx", fields: []string{"env HTTP_HOST", "env SERVER_NAME", "Location"}, when: func(x exchange) bool { return strings.HasPrefix(x.request.target, "http://") },
	},
	{
		name: "type of a return", reason: "a text of the configuration is text, whatever the path's ending says",
		servers: "nginx", sites: "locations", fields: []string{"Content-Type"}, theirs: "^image/", ours: "^text/plain",
	},
	{
		name: "case of names in a query", reason: "the names in a query have their case, as apps see them",
		servers: "nginx", sites: "locations", fields: []string{"body"}, when: func(x exchange) bool { return strings.Contains(x.request.target, "KIND=") },
	},
	{
		name: "Retry-After", reason: "who comes too often is told when to come again",
		servers: "nginx", fields: []string{"Retry-After"}, theirs: "^$", when: statuses(429, 429),
	},
	{
		name: "X-Host", reason: "lighttpd's own header X-Host says what X-Forwarded-Host does",
		servers: "lighttpd", fields: []string{"env HTTP_X_HOST", "env HTTP_X_FORWARDED_PROTO"}, ours: "^$",
	},
	{
		name: "underscores in names", reason: "a header with _ in its name could pass for another one, and reaches no back end",
		servers: "lighttpd", fields: []string{"env HTTP_X_UNDER"}, ours: "^$",
	},
	{
		name: "methods that nobody knows", reason: "what a method means is the app's to say",
		servers: "lighttpd apache", when: func(x exchange) bool { return x.request.method == "BREW" && x.theirs.status == 501 },
	},
	{
		name: "validators of every file", reason: "a file has an ETag and a date, whether its type is known or not",
		servers: "lighttpd", fields: []string{"Etag", "Last-Modified"}, theirs: "^$", when: statuses(200, 200),
	},
	{
		name: "types of no content", reason: "what an app says of a type is passed on with a 204 as well",
		servers: "apache", fields: []string{"Content-Type"}, theirs: "^$", when: statuses(204, 204),
	},
	{
		name: "headers for all", reason: "which answers are errors: of a redirect or an error that the server makes by itself, Header set does nothing with Apache",
		servers: "apache", sites: "fcgid", fields: []string{"X-Ok", "X-Site", "Vary"}, when: func(x exchange) bool { return x.theirs.status >= 300 || x.ours.status >= 300 },
	},
	{
		name: "PHP of which nothing is said", reason: "what is in scripts is not sent, where a file of sites-available leaves to others who runs them",
		servers: "apache", sites: "site", when: func(x exchange) bool {
			return strings.HasSuffix(path(x), ".php") && x.theirs.status == 200 && x.ours.status == 403
		},
	},
	{
		name: "scripts by another name", reason: "a script whose extension stands before another one is not run, and what is in it is not sent",
		servers: "apache", sites: "access", when: func(x exchange) bool {
			return strings.Contains(path(x), ".cgi.") && x.theirs.status == 200 && x.ours.status == 403
		},
	},
	{
		name: "rules before passwords", reason: "who is turned away by a rule is told so whether he has a password or not",
		servers: "apache", sites: "access", when: func(x exchange) bool {
			return x.theirs.status == 401 && (x.ours.status == 403 || x.ours.status == 410)
		},
	},
	{
		name: "nobody's folder", reason: "who has no folder is not found, by any method",
		servers: "apache", sites: "fcgid", when: func(x exchange) bool { return strings.HasPrefix(path(x), "/~") && x.ours.status == 404 },
	},
	{
		name: "ProxyPassReverse of another path", reason: "the places of a ProxyPassReverse are those of its path's back ends; Apache looks for them in all answers of the host",
		servers: "apache", sites: "proxy", fields: []string{"Location"}, ours: "^http://internal.example.com/", when: func(x exchange) bool { return !strings.HasPrefix(path(x), "/http") },
	},
	{
		name: "type of ErrorDocument's text", reason: "a text of the configuration is text, and no HTML",
		servers: "apache", sites: "site", fields: []string{"Content-Type"}, theirs: "^text/html; charset=iso-8859-1$", ours: "^text/plain", when: statuses(403, 403),
	},
	{
		name: "lighttpd's text/javascript", reason: "files have the type that the table says; lighttpd puts text/javascript in its place",
		servers: "lighttpd", fields: []string{"Content-Type"}, theirs: "^text/javascript$", ours: "^application/javascript$",
	},
	{
		name: "malformed credentials", reason: "who sends what is no name and password is asked for them",
		servers: "lighttpd", sites: "site", when: statuses(400, 401),
	},
	{
		name: "methods of what is shut", reason: "a folder that nobody may see is shut for every method",
		servers: "lighttpd", sites: "site", when: func(x exchange) bool {
			return x.ours.status == 403 && x.request.method != "" && x.request.method != "HEAD"
		},
	},
	{
		name: "X-Sendfile", reason: "X-Sendfile is never passed on to the client, to whom it tells where files are",
		servers: "nginx", sites: "gateways", when: func(x exchange) bool { return x.theirs.header.Get("X-Sendfile") != "" },
	},
}
