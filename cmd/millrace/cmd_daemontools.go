package main

// This file: the daemontools family, as commands. main runs them before
// anything else (daemontools.Main); here they are for --help, and for whoever
// calls Main.Run.

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"millrace/internal/daemontools"
)

const supervisorGroup = "supervisor"

// addSupervisor adds the family to the root command.
func addSupervisor(root *cobra.Command) {
	root.AddGroup(&cobra.Group{ID: supervisorGroup, Title: "The supervisor (daemontools; also by these names alone, see install-links):"})
	for _, p := range daemontools.Programs() {
		root.AddCommand(&cobra.Command{
			Use:                p.Name + " " + p.Usage,
			Short:              p.Summary,
			GroupID:            supervisorGroup,
			DisableFlagParsing: true,
			RunE: func(cmd *cobra.Command, args []string) error {
				status := p.Run(append([]string{p.Name}, args...), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
				if status != exitDone {
					return &exitStatus{status}
				}
				return nil
			},
		})
	}
	root.AddCommand(installLinksCommand())
}

func installLinksCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "install-links DIR",
		Short:   "Link svscan, svc, svstat and the rest to this program, in a folder",
		GroupID: supervisorGroup,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{"install-links needs a folder", "usage: " + cmd.UseLine()}
			}
			return atMost(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			binary, err := os.Executable()
			if err != nil {
				return err
			}
			links, err := daemontools.InstallLinks(args[0], binary)
			for _, link := range links {
				fmt.Fprintln(cmd.OutOrStdout(), link)
			}
			return err
		},
	}
}
