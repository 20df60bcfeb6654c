package project

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startproject makes a real project and returns its folder. more is added to
// the end of its settings.
func startproject(t *testing.T, more string) string {
	t.Helper()
	folder := files(t, nil)
	cmd := exec.Command(filepath.Join(venv(t), "bin", "python"), "-m", "django", "startproject", "mysite", ".")
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("startproject: %v\n%s", err, out)
	}
	settings := filepath.Join(folder, "mysite", "settings.py")
	text, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	write(t, settings, string(text)+"\n"+more)
	return folder
}

// adminStatic is the folder of the admin's files, inside Django.
func adminStatic(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(venv(t), "bin", "python"), "-c",
		"import django, os; print(os.path.join(os.path.dirname(django.__file__), 'contrib', 'admin', 'static'))").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func wantNotes(t *testing.T, found *Found, want ...string) {
	t.Helper()
	if len(found.Notes) != len(want) {
		t.Errorf("notes %q; want %d", found.Notes, len(want))
		return
	}
	for i, part := range want {
		if !strings.Contains(found.Notes[i], part) {
			t.Errorf("note %q; want %q in it", found.Notes[i], part)
		}
	}
}

func TestStartproject(t *testing.T) {
	folder := startproject(t, "")
	found := find(t, Options{Target: folder})
	if found.Problem != nil {
		t.Fatal(found.Problem)
	}
	app := found.Config.Apps[AppName]
	if found.Source != folder {
		t.Errorf("source %s", found.Source)
	}
	if found.Kind != KindDjango || app.WSGI != "mysite.wsgi:application" || app.Dir != folder || app.Env[settingsVar] != "mysite.settings" {
		t.Errorf("%s %+v", found.Kind, app)
	}
	if d := found.Django; d.Settings != "mysite.settings" || !d.Debug || !strings.HasPrefix(d.Version, "5.") {
		t.Errorf("%+v", d)
	}
	wantRoutes(t, found, "/static/* strip /static "+adminStatic(t), "-> main")
	wantNotes(t, found)
}

func TestStaticAndMedia(t *testing.T) {
	folder := startproject(t, `
STATIC_ROOT = BASE_DIR / "collected"
MEDIA_ROOT = str(BASE_DIR / "uploads") + "/"
MEDIA_URL = "static/media/"
DEBUG = False
`)
	for _, name := range []string{"collected", "uploads"} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	found := find(t, Options{Target: folder})
	// MEDIA_URL lies inside STATIC_URL, so its route comes first.
	wantRoutes(t, found,
		"/static/media/* strip /static/media "+folder+"/uploads",
		"/static/* strip /static "+folder+"/collected",
		"-> main")
	wantNotes(t, found)
	if found.Django.Debug || found.Django.Finders != nil {
		t.Errorf("%+v", found.Django)
	}
}

func TestStaticRootNotThere(t *testing.T) {
	folder := startproject(t, `STATIC_ROOT = BASE_DIR / "collected"`)
	found := find(t, Options{Target: folder})
	wantRoutes(t, found, "/static/* strip /static "+adminStatic(t), "-> main")
	wantNotes(t, found, "collected does not exist: the folders of the staticfiles finders are served (python manage.py collectstatic")
}

func TestPrefixedFinders(t *testing.T) {
	folder := startproject(t, `STATICFILES_DIRS = [BASE_DIR / "own", ("lib", BASE_DIR / "vendor"), ("lib/deep", str(BASE_DIR / "deep")), BASE_DIR / "gone"]`)
	for _, name := range []string{"own/lib", "vendor/deep", "deep"} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	found := find(t, Options{Target: folder})
	wantRoutes(t, found,
		"/static/lib/deep/* strip /static/lib/deep "+folder+"/vendor/deep "+folder+"/deep",
		"/static/lib/* strip /static/lib "+folder+"/own/lib "+folder+"/vendor",
		"/static/* strip /static "+folder+"/own "+adminStatic(t),
		"-> main")
	wantNotes(t, found, folder+"/gone does not exist")
}

