package e2e

// Apps under users of their own: what each may reach, and what none may.

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// spy is an app that tries what its query says, and answers what came of it.
const spy = `
import ctypes, errno, json, os, socket

def attempt(what, arg):
    if what == "who":
        return {"uid": os.getresuid(), "gid": os.getresgid(), "groups": os.getgroups(), "pid": os.getpid(), "parent": os.getppid(), "dir": os.getcwd(), "umask": os.umask(0o77) or os.umask(0o77)}
    if what == "env":
        return os.environ.get(arg)
    if what == "read":
        with open(arg, "rb") as f:
            return f.read(1000).decode("utf-8", "replace")
    if what == "list":
        return os.listdir(arg)
    if what == "connect":
        socket.socket(socket.AF_UNIX).connect(arg)
        return "connected"
    if what == "kill":
        os.kill(int(arg), 0)
        return "signalled"
    if what == "trace":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.ptrace(16, int(arg), None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")
        return "attached"
    if what == "descriptors":
        all = {}
        for fd in os.listdir("/proc/self/fd"):
            try:
                all[fd] = os.readlink("/proc/self/fd/" + fd)
            except FileNotFoundError:
                pass  # that of the listing
        return all
    if what == "cut":  # the shared page, which the master looks at
        for fd in os.listdir("/proc/self/fd"):
            try:
                if "millrace page" in os.readlink("/proc/self/fd/" + fd):
                    os.ftruncate(int(fd), 0)
            except FileNotFoundError:
                pass
        return "cut"
    if what == "stderr":
        with open("/dev/stderr", "w") as f:
            f.write("over the name: " + arg + "\n")
        return "written"

def application(environ, start_response):
    from urllib.parse import parse_qs
    query = parse_qs(environ["QUERY_STRING"])
    if environ["REQUEST_METHOD"] == "POST":
        n = len(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x" * n]
    try:
        answer = {"got": attempt(query["try"][0], query.get("arg", [""])[0])}
    except OSError as e:
        answer = {"error": errno.errorcode.get(e.errno, str(e.errno))}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
`

// asked is what an attempt came to.
type asked[T any] struct {
	Got   T
	Error string
}

type identity struct {
	UID, GID    [3]int
	Groups      []int
	PID, Parent int
	Dir         string
	Umask       int
}

func try[T any](t *testing.T, s *server, app, what, arg string) asked[T] {
	t.Helper()
	query := url.Values{"try": {what}, "arg": {arg}}
	return decode[asked[T]](t, get(t, http.DefaultClient, s.url+"/"+app+"/?"+query.Encode(), 200))
}

