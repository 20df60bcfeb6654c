package project

// A folder with a manage.py: which settings, which WSGI application.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"millrace/internal/config"
)

// Django is what a project said of itself.
type Django struct {
	Version  string `json:"version"`  // of Django
	Settings string `json:"settings"` // the settings module
	Debug    bool   `json:"debug"`
	WSGI     string `json:"wsgi"` // WSGI_APPLICATION, with dots alone; may be empty

	StaticURL  string `json:"static_url"`
	StaticRoot string `json:"static_root"` // absolute; empty: not set
	MediaURL   string `json:"media_url"`
	MediaRoot  string `json:"media_root"` // absolute; empty: not set

	// Private are files of which no served folder may be a parent: the
	// settings' own, and SQLite databases.
	Private []string `json:"private"`

	// Finders are the folders of the staticfiles finders in the order of
	// their search; nil if StaticRoot is there or staticfiles is not installed.
	Finders  []Folder `json:"finders"`
	Unlisted []string `json:"unlisted"` // finders that have no folders to show
}

// Folder is one place of static files.
type Folder struct {
	Label  string `json:"label"`  // the app, or the folder's own name
	Prefix string `json:"prefix"` // below STATIC_URL, without slashes around; may be empty
	Folder string `json:"folder"` // absolute
}

// settingsAssignment is the line that startproject writes into manage.py, or
// the like. A test suite's settings are passed over by position: first wins.
var settingsAssignment = regexp.MustCompile(
	`os\.environ(?:\.setdefault\(\s*|\s*\[\s*)["']` + settingsVar + `["']\s*(?:,|\]\s*=)\s*["']([\w.]+)["']`)

func findDjango(ctx context.Context, o Options, folder, manage string) (*Found, error) {
	app, err := appIn(o, folder)
	if err != nil {
		return nil, err
	}
	path, why, err := locate(o, app.Dir)
	if err != nil {
		return nil, err
	}
	found := &Found{Kind: KindDjango, Source: app.Dir}
	settings, note, err := djangoSettings(app, folder, manage)
	if err != nil {
		return nil, err
	}
	if note != "" {
		found.Notes = append(found.Notes, note)
	}
	app.Env[settingsVar] = settings

	// The project is asked while its interpreter is tried, whose word counts
	// first: a start takes as long as the slower of the two.
	asking, cancel := context.WithCancel(ctx)
	var django Django
	var unanswered error
	var asked sync.WaitGroup
	if !o.AppOnly {
		of := o
		of.Env = append(slices.Clone(o.Env), settingsVar+"="+settings)
		asked.Go(func() {
			unanswered = ask(asking, of, path, app.Dir, "cannot ask Django for the settings "+settings, &django, "django", app.Dir)
		})
	}
	python, err := tryInterpreter(ctx, o, app.Dir, path, why)
	if err != nil {
		cancel()
	}
	asked.Wait()
	cancel()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	app.Python, found.Python = python.Path, map[string]Interpreter{AppName: python}
	switch {
	case o.AppOnly:
		app.WSGI, found.Config = djangoWSGI, newConfig(app, appRoute())
		return found, nil
	case unanswered != nil:
		app.WSGI = guessWSGI(folder, settings)
		found.Config, found.Problem = newConfig(app, appRoute()), unanswered
		return found, nil
	}
	app.WSGI = djangoWSGI
	if i := strings.LastIndexByte(django.WSGI, '.'); i > 0 {
		app.WSGI = django.WSGI[:i] + ":" + django.WSGI[i+1:]
	}
	routes, notes := djangoRoutes(&django)
	found.Django, found.Notes = &django, append(found.Notes, notes...)
	found.Config = newConfig(app, append(routes, appRoute()...))
	return found, nil
}

// djangoSettings is the settings module of the environment, else the one that
// settingsOf finds.
func djangoSettings(app *config.App, folder, manage string) (settings, note string, err error) {
	if settings = app.Env[settingsVar]; settings == "" {
		settings = os.Getenv(settingsVar)
	}
	if settings != "" {
		return settings, "", nil
	}
	return settingsOf(folder, manage)
}

// settingsOf reads the settings module from manage.py, or finds the one
// package beside it that holds settings.
func settingsOf(folder, manage string) (settings, note string, err error) {
	var named []string
	for _, m := range settingsAssignment.FindAllStringSubmatch(manage, 16) {
		if !slices.Contains(named, m[1]) {
			named = append(named, m[1])
		}
	}
	if len(named) > 0 {
		if len(named) > 1 {
			note = fmt.Sprintf("manage.py names %s: took %s (--env %s=… for another)", strings.Join(named, " and "), named[0], settingsVar)
		}
		return named[0], note, nil
	}
	for _, pattern := range []string{"settings.py", "settings/__init__.py"} {
		paths, err := filepath.Glob(filepath.Join(escapeGlob(folder), "*", filepath.FromSlash(pattern)))
		if err != nil {
			return "", "", err
		}
		for _, path := range paths {
			rel, err := filepath.Rel(folder, path)
			if err != nil {
				return "", "", err
			}
			named = append(named, strings.Split(filepath.ToSlash(rel), "/")[0]+".settings")
		}
	}
	fix := fmt.Sprintf("name them: millrace serve --env %s=PACKAGE.settings", settingsVar)
	switch len(named) {
	case 1:
		return named[0], "", nil
	case 0:
		return "", "", &Error{Problem: filepath.Join(folder, "manage.py") + " names no settings, and no package beside it holds a settings.py", Hint: fix}
	}
	return "", "", &Error{Problem: fmt.Sprintf("%s names no settings, and there are several: %s", filepath.Join(folder, "manage.py"), strings.Join(named, ", ")), Hint: fix}
}

// guessWSGI is the application of a project that could not be asked: the one
// that startproject makes beside the settings.
func guessWSGI(folder, settings string) string {
	pkg, _, nested := strings.Cut(settings, ".")
	if nested && isFile(filepath.Join(folder, pkg, "wsgi.py")) {
		return pkg + ".wsgi:application"
	}
	return djangoWSGI
}

// escapeGlob makes a path mean itself to filepath.Glob. Where the backslash
// separates folders nothing can be escaped.
func escapeGlob(path string) string {
	if filepath.Separator == '\\' {
		return path
	}
	return regexp.MustCompile(`[\\*?\[]`).ReplaceAllString(path, `\$0`)
}
