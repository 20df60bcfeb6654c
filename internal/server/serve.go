package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"syscall"
	"time"

	"millrace/internal/admin"
	"millrace/internal/attach"
	"millrace/internal/listen"
	"millrace/internal/pool"
	"millrace/internal/systemd"
)

// Run serves until ctx is done, Stop is called, or an address fails. It opens
// everything before it answers anything; an error of that has an effect on
// nothing. A server that follows another one accepts nothing either until each
// of its apps serves; if one fails, Run returns a *FollowError, and the other
// server goes on. A stop that had to cut requests is an error.
func (s *Server) Run(ctx context.Context) error {
	s.reloading <- struct{}{} // a reload waits for the start
	startDone := sync.OnceFunc(func() { <-s.reloading })
	defer startDone()
	control, err := s.openControl()
	if err != nil {
		return err
	}
	follows := s.opt.Handed != nil
	undo := func() {
		if control != nil {
			control.Close()
		}
	}
	if err := s.keeper.WritePID(); err != nil {
		undo()
		return err
	}
	fresh, err := s.prepare(s.opt.Plan)
	if err != nil {
		s.keeper.RemovePID()
		undo()
		return err
	}

	if follows {
		if served, err := s.follow(ctx, fresh); !served {
			s.keeper.RemovePID()
			s.discard(fresh)
			undo()
			return err
		}
	}

	adminCtx, endAdmin := context.WithCancel(context.Background())
	adminDone := make(chan error, 1)
	go func() {
		if control == nil {
			adminDone <- nil
			return
		}
		adminDone <- admin.Serve(adminCtx, control, controlled{s}, s.log)
	}()

	if !follows {
		for _, r := range fresh.apps {
			s.start(r)
		}
	}
	s.commit(s.opt.Plan, fresh)
	startDone()
	go s.awaitApps(ctx, fresh.apps)

	var watchdog sync.WaitGroup
	watchdog.Go(func() { s.keepAlive(adminCtx) })
	watchdog.Go(func() { s.lookAtCertificates(adminCtx) })

	err = s.wait(ctx)
	s.tell(systemd.Stopping, "letting running requests end")
	switch {
	case s.orphaned.Load():
		s.makeWay(control)
	case s.retiring.Load() && control != nil:
		err = errors.Join(err, control.Leave())
	}
	err = errors.Join(err, s.shutdown())
	s.keeper.RemovePID()
	close(s.stopped)
	endAdmin()
	watchdog.Wait()
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
		select {
		case <-r.Ready():
			r.beside.begin()
		case <-r.done:
		}
	}()
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
	s.tellReady()
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
		if state, failure := r.State(); state == stateFailing {
			return failure, nil
		}
	}
}

// States of an app, as pool.Status.State has them.
const (
	stateServing = "serving"
	stateFailing = "failing" // it can't be imported
)

