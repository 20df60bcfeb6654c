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

func TestApache(t *testing.T) {
	peer{name: "apache", sites: apacheSites(), start: startApache, lay: layApache}.side(t)
}

// apacheMain is what is around a file of sites-available.
const apacheMain = `
ServerRoot "@DIR@"
ServerName 127.0.0.1
PidFile @DIR@/apache.pid
DefaultRuntimeDir @DIR@
ErrorLog @DIR@/error.log
User www-data
Group www-data
@MODULES@
Listen @HOST@:8001
TypesConfig /etc/mime.types
ScriptSock @DIR@/cgisock
StartServers 1
ServerLimit 2
ThreadsPerChild 16
MaxRequestWorkers 32
MinSpareThreads 8
MaxSpareThreads 32
<Directory />
	Options FollowSymLinks
	AllowOverride None
	Require all denied
</Directory>
<FilesMatch "^\.ht">
	Require all denied
</FilesMatch>
Include sites-enabled/*.conf
`

// apacheModules are those that files of sites-available take for granted.
const apacheModules = "mpm_event authn_core authn_file authz_core authz_host authz_user auth_basic access_compat mime dir alias rewrite headers cgid env setenvif expires " +
	"filter deflate autoindex proxy proxy_http proxy_fcgi proxy_scgi proxy_uwsgi proxy_balancer slotmem_shm lbmethod_byrequests"

