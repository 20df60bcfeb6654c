package main

// This file: a server as a command runs it, with its log and its signals, to
// its end.

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"

	"millrace/internal/server"
	"millrace/internal/systemd"
)

// service is a server that a command runs.
type service struct {
	plan   func(context.Context) (*found, error) // the first, and the next at each reload
	stderr io.Writer

	// started is called once every address is open and each app serves or has
	// failed; not if the server was stopped before. An error stops the server,
	// and is what run returns.
	started func(first *found, status *server.Status) error

	reopen func() error // opens anew what the logs do not; nil: nothing
	watch  bool         // reload when a file of the app changes
}

// run serves until ctx is done, a signal comes, or the control socket says stop.
func (s *service) run(ctx context.Context) error {
	// From here on a signal ends a look at the project as well.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := handleSignals(cancel)
	defer h.end()

	batchThreads()
	tuneMemory()
	sd := systemd.Take()
	first, err := s.plan(ctx)
	switch {
	case ctx.Err() != nil:
		return &failure{"stopped by a signal before anything was served", ""}
	case err != nil:
		return err
	}
	log, err := openErrorLog(first.Config.Server.ErrorLog, s.stderr)
	if err != nil {
		return err
	}
	defer log.close()
	slog.SetDefault(log.logger()) // what package net/http says of a back end has no other way
	say(first, log)

	var current atomic.Pointer[found]
	current.Store(first)
	srv := server.New(server.Options{
		Plan: first.plan,
		Load: func(ctx context.Context) (*server.Plan, error) {
			next, err := s.plan(ctx)
			if err != nil {
				return nil, err
			}
			current.Store(next)
			return next.plan, nil
		},
		Log:        log.logger(),
		Version:    version,
		Systemd:    sd.Socket,
		Supervisor: sd,
	})
	h.serving.Store(&handled{ctx, srv, log, log.logger(), s.reopen})

	ended := make(chan struct{})
	said := make(chan error, 1)
	go func() {
		err := s.onStart(ctx, srv, first, ended)
		if err != nil {
			cancel()
		} else if s.watch {
			s.watchFiles(ctx, srv, &current, log.logger())
		}
		said <- err
	}()
	err = srv.Run(ctx)
	cancel()
	close(ended)
	if refused := <-said; refused != nil {
		return refused
	}
	return err
}

// say logs what there is to say of a plan.
func say(f *found, log *errorLog) {
	for _, n := range f.plan.Notes {
		log.logger().Warn(n)
	}
	if f.Problem != nil {
		report(log, f.Problem)
	}
}

// onStart waits for the start.
func (s *service) onStart(ctx context.Context, srv *server.Server, first *found, ended <-chan struct{}) error {
	select {
	case <-srv.Started():
	case <-ended:
		return nil
	}
	status := srv.Snapshot()
	if ctx.Err() != nil || status.State != "serving" {
		return nil // it was stopped while it started
	}
	return s.started(first, status)
}

// watchFiles reloads when a file of the app changes, until ctx is done.
func (s *service) watchFiles(ctx context.Context, srv *server.Server, current *atomic.Pointer[found], log *slog.Logger) {
	watch(ctx, func() places { return placesOf(current.Load()) }, log, func() {
		log.Info("a file has changed; reloading")
		_, _ = srv.Reload(ctx) // says in the log how it went
	})
}
