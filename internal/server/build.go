package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"millrace/internal/config"
	"millrace/internal/limit"
	"millrace/internal/pool"
	"millrace/internal/route"
	"millrace/internal/static"
)

// tree is the handlers of one configuration. It is counted: each request that
// is inside, and the server as long as it is the current one.
type tree struct {
	mounts map[string]mount // by the key of their front
	files  []*static.Handler
	logs   []string // paths of the access logs it writes to

	refs    atomic.Int64
	drained chan struct{} // closed when nobody uses it any more, and its files are closed
	log     *slog.Logger
}

// enter counts a request in. It fails when the tree is closed.
func (t *tree) enter() bool {
	for {
		n := t.refs.Load()
		if n == 0 {
			return false
		}
		if t.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave counts a request, or the server, out.
func (t *tree) leave() {
	if t.refs.Add(-1) == 0 {
		t.close()
	}
}

func (t *tree) close() {
	for _, f := range t.files {
		if err := f.Close(); err != nil {
			t.log.Error("cannot close a files root", "error", err)
		}
	}
	close(t.drained)
}

// builder makes a tree.
type builder struct {
	plan      *Plan
	apps      map[string]*running
	upstreams map[string]*backends
	logs      map[string]accessLog
	log       *slog.Logger
	tree      *tree
}

// build makes the tree of a plan. apps, upstreams and logs hold all that it
// names.
func build(plan *Plan, apps map[string]*running, upstreams map[string]*backends, logs map[string]accessLog, log *slog.Logger) (*tree, error) {
	b := &builder{plan: plan, apps: apps, upstreams: upstreams, logs: logs, log: log, tree: &tree{
		mounts: map[string]mount{}, drained: make(chan struct{}), log: log,
	}}
	b.tree.refs.Store(1)
	if err := b.build(); err != nil {
		b.tree.leave()
		return nil, err
	}
	return b.tree, nil
}

func (b *builder) build() error {
	sites := map[string][]route.Site{} // by listening address
	var addresses []string             // in the order of the file
	types := static.NewTypes(b.plan.Config.Server.Types)
	for i := range b.plan.Config.Sites {
		c := &b.plan.Config.Sites[i]
		s, err := b.site(c, types)
		if err != nil {
			return err
		}
		for _, address := range c.Listen {
			if !slices.Contains(addresses, address) {
				addresses = append(addresses, address)
			}
			sites[address] = append(sites[address], s)
		}
	}
	for _, address := range addresses {
		table, err := route.New(sites[address])
		if err != nil {
			return fmt.Errorf("cannot route what comes in on %s: %w", address, err)
		}
		b.tree.mounts[address] = mount{handler: table}
	}
	for name, app := range b.plan.Config.Apps {
		for i := range app.Listen {
			m, err := b.appMount(name, &app.Listen[i])
			if err != nil {
				return fmt.Errorf("cannot serve app %s on %s: %w", name, app.Listen[i].Address, err)
			}
			b.tree.mounts[appKey(name, &app.Listen[i])] = m
		}
	}
	return nil
}

func (b *builder) limits() limit.Limits {
	c := &b.plan.Config.Server
	return limit.Limits{Timeout: c.BodyTimeout, MinRate: int64(c.MinBodyRate)}
}

func (b *builder) site(c *config.Site, types *static.Types) (route.Site, error) {
	s := route.Site{Hosts: c.Hosts}
	entry := &reentry{}
	for i := range c.Routes {
		h, err := b.handler(c, &c.Routes[i], types, entry)
		if err != nil {
			return s, err
		}
		s.Routes = append(s.Routes, route.Route{Path: c.Routes[i].Path, Regexp: c.Routes[i].Regexp, Handler: h})
	}
	if c.Root != "" {
		h, err := b.files(static.Options{Roots: []string{c.Root}, FollowSymlinks: c.FollowSymlinks, Types: types})
		if err != nil {
			return s, err
		}
		s.Fallback = h
	}
	log := b.logs[c.AccessLog] // nil without one
	if log != nil {
		b.tree.logs = append(b.tree.logs, c.AccessLog)
	}
	s.Wrap = func(next http.Handler) http.Handler {
		entry.site = next // one for each address, and all alike
		h := limit.Body(next, b.limits())
		if log != nil {
			h = log.Wrap(h)
		}
		return h
	}
	return s, nil
}

func (b *builder) handler(c *config.Site, r *config.Route, types *static.Types, entry *reentry) (http.Handler, error) {
	switch {
	case r.Upstream != "":
		u, ok := b.upstreams[r.Upstream]
		if !ok {
			return nil, fmt.Errorf("a route leads to upstream %q, which is not defined", r.Upstream)
		}
		return u.Handler(r.Mount, entry.redirect), nil
	case r.Files != nil:
		follow := c.FollowSymlinks
		if r.Files.FollowSymlinks != nil {
			follow = *r.Files.FollowSymlinks
		}
		return b.files(static.Options{
			Roots: r.Files.Root, Strip: r.Files.Strip, Index: r.Files.Index, FollowSymlinks: follow, Types: types,
		})
	}
	app, ok := b.apps[r.App]
	if !ok {
		return nil, fmt.Errorf("a route leads to app %q, which is not defined", r.App)
	}
	return app.Handler(r.Mount), nil
}

func (b *builder) files(o static.Options) (http.Handler, error) {
	o.Log = b.log
	h, err := static.New(o)
	if err != nil {
		return nil, &Error{Problem: "cannot serve files of " + strings.Join(o.Roots, ", "), Err: err, Fix: "check the folder and its rights"}
	}
	b.tree.files = append(b.tree.files, h)
	return h, nil
}

// poolConfig maps an app of the configuration to its pool's.
func (s *Server) poolConfig(name string, plan *Plan) (pool.Config, error) {
	a := plan.Config.Apps[name]
	if a == nil || a.Python == "" {
		return pool.Config{}, errors.New("app " + name + " has no interpreter") // Plan's promise
	}
	return pool.Config{
		Name:           name,
		Python:         a.Python,
		WSGI:           a.WSGI,
		Dir:            a.Dir,
		Workdir:        plan.Workdir,
		Env:            environ(plan.Environ, a, plan.Development),
		Preload:        a.Preload,
		AfterFork:      a.AfterFork,
		Threads:        a.Threads,
		MinSpare:       a.MinSpare,
		MaxSpare:       a.MaxSpare,
		MaxChildren:    a.MaxChildren,
		MaxRequests:    a.MaxRequests,
		Queue:          a.Queue,
		RequestTimeout: a.RequestTimeout,
		StartupTimeout: a.StartupTimeout,
		StopTimeout:    a.StopTimeout,
		MaxBody:        int64(a.MaxBody),
		Development:    plan.Development,
		Spool:          s.spool,
		Log:            s.log,
	}, nil
}

// environ is the environment of an app's processes: all of base, that of its
// virtual environment as "activate" sets it, and its own, which goes before.
// In development Python writes no bytecode: it takes a file that was changed
// twice in a second, to the same size, for unchanged.
func environ(base []string, a *config.App, development bool) []string {
	vars := map[string]string{}
	for _, v := range base {
		if name, value, ok := strings.Cut(v, "="); ok {
			vars[name] = value
		}
	}
	if venv := venvOf(a.Python); venv != "" {
		delete(vars, "PYTHONHOME")
		vars["VIRTUAL_ENV"] = venv
		vars["PATH"] = filepath.Dir(a.Python) + string(os.PathListSeparator) + vars["PATH"]
	}
	if development {
		vars["PYTHONDONTWRITEBYTECODE"] = "1"
	}
	for name, value := range a.Env {
		vars[name] = value
	}
	all := make([]string, 0, len(vars))
	for name, value := range vars {
		all = append(all, name+"="+value)
	}
	slices.Sort(all) // so that two generations compare equal
	return all
}

// venvOf is the virtual environment that an interpreter belongs to, or "".
func venvOf(python string) string {
	dir := filepath.Dir(filepath.Dir(python))
	if _, err := os.Stat(filepath.Join(dir, "pyvenv.cfg")); err != nil {
		return ""
	}
	return dir
}
