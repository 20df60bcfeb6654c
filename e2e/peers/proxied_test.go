package peers

// millrace behind proxies that tell whose connection or request it is: by the
// PROXY protocol, or by X-Forwarded-*.

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/testkit"
)

const whoApp = `
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    names = "REMOTE_ADDR", "wsgi.url_scheme", "SERVER_PORT", "HTTP_HOST", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO"
    return [" ".join(str(environ.get(n, "-")) for n in names).encode()]
`

// behind is a millrace behind proxies: at address and socket it wants the PROXY
// protocol, at plain it does not.
type behind struct {
	*testkit.Program
	dir                    string
	address, socket, plain string
}

func startBehind(t *testing.T) *behind {
	t.Helper()
	host := testkit.Loopback()
	b := &behind{dir: testkit.ShortDir(t), address: host + ":8001", plain: host + ":8002"}
	b.socket = filepath.Join(b.dir, "web.sock")
	testkit.Write(t, filepath.Join(b.dir, "who.py"), whoApp)
	if err := os.Mkdir(filepath.Join(b.dir, "files"), 0o755); err != nil {
		t.Fatal(err)
	}
	testkit.Write(t, filepath.Join(b.dir, "files", "large"), strings.Repeat("0123456789abcdef", 1<<18))
	const routes = `
[[site.route]]
path = "/large"
files = { root = "files" }
[[site.route]]
app = "main"
`
	testkit.Write(t, filepath.Join(b.dir, "millrace.toml"), fmt.Sprintf(`
[server]
trusted_proxies = ["127.0.0.1", "unix"]
[[site]]
listen = [%q, %q]
proxy_protocol = true
access_log = "access.log"
%s
[[site]]
listen = %q
%s
[app.main]
wsgi = "who:application"
venv = %q
workers = 1
`, b.address, "unix:"+b.socket, routes, b.plain, routes, venv))
	cmd := exec.Command(binary, "serve", "millrace.toml")
	cmd.Dir = b.dir
	b.Program = testkit.Run(t, cmd)
	b.Ready()
	return b
}

// clientAt is a client that connects from an address of this machine.
func clientAt(t *testing.T, from string) *http.Client {
	c := client(t)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return d.DialContext(ctx, network, address)
	}
	return c
}

// told asks a front whose request it is, and wants the app's words.
func told(t *testing.T, c *http.Client, url, forged, want string) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "www.example.com"
	if forged != "" {
		r.Header.Set("X-Forwarded-For", forged)
		r.Header.Set("X-Forwarded-Proto", "https")
	}
	res, err := c.Do(r)
	if err != nil {
		t.Errorf("%s: %v", url, err)
		return
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || string(text) != want {
		t.Errorf("%s: the app is told %q, %v; want %q", url, text, err, want)
	}
}

func large(t *testing.T, c *http.Client, url string) {
	t.Helper()
	res, err := c.Get(url + "/large")
	if err != nil {
		t.Errorf("%s: %v", url, err)
		return
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); n != 16<<18 || err != nil {
		t.Errorf("%s: a file of %d bytes comes as %d, %v", url, 16<<18, n, err)
	}
}

