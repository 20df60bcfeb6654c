package main

import (
	"context"
	"io"
	"os"
	"runtime/debug"

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
	s := &service{
		plan:    f.plan,
		stderr:  stderr,
		started: func(first *found, status *server.Status) error { return banner(stdout, first, status) },
		watch:   f.reload,
	}
	return s.run(ctx)
}
