package server

import (
	"os"
	"path/filepath"
	"testing"

	"millrace/internal/config"
)

// TestSettle: symlinks on the way are resolved, an interpreter's own is not.
func TestSettle(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write(t, root+"/release1/venv/pyvenv.cfg", "")
	write(t, root+"/release1/bin/work", "")
	write(t, root+"/elsewhere/python3.11", "")
	write(t, root+"/release1/static/a.txt", "")
	for link, to := range map[string]string{
		"current": "release1", "release1/venv/bin": root + "/elsewhere", "elsewhere/python": "python3.11", "lib": "release1",
	} {
		if err := os.Symlink(to, root+"/"+link); err != nil {
			t.Fatal(err)
		}
	}
	current := root + "/current"
	plan := &Plan{Config: &config.Config{
		Sites: []config.Site{{Root: current + "/static", Routes: []config.Route{{Files: &config.Files{Root: config.Strings{current + "/static", root + "/missing"}}}, {}}}},
		Apps: map[string]*config.App{
			"main": {
				Dir: current, Python: current + "/venv/bin/python",
				Env:      map[string]string{"PYTHONPATH": root + "/lib:relative:" + root + "/missing"},
				Attached: map[string]*config.Attached{"work": {Command: []string{current + "/bin/work"}}, "other": {Command: []string{"celery"}}},
			},
			"jailed": {Dir: "/current", Chroot: current, Python: "/bin/python"},
			"plain":  {Dir: root, Python: root + "/elsewhere/python"},
		},
	}}
	if err := plan.Settle(); err != nil {
		t.Fatal(err)
	}
	release := root + "/release1"
	main := plan.Config.Apps["main"]
	for _, w := range []struct{ what, got, want string }{
		{"dir", main.Dir, release},
		{"python of a venv whose bin is a symlink", main.Python, release + "/venv/bin/python"},
		{"a program", main.Attached["work"].Command[0], release + "/bin/work"},
		{"a program of the PATH", main.Attached["other"].Command[0], "celery"},
		{"python", plan.Config.Apps["plain"].Python, root + "/elsewhere/python"},
		{"chroot", plan.Config.Apps["jailed"].Chroot, release},
		{"dir in a chroot", plan.Config.Apps["jailed"].Dir, "/current"},
		{"site's root", plan.Config.Sites[0].Root, release + "/static"},
		{"files", plan.Config.Sites[0].Routes[0].Files.Root[0], release + "/static"},
		{"files that are not there", plan.Config.Sites[0].Routes[0].Files.Root[1], root + "/missing"},
	} {
		if w.got != w.want {
			t.Errorf("%s: %s, want %s", w.what, w.got, w.want)
		}
	}
	env, err := plan.environ("main", nil)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, v := range env {
		found = found || v == "PYTHONPATH="+release+":relative:"+root+"/missing"
	}
	if !found {
		t.Errorf("environment %q", env)
	}
}

// TestBesideCommands: what runs beside an app runs as the app does, by names of
// its own; a front knows them by those names alone.
func TestBesideCommands(t *testing.T) {
	plan := parse(t, t.TempDir(), `
[app.main]
wsgi = "one:app"
env = { WHO = "app", QUEUE = "none" }
cron = ['5 4 * * * date +\%F']
[app.main.attached.work]
command = ["/bin/sh", "-c", "true"]
env = { QUEUE = "mail" }
`)
	commands, err := Commands(plan)
	if err != nil {
		t.Fatal(err)
	}
	work, cron := commands["app main attached work"], commands["app main cron 1"]
	if work == nil || cron == nil || commands["app main"] == nil || len(commands) != 3 {
		t.Fatalf("%v", commands)
	}
	has := func(env []string, v string) bool {
		for _, have := range env {
			if have == v {
				return true
			}
		}
		return false
	}
	if !has(work.Env, "WHO=app") || !has(work.Env, "QUEUE=mail") || has(work.Env, "QUEUE=none") || !has(work.Env, "A=1") || !work.Whole || !work.Lifeline {
		t.Errorf("%+v", work)
	}
	if !has(cron.Env, "QUEUE=none") || cron.Path != "/bin/sh" || cron.Args[2] != "date +%F" || cron.Whole || !cron.Lifeline {
		t.Errorf("%+v", cron)
	}
	sealed, err := plan.Seal(commands, []byte("a key"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{Plan: sealed, Log: newLogger(&logBuffer{})}).besideConfig("main", sealed)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Programs) != 1 || len(c.Jobs) != 1 {
		t.Fatalf("%+v", c)
	}
	for _, command := range []string{c.Programs[0].Command.Name, c.Jobs[0].Command.Name} {
		if commands[command] == nil {
			t.Errorf("the keeper knows no %q", command)
		}
	}
	if env := c.Programs[0].Command.Env; len(env) != 1 || has(env, "QUEUE=mail") {
		t.Errorf("a front knows %q", env)
	}
}
