package server

import (
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"millrace/internal/auth"
	"millrace/internal/config"
	"millrace/internal/forwarded"
	"millrace/internal/limit"
	"millrace/internal/placeholder"
	"millrace/internal/pool"
	"millrace/internal/route"
	"millrace/internal/static"
	"millrace/internal/upstream"
)

// tree is the handlers of one configuration. It is counted: each request that
// is inside, and the server as long as it is the current one.
type tree struct {
	mounts map[string]mount // by the key of their front
	files  []filesHandler

	userFiles []*userFiles      // of folders of users
	programs  []*upstream.Group // of folders of CGI programs

	logs []string // paths of the access logs it writes to

	limits map[string]*limit.State // see builder.limitState

	fileCache *static.Cache // of files; nil: there are none
	caches    bool          // a route has a cache of responses
	bounds    []func()      // what is shared by all trees gets this one's, when it serves

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
	for _, f := range t.userFiles {
		_ = f.Close() // which never fails
	}
	if t.fileCache != nil {
		t.fileCache.Close()
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
	server    *Server
	tree      *tree
	users     map[string]*auth.File // by path
	trust     *forwarded.Trust      // nil: nobody
}

// build makes the tree of a plan. apps, upstreams and logs hold all that it
// names.
func (s *Server) build(plan *Plan, apps map[string]*running, upstreams map[string]*backends, logs map[string]accessLog) (*tree, error) {
	b := &builder{plan: plan, apps: apps, upstreams: upstreams, logs: logs, log: s.log, server: s, users: map[string]*auth.File{}, tree: &tree{
		mounts: map[string]mount{}, limits: map[string]*limit.State{}, drained: make(chan struct{}), log: s.log,
	}}
	b.tree.refs.Store(1)
	b.tree.bounds = append(b.tree.bounds, func() { s.encoders.SetCache(int64(plan.Config.Server.CompressCache)) })
	if err := b.configureCache(); err != nil {
		b.tree.leave()
		return nil, err
	}
	if err := b.build(); err != nil {
		b.tree.leave()
		return nil, err
	}
	return b.tree, nil
}

func (b *builder) build() error {
	sites := map[string][]route.Site{} // by listening address
	var addresses []string             // in the order of the file
	var err error
	if b.trust, err = trust(&b.plan.Config.Server); err != nil {
		return err
	}
	types := static.NewTypes(b.plan.Config.Server.Types)
	for i := range b.plan.Config.Sites {
		c := &b.plan.Config.Sites[i]
		s, err := b.site(i, c, types)
		if err != nil {
			return err
		}
		for _, address := range c.Addresses() {
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
		m := mount{trust: b.trust}
		if m.certs, err = b.certificates(address); err != nil {
			return err
		}
		m.handler = b.directed(m.certs, b.behindProxies(table))
		b.tree.mounts[address] = m
	}
	if a := b.plan.Config.Server.Status; a != "" {
		b.tree.mounts[statusKey(a)] = mount{handler: serverWide(b.server.statusPage("/*"))}
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

// site makes what answers for the hosts of a site.
func (b *builder) site(number int, c *config.Site, types *static.Types) (route.Site, error) {
	s := route.Site{Hosts: c.Hosts, Default: c.Default, Log: b.log, Routes: make([]route.Route, len(c.Routes))}
	if c.Types != nil {
		types = static.TableOf(c.Types)
	}
	var needs placeholder.Needs
	at := place{site: c, name: fmt.Sprintf("[[site]] %d", number+1), entry: &reentry{}, types: types, needs: &needs, shared: &shared{}}
	var err error
	if at.scope, err = c.Scope(); err != nil { // package config has checked it
		return s, fmt.Errorf("%s: %w", at.name, err)
	}
	at.siteScope = at.scope
	for i := range c.Routes {
		if s.Routes[i], err = b.route(at, i, &c.Routes[i]); err != nil {
			return s, err
		}
	}
	if c.Root != "" {
		last, err := b.route(at, len(c.Routes), &config.Route{Files: &config.Files{Root: config.Strings{c.Root}}})
		if err != nil {
			return s, err
		}
		s.Fallback = last.Handler
	}
	routes, err := route.NewSite(s)
	if err != nil {
		return s, fmt.Errorf("%s: %w", at.name, err)
	}
	at.entry.site, at.entry.group = routes, routes.ServeGroup
	if s.Handler, err = b.wrap(&at, siteLayers(), routes); err != nil {
		return s, err
	}
	if needs&placeholder.NeedsGroups != 0 {
		routes.KeepGroups()
	}
	return s, nil
}

// route makes a route: what it wants of a request, and what answers.
func (b *builder) route(at place, number int, c *config.Route) (route.Route, error) {
	at.route, at.name = c, fmt.Sprintf("%s, [[site.route]] %d", at.name, number+1) // placeName
	at.scope = c.Scope(at.site, at.scope)
	r, err := b.routing(&at, c)
	r.Pick = internalOnly(c, b.pick(at.site, c))
	if err != nil {
		return r, err
	}
	h, err := b.answer(&at)
	if err != nil || h == nil {
		return r, err
	}
	if _, isGuard := h.(*guardedGroup); isGuard {
		r.Goto = ""
		r.Handler, err = b.wrap(&at, guardLayers(), h)
		return r, err
	}
	if r.Try, err = b.tryFiles(&at, h); err != nil {
		return r, err
	}
	r.Handler, err = b.wrap(&at, routeLayers(), h)
	return r, err
}

// poolConfig maps an app of the configuration to its pool's. logs hold all
// that the plan needs.
func (s *Server) poolConfig(name string, plan *Plan, logs map[string]accessLog) (pool.Config, error) {
	a := plan.Config.Apps[name]
	host, err := hostCommand(name, plan)
	if err != nil {
		return pool.Config{}, err
	}
	traceback, err := prefixes(a.TracebackTo)
	if err != nil {
		return pool.Config{}, err
	}
	scale := workers(a)
	cfg := pool.Config{
		Name:           name,
		Python:         a.Python,
		WSGI:           a.WSGI,
		Dir:            a.Dir,
		Workdir:        plan.Workdir,
		Host:           plan.command(host),
		Starter:        s.keeper,
		Preload:        a.Preload.On(),
		RequirePreload: a.Preload.Required(),
		WarmUp:         a.WarmUp,
		AfterFork:      a.AfterFork,
		Method:         a.Method,
		Scaling:        a.Scaling,
		IdleTimeout:    a.IdleTimeout,
		Threads:        a.Threads,
		MinSpare:       scale.minSpare,
		MaxSpare:       scale.maxSpare,
		MaxChildren:    scale.maxChildren,
		MaxRequests:    a.MaxRequests,
		Queue:          a.Queue,
		MaxMemory:      int64(a.MaxMemory),
		MaxLifetime:    a.MaxLifetime,
		QueueTimeout:   a.QueueTimeout,
		SlowRequest:    a.SlowRequest,
		SlowLog:        slowLogOf(a, logs),
		Retry:          a.Retry,
		RequestTimeout: a.RequestTimeout,
		StartupTimeout: a.StartupTimeout,
		StopTimeout:    a.StopTimeout,
		MaxBody:        int64(a.MaxBody),
		TracebackTo:    traceback,
		Development:    plan.Development,
		Spool:          s.spool,
		Log:            s.log,
	}
	if len(a.Command) > 0 {
		s.runProgram(&cfg, a)
	}
	return cfg, nil
}