func TestUsers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may start apps as other users")
	}
	// The temporary folder of a test is its user's alone.
	dir, err := os.MkdirTemp("", "millrace-users-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	open(t, filepath.Dir(binary)) // for the front
	put := func(name, text string, mode os.FileMode, owner int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
		return path
	}
	methods := map[string]string{"alpha": "", "beta": "method = \"threaded\"\nthreads = 2", "gamma": "preload = false"}
	uids := map[string]int{"alpha": 61001, "beta": 61002, "gamma": 61003}
	apps := []string{"alpha", "beta", "gamma"}
	cfg := &strings.Builder{}
	fmt.Fprintf(cfg, "[server]\nuser = \"%d\"\ngroup = \"%d\"\ncontrol = %q\nerror_log = %q\npidfile = \"pid\"\n[[site]]\nlisten = \"127.0.0.1:0\"\naccess_log = %q\n", frontUser, frontUser, "control.sock", "error.log", "access.log")
	for _, app := range apps {
		fmt.Fprintf(cfg, "[[site.route]]\npath = \"/%s/*\"\napp = %q\n", app, app)
	}
	own := map[string]string{}
	for _, app := range apps {
		uid := uids[app]
		folder := filepath.Join(dir, app)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(folder, uid, uid); err != nil {
			t.Fatal(err)
		}
		put(app+"/spy.py", spy, 0o600, uid)
		own[app] = put(app+"/private", "of "+app, 0o600, uid)
		key := put(app+".key", "key of "+app, 0o600, 0)
		fmt.Fprintf(cfg, "[app.%s]\nwsgi = \"spy:application\"\npython = \"/usr/bin/python3\"\ndir = %q\nuser = \"%d\"\ngroup = \"%d\"\numask = \"077\"\nrlimits = { nofile = \"300\" }\nworkers = 2\nsecrets = { KEY = %q }\n%s\n",
			app, folder, uid, uid, key, methods[app])
	}
	put("millrace.toml", cfg.String(), 0o600, 0)
	s := start(t, dir)

	who := map[string]identity{}
	for _, app := range apps {
		me := try[identity](t, s, app, "who", "").Got
		uid := uids[app]
		if want := [3]int{uid, uid, uid}; me.UID != want || me.GID != want || !slices.Equal(me.Groups, []int{uid}) || me.Umask != 0o77 || me.Dir != filepath.Join(dir, app) {
			t.Errorf("%s runs as %+v", app, me)
		}
		if env := try[string](t, s, app, "env", "KEY"); env.Got != "key of "+app {
			t.Errorf("%s has the secret %+v", app, env)
		}
		if env := try[string](t, s, app, "env", "HOME"); env.Got != "/" {
			t.Errorf("%s has the home %+v", app, env)
		}
		if read := try[string](t, s, app, "read", own[app]); read.Got != "of "+app {
			t.Errorf("%s reads its own file: %+v", app, read)
		}
		who[app] = me
	}

	masters := []string{"millrace.toml", "error.log", "access.log"}
	for _, app := range apps {
		t.Run(app, func(t *testing.T) {
			denied := func(what, arg string, want ...string) {
				t.Helper()
				if a := try[any](t, s, app, what, arg); !slices.Contains(want, a.Error) {
					t.Errorf("%s %s: %+v, want %v", what, arg, a, want)
				}
			}
			for _, name := range masters {
				denied("read", filepath.Join(dir, name), "EACCES")
			}
			denied("connect", filepath.Join(dir, "control.sock"), "EACCES")
			for _, other := range apps {
				denied("read", filepath.Join(dir, other+".key"), "EACCES")
				if other == app {
					continue
				}
				denied("read", own[other], "EACCES")
				denied("list", filepath.Join(dir, other), "EACCES")
			}
			// Every process of ours but those of the app itself.
			others := 0
			for pid := range s.processes() {
				info, err := os.Stat("/proc/" + strconv.Itoa(pid))
				if err != nil || owner(info) == uids[app] {
					continue
				}
				others++
				proc := "/proc/" + strconv.Itoa(pid)
				denied("read", proc+"/environ", "EACCES")
				denied("read", proc+"/mem", "EACCES")
				denied("list", proc+"/fd", "EACCES")
				denied("kill", strconv.Itoa(pid), "EPERM")
				denied("trace", strconv.Itoa(pid), "EPERM")
			}
			if others < 5 { // the master, and of two other apps a host and a process
				t.Errorf("only %d processes of others", others)
			}
			checkDescriptors(t, try[map[string]string](t, s, app, "descriptors", "").Got)
			denied("cut", "", "EPERM")
			// Bodies that go by a spool file, which is the master's.
			body := strings.Repeat("x", 5<<20)
			resp, err := http.Post(s.url+"/"+app+"/", "text/plain", strings.NewReader(body))
			if got := read(t, resp, err, 200); got.text != body {
				t.Errorf("of an upload of %d bytes %d come back", len(body), len(got.text))
			}
			if a := try[string](t, s, app, "stderr", app); a.Got != "written" {
				t.Errorf("/dev/stderr: %+v", a)
			}
		})
	}
	s.waitFor("what was written to /dev/stderr is in the log", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "error.log"))
		return err == nil && strings.Contains(string(text), "over the name: alpha")
	})

	// What cannot be is found at a reload; what served serves on.
	for _, bad := range []struct{ was, is, want string }{
		{`user = "61002"`, `user = "no-such-user"`, `user = "no-such-user" in [app.beta]: there is no such user on this machine`},
		{`group = "61002"`, ``, `user = "61002" in [app.beta]: no user of this machine has that number, so that its group is not known`},
		{"beta.key", "missing.key", `in secrets of [app.beta]: there is no file ` + filepath.Join(dir, "missing.key")},
	} {
		broken := strings.Replace(cfg.String(), bad.was, bad.is, 1)
		put("millrace.toml", broken, 0o600, 0)
		if out, code := s.try("reload", "--control", "control.sock"); code != 1 || !strings.Contains(out, bad.want) {
			t.Errorf("a reload with %s: status %d\n%s", bad.is, code, out)
		}
	}
	for _, app := range apps {
		if me := try[identity](t, s, app, "who", ""); me.Got.UID[0] != uids[app] {
			t.Errorf("%s after a failed reload: %+v", app, me)
		}
	}
	// And another one for the app.
	put("millrace.toml", strings.ReplaceAll(cfg.String(), "61001", "61009"), 0o600, 0)
	for _, path := range []string{"alpha", "alpha/spy.py", "alpha/private"} {
		if err := os.Chown(filepath.Join(dir, path), 61009, 61009); err != nil {
			t.Fatal(err)
		}
	}
	s.run("reload")
	if me := try[identity](t, s, "alpha", "who", ""); me.Got.UID[1] != 61009 {
		t.Errorf("after a reload alpha runs as %+v", me)
	}
}

// checkDescriptors checks that a worker has what it is meant to have: the null
// device, its output, tracebacks and lifeline (pipes), its channels, and the page
// of its requests.
func checkDescriptors(t *testing.T, all map[string]string) {
	t.Helper()
	var sockets, pipes, rest []string
	for fd, to := range all {
		switch {
		case strings.HasPrefix(to, "socket:"):
			sockets = append(sockets, to)
		case strings.HasPrefix(to, "pipe:"):
			pipes = append(pipes, to)
		case to == os.DevNull && fd == "0", strings.HasSuffix(to, "/fd"):
		case strings.HasPrefix(to, "/memfd:millrace page"): // of this app alone, and of a fixed size
		default:
			rest = append(rest, fd+" "+to)
		}
	}
	slices.Sort(pipes)
	pipes = slices.Compact(pipes)
	// Requests and answers of at most two threads, and what opens them.
	if len(sockets) < 2 || len(sockets) > 5 || len(pipes) != 3 || len(rest) > 0 {
		t.Errorf("descriptors of a worker: sockets %q, pipes %q, and %q", sockets, pipes, rest)
	}
}

// owner is the user of a process, as its folder in /proc tells.
func owner(info os.FileInfo) int {
	return int(info.Sys().(*syscall.Stat_t).Uid)
}
