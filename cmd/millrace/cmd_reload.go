package main

import (
	"github.com/spf13/cobra"

	"millrace/internal/admin"
)

func reloadCommand() *cobra.Command {
	var control string
	cmd := &cobra.Command{
		Use:   "reload [TARGET]",
		Short: "Bring up a new generation of the apps, with the configuration anew",
		Long: `Ask the running server to read its configuration anew, to import its apps anew, and to
put them in place of those that serve, once they are ready; no request is lost. The
command waits for that. If an app can't be imported, the old one serves on: its
traceback is printed, and the exit status is 1.`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, control, args, "reloaded", func(c *admin.Client) ([]string, error) { return c.Reload(cmd.Context()) })
		},
	}
	controlFlag(cmd, &control)
	return cmd
}
