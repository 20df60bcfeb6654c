// Package upstream answers requests by back ends that millrace did not start:
// FastCGI, SCGI, uwsgi and AJP programs through their gateway.RoundTripper,
// and HTTP servers.
//
// # A request's life
//
// The handler (handler.go) collects the body whole, in memory or in a spool
// file (body.go): so its length is known, it can be sent again, and a slow
// client holds no back end. Then it takes the next server of the group
// (pick.go). One that cannot be connected to is passed over for a short time,
// and the request goes to the next: then, and only then, nothing was sent. An
// HTTP server is talked to by http.go, any other by its RoundTripper.
//
// The response (respond.go) goes through a bounded pipe, in memory and then in
// a file: it leaves the back end at the back end's speed and reaches the client
// at the client's. What an app flushes is passed on at once; an event stream
// never goes to a file. A response that breaks off breaks off for the client
// as well. A local redirect (RFC 3875, section 6.2.2) is handed back to the
// server, to be routed like a request.
//
// # What it does not do
//
// It names no protocol, reads no configuration, follows no HTTP redirect,
// retries nothing that may have reached a back end (a protocol's client may,
// by its own rules), and asks no back end how it is.
package upstream

import (
	"io"
	"log/slog"
	"net/http"
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

	// MaxConns is how many requests a server answers at a time; one that finds
	// every server busy waits for at most ConnectTimeout, then 503. 0: no
	// limit.
	MaxConns int

	ConnectTimeout time.Duration // of HTTP, and see MaxConns
	Timeout        time.Duration // without a byte from an HTTP server
	MaxBody        int64         // bytes; then 413

	Spool *spool.Spool // bodies
	Log   *slog.Logger
}

// Server is one back end.
type Server struct {
	Address string // "host:port" or "unix:/path"

	// RoundTripper sends requests to it. nil: it speaks HTTP. If it is an
	// io.Closer the Group closes it.
	RoundTripper gateway.RoundTripper
}

// Group is one or more servers that answer alike.
type Group struct {
	cfg Config
	log *slog.Logger

	mu      sync.Mutex // guards what follows, and the servers' own
	servers []*server
	next    int             // where the search for a server begins
	waiting []chan struct{} // for a free one; the first comes first
}

// New returns a group, which connects to nothing yet.
func New(cfg Config) *Group {
	g := &Group{cfg: cfg, log: cfg.Log.With("upstream", cfg.Name)}
	for _, s := range cfg.Servers {
		var b backend
		if s.RoundTripper != nil {
			b = &gatewayBackend{s.RoundTripper, cfg.Params}
		} else {
			b = newHTTPBackend(s.Address, cfg.ConnectTimeout, cfg.Timeout)
		}
		g.servers = append(g.servers, &server{address: s.Address, backend: b})
	}
	return g
}

// Redirect answers r by what location, the path and query of a local redirect,
// leads to. An error says why that cannot be; then nothing was answered.
type Redirect func(w http.ResponseWriter, r *http.Request, location string) error

// Handler answers HTTP requests by the group. mount is the prefix of the path
// that becomes SCRIPT_NAME, "" for none; over HTTP the prefix is X-Forwarded-Prefix
// and the rest the path. A path outside the mount is a 404.
func (g *Group) Handler(mount string, redirect Redirect) http.Handler {
	return &handler{group: g, mount: strings.TrimSuffix(mount, "/"), redirect: redirect}
}

// Close closes the connections that are kept. Requests that run may break off.
func (g *Group) Close() {
	for _, s := range g.servers {
		if c, ok := s.backend.(io.Closer); ok {
			if err := c.Close(); err != nil {
				g.log.Warn("cannot close the connections of a back end", "server", s.address, "error", err)
			}
		}
	}
}

// Status is a snapshot of a Group; its JSON form is part of `millrace status --json`.
type Status struct {
	Name     string         `json:"name"`
	Protocol string         `json:"protocol"`
	Waiting  int            `json:"waiting"` // requests, for a server that is free
	Servers  []ServerStatus `json:"servers"`
}

// ServerStatus is one server's part of a Status.
type ServerStatus struct {
	Address  string `json:"address"`
	Reached  bool   `json:"reached"` // false: passed over, as it could not be connected to
	Active   int    `json:"active"`  // requests that it answers now
	Answered uint64 `json:"answered"`
	Failed   uint64 `json:"failed"` // requests that it did not answer, or not to their ends
}

// Status returns the status.
func (g *Group) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	st := Status{Name: g.cfg.Name, Protocol: g.cfg.Protocol, Waiting: len(g.waiting), Servers: []ServerStatus{}}
	for _, s := range g.servers {
		st.Servers = append(st.Servers, ServerStatus{s.address, s.downUntil.IsZero(), s.active, s.answered, s.failed})
	}
	return st
}
