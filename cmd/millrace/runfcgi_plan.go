package main

// This file: from the options of runfcgi to what is to be served. It runs
// again at each reload.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"millrace/internal/adapt"
	"millrace/internal/project"
	"millrace/internal/server"
)

type runfcgiPlan struct {
	o       *adapt.Runfcgi
	allow   []string // addresses that may connect over TCP; nil: all
	environ []string // of the app
}

func (r *runfcgiPlan) plan(ctx context.Context) (*found, error) {
	o := r.o
	options := project.Options{Target: o.Dir, Venv: o.Venv, AppOnly: true}
	if strings.Contains(o.App, ":") {
		options.Target, options.Dir = o.App, o.Dir
	}
	if o.Settings != "" {
		options.Env = append(options.Env, "DJANGO_SETTINGS_MODULE="+o.Settings)
	}
	if path := r.pythonPath(os.Getenv("PYTHONPATH")); path != "" {
		options.Env = append(options.Env, "PYTHONPATH="+path)
	}
	p, err := project.Find(ctx, options)
	if err != nil {
		return nil, inOptions(err)
	}
	if err := o.Apply(p.Config, r.allow); err != nil {
		return nil, err
	}
	if p.Kind == project.KindConfig {
		if err := r.overConfig(p); err != nil {
			return nil, err
		}
	}
	if err := p.Config.Complete("/"); err != nil {
		return nil, err
	}
	control := ""
	if o.Control == "" && o.Address != "" {
		place, _, err := placeOf(o.Dir)
		if err != nil {
			return nil, err
		}
		if control, err = addressControl(place, o.Address); err != nil {
			return nil, err
		}
	}
	notes := notesOf(p)
	if p.Kind == project.KindDemo {
		notes = append(notes, "nothing to serve was found in "+o.Dir+": the built-in demo app answers, and shows its environ")
	}
	plan := &server.Plan{
		Config:      p.Config,
		Source:      p.Source,
		Environ:     r.environ,
		Control:     control,
		Development: o.Debug,
		Notes:       append(notes, r.missing()...),
		Script:      o.Script,
		Workdir:     o.Workdir,
	}
	if err := plan.Settle(); err != nil {
		return nil, err
	}
	return &found{Found: p, plan: plan}, nil
}

// overConfig puts settings, pythonpath and venv over a millrace.toml.
func (r *runfcgiPlan) overConfig(p *project.Found) error {
	o := r.o
	for name, app := range p.Config.Apps { // the one that Apply has left
		if o.Settings != "" {
			if err := p.Config.Set("settings="+o.Settings, "app.env", "DJANGO_SETTINGS_MODULE="+o.Settings); err != nil {
				return err
			}
		}
		before, ok := app.Env["PYTHONPATH"]
		if !ok {
			before = os.Getenv("PYTHONPATH")
		}
		if path := r.pythonPath(before); path != "" {
			if err := p.Config.Set("pythonpath", "app.env", "PYTHONPATH="+path); err != nil {
				return err
			}
		}
		if o.Venv != "" && len(app.Command) == 0 && !strings.HasPrefix(app.Python, o.Venv+string(filepath.Separator)) {
			return o.Wrong("venv", fmt.Sprintf("cannot apply: app %s of %s names its own interpreter, %s", name, p.Source, app.Python), "leave venv out, or change venv or python under [app."+name+"]")
		}
	}
	return nil
}

// pythonPath puts pythonpath before what was there; "": it is not given.
func (r *runfcgiPlan) pythonPath(before string) string {
	if len(r.o.PythonPath) == 0 {
		return ""
	}
	all := strings.Join(r.o.PythonPath, string(os.PathListSeparator))
	if before != "" {
		all += string(os.PathListSeparator) + before
	}
	return all
}

// missing are the folders of pythonpath that are not there, which Python
// passes over in silence.
func (r *runfcgiPlan) missing() []string {
	var notes []string
	for _, folder := range r.o.PythonPath {
		if _, err := os.Stat(folder); err != nil {
			notes = append(notes, fmt.Sprintf("pythonpath: %s: %v", folder, cause(err)))
		}
	}
	return notes
}

// inOptions says what to do in the words of runfcgi, where package project
// says it in those of serve.
func inOptions(err error) error {
	var e *project.Error
	if errors.As(err, &e) {
		switch {
		case strings.Contains(e.Hint, "millrace serve --env"):
			e.Hint = "name them: settings=PACKAGE.settings"
		case strings.Contains(e.Hint, "millrace serve --dir"):
			e.Hint = "name the callable: app=MODULE:NAME, and its folder: dir=FOLDER"
		default:
			e.Hint = strings.NewReplacer("--venv FOLDER", "venv=FOLDER", "--dir FOLDER", "dir=FOLDER").Replace(e.Hint)
		}
	}
	return err
}
