package main

// What signals do to a process that serves.

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"millrace/internal/server"
)

// signalHandler acts on signals from before the server is there to its end.
type signalHandler struct {
	signals chan os.Signal
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
	also   func() error // opened anew as well; may be nil
}

// handleSignals has signals handled until end. cancel is called by the first that
// says that the process is to end.
func handleSignals(cancel context.CancelFunc) *signalHandler {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt, syscall.SIGQUIT, syscall.SIGHUP, reopenSignal)
	h := &signalHandler{signals: signals, cancel: cancel, done: make(chan struct{})}
	go h.run()
	return h
}

func (h *signalHandler) end() {
	close(h.done)
	signal.Stop(h.signals)
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
					s.reopen()
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
	if s.also != nil {
		if err := s.also(); err != nil {
			s.log.Error("cannot open a log anew; the old one is kept", "error", err)
		}
	}
	if err := s.srv.ReopenLogs(); err != nil {
		s.log.Error("cannot open an access log anew", "error", err)
	}
}
