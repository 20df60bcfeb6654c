// Package project turns what is typed after `millrace serve` into a
// configuration.
//
// A TARGET is one of:
//
//	module:callable   a WSGI app, imported from the working folder
//	FOLDER            the first of these that it holds:
//	                  millrace.toml, manage.py (Django), wsgi.py, app.py;
//	                  none of them: the built-in demo app
//	FILE.toml         a configuration
//	FILE              any other file, but Python's: a configuration of another
//	                  server, which Options.Foreign reads
//
// Nothing of the project is executed in this process. What only Python can
// tell is asked of the interpreter that will run the app: its version; the
// names that wsgi.py and app.py bind (parsed, not executed); and, of a Django
// project, where its static files and uploads are and under which paths. Each
// question has a time limit and a bounded answer.
//
// A Django project whose settings raise still yields a configuration, of its
// app alone: the server comes up, shows the failure, and can be reloaded when
// it is mended. Found.Problem says what went wrong.
//
// The package does not check the configuration that it returns, does not
// start the app, and prints nothing: what there is to say is in Found.
package project

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"millrace/internal/config"
)

// Names of what a configuration made here consists of.
const (
	AppName     = "main"                                    // the one app
	DemoWSGI    = "millrace_worker.demo:application"        // the demo app, inside the worker's own package
	djangoWSGI  = "millrace_worker.django_wsgi:application" // for settings without a WSGI_APPLICATION
	settingsVar = "DJANGO_SETTINGS_MODULE"
)

// Options says what to look for. The zero value serves what the current
// folder holds.
type Options struct {
	Target  string   // "module:callable", a folder, or a file; default "."
	Dir     string   // working folder of module:callable, default the current one; without a target, the folder to look in
	Venv    string   // virtual environment; default: found, see Interpreter
	Python  string   // the interpreter itself, a path or a name on the path; before Venv
	Env     []string // added to the app's environment, "NAME=value"; the last of a name wins
	AppOnly bool     // nothing but the app is served: a Django project is not asked for its files; see apponly.go
	User    string   // who Python is asked as, for a start as root: it runs what the user may have written; empty: as we are
	Group   string   // with User; empty: the user's

	Foreign func(path string) (*config.Config, error) // loads a configuration of another server; nil: there are none
	Told    bool                                      // the file is one of these, whatever its name

	Limit time.Duration // time for one question to Python; default 10s for its version, 30s for the project
}

// Kind is what a target turned out to be.
type Kind string

// The kinds of targets.
const (
	KindConfig   Kind = "config"   // a millrace.toml, or what stands for one
	KindDjango   Kind = "django"   // a folder with a manage.py
	KindCallable Kind = "callable" // module:callable, said or found
	KindDemo     Kind = "demo"     // nothing was found
)

// Found is what a target stands for. The caller owns it.
type Found struct {
	Kind   Kind
	Source string // the file, folder (absolute) or module:callable that decided, for people

	// Config is loaded from a file, or made. In both cases Complete is to be
	// called on it, after what the command line sets.
	Config *config.Config

	Python map[string]Interpreter // of each app, by its name in Config
	Django *Django                // what a Django project said of itself; nil: not Django, or it could not
	Notes  []string               // what is not served though it may be expected, a line each

	// Problem is a *ProbeError when the project could not say what it is;
	// Config then holds its app alone.
	Problem error
}

// Error is a target that can't be served.
type Error struct {
	Problem string // one line
	Hint    string // one line: what to do
	Err     error  // the cause; may be nil
}

// Error is the problem and, on a line of its own, the hint.
func (e *Error) Error() string {
	problem := e.Problem
	if e.Err != nil {
		problem += ": " + e.Err.Error()
	}
	return problem + "\n  hint: " + e.Hint
}

func (e *Error) Unwrap() error { return e.Err }

var callable = regexp.MustCompile(`^[\pL_][\pL\pN_]*(\.[\pL_][\pL\pN_]*)*:[\pL_][\pL\pN_.]*$`)

// Find says what a target is. The error is an *Error where there is advice,
// and one of package config for a configuration that can't be loaded.
func Find(ctx context.Context, o Options) (*Found, error) {
	if o.Target == "" {
		o.Target = "."
	}
	if o.Dir != "" && filepath.Clean(o.Target) == "." {
		o.Target, o.Dir = o.Dir, ""
	}
	for _, assignment := range o.Env {
		if name, _, ok := strings.Cut(assignment, "="); !ok || name == "" {
			return nil, &Error{Problem: fmt.Sprintf("environment %q is not NAME=value", assignment), Hint: "write --env NAME=value"}
		}
	}
	info, err := os.Stat(o.Target)
	switch {
	case err == nil && info.IsDir() && o.Dir != "":
		return nil, &Error{Problem: "--dir has no meaning with the folder " + o.Target, Hint: "give one of the two"}
	case err == nil && info.IsDir():
		return findFolder(ctx, o)
	case err == nil:
		return findFile(ctx, o)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, &Error{Problem: "cannot look at " + o.Target, Err: err, Hint: "check its rights"}
	case callable.MatchString(o.Target):
		return findCallable(ctx, o, o.Dir, o.Target)
	case strings.Contains(o.Target, ":"):
		return nil, &Error{
			Problem: fmt.Sprintf("%q is neither a file nor module:callable", o.Target),
			Hint:    "write the module as Python imports it: package.module:callable",
		}
	}
	return nil, &Error{
		Problem: o.Target + " does not exist",
		Hint:    "give a folder, a .toml file, or an app as module:callable",
	}
}

