package server

import (
	"context"
	"errors"
	"net/http"
)

// Once runs one app of the plan, without listening anywhere, for as long as
// serve takes with its handler: a program that a web server starts for each
// request. It is called in place of Run. When ctx is done it stops the app and
// does not wait for serve.
func (s *Server) Once(ctx context.Context, app string, serve func(http.Handler) error) error {
	logs, opened, err := s.openLogs(s.opt.Plan, nil)
	if err != nil {
		return err
	}
	defer s.closeLogs(logs, opened)
	c, err := s.poolConfig(app, s.opt.Plan, logs)
	if err != nil {
		return err
	}
	r := s.newRunning(c)
	s.start(r)
	served := make(chan error, 1)
	go func() { served <- serve(r.Handler("")) }()
	select {
	case err = <-served:
	case <-ctx.Done():
		err = errCutShort
	}
	r.cancel()
	<-r.done
	return err
}

var errCutShort = errors.New("stopped before the request was answered")
