package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"millrace/internal/adapt"
	"millrace/internal/server"
)

func runfcgiCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "runfcgi [OPTION=VALUE]...",
		Short: "Serve an app to another web server, as Django's runfcgi does",
		// The options are Django's: key=value beside --key=value.
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runfcgi(cmd.Context(), args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

const runfcgiHelp = `Serve an app to another web server over FastCGI, SCGI, AJP, uwsgi or HTTP: all
options of Django's runfcgi and of django-fcgi.py. The app is what millrace serve
finds in the folder.

Usage:
  millrace runfcgi [OPTION=VALUE]...

Examples:
  millrace runfcgi socket=/run/mysite.sock pidfile=/run/mysite.pid errlog=/var/log/mysite.log
  millrace runfcgi host=127.0.0.1 port=9000 protocol=scgi daemonize=false
  #!/usr/local/bin/millrace runfcgi        the first line of a script for mod_fcgid or CGI

Options, also as --option=value and --option value, in any case:
%s
Without an address, descriptor 0 decides: a listening socket is served (with one
worker, unless numbers are given); else one CGI request is answered.

Signals: TERM, INT and QUIT let running requests end and stop, HUP reloads the app, USR1
opens the logs anew.
`

func runfcgi(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	daemon := whoWaits()
	err := runfcgiOnce(ctx, daemon, args, stdout, stderr)
	if err != nil && daemon != nil {
		daemon.failed(err)
	}
	return err
}

func runfcgiOnce(ctx context.Context, daemon *waiting, args []string, stdout, stderr io.Writer) error {
	dir, err := os.Getwd()
	if err != nil {
		return &failure{"cannot find the current folder: " + cause(err).Error(), "change to another one"}
	}
	isCGI := os.Getenv("GATEWAY_INTERFACE") != "" || os.Getenv("REQUEST_METHOD") != ""
	o, err := adapt.ParseRunfcgi(args, adapt.RunfcgiOptions{Dir: dir, CGI: isCGI})
	if err != nil {
		return err
	}
	if o.Help {
		_, err := fmt.Fprintf(stdout, runfcgiHelp, adapt.RunfcgiHelp())
		return err
	}
	from := inheritedNothing
	if o.Address == "" {
		if from, err = inheritance(os.Getenv); err != nil {
			return err
		}
	}
	if err := checkPlaces(o); err != nil {
		return err
	}
	if o.Daemonize && daemon == nil {
		return daemonize(ctx, append([]string{"runfcgi"}, args...), stderr)
	}
	if o.Umask >= 0 {
		setUmask(o.Umask)
	}
	p := &runfcgiPlan{o: o, environ: os.Environ()}
	if addresses := webServers(os.Getenv("FCGI_WEB_SERVER_ADDRS")); from == inheritedTCP || strings.Contains(o.Address, ":") && !strings.HasPrefix(o.Address, "unix:") {
		p.allow = addresses
	}
	s := &service{plan: p.plan, stderr: stderr}
	switch {
	case daemon != nil:
		r := redirect{out: o.OutLog, err: o.Log()}
		if err := r.open(); err != nil {
			return err
		}
		s.reopen = r.open
		s.started = func(first *found, status *server.Status) error {
			if err := failing(status); err != nil {
				return err
			}
			err := banner(stdout, first, status)
			daemon.ready()
			return err
		}
	case from == inheritedNothing:
		s.started = func(first *found, status *server.Status) error { return bannerTo(o.OutLog, stdout, first, status) }
	default: // stdout, if it is open at all, is nobody's who would read it
		s.started = func(*found, *server.Status) error { return nil }
	}
	if workdir := o.Workdir; workdir != "" || daemon != nil {
		if err := os.Chdir(filepath.Join("/", workdir)); err != nil {
			return &failure{fmt.Sprintf("cannot change to workdir=%s: %v", workdir, cause(err)), "check its rights"}
		}
	}
	if from == inheritedCGI {
		return answerCGI(ctx, p, stderr)
	}
	return s.run(ctx)
}

// bannerTo writes the banner to outlog, if there is one.
func bannerTo(outlog string, stdout io.Writer, first *found, status *server.Status) error {
	if outlog == "" {
		return banner(stdout, first, status)
	}
	f, err := os.OpenFile(outlog, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return &failure{fmt.Sprintf("cannot open outlog=%s: %v", outlog, cause(err)), "check the folder and its rights"}
	}
	return errors.Join(banner(f, first, status), f.Close())
}

// failing is the error of an app that cannot be imported: where nobody looks
// at the daemon that would try on, there is none.
func failing(status *server.Status) error {
	for _, a := range status.Apps {
		if a.Failure != "" {
			return &importFailure{failure{"app " + a.Name + " cannot serve; there is no daemon", "mend the app, whose traceback is above, and start again"}, a.Failure}
		}
	}
	return nil
}

type importFailure struct {
	failure
	traceback string
}

func (e *importFailure) Detail() string { return e.traceback }

// checkPlaces refuses folders that are not there before anything is opened.
func checkPlaces(o *adapt.Runfcgi) error {
	for _, folder := range []struct{ option, path string }{{"workdir", o.Workdir}, {"venv", o.Venv}, {"dir", o.Dir}} {
		if folder.path != "" && !isFolder(folder.path) {
			return o.Wrong(folder.option, "can't be: there is no folder "+folder.path, "make it, or name another")
		}
	}
	for _, file := range []struct{ option, path string }{
		{"socket", strings.TrimPrefix(o.Address, "unix:")}, {"pidfile", o.PIDFile}, {"outlog", o.OutLog}, {"errlog", o.ErrLog}, {"control", o.Control},
	} {
		if !filepath.IsAbs(file.path) { // not given, or an address
			continue
		}
		if dir := filepath.Dir(file.path); !isFolder(dir) {
			return o.Wrong(file.option, "can't be: there is no folder "+dir, "make it, or name another file")
		}
		if isFolder(file.path) {
			return o.Wrong(file.option, "can't be: it is a folder, and takes the path of a file", "name a file in it")
		}
	}
	return nil
}
