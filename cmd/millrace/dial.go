package main

// How commands find the server that runs, and have it do something.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace/internal/admin"
	"millrace/internal/server"
)

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

// ask has the server that serves the target do something, and says when it is
// done, behind what the server has to note.
func ask(cmd *cobra.Command, control string, args []string, done string, do func(*admin.Client) (notes []string, err error)) error {
	c, err := dial(control, args)
	if err != nil {
		return err
	}
	defer c.Close()
	notes, err := do(c)
	if err != nil {
		return err
	}
	for _, n := range notes {
		fmt.Fprintln(cmd.OutOrStdout(), "note: "+n)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), done)
	return err
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
