package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"millrace/internal/server"
)

func serveCommand() *cobra.Command {
	f := &serveFlags{}
	cmd := &cobra.Command{
		Use:   "serve [TARGET]",
		Short: "Serve a project, an app or a configuration",
		Long: `Serve TARGET, by default the current folder:

  FOLDER           the first of these in it: millrace.toml, a Django project (manage.py),
                   wsgi.py, app.py; none of them: a demo app that lists its environ
  module:callable  a WSGI app
  FILE.toml        a configuration

Flags go before what the configuration says; those about workers are for every app.

Signals: TERM and INT let running requests end and stop (a second one stops at
once), HUP reloads, USR1 opens the logs anew.`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.target = args[0]
			}
			return serve(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.register(cmd.Flags())
	return cmd
}

// tuneMemory trades memory for speed while little lives, and stops that where
// memory counts. A busy server's 5 MB of live heap are outgrown by garbage ten
// times a second: at GOGC=400 the collector took 4% of a hello's time, at 1000
// it takes half of that. Without the soft limit 1,000 connections took 127 MB;
// with it the collector works harder from there on. It refuses no memory.
func tuneMemory() {
	const soft = 64 << 20
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(1000)
		debug.SetMemoryLimit(soft)
	}
}

func serve(ctx context.Context, f *serveFlags, stdout, stderr io.Writer) error {
	// From here on a signal ends a look at the project as well.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP, reopenSignal)
	defer signal.Stop(signals)
	h := &signalHandler{signals: signals, cancel: cancel, done: make(chan struct{})}
	go h.run()
	defer close(h.done)

	tuneMemory()
	first, err := f.plan(ctx)
	switch {
	case ctx.Err() != nil:
		return &failure{"stopped by a signal before anything was served", ""}
	case err != nil:
		return err
	}
	errors, err := openErrorLog(first.Config.Server.ErrorLog, stderr)
	if err != nil {
		return err
	}
	defer errors.close()
	log := errors.logger()
	for _, n := range first.plan.Notes {
		log.Warn(n)
	}
	if first.Problem != nil {
		report(errors, first.Problem)
	}

	var current atomic.Pointer[found]
	current.Store(first)
	srv := server.New(server.Options{
		Plan: first.plan,
		Load: func(ctx context.Context) (*server.Plan, error) {
			next, err := f.plan(ctx)
			if err != nil {
				return nil, err
			}
			current.Store(next)
			return next.plan, nil
		},
		Log:     log,
		Version: version,
	})
	h.serving.Store(&handled{ctx, srv, errors, log})

	ended := make(chan struct{})
	said := make(chan struct{})
	go func() {
		defer close(said)
		select {
		case <-srv.Started():
		case <-ended:
			return
		}
		status := srv.Snapshot()
		if ctx.Err() != nil || status.State != "serving" {
			return // it was stopped while it started
		}
		if err := banner(stdout, first, status); err != nil {
			log.Error("cannot write the banner", "error", err)
		}
		if f.reload {
			watch(ctx, func() []string { return foldersOf(current.Load()) }, log, func() {
				log.Info("a file has changed; reloading")
				_, _ = srv.Reload(ctx) // says in the log how it went
			})
		}
	}()
	err = srv.Run(ctx)
	cancel()
	close(ended)
	<-said
	return err
}

// signalHandler acts on signals from before the server is there to its end.
type signalHandler struct {
	signals <-chan os.Signal
	cancel  context.CancelFunc
	done    chan struct{}
	serving atomic.Pointer[handled]
}

// handled is what a signal acts on once there is a server.
type handled struct {
	ctx    context.Context
	srv    *server.Server
	errors *errorLog
	log    *slog.Logger
}

func (h *signalHandler) run() {
	stopping := false
	for {
		select {
		case <-h.done:
			return
		case sig := <-h.signals:
			s := h.serving.Load()
			switch sig {
			case syscall.SIGHUP:
				if s != nil {
					go s.srv.Reload(s.ctx) // says in the log how it went
				}
			case reopenSignal:
				if s != nil {
					s.reopen()
				}
			default:
				if stopping && s != nil {
					s.srv.Abort()
				}
				stopping = true
				if s != nil {
					s.log.Info(fmt.Sprintf("%v: letting running requests end; the same again stops at once", sig))
				}
				h.cancel()
			}
		}
	}
}

func (s *handled) reopen() {
	if err := s.errors.reopen(); err != nil {
		s.log.Error("cannot open the error log anew; the old one is kept", "error", err)
	}
	if err := s.srv.ReopenLogs(); err != nil {
		s.log.Error("cannot open an access log anew", "error", err)
	}
}
