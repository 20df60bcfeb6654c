// Command millrace puts a WSGI or Django site into production.
//
//	millrace serve [TARGET]    serve a project, an app or a configuration
//	millrace runfcgi [k=v …]   serve an app to another web server, as Django's runfcgi does
//	millrace check [CONFIG]    validate a configuration, start nothing
//	millrace adapt FILE        a configuration of another server as a millrace.toml
//	millrace status [TARGET]   what the running server does
//	millrace reload [TARGET]   a new generation of its apps, and its configuration anew
//	millrace maintenance on|off [TARGET]  503 and a page, until it is over
//	millrace upstream [TARGET] the servers behind; drain and undrain them
//	millrace upgrade [TARGET]  the program's file anew, in place: nothing is lost
//	millrace profile [TARGET]  what its processor time goes into
//	millrace stop [TARGET]     let running requests end, then stop
//	millrace request URL       a request to any back end, over any gateway protocol
//	millrace bench URL         the same under load
//	millrace service install [CONFIG]  a service of the system; uninstall takes it back
//	millrace svscan, svc, …    the supervisor: the daemontools family, also by argv[0]
//	millrace install-links DIR links for these names
//	millrace version
//
// The exit status is 0 for done, 1 for failed, 2 for a mistake in the command
// line or the configuration. What goes wrong is said on stderr: one line for
// the problem and its place, one for what to do.
//
// Each command is a file cmd_*.go. `serve` is plan.go (from the command line
// to what is to be served), banner.go (what it says of it), control.go (where
// the control socket is), keep.go (the keeper of two processes) and
// front.go (the other), with --reload watch.go and service.go (a server with its
// log and its signals in one), and package server; foreign.go is what it, `check` and
// `adapt` do with configurations of other servers. `runfcgi` is package adapt (from
// the arguments to a configuration), runfcgi_plan.go, daemon_unix.go (in the
// background), cgi.go (one request), and service.go again. `request` and
// `bench` are endpoint.go (a URL), outgoing.go (what is sent), roundtrip.go (over
// which client); trace*.go show what goes over a connection, bench_*.go make
// the load, histogram.go counts its times.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"millrace/internal/adapt"
	"millrace/internal/config"
	"millrace/internal/daemontools"
	"millrace/internal/project"
	"millrace/internal/supervise"
)

const version = "0.1"

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Main is the program. The zero value is ready to run.
type Main struct{}

func main() {
	daemontools.Main(os.Args)
	supervise.Launch()
	os.Exit(Main{}.Run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// Run runs one command line and returns its exit status. When ctx is done, a
// server that it runs stops as it does at SIGTERM.
func (m Main) Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := m.command()
	root.SetArgs(adapt.SplitInterpreter(args))
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	var told *exitStatus
	if errors.As(err, &told) {
		return told.status
	}
	report(stderr, err)
	return statusOf(err)
}

// exitStatus is an error that was reported already.
type exitStatus struct{ status int }

func (e *exitStatus) Error() string { return fmt.Sprintf("exit status %d", e.status) }

// statusOf is the exit status for an error.
func statusOf(err error) int {
	var bad interface{ usage() }
	var inConfig config.Errors
	var inProject *project.Error
	var inArguments *adapt.ArgumentError
	if errors.As(err, &bad) || errors.As(err, &inArguments) || errors.As(err, &inConfig) || errors.As(err, &inProject) {
		return exitUsage
	}
	return exitFailed
}

func (m Main) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "millrace",
		Short: "Puts a WSGI or Django site into production: web server, process manager and supervisor in one",
		Example: `  millrace serve                                      the project in this folder
  millrace serve mysite.wsgi:application --workers 4  one app
  millrace serve millrace.toml                        a configuration`,
		Version:                    version,
		SuggestionsMinimumDistance: 2, // letters that differ
		SilenceErrors:              true,
		SilenceUsage:               true,
		CompletionOptions:          cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:                       unknownCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("millrace {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{problem: err.Error(), hint: "millrace " + strings.TrimSpace(strings.TrimPrefix(cmd.CommandPath(), "millrace")+" --help") + " lists the flags"}
	})
	root.AddCommand(serveCommand(), runfcgiCommand(), checkCommand(), adaptCommand(), statusCommand(), reloadCommand(), upgradeCommand(), maintenanceCommand(), purgeCommand(), profileCommand(), upstreamCommand(), stopCommand(), frontCommand(), requestCommand(), benchCommand(), serviceCommand(), versionCommand())
	addSupervisor(root)
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "millrace "+version)
			return err
		},
	}
}

// usageError is a mistake in the command line.
type usageError struct{ problem, hint string }

func (e *usageError) Error() string { return e.problem }
func (e *usageError) Hint() string  { return e.hint }
func (e *usageError) usage()        {}

// unknownCommand is the Args of the root: whatever gets there is no command.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "millrace --help lists the commands"
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		hint = "did you mean " + strings.Join(like, " or ") + "?"
	}
	return &usageError{fmt.Sprintf("unknown command %q", args[0]), hint}
}

// atMost n arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= n {
			return nil
		}
		return &usageError{fmt.Sprintf("%q is one argument too many", args[n]), "usage: " + cmd.UseLine()}
	}
}

// report writes an error: the problem, a traceback if there is one, the hint.
// Errors of a configuration hold their hints already.
func report(w io.Writer, err error) {
	text := err.Error()
	var detail interface{ Detail() string }
	if errors.As(err, &detail) && detail.Detail() != "" {
		fmt.Fprintln(w, strings.TrimRight(detail.Detail(), "\n"))
	}
	var inConfig config.Errors
	if !errors.As(err, &inConfig) { // whose lines begin with their place
		text = "millrace: " + text
	}
	fmt.Fprintln(w, text)
	var hint interface{ Hint() string }
	if !strings.Contains(text, "\n  hint: ") && errors.As(err, &hint) && hint.Hint() != "" {
		fmt.Fprintln(w, "  hint: "+hint.Hint())
	}
}
