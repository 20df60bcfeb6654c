package server

import (
	"os"
	"reflect"
	"testing"

	"millrace/internal/config"
)

func TestEnterRoot(t *testing.T) {
	c := &config.Config{Apps: map[string]*config.App{
		"jail": {
			Chroot: "/srv/jail/", Dir: "/srv/jail/app", Python: "/srv/jail/usr/bin/python3", Command: []string{"/srv/jail/bin/x", "/srv/jail/y"},
			Attached: map[string]*config.Attached{"mail": {Command: []string{"/srv/jail/bin/mail"}}, "sh": {Command: []string{"sh"}}},
		},
		"root":  {Chroot: "/srv/jail", Dir: "/srv/jail", Python: "/srv/jailed/python"},
		"slash": {Chroot: "/", Dir: "/srv/app"},
	}}
	for _, a := range c.Apps {
		enterRoot(a)
	}
	want := map[string]*config.App{
		"jail": {
			Chroot: "/srv/jail/", Dir: "/app", Python: "/usr/bin/python3", Command: []string{"/bin/x", "/srv/jail/y"},
			Attached: map[string]*config.Attached{"mail": {Command: []string{"/bin/mail"}}, "sh": {Command: []string{"sh"}}},
		},
		"root":  {Chroot: "/srv/jail", Dir: "/", Python: "/srv/jailed/python"},
		"slash": {Chroot: "/", Dir: "/srv/app"},
	}
	if !reflect.DeepEqual(c.Apps, want) {
		for name, a := range c.Apps {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// A virtual environment is looked for where the interpreter is.
func TestVenvWithin(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(root+"/venv/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, root+"/venv/pyvenv.cfg", "home = /usr/bin\n")
	got, err := env(t, config.App{Chroot: root, Python: "/venv/bin/python"}, []string{"PATH=/bin"}, nil)
	if err != nil || got["VIRTUAL_ENV"] != "/venv" || got["PATH"] != "/venv/bin:/bin" {
		t.Errorf("got %q, %v", got, err)
	}
}
