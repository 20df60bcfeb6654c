package main

// This file: from the command line to what is to be served. It runs again at
// each reload, so that the configuration and the project are looked at anew.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"millrace/internal/project"
	"millrace/internal/server"
)

// setting is a flag that sets a key of the configuration.
type setting struct {
	flag string
	key  string // of config.Config.Set
	hint string // for --help, with its value's name in backquotes
	many bool   // may be repeated
	path bool   // its values are files, relative to the current folder

	before string // of a path: what marks a value as one
}

var settings = []setting{
	{flag: "listen", key: "site.listen", hint: "`ADDRESS` to listen on: host:port, :port or unix:FILE; may be repeated (default 127.0.0.1:8000)", many: true, path: true, before: "unix:"},
	{flag: "workers", key: "app.workers", hint: "exactly `N` workers"},
	{flag: "min-spare", key: "app.min_spare", hint: "keep at least `N` idle workers (default 2)"},
	{flag: "max-spare", key: "app.max_spare", hint: "keep at most `N` idle workers (default 5)"},
	{flag: "max-children", key: "app.max_children", hint: "at most `N` workers (default 20)"},
	{flag: "max-requests", key: "app.max_requests", hint: "replace a worker after about `N` requests (default 0: never)"},
	{flag: "method", key: "app.method", hint: "how workers run: `METHOD` is prefork, threaded or cgi (default prefork)"},
	{flag: "queue", key: "app.queue", hint: "let `N` requests wait for a worker, then answer 503 (default 1024)"},
	{flag: "request-timeout", key: "app.request_timeout", hint: "kill a worker after `TIME` in one request and answer 504, as 30s (default 60s; 0s: never)"},
	{flag: "access-log", key: "site.access_log", hint: "log requests to `FILE`, - for stdout", path: true},
	{flag: "control", key: "server.control", hint: "the control socket `FILE`", path: true},
}

// serveFlags is the command line of serve.
type serveFlags struct {
	target string
	env    []string
	dir    string
	venv   string
	reload bool

	foreign foreignFlags

	folder  string // working folder at the start, by its name; empty: it does not matter
	control string // the socket that derived has found
	serving origin // of the plan before, if this is a reload or an upgrade

	values map[string]*[]string // of settings, by flag
	flags  *pflag.FlagSet
}

// register adds the flags of serve to a command's.
func (f *serveFlags) register(flags *pflag.FlagSet) {
	f.flags, f.values = flags, map[string]*[]string{}
	for _, s := range settings {
		// An array also for what may be given once: a second one is a mistake to be named.
		f.values[s.flag] = flags.StringArray(s.flag, nil, s.hint)
	}
	flags.StringArrayVar(&f.env, "env", nil, "`NAME=VALUE` for the app's environment; may be repeated")
	flags.StringVar(&f.dir, "dir", "", "the app's working `FOLDER`, first on sys.path")
	flags.StringVar(&f.venv, "venv", "", "the virtual environment `FOLDER` whose Python runs the app")
	f.foreign.register(flags)
	flags.BoolVar(&f.reload, "reload", false, "for development: reload when a source file of the app, or the configuration, changes; show tracebacks in the browser")
}

// found is a plan together with what package project said.
type found struct {
	*project.Found
	plan  *server.Plan
	files []string // of a configuration of another server
}

// plan finds the target and puts the flags over its configuration.
func (f *serveFlags) plan(ctx context.Context) (*found, error) {
	if err := f.enter(); err != nil {
		return nil, err
	}
	p, err := project.Find(ctx, project.Options{Target: f.target, Dir: f.dir, Venv: f.venv, Env: f.env, Foreign: f.foreign.load, Told: f.foreign.from != ""})
	if err != nil {
		return nil, err
	}
	if err := gone(f.serving, p); err != nil {
		return nil, err
	}
	if err := f.apply(p); err != nil {
		return nil, err
	}
	if info, err := os.Stat(p.Source); err == nil && (info.IsDir() || info.Mode().IsRegular()) {
		if p.Source, err = filepath.Abs(p.Source); err != nil {
			return nil, err
		}
	}
	control := p.Config.Server.Control
	if control == "" {
		if control, err = f.derived(); err != nil {
			return nil, err
		}
	}
	plan := &server.Plan{
		Config:      p.Config,
		Source:      p.Source,
		Environ:     os.Environ(),
		Control:     control,
		Development: f.reload,
		Notes:       notesOf(p),
	}
	if err := plan.Settle(); err != nil {
		return nil, err
	}
	f.serving = originOf(p)
	return &found{p, plan, f.foreign.files}, nil
}