// layApache makes a folder like /etc/apache2.
func layApache(t *testing.T, s site, names *strings.Replacer, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/apache", s.served))
	if err != nil {
		t.Fatal(err)
	}
	text := names.Replace(string(data))
	for _, sub := range []string{"run", "state", "fcgid"} {
		path := filepath.Join(dir, sub)
		if err := os.Mkdir(path, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(text, "\nListen ") {
		return testkit.Write(t, filepath.Join(dir, s.served), text)
	}
	var modules strings.Builder
	for name := range strings.FieldsSeq(apacheModules) {
		modules.WriteString("LoadModule " + name + "_module /usr/lib/apache2/modules/mod_" + name + ".so\n")
	}
	testkit.Write(t, filepath.Join(dir, "apache2.conf"), strings.ReplaceAll(names.Replace(apacheMain), "@MODULES@", modules.String()))
	return testkit.Write(t, filepath.Join(dir, "sites-enabled", s.served), text)
}

func startApache(t *testing.T, s site, dir, host string) {
	t.Helper()
	config := filepath.Join(dir, "apache2.conf")
	if _, err := os.Stat(config); err != nil {
		config = filepath.Join(dir, s.served)
	}
	p := testkit.Run(t, exec.Command(testkit.Need(t, "apache2"), "-f", config, "-DFOREGROUND"))
	p.Listening(host + port)
}

func apacheSites() []site {
	return []site{
		{name: "access", served: "access.conf", from: "apache", backends: []string{"http"}, requests: accessRequests()},
		{name: "fcgid", served: "fcgid.conf", from: "apache", requests: slices.Concat(
			generic([]string{"/", "/about.html", "/plain.txt", "/image.png", "/sub/", "/media/", "/media/photos/one.jpg", "/app.fcgi", "/app.fcgi/x/y?a=b", "/blog/a-post?x=1", "/dynamic/x?lang=de", "/dynamic/x", "/noquery/x?y=1",
				"/cgi-bin/echo.cgi", "/cgi-bin/echo.cgi/info?x=1", "/programs/show.cgi", "/programs/readme.txt", "/~ann/", "/~ann/page.txt"}),
			told("/app.fcgi/"), told("/cgi-bin/echo.cgi"),
			each(request{kind: "rewrite"}, "/old/12", "/old/12?x=1", "/old/x", "/gone/x", "/forbidden/", "/quit", "/quit?x", "/blog/a/", "/blog/a/b", "/blog/", "/noquery/", "/dynamic/?lang=fr&x=1", "/dynamic/a%20b", "/media", "/media/photos", "/media/photos/", "/mediax",
				"/~ann", "/~bob/", "/~nobody/", "/~ann/missing", "/~", "/%7Eann/page.txt", "/cgi-bin/", "/cgi-bin/missing", "/cgi-bin", "/programs/", "/programs/show.cgi/a/b", "/appx", "/app.fcgi/"),
			named([]string{"www.example.com", "WWW.Example.com", "www.example.com:8001", "site.example.com", "nobody.example.com"}, "/", "/about.html?x=1", "/a%20b"),
			[]request{
				{target: "/", header: "User-Agent: SpiderMan\n", kind: "condition"}, {target: "/robots.txt", header: "User-Agent: SpiderMan\n", kind: "condition"}, {target: "/about.html", header: "User-Agent: Mozilla\n", kind: "condition"},
				{method: "DELETE", target: "/dynamic/x", kind: "condition"}, {method: "POST", target: "/app.fcgi/x", body: strings.Repeat("0123456789", 3000), kind: "body"},
				{method: "POST", target: "/app.fcgi/x", body: strings.Repeat("x", 65537), kind: "limit"}, {method: "POST", target: "/cgi-bin/echo.cgi", body: "a=1&b=2", kind: "body"},
				{method: "POST", target: "/app.fcgi/x", header: "Transfer-Encoding: chunked\n", body: "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", kind: "chunked"},
				{target: "/app.fcgi/a%2Fb%20c?d=%2F", kind: "encoded"}, {target: "/app.fcgi/a%20b%3Fc?d=%2F", kind: "encoded"},
			},
		)},
		{name: "proxy", served: "proxy.conf", from: "apache", backends: []string{"fcgi1", "fcgi2", "fcgi3", "tcp", "scgi", "uwsgi", "http"}, balanced: []string{"/balanced"}, requests: slices.Concat(
			generic([]string{"/", "/about.html", "/static/css/site.css", "/static/js/app.js", "/static/", "/balanced/x?y=1", "/fcgi/x/y?z=1", "/http/x?y=1", "/http/", "/base/x", "/base", "/match/abc/d/e?f=1", "/socket/x", "/scgi/x/y", "/uwsgi/x/y", "/page.php", "/page.php/extra?x=1", "/missing.php", "/kept/x?y=1", "/r/x/y?z=1"}),
			told("/fcgi/x"), told("/http/x"), told("/base/x"), told("/kept/x"), told("/scgi/x"),
			named([]string{"gate.example.com", "alias.example.com:8001", "x.wild.example.com", "other.example.com", "nobody.example.com"}, "/", "/about.html", "/http/x", "/kept/y"),
			[]request{
				{target: "/kept/x", header: "Cookie: a=1\n", kind: "headers"}, {method: "POST", target: "/fcgi/x", body: strings.Repeat("0123456789", 3000), kind: "body"}, {method: "POST", target: "/http/x", body: strings.Repeat("0123456789", 3000), kind: "body"},
				{method: "POST", target: "/http/x", header: "Transfer-Encoding: chunked\n", body: "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", kind: "chunked"},
				{target: "/fcgi/a%20b%3Fc?d=%2F", kind: "encoded"}, {target: "/http/a%20b%3Fc?d=%2F", kind: "encoded"}, {target: "/http/a%2Fb", kind: "encoded"}, {target: "/match/abc/", kind: "match"}, {target: "/match/ABC/x", kind: "match"}, {target: "/basement", kind: "match"},
				{target: "/http/x", header: "X-Forwarded-For: 192.0.2.7\n", kind: "forwarded"},
			},
		)},
		{name: "site", served: "site.conf", from: "apache", requests: slices.Concat(
			each(request{kind: "hidden"}, "/.git/config", "/sub/.hidden", "/.well-known/x", "/.well-knownx", "/.well-known", "/.w", "/docs/.well-known/", "/.", "/..."),
			generic([]string{"/", "/about.html", "/style.css", "/app.js", "/data.json", "/plain.txt", "/image.png", "/big.txt", "/robots.txt", "/sub/", "/sub/page.html", "/media/", "/media/photos/", "/media/photos/one.jpg", "/media/report.pdf", "/favicon.ico",
				"/docs/a.txt", "/docs/", "/pics/one.jpg", "/moved/x?y=1", "/temp", "/gone", "/file.unknown", "/LICENSE"}),
			authorized("/secret/file.txt", "/secret/", "/private/note.txt", "/private/", "/either/a.txt"),
			each(request{kind: "access"}, "/secret", "/private", "/privately", "/down/archive.bin", "/old/page.html", "/old/", "/notes.bak", "/x.bak", "/.htaccess", "/index.html~", "/never", "/never/x", "/nevermore", "/media", "/media/missing", "/media/photos", "/pics/none.jpg", "/errors/404.html"),
			each(request{kind: "redirect"}, "/moved", "/moved/", "/movedx", "/moved/a%20b", "/temp/x", "/temp?x=1", "/gone/x", "/post/12/x", "/post/12/x?y=1", "/post/a/x", "/see", "/see/x", "/sub/missing", "/sub/deep/er"),
			named([]string{"site.example.com", "second.example.com", "second.example.com:8001", "nobody.example.com"}, "/", "/page.txt", "/about.html", "/tls/x"),
			named([]string{"rules.example.com"}, "/wiki/script.php", "/wiki/missing", "/wiki/script.php?x", "/out/a.txt?x=1", "/out/x%20y", "/escape/x%20y", "/tls/x?y=1", "/no-bots/a.txt", "/about.html", "/"),
			each(request{host: "rules.example.com", header: "User-Agent: BadBot/1\n", kind: "condition"}, "/no-bots/a.txt", "/about.html"),
		)},
	}
}
