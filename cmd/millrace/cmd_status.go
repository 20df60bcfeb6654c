package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace/internal/admin"
	"millrace/internal/server"
)

func statusCommand() *cobra.Command {
	var control string
	var asJSON bool
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "status [TARGET]",
		Short: "What the running server does",
		Example: `  millrace status                 once
  millrace status --watch         again each second, until Ctrl-C
  millrace status --watch=500ms
  millrace status --json          all there is, for programs`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			show := func(w io.Writer) error { return showStatus(cmd.Context(), w, control, args, asJSON) }
			switch {
			case !cmd.Flags().Changed("watch"):
				return show(out)
			case every < minWatch:
				return &usageError{fmt.Sprintf("--watch=%s is too often", every), fmt.Sprintf("once in %s is the most", minWatch)}
			}
			return watchStatus(cmd.Context(), out, every, show)
		},
	}
	controlFlag(cmd, &control)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, for programs")
	cmd.Flags().DurationVar(&every, "watch", time.Second, "again and again, each `INTERVAL`")
	cmd.Flags().Lookup("watch").NoOptDefVal = "1s"
	return cmd
}

// showStatus writes the status of the server that serves the target.
func showStatus(ctx context.Context, out io.Writer, control string, args []string, asJSON bool) error {
	c, err := dial(control, args)
	if err != nil {
		return err
	}
	defer c.Close()
	body, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		_, err := out.Write(body)
		return err
	}
	s := new(server.Status)
	if err := json.Unmarshal(body, s); err != nil {
		return fmt.Errorf("unexpected status, is it a millrace? %w", err)
	}
	return s.WriteText(out)
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
		named, err := namedPlace(target)
		if err != nil {
			return nil, err
		}
		link, err := derivedControl(named)
		if err != nil {
			return nil, err
		}
		sockets = distinct(append(sockets, link))
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

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if strings.HasSuffix(what, "s") {
		what += "e"
	}
	return fmt.Sprintf("%d %ss", n, what)
}
