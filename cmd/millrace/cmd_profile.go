package main

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"millrace/internal/admin"
)

func profileCommand() *cobra.Command {
	var control, output string
	length := 10 * time.Second
	cmd := &cobra.Command{
		Use:   "profile [TARGET]",
		Short: "Write what the server's processor time goes into",
		Long: `Have the running server note for a while what its processor time goes into, and write
that to a file, for "go tool pprof". It is millrace's own time, not that of the apps'
processes, and costs it little.`,
		Example: `  millrace profile --for 30s --output cpu.pprof
  go tool pprof -top cpu.pprof`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if length < time.Second || length > admin.MaxProfile {
				return &usageError{fmt.Sprintf("bad time %v", length), fmt.Sprintf("--for takes 1s to %v", admin.MaxProfile)}
			}
			c, err := dial(control, args)
			if err != nil {
				return err
			}
			defer c.Close()
			var profile bytes.Buffer
			if err := c.Profile(cmd.Context(), int(length/time.Second), &profile); err != nil {
				return err
			}
			if err := os.WriteFile(output, profile.Bytes(), 0o600); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s\n", output)
			return err
		},
	}
	controlFlag(cmd, &control)
	cmd.Flags().DurationVar(&length, "for", length, "how `long`")
	cmd.Flags().StringVarP(&output, "output", "o", "cpu.pprof", "the `FILE`")
	return cmd
}
