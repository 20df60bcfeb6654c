package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"millrace/internal/admin"
	"millrace/internal/listen"
	"millrace/internal/pool"
)

// Run serves until ctx is done, Stop is called, or an address fails. It opens
// everything before it answers anything; an error of that has an effect on
// nothing. A stop that had to cut requests is an error.
func (s *Server) Run(ctx context.Context) error {
	s.reloading <- struct{}{} // a reload waits for the start
	startDone := sync.OnceFunc(func() { <-s.reloading })
	defer startDone()
	control, err := s.openControl()
	if err != nil {
		return err
	}
	undo := func() {
		if control != nil {
			control.Close()
		}
	}
	if err := s.writePID(); err != nil {
		undo()
		return err
	}
	fresh, err := s.prepare(s.opt.Plan)
	if err != nil {
		s.removePID()
		undo()
		return err
	}

	adminCtx, endAdmin := context.WithCancel(context.Background())
	adminDone := make(chan error, 1)
	go func() {
		if control == nil {
			adminDone <- nil
			return
		}
		adminDone <- admin.Serve(adminCtx, control, s, s.log)
	}()

	for _, r := range fresh.apps {
		s.start(r)
	}
	s.commit(s.opt.Plan, fresh)
	startDone()
	go s.awaitApps(ctx, fresh.apps)

	err = s.wait(ctx)
	err = errors.Join(err, s.shutdown())
	s.removePID()
	close(s.stopped)
	endAdmin()
	return errors.Join(err, <-adminDone)
}

// wait returns when it is time to stop.
func (s *Server) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.stop:
		return nil
	case err := <-s.failed:
		return err
	}
}

// start runs an app until its cancel is called.
func (s *Server) start(r *running) {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.done = cancel, make(chan struct{})
	go func() {
		defer close(r.done)
		defer cancel()
		if err := r.Run(ctx); err != nil {
			s.log.Error("the app's pool has ended", "app", r.cfg.Name, "error", err)
		}
	}()
}

// awaitApps closes started once every app serves or has failed.
func (s *Server) awaitApps(ctx context.Context, apps map[string]*running) {
	defer close(s.started)
	for _, r := range apps {
		if _, err := s.await(ctx, r); err != nil {
			return
		}
	}
}

// glance is how often an app that starts is asked whether it has failed; that
// it serves is told at once.
const glance = 20 * time.Millisecond

// await waits for an app's first worker. failure is the traceback if it came
// to nothing.
func (s *Server) await(ctx context.Context, r *running) (failure string, err error) {
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		select {
		case <-r.Ready():
			return "", nil
		case <-r.done:
			return "", errStopping
		case <-s.stop:
			return "", errStopping
		case <-ctx.Done():
			return "", ctx.Err()
		case <-tick.C:
		}
		if st := r.Status(); st.State == stateFailing {
			return st.Failure, nil
		}
	}
}

// stateFailing is pool.Status.State of an app that can't be imported.
const stateFailing = "failing"

// shutdown ends everything but the control socket, in the order of a
// request's way.
func (s *Server) shutdown() error {
	s.Stop() // reloads end at this
	select {
	case s.reloading <- struct{}{}:
	case <-s.abort:
		return s.cut()
	}

	ctx, cancel := context.WithTimeout(context.Background(), s.plan.Config.Server.ShutdownTimeout)
	defer cancel()
	unhook := make(chan struct{})
	defer close(unhook)
	go func() {
		select {
		case <-s.abort:
			cancel()
		case <-unhook:
		}
	}()

	done := make(chan error, 1)
	go func() { done <- s.takeDown(ctx) }()
	select {
	case err := <-done:
		return err
	case <-s.abort:
		return s.cut()
	}
}

// cut closes every socket, tells the apps to go, and waits for nobody.
func (s *Server) cut() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := []error{errAborted}
	for _, f := range s.fronts {
		f.draining.Store(true) // what serve returns is no failure
		errs = append(errs, f.listener.Close(), f.server.Close())
	}
	for _, r := range s.apps {
		r.cancel()
	}
	return errors.Join(errs...)
}

var (
	errStopping = errors.New("the server is stopping")
	errAborted  = &Error{Problem: "stopped at once, without waiting for running requests"}
)

func (s *Server) takeDown(ctx context.Context) error {
	err := s.drainFronts(ctx, s.fronts)
	var group sync.WaitGroup
	for _, r := range s.apps {
		group.Go(func() { r.cancel(); <-r.done })
	}
	group.Wait()
	s.tree.leave()
	s.leftovers.Wait()
	for _, u := range s.upstreams {
		u.Close()
	}
	for path, l := range s.logs {
		if closing := l.Close(); closing != nil {
			err = errors.Join(err, fmt.Errorf("cannot close the access log %s: %w", path, closing))
		}
	}
	return err
}

// drainFronts drains several fronts at a time.
func (s *Server) drainFronts(ctx context.Context, fronts map[string]*front) error {
	var group sync.WaitGroup
	errs := make(chan error, len(fronts))
	for _, f := range fronts {
		group.Go(func() {
			err := f.drain(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				err = &Error{
					Problem: "requests on " + f.address + " were cut off when shutdown_timeout was over",
					Fix:     "raise shutdown_timeout under [server] if they need longer",
				}
			}
			errs <- err
		})
	}
	group.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// openControl opens the control socket; nil if there is to be none.
func (s *Server) openControl() (*listen.Listener, error) {
	path := s.opt.Plan.control()
	if path == "" {
		return nil, nil
	}
	l, err := listen.Open("unix:"+path, listen.Options{Mode: 0o600})
	if err == nil {
		return l, nil
	}
	pid := 0
	if c, dialErr := admin.Dial(path); dialErr == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		pid, _ = c.PID(ctx) // whoever is there need not be a millrace
		c.Close()
	}
	return nil, errInUse(err, pid)
}

// cause drops what package os says twice.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// newRunning makes an app that does not run yet.
func (s *Server) newRunning(c pool.Config) *running { return &running{app: s.newApp(c), cfg: c} }
