package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func upgradeCommand() *cobra.Command {
	var control string
	cmd := &cobra.Command{
		Use:   "upgrade [TARGET]",
		Short: "Put the program's file, as it is now, in the running one's place",
		Long: `Ask the running server to execute its program's file anew, after another version was
put there. Its process id, its sockets and the workers of its apps stay, and no
request is lost; the configuration is read anew. The command waits until the new
program serves. If it cannot start, the old one serves on, and the exit status is 1.`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := dial(control, args)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.Upgrade(cmd.Context()); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "upgraded")
			return err
		},
	}
	controlFlag(cmd, &control)
	return cmd
}