func findFile(ctx context.Context, o Options) (*Found, error) {
	name := filepath.Base(o.Target)
	ending := filepath.Ext(name)
	if o.Foreign != nil && (o.Told || ending != ".toml" && ending != ".py") {
		return loadConfig(ctx, o, o.Target, o.Foreign)
	}
	switch ending {
	case ".toml":
		return loadConfig(ctx, o, o.Target, config.Load)
	case ".py":
		module := strings.TrimSuffix(name, ".py")
		if name == "manage.py" {
			return nil, &Error{Problem: o.Target + " is a file of a project", Hint: "give its folder: millrace serve " + filepath.Dir(o.Target)}
		}
		return nil, &Error{
			Problem: o.Target + " is a Python file",
			Hint:    fmt.Sprintf("name the callable in it: millrace serve --dir %s %s:application", filepath.Dir(o.Target), module),
		}
	}
	return nil, &Error{Problem: o.Target + " is not a configuration", Hint: "give a .toml file, a folder, or an app as module:callable"}
}

// loadConfig completes each app of a configuration with its interpreter.
func loadConfig(ctx context.Context, o Options, path string, load func(string) (*config.Config, error)) (*Found, error) {
	if o.Dir != "" {
		return nil, &Error{Problem: "--dir has no meaning with " + path, Hint: "write dir under [app.NAME] in it"}
	}
	cfg, err := load(path)
	if err != nil {
		return nil, err
	}
	found := &Found{Kind: KindConfig, Source: path, Config: cfg, Python: map[string]Interpreter{}}
	for _, name := range slices.Sorted(maps.Keys(cfg.Apps)) {
		app := cfg.Apps[name]
		if len(app.Command) > 0 {
			continue // no Python of ours runs it
		}
		of := o
		if app.Python != "" || app.Venv != "" {
			of.Python, of.Venv = app.Python, app.Venv
		}
		if of.User, of.Group = app.User, app.Group; of.User == "" {
			of.User, of.Group = cfg.Server.User, cfg.Server.Group
		}
		python, err := findInterpreter(ctx, of, app.Dir)
		if err != nil {
			return nil, fmt.Errorf("%s: app %s: %w", path, name, err)
		}
		app.Python = python.Path
		found.Python[name] = python
	}
	return found, nil
}

func findFolder(ctx context.Context, o Options) (*Found, error) {
	folder := o.Target
	if path := filepath.Join(folder, "millrace.toml"); isFile(path) {
		return loadConfig(ctx, o, path, config.Load)
	}
	if o.AppOnly && o.named() != "" {
		return findSettings(ctx, o, folder)
	}
	if path := filepath.Join(folder, "manage.py"); isFile(path) {
		text, err := readBounded(path)
		if err != nil {
			return nil, &Error{Problem: "cannot read " + path, Err: err, Hint: "check its rights"}
		}
		if strings.Contains(strings.ToLower(text), "django") {
			return findDjango(ctx, o, folder, text)
		}
	}
	var scripts []string
	for _, name := range []string{"wsgi.py", "app.py"} {
		if path := filepath.Join(folder, name); isFile(path) {
			scripts = append(scripts, path)
		}
	}
	if len(scripts) > 0 {
		return findScript(ctx, o, folder, scripts)
	}
	if o.AppOnly && os.Getenv(settingsVar) != "" {
		return findSettings(ctx, o, folder)
	}
	found, err := findCallable(ctx, o, folder, DemoWSGI)
	if err != nil {
		return nil, err
	}
	found.Kind, found.Source = KindDemo, found.Config.Apps[AppName].Dir
	return found, nil
}

// findCallable is the configuration of one app for every path.
func findCallable(ctx context.Context, o Options, folder, wsgi string) (*Found, error) {
	app, python, err := newApp(ctx, o, folder)
	if err != nil {
		return nil, err
	}
	app.WSGI = wsgi
	return &Found{
		Kind:   KindCallable,
		Source: wsgi,
		Config: newConfig(app, []config.Route{{App: AppName}}),
		Python: map[string]Interpreter{AppName: python},
	}, nil
}

// newApp is an app without its WSGI: its folder, its interpreter, its environment.
func newApp(ctx context.Context, o Options, folder string) (*config.App, Interpreter, error) {
	app, err := appIn(o, folder)
	if err != nil {
		return nil, Interpreter{}, err
	}
	python, err := findInterpreter(ctx, o, app.Dir)
	if err != nil {
		return nil, Interpreter{}, err
	}
	app.Python = python.Path
	return app, python, nil
}

// appIn is that without its interpreter.
func appIn(o Options, folder string) (*config.App, error) {
	dir, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, &Error{Problem: "there is no folder " + dir, Hint: "give the folder that the app is imported from: --dir FOLDER"}
	}
	env := map[string]string{}
	for _, assignment := range o.Env {
		name, value, _ := strings.Cut(assignment, "=")
		env[name] = value
	}
	return &config.App{Dir: dir, Env: env}, nil
}

func newConfig(app *config.App, routes []config.Route) *config.Config {
	return &config.Config{
		Sites: []config.Site{{Routes: routes}},
		Apps:  map[string]*config.App{AppName: app},
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
