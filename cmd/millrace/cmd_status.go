package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"millrace/internal/admin"
	"millrace/internal/server"
)

func statusCommand() *cobra.Command {
	var control string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [TARGET]",
		Short: "What the running server does",
		Args:  atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := dial(control, args)
			if err != nil {
				return err
			}
			defer c.Close()
			body, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				_, err := cmd.OutOrStdout().Write(body)
				return err
			}
			s := new(server.Status)
			if err := json.Unmarshal(body, s); err != nil {
				return fmt.Errorf("unexpected status, is it a millrace? %w", err)
			}
			return printStatus(cmd.OutOrStdout(), s)
		},
	}
	controlFlag(cmd, &control)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, for programs")
	return cmd
}

// controlFlag is --control of the commands that talk to a server.
func controlFlag(cmd *cobra.Command, control *string) {
	cmd.Flags().StringVar(control, "control", "", "the server's control socket `FILE` (default: that of TARGET, or of this folder)")
}

// dial connects to the server that serves the target.
func dial(control string, args []string) (*admin.Client, error) {
	target := ""
	if len(args) > 0 {
		target = args[0]
	}
	socket, err := controlOf(control, target)
	if err != nil {
		return nil, err
	}
	sockets := []string{socket}
	if control == "" {
		more, err := besides(target)
		if err != nil {
			return nil, err
		}
		sockets = append(sockets, more...)
	}
	c, err := theOne(sockets)
	if errors.Is(err, admin.ErrNotRunning) {
		return nil, &failure{err.Error(), "start it with millrace serve, or say where it is: a TARGET, or --control FILE"}
	}
	var several *failure
	if errors.As(err, &several) {
		return nil, err
	}
	if err != nil {
		return nil, &failure{err.Error(), "only the user who runs the server may ask it"}
	}
	return c, nil
}

// besides are the control sockets of those that serve the target at addresses
// of their own.
func besides(target string) ([]string, error) {
	place, _, err := placeOf(target)
	if err != nil {
		return nil, err
	}
	return addressControls(place)
}

// theOne connects to the one of the sockets that somebody listens on.
func theOne(sockets []string) (*admin.Client, error) {
	var live []*admin.Client
	var where []string
	var first error
	for _, socket := range sockets {
		c, err := admin.Dial(socket)
		switch {
		case err == nil:
			live, where = append(live, c), append(where, socket+listensOn(c))
		case first == nil || !errors.Is(err, admin.ErrNotRunning):
			first = err
		}
	}
	if len(live) == 1 {
		return live[0], nil
	}
	for _, c := range live {
		c.Close()
	}
	if len(live) == 0 {
		return nil, first
	}
	return nil, &failure{
		fmt.Sprintf("%d millraces serve this; their control sockets are %s", len(live), strings.Join(where, ", ")),
		"say which one: --control FILE",
	}
}

// listensOn says where a server listens: " (unix:/run/x.sock)"; "" if it does
// not tell.
func listensOn(c *admin.Client) string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	body, err := c.Status(ctx)
	if err != nil {
		return ""
	}
	var s server.Status
	if json.Unmarshal(body, &s) != nil {
		return ""
	}
	var all []string
	for _, a := range s.Listen {
		all = append(all, a.URL)
	}
	return " (" + strings.Join(all, ", ") + ")"
}

func printStatus(out io.Writer, s *server.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "millrace %s, pid %d, %s, up %s: %s\n", s.Version, s.PID, s.State, seconds(s.Uptime), s.Source)
	var urls []string
	for _, a := range s.Listen {
		urls = append(urls, a.URL)
	}
	fmt.Fprintf(w, "listens on %s; %s; %s\n", strings.Join(urls, ", "), count(int(s.Connections), "connection"), count(s.Reloads, "reload"))
	if r := s.LastReload; r != nil && r.Error != "" {
		fmt.Fprintf(w, "last reload failed at %s: %s\n", r.At.Format(time.DateTime), strings.ReplaceAll(r.Error, "\n", "; "))
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "APP\tSTATE\tGENERATION\tIDLE\tACTIVE\tQUEUE\tANSWERED\tREFUSED\tLOST\tTIMED OUT")
	for _, a := range s.Apps {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d of %d\t%d\t%d\t%d\t%d\n", a.Name, a.State, a.Generation, a.Idle, a.Active,
			a.QueueLen, a.QueueMax, a.Answered, a.Refused.Count, a.Lost, a.Timeouts)
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "WORKER\tAPP\tSTATE\tSINCE\tREQUESTS\tRUNNING")
	for _, a := range s.Apps {
		for _, k := range a.Workers {
			runs := ""
			if k.Running != "" {
				runs = fmt.Sprintf("%s, for %s", k.Running, seconds(k.RunningFor))
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\n", k.PID, a.Name, k.State, seconds(k.Since), k.Requests, runs)
		}
	}
	printGateways(w, s)
	for _, a := range s.Apps {
		if a.Failure != "" {
			fmt.Fprintf(w, "\napp %s cannot be imported:\n%s\n", a.Name, strings.TrimRight(a.Failure, "\n"))
		}
	}
	return w.Flush()
}

// printGateways shows the addresses for other front servers, and the back ends
// that millrace did not start, if there are any.
func printGateways(w io.Writer, s *server.Status) {
	title := "\nADDRESS\tAPP\tPROTOCOL\tCONNECTIONS\n"
	for _, a := range s.Listen {
		if a.App != "" {
			fmt.Fprintf(w, "%s%s\t%s\t%s\t%d\n", title, a.URL, a.App, a.Protocol, a.Connections)
			title = ""
		}
	}
	title = "\nUPSTREAM\tSERVER\tPROTOCOL\tSTATE\tACTIVE\tANSWERED\tFAILED\n"
	for _, u := range s.Upstreams {
		for _, b := range u.Servers {
			state := "reached"
			if !b.Reached {
				state = "not reached"
			}
			fmt.Fprintf(w, "%s%s\t%s\t%s\t%s\t%d\t%d\t%d\n", title, u.Name, b.Address, u.Protocol, state, b.Active, b.Answered, b.Failed)
			title = ""
		}
	}
}

// seconds is a time for people: "12ms", "3.4s", "2h5m0s".
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