func TestHAProxyTellsTheClient(t *testing.T) {
	haproxy := testkit.Need(t, "haproxy")
	b := startBehind(t)
	host, from := testkit.Loopback(), testkit.Loopback()
	var text strings.Builder
	text.WriteString("global\n\tnbthread 2\ndefaults\n\ttimeout connect 10s\n\ttimeout client 60s\n\ttimeout server 60s\n")
	var addresses []string
	for i, server := range []string{
		b.address + " send-proxy", b.address + " send-proxy-v2", b.address + " send-proxy-v2 proxy-v2-options unique-id,crc32c",
		"unix@" + b.socket + " send-proxy", "unix@" + b.socket + " send-proxy-v2",
	} {
		address := fmt.Sprintf("%s:%d", host, 8500+i)
		fmt.Fprintf(&text, "listen l%d\n\tmode tcp\n\tunique-id-format %%pid\n\tbind %s\n\tserver s %s\n", i, address, server)
		addresses = append(addresses, address)
	}
	// Its own connections, which look after the server, say LOCAL.
	checked := fmt.Sprintf("%s:%d", host, 8510)
	fmt.Fprintf(&text, "listen checked\n\tmode tcp\n\toption httpchk GET /check\n\tbind %s\n\tserver s %s send-proxy-v2 check check-send-proxy inter 100ms\n", checked, b.address)
	over := fmt.Sprintf("%s:%d", host, 8511)
	fmt.Fprintf(&text, "listen http\n\tmode http\n\toption forwardfor\n\thttp-request set-header X-Forwarded-Proto https\n\tbind %s\n\tserver s %s\n", over, b.plain)
	config := testkit.Write(t, filepath.Join(b.dir, "haproxy.cfg"), text.String())
	p := testkit.Run(t, exec.Command(haproxy, "-db", "-f", config))
	p.Listening(append(addresses, checked, over)...)

	c := clientAt(t, from)
	for _, address := range append(addresses, checked) {
		url := "http://" + address
		told(t, c, url, "", from+" http 80 www.example.com - -")
		told(t, c, url, "192.0.2.1", from+" http 80 www.example.com "+from+" http") // what it invents is replaced
		large(t, c, url)
	}
	told(t, c, "http://"+over, "", from+" https 443 www.example.com "+from+" https")
	told(t, c, "http://"+over, "192.0.2.1", from+" https 443 www.example.com "+from+" https")
	large(t, c, "http://"+over)

	testkit.Eventually(t, "a check of HAProxy's own is logged with its own address", func() bool {
		log, err := os.ReadFile(filepath.Join(b.dir, "access.log"))
		return err == nil && strings.Contains(string(log), "127.0.0.1 - - [") && strings.Contains(string(log), `"GET /check HTTP/1.0" 200`)
	})

	// Who connects directly is not believed, nor answered where a header is wanted.
	direct := clientAt(t, from)
	told(t, direct, "http://"+b.plain, "192.0.2.1", from+" http 80 www.example.com "+from+" http")
	if res, err := direct.Get("http://" + b.address); err == nil {
		res.Body.Close()
		t.Errorf("a client without a header of the PROXY protocol is answered with %s", res.Status)
	}
}

func TestNginxTellsTheClient(t *testing.T) {
	nginx := testkit.Need(t, "nginx")
	const module = "/usr/lib/nginx/modules/ngx_stream_module.so"
	b := startBehind(t)
	host, from := testkit.Loopback(), testkit.Loopback()
	address, over, twice := host+":8600", host+":8601", host+":8602"
	stream, load := "", ""
	if _, err := os.Stat(module); err == nil {
		load = "load_module " + module + ";"
		stream = fmt.Sprintf("stream { server { listen %s; proxy_pass %s; proxy_protocol on; } }", address, b.address)
	} else {
		t.Log("nginx has no module for streams: its PROXY protocol is not tested")
	}
	proxy := "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; "
	config := testkit.Write(t, filepath.Join(b.dir, "nginx.conf"), load+`
daemon off;
master_process off;
pid `+b.dir+`/nginx.pid;
error_log stderr warn;
events { worker_connections 512; }
`+stream+`
http {
	access_log off;
	proxy_temp_path `+b.dir+`/proxy; client_body_temp_path `+b.dir+`/body; fastcgi_temp_path `+b.dir+`/f; scgi_temp_path `+b.dir+`/s; uwsgi_temp_path `+b.dir+`/u;
	server { listen `+over+`; location / { proxy_pass http://`+b.plain+`; `+proxy+` proxy_set_header X-Forwarded-Proto $scheme; } }
	server { listen `+twice+`; location / { proxy_pass http://`+over+`; `+proxy+` proxy_bind 127.0.0.1; } }
}
`)
	p := testkit.Run(t, exec.Command(nginx, "-e", "stderr", "-p", b.dir, "-c", config))
	p.Listening(over, twice)
	c := clientAt(t, from)
	if stream != "" {
		told(t, c, "http://"+address, "", from+" http 80 www.example.com - -")
		large(t, c, "http://"+address)
	}
	told(t, c, "http://"+over, "", from+" http 80 www.example.com "+from+" http")
	told(t, c, "http://"+over, "192.0.2.1", from+" http 80 www.example.com "+from+" http")
	told(t, c, "http://"+twice, "192.0.2.1", from+" http 80 www.example.com "+from+", 127.0.0.1 http")
	large(t, c, "http://"+over)
}
