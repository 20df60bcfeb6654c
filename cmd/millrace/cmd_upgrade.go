package main

import (
	"github.com/spf13/cobra"

	"millrace/internal/admin"
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
			return ask(cmd, control, args, "upgraded", func(c *admin.Client) ([]string, error) { return nil, c.Upgrade(cmd.Context()) })
		},
	}
	controlFlag(cmd, &control)
	return cmd
}