// shutdown ends everything but the control socket, in the order of a
// request's way.
func (s *Server) shutdown() error {
	s.Stop() // reloads end at this
	select {
	case s.reloading <- struct{}{}:
	case <-s.abort:
		return s.cut()
	}
	select {
	case <-s.abort: // before anything else has ended
		return s.cut()
	default:
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
	fronts, apps, upstreams := maps.Clone(s.fronts), maps.Clone(s.apps), maps.Clone(s.upstreams)
	s.mu.Unlock() // before the keeper is asked, as in commit
	errs := []error{errAborted}
	for _, f := range fronts {
		f.draining.Store(true) // what serve returns is no failure
		errs = append(errs, f.listener.Close(), f.server.Close())
		if f.quic != nil {
			errs = append(errs, f.quic.close())
		}
	}
	for _, u := range upstreams {
		u.Close() // what was upgraded
	}
	for _, r := range apps {
		r.cancel()
		r.beside.set.Kill()
	}
	return errors.Join(errs...)
}

var (
	errStopping = errors.New("the server is stopping")
	errAborted  = &Error{Problem: "stopped at once, without waiting for running requests"}
)

func (s *Server) takeDown(ctx context.Context) error {
	for _, r := range s.apps {
		r.beside.set.Quiet()
	}
	err := s.drainAll(ctx)
	s.acme.Close()
	s.cache.Close()
	s.handOffRest(ctx)
	s.endApps(s.apps, s.plan.Config.Server.ShutdownTimeout)
	s.tree.leave()
	endsIn(lastLines, func() { <-s.tree.drained })
	s.leftovers.Wait()
	for _, u := range s.upstreams {
		u.Close()
	}
	for path, l := range s.logs {
		if closing := l.Close(); closing != nil {
			err = errors.Join(err, fmt.Errorf("cannot close the log %s: %w", path, closing))
		}
	}
	return err
}

// lastLines is how long requests that were cut have to reach the access log.
const lastLines = time.Second

// drainAll drains the fronts, and what was upgraded: connections that HTTP/1.1's
// server does not know of any more, and requests that HTTP/2's would wait for.
// They are cut a little before the time is over, so that no front has to.
func (s *Server) drainAll(ctx context.Context) error {
	early, cancel := context.WithTimeout(ctx, s.plan.Config.Server.ShutdownTimeout*9/10)
	defer cancel()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		s.drainUpgraded(early)
	}()
	err := s.drainFronts(ctx, s.fronts)
	<-drained
	s.drainUpgraded(ctx) // of requests that were on their way
	return err
}

func (s *Server) drainUpgraded(ctx context.Context) {
	var group sync.WaitGroup
	for _, u := range s.upstreams {
		group.Go(func() { u.Drain(ctx) })
	}
	group.Wait()
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

// controlMode is the mode of the control socket: its owner's alone.
const controlMode fs.FileMode = 0o600

// openControl opens the control socket; nil if there is to be none.
func (s *Server) openControl() (*listen.Listener, error) {
	path := s.opt.Plan.control()
	if path == "" {
		return nil, nil
	}
	deadline := time.Now().Add(orphanTime)
	for nobody := 0; ; {
		l, err := s.keeper.Listen("unix:"+path, listen.Options{Mode: controlMode})
		if !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
		pid := controlPID(path)
		if pid == 0 {
			nobody++ // it has just gone, or is no millrace
		}
		if pid != 0 && syscall.Kill(pid, 0) != syscall.ESRCH || nobody > 3 || time.Now().After(deadline) {
			return nil, errInUse(err, pid)
		}
		<-time.After(orphanGlance)
	}
}

// A front whose keeper was killed makes way at once, but who starts in its
// place may be sooner.
const (
	orphanTime   = 10 * time.Second
	orphanGlance = 5 * time.Millisecond
)

// controlPID is whose control socket it is; 0: nobody's that is known.
func controlPID(path string) int {
	c, err := admin.Dial(path)
	if err != nil {
		return 0
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	pid, _ := c.PID(ctx) // whoever is there need not be a millrace
	return pid
}

// makeWay gives the addresses free, and then the control socket, at which who
// starts in this server's place looks first.
func (s *Server) makeWay(control *listen.Listener) {
	s.mu.Lock()
	fronts := maps.Clone(s.fronts)
	s.mu.Unlock()
	for _, f := range fronts {
		_ = f.shut() // which drain tells of
	}
	if control != nil {
		_ = control.Close() // the same is told by who serves on it
	}
}

// cause drops what package os says twice.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// newRunning makes an app that does not run yet. One that the server before has
// too takes its workers over.
func (s *Server) newRunning(c pool.Config) *running {
	r := &running{cfg: c, beside: beside{set: attach.New(c.Name, s.log)}}
	c.Adopt = s.opt.Handed[c.Name]
	delete(s.opt.Handed, c.Name)
	r.app = s.newApp(c)
	return r
}
