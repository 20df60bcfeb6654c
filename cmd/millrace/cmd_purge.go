package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"millrace/internal/admin"
)

func purgeCommand() *cobra.Command {
	var control, target string
	var asked admin.Purge
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "purge [URL…]",
		Short: "Remove cached responses",
		Long: `Have the running server remove responses from its cache, in memory and on disk: those
of the URLs, in all their variants and spellings; with a path alone, on every host. What
is fetched while it does so is not cached.`,
		Example: `  millrace purge https://example.com/news/1
  millrace purge --prefix example.com/news/
  millrace purge --tag article-1 --tag front
  millrace purge --all`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args)+len(asked.Prefixes)+len(asked.Tags) == 0 && !asked.All {
				return &usageError{"it is not said what is to be purged", "name a URL, --prefix, --tag, or --all"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var at []string
			if target != "" {
				at = []string{target}
			}
			c, err := dial(control, at)
			if err != nil {
				return err
			}
			defer c.Close()
			asked.URLs = args
			n, err := c.Purge(cmd.Context(), asked)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]int{"purged": n})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "purged "+count(n, "response"))
			return err
		},
	}
	controlFlag(cmd, &control)
	flags := cmd.Flags()
	flags.StringVar(&target, "target", "", "what is served: as the TARGET of millrace status")
	flags.StringArrayVar(&asked.Prefixes, "prefix", nil, "all whose URL begins like `URL`")
	flags.StringArrayVar(&asked.Tags, "tag", nil, "all that carry the `TAG`, in Cache-Tag, Surrogate-Key or X-Cache-Tags")
	flags.BoolVar(&asked.All, "all", false, "everything")
	flags.BoolVar(&asked.Stale, "stale", false, "do not remove it: have it asked for anew, and keep it for when that fails")
	flags.BoolVar(&asJSON, "json", false, "as JSON, for programs")
	return cmd
}
