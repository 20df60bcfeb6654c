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
// about all of its channels. One goroutine, the keeper (keeper.go), starts
// hosts, rolls from one generation to the next (generations.go), and decides how
// many workers there are (census.go, scale.go) and which of them go (surplus.go).
// Everything the request path shares is under one short mutex, Pool.mu.
//
// # An upgrade
//
// A pool can give its host and its workers to one in another process
// (handover*.go, adopt.go), over messages with descriptors (exchange.go). The
// goroutines that read from them are halted (park.go) with nothing lost.
//
// # What it does not do
//
// It speaks no wire protocol, knows no configuration file, and runs nothing
// but WSGI apps in Python.
package pool

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace/internal/spool"
	"millrace/internal/supervise"
)

// Config is what a pool needs to know of its app. Zero values are not
// defaults: package config fills them in.
type Config struct {
	Name           string             // of [app.NAME]; in logs and status
	Python         string             // path of the interpreter
	WSGI           string             // "module:callable", "module:factory()" or "module.callable"
	Demo           bool               // serve the built-in demo app; WSGI is ignored
	Dir            string             // working folder, first on sys.path
	Workdir        string             // the working folder, if it is not Dir
	Host           *supervise.Command // the process that imports the app; see HostCommand
	Starter        supervise.Starter  // starts Host
	Preload        bool               // import once and fork
	RequirePreload bool               // an import that cannot be shared is an error
	WarmUp         string             // path that is requested after the import, before the first fork; "": none
	AfterFork      string             // "module:callable", called in each new worker
	Program        *Program           // what runs in place of Python; nil: a WSGI app
	Adopt          *os.File           // where another pool's HandOver gives its workers, to be taken over; the pool closes it; nil: none does

	Method         string        // CGI: each request has a process of its own, and Threads, MinSpare, MaxSpare, MaxRequests and Preload mean nothing; else for the status alone
	Scaling        string        // Dynamic (also ""), Static or OnDemand
	IdleTimeout    time.Duration // of a worker, for OnDemand and CGI
	Threads        int           // workers are threads, so many in a process at most; 0: each worker is a process
	MinSpare       int           // workers
	MaxSpare       int           // workers
	MaxChildren    int           // workers
	MaxRequests    int           // of one process, after which it is replaced; 0: never
	Depth          int           // requests that a worker may hold, the running one included; 0: as many as keep each other's wait short, at most 16
	Queue          int           // requests that may wait; then 503
	MaxMemory      int64         // bytes that are resident, of one process; then it is replaced; 0: any
	MaxLifetime    time.Duration // of one process, ±10%; then it is replaced; 0: any
	QueueTimeout   time.Duration // that a request may wait for a worker; then 503; 0: any
	SlowRequest    time.Duration // from a request's start; then a traceback is logged; 0: none
	SlowLog        io.Writer     // of those tracebacks, an entry a Write, from any goroutine; nil: Log
	Retry          bool          // an idempotent request whose worker died is run once more
	RequestTimeout time.Duration // without a sign of the worker, from the request's start; 0: none
	StartupTimeout time.Duration
	StopTimeout    time.Duration
	MaxBody        int64 // bytes; then 413

	TracebackTo []netip.Prefix // clients that see tracebacks in the browser; empty: nobody
	Development bool           // if TracebackTo is empty, this machine sees them
	Spool       *spool.Spool   // bodies
	Log         *slog.Logger   // events of the pool and lines of the app
}

// CGI is the Method that runs each request in a process of its own, which
// imports the app for it.
const CGI = "cgi"

func (cfg *Config) method() string {
	switch {
	case cfg.Method != "":
		return cfg.Method
	case cfg.Threads > 0:
		return "threaded"
	}
	return "prefork"
}

// perRequest reports whether each request has a process of its own.
func (cfg *Config) perRequest() bool { return cfg.Method == CGI && cfg.Program == nil }

// perProcess is how many workers a process has, at most.
func (cfg *Config) perProcess() int {
	if cfg.Program != nil {
		return cfg.Program.Concurrency
	}
	return max(cfg.Threads, 1)
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
	tasks     chan func() // for the keeper to run
	adoptFrom *os.File
	drained   chan struct{} // closed when no further request comes
	drainOnce sync.Once
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
	calm      int           // workers that may run a request before more are due
	leftAt    time.Duration // when clients that left were looked for
	stopping  bool
	failure   string // why nothing serves; "" while something does, or may
	stats     stats

	generation      int       // the current one
	generationSince time.Time // when it began to serve
	host            *host     // of the current generation; nil: none has served yet
	about           about     // what it said of itself

	measuring measuring

	keeper keeper
}

// New returns a pool that is not running yet. Requests wait until Run has
// started a worker.
func New(cfg Config) *Pool {
	adopt := cfg.Adopt
	cfg.Adopt = nil // once: a later generation has nothing to take over
	p := &Pool{
		adoptFrom: adopt,
		name:      cfg.Name,
		log:       cfg.Log,
		born:      time.Now(),
		ready:     make(chan struct{}),
		kick:      make(chan struct{}, 1),
		reloads:   make(chan reload),
		tasks:     make(chan func()),
		drained:   make(chan struct{}),
		events:    make(chan hostEvent, 16),
		done:      make(chan struct{}),
		cfg:       &cfg,
	}
	p.stats.recycledBy = map[string]uint64{}
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
	if p.cfg.MaxMemory > 0 && !limitsMemory {
		p.log.Warn("max_memory does nothing on this system", "app", p.name)
	}
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

// UnsafeError says that the app was to be imported once for all workers, and
// that its import leaves what they must not share.
type UnsafeError struct {
	App string
	Why []string // what it leaves; at least one
}

func (e *UnsafeError) Error() string {
	return "cannot preload app " + e.App + ", as preload = \"require\" demands; its import leaves:\n" + strings.Join(e.Why, "\n")
}

// Hint says what to do.
func (e *UnsafeError) Hint() string {
	return "open such things in after_fork (docs/preload.md), or write preload = true: each worker imports the app then"
}

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