// origin is what a plan was made of. Its zero value is that of no plan.
type origin struct {
	Kind   project.Kind
	Source string
}

func originOf(p *project.Found) origin { return origin{p.Kind, p.Source} }

// gone is why a reload or an upgrade does not go from what serves to what was
// found: that was found in place of something that is not there any more. A
// deploy that has not put everything back yet would else end all sites, and be
// called a success.
func gone(serving origin, next *project.Found) error {
	switch {
	case serving == origin{}:
		return nil
	case serving.Kind == project.KindConfig && next.Kind != project.KindConfig:
		return &failure{serving.Source + " is not there any more", "put it back, then reload again; to serve without it, stop and start"}
	case serving.Kind != project.KindDemo && next.Kind == project.KindDemo:
		return &failure{serving.Source + " holds nothing to serve any more", "put it back, then reload again"}
	}
	return nil
}

// derived is the control socket where the configuration names none: that of
// the place where the server was started, for as long as it runs.
func (f *serveFlags) derived() (string, error) {
	if f.control == "" {
		place, _, err := placeOf(f.target)
		if err != nil {
			return "", err
		}
		if f.control, err = derivedControl(place); err != nil {
			return "", err
		}
	}
	named, err := namedPlace(f.target)
	if err != nil {
		return "", err
	}
	return f.control, errors.Join(unlinkControl(f.control), linkControl(named, f.control))
}

// enter makes the working folder again the one that the server was started in,
// by its name: it may be a symlink that leads elsewhere by now.
func (f *serveFlags) enter() error {
	if f.folder == "" {
		return nil
	}
	if err := os.Chdir(f.folder); err != nil {
		return &failure{"cannot enter the folder that millrace was started in: " + err.Error(), "make it again, or start millrace anew from another"}
	}
	return nil
}

// notesOf is what there is to say of a completed configuration.
func notesOf(p *project.Found) []string {
	notes := slices.Clone(p.Notes)
	for _, w := range p.Config.Warnings {
		notes = append(notes, strings.ReplaceAll(w.Error(), "\n  hint: ", "; "))
	}
	if p.Problem != nil {
		notes = append(notes, p.Problem.Error())
	}
	return notes
}

// apply puts the flags over the configuration and completes it.
func (f *serveFlags) apply(p *project.Found) error {
	for _, s := range settings {
		values := *f.values[s.flag]
		if len(values) == 0 {
			continue
		}
		if len(values) > 1 && !s.many {
			return &usageError{"--" + s.flag + " is given twice", "give it once"}
		}
		if s.path {
			var err error
			if values, err = absolute(values, s.before); err != nil {
				return err
			}
		}
		if err := p.Config.Set("--"+s.flag, s.key, values...); err != nil {
			return err
		}
	}
	if p.Kind == project.KindConfig {
		if len(f.env) > 0 {
			if err := p.Config.Set("--env", "app.env", f.env...); err != nil {
				return err
			}
		}
		if err := f.venvApplies(p); err != nil {
			return err
		}
	}
	return p.Config.Complete(".")
}

// venvApplies refuses a --venv that an app's own python or venv goes before.
func (f *serveFlags) venvApplies(p *project.Found) error {
	if f.venv == "" {
		return nil
	}
	venv, err := filepath.Abs(f.venv)
	if err != nil {
		return err
	}
	for name, app := range p.Config.Apps {
		if len(app.Command) == 0 && !strings.HasPrefix(app.Python, venv+string(filepath.Separator)) {
			return &usageError{
				fmt.Sprintf("--venv cannot apply: app %s of %s names its own interpreter, %s", name, p.Source, app.Python),
				"change venv or python under [app." + name + "], or leave --venv out",
			}
		}
	}
	return nil
}

// absolute makes paths absolute from the current folder, where flags are
// typed; a configuration's are relative to its own. before is what may stand
// in front of a path, or is no path without it.
func absolute(values []string, before string) ([]string, error) {
	all := make([]string, 0, len(values))
	for _, v := range values {
		path, ok := strings.CutPrefix(v, before)
		if ok && path != "" && path != "-" {
			abs, err := filepath.Abs(path)
			if err != nil {
				return nil, err
			}
			v = before + abs
		}
		all = append(all, v)
	}
	return all, nil
}
