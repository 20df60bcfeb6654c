package e2e

// A site of several apps under several users.

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// systemPython is one that other users than root may run.
const systemPython = "/usr/bin/python3"

// users are the ids of the front and of three apps; nobody else's.
const (
	frontUser = 61000
	firstUser = 61001
	users     = 3
)

// site is a running server with an app for each user.
type site struct {
	*server
	dir     string
	secrets []string // a file of each app
}

func startUsers(t *testing.T) *site {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may start apps under several users")
	}
	dir := t.TempDir()
	open(t, filepath.Dir(dir), dir, filepath.Dir(binary))
	x := &site{dir: dir}
	config := fmt.Sprintf("[server]\nuser = \"%d\"\ngroup = \"%d\"\ncontrol = \"control.sock\"\nerror_log = \"log/error.log\"\n", frontUser, frontUser)
	config += "[[site]]\nlisten = [\"127.0.0.1:0\"]\naccess_log = \"log/access.log\"\n"
	source, err := os.ReadFile("testdata/users/app.py")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	apps := ""
	for i := range users {
		id := firstUser + i
		folder := filepath.Join(dir, fmt.Sprint("app", i))
		secret := filepath.Join(folder, "secret")
		for _, err := range []error{
			os.Mkdir(folder, 0o700),
			os.WriteFile(filepath.Join(folder, "app.py"), source, 0o600),
			os.WriteFile(secret, []byte("mine"), 0o600),
			os.Chown(folder, id, id), os.Chown(filepath.Join(folder, "app.py"), id, id), os.Chown(secret, id, id),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		x.secrets = append(x.secrets, secret)
		config += fmt.Sprintf("[[site.route]]\npath = \"/%d/*\"\nmount = \"/%d\"\napp = \"user%d\"\n", i, i, i)
		apps += fmt.Sprintf("[app.user%d]\nwsgi = \"app:application\"\ndir = \"app%d\"\npython = %q\nuser = \"%d\"\ngroup = \"%d\"\nworkers = 2\numask = \"027\"\nrlimits = { nofile = \"200\" }\nenv = { SECRET = \"of user %d\" }\n",
			i, i, systemPython, id, id, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "millrace.toml"), []byte(config+apps), 0o600); err != nil {
		t.Fatal(err)
	}
	x.server = start(t, dir)
	return x
}

// open lets others pass through folders.
func open(t *testing.T, folders ...string) {
	t.Helper()
	for _, folder := range folders {
		if err := os.Chmod(folder, 0o711); err != nil {
			t.Fatal(err)
		}
	}
}

// does has the app of a user do something.
func (x *site) does(user int, what, with string) (done bool, said string) {
	x.t.Helper()
	var answer struct {
		Done bool
		Said string
	}
	address := fmt.Sprintf("%s/%d/?do=%s&what=%s", x.url, user, what, url.QueryEscape(with))
	text := get(x.t, client(x.t), address, 200).text
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		x.t.Fatalf("%v in %s", err, text)
	}
	return answer.Done, answer.Said
}

// others are the workers of the other apps.
func (x *site) others(user int) []int {
	x.t.Helper()
	var all struct {
		Apps []struct {
			Name    string
			Workers []struct {
				PID   int
				State string
			}
		}
	}
	if err := json.Unmarshal([]byte(x.run("status", "--json")), &all); err != nil {
		x.t.Fatal(err)
	}
	var pids []int
	for _, app := range all.Apps {
		for _, w := range app.Workers {
			if app.Name != fmt.Sprint("user", user) && w.State != "draining" && w.PID > 0 { // the first is about to go, the last about to come
				pids = append(pids, w.PID)
			}
		}
	}
	return pids
}

// refusals are what an app is to hear: the last two of a process that has just
// ended.
var refusals = []string{"Permission denied", "Operation not permitted", "No such process", "No such file or directory"}

