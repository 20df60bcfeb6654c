package main

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"millrace/internal/keeper"
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
  FILE             a configuration of lighttpd, nginx or Apache, as it is

Flags go before what the configuration says; those about workers are for every app.

Two processes do it: a small one that keeps the configuration, the sockets and the
apps' processes, and the one that it starts to answer requests, as [server] user
if there is one. With --reload it is one.

Signals: TERM, INT and QUIT let running requests end and stop (a second one stops at
once), HUP reloads and opens the logs anew, USR1 opens the logs anew (where the
configuration is Apache's or lighttpd's: as HUP), USR2 upgrades.`,
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

// startFolder is the working folder by the name that it was entered by; ""
// where that has no symlinks. A program that takes another's place asks when
// the folder of that name may be another one already.
func startFolder() string {
	named := os.Getenv("PWD")
	if os.Getenv(keeper.StateVariable) == "" {
		named, _ = os.Getwd() // which looks whether PWD is true
	}
	real, err := filepath.EvalSymlinks(named)
	if !filepath.IsAbs(named) || err != nil || real == named {
		return ""
	}
	return named
}

func serve(ctx context.Context, f *serveFlags, stdout, stderr io.Writer) error {
	f.folder = startFolder()
	if !f.reload {
		return keep(ctx, f, stdout, stderr)
	}
	s := &service{
		plan:    f.plan,
		stderr:  stderr,
		started: func(first *found, status *server.Status) error { return banner(stdout, first, status) },
		watch:   f.reload,
	}
	return s.run(ctx)
}
