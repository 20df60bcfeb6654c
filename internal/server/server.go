// Package server turns a configuration into a running server: sockets in,
// handlers in the middle, apps behind.
//
// # A request's way
//
//	listen → h1 (HTTP/2: net/http) → front → site (by host) → access log → body limits → route → files | app | upstream
//	listen → h1, fcgi, scgi, uwsgi, ajp → front → body limits → app
//
// A front (front.go) is one listening address with the server of its protocol
// (protocols.go): of sites, or of one app, for other front servers (appfront.go).
// What stands around the routes of a site, and around what answers in one, is
// put together in one place (chain.go), by a function for each layer
// (layer_NAME.go). The handlers of all fronts together are a tree (build.go):
// made from one configuration, never changed, replaced as a whole. A request
// holds on to the tree that it began with; the last to leave an old one closes
// its folders and logs. Apps are pools, which outlive trees: a reload hands them a new
// configuration under the same name; so do groups of back ends (backends.go),
// unless theirs has changed. What a back end redirects locally begins anew at the
// routes of its site (reenter.go).
//
// # A reload
//
// Reload (reload.go) first makes everything that can fail (prepare.go): listeners, folders,
// logs, new apps; then the pools' new generations, each ready before its
// predecessor drains. Then the trees are exchanged (commit.go), and what is no longer named
// drains in the background; an address that changes its protocol goes from one
// front to the next without being closed. If anything fails, what was new is taken down, the
// old configuration serves on, and the error says why.
//
// # The end
//
// When Run's context is done, or the control socket says stop, the fronts
// accept no more, answer what runs (with "Connection: close"), for at most
// server.shutdown_timeout; then the pools stop. Abort cuts this short.
//
// The package reads no configuration file, finds no interpreter and installs
// no signal handler: package main hands it a Plan and a way to make the next.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"millrace/internal/auth"
	"millrace/internal/cache"
	"millrace/internal/certs"
	"millrace/internal/config"
	"millrace/internal/encode"
	"millrace/internal/limit"
	"millrace/internal/pool"
	"millrace/internal/requestid"
	"millrace/internal/spool"
)

// Plan is what is to be served.
type Plan struct {
	Config      *config.Config // completed; each app has its Python
	Source      string         // where it comes from, for people
	Environ     []string       // that apps inherit, "NAME=value", before their own Env
	Control     string         // the control socket, if Config names none; empty: no control socket
	Development bool           // show an import's traceback in the browser
	Notes       []string       // for the person who reloads

	Pages map[string][]byte // maintenance pages, by their paths; see Settle

	Number  int               // a keeper's; see Seal
	Digests map[string]string // of the commands of a sealed plan; nil: it is not
	Places  map[string]string // of addresses in the configuration, of a sealed plan: its Config knows none

	// Script is the file that a front server started all this for, as mod_fcgid
	// does; Workdir is the working folder of the apps' processes, in place of
	// each app's own. Mostly empty.
	Script, Workdir string
}

func (p *Plan) control() string {
	if p.Config.Server.Control != "" {
		return p.Config.Server.Control
	}
	return p.Control
}

// Options of New.
type Options struct {
	Plan    *Plan                                    // the first; required
	Load    func(ctx context.Context) (*Plan, error) // the next, at each reload; nil: there is no reload
	Log     *slog.Logger                             // the error log; required
	Version string                                   // for the status
	Keeper  Keeper                                   // nil: this process itself

	// Systemd returns the descriptor of a socket that systemd passed by its
	// name, where there is no Keeper; nil: it passed none.
	Systemd func(name string) (fd int, err error)

	// Supervisor is told how the server is; nil: nobody is.
	Supervisor Supervisor

	// Upgrade has the next program take this one's place, and returns when it
	// serves; nil: it cannot be.
	Upgrade func(ctx context.Context) error

	// Stopping is called when the control socket is told to stop; may be nil.
	Stopping func()

	// Handed is where the workers of apps come from, by app: of a server that
	// this one follows, in another process. They are the server's. nil: there is
	// none; then Keeper.Take is not called.
	Handed map[string]*os.File

	// Memory is what the server before this one had Keeper.Remember.
	Memory json.RawMessage
}

// app is what the server needs of a pool.Pool.
type app interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
	Handler(mount string) http.Handler
	Reload(ctx context.Context, cfg pool.Config) error
	Status() pool.Status
	State() (state, failure string)
	Measure() <-chan struct{}
}

var _ app = (*pool.Pool)(nil)

