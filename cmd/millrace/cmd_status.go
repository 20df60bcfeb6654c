package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

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

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if strings.HasSuffix(what, "s") {
		what += "e"
	}
	return fmt.Sprintf("%d %ss", n, what)
}
