// Package upstream answers requests by back ends that millrace did not start:
// FastCGI, SCGI, uwsgi and AJP programs through their gateway.RoundTripper,
// and HTTP servers.
//
// # A request's life
//
// The handler (handler.go) collects the body whole, in memory or in a spool
// file (body.go): so its length is known, it can be sent again, and a slow
// client holds no back end. Then a server of the group is chosen: pick.go says
// which may have the request, balance_policy.go which of them gets it (with
// balance_hash.go and balance_sticky.go), and balance_queue.go lets it wait if
// all are busy. An HTTP server is talked to by http.go or http2.go, any
// other by its RoundTripper.
//
// A server that fails (health_passive.go) is passed over for a time, and one
// that fails its checks (health.go) until it passes them. Where that is safe,
// its request goes to another (retry.go). Names are looked up again and again
// (resolve.go); what is drained, or gone from its name, finishes what it has
// (balance_drain.go).
//
// The response (respond.go) goes through a bounded pipe, in memory and then in
// a file: it leaves the back end at the back end's speed and reaches the client
// at the client's. What an app flushes is passed on at once; an event stream
// never goes to a file. A response that breaks off breaks off for the client
// as well. A local redirect (RFC 3875, section 6.2.2) is handed back to the
// server, to be routed like a request. What a response says of its back end's
// place is put in the terms of its client (reverse.go).
//
// Where it is told to, a body goes up as it comes (streamed, in body.go), and a
// back end waits for its client. A request for another protocol, like WebSocket,
// goes to an HTTP server as one (upgrade.go), and its connection is a tunnel if
// that agrees (tunnel.go).
//
// # What it does not do
//
// It names no protocol, reads no configuration, follows no HTTP redirect, and
// sends nothing again that may have begun to work, unless its method says that
// this does no harm or its Config does.
package upstream

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"millrace/gateway"
	"millrace/internal/spool"
)

// Config is what a Group needs to know. Zero values are not defaults, unless a
// field says so.
type Config struct {
	Name     string // in logs and status
	Protocol string // in the status
	Servers  []Server

	// Params are added to each request's, over those of their names. Not for
	// HTTP.
	Params []gateway.Param

	Balance Balance
	Key     func(dst []byte, r *http.Request) []byte // of Hash: appends the text of a request
	Sticky  Sticky

	// MaxConns is how many requests a server answers at a time; 0: no limit. One
	// that finds every server busy waits in the queue, which holds Queue of them
	// (0: any number), for QueueTimeout (0: ConnectTimeout); else 503.
	MaxConns     int
	Queue        int
	QueueTimeout time.Duration

	// A server that fails MaxFails times within FailTimeout is passed over for
	// as long; then one request tries it again. 0: none is passed over.
	MaxFails    int
	FailTimeout time.Duration

	Health    Health
	SlowStart time.Duration // after a server has come back; 0: it is there at once

	// A request that failed for one of RetryOn goes to another server, at most
	// Retries times if it may have been seen, and not after RetryTimeout (0: any
	// time). One that could not connect always does, within RetryTimeout. What
	// may have been seen must have an idempotent method, unless RetryUnsafe.
	RetryOn      Causes
	Retries      int
	RetryTimeout time.Duration
	RetryUnsafe  bool

	// Resolve is how often the names of servers are looked up; 0: never, they
	// are looked up as connections are opened.
	Resolve  time.Duration
	Resolver Resolver // nil: the system's

	Seed uint64 // of RandomTwo; 0: by chance

	ConnectTimeout time.Duration // of HTTP, TLS with it; and see MaxConns
	Timeout        time.Duration // without a byte from an HTTP server

	// HTTP2 says that HTTP servers speak HTTP/2 instead of HTTP/1.1.
	HTTP2 bool
	// TLS says that HTTP servers speak it over TLS. Without a ServerName the
	// certificate of each is to have the name of its address.
	TLS     *tls.Config
	MaxBody int64 // bytes; then 413

	// StreamResponse has a back end wait for its client, beyond a little memory,
	// in place of a file; StreamRequest sends a request's body as it comes, in
	// place of when it is here, and then no second time. A back end of a gateway
	// protocol gets one whose length is not known when it is here all the same.
	StreamResponse, StreamRequest bool

	// Upgrade passes requests for another protocol on, like WebSocket; over HTTP/1.1
	// alone. UpgradeTimeout is how long both sides may be silent then; 0: for ever.
	Upgrade        bool
	UpgradeTimeout time.Duration

	Spool *spool.Spool // bodies
	Log   *slog.Logger
}

// Server is one back end.
type Server struct {
	Address string // "host:port" or "unix:/path"

	// RoundTripper sends requests to it. nil: it speaks HTTP. If it is an
	// io.Closer the Group closes it. If it is a Checker, so it is checked. If
	// it has Capacity() int, that is how many requests it has room for at a time,
	// 0 for any number.
	RoundTripper gateway.RoundTripper

	// Resolved is RoundTripper for an address that the name in Address stands
	// for; see Config.Resolve.
	Resolved func(address string) gateway.RoundTripper

	Weight   int  // 0: 1
	Backup   bool // it has its turn when no other server is up
	Drain    bool // it gets no requests
	MaxConns int  // 0: the Config's
}

// Group is one or more servers that answer alike.
type Group struct {
	cfg Config
	log *slog.Logger

	tunnels tunnels

	life   context.Context // of checks and lookups
	end    context.CancelFunc
	runs   sync.WaitGroup
	secret []byte // of the sticky cookie

	mu        sync.Mutex // guards what follows, and the servers' own
	begun     bool
	entries   []*entry
	servers   []*server
	tiers     [2][]*server // the servers, and the backups among them
	tokens    map[string]*server
	ids       []uint64 // of the servers that are no backups
	even      bool     // all weights are the same
	calm      bool     // they are, and all servers are up, unless stale
	stale     bool
	next      int       // of the servers: whose turn it is, while it is calm
	slowUntil time.Time // some server may be in its slow start
	scratch   []*server // of pickOfLocked
	rand      *rand.Rand
	waiting   []*waiter // for a free server; the first comes first
	waiters   sync.Pool // of those that wait no more
	totals    totals
}

