package main

import (
	"fmt"

	"github.com/spf13/cobra"
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
			c, err := dial(control, args)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.Stop(cmd.Context()); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "stopped")
			return err
		},
	}
	controlFlag(cmd, &control)
	return cmd
}
