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

func TestNginx(t *testing.T) {
	peer{name: "nginx", sites: nginxSites(), start: startNginx, lay: layNginx}.side(t)
}

// nginxMain is the file around a server block of sites-available, as the
// distribution has it.
const nginxMain = `
user root;
daemon off;
pid @DIR@/nginx.pid;
error_log @DIR@/error.log warn;
events { worker_connections 512; }
http {
	include /etc/nginx/mime.types;
	access_log off;
	client_body_temp_path @DIR@/body;
	proxy_temp_path @DIR@/proxy;
	fastcgi_temp_path @DIR@/fastcgi;
	scgi_temp_path @DIR@/scgi;
	uwsgi_temp_path @DIR@/uwsgi;
	include sites-enabled/*;
}
`

// layNginx makes a folder like /etc/nginx.
func layNginx(t *testing.T, s site, names *strings.Replacer, dir string) string {
	t.Helper()
	for _, name := range []string{"fastcgi_params", "scgi_params", "uwsgi_params"} {
		text, err := os.ReadFile("/etc/nginx/" + name)
		if err != nil {
			t.Fatal(err)
		}
		testkit.Write(t, filepath.Join(dir, name), string(text))
	}
	for _, name := range []string{s.served, "proxy_params"} {
		text, err := os.ReadFile(filepath.Join("testdata/nginx", name))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case name != s.served || strings.Contains(string(text), "\nhttp {"):
			testkit.Write(t, filepath.Join(dir, name), names.Replace(string(text)))
		default:
			testkit.Write(t, filepath.Join(dir, "nginx.conf"), names.Replace(nginxMain))
			testkit.Write(t, filepath.Join(dir, "sites-enabled", name), names.Replace(string(text)))
			s.served = "sites-enabled/" + name
		}
	}
	return filepath.Join(dir, s.served)
}

func startNginx(t *testing.T, s site, dir, host string) {
	t.Helper()
	config := filepath.Join(dir, "nginx.conf")
	if _, err := os.Stat(config); err != nil {
		config = filepath.Join(dir, s.served)
	}
	p := testkit.Run(t, exec.Command(testkit.Need(t, "nginx"), "-e", "stderr", "-p", dir, "-c", config))
	p.Listening(host + port)
}

