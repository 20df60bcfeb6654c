package main

// This file: what serve says on stdout once it serves.

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"millrace/internal/config"
	"millrace/internal/project"
	"millrace/internal/server"
)

// banner says what is served where. Its last line is "ready", or begins with
// "not ready": scripts wait for the one and look for the other.
func banner(out io.Writer, f *found, s *server.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "millrace %s: %s\n", version, headline(f))
	for i := range f.Config.Sites {
		site := &f.Config.Sites[i]
		for _, address := range site.Listen {
			printRoutes(w, f, site, urlOf(s, address))
		}
	}
	for _, a := range s.Listen {
		if a.App != "" { // for other front servers
			fmt.Fprintf(w, "  %s\tapp: %s\n", a.URL, describeApp(f, a.App))
		}
	}
	failing := ""
	for _, a := range s.Apps {
		if a.Failure != "" {
			failing += fmt.Sprintf("not ready: app %s cannot serve (the log above says why); retrying\n", a.Name)
		}
	}
	if failing == "" {
		failing = "ready\n"
	}
	fmt.Fprint(w, failing)
	return w.Flush()
}

// headline is what was found, and the interpreter.
func headline(f *found) string {
	var parts []string
	switch {
	case f.Kind == project.KindDemo:
		parts = append(parts, "the built-in demo app (nothing to serve in "+f.Source+")")
	case f.Django != nil:
		parts = append(parts, "Django "+f.Django.Version+" project in "+f.Source, "settings "+f.Django.Settings)
	case f.Kind == project.KindDjango:
		parts = append(parts, "Django project in "+f.Source)
	default:
		parts = append(parts, f.Source)
	}
	var pythons []string
	for _, name := range slices.Sorted(maps.Keys(f.Python)) {
		if p := f.Python[name].String(); !slices.Contains(pythons, p) {
			pythons = append(pythons, p)
		}
	}
	return strings.Join(append(parts, pythons...), ", ")
}

func urlOf(s *server.Status, given string) string {
	for _, a := range s.Listen {
		if a.Given == given {
			return a.URL
		}
	}
	return given
}

func printRoutes(w io.Writer, f *found, site *config.Site, url string) {
	at := func(path string) string {
		if strings.HasPrefix(url, "unix:") || path[0] != '/' {
			return url + " " + path
		}
		return url + path
	}
	hosts := ""
	if len(site.Hosts) > 0 {
		hosts = " (" + strings.Join(site.Hosts, ", ") + ")"
	}
	for _, r := range site.Routes {
		path := strings.TrimSuffix(r.Path, "*")
		switch {
		case r.Regexp != "":
			path = "~ " + r.Regexp
		case path == "":
			path = "/"
		}
		what := ""
		switch {
		case r.Files != nil:
			what = "files: " + describeFiles(f, r.Files.Root)
		case r.Upstream != "":
			what = "upstream: " + describeUpstream(f, r.Upstream)
		default:
			what = "app: " + describeApp(f, r.App)
		}
		fmt.Fprintf(w, "  %s\t%s%s\n", at(path), what, hosts)
	}
	if site.Root != "" {
		fmt.Fprintf(w, "  %s\tfiles: %s, where nothing else answers%s\n", at("/"), site.Root, hosts)
	}
}

func describeApp(f *found, name string) string {
	a := f.Config.Apps[name]
	if a == nil {
		return name
	}
	workers := fmt.Sprintf("%d to %d workers", a.MinSpare, a.MaxChildren)
	if a.MinSpare == a.MaxChildren {
		workers = count(a.MaxChildren, "worker")
	}
	wsgi := a.WSGI
	if f.Kind == project.KindDemo {
		wsgi = "demo"
	}
	return wsgi + ", " + workers
}

func describeUpstream(f *found, name string) string {
	u := f.Config.Upstreams[name]
	if u == nil {
		return name
	}
	servers := u.Servers
	if more := len(servers) - maxNamed; more > 0 {
		servers = append(slices.Clone(servers[:maxNamed]), fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("%s, %s at %s", name, u.Protocol, strings.Join(servers, ", "))
}

// maxNamed is how many roots or servers of one route the banner names.
const maxNamed = 5

// describeFiles names a route's folders; those of Django's finders by the app
// that they belong to.
func describeFiles(f *found, roots []string) string {
	labels := map[string]string{}
	if f.Django != nil {
		for _, folder := range f.Django.Finders {
			labels[filepath.Clean(folder.Folder)] = folder.Label
		}
	}
	var names []string
	found := false
	for _, root := range roots {
		name := root
		if label, ok := labels[filepath.Clean(root)]; ok {
			name, found = label, true
		}
		names = append(names, name)
	}
	if more := len(names) - maxNamed; more > 0 {
		names = append(names[:maxNamed], fmt.Sprintf("and %d more", more))
	}
	text := strings.Join(names, ", ")
	if found {
		text += " (from the staticfiles finders)"
	}
	return text
}
