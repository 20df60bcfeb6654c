package server

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"millrace/internal/config"
	"millrace/internal/h1"
	"millrace/internal/limit"
	"millrace/internal/listen"
	"millrace/internal/requestid"
	"millrace/internal/stall"
)

// front is one listening address: of sites, or of an app for another front
// server.
type front struct {
	frontSpec
	listener *listen.Listener // nil until the front of its key hands over
	mode     fs.FileMode      // of its Unix socket
	server   protocolServer
	http1    *h1.Server    // of server; nil: it speaks something else
	makeRoom func() bool   // closes a connection that is idle; nil: none is
	served   chan struct{} // closed when serve has returned
	draining atomic.Bool
	mounted  atomic.Pointer[mounted]
	ids      *requestid.Source
	log      *slog.Logger
	leaves   *atomic.Bool // of the server: another one has the addresses
	quic     *quicSide    // HTTP/3 beside it; nil: none
	altSvc   atomic.Pointer[[]string]

	mu      sync.Mutex
	conns   int
	fresh   int           // of conns: no byte has come yet
	total   *atomic.Int64 // of all fronts
	clients *limit.Connections
	changed chan struct{} // holds a token when conns or fresh is another
}

// frontSpec is what a front is made for; when it changes, another one takes
// the address over.
type frontSpec struct {
	key      string // the address; see appKey
	address  string
	protocol string
	app      string // "": sites, or the status
	status   bool   // the status
	ajp      ajpOptions
	tls      tlsSpec

	proxied bool // connections begin with a header of the PROXY protocol
}

// mounted is the handler of one front in one tree.
type mounted struct {
	tree *tree
	mount
}

// linger is how long a front that drains leaves idle connections open: a
// request that is on its way when the drain begins is answered, not reset. One
// on a connection that was just opened surely is on its way: a client opens
// one to send it, and on a busy machine that takes longer.
const (
	linger      = 500 * time.Millisecond
	lingerFresh = 5 * time.Second
)

// newFront makes a front that has no listener yet.
func newFront(spec frontSpec, c *config.Server, total *atomic.Int64, clients *limit.Connections, ids *requestid.Source, log *slog.Logger) *front {
	f := &front{frontSpec: spec, clients: clients, served: make(chan struct{}), total: total, changed: make(chan struct{}, 1), ids: ids, log: log}
	f.server = newServer(spec.protocol, serverOptions{
		handler: f, log: f.says(), allow: f.allows, ajp: spec.ajp, server: c,
	})
	f.http1, _ = f.server.(*h1.Server)
	if spec.tls.on {
		f.server = f.secured(f.server, c, f.says())
	}
	return f
}

// says is the log with the front's name.
func (f *front) says() *slog.Logger {
	if f.app == "" {
		return f.log
	}
	return f.log.With("app", f.app, "address", f.address)
}

// open opens the front's address.
func (f *front) open(k Keeper, o listen.Options) error {
	o.Count = f.count
	l, err := k.Listen(f.address, o)
	if err != nil {
		return err
	}
	if err := f.mayServe(l.Addr()); err != nil {
		_ = l.Close()
		return err
	}
	f.listener, f.mode = l, o.Mode
	return nil
}

// mayServe refuses AJP without a secret at an address that package config
// could not see: of an inherited socket, or of a name that leads elsewhere.
func (f *front) mayServe(a net.Addr) error {
	if f.protocol != "ajp" || f.ajp.secret != "" || ownMachine(a) {
		return nil
	}
	return &Error{
		Problem: "cannot serve AJP on " + f.address + ", which is " + a.String() + ": without a secret it would believe everyone who reaches it",
		Fix:     "set secret under [[app." + f.app + ".listen]], or listen on 127.0.0.1 or a Unix socket",
	}
}