func nginxSites() []site {
	return []site{
		{name: "django", served: "django.conf", backends: []string{"http"}, requests: slices.Concat(
			generic([]string{"/", "/about.html", "/style.css", "/app.js", "/data.json", "/plain.txt", "/image.png", "/big.txt", "/robots.txt", "/favicon.ico",
				"/static/css/site.css", "/static/js/app.js", "/static/", "/static/missing.css", "/media/", "/media/photos/", "/media/photos/one.jpg", "/media/report.pdf", "/media/missing", "/polls/1/vote/", "/admin/login/?next=/admin/"}),
			authorized("/admin/", "/admin/x?y=1"),
			named([]string{"www.example.com", "WWW.EXAMPLE.COM", "www.example.com:8001", "example.com", "example.com.", "nobody.example.org"}, "/", "/about.html?x=1", "/a%20b?c=%20d"),
			told("/app/"),
			[]request{
				{method: "POST", target: "/upload/", body: strings.Repeat("x", 4096), kind: "limit"},
				{method: "POST", target: "/upload/", body: strings.Repeat("x", 4097), kind: "limit"},
				{method: "POST", target: "/upload/", header: "Transfer-Encoding: chunked\n", body: "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", kind: "chunked"},
				{target: "/polls/", header: "X-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: https\nX-Real-IP: 192.0.2.8\n", kind: "forwarded"},
				{target: "/static/../static/css/site.css", kind: "bad"}, {target: "/static../site/htpasswd", kind: "bad"}, {target: "/static", kind: "slash"}, {target: "/media", kind: "slash"},
				{target: "/media/photos", kind: "slash"}, {target: "/media/photos?x=1", kind: "slash"},
			},
		)},
		{name: "locations", served: "locations.conf", from: "nginx", requests: slices.Concat(
			generic([]string{"/", "/about", "/about.html", "/plain.txt", "/image.png", "/sub/", "/docs/a.txt", "/exact", "/exact/x", "/nested/x", "/nested/x.txt", "/nested/inner/", "/nested/inner/y.txt",
				"/r/last/a.txt", "/r/break/b.txt", "/r/redirect/a.txt", "/r/permanent/a.txt?q=1", "/r/args/bob?x=1", "/r/noargs/bob?x=1", "/vars?kind=odd", "/alias/", "/alias/notes.txt", "/headers/a.txt", "/headers/missing",
				"/exp/never/a.txt", "/exp/max/a.txt", "/exp/epoch/a.txt", "/exp/hour/a.txt", "/mine/note.txt"}),
			each(request{kind: "precedence"}, "/exact?q=1", "/exact/", "/exactly", "/images/a.png", "/images/x/a.png", "/images/x/a", "/x/a.png", "/x/a.PNG", "/x/a.jpg", "/x/a.JPEG", "/x/a.gif", "/prefix", "/prefixed",
				"/prefix/longer", "/prefix/longer/re12", "/prefix/longer/re", "/prefix/long", "/nested", "/nested/inner", "/nested/inner/z", "/r/", "/r/last/missing", "/r/last/", "/r/redirect/x%20y?z=1", "/r/permanent/x?y"),
			each(request{kind: "return"}, "/ret/301", "/ret/301?x=1", "/ret/302", "/ret/302?x=%20", "/ret/307?a=b&c", "/ret/404", "/ret/410", "/ret/204", "/ret/url", "/ret/503", "/ret/none"),
			each(request{kind: "map"}, "/typed/about.html", "/typed/style.css", "/typed/image.png", "/typed/docs/a.txt", "/typed/missing", "/old/shop", "/old/team", "/old/page/12", "/old/page/x", "/old/page.html", "/old/"),
			each(request{kind: "scheme"}, "/scheme", "/scheme/to/x?y=1"), each(request{kind: "scheme", header: "X-Forwarded-Proto: https\n"}, "/scheme", "/scheme/to/x?y=1"), each(request{kind: "scheme", header: "X-Forwarded-Proto: other\nX-Who: me\n"}, "/scheme"),
			each(request{kind: "bot", header: "User-Agent: Googlebot/2.1\n"}, "/", "/about.html"), each(request{kind: "bot", header: "User-Agent: curl/1.0\n"}, "/about"), each(request{kind: "bot", header: "User-Agent: Mozilla\n"}, "/about"),
			[]request{
				{target: "/vars", kind: "vars"}, {target: "/vars?kind=", kind: "vars"}, {target: "/vars?KIND=x&kind=b%20c", kind: "vars"}, {target: "/vars", header: "X-Kind: special\n", kind: "vars"},
				{target: "/vars", header: "Cookie: beta=yes\n", kind: "vars"}, {target: "/vars", header: "Cookie: beta=no\n", kind: "vars"}, {method: "POST", target: "/vars", body: "x", kind: "vars"}, {target: "/vars%20x?y=%41", kind: "vars"},
			},
			authorized("/secret/file.txt", "/secret/missing", "/either/a.txt"),
			each(request{kind: "access"}, "/private/", "/private/note.txt", "/mine/", "/office", "/in/a.txt", "/errors/404.html", "/pics/one.jpg", "/pics/missing.jpg", "/.htaccess", "/sub/.htpasswd", "/x~"),
			each(request{kind: "fallback"}, "/fallback/x?y=1", "/try/named?x", "/try/args?x=1&y", "/try/code", "/missing/deep", "/docs/missing", "/docs/", "/docs"),
			each(request{kind: "limit"}, "/slow/", "/slow/", "/limited/a.txt", "/limited/a.txt", "/limited/a.txt", "/limited/a.txt", "/slow/"),
			at("guarded.example.com", authorized("/", "/about.html", "/page/x", "/folder/x", "/docs/", "/docs/c.html", "/docs/a.txt", "/missing/x", "/open/x", "/inner/a.txt", "/inner/docs/a.txt", "/sub/", "/sub/index.html", "/sub/index.php", "/plain/", "/shared/docs/a.txt", "/shared/docs/docs/a.txt", "/shared/docs/about.html", "/shared/image.png", "/shared/about.html", "/shared/",
				"/unnamed/a.txt", "/elsewhere/a.txt", "/here/a.txt", "/all/a.txt", "/out/a.txt")),
			named([]string{"other.example.com", "x.wild.example.com", "wild.example.com", "jo.pages.example.com", "j0.pages.example.com", "_"}, "/", "/x"),
		)},
		{name: "gateways", served: "gateways.conf", from: "nginx", backends: []string{"fcgi1", "fcgi2", "fcgi3", "tcp", "scgi", "uwsgi", "http"}, balanced: []string{"/balanced"}, requests: slices.Concat(
			generic([]string{"/", "/some/path", "/about.html", "/port/x", "/page.php", "/sub/index.php", "/missing.php", "/mounted/a/b?lang=de", "/mounted/", "/scgi/x", "/uwsgi/x",
				"/http/x", "/http/stripped/x", "/http/moved/x/y", "/http/redirect/", "/http/one", "/http/spare/x", "/asked/x"}),
			told("/app"), told("/port/"), told("/scgi/"), told("/uwsgi/"), told("/http/x"), told("/http/moved/"), told("/http/redirect/"), told("/http/errors/"),
			each(request{kind: "auth", header: "X-Word: sesame\n"}, "/asked/", "/asked/x?y=1"), each(request{kind: "auth"}, "/asked/", "/ask", "/asked/login/x?y=1"), each(request{kind: "auth", header: "X-Word: sesame\n"}, "/asked/login/x", "/asked/login/?do=status&code=403"),
			[]request{
				{target: "/app?do=sendfile&header=X-Accel-Redirect&file=/protected/sent.txt", kind: "sendfile"}, {target: "/app?do=sendfile&header=X-Accel-Redirect&file=/protected/missing", kind: "sendfile"},
				{target: "/app?do=sendfile&file=/etc/passwd", kind: "sendfile"}, {target: "/http/x?do=sendfile&header=X-Accel-Redirect&file=/protected/sent.txt", kind: "sendfile"},
				{target: "/protected/sent.txt", kind: "sendfile"}, {target: "/http/moved/?do=cookie&path=/", kind: "cookie"}, {target: "/http/moved/?do=cookie&path=/other/", kind: "cookie"},
				{method: "POST", target: "/small/", body: strings.Repeat("x", 1024), kind: "limit"}, {method: "POST", target: "/small/", body: strings.Repeat("x", 1025), kind: "limit"},
				{method: "POST", target: "/app", body: strings.Repeat("0123456789", 3000), kind: "body"}, {method: "POST", target: "/http/x", body: strings.Repeat("0123456789", 3000), kind: "body"},
				{method: "POST", target: "/app", header: "Transfer-Encoding: chunked\n", body: "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", kind: "chunked"},
				{target: "/http/x", header: "Upgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n", connection: "Upgrade", kind: "upgrade"},
				{target: "/app/a%2Fb%20c?d=%2F", kind: "encoded"}, {target: "/http/a%2Fb%20c?d=%2F", kind: "encoded"}, {target: "/http/stripped/a%2Fb%20c?d=%2F", kind: "encoded"}, {target: "/mounted/a%2Fb", kind: "encoded"},
				{target: "/app", header: "X-Long: " + strings.Repeat("y", 6000) + "\n", kind: "headers"}, {target: "/app", host: "alias.example.com", kind: "host"}, {target: "/app", host: "nobody.example.com:8001", kind: "host"},
				{target: "/page.php?a=1", host: "alias.example.com", kind: "host"}, {target: "/page.php/extra?x=1", kind: "path info"}, {target: "/page.php/a%20b/c", kind: "path info"}, {target: "/missing.php/extra", kind: "path info"}, {target: "/page.php/x.php/y", kind: "path info"}, {target: "/sub/", kind: "index"},
			},
		)},
	}
}
