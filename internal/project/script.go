package project

// wsgi.py and app.py: which callable do they define?

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"millrace/internal/config"
)

// findScript takes the first file with a callable of a known name. A file
// that is no Python is served too: the import says what is wrong with it.
func findScript(ctx context.Context, o Options, folder string, scripts []string) (*Found, error) {
	app, python, err := newApp(ctx, o, folder)
	if err != nil {
		return nil, err
	}
	paths := slices.Clone(scripts)
	for i, path := range paths {
		if paths[i], err = filepath.Abs(path); err != nil {
			return nil, err
		}
	}
	var answers []struct {
		Names []string `json:"names"`
		Error string   `json:"error"`
	}
	what := "cannot ask Python what " + strings.Join(scripts, " and ") + " define"
	if err := ask(ctx, o, python.Path, app.Dir, what, &answers, append([]string{"callables"}, paths...)...); err != nil {
		return nil, err
	}
	if len(answers) != len(paths) {
		return nil, &ProbeError{What: what, Err: fmt.Errorf("%d answers for %d files", len(answers), len(paths))}
	}
	found := &Found{Kind: KindCallable, Python: map[string]Interpreter{AppName: python}}
	for i, answer := range answers {
		module := strings.TrimSuffix(filepath.Base(paths[i]), ".py")
		name := knownName(module, answer.Names)
		if name == "" && answer.Error != "" {
			name = "application"
			found.Problem = &ProbeError{What: "cannot read " + scripts[i], Traceback: answer.Error}
		}
		if name != "" {
			app.WSGI, found.Source = module+":"+name, scripts[i]
			break
		}
	}
	if app.WSGI == "" {
		return nil, &Error{
			Problem: strings.Join(scripts, " and ") + " have no application and no app",
			Hint:    "name the callable: millrace serve --dir " + folder + " MODULE:NAME",
		}
	}
	found.Config = newConfig(app, []config.Route{{App: AppName}})
	return found, nil
}

// knownName is the callable among a module's names: "application" before
// "app"; a star import may bind either, and the module's kind decides.
func knownName(module string, names []string) string {
	for _, known := range []string{"application", "app"} {
		if slices.Contains(names, known) {
			return known
		}
	}
	if slices.Contains(names, "*") {
		if module == "app" {
			return "app"
		}
		return "application"
	}
	return ""
}
