package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"millrace/internal/config"
	"millrace/internal/listen"
)

// front is one listening address.
type front struct {
	address  string
	listener *listen.Listener
	http     *http.Server
	served   chan struct{} // closed when http.Serve has returned
	draining atomic.Bool
	mounted  atomic.Pointer[mounted]

	mu    sync.Mutex
	conns int
	total *atomic.Int64 // of all fronts
	gone  chan struct{} // closed when draining and no connection is left
}

// mounted is the handler of one front in one tree.
type mounted struct {
	tree    *tree
	handler http.Handler
}

// linger is how long a front that drains leaves idle connections open: a
// request that is on its way when the drain begins is answered, not reset.
const linger = 500 * time.Millisecond

// headerSlop is what net/http adds to MaxHeaderBytes on its own account.
const headerSlop = 4096

func newFront(address string, c *config.Server, total *atomic.Int64, log *slog.Logger) (*front, error) {
	l, err := listen.Open(address, listen.Options{WriteTimeout: c.WriteTimeout})
	if err != nil {
		return nil, err
	}
	f := &front{address: address, listener: l, served: make(chan struct{}), total: total, gone: make(chan struct{})}
	f.http = &http.Server{
		Handler:           f,
		ReadHeaderTimeout: c.HeaderTimeout,
		IdleTimeout:       c.IdleTimeout,
		MaxHeaderBytes:    max(1, int(c.MaxHeader)-headerSlop),
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelError),
		ConnState:         f.connState,
	}
	return f, nil
}

// serve accepts until the front drains. The error is nil then.
func (f *front) serve() error {
	defer close(f.served)
	err := f.http.Serve(f.listener)
	if f.draining.Load() || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	m := f.mounted.Load()
	for !m.tree.enter() { // the tree was exchanged and closed in between
		m = f.mounted.Load()
	}
	defer m.tree.leave()
	m.handler.ServeHTTP(w, r)
}

func (f *front) connState(_ net.Conn, state http.ConnState) {
	step := 0
	switch state {
	case http.StateNew:
		step = 1
	case http.StateClosed, http.StateHijacked:
		step = -1
	default:
		return
	}
	f.total.Add(int64(step))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns += step
	f.goneLocked()
}

func (f *front) goneLocked() {
	if f.conns == 0 && f.draining.Load() {
		select {
		case <-f.gone:
		default:
			close(f.gone)
		}
	}
}

// shut accepts no more, and gives the address free.
func (f *front) shut() error {
	f.draining.Store(true)
	err := f.listener.Close()
	<-f.served
	return err
}

// drain shuts, and lets what runs end until ctx is done; then it cuts. An
// error says that it had to. A response that begins from now on is its
// connection's last; one that began before and ends while the front lingers
// leaves its connection idle, to be closed with the others.
func (f *front) drain(ctx context.Context) error {
	err := f.shut()
	f.mu.Lock()
	f.goneLocked()
	f.mu.Unlock()
	timer := time.NewTimer(linger)
	defer timer.Stop()
	select {
	case <-f.gone:
	case <-timer.C:
	case <-ctx.Done():
	}
	if cut := f.http.Shutdown(ctx); cut != nil {
		return errors.Join(cut, f.http.Close())
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// discard closes a front that never served.
func (f *front) discard() error { return f.listener.Close() }
