package main

import (
	"fmt"

	"github.com/spf13/cobra"
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
			c, err := dial(control, args)
			if err != nil {
				return err
			}
			defer c.Close()
			notes, err := c.Reload(cmd.Context())
			if err != nil {
				return err
			}
			for _, n := range notes {
				fmt.Fprintln(cmd.OutOrStdout(), "note: "+n)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "reloaded")
			return err
		},
	}
	controlFlag(cmd, &control)
	return cmd
}
