package server

// HTTP/3: the UDP socket beside an address with TLS.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"millrace/internal/config"
	"millrace/internal/h3"
	"millrace/internal/listen"
)

// quicSide is HTTP/3 of one address. When another front takes the address over,
// it goes with it, and its clients notice nothing.
type quicSide struct {
	front  atomic.Pointer[front] // that answers
	keeper Keeper
	beside *listen.Listener
	server *h3.Server
	owner  listen.Owner // of the socket; nil: this process
	conns  atomic.Int64

	ctx    context.Context // ends the waiting for a socket
	cancel context.CancelFunc
	start  sync.Once
	opened chan struct{} // closed when there is a socket, or will be none
	ready  bool          // once opened: there is one
}

// socketPatience is how long a reload waits for a socket that drains still.
const socketPatience = 10 * time.Second

// newQUIC makes HTTP/3 of a front beside its listener. Nothing is open yet.
func newQUIC(f *front, beside *listen.Listener, k Keeper, c *config.Server) *quicSide {
	q := &quicSide{keeper: k, beside: beside, opened: make(chan struct{})}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	q.front.Store(f)
	q.server = &h3.Server{
		Handler:     http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { q.front.Load().ServeHTTP(w, r) }),
		Config:      tlsConfig(q.front.Load, f.tls),
		MaxHeader:   int(c.MaxHeader),
		MaxStreams:  maxStreams,
		IdleTimeout: c.IdleTimeout,
		Admit: func(client net.Addr) func() {
			if udp, ok := client.(*net.UDPAddr); ok {
				client = &net.TCPAddr{IP: udp.IP, Port: udp.Port, Zone: udp.Zone} // they count together
			}
			return q.front.Load().enter(client)
		},
		Count: func(n int) {
			q.conns.Add(int64(n))
			f.total.Add(int64(n))
		},
	}
	return q
}

// openQUIC opens HTTP/3 of a front, which takes another's address over unless
// have is nil.
func (s *Server) openQUIC(f, have *front, plan *Plan) error {
	beside := f.listener
	if have != nil {
		beside = have.listener
	}
	f.quic = newQUIC(f, beside, s.keeper, &plan.Config.Server)
	if s.opt.Handed != nil && s.tree == nil { // it follows another server, which has the socket still
		f.quic.openLater()
		return nil
	}
	return f.quic.openNow()
}

// open opens the socket, and waits for it if another front has it: the server
// before this one, until it has drained.
func (q *quicSide) open(ctx context.Context) error {
	defer close(q.opened)
	conn, owner, err := q.keeper.ListenPacket(ctx, q.beside)
	if err != nil {
		return err
	}
	q.owner = owner
	if err := q.server.Start(conn); err != nil {
		return errors.Join(fmt.Errorf("cannot serve HTTP/3 on %s: %w", q.beside.Address(), err), q.release())
	}
	q.ready = true
	return nil
}

// openNow is open for a server that follows none.
func (q *quicSide) openNow() error {
	ctx, cancel := context.WithTimeout(q.ctx, socketPatience)
	defer cancel()
	return q.open(ctx)
}

// openLater is open for one that does.
func (q *quicSide) openLater() {
	go func() {
		if err := q.open(q.ctx); err != nil && q.ctx.Err() == nil {
			q.front.Load().log.Error("there is no HTTP/3", "address", q.beside.Address(), "error", err)
		}
	}()
}

// serve serves until drain. A front that has taken the address over calls it
// again.
func (q *quicSide) serve() {
	q.start.Do(func() {
		go func() {
			<-q.opened
			if !q.ready {
				return
			}
			f := q.front.Load()
			f.offer()
			if err := q.server.Serve(); err != nil {
				f.log.Error("HTTP/3 has ended", "address", q.beside.Address(), "error", err)
			}
		}()
	})
}

// offer tells clients of HTTP/3 from now on.
func (f *front) offer() {
	if port := f.port(); port != 0 {
		f.altSvc.Store(&[]string{fmt.Sprintf(`h3=":%d"; ma=86400`, port)})
	}
}

// drain lets what runs end until ctx is done, and gives the socket free.
func (q *quicSide) drain(ctx context.Context) error {
	return q.end(func() error { return q.server.Shutdown(ctx) })
}

// close cuts what runs, and gives the socket free.
func (q *quicSide) close() error { return q.end(q.server.Close) }

func (q *quicSide) end(how func() error) error {
	q.cancel()
	<-q.opened
	if !q.ready {
		return nil
	}
	err := how()
	return errors.Join(err, q.release())
}

func (q *quicSide) release() error {
	if q.owner == nil {
		return nil
	}
	_, err := q.owner.Release()
	return err
}
