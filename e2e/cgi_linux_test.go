package e2e

// CGI programs as the owners of their files, and the folders of users, by the
// whole of millrace started as root: a front without rights, a keeper that
// starts what it is asked for. The users are this test's: it is run in a mount
// namespace of its own, where /etc/passwd is another.

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"millrace/internal/testkit"
)

const (
	annUser = 61011
	bobUser = 61012
)

// asUsers starts a server that knows ann and bob, whose homes are in dir.
func asUsers(t *testing.T, dir string) *server {
	t.Helper()
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	for name, uid := range map[string]int{"ann": annUser, "bob": bobUser} {
		passwd = fmt.Appendf(passwd, "%s:x:%d:%d::%s/home/%s:/bin/sh\n", name, uid, uid, dir, name)
	}
	path := filepath.Join(dir, "passwd")
	if err := os.WriteFile(path, passwd, 0o644); err != nil {
		t.Fatal(err)
	}
	s := launchBy(t, []string{"unshare", "-m", "sh", "-c", `mount --bind "$0" /etc/passwd && exec "$@"`, path}, dir)
	s.ready(2)
	return s
}

// ownedTree is a folder that others may pass through, to be filled with files
// of several owners.
type ownedTree struct {
	t   *testing.T
	dir string
}

func newOwnedTree(t *testing.T) *ownedTree {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may start programs as other users")
	}
	if out, err := exec.Command("unshare", "-m", "mount", "--bind", "/etc/hostname", "/etc/hostname").CombinedOutput(); err != nil {
		t.Skipf("a mount namespace cannot be had here: %v %s", err, out)
	}
	dir, err := os.MkdirTemp("", "millrace-cgi-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	open(t, filepath.Dir(binary)) // for the front
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return &ownedTree{t, dir}
}

