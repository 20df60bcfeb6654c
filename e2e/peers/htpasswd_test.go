package peers

// Files that Apache's htpasswd writes, and passwords that change.

import (
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/testkit"
)

func TestHtpasswd(t *testing.T) {
	htpasswd := testkit.Need(t, "htpasswd")
	dir, address := testkit.ShortDir(t), testkit.Loopback()+":8001"
	users := filepath.Join(dir, "users")
	set := func(arguments ...string) {
		t.Helper()
		testkit.Command(t, dir, htpasswd, arguments...)
	}
	set("-bcB", "-C", "5", users, "bcrypt", "pass word")
	for user, flag := range map[string]string{"apr1": "-bm", "sha1": "-bs", "sha256": "-b2", "sha512": "-b5"} {
		set(flag, users, user, "pass word")
	}
	testkit.Write(t, filepath.Join(dir, "who.py"), "def application(environ, start_response):\n"+
		"    start_response('200 OK', [])\n    return [environ.get('REMOTE_USER', '-').encode(), b' ', environ.get('AUTH_TYPE', '-').encode()]\n")
	testkit.Write(t, filepath.Join(dir, "millrace.toml"), `
[[site]]
listen = "`+address+`"
[[site.route]]
app = "main"
basic_auth = { file = "users" }
[app.main]
wsgi = "who:application"
venv = "`+venv+`"
workers = 1
`)
	cmd := exec.Command(binary, "serve", "millrace.toml")
	cmd.Dir = dir
	p := testkit.Run(t, cmd)
	p.Ready()
	c := client(t)
	ask := func(user, password string) string {
		t.Helper()
		_, text := asUser(t, c, "http://"+address, user, password)
		return text
	}
	for _, user := range []string{"bcrypt", "apr1", "sha1", "sha256", "sha512"} {
		if got := ask(user, "pass word"); got != user+" Basic" {
			t.Errorf("%s: %q", user, got)
		}
		if got := ask(user, "pass words"); got != "Unauthorized" {
			t.Errorf("%s with a wrong password: %q", user, got)
		}
	}
	// A password that changes, and a user who goes, do so without a reload, also
	// for who was let in before.
	set("-bB", "-C", "5", users, "bcrypt", "another")
	set("-D", users, "sha1")
	testkit.Eventually(t, "the new password holds", func() bool { return ask("bcrypt", "another") == "bcrypt Basic" })
	for user, password := range map[string]string{"bcrypt": "pass word", "sha1": "pass word"} {
		if got := ask(user, password); got != "Unauthorized" {
			t.Errorf("%s with what held before: %q", user, got)
		}
	}
	// A user of DES crypt is named, and the others stay.
	set("-bd", users, "old", "pass")
	testkit.Eventually(t, "the log names the line", func() bool {
		ask("apr1", "pass word")
		return strings.Contains(p.Out.String(), "DES crypt")
	})
	if got := ask("apr1", "pass word") + ", " + ask("old", "pass"); got != "apr1 Basic, Unauthorized" {
		t.Errorf("after a bad line: %q", got)
	}
}

// asUser gets a page with a name and a password.
func asUser(t *testing.T, c *http.Client, url, user, password string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(user, password)
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(b))
}
