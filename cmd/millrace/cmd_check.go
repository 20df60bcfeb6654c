package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"millrace/internal/config"
)

func checkCommand() *cobra.Command {
	f := &foreignFlags{}
	cmd := &cobra.Command{
		Use:   "check [CONFIG]",
		Short: "Validate a configuration and start nothing",
		Long: `Validate a configuration, by default the millrace.toml of this folder, and start nothing.
Every problem is said with its file, line and column; the exit status is 2 then.
A configuration of lighttpd, nginx or Apache is one that can be served as it is; what of
it cannot be carried over is a problem.`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := configName
			if len(args) == 1 {
				path = args[0]
			}
			if isFolder(path) {
				path = filepath.Join(path, configName)
			}
			load := config.Load
			if f.means(path) {
				load = f.load
			}
			c, err := load(path)
			if err != nil {
				return err
			}
			for _, w := range c.Warnings {
				fmt.Fprintln(cmd.OutOrStdout(), "warning: "+w.Error())
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), path+": ok")
			return err
		},
	}
	f.register(cmd.Flags())
	return cmd
}