// apart checks that no app reaches what is another's.
func (x *site) apart() {
	x.t.Helper()
	for user := range users {
		x.waitFor("the workers of the others", func() bool { return len(x.others(user)) >= 2*(users-1) })
		if _, said := x.does(user, "ids", ""); said != fmt.Sprintf("%d %d []", firstUser+user, firstUser+user) && said != fmt.Sprintf("%d %d [%[2]d]", firstUser+user, firstUser+user) {
			x.t.Errorf("user %d is %s", user, said)
		}
		if _, said := x.does(user, "env", "SECRET"); said != fmt.Sprint("of user ", user) {
			x.t.Errorf("user %d has the secret %q", user, said)
		}
		if done, said := x.does(user, "read", x.secrets[user]); !done {
			x.t.Errorf("user %d cannot read its own file: %s", user, said)
		}
		forbidden := map[string][]string{"read": {}, "list": {}, "connect": {filepath.Join(x.dir, "control.sock")}, "kill": {}}
		for other, secret := range x.secrets {
			if other != user {
				forbidden["read"] = append(forbidden["read"], secret)
				forbidden["list"] = append(forbidden["list"], filepath.Dir(secret))
			}
		}
		for _, secret := range x.secrets { // or the last refusal would mean nothing
			if _, err := os.Stat(secret); err != nil {
				x.t.Error(err)
			}
		}
		for _, name := range []string{"millrace.toml", "log/error.log", "log/access.log"} {
			forbidden["read"] = append(forbidden["read"], filepath.Join(x.dir, name))
		}
		for _, pid := range append(x.others(user), x.cmd.Process.Pid, x.front()) {
			forbidden["kill"] = append(forbidden["kill"], fmt.Sprint(pid))
			forbidden["read"] = append(forbidden["read"], fmt.Sprintf("/proc/%d/environ", pid), fmt.Sprintf("/proc/%d/mem", pid))
			forbidden["list"] = append(forbidden["list"], fmt.Sprintf("/proc/%d/fd", pid))
		}
		for what, all := range forbidden {
			for _, with := range all {
				if done, said := x.does(user, what, with); done || !slices.Contains(refusals, said) {
					x.t.Errorf("user %d does %s %s: %v, %s", user, what, with, done, said)
				}
			}
		}
	}
}

// TestUsersApart: neither at first, nor after a reload, an upgrade, the death
// of a worker, or that of the front.
func TestUsersApart(t *testing.T) {
	x := startUsers(t)
	x.apart()
	x.run("reload")
	x.apart()
	x.run("upgrade")
	x.apart()
	front := x.front()
	var stat syscall.Stat_t
	if err := syscall.Stat(fmt.Sprintf("/proc/%d", front), &stat); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", front))
	if err != nil || !strings.Contains(string(text), fmt.Sprintf("Uid:\t%d\t%[1]d\t%[1]d\t%[1]d\n", frontUser)) || !strings.Contains(string(text), "CapEff:\t0000000000000000\n") {
		t.Errorf("the front's rights (%v):\n%s", err, text)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", front))
	if err != nil || strings.Contains(string(environ), "SECRET") {
		t.Errorf("the front's environment (%v): %q", err, environ)
	}
	if err := syscall.Kill(front, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	x.waitFor("another front", func() bool {
		for pid, line := range x.processes() {
			if strings.HasSuffix(line, " front") && pid != front {
				return true
			}
		}
		return false
	})
	x.apart()
}

// TestUserMissing: the key, the value and the reason; what was serving serves on.
func TestUserMissing(t *testing.T) {
	x := startUsers(t)
	path := filepath.Join(x.dir, "millrace.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(text), fmt.Sprintf("user = \"%d\"\ngroup", firstUser), "user = \"nobody-of-that-name\"\ngroup", 1)
	if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := x.try("reload", "--control", filepath.Join(x.dir, "control.sock"))
	if code != 1 || !strings.Contains(out, `user = "nobody-of-that-name" in [app.user0]: there is no such user`) || !strings.Contains(out, "hint: ") {
		t.Errorf("status %d\n%s", code, out)
	}
	x.does(0, "ids", "")
}
