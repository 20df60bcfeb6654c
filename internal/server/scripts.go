package server

// Scripts of an app or of back ends: which one a request is for is found when
// the route is, so that what is no script's goes on with the routes below.

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"millrace/gateway"
	"millrace/internal/config"
	"millrace/internal/requestid"
	"millrace/internal/script"
)

// scripts are those of one route, or its CGI programs.
type scripts struct {
	finder *script.Finder
	mount  string // prefix of the path that is not looked up, and stays in SCRIPT_NAME
	root   string // what programs are told for DOCUMENT_ROOT; "": the folder that is searched
	cgi    bool
	log    *slog.Logger
}

// scriptsOf are the scripts of a route; nil: it has none.
func (b *builder) scriptsOf(at *place) *scripts {
	switch {
	case at.route.Script != nil:
		c := at.route.Script
		return &scripts{mount: at.route.Mount, log: b.log, finder: script.New(script.Options{
			Root: c.Root, Extensions: c.Extensions, Index: c.Index, Front: c.Front, Exclude: excluded(c.Exclude), Seen: c.AppRoot,
			FollowSymlinks: followsLinks(at.site, c.FollowSymlinks),
		})}
	case at.route.CGI != nil:
		c := at.route.CGI
		return &scripts{mount: c.Strip, root: at.site.Root, cgi: true, log: b.log, finder: cgiFinder(c, script.Options{
			Root: c.Root, FollowSymlinks: followsLinks(at.site, c.FollowSymlinks) && !c.AsOwner,
		})}
	}
	return nil
}

// excluded are paths as package script has them.
func excluded(paths []string) []string {
	var all []string
	for _, path := range paths {
		all = append(all, strings.TrimSuffix(path, "*"))
	}
	return all
}

// pick is a route's route.Route.Pick; nil: it takes all that matches.
func (b *builder) pick(site *config.Site, r *config.Route) func(r *http.Request) (*http.Request, bool) {
	if s := b.scriptsOf(&place{site: site, route: r}); s != nil {
		return s.pick
	}
	return nil
}

// scripts puts what scripts of the route answer themselves before what runs
// them.
func (b *builder) scripts(at *place, runs func(*place) (http.Handler, error)) (http.Handler, error) {
	h, err := runs(at)
	if s := b.scriptsOf(at); s != nil && err == nil {
		h = s.wrap(h)
	}
	return h, err
}

type sortedKey struct{}

// sorted is what was found of a request that no script answers, and for which
// path.
type sorted struct {
	kind script.Kind
	path string
	err  error
}

// pick is the route's: see route.Route.
func (s *scripts) pick(r *http.Request) (*http.Request, bool) {
	path, ok := strings.CutPrefix(r.URL.Path, s.mount)
	if !ok || path == "" || path[0] != '/' {
		return r, false
	}
	found, err := s.finder.Find(path)
	switch {
	case err == nil && found.Kind == script.Pass:
		return r, false
	case err == nil && found.Kind == script.Run:
		r = gateway.WithScript(r, s.script(&found))
		if s.cgi {
			r = withProgram(r, &cgiProgramOf{file: found.Filename, rel: found.Name[1:]})
		}
		return r, true
	}
	return r.WithContext(gateway.WithValue(r.Context(), sortedKey{}, &sorted{found.Kind, r.URL.Path, err})), true
}

// script is what the app is told of a script.
func (s *scripts) script(found *script.Found) gateway.Script {
	if s.root != "" {
		found.Root = s.root
		if found.Info != "" {
			found.Translated = s.root + found.Info
		}
	}
	params := []gateway.Param{
		{Name: "SCRIPT_FILENAME", Value: found.Filename},
		{Name: "DOCUMENT_ROOT", Value: found.Root},
		{Name: "REDIRECT_STATUS", Value: "200"}, // or php-cgi takes it for a request that went past the server
	}
	if found.Translated != "" {
		params = append(params, gateway.Param{Name: "PATH_TRANSLATED", Value: found.Translated})
	}
	return gateway.Script{Name: s.mount + found.Name, Info: found.Info, Params: params}
}

// wrap answers what no script does.
func (s *scripts) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		of, _ := r.Context().Value(sortedKey{}).(*sorted)
		if of == nil || of.path != r.URL.Path {
			next.ServeHTTP(w, r)
			return
		}
		s.refuse(w, r, of)
	})
}

// refuse answers what no script does.
func (s *scripts) refuse(w http.ResponseWriter, r *http.Request, of *sorted) {
	switch {
	case errors.Is(of.err, fs.ErrPermission):
		s.log.Warn("cannot look for a script: give the server's user the right to pass through its folders", "request", requestid.Of(r), "uri", r.RequestURI, "error", of.err)
		plainAnswer(w, http.StatusForbidden)
	case of.err != nil:
		s.log.Error("cannot look for a script", "request", requestid.Of(r), "uri", r.RequestURI, "error", of.err)
		plainAnswer(w, http.StatusInternalServerError)
	case of.kind == script.Denied:
		s.log.Warn("a file in a folder of CGI programs is not executable: make it so, or give its extension to interpreters", "request", requestid.Of(r), "uri", r.RequestURI)
		plainAnswer(w, http.StatusForbidden)
	case of.kind == script.Redirect:
		toFolder(w, r)
	case of.kind == script.Bad:
		plainAnswer(w, http.StatusBadRequest)
	default:
		plainAnswer(w, http.StatusNotFound)
	}
}

// toFolder redirects to the same path with a slash at its end.
func toFolder(w http.ResponseWriter, r *http.Request) {
	// One slash at its start: two would name another host.
	to := (&url.URL{Path: "/" + strings.TrimLeft(r.URL.Path, "/") + "/", RawQuery: r.URL.RawQuery}).String()
	w.Header().Set("Location", to)
	plainAnswer(w, http.StatusMovedPermanently)
}

// plainAnswer answers with a status and its text.
func plainAnswer(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(http.StatusText(status) + "\n")) // an error here is a client that left
}
