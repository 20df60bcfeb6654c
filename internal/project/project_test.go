package project

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/internal/config"
)

// venv is the virtual environment with Django that scripts/setup.sh makes.
func venv(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs("../../.cache/venv")
	if err != nil {
		t.Fatal(err)
	}
	if inVenv(folder) == "" {
		t.Fatalf("%s is missing: run scripts/setup.sh", folder)
	}
	return folder
}

// clean takes away what the environment of the test run would decide.
func clean(t *testing.T) {
	t.Helper()
	for _, name := range []string{"VIRTUAL_ENV", settingsVar} {
		if old, ok := os.LookupEnv(name); ok {
			os.Unsetenv(name)
			t.Cleanup(func() { os.Setenv(name, old) })
		}
	}
}

// files makes a folder from names and texts.
func files(t *testing.T, texts map[string]string) string {
	t.Helper()
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range texts {
		write(t, filepath.Join(folder, name), text)
	}
	return folder
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func find(t *testing.T, o Options) *Found {
	t.Helper()
	clean(t)
	if o.Venv == "" && o.Python == "" {
		o.Venv = venv(t)
	}
	found, err := Find(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := found.Config.Complete("."); err != nil {
		t.Errorf("the configuration can't be served: %v", err)
	}
	return found
}

// routes writes the routes of the only site as "path strip roots… -> app".
func routes(c *config.Config) []string {
	var out []string
	for _, r := range c.Sites[0].Routes {
		line := r.Path
		if r.Files != nil {
			line += " strip " + r.Files.Strip + " " + strings.Join(r.Files.Root, " ")
		}
		if r.App != "" {
			line += "-> " + r.App
		}
		out = append(out, line)
	}
	return out
}

func wantRoutes(t *testing.T, found *Found, want ...string) {
	t.Helper()
	if got := routes(found.Config); !slices.Equal(got, want) {
		t.Errorf("routes:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestTargets(t *testing.T) {
	empty := files(t, nil)
	tests := []struct {
		name  string
		files map[string]string
		kind  Kind
		wsgi  string
	}{
		{"nothing", nil, KindDemo, DemoWSGI},
		{"wsgi application", map[string]string{"wsgi.py": "def application(environ, start_response): pass\n"}, KindCallable, "wsgi:application"},
		{"app.py of Flask", map[string]string{"app.py": "from flask import Flask\napp = Flask(__name__)\n"}, KindCallable, "app:app"},
		{"not executed", map[string]string{"app.py": "app = 1\nraise SystemExit('executed')\n"}, KindCallable, "app:app"},
		{"imported name", map[string]string{"wsgi.py": "from shop.web import make as app\n"}, KindCallable, "wsgi:app"},
		{"application before app", map[string]string{"wsgi.py": "app = 1\napplication = app\n"}, KindCallable, "wsgi:application"},
		{"in a try", map[string]string{"wsgi.py": "try:\n    import x as application\nexcept ImportError:\n    application = None\n"}, KindCallable, "wsgi:application"},
		{"star import", map[string]string{"wsgi.py": "from shop import *\n"}, KindCallable, "wsgi:application"},
		{"wsgi.py without, app.py with", map[string]string{"wsgi.py": "x = 1\n", "app.py": "x, app = 1, 2\n"}, KindCallable, "app:app"},
		{"a main guard does not count", map[string]string{"wsgi.py": "if __name__ == '__main__':\n    application = 1\nelse:\n    pass\n", "app.py": "class application: pass\n"}, KindCallable, "app:application"},
		{"manage.py of something else", map[string]string{"manage.py": "from flask_script import Manager\n", "app.py": "app = 1\n"}, KindCallable, "app:app"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := files(t, test.files)
			found := find(t, Options{Target: folder})
			if found.Problem != nil {
				t.Error(found.Problem)
			}
			app := found.Config.Apps[AppName]
			if found.Kind != test.kind || app.WSGI != test.wsgi || app.Dir != folder {
				t.Errorf("kind %s, wsgi %s, dir %s; want %s, %s, %s", found.Kind, app.WSGI, app.Dir, test.kind, test.wsgi, folder)
			}
			wantRoutes(t, found, "-> main")
		})
	}
	t.Run("module:callable", func(t *testing.T) {
		found := find(t, Options{Target: "shop.web:app", Dir: empty, Env: []string{"A=1", "A=2=3"}})
		app := found.Config.Apps[AppName]
		if found.Kind != KindCallable || app.WSGI != "shop.web:app" || app.Dir != empty || app.Env["A"] != "2=3" {
			t.Errorf("%s %+v", found.Kind, app)
		}
	})
	t.Run("current folder", func(t *testing.T) {
		folder := files(t, map[string]string{"app.py": "app = 1\n"})
		python := venv(t)
		t.Chdir(folder)
		if app := find(t, Options{Venv: python}).Config.Apps[AppName]; app.Dir != folder || app.WSGI != "app:app" {
			t.Errorf("%+v", app)
		}
	})
	t.Run("dir without a target", func(t *testing.T) {
		folder := files(t, map[string]string{"app.py": "app = 1\n"})
		if app := find(t, Options{Dir: folder}).Config.Apps[AppName]; app.Dir != folder || app.WSGI != "app:app" {
			t.Errorf("%+v", app)
		}
	})
}

func TestSyntaxErrorIsServed(t *testing.T) {
	found := find(t, Options{Target: files(t, map[string]string{"wsgi.py": "def application(:\n"})})
	var problem *ProbeError
	if !errors.As(found.Problem, &problem) || !strings.Contains(problem.Traceback, "SyntaxError") {
		t.Errorf("problem %v; want a SyntaxError", found.Problem)
	}
	if got := found.Config.Apps[AppName].WSGI; got != "wsgi:application" {
		t.Errorf("wsgi %s", got)
	}
}

func TestTargetErrors(t *testing.T) {
	clean(t)
	folder := files(t, map[string]string{
		"nginx.conf": "", "notes.txt": "", "app.py": "def create_app(): pass\n", "project/manage.py": "# django\n",
		"two/manage.py": "# django\n", "two/a/settings.py": "", "two/b/settings/__init__.py": "",
	})
	tests := []struct {
		options       Options
		problem, hint string
	}{
		{Options{Target: "nowhere"}, "nowhere does not exist", "module:callable"},
		{Options{Target: "a b:c"}, "neither a file nor module:callable", "package.module:callable"},
		{Options{Target: folder + "/nginx.conf"}, "is not a configuration", ".toml"},
		{Options{Target: folder + "/notes.txt"}, "is not a configuration", ".toml"},
		{Options{Target: folder + "/app.py"}, "is a Python file", "app:application"},
		{Options{Target: folder + "/project/manage.py"}, "is a file of a project", folder + "/project"},
		{Options{Target: folder + "/project"}, "names no settings", settingsVar},
		{Options{Target: folder + "/two"}, "there are several: a.settings, b.settings", settingsVar},
		{Options{Target: folder}, "no application and no app", "MODULE:NAME"},
		{Options{Target: "a:b", Dir: folder + "/none"}, "there is no folder", "--dir"},
		{Options{Target: folder, Dir: folder}, "--dir has no meaning", "one of the two"},
		{Options{Target: "a:b", Env: []string{"=x"}}, "is not NAME=value", "--env"},
		{Options{Target: "a:b", Venv: folder}, "is not a virtual environment", "python3 -m venv"},
		{Options{Target: "a:b", Python: folder + "/none"}, "there is no interpreter", "path of a python3"},
	}
	for _, test := range tests {
		t.Run(test.problem, func(t *testing.T) {
			o := test.options
			if o.Venv == "" && o.Python == "" {
				o.Venv = venv(t)
			}
			found, err := Find(t.Context(), o)
			var hinted *Error
			if !errors.As(err, &hinted) {
				t.Fatalf("found %+v, error %v; want an *Error", found, err)
			}
			problem, hint, _ := strings.Cut(hinted.Error(), "\n  hint: ")
			if !strings.Contains(problem, test.problem) || !strings.Contains(hint, test.hint) || strings.Contains(problem+hint, "\n") {
				t.Errorf("%q; want %q and the hint %q, a line each", hinted.Error(), test.problem, test.hint)
			}
		})
	}
}

// script is an executable that stands for an interpreter.
func script(t *testing.T, path, text string) {
	t.Helper()
	write(t, path, "#!/bin/sh\n"+text+"\n")
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func answers(version string) string {
	return `printf 'noise\n\nmillrace\t` + version + `\tcpython\t%s\n' "$0"`
}

func TestInterpreterOrder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Fatal("this test needs a shell")
	}
	clean(t)
	app := files(t, nil)
	other := files(t, nil)
	onPath := files(t, nil)
	t.Setenv("PATH", onPath+":/usr/bin:/bin")
	script(t, onPath+"/python3", answers("3.8.0"))
	o := Options{Target: "a:b", Dir: app}
	check := func(path, why string) {
		t.Helper()
		found, err := Find(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		python := found.Python[AppName]
		if python.Path != path || !strings.Contains(python.Why, why) || found.Config.Apps[AppName].Python != path {
			t.Errorf("took %v; want %s, %s", python, path, why)
		}
	}
	check(onPath+"/python3", "python3 on the path")
	script(t, app+"/venv/bin/python", answers("3.9.1"))
	check(app+"/venv/bin/python", "venv beside the app")
	script(t, app+"/.venv/bin/python", answers("3.10.1"))
	check(app+"/.venv/bin/python", ".venv beside the app")
	t.Setenv("VIRTUAL_ENV", other+"/missing")
	check(app+"/.venv/bin/python", ".venv beside the app")
	script(t, other+"/active/bin/python", answers("3.13.0"))
	t.Setenv("VIRTUAL_ENV", other+"/active")
	check(other+"/active/bin/python", "$VIRTUAL_ENV")
	script(t, other+"/said/bin/python", answers("4.0.0"))
	o.Venv = other + "/said"
	check(other+"/said/bin/python", other+"/said")
	o.Python = "python3"
	check(onPath+"/python3", "as configured")
}

func TestInterpreterRefused(t *testing.T) {
	clean(t)
	tests := []struct{ name, script, problem string }{
		{"too old", answers("3.7.16"), "is Python 3.7.16; 3.8 or newer is needed"},
		{"Python 2", answers("2.7.18"), "is Python 2.7.18"},
		{"broken", "echo no such library >&2; exit 127", "exit status 127: no such library"},
		{"something else", "echo hello", "does not answer as Python does"},
		{"garbage version", answers("x.y"), "is Python x.y"},
		{"hangs, with a child that holds its output", "sleep 600 & echo $! >pid; wait", "did not start within"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := files(t, nil)
			script(t, folder+"/python", test.script)
			o := Options{Target: "a:b", Dir: folder, Python: folder + "/python"}
			if strings.HasPrefix(test.name, "hangs") {
				o.Limit = 200 * time.Millisecond
			}
			_, err := Find(t.Context(), o)
			var hinted *Error
			if !errors.As(err, &hinted) || !strings.Contains(err.Error(), test.problem) || hinted.Hint == "" {
				t.Errorf("error %v; want %q", err, test.problem)
			}
			if o.Limit > 0 {
				wantGone(t, process(t, folder+"/pid"))
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		folder := files(t, nil)
		started := filepath.Join(folder, "started")
		if err := exec.Command("mkfifo", started).Run(); err != nil {
			t.Fatal(err)
		}
		script(t, folder+"/python", "echo > "+started+"; sleep 600")
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			os.ReadFile(started)
			cancel()
		}()
		if _, err := Find(ctx, Options{Target: "a:b", Dir: folder, Python: folder + "/python"}); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

// process is the one whose id is in a file.
func process(t *testing.T, path string) *os.Process {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantGone waits for the end of a process that was killed.
func wantGone(t *testing.T, p *os.Process) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); p.Signal(syscall.Signal(0)) == nil; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("process %d lives on", p.Pid)
			p.Kill()
			return
		}
	}
}

func TestConfigFile(t *testing.T) {
	clean(t)
	folder := files(t, map[string]string{
		"millrace.toml": "[[site]]\n[[site.route]]\napp = \"a\"\n[app.a]\nwsgi = \"a:app\"\n[app.b]\nwsgi = \"b:app\"\ndir = \"b\"\n[app.c]\nwsgi = \"c:app\"\nvenv = \"cvenv\"\n",
		"manage.py":     "# django\n",
		"b/b.py":        "",
	})
	script(t, folder+"/.venv/bin/python", answers("3.8.1"))
	script(t, folder+"/b/.venv/bin/python", answers("3.9.1"))
	script(t, folder+"/cvenv/bin/python", answers("3.10.1"))
	for _, target := range []string{folder, folder + "/millrace.toml"} {
		found, err := Find(t.Context(), Options{Target: target})
		if err != nil {
			t.Fatal(err)
		}
		if found.Kind != KindConfig {
			t.Errorf("kind %s", found.Kind)
		}
		if err := found.Config.Complete(folder); err != nil {
			t.Error(err)
		}
		for name, want := range map[string]string{"a": "/.venv/bin/python", "b": "/b/.venv/bin/python", "c": "/cvenv/bin/python"} {
			if got := found.Config.Apps[name].Python; got != folder+want || found.Python[name].Path != got {
				t.Errorf("app %s: python %s; want %s", name, got, folder+want)
			}
		}
	}
	if _, err := Find(t.Context(), Options{Target: folder + "/millrace.toml", Dir: folder}); err == nil || !strings.Contains(err.Error(), "--dir has no meaning") {
		t.Errorf("--dir with a file: %v", err)
	}
	write(t, folder+"/millrace.toml", "[app.a]\nwsgy = \"a:app\"\n")
	if _, err := Find(t.Context(), Options{Target: folder}); err == nil || !strings.Contains(err.Error(), "wsgy") {
		t.Errorf("an unknown key: %v", err)
	}
}
