package main

import (
	"github.com/spf13/cobra"

	"millrace/internal/admin"
)

func maintenanceCommand() *cobra.Command {
	var control string
	var asked admin.Maintenance
	cmd := &cobra.Command{
		Use:   "maintenance on|off [TARGET]",
		Short: "Answer 503 with a page, until it is over",
		Long: `Have the running server answer every request with 503, Retry-After and the page that
its site names (maintenance = "FILE"), or have it end that. Requests that run go on.
Status and health routes answer as ever. It holds through reloads and upgrades, and
not through a stop. With --app or --site it is for that alone.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] != "on" && args[0] != "off" {
				return &usageError{"it is not said whether maintenance is to be on or off", "usage: " + cmd.UseLine()}
			}
			return atMost(2)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			asked.On = args[0] == "on"
			return ask(cmd, control, args[1:], "maintenance is "+args[0], func(c *admin.Client) ([]string, error) { return c.Maintain(cmd.Context(), asked) })
		},
	}
	controlFlag(cmd, &control)
	cmd.Flags().StringVar(&asked.App, "app", "", "what leads to the app `NAME` alone")
	cmd.Flags().StringVar(&asked.Site, "site", "", "the site of a `HOST` alone; \"*\": those without hosts")
	return cmd
}
