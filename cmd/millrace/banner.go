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
		for _, address := range site.Addresses() {
			if tls := site.TLS; tls != nil && tls.Redirect && slices.Contains(tls.Plain, address) {
				fmt.Fprintf(w, "  %s/\tredirect: to https%s\n", urlOf(s, address), describeHosts(site))
				continue
			}
			printRoutes(w, f, site, urlOf(s, address))
		}
	}
	for _, a := range s.Listen {
		switch {
		case a.App != "": // for other front servers
			fmt.Fprintf(w, "  %s\tapp: %s\n", a.URL, describeApp(f, a.App))
		case a.Status:
			fmt.Fprintf(w, "  %s\tstatus\n", a.URL)
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
		if a.Given == given && !a.Status {
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
	hosts := describeHosts(site)
	for i := range site.Routes {
		if more := len(site.Routes) - maxRoutes; i == maxRoutes && more > 1 {
			fmt.Fprintf(w, "  %s\tand %d more routes%s\n", at("/"), more, hosts)
			break
		}
		r := &site.Routes[i]
		path := strings.TrimSuffix(r.Path, "*")
		switch {
		case r.Regexp != "":
			path = "~ " + r.Regexp
		case path == "":
			path = "/"
		}
		fmt.Fprintf(w, "  %s\t%s%s\n", at(path), describeRoute(f, r), hosts)
	}
	if site.Root != "" {
		fmt.Fprintf(w, "  %s\tfiles: %s, where nothing else answers%s\n", at("/"), site.Root, hosts)
	}
}

func describeHosts(site *config.Site) string {
	if len(site.Hosts) == 0 {
		return ""
	}
	return " (" + strings.Join(site.Hosts, ", ") + ")"
}

// maxRoutes is how many routes of a site the banner names.
const maxRoutes = 50

// describeRoute is what a route does.
func describeRoute(f *found, r *config.Route) string {
	switch {
	case r.Files != nil:
		return "files: " + describeFiles(f, r.Files.Root)
	case r.Status:
		return "status"
	case r.Health:
		return "health"
	case r.Upstream != "":
		return "upstream: " + describeUpstream(f, r.Upstream)
	case r.Redirect != nil:
		return fmt.Sprintf("redirect: %d to %s", r.Redirect.Status, r.Redirect.To)
	case r.Respond != nil:
		return fmt.Sprintf("respond: %d", r.Respond.Status)
	case r.App != "":
		return "app: " + describeApp(f, r.App)
	case r.CGI != nil:
		return "cgi: " + r.CGI.Root
	case r.UserDirs != nil:
		return "folders of users"
	case r.Rewrite != nil:
		return "rewrite: " + r.Rewrite.To
	}
	return "nothing"
}

func describeApp(f *found, name string) string {
	a := f.Config.Apps[name]
	if a == nil {
		return name
	}
	wsgi := a.WSGI
	if len(a.Command) > 0 {
		wsgi = strings.Join(a.Command, " ")
	}
	if f.Kind == project.KindDemo {
		wsgi = "demo"
	}
	return wsgi + ", " + describeWorkers(a)
}

func describeWorkers(a *config.App) string {
	fewest := a.MinSpare
	switch {
	case a.Method == "cgi":
		return fmt.Sprintf("a process a request, %d at a time", a.MaxChildren)
	case a.Scaling == "ondemand":
		fewest = 0
	case a.Scaling == "static":
		fewest = a.MaxChildren
	}
	if a.Method == "prefork" && a.Threads > 0 {
		of := " of " + count(a.Threads, "thread")
		if a.Workers > 0 || a.Scaling == "static" {
			return count(a.MaxChildren, "process") + of
		}
		return fmt.Sprintf("up to %s", count(a.MaxChildren, "process")) + of
	}
	if fewest == a.MaxChildren {
		return count(a.MaxChildren, "worker")
	}
	return fmt.Sprintf("%d to %d workers", fewest, a.MaxChildren)
}

func describeUpstream(f *found, name string) string {
	u := f.Config.Upstreams[name]
	if u == nil {
		return name
	}
	var servers []string
	for _, s := range u.Servers {
		servers = append(servers, s.Address)
	}
	if more := len(servers) - maxNamed; more > 0 {
		servers = append(servers[:maxNamed:maxNamed], fmt.Sprintf("and %d more", more))
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
