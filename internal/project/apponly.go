package project

// What differs for a caller that serves nothing but the app, behind another
// server that has the files: Python is not asked for them, which would cost a
// second import of the settings, and settings that are named are enough.

import (
	"context"
	"strings"
)

// named is the settings module that the options name; "": none.
func (o Options) named() string {
	settings := ""
	for _, assignment := range o.Env {
		if value, ok := strings.CutPrefix(assignment, settingsVar+"="); ok {
			settings = value
		}
	}
	return settings
}

// findSettings is a Django project by its settings, wherever they are: beside
// the folder's files, on PYTHONPATH, or installed.
func findSettings(ctx context.Context, o Options, folder string) (*Found, error) {
	found, err := findCallable(ctx, o, folder, djangoWSGI)
	if err != nil {
		return nil, err
	}
	found.Kind, found.Source = KindDjango, found.Config.Apps[AppName].Dir
	return found, nil
}
