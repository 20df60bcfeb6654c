package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/testkit"
)

// startApache runs Apache with modules and a configuration that listens on
// addresses.
func startApache(t *testing.T, dir string, modules []string, config string, addresses ...string) *testkit.Program {
	t.Helper()
	program := testkit.Need(t, "apache2")
	var b strings.Builder
	fmt.Fprintf(&b, "ServerRoot %q\nServerName 127.0.0.1\nPidFile %[1]s/apache.pid\nDefaultRuntimeDir %[1]s\nErrorLog /dev/stderr\nLogLevel warn\nUser www-data\nGroup www-data\n", dir)
	for _, m := range append([]string{"mpm_event", "authz_core", "mime"}, modules...) {
		fmt.Fprintf(&b, "LoadModule %s_module /usr/lib/apache2/modules/mod_%[1]s.so\n", m)
	}
	b.WriteString("TypesConfig /etc/mime.types\nLimitRequestLine 65536\nLimitRequestFieldSize 65536\nStartServers 1\nServerLimit 2\nThreadsPerChild 16\nMaxRequestWorkers 32\nMinSpareThreads 8\nMaxSpareThreads 32\n")
	for _, address := range addresses {
		fmt.Fprintf(&b, "Listen %s\n", address)
	}
	b.WriteString(config)
	path := testkit.Write(t, filepath.Join(dir, "apache.conf"), b.String())
	for _, sub := range []string{"run", "state"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	p := testkit.Run(t, exec.Command(program, "-f", path, "-DFOREGROUND"))
	p.Listening(addresses...)
	return p
}

func TestApache(t *testing.T) {
	a := startApp(t, mirror)
	dir := testkit.ShortDir(t)
	host := testkit.Loopback()
	var b strings.Builder
	var fronts []front
	var addresses []string
	schemes := map[string]string{"fastcgi": "fcgi", "scgi": "scgi", "uwsgi": "uwsgi", "ajp": "ajp", "http": "http"}
	i := 0
	for _, protocol := range []string{"fastcgi", "scgi", "uwsgi", "ajp", "http"} {
		for _, transport := range []string{"tcp", "unix"} {
			for _, conns := range []string{"kept", "fresh"} {
				if transport == "unix" && conns == "kept" && protocol != "fastcgi" {
					continue
				}
				if protocol == "ajp" && transport == "unix" {
					continue // "unix:…|ajp://" is not among what mod_proxy_ajp documents
				}
				address := fmt.Sprintf("%s:%d", host, 8500+i)
				i++
				name := protocol + "-" + transport + "-" + conns
				backend := fmt.Sprintf("%s://%s/", schemes[protocol], a.tcp(protocol+when(protocol == "ajp", "s")))
				if transport == "unix" {
					// The host makes a worker of its own of each.
					backend = fmt.Sprintf("unix:%s|%s://%s.local/", a.unix(protocol), schemes[protocol], name)
				}
				options := "enablereuse=" + map[bool]string{true: "on", false: "off"}[conns == "kept"] + " flushpackets=on"
				if protocol == "http" {
					options += " nocanon" // the path as the client spelt it
				}
				if protocol == "ajp" {
					options += " secret=sesame"
				}
				fmt.Fprintf(&b, "<VirtualHost %s>\nServerName localhost\nAllowEncodedSlashes NoDecode\nProxyPass / \"%s\" %s\n</VirtualHost>\n", address, backend, options)
				f := front{name: name, url: "http://" + address, maxHeaders: 60_000, anonymous: protocol+transport == "httpunix"}
				switch protocol {
				case "uwsgi":
					f.maxHeaders = 50_000
					f.undecoded = true
				case "ajp":
					f.maxHeaders = 4_000
				}
				fronts = append(fronts, f)
				addresses = append(addresses, address)
			}
		}
	}
	startApache(t, dir, []string{"proxy", "proxy_fcgi", "proxy_scgi", "proxy_uwsgi", "proxy_ajp", "proxy_http"}, b.String(), addresses...)
	each(t, fronts)
}

// TestApacheAuthorizer: mod_authnz_fcgi asks our app whether a request may go
// on.
func TestApacheAuthorizer(t *testing.T) {
	a := startApp(t, mirror)
	dir := testkit.ShortDir(t)
	address := testkit.Loopback() + ":8600"
	startApache(t, dir, []string{"proxy", "proxy_fcgi", "authn_core", "authz_user", "authnz_fcgi"}, fmt.Sprintf(`
AuthnzFcgiDefineProvider authn guard fcgi://%[1]s/
<VirtualHost %[2]s>
<Location />
	AuthName cave
	AuthType Custom
	AuthnzFcgiCheckAuthnProvider guard Authoritative On RequireBasicAuth Off UserExpr "%%{reqenv:REMOTE_USER}"
	Require valid-user
</Location>
ProxyPass / "fcgi://%[1]s/"
</VirtualHost>
`, a.tcp("fastcgi"), address), address)
	c := client(t)
	resp, _ := send(t, c, "GET", "http://"+address+"/cave", nil, nil)
	if resp.StatusCode != 403 {
		t.Errorf("without the word: %s", resp.Status)
	}
	resp, text := send(t, c, "GET", "http://"+address+"/cave", map[string][]string{"X-Word": {"sesame"}}, nil)
	if e := mirrorOf(t, resp, text).Environ; e["CAVE"] != "open" {
		t.Errorf("with the word: %v", e)
	}
}
