package main

import (
	"github.com/spf13/cobra"
)

func adaptCommand() *cobra.Command {
	f := &foreignFlags{}
	cmd := &cobra.Command{
		Use:   "adapt FILE",
		Short: "Print the configuration of another server as a millrace.toml",
		Long: `Print the configuration of lighttpd, nginx or Apache in FILE, with all that it includes,
as the millrace.toml that does the same, with a comment where a choice was made.

What cannot be carried over with its exact meaning is said with its file, line and
column; the exit status is 2 then, and nothing is printed. ` + "`millrace serve FILE`" + ` serves
what this prints.`,
		Args: exactlyOne("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := f.document(args[0])
			if err != nil {
				return err
			}
			if _, err := d.Config(args[0]); err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(d.Bytes())
			return err
		},
	}
	f.register(cmd.Flags())
	return cmd
}

// exactlyOne argument.
func exactlyOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return &usageError{name + " is missing", "usage: " + cmd.UseLine()}
		}
		return atMost(1)(cmd, args)
	}
}
