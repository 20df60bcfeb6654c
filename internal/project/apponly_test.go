package project

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestAppOnly: the settings are not executed here, and name nothing but the
// app: nobody asks for files.
func TestAppOnly(t *testing.T) {
	folder := startproject(t, "raise RuntimeError('no key')")
	elsewhere := files(t, map[string]string{"wsgi.py": "application = None"})
	tests := []struct {
		name     string
		o        Options
		environ  string // DJANGO_SETTINGS_MODULE
		kind     Kind
		wsgi     string
		settings string
	}{
		{"manage.py", Options{Target: folder}, "", KindDjango, djangoWSGI, "mysite.settings"},
		{"manage.py, other settings", Options{Target: folder, Env: []string{settingsVar + "=mysite.other"}}, "", KindDjango, djangoWSGI, "mysite.other"},
		{"settings alone", Options{Target: elsewhere, Env: []string{settingsVar + "=mysite.settings"}}, "", KindDjango, djangoWSGI, "mysite.settings"},
		{"settings of the environment", Options{Target: t.TempDir()}, "mysite.settings", KindDjango, djangoWSGI, ""},
		{"settings of the environment, but an app", Options{Target: elsewhere}, "mysite.settings", KindCallable, "wsgi:application", ""},
		{"nothing", Options{Target: t.TempDir()}, "", KindDemo, DemoWSGI, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(settingsVar, test.environ)
			test.o.AppOnly, test.o.Venv = true, venv(t)
			found, err := Find(t.Context(), test.o)
			if err != nil || found.Problem != nil {
				t.Fatal(err, found.Problem)
			}
			app := found.Config.Apps[AppName]
			if found.Kind != test.kind || app.WSGI != test.wsgi || app.Env[settingsVar] != test.settings {
				t.Errorf("%s %+v", found.Kind, app)
			}
			if !filepath.IsAbs(app.Dir) || strings.HasPrefix(app.Dir, venv(t)) {
				t.Errorf("dir %s", app.Dir)
			}
			wantRoutes(t, found, "-> main")
		})
	}
}