func TestNeverServed(t *testing.T) {
	tests := []struct{ name, settings, note string }{
		{"the project as media", "MEDIA_ROOT = BASE_DIR\nMEDIA_URL = 'media/'", "holds a manage.py"},
		{"a link to the project", "import os\nMEDIA_ROOT = BASE_DIR / 'link'\nMEDIA_URL = 'media/'\nif not MEDIA_ROOT.is_symlink(): os.symlink(BASE_DIR, MEDIA_ROOT)", "holds a manage.py"},
		{"above the project", "MEDIA_ROOT = BASE_DIR.parent\nMEDIA_URL = 'media/'", "mysite/settings.py"},
		{"the settings' package", "MEDIA_ROOT = BASE_DIR / 'mysite'\nMEDIA_URL = 'media/'", "mysite/settings.py"},
		{"the database", "(BASE_DIR / 'data').mkdir(exist_ok=True)\n(BASE_DIR / 'data/db').touch()\nDATABASES['default']['NAME'] = BASE_DIR / 'data/db'\nMEDIA_ROOT = BASE_DIR / 'data'\nMEDIA_URL = 'media/'", "data/db"},
		{"the project as static root", "STATIC_ROOT = BASE_DIR", "holds a manage.py"},
		{"a missing folder", "MEDIA_ROOT = BASE_DIR / 'gone'\nMEDIA_URL = 'media/'", "gone does not exist"},
		{"media at the root", "MEDIA_ROOT = BASE_DIR / 'up'\nMEDIA_URL = ''", "would hide the app"},
		{"media elsewhere", "MEDIA_ROOT = BASE_DIR / 'up'\nMEDIA_URL = 'https://cdn.example.com/m/'", "is on another server"},
		{"static without a scheme elsewhere", "STATIC_ROOT = BASE_DIR / 'up'\nSTATIC_URL = '//cdn.example.com/m/'", "is on another server"},
		{"a pattern", "STATIC_ROOT = BASE_DIR / 'up'\nSTATIC_URL = '/st*tic/'", "can't be a route"},
	}
	folder := startproject(t, "from mysite.more import *\n")
	if err := os.Mkdir(filepath.Join(folder, "up"), 0o755); err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(filepath.Join(folder, "mysite", "settings.py"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			write(t, filepath.Join(folder, "mysite", "settings.py"), string(settings)+"\nINSTALLED_APPS.remove('django.contrib.staticfiles')\n"+test.settings+"\n")
			write(t, filepath.Join(folder, "mysite", "more.py"), "")
			found := find(t, Options{Target: folder, Env: []string{"PYTHONDONTWRITEBYTECODE=1"}})
			if found.Problem != nil {
				t.Fatal(found.Problem)
			}
			wantRoutes(t, found, "-> main")
			wantNotes(t, found, test.note)
		})
	}
	t.Run("nothing set", func(t *testing.T) {
		write(t, filepath.Join(folder, "mysite", "settings.py"), string(settings)+"\nSTATIC_URL = None\nINSTALLED_APPS = []\nWSGI_APPLICATION = None\n")
		found := find(t, Options{Target: folder, Env: []string{"PYTHONDONTWRITEBYTECODE=1"}})
		wantRoutes(t, found, "-> main")
		wantNotes(t, found)
		if got := found.Config.Apps[AppName].WSGI; got != djangoWSGI {
			t.Errorf("wsgi %s", got)
		}
	})
}

func TestFindersNotServed(t *testing.T) {
	folder := startproject(t, `
STATICFILES_DIRS = [BASE_DIR, ("a*", BASE_DIR / "own")]
STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder", "mysite.finder.Nowhere", "django.contrib.staticfiles.finders.DefaultStorageFinder"]
MEDIA_ROOT = BASE_DIR / "own"
MEDIA_URL = ""
`)
	write(t, filepath.Join(folder, "mysite", "finder.py"), "from django.contrib.staticfiles.finders import BaseFinder\nclass Nowhere(BaseFinder):\n    def check(self, **kw): return []\n")
	if err := os.Mkdir(filepath.Join(folder, "own"), 0o755); err != nil {
		t.Fatal(err)
	}
	found := find(t, Options{Target: folder})
	if found.Problem != nil {
		t.Fatal(found.Problem)
	}
	// DefaultStorageFinder shows MEDIA_ROOT's storage under STATIC_URL.
	wantRoutes(t, found, "/static/* strip /static "+folder+"/own", "-> main")
	wantNotes(t, found, "the finder Nowhere are not served", "holds a manage.py", `"a*" can't be a route`, "would hide the app")
}