// put makes a file; folders that are missing are the owner's, too.
func (o *ownedTree) put(name, text string, mode os.FileMode, owner int) {
	o.t.Helper()
	folder := o.dir
	for part := range strings.SplitSeq(filepath.Dir(name), "/") {
		folder = filepath.Join(folder, part)
		if err := os.Mkdir(folder, 0o755); err == nil {
			o.own(folder, owner)
		}
	}
	path := filepath.Join(o.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
	o.own(path, owner)
	if err := os.Chmod(path, mode); err != nil {
		o.t.Fatal(err)
	}
}

func (o *ownedTree) own(path string, owner int) {
	o.t.Helper()
	if err := os.Lchown(path, owner, owner); err != nil {
		o.t.Fatal(err)
	}
}

func (o *ownedTree) link(to, name string, owner int) {
	o.t.Helper()
	if err := os.Symlink(to, filepath.Join(o.dir, name)); err != nil {
		o.t.Fatal(err)
	}
	o.own(filepath.Join(o.dir, name), owner)
}

// tellsWho is a CGI program that says as whom it runs, and what for.
const tellsWho = `#!/bin/sh
printf 'Content-Type: text/plain\n\n'
echo "$(id -u) $(id -g) $(id -G) $HOME $USER $(pwd) $0 $SCRIPT_NAME|$PATH_INFO|$DOCUMENT_ROOT $MINE $SECRET"
`

const cgiConfig = `
[server]
user = "61000"
group = "61000"
error_log = "error.log"
control = "control.sock"
[[site]]
listen = ["127.0.0.1:0"]
[[site.route]]
path = "/own/*"
cgi = { root = "sites", strip = "/own", extensions = [".cgi", ".pl"], as_owner = true, interpreters = { ".pl" = "perl" }, env = { MINE = "yes" } }
[[site.route]]
path = "/as/*"
cgi = { root = "shared", strip = "/as", user = "61013", group = "61014", rlimits = { nofile = "99" } }
[[site.route]]
path = "/plain/*"
cgi = { root = "shared", strip = "/plain" }
[[site.route]]
path = "/~*"
user_dirs = { disabled = ["games"], listing = true, cgi = { extensions = [".cgi"], as_owner = true } }
`

func TestCGIAsOwner(t *testing.T) {
	o := newOwnedTree(t)
	o.put("millrace.toml", cgiConfig, 0o600, 0)
	o.put("sites/x", "", 0o644, 0)
	o.put("sites/ann/who.cgi", tellsWho, 0o700, annUser) // which the front itself could not read
	o.put("sites/ann/a.pl", `print "Content-Type: text/plain\n\n$< $0\n"`, 0o600, annUser)
	o.put("sites/bob/who.cgi", tellsWho, 0o755, bobUser)
	o.put("sites/bob/group.cgi", tellsWho, 0o775, bobUser)
	o.put("sites/root.cgi", tellsWho, 0o755, 0)
	o.put("sites/nobody/who.cgi", tellsWho, 0o755, 61099)
	o.put("sites/system/who.cgi", tellsWho, 0o755, 5) // games: below min_uid
	o.put("sites/ann/theirs.cgi", tellsWho, 0o755, bobUser)
	o.put("sites/ann/setuid.cgi", tellsWho, 0o755|os.ModeSetuid, annUser)
	o.put("sites/open/who.cgi", tellsWho, 0o755, annUser)
	o.link("../ann/who.cgi", "sites/bob/steal.cgi", bobUser)
	o.link("ann", "sites/link", 0)
	if err := os.Chmod(filepath.Join(o.dir, "sites/open"), 0o777); err != nil {
		t.Fatal(err)
	}
	o.put("shared/who", tellsWho, 0o755, 0)
	o.put("shared/limit", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; ulimit -n", 0o755, 0)
	s := asUsers(t, o.dir)
	c := client(t)

	for path, want := range map[string]string{
		"/own/ann/who.cgi/info": fmt.Sprintf("%d %[1]d %[1]d %s/home/ann ann %[2]s/sites/ann ./who.cgi /own/ann/who.cgi|/info|%[2]s/sites yes", annUser, o.dir),
		"/own/bob/who.cgi":      fmt.Sprintf("%d %[1]d %[1]d %s/home/bob bob %[2]s/sites/bob ./who.cgi /own/bob/who.cgi||%[2]s/sites yes", bobUser, o.dir),
		"/own/ann/a.pl":         fmt.Sprintf("%d ./a.pl", annUser),
		"/as/who":               fmt.Sprintf("61013 61014 61014   %s/shared %[1]s/shared/who /as/who||%[1]s/shared", o.dir),
		"/as/limit":             "99",
		"/plain/who":            fmt.Sprintf("61000 61000 61000   %s/shared %[1]s/shared/who /plain/who||%[1]s/shared", o.dir),
	} {
		if got := strings.TrimSpace(get(t, c, s.url+path, 200).text); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	// What must not run: the client hears little, the log why.
	for path, why := range map[string]string{
		"/own/bob/group.cgi": "can be written by others", "/own/root.cgi": "belongs to root", "/own/nobody/who.cgi": "is no user of this machine", "/own/system/who.cgi": "and the least is 1000",
		"/own/ann/theirs.cgi": "and its folder to uid", "/own/ann/setuid.cgi": "setuid or setgid bit", "/own/open/who.cgi": "/sites/open can be written", "/own/bob/steal.cgi": "symbolic link", "/own/link/who.cgi": "symbolic link",
	} {
		if got := get(t, c, s.url+path, 403).text; strings.Contains(got, o.dir) {
			t.Errorf("%s tells the client %q", path, got)
		}
		line := regexp.MustCompile(`(?m)cannot answer a request.*uri=` + regexp.QuoteMeta(path) + `.*` + regexp.QuoteMeta(why))
		s.waitFor("the reason for "+path+": "+why, func() bool {
			text, err := os.ReadFile(filepath.Join(o.dir, "error.log"))
			return err == nil && line.Match(text)
		})
	}
	// After all that they still run, also under load.
	l := startLoad(s.url+"/own/ann/who.cgi", 4)
	s.waitFor("some requests", func() bool { return l.answered() > 40 })
	if codes := l.stop(); codes[200] < 40 || len(codes) > 2 {
		t.Errorf("answers by status: %v (%v)", codes, l.first)
	}
}

func TestUserFolders(t *testing.T) {
	o := newOwnedTree(t)
	o.put("millrace.toml", cgiConfig, 0o600, 0)
	for _, name := range []string{"sites/x", "shared/x"} {
		o.put(name, "", 0o644, 0)
	}
	o.put("home/x", "", 0o644, 0)
	o.put("home/ann/private.txt", "private", 0o600, annUser)
	o.put("home/ann/public_html/index.html", "ann's page", 0o644, annUser)
	o.put("home/ann/public_html/who.cgi", tellsWho, 0o700, annUser)
	o.put("home/ann/public_html/pics/cat.txt", "cat", 0o644, annUser)
	o.put("home/ann/public_html/theirs.cgi", tellsWho, 0o755, bobUser)
	o.put("home/bob/x", "", 0o644, bobUser)
	o.put("secret/who.cgi", tellsWho, 0o755, annUser)
	o.put("secret/x.txt", "secret", 0o644, 0)
	o.link(o.dir+"/secret", "home/bob/public_html", bobUser)
	o.link("../private.txt", "home/ann/public_html/out.txt", annUser)
	if err := os.Chmod(filepath.Join(o.dir, "home/ann"), 0o711); err != nil {
		t.Fatal(err)
	}
	s := asUsers(t, o.dir)
	c := client(t)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	if got := get(t, c, s.url+"/~ann/", 200).text; got != "ann's page" {
		t.Errorf("the page is %q", got)
	}
	if got := get(t, c, s.url+"/~ann/pics/", 200).text; !strings.Contains(got, "cat.txt") {
		t.Errorf("a listing: %s", got)
	}
	for path, to := range map[string]string{"/~ann?x": "/~ann/?x", "/~ann/pics": "/~ann/pics/"} {
		if got := get(t, c, s.url+path, 301).Header.Get("Location"); got != to {
			t.Errorf("%s leads to %q", path, got)
		}
	}
	want := fmt.Sprintf("%d %[1]d %[1]d %s/home/ann ann %[2]s/home/ann/public_html ./who.cgi /~ann/who.cgi|/a|%[2]s/home/ann/public_html", annUser, o.dir)
	if got := strings.TrimSpace(get(t, c, s.url+"/~ann/who.cgi/a", 200).text); got != want {
		t.Errorf("the program says %q, want %q", got, want)
	}
	nobody := get(t, c, s.url+"/~nobody/", 404).text
	for _, path := range []string{"/~bob", "/~bob/", "/~bob/x.txt", "/~bob/who.cgi", "/~root/", "/~games/", "/~daemon/", "/~ann/none", "/~ann/out.txt", "/~ann/none.cgi", "/~ann/.ssh/x"} {
		if got := get(t, c, s.url+path, 404).text; got != nobody {
			t.Errorf("%s is answered by %q, and who is not there by %q", path, got, nobody)
		}
	}
	get(t, c, s.url+"/~ann/theirs.cgi", 403)

	// A program that is begun ends with the server.
	o.put("home/ann/public_html/long.cgi", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; echo $$; exec sleep 100", 0o755, annUser)
	resp, err := http.Get(s.url + "/~ann/long.cgi")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var pid int
	if _, err := fmt.Fscan(resp.Body, &pid); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.waitForAfterEnd(func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
}

// waitForAfterEnd polls until a condition holds, whether the server runs or not.
func (s *server) waitForAfterEnd(condition func() bool) {
	s.t.Helper()
	<-s.ended
	for range 2000 {
		if condition() {
			return
		}
		testkit.Pause()
	}
	s.t.Error("what the server had started goes on")
}

// TestOwnerNeedsRoot: who is not root is told so before anything starts.
func TestOwnerNeedsRoot(t *testing.T) {
	o := newOwnedTree(t)
	o.put("millrace.toml", "[[site]]\nlisten = [\"127.0.0.1:0\"]\n[[site.route]]\ncgi = { root = \"sites\", as_owner = true }\n", 0o644, annUser)
	o.put("sites/x", "", 0o644, annUser)
	o.own(o.dir, annUser)
	cmd := exec.Command(binary, "serve", o.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: annUser, Gid: annUser}}
	cmd.Dir = o.dir
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "only root may start programs as other users") || !strings.Contains(string(out), "leave as_owner out") {
		t.Errorf("%v\n%s", err, out)
	}
}
