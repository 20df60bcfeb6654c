package adapt

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace/internal/testkit"
)

func TestLighttpd(t *testing.T) {
	peer{name: "lighttpd", sites: lighttpdSites(), start: startLighttpd, lay: layLighttpd}.side(t)
}

// layLighttpd copies a configuration and what it includes.
func layLighttpd(t *testing.T, s site, names *strings.Replacer, dir string) string {
	t.Helper()
	for _, name := range []string{s.served, "mime.conf"} {
		text, err := os.ReadFile(filepath.Join("testdata/lighttpd", name))
		if err != nil {
			t.Fatal(err)
		}
		testkit.Write(t, filepath.Join(dir, name), names.Replace(string(text)))
	}
	return filepath.Join(dir, s.served)
}

func startLighttpd(t *testing.T, s site, dir, host string) {
	t.Helper()
	p := testkit.Run(t, exec.Command(testkit.Need(t, "lighttpd"), "-D", "-f", filepath.Join(dir, s.served)))
	p.Listening(host + port)
}

func lighttpdSites() []site {
	return []site{
		{name: "site", served: "site.conf", from: "lighttpd", requests: slices.Concat(
			generic([]string{"/", "/about.html", "/style.css", "/app.js", "/data.json", "/plain.txt", "/image.png", "/big.txt", "/robots.txt", "/sub/", "/sub/page.html", "/media/", "/media/photos/", "/media/photos/one.jpg", "/media/report.pdf",
				"/static/css/site.css", "/static/js/app.js", "/static/favicon.ico", "/docs/a.txt", "/docs/", "/blog/12/some-title", "/tags/a?x=1", "/keep/b.txt", "/moved/a.txt", "/page.php", "/LICENSE", "/file.unknown"}),
			authorized("/secret/file.txt", "/secret/", "/secret", "/private/note.txt", "/private/note", "/private/index.html"),
			each(request{kind: "rewrite"}, "/blog/12/some-title/", "/blog/12/Some", "/blog/x/y", "/tags/a", "/tags/b?y", "/keep/a.txt?q=1", "/keep/missing", "/app.js?x", "/moved/x?y=1", "/moved/x%20y", "/away", "/away/x?y=1",
				"/t%61gs/a", "/tags%2fa", "/%74ags%2Fa?%79", "/m%6Fved/a%2fb?%41=%2f%3c"),
			each(request{kind: "access"}, "/index.html~", "/notes.bak", "/x.inc", "/missing~", "/sub/index.php", "/static", "/staticx", "/media", "/media/missing", "/media/photos", "/errors/404.html", "/?debug=1", "/?x=1&debug=1", "/?%64ebug=1", "/?x=%3c&d%65bug=%31", "/?debug%3d1", "/?xdebug=1", "/about.html?debug=12"),
			named([]string{"www.example.com", "www.example.com:8001", "WWW.example.com", "jo.pages.example.com", "j0.pages.example.com", "old.example.com", "nobody.example.com"}, "/", "/about.html?x=1", "/a%20b"),
			[]request{
				{target: "/", header: "User-Agent: SomeBot/1.0\n", kind: "condition"}, {target: "/about.html", header: "User-Agent: Mozilla\n", kind: "condition"},
				{target: "/about.html", header: "Cookie: beta=yes\n", kind: "condition"}, {target: "/about.html", header: "Cookie: beta=no\n", kind: "condition"},
				{method: "DELETE", target: "/about.html", kind: "condition"}, {target: "/image.png", header: "Referer: http://evil.example.com/page\n", kind: "condition"},
				{target: "/about.html", header: "Referer: http://evil.example.com/page\n", kind: "condition"}, {target: "/image.png", header: "Referer: http://good.example.com/page\n", kind: "condition"},
				{method: "POST", target: "/about.html", body: strings.Repeat("x", 1000), kind: "limit"},
			},
		)},
		{name: "fastcgi", served: "fastcgi.conf", from: "lighttpd", backends: []string{"fcgi1", "fcgi2", "fcgi3", "tcp", "scgi", "http"}, balanced: []string{"/balanced"}, requests: slices.Concat(
			generic([]string{"/", "/about.html", "/plain.txt", "/missing", "/some/path?x=1", "/dispatch.fcgi", "/dispatch.fcgi/a/b?x=1", "/short/12", "/spawned", "/spawned/a/b?c=d", "/page.php", "/page.php/extra", "/sub/index.php",
				"/guarded/a.txt", "/sends/x", "/scgi/a/b", "/http/x?y=1", "/spawnedx"}),
			told("/dispatch.fcgi"), told("/spawned/"), told("/http/x"), told("/scgi/"), told("/sends/"), told("/missing"),
			named([]string{"denied.example.com"}, "/page.php", "/page.php/", "/page.php/x", "/page.php/x.html", "/sub/", "/sub/index.php", "/sub/index.php/x", "//page.php/x", "/pag%65.php/x", "/about.html"),
			each(request{header: "X-Word: sesame\n", kind: "auth"}, "/guarded/a.txt", "/guarded/c.html?x=1", "/guarded/missing.php"),
			each(request{kind: "auth"}, "/guarded/a.txt", "/guarded/c.html", "/guarded/missing.php", "/guarded/missing.php/x", "/guarded/missing.PHP5", "//guarded/missing.php"),
			[]request{
				{target: "/sends/x?do=sendfile&file=@SITE@/protected/sent.txt", kind: "sendfile"},
				{target: "/spawned?do=sendfile&file=@SITE@/protected/sent.txt", kind: "sendfile"}, {target: "/short/x", kind: "rewrite"},
				{method: "POST", target: "/missing", body: "a=1", kind: "body"}, {method: "POST", target: "/spawned", body: strings.Repeat("0123456789", 3000), kind: "body"},
				{method: "POST", target: "/spawned", header: "Transfer-Encoding: chunked\n", body: "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", kind: "chunked"},
				{target: "/dispatch.fcgi/a%2Fb%20c?d=%2F", kind: "encoded"}, {target: "/spawned/a%2Fb%20c?d=%2F", kind: "encoded"}, {target: "/http/a%2Fb%20c?d=%2F", kind: "encoded"},
				{target: "/dispatch.fcgi", host: "some.example.com:8001", kind: "host"},
			},
		)},
		{name: "root", served: "root.conf", from: "lighttpd", backends: []string{"fcgi1", "fcgi2"}, requests: slices.Concat(
			generic([]string{"/", "/about.html", "/plain.txt"}),
			named([]string{"django.example.com", "site.example.com:8001"}, "/", "/polls/1/?a=b", "/media/notes.txt", "/media/photos/one.jpg", "/media/missing", "/media", "/mediax", "/favicon.ico", "/about.html", "/mysite.fcgi/x", "/a%20b/c", "/a%2Fb", "/x?media"),
			named([]string{"root.example.com"}, "/", "/polls/1/?a=b", "/about.html", "/sub/", "/a%20b", "//x"),
			named([]string{"files.example.com"}, "/polls/1/", "/about.html", "/docs/a.txt"),
			named([]string{"front.example.com"}, "/app/x", "/app/", "/app/x?y=1", "/app", "/app.js", "/about.html"),
			named([]string{"programs.example.com"}, "/cgi-bin/echo.cgi", "/cgi-bin/echo.cgi/info?x=1", "/cgi-bin/", "/cgi-bin/missing.cgi", "/programs/show.cgi?a", "/programs/readme.txt", "/programs/", "/programs/show.cgi/more/path", "/cgi-bin/echo.cgi?do=redirect&to=/x", "/cgi-bin/echo.cgi?do=status&code=404", "/cgi-bin/echo.cgi?do=cookie"),
			named([]string{"people.example.com"}, "/~ann/", "/~ann/page.txt", "/~bob/", "/~bob/page.txt", "/~nobody/", "/~/", "/~", "/~ann", "/~ann?x=1", "/~nobody", "/%7Eann", "/~a%20b", "/~ann/missing", "/~ann/../bob/", "/%7Eann/page.txt", "/~../", "/~.hidden/", "/about.html"),
			named([]string{"x.a.many.example.com", "a.many.example.com", "b.many.example.com", "c.many.example.com"}, "/", "/page.txt", "/missing"),
			named([]string{"a.example", "b.example", "B.example", "a.example:8001", "nowhere.example"}, "/", "/page.txt", "/missing", "/../b.example/htdocs/page.txt"),
			[]request{{method: "POST", target: "/cgi-bin/echo.cgi", host: "programs.example.com", body: "a=1&b=2", kind: "body"}, {method: "HEAD", target: "/cgi-bin/echo.cgi", host: "programs.example.com", kind: "head"}, {method: "POST", target: "/polls/", host: "root.example.com", body: "x=1", kind: "body"}},
		)},
	}
}
