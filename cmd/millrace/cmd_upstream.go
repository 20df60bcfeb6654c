package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"millrace/internal/admin"
	"millrace/internal/server"
)

func upstreamCommand() *cobra.Command {
	var control string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "upstream [TARGET]",
		Short: "The servers behind: how they are, and which of them get requests",
		Example: `  millrace upstream                            how each server is
  millrace upstream drain api 10.0.0.1:9000    it gets no more requests, and finishes those it has
  millrace upstream undrain api 10.0.0.1:9000`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return showUpstreams(cmd, control, args, asJSON, "")
		},
	}
	controlFlag(cmd, &control)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, for programs")
	cmd.AddCommand(drainCommand(true), drainCommand(false))
	return cmd
}

func drainCommand(on bool) *cobra.Command {
	var control string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "drain NAME ADDRESS [TARGET]",
		Short: "A server gets no more requests",
		Long: `Have a server of [upstream.NAME] get no more requests, and finish those that it has.
ADDRESS is as it is configured, or, where a name stands for several addresses, one of
them. It holds through reloads and upgrades, and not through a stop.`,
	}
	if !on {
		cmd.Use, cmd.Short, cmd.Long = "undrain NAME ADDRESS [TARGET]", "A server gets requests again", "Have a server of [upstream.NAME] that is drained get requests again."
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) < 2 {
			return &usageError{"it is not said which server of which upstream is meant", "usage: " + cmd.UseLine()}
		}
		return atMost(3)(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := dial(control, args[2:])
		if err != nil {
			return err
		}
		defer c.Close()
		notes, err := c.DrainServer(cmd.Context(), admin.Drain{Upstream: args[0], Address: args[1], On: on})
		if err != nil {
			return err
		}
		if asJSON {
			return showUpstreams(cmd, control, args[2:], true, args[0])
		}
		out := cmd.OutOrStdout()
		state := "gets requests"
		if on {
			state = "is drained"
		}
		if _, err := fmt.Fprintf(out, "%s of upstream %s %s\n", args[1], args[0], state); err != nil {
			return err
		}
		for _, n := range notes {
			fmt.Fprintln(out, "note: "+n)
		}
		return nil
	}
	controlFlag(cmd, &control)
	cmd.Flags().BoolVar(&asJSON, "json", false, "how the upstream is then, as JSON")
	return cmd
}

// showUpstreams writes how the groups of back ends are, or the one of a name.
func showUpstreams(cmd *cobra.Command, control string, args []string, asJSON bool, name string) error {
	c, err := dial(control, args)
	if err != nil {
		return err
	}
	defer c.Close()
	body, err := c.Status(cmd.Context())
	if err != nil {
		return err
	}
	s := new(server.Status)
	if err := json.Unmarshal(body, s); err != nil {
		return fmt.Errorf("unexpected status, is it a millrace? %w", err)
	}
	if asJSON {
		return writeUpstreams(cmd.OutOrStdout(), s, name)
	}
	return s.WriteUpstreams(cmd.OutOrStdout())
}

func writeUpstreams(out io.Writer, s *server.Status, name string) error {
	var what any = s.Upstreams
	for i := range s.Upstreams {
		if s.Upstreams[i].Name == name {
			what = s.Upstreams[i]
		}
	}
	body, err := json.MarshalIndent(what, "", "  ")
	if err != nil {
		return err
	}
	_, err = out.Write(append(body, '\n'))
	return err
}
