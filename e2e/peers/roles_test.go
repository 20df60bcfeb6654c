package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/testkit"
)

// rolesConfig asks real FastCGI programs in their other roles.
const rolesConfig = `
[[site]]
listen = ["%[1]s:8000"]

[[site.route]]
path = "/guarded/*"
files = { root = "." }
auth = { upstream = "roles", headers = ["X-Cave"] }

[[site.route]]
path = "/kept/*"
files = { root = "guarded", strip = "/kept" }
auth = { upstream = "roles", cache = "1h" }

[[site.route]]
path = "/shouted/*"
files = { root = "guarded", strip = "/shouted" }
filter = { upstream = "roles" }

[[site.route]]
upstream = "mirror"
auth = { upstream = "roles" }

[upstream.mirror]
protocol = "fastcgi"
servers = [%[2]q]

%[3]s
`

func TestLibfcgiRoles(t *testing.T) {
	cc := testkit.Need(t, "gcc", "cc")
	dir := testkit.ShortDir(t)
	binary := filepath.Join(dir, "roles")
	testkit.Command(t, dir, cc, "-O2", "-o", binary, testdata(t, "roles.c"), "-lfcgi")
	roles(t, spawn(t, 2, binary), binary)
}

func TestPerlRoles(t *testing.T) {
	program := []string{testkit.Need(t, "perl"), testdata(t, "roles.pl")}
	roles(t, spawn(t, 2, program...), program...)
}

// TestAppRoles: millrace's own apps as the authorizer of another millrace.
func TestAppRoles(t *testing.T) {
	a := startApp(t, mirror)
	dir, host := testkit.ShortDir(t), testkit.Loopback()
	testkit.Write(t, filepath.Join(dir, "millrace.toml"), fmt.Sprintf(`
[[site]]
listen = ["%s:8000"]
[[site.route]]
upstream = "back"
auth = { upstream = "back" }
[upstream.back]
protocol = "fastcgi"
servers = [%q]
`, host, a.tcp("fastcgi")))
	serveSite(t, dir)
	authorized(t, "http://"+host+":8000")
}

// serveSite runs millrace on the millrace.toml of a folder.
func serveSite(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command(binary, "serve", "millrace.toml")
	cmd.Dir = dir
	p := testkit.Run(t, cmd)
	p.Ready()
}

// roles shows that a program authorizes and filters: at addresses, and as an app
// of millrace's.
func roles(t *testing.T, addresses map[string]string, argv ...string) {
	t.Helper()
	a := startApp(t, mirror)
	tables := map[string]string{"app": fmt.Sprintf("[app.roles]\ncommand = [\"%s\"]\nworkers = 2\n", strings.Join(argv, `", "`))}
	for transport, address := range addresses {
		tables[transport] = fmt.Sprintf("[upstream.roles]\nprotocol = \"fastcgi\"\nservers = [%q]\n", address)
	}
	for kind, table := range tables {
		t.Run(kind, func(t *testing.T) {
			dir, host := testkit.ShortDir(t), testkit.Loopback()
			text := fmt.Sprintf(rolesConfig, host, a.tcp("fastcgi"), table)
			if kind == "app" {
				text = strings.ReplaceAll(text, `upstream = "roles"`, `app = "roles"`)
			}
			testkit.Write(t, filepath.Join(dir, "millrace.toml"), text)
			if err := os.Mkdir(filepath.Join(dir, "guarded"), 0o755); err != nil {
				t.Fatal(err)
			}
			text = strings.Repeat("a treasure\n", 20_000)
			testkit.Write(t, filepath.Join(dir, "guarded", "cave.txt"), text)
			at := time.Unix(1_700_000_000, 0)
			if err := os.Chtimes(filepath.Join(dir, "guarded", "cave.txt"), at, at); err != nil {
				t.Fatal(err)
			}
			serveSite(t, dir)
			c, url := client(t), "http://"+host+":8000"
			word := map[string][]string{"X-Word": {"sesame"}}
			for range 3 {
				for _, path := range []string{"/guarded/cave.txt", "/kept/cave.txt"} {
					if resp, got := send(t, c, "GET", url+path, nil, nil); resp.StatusCode != 403 || string(got) != "the cave stays shut\n" {
						t.Errorf("%s without the word: %s, %.40q", path, resp.Status, got)
					}
					if resp, got := send(t, c, "GET", url+path, word, nil); resp.StatusCode != 200 || string(got) != text {
						t.Errorf("%s with the word: %s, %d bytes", path, resp.Status, len(got))
					}
				}
			}
			resp, got := send(t, c, "POST", url+"/treasure?much", map[string][]string{"X-Word": {"sesame"}, "Content-Type": {"text/plain"}}, strings.NewReader("gold"))
			if e := mirrorOf(t, resp, got).Environ; e["REMOTE_USER"] != "ali" || e["CAVE"] != "POST /treasure?much -" {
				t.Errorf("what answers is told of REMOTE_USER %q, CAVE %q", e["REMOTE_USER"], e["CAVE"])
			}
			resp, got = send(t, c, "GET", url+"/shouted/cave.txt", nil, nil)
			if string(got) != strings.ToUpper(text) || resp.Header.Get("X-Length") != fmt.Sprint(len(text)) || resp.Header.Get("X-Modified") != "1700000000" {
				t.Errorf("filtered: %s, %d bytes, %v", resp.Status, len(got), resp.Header)
			}
		})
	}
}
