package adapt

// This file: what a case is asked. Nothing is left to chance: the same list
// comes out each time.

import (
	"strings"
)

// bad are targets that a server answers by itself, whatever it is configured to.
var bad = []string{
	"/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/a/../../etc/passwd", "/sub/../about.html", "/sub/./page.html", "/..", "/.",
	"/%00", "/about.html%00.txt", "/a%0d%0aX-Bad:%20yes", "/%zz", "/%", "/about%2ehtml", "/sub%2fpage.html", "/%2e", "*", "nothing",
	"/.hidden", "/.ht/secret.txt", "/.git/config", "/sub/.hidden", "//", "//about.html", "/sub//page.html", "/sub///page.html",
	"/a%20file.txt", "/50%25.txt", "/m%C3%A9dia.txt", "/m\xc3\xa9dia.txt", "/about.html?", "/about.html?a=1&b=%26&c", "/about.html??x", "/?/about.html",
	"/about.html;v=1", "/ABOUT.HTML", "/about.html/", "/about.html/more", "/sub", "/sub/", "/sub/index.html", "/missing", "/missing/", "/sub/missing.html",
	"/about.html#part", "/a+b", "/%7eann/", "/index.html~", "/notes.bak", "/file.unknown", "/LICENSE", "/" + strings.Repeat("long/", 100),
}

// generic are the requests that every case has, for the paths that it names.
func generic(paths []string) []request {
	var all []request
	for _, target := range bad {
		all = append(all, request{target: target, kind: "bad"})
	}
	for i, p := range paths {
		all = append(all, request{target: p, kind: "plain"}, request{method: "HEAD", target: p, kind: "head"})
		for j, v := range variants(p) {
			if (i+j)%3 == 0 { // each path has a third of them, and each of them a third of the paths
				all = append(all, v)
			}
		}
	}
	return all
}

// variants are a path's other ways to be asked for.
func variants(p string) []request {
	path, query, _ := strings.Cut(p, "?")
	if query != "" {
		query = "?" + query
	}
	slash := strings.LastIndex(path, "/")
	last := path[slash+1:]
	encoded := path
	if last != "" {
		encoded = path[:slash+1] + "%" + strings.ToUpper(hex(last[0])) + last[1:]
	}
	other := path + "/"
	if last == "" {
		other = strings.TrimSuffix(path, "/")
	}
	if other == "" {
		other = "/?"
	}
	return []request{
		{target: encoded + query, kind: "encoded"},
		{target: path[:slash] + "/" + path[slash:] + query, kind: "slashes"},
		{target: other + query, kind: "slash"},
		{target: p + more(query) + "x=1&y=%20%2F&x=2", kind: "query"},
		{target: p, header: "If-Modified-Since: Thu, 04 Mar 2021 05:06:07 GMT\n", kind: "conditional"},
		{target: p, header: "If-Modified-Since: Thu, 04 Mar 2021 05:06:06 GMT\n", kind: "conditional"},
		{target: p, header: "If-None-Match: @ETAG@\n", kind: "conditional"},
		{target: p, header: "If-None-Match: \"other\"\n", kind: "conditional"},
		{target: p, header: "Range: bytes=0-4\n", kind: "range"},
		{target: p, header: "Range: bytes=-3\n", kind: "range"},
		{target: p, header: "Range: bytes=900000-\n", kind: "range"},
		{target: p, header: "Range: bytes=2-3\nIf-Range: \"other\"\n", kind: "range"},
		{target: p, header: "Accept-Encoding: gzip\n", kind: "gzip"},
		{target: p, header: "Accept-Encoding: gzip;q=0, deflate\n", kind: "gzip"},
		{method: "POST", target: p, header: "Content-Type: application/x-www-form-urlencoded\n", body: "a=1&b=2", kind: "body"},
		{method: "PUT", target: p, body: strings.Repeat("0123456789", 300), kind: "body"},
		{method: "DELETE", target: p, kind: "method"},
		{method: "OPTIONS", target: p, kind: "method"},
		{method: "BREW", target: p, kind: "method"},
		{target: p, header: "Cookie: a=1; b=\"2\"\nX-Custom: some value\nReferer: http://elsewhere.example.com/\n", kind: "headers"},
		{target: p, header: "X_Under: score\nProxy: http://evil.example.com/\n", kind: "headers"},
		{target: "http://absolute.example.com" + p, kind: "absolute"},
	}
}

func more(query string) string {
	if query == "" {
		return "?"
	}
	return "&"
}

func hex(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}

// each are requests for the targets with the same of everything else.
func each(r request, targets ...string) []request {
	var all []request
	for _, target := range targets {
		r.target = target
		all = append(all, r)
	}
	return all
}

// basic is an Authorization of base64 text.
func basic(credentials string) string { return "Authorization: Basic " + credentials + "\n" }

// What the sites' password files know, and what they do not.
var (
	ali      = basic("YWxpOnNlc2FtZQ==") // ali:sesame, a hash of bcrypt
	bob      = basic("Ym9iOmNhdmU=")     // bob:cave, one of Apache's MD5
	stranger = basic("YWxpOm9wZW4=")     // ali:open
)

// authorized are requests for targets that ask for a password.
func authorized(targets ...string) []request {
	var all []request
	for _, h := range []string{"", ali, bob, stranger, basic("bm9ib2R5Og=="), "Authorization: Basic !!!\n", "Authorization: Bearer x\n"} {
		all = append(all, each(request{header: h, kind: "auth"}, targets...)...)
	}
	return all
}

// named are requests for targets by the names of hosts.
func named(hosts []string, targets ...string) []request {
	var all []request
	for _, h := range hosts {
		all = append(all, each(request{host: h, kind: "host"}, targets...)...)
	}
	return all
}

// at are requests for another host.
func at(host string, all []request) []request {
	for i := range all {
		all[i].host = host
	}
	return all
}

// told are what the echo does when it is told to, below a path that leads to it.
func told(path string) []request {
	var all []request
	for _, q := range []string{
		"status&code=404", "status&code=403", "status&code=500", "status&code=503", "status&code=204", "status&code=201", "status&code=401",
		"redirect&to=/elsewhere", "redirect&to=http://internal.example.com/x", "redirect&to=http://shop.lan/y", "redirect&to=https://other.example.com/",
		"cookie", "headers", "long", "long&type=image/png", "long&type=application/json", "etag",
	} {
		all = append(all, request{target: path + "?do=" + q, kind: "told"})
	}
	return append(all,
		request{target: path + "?do=long", header: "Accept-Encoding: gzip\n", kind: "told"},
		request{target: path + "?do=long&type=image/png", header: "Accept-Encoding: gzip\n", kind: "told"},
		request{target: path + "?do=headers", header: "Accept-Encoding: gzip\n", kind: "told"},
		request{target: path + "?do=etag", header: "If-None-Match: \"e1\"\n", kind: "told"},
		request{method: "HEAD", target: path + "?do=long", kind: "told"},
		request{method: "HEAD", target: path + "?do=redirect&to=/x", kind: "told"},
		request{method: "POST", target: path + "?do=status&code=404", body: "a body", kind: "told"},
	)
}
