// Package pool runs one app's workers and gives them its requests.
//
// # A request's life
//
// The handler (handler.go) reads the body whole, in memory or in a spool
// file, makes the parameters (package gateway) and encodes both as one packet
// (frame.go, marshal.go). It submits the call (call.go): dispatch.go gives it
// to a channel, or puts it in the queue, or refuses it when the queue is
// full. Whoever assigned a call also writes the packet, together with others
// that came meanwhile, in one system call.
//
// A channel (channel.go) is one serial executor of requests, a worker: a
// process, or one of the threads of a process. Its reader (answers.go) takes the answers off a stream, hands each
// to the call's handler, and gives the channel its next call. The handler
// writes the response to its client at the client's speed.
//
// The monitor (monitor.go) takes requests back that wait behind a slow one;
// what a worker has not read is still in the kernel, so "never started" is a
// fact and not a guess.
//
// # Processes
//
// A host (host.go) imports the app once and forks processes (process.go); it
// is one generation. A process serves one channel, or with Config.Threads
// several, each from a thread: scaling and dispatch are about channels, and
// what ends a process, its death, max_requests or a thread that is stuck, is
// about all of its channels. One goroutine, the keeper (keeper.go), starts hosts, decides how
// many workers there are (scale.go), and rolls from one generation to the
// next. Everything the request path shares is under one short mutex, Pool.mu.
//
// # What it does not do
//
// It speaks no wire protocol, knows no configuration file, and runs nothing
// but WSGI apps in Python.
package pool

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"millrace/internal/spool"
)

// Config is what a pool needs to know of its app. Zero values are not
// defaults: package config fills them in.
type Config struct {
	Name      string   // of [app.NAME]; in logs and status
	Python    string   // path of the interpreter
	WSGI      string   // "module:callable", "module:factory()" or "module.callable"
	Demo      bool     // serve the built-in demo app; WSGI is ignored
	Dir       string   // working folder, first on sys.path
	Workdir   string   // the working folder, if it is not Dir
	Env       []string // the whole environment of the host process, "NAME=value"
	Preload   bool     // import once and fork
	AfterFork string   // "module:callable", called in each new worker

	Threads        int           // workers are threads, so many in a process at most; 0: each worker is a process
	MinSpare       int           // workers
	MaxSpare       int           // workers
	MaxChildren    int           // workers
	MaxRequests    int           // of one process, after which it is replaced; 0: never
	Depth          int           // requests that a worker may hold, the running one included; 0: as many as keep each other's wait short, at most 16
	Queue          int           // requests that may wait; then 503
	RequestTimeout time.Duration // without a sign of the worker, from the request's start; 0: none
	StartupTimeout time.Duration
	StopTimeout    time.Duration
	MaxBody        int64 // bytes; then 413

	Development bool         // show an import's traceback in the browser
	Spool       *spool.Spool // bodies
	Log         *slog.Logger // events of the pool and lines of the app
}

func (cfg *Config) method() string {
	if cfg.Threads > 0 {
		return "threaded"
	}
	return "prefork"
}

// Pool is one app: its hosts, its workers, its queue.
type Pool struct {
	name       string
	log        *slog.Logger
	output     *output
	born       time.Time
	channelIDs atomic.Uint64
	config     atomic.Pointer[Config] // of the current generation, for handlers

	ready     chan struct{} // closed when the first worker can be lent
	readyOnce sync.Once
	kick      chan struct{} // wakes the keeper
	reloads   chan reload
	events    chan hostEvent
	done      chan struct{}  // closed when the keeper has ended
	hosts     sync.WaitGroup // goroutines that follow a host

	mu        sync.Mutex
	cfg       *Config // of the current generation
	channels  []*channel
	processes []*process // that are not known to be dead
	idle      []*channel // those idle are among them; the last was used last
	queue     callQueue
	flushing  []*channel // have unsent packets and nobody who writes them
	timer     *time.Timer
	armed     bool
	stopping  bool
	failure   string // why nothing serves; "" while something does, or may
	stats     stats

	keeper keeper
}

// New returns a pool that is not running yet. Requests wait until Run has
// started a worker.
func New(cfg Config) *Pool {
	p := &Pool{
		name:    cfg.Name,
		log:     cfg.Log,
		born:    time.Now(),
		ready:   make(chan struct{}),
		kick:    make(chan struct{}, 1),
		reloads: make(chan reload),
		events:  make(chan hostEvent, 16),
		done:    make(chan struct{}),
		cfg:     &cfg,
	}
	p.config.Store(&cfg)
	p.output = newOutput(p)
	p.timer = time.AfterFunc(time.Hour, p.check)
	p.timer.Stop()
	return p
}

// Run starts the app and keeps it until ctx is done, then lets running
// requests end (at most StopTimeout) and stops every process. It is called
// once.
func (p *Pool) Run(ctx context.Context) error {
	go p.output.log()
	p.keep(ctx)
	p.hosts.Wait()
	p.output.close()
	return nil
}

// Ready is closed when the first worker of the first generation can be lent.
func (p *Pool) Ready() <-chan struct{} { return p.ready }

// Reload starts a new generation with cfg. It returns when the new one
// serves, or with an *ImportError (or another error) when it cannot; the old
// one serves on in that case.
func (p *Pool) Reload(ctx context.Context, cfg Config) error {
	r := reload{cfg: cfg, reply: make(chan error, 1)}
	select {
	case p.reloads <- r:
	case <-p.done:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.reply:
		return err
	case <-p.done:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ImportError says that the app could not be imported.
type ImportError struct {
	App       string
	Traceback string // Python's own, several lines
}

func (e *ImportError) Error() string { return "cannot import app " + e.App + ":\n" + e.Traceback }

// closedLocked says why no request is taken now; nil while they are.
func (p *Pool) closedLocked() error {
	switch {
	case p.stopping:
		return errStopped
	case p.failure != "":
		return errFailing
	}
	return nil
}

// kickKeeper has the keeper look at once.
func (p *Pool) kickKeeper() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// tell gives the keeper an event; after the keeper's end nobody needs it.
func (p *Pool) tell(e hostEvent) {
	select {
	case p.events <- e:
	case <-p.done:
	}
}
