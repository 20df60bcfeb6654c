package main

import (
	"github.com/spf13/cobra"

	"millrace/internal/admin"
)

func stopCommand() *cobra.Command {
	var control string
	cmd := &cobra.Command{
		Use:   "stop [TARGET]",
		Short: "Let running requests end, then stop",
		Long: `Ask the running server to accept no more, to let running requests end (for at most
shutdown_timeout), and to stop. The command waits for that.`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, control, args, "stopped", func(c *admin.Client) ([]string, error) { return nil, c.Stop(cmd.Context()) })
		},
	}
	controlFlag(cmd, &control)
	return cmd
}
