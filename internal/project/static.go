package project

// Which folders a Django project's own settings ask to be served, and which
// of those are never served.

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"millrace/internal/config"
)

func appRoute() []config.Route { return []config.Route{{App: AppName}} }

// djangoRoutes are the file routes of a project, most special first, and a
// note for each folder that is named in the settings and not served.
func djangoRoutes(d *Django) (routes []config.Route, notes []string) {
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }

	if prefix, why := urlPath("STATIC_URL", d.StaticURL); prefix == "" {
		if why != "" && (d.StaticRoot != "" || len(d.Finders) > 0) {
			note("static files are not served: %s", why)
		}
	} else {
		switch {
		case d.StaticRoot != "" && isFolder(d.StaticRoot):
			if why := unservable(d.StaticRoot, d.Private); why != "" {
				note("STATIC_ROOT is not served: %s", why)
			} else {
				routes = append(routes, filesRoute(prefix, []string{d.StaticRoot}))
			}
		default:
			if d.StaticRoot != "" {
				note("STATIC_ROOT %s does not exist: %s (python manage.py collectstatic makes it)", d.StaticRoot,
					map[bool]string{true: "the folders of the staticfiles finders are served", false: "no static files are served"}[len(d.Finders) > 0])
			}
			finderRoutes, more := findersRoutes(prefix, d)
			routes, notes = append(routes, finderRoutes...), append(notes, more...)
		}
	}

	if d.MediaRoot != "" {
		prefix, why := urlPath("MEDIA_URL", d.MediaURL)
		if prefix != "" {
			why = unservable(d.MediaRoot, d.Private)
		}
		switch {
		case why != "":
			note("MEDIA_ROOT is not served: %s", why)
		case !isFolder(d.MediaRoot):
			note("MEDIA_ROOT is not served: %s does not exist", d.MediaRoot)
		default:
			routes = append(routes, filesRoute(prefix, []string{d.MediaRoot}))
		}
	}
	// A route inside another one comes first: /static/media/ before /static/.
	slices.SortStableFunc(routes, func(a, b config.Route) int { return strings.Count(b.Path, "/") - strings.Count(a.Path, "/") })
	return routes, notes
}

func filesRoute(prefix string, roots []string) config.Route {
	return config.Route{Path: prefix + "*", Files: &config.Files{Root: roots, Strip: strings.TrimSuffix(prefix, "/")}}
}

// findersRoutes serves the finders' folders as Django's own development view
// does: in order, each below its prefix.
func findersRoutes(base string, d *Django) (routes []config.Route, notes []string) {
	for _, finder := range d.Unlisted {
		notes = append(notes, fmt.Sprintf("static files of the finder %s are not served: it has no folders to show; set STATIC_ROOT and run collectstatic", finder))
	}
	var folders []Folder
	prefixes := []string{""}
	for _, f := range d.Finders {
		why := unservable(f.Folder, d.Private)
		if why == "" && !isFolder(f.Folder) {
			why = f.Folder + " does not exist"
		}
		if why == "" && strings.ContainsAny(f.Prefix, "*?[") {
			why = fmt.Sprintf("its prefix %q can't be a route", f.Prefix)
		}
		if why != "" {
			notes = append(notes, fmt.Sprintf("static files of %s are not served: %s", f.Label, why))
			continue
		}
		folders = append(folders, f)
		if !slices.Contains(prefixes, f.Prefix) {
			prefixes = append(prefixes, f.Prefix)
		}
	}
	for _, prefix := range prefixes {
		var roots []string
		for _, f := range folders {
			// The part of this folder that lies below the route's prefix: all
			// of it, or a folder in it ("js" of a folder without a prefix
			// answers for /static/js/ too).
			switch {
			case f.Prefix == prefix:
				roots = append(roots, f.Folder)
			case f.Prefix == "" || strings.HasPrefix(prefix, f.Prefix+"/"):
				inside := filepath.Join(f.Folder, filepath.FromSlash(strings.TrimPrefix(strings.TrimPrefix(prefix, f.Prefix), "/")))
				if isFolder(inside) {
					roots = append(roots, inside)
				}
			}
		}
		if len(roots) == 0 {
			continue
		}
		at := base
		if prefix != "" {
			at += prefix + "/"
		}
		routes = append(routes, filesRoute(at, roots))
	}
	return routes, notes
}

// urlPath is the path of a URL of the settings, with a slash at both ends;
// "" and the reason if its files are not ours to serve.
func urlPath(setting, raw string) (prefix, why string) {
	if raw == "" {
		return "", setting + " is empty"
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Sprintf("%s %q is not a URL", setting, raw)
	}
	if u.Scheme != "" || u.Host != "" {
		return "", fmt.Sprintf("%s %s is on another server", setting, raw)
	}
	prefix = path.Clean("/" + u.Path)
	if prefix == "/" {
		return "", setting + " is / and would hide the app"
	}
	if strings.ContainsAny(prefix, "*?[") {
		return "", fmt.Sprintf("%s %q can't be a route", setting, raw)
	}
	return prefix + "/", ""
}

// unservable says why a folder must not be given away: it holds the project,
// its settings or its database. Links are followed on both sides.
func unservable(root string, private []string) string {
	resolved := root
	if r, err := filepath.EvalSymlinks(root); err == nil {
		resolved = r
	}
	if isFile(filepath.Join(resolved, "manage.py")) {
		return root + " holds a manage.py"
	}
	for _, file := range private {
		if r, err := filepath.EvalSymlinks(file); err == nil {
			file = r
		}
		if rel, err := filepath.Rel(resolved, file); err == nil && filepath.IsLocal(rel) {
			return root + " holds " + file
		}
	}
	return ""
}