func TestSettingsThatPrint(t *testing.T) {
	folder := startproject(t, `
import os, sys, subprocess
print('{"ok": {"version": "forged"}}', flush=True)
os.write(2, b"x" * 300000)
child = subprocess.Popen(["sleep", "600"])  # keeps our output open
(BASE_DIR / "pid").write_text(str(child.pid))
`)
	found := find(t, Options{Target: folder})
	defer process(t, filepath.Join(folder, "pid")).Kill()
	if found.Problem != nil || !strings.HasPrefix(found.Django.Version, "5.") {
		t.Errorf("problem %v, %+v", found.Problem, found.Django)
	}
}

func TestSettingsThatFail(t *testing.T) {
	tests := []struct{ name, settings, text, traceback string }{
		{"raise", "print('before')\nraise RuntimeError('no key')", "RuntimeError: no key", "mysite/settings.py"},
		{"exit", "raise SystemExit('bye')", "SystemExit: bye", "mysite/settings.py"},
		{"no Django app", "INSTALLED_APPS += ['nothere']", "No module named 'nothere'", "django/apps"},
		{"vanish", "import os; os._exit(7)", "exit status 7", ""},
		{"killed", "import os; os.kill(os.getpid(), 9)", "signal: killed", ""},
		{"hang", "import signal; signal.pause()", "no answer within", ""},
		{"a torn answer", "import os; os.write(3, b'{\"ok\":'); os._exit(0)", "without a whole answer", ""},
		{"a huge answer", "import os\ndef run():\n    while True: os.write(3, b' ' * 65536)\nrun()", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := startproject(t, test.settings)
			o := Options{Target: folder}
			if test.name == "hang" {
				o.Limit = 3 * time.Second
			}
			found := find(t, o)
			var problem *ProbeError
			if !errors.As(found.Problem, &problem) {
				t.Fatalf("problem %v; want a *ProbeError", found.Problem)
			}
			if !strings.Contains(problem.Error(), test.text) || !strings.Contains(problem.Traceback, test.traceback) {
				t.Errorf("%q\n%s\nwant %q and %q", problem.Error(), problem.Traceback, test.text, test.traceback)
			}
			if strings.Contains(problem.Traceback, "millrace_worker") {
				t.Errorf("the traceback shows our own frames:\n%s", problem.Traceback)
			}
			if test.name == "raise" && !strings.Contains(problem.Output, "before") {
				t.Errorf("output %q", problem.Output)
			}
			// The app is served all the same, so that its failure is seen.
			if app := found.Config.Apps[AppName]; app.WSGI != "mysite.wsgi:application" || app.Env[settingsVar] != "mysite.settings" {
				t.Errorf("%+v", app)
			}
			wantRoutes(t, found, "-> main")
		})
	}
}

func TestWhichSettings(t *testing.T) {
	folder := startproject(t, "")
	other := "from mysite.settings import *\nDEBUG = False\n"
	write(t, filepath.Join(folder, "mysite", "production.py"), other)
	manage, err := os.ReadFile(filepath.Join(folder, "manage.py"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(want string, o Options) {
		t.Helper()
		clean(t)
		o.Target, o.Venv = folder, venv(t)
		found, err := Find(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if got := found.Config.Apps[AppName].Env[settingsVar]; got != want || found.Problem != nil || found.Django.Settings != want {
			t.Errorf("settings %s, problem %v; want %s", got, found.Problem, want)
		}
	}
	check("mysite.production", Options{Env: []string{settingsVar + "=mysite.production"}})
	write(t, filepath.Join(folder, "manage.py"), strings.Replace(string(manage), "'mysite.settings'", "\n        \"mysite.production\"", 1))
	check("mysite.production", Options{})
	write(t, filepath.Join(folder, "manage.py"), "import os, django\nos.environ['DJANGO_SETTINGS_MODULE'] = 'mysite.production'\n")
	check("mysite.production", Options{})
	write(t, filepath.Join(folder, "manage.py"), "import django, conf\nconf.configure()\n")
	check("mysite.settings", Options{})

	clean(t)
	t.Setenv(settingsVar, "mysite.production")
	found, err := Find(t.Context(), Options{Target: folder, Venv: venv(t)})
	if err != nil || found.Django.Settings != "mysite.production" {
		t.Errorf("from the environment: %v, %+v", err, found)
	}
}