// serve accepts until the front drains. The error is nil then.
func (f *front) serve() error {
	defer close(f.served)
	if f.quic != nil {
		f.quic.serve()
	}
	f.listener.SetEntry(f.entry())
	l := net.Listener(f.listener)
	if f.protocol == "http" { // which has no Allow
		l = &allowing{l, f}
	}
	err := f.server.Serve(l)
	if f.draining.Load() || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor >= 2 {
		as, stream := extended(r)
		if !strict(w, as) {
			return
		}
		if d := f.listener.WriteTimeout(); d > 0 {
			w = stall.New(w, d)
		}
		if r = as; stream != nil {
			w = &extendedWriter{w: w, stream: stream}
		}
	}
	if f.app != "" || requestid.Carries(r) { // else where it is of use: see layer_requestid.go
		f.ids.Stamp(r, time.Now(), f.believes)
	}
	if r.ProtoMajor < 3 {
		if alt := f.altSvc.Load(); alt != nil {
			w.Header()["Alt-Svc"] = *alt
		}
		if f.draining.Load() {
			w.Header().Set("Connection", "close")
		}
	}
	m := f.mounted.Load()
	for !m.tree.enter() { // the tree was exchanged and closed in between
		next := f.mounted.Load()
		if next == m { // nothing is served here any more, and this connection was cut
			panic(http.ErrAbortHandler)
		}
		m = next
	}
	defer m.tree.leave()
	m.handler.ServeHTTP(w, r)
}

// believes reports whether an X-Request-ID that came with r is taken: from a
// front server, or a client of this machine.
func (f *front) believes(r *http.Request) bool {
	if f.protocol != "http" || r.RemoteAddr == "" || r.RemoteAddr == "@" {
		return true
	}
	if m := f.mounted.Load(); m != nil && m.trust != nil && m.trust.Trusts(r.RemoteAddr) {
		return true
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// count follows the connections.
func (f *front) count(conns, fresh int) {
	f.total.Add(int64(conns))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns += conns
	f.fresh += fresh
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// connections is how many are open.
func (f *front) connections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.conns
}

// shut accepts no more, and gives the address free.
func (f *front) shut() error {
	f.draining.Store(true)
	end := f.listener.Close
	if f.leaves != nil && f.leaves.Load() {
		end = f.listener.Leave
	}
	err := end()
	<-f.served
	return err
}

// handOver accepts no more, and gives the socket to next: who connects
// meanwhile waits in the backlog.
func (f *front) handOver(next *front) {
	f.draining.Store(true)
	next.listener, next.mode = f.listener.Detach(next.count), f.mode
	if f.quic != nil && next.tls.http3 {
		next.quic, f.quic = f.quic, nil
		next.quic.front.Store(next)
		next.offer()
	}
	<-f.served
}

// drain shuts, and lets what runs end until ctx is done; then it cuts. An
// error says that it had to. A response that begins from now on is its
// connection's last; one that began before and ends while the front lingers
// leaves its connection idle, to be closed with the others.
func (f *front) drain(ctx context.Context) error {
	err := f.shut() // before Shutdown, which turns away who is accepted during it
	ended := make(chan error, 1)
	go func() {
		var quic sync.WaitGroup
		var failed error
		if f.quic != nil {
			quic.Go(func() { failed = f.quic.drain(ctx) })
		}
		f.linger(ctx)
		err := f.server.Shutdown(ctx)
		quic.Wait()
		ended <- errors.Join(err, failed)
	}()
	var cut error
	select {
	case cut = <-ended:
	case <-ctx.Done(): // a handler that does not look at its context is not waited for
		cut = ctx.Err()
	}
	if cut != nil {
		if f.quic != nil {
			_ = f.quic.close()
		}
		return errors.Join(cut, f.server.Close())
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// linger waits for the last connection's end; for idle ones only a while, and
// those of gateway protocols not at all: their servers linger themselves.
// Accepting is over by now. A connection whose request is not read yet would be
// left without an answer by the Shutdown of every server.
func (f *front) linger(ctx context.Context) {
	idle, fresh := time.NewTimer(linger), time.NewTimer(lingerFresh)
	defer idle.Stop()
	defer fresh.Stop()
	for waited := f.protocol != "http"; ; {
		f.mu.Lock()
		over := f.conns == 0 || waited && f.fresh == 0
		f.mu.Unlock()
		if over {
			return
		}
		select {
		case <-f.changed:
		case <-idle.C:
			waited = true
		case <-fresh.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// discard closes a front that never served.
func (f *front) discard() error {
	var err error
	if f.quic != nil {
		err = f.quic.close()
	}
	if f.listener == nil { // it was to take another's over
		return err
	}
	return errors.Join(err, f.listener.Close())
}