// New returns a group, which connects to nothing yet.
func New(cfg Config) *Group {
	g := &Group{cfg: cfg, log: cfg.Log.With("upstream", cfg.Name), secret: []byte(cfg.Sticky.Secret)}
	g.life, g.end = context.WithCancel(context.Background())
	if cfg.Sticky.Secret == "" {
		g.secret = newSecret()
	}
	seed := cfg.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	g.rand = rand.New(rand.NewPCG(seed, seed))
	for _, s := range cfg.Servers {
		e := g.newEntry(s)
		g.entries = append(g.entries, e)
		g.addLocked(e, s.Address)
	}
	g.arrangeLocked()
	return g
}

// speaksHTTP reports whether the servers do.
func (g *Group) speaksHTTP() bool {
	return len(g.cfg.Servers) > 0 && g.cfg.Servers[0].RoundTripper == nil
}

// addLocked adds a server of an entry, without a place in its tier.
func (g *Group) addLocked(e *entry, address string) *server {
	s := &server{address: address, entry: e, drained: e.drained, counts: new(counts), weight: max(e.Weight, 1), id: keyOf(address), token: g.tokenOf(address), limit: e.MaxConns}
	if s.limit == 0 {
		s.limit = g.cfg.MaxConns
	}
	tripper := e.RoundTripper
	if address != e.Address && e.Resolved != nil {
		tripper = e.Resolved(address)
	}
	if tripper != nil {
		s.backend = &gatewayBackend{tripper, g.cfg.Params}
	} else {
		s.backend = newHTTP(address, g.httpConfig(e))
	}
	if c, ok := tripper.(interface{ Capacity() int }); ok {
		s.capacity = c.Capacity
	}
	g.servers = append(g.servers, s)
	return s
}

// httpConfig is the Config of a server of an entry. What a name stands for has
// the certificate of the name.
func (g *Group) httpConfig(e *entry) *Config {
	if e.name == "" || g.cfg.TLS == nil || g.cfg.TLS.ServerName != "" {
		return &g.cfg
	}
	c := g.cfg
	c.TLS = c.TLS.Clone()
	c.TLS.ServerName = e.name
	return &c
}

// Start begins to check the servers and to look up their names, until Close.
// Requests can be answered without it.
func (g *Group) Start() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.begun || g.life.Err() != nil {
		return
	}
	g.begun = true
	for _, s := range g.servers {
		g.watchLocked(s)
	}
	for _, e := range g.entries {
		if e.name != "" {
			g.runs.Go(func() { g.follow(g.life, e) })
		}
	}
}

// watchLocked begins to check s, once an earlier watch of it has ended.
func (g *Group) watchLocked(s *server) {
	if !g.begun || g.cfg.Health.Interval <= 0 || g.life.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(g.life)
	before := s.checks
	s.stop, s.checks = cancel, make(chan struct{})
	ended := s.checks
	g.runs.Go(func() {
		defer close(ended)
		if before != nil {
			<-before
		}
		g.watch(ctx, s)
	})
}

// Redirect answers r by what location, the path and query of a local redirect,
// leads to. An error says why that cannot be; then nothing was answered.
type Redirect func(w http.ResponseWriter, r *http.Request, location string) error

// newHTTP makes the back end of an HTTP server.
func newHTTP(address string, cfg *Config) backend {
	if cfg.HTTP2 {
		return newHTTP2Backend(address, cfg.TLS, cfg.ConnectTimeout, cfg.Timeout)
	}
	return newHTTPBackend(address, cfg.TLS, cfg.ConnectTimeout, cfg.Timeout)
}

// Handler answers HTTP requests by the group. mount is the prefix of the path
// that becomes SCRIPT_NAME, "" for none; over HTTP the prefix is X-Forwarded-Prefix
// and the rest the path. A path outside the mount is a 404.
func (g *Group) Handler(mount string, redirect Redirect) http.Handler {
	return g.ReverseHandler(mount, redirect, &Reverse{Automatic: true})
}

// ReverseHandler is Handler with another Reverse than the automatic one.
func (g *Group) ReverseHandler(mount string, redirect Redirect, c *Reverse) http.Handler {
	mount = strings.TrimSuffix(mount, "/")
	return &handler{group: g, mount: mount, redirect: redirect, reverse: newReverse(c, mount, g.cfg.Servers)}
}

// Drain waits for the end of upgraded connections, which no server knows of that
// they came through. When ctx is done it cuts those that are left.
func (g *Group) Drain(ctx context.Context) {
	if n := g.tunnels.drain(ctx); n > 0 {
		g.log.Warn("upgraded connections were cut when shutdown_timeout was over", "connections", n)
	}
}

// Close ends checks and lookups, closes the connections that are kept, and cuts
// those that were upgraded. Requests that run may break off.
func (g *Group) Close() {
	g.tunnels.close()
	g.mu.Lock()
	g.end()
	servers := slices.Clone(g.servers)
	g.mu.Unlock()
	g.runs.Wait()
	g.closeBackends(servers)
}

func (g *Group) closeBackends(servers []*server) {
	for _, s := range servers {
		if c, ok := s.backend.(io.Closer); ok {
			if err := c.Close(); err != nil {
				g.log.Warn("cannot close the connections of a back end", "server", s.address, "error", err)
			}
		}
	}
}
