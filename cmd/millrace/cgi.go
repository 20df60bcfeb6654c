package main

// This file: runfcgi as a CGI program, for one request.

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"millrace/cgi"
	"millrace/internal/project"
	"millrace/internal/server"
)

// answerCGI starts the app, has it answer the request in the environment, and
// stops it.
func answerCGI(ctx context.Context, p *runfcgiPlan, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP)
	defer stop()
	tuneMemory()
	p.environ = withoutRequest(p.environ)
	f, err := p.plan(ctx)
	if err != nil {
		return err
	}
	log, err := openErrorLog(f.Config.Server.ErrorLog, stderr)
	if err != nil {
		return err
	}
	defer log.close()
	say(f, log)
	srv := server.New(server.Options{Plan: f.plan, Log: slog.New(withoutStart{log.logger().Handler()}), Version: version})
	for name := range f.Config.Apps { // the one
		return srv.Once(ctx, name, func(h http.Handler) error {
			return (&cgi.Child{Handler: h, Stderr: stderr, Log: log.logger()}).Run(ctx)
		})
	}
	return &project.Error{Problem: "there is no app", Hint: "name it: app=module:callable"}
}

// withoutStart leaves out that the app's generation serves: with one app a
// request that would be a line of the web server's error log for each.
type withoutStart struct{ slog.Handler }

func (h withoutStart) Handle(ctx context.Context, r slog.Record) error {
	start := false
	r.Attrs(func(a slog.Attr) bool {
		start = a.Key == "generation"
		return !start
	})
	if start && r.Level == slog.LevelInfo {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// requestVariables are those of a request (RFC 3875, section 4.1, and what
// Apache and others add), beside HTTP_*.
var requestVariables = map[string]bool{
	"AUTH_TYPE": true, "CONTENT_LENGTH": true, "CONTENT_TYPE": true, "GATEWAY_INTERFACE": true,
	"PATH_INFO": true, "PATH_TRANSLATED": true, "QUERY_STRING": true, "REMOTE_ADDR": true,
	"REMOTE_HOST": true, "REMOTE_IDENT": true, "REMOTE_PORT": true, "REMOTE_USER": true,
	"REQUEST_METHOD": true, "REQUEST_SCHEME": true, "REQUEST_URI": true, "SCRIPT_FILENAME": true,
	"SCRIPT_NAME": true, "SERVER_ADDR": true, "SERVER_NAME": true, "SERVER_PORT": true,
	"SERVER_PROTOCOL": true, "SERVER_SIGNATURE": true, "SERVER_SOFTWARE": true, "DOCUMENT_ROOT": true,
	"DOCUMENT_URI": true, "CONTEXT_DOCUMENT_ROOT": true, "CONTEXT_PREFIX": true, "SERVER_ADMIN": true,
	"HTTPS": true, "UNIQUE_ID": true,
}

// withoutRequest leaves the request out of the environment of the app, which
// finds it in its environ: so that the app sees the same under CGI as
// elsewhere, and no client names its HTTP_PROXY.
func withoutRequest(environ []string) []string {
	var all []string
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		name = strings.TrimPrefix(name, "REDIRECT_")
		if !requestVariables[name] && !strings.HasPrefix(name, "HTTP_") {
			all = append(all, v)
		}
	}
	return all
}