// Server serves one Plan after another. Its methods may be called from any
// goroutine.
type Server struct {
	opt      Options
	log      *slog.Logger
	keeper   Keeper
	newApp   func(pool.Config) app
	ids      *requestid.Source
	openLog  func(path string) (accessLog, error)
	spool    *spool.Spool
	certs    *certs.Files
	acme     *certs.ACME
	look     time.Duration // certificateLook
	metrics  http.Handler
	began    time.Time
	grace    time.Duration  // endGrace
	encoders *encode.Engine // and compressed files, which outlive a reload
	cache    *cache.Cache   // of responses, which outlive it too

	verifier *auth.Verifier     // of passwords
	clients  *limit.Connections // of sites

	started chan struct{} // closed when it listens and each app serves or has failed
	stopped chan struct{} // closed when everything but the control socket has stopped
	stop    chan struct{} // closed by Stop
	abort   chan struct{} // closed by Abort
	onStop  sync.Once
	onAbort sync.Once

	reloading chan struct{}  // holds a token while a reload or the end is under way
	leftovers sync.WaitGroup // goroutines that take down what a reload left
	conns     atomic.Int64   // open connections
	retiring  atomic.Bool    // another server has the addresses
	orphaned  atomic.Bool    // another one is to have them, at once

	maintaining sync.Mutex                  // held while closed or drained changes
	closed      atomic.Pointer[Maintenance] // nil: nothing is in maintenance

	devFailure atomic.Pointer[devFailure] // of the last reload, for development; nil: it succeeded

	mu         sync.Mutex // guards what follows; held for moments only
	plan       *Plan
	fronts     map[string]*front // by key
	apps       map[string]*running
	upstreams  map[string]*backends
	drained    map[string]map[string]bool // see memory
	logs       map[string]accessLog       // by path
	tree       *tree
	reloads    int
	lastReload *Outcome
	hand       *handOff   // nil: no upgrade is under way
	failed     chan error // a front that ended by itself
}

// running is an app and its Run.
type running struct {
	app
	cfg    pool.Config // as it was last given
	beside beside      // programs and jobs; its configuration is the present plan's
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
}

// New returns a server that is not running yet.
func New(o Options) *Server {
	s := &Server{
		opt:       o,
		log:       o.Log,
		newApp:    func(c pool.Config) app { return pool.New(c) },
		spool:     spool.New(o.Plan.Config.Server.Spool, int64(o.Plan.Config.Server.SpoolMax)),
		verifier:  auth.NewVerifier(0),
		clients:   &limit.Connections{},
		began:     time.Now(),
		encoders:  encode.NewEngine(0, int64(o.Plan.Config.Server.CompressCache)),
		grace:     endGrace,
		started:   make(chan struct{}),
		stopped:   make(chan struct{}),
		stop:      make(chan struct{}),
		abort:     make(chan struct{}),
		reloading: make(chan struct{}, 1),
		plan:      o.Plan,
		fronts:    map[string]*front{},
		apps:      map[string]*running{},
		upstreams: map[string]*backends{},
		logs:      map[string]accessLog{},
		failed:    make(chan error, 1),
	}
	s.cache = cache.New(s.log)
	if s.keeper = o.Keeper; s.keeper == nil {
		s.keeper = itself{server: s}
	}
	s.certs, s.look = certs.NewFiles(s.keeper.OpenFile, s.log), certificateLook
	s.acme = certs.NewACME(s.keeper.OpenFile, s.log)
	s.recall(o.Memory)
	s.openLog, s.ids = s.openAccessLog, requestid.New()
	s.metrics = metricsHandler(s.measured, s.log)
	return s
}

// Started is closed when all addresses are open and each app serves or has
// failed to: Status tells which.
func (s *Server) Started() <-chan struct{} { return s.started }

// Stop begins to stop, as the end of Run's context does. The channel is closed
// when all but the control socket has stopped.
func (s *Server) Stop() <-chan struct{} {
	s.onStop.Do(func() { close(s.stop) })
	return s.stopped
}

// Orphan is Stop, and gives the addresses and the control socket free first:
// the process that others watch is gone, and they start another.
func (s *Server) Orphan() {
	s.orphaned.Store(true)
	s.Stop()
}

// Abort stops at once: connections are closed, and Run does not wait for apps,
// whose processes end with this one.
func (s *Server) Abort() {
	s.onAbort.Do(func() { close(s.abort) }) // whoever hears of the stop, finds it
	s.Stop()
}

// ReopenLogs opens the access logs anew, after they were moved away.
func (s *Server) ReopenLogs() error {
	s.mu.Lock()
	logs := maps.Clone(s.logs)
	s.mu.Unlock() // before the keeper is asked, as in commit
	var errs []error
	for _, l := range logs {
		if err := l.Reopen(); !errors.Is(err, os.ErrClosed) { // a reload has just left it
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Error is a failure with advice.
type Error struct {
	Problem string
	Fix     string // one line; may be empty
	Err     error  // the cause; may be nil
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Problem + ": " + e.Err.Error()
	}
	return e.Problem
}

// Hint says what to do.
func (e *Error) Hint() string { return e.Fix }

func (e *Error) Unwrap() error { return e.Err }

// errInUse adds who is there to the error of a control socket in use.
func errInUse(err error, pid int) error {
	if !errors.Is(err, syscall.EADDRINUSE) || pid == 0 {
		return err
	}
	return &Error{
		Problem: fmt.Sprintf("another millrace is running here, pid %d", pid),
		Fix:     "stop it (millrace stop), or give this one a control socket of its own (--control)",
	}
}
