package main

// This file: millrace as a service of the system. serviceSpec is from a
// configuration to what package install is told.

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"millrace/internal/config"
	"millrace/internal/install"
)

// installFlags are those of service install.
type installFlags struct {
	name, kind, user, group, folder, link, binary string
	print                                         bool
}

func serviceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "service install|uninstall",
		Short: "Make millrace a service of the system, that starts at boot",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{fmt.Sprintf("unknown command %q", "service "+args[0]), "millrace service install or millrace service uninstall"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(serviceInstallCommand(), serviceUninstallCommand())
	return cmd
}

func serviceInstallCommand() *cobra.Command {
	f := &installFlags{}
	cmd := &cobra.Command{
		Use:   "install [CONFIG]",
		Short: "Write what the system starts millrace by, and have it start",
		Long: `Write what the system's supervisor starts "millrace serve CONFIG" by, and have it
start, now and at boot. CONFIG is a configuration or a folder, by default this one.

  --kind systemd   a unit, and a socket unit for the addresses (Linux)
  --kind rc        a script of rc.d (FreeBSD)
  --kind launchd   a property list (macOS)
  --kind run       a folder with a program run: runit, daemontools, millrace svscan

It runs as --user, else as user of [server], else as the owner of the folder.
What was written is remembered, for millrace service uninstall.`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.install(cmd, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "the service's `NAME` (default: that of the configuration's folder)")
	flags.StringVar(&f.kind, "kind", "", "the `KIND` of service: systemd, rc, launchd or run (default: the system's)")
	flags.StringVar(&f.user, "user", "", "the `ACCOUNT` that it runs as; root for none of its own")
	flags.StringVar(&f.group, "group", "", "the `GROUP`, if it is not the account's own")
	flags.StringVar(&f.folder, "dir", "", "of --kind run: the `FOLDER` that is made (default /etc/sv/NAME)")
	flags.StringVar(&f.link, "link", "", "of --kind run: the `FOLDER` of services that it is linked into (default: /etc/service, /service or /var/service, if there is one)")
	flags.StringVar(&f.binary, "binary", "", "the `FILE` of millrace (default: this one)")
	flags.BoolVar(&f.print, "print", false, "show what would be written, and write nothing")
	return cmd
}

func serviceUninstallCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "uninstall [CONFIG]",
		Short: "Stop a service that was installed, and take back what was written",
		Long: `Have the service stop, now and at boot, and remove what millrace service install has
written. What was changed by hand since is left, and said.`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				target := ""
				if len(args) == 1 {
					target = args[0]
				}
				place, _, err := placeOf(target)
				if err != nil {
					return err
				}
				name = serviceName(place)
			}
			return new(install.System).Uninstall(name, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the service's `NAME` (default: that of the configuration's folder)")
	return cmd
}

func (f *installFlags) install(cmd *cobra.Command, args []string) error {
	target := "."
	if len(args) == 1 {
		target = args[0]
	}
	kind := install.Kind(f.kind)
	if kind == "" {
		kind = install.DefaultKind(runtime.GOOS, systemdRuns())
	}
	if !slices.Contains(install.Kinds(), kind) {
		return &usageError{fmt.Sprintf("%q is no kind of service", kind), "--kind systemd, rc, launchd or run"}
	}
	spec, err := f.spec(target)
	if err != nil {
		return err
	}
	made, err := install.Make(kind, spec)
	if err != nil {
		return err
	}
	if f.print {
		return made.Print(cmd.OutOrStdout())
	}
	if err := mayInstall(kind, os.Geteuid(), onPath, systemdRuns()); err != nil {
		return err
	}
	return new(install.System).Install(made, cmd.OutOrStdout())
}

// mayInstall says beforehand what an installation would end with.
func mayInstall(kind install.Kind, user int, has func(program string) bool, booted bool) error {
	const other = "--kind run makes a folder for runit, daemontools or millrace svscan; --print shows what would be written"
	program := map[install.Kind]string{install.Systemd: "systemctl", install.RC: "sysrc", install.Launchd: "launchctl"}[kind]
	switch {
	case program != "" && !has(program):
		return &failure{program + " is not here: the service would not be started", other}
	case user != 0:
		return &failure{"a service is installed by root", "sudo millrace service install ...; --print shows what would be written, and needs no rights"}
	case kind == install.Systemd && !booted:
		return &failure{"systemd does not run this system", other}
	}
	return nil
}

func onPath(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// systemdRuns is sd_booted(3).
func systemdRuns() bool { return isFolder("/run/systemd/system") }

// spec is what the flags and the configuration come to.
func (f *installFlags) spec(target string) (*install.Spec, error) {
	if _, err := os.Stat(target); err != nil {
		return nil, &usageError{target + " is not there", "name a configuration or a folder"}
	}
	place, file, err := placeOf(target)
	if err != nil {
		return nil, err
	}
	s := &install.Spec{Name: f.name, Target: place, Folder: place, User: f.user, Group: f.group, Service: f.folder, Scan: f.link, StopFor: 90 * time.Second}
	if !isFolder(place) {
		s.Folder = filepath.Dir(place)
	}
	if s.Name == "" {
		s.Name = serviceName(place)
	}
	for _, path := range []*string{&s.Service, &s.Scan} {
		if *path != "" {
			if *path, err = filepath.Abs(*path); err != nil {
				return nil, err
			}
		}
	}
	if s.Binary = f.binary; s.Binary == "" {
		if s.Binary, err = ownProgram(); err != nil {
			return nil, err
		}
	} else if s.Binary, err = filepath.Abs(s.Binary); err != nil {
		return nil, err
	}
	for _, dir := range []string{"/etc/service", "/service", "/var/service"} {
		if s.Scan == "" && isFolder(dir) {
			s.Scan = dir
		}
	}
	c := &config.Config{}
	if file != "" {
		if c, err = loadFile(file); err != nil {
			return nil, err
		}
	} else {
		s.Listen = []string{"127.0.0.1:8000"}
	}
	s.Control = c.Server.Control
	f.places(s, c)
	return s, f.account(s, c)
}

// places adds what a configuration listens on, and writes.
func (f *installFlags) places(s *install.Spec, c *config.Config) {
	folders := []string{s.Folder, c.Server.Cache.Folder}
	add := func(files ...string) {
		for _, file := range files {
			if filepath.IsAbs(file) {
				folders = append(folders, filepath.Dir(file))
			}
		}
	}
	listen := func(addresses ...string) {
		for _, a := range addresses {
			s.Listen = append(s.Listen, a)
			add(strings.TrimPrefix(a, "unix:"))
			if _, port, err := net.SplitHostPort(a); err == nil {
				n, err := strconv.Atoi(port)
				s.Low = s.Low || err == nil && n > 0 && n < 1024
			}
		}
	}
	add(c.Server.ErrorLog, c.Server.PIDFile, c.Server.Control)
	if c.Server.Spool != "/var/tmp" && c.Server.Spool != "/tmp" { // it has these to itself
		folders = append(folders, c.Server.Spool)
	}
	if c.Server.Status != "" {
		listen(c.Server.Status)
	}
	s.StopFor = max(s.StopFor, c.Server.ShutdownTimeout+time.Minute)
	for i := range c.Sites {
		site := &c.Sites[i]
		listen(site.Listen...)
		add(site.AccessLog)
		if site.TLS != nil {
			listen(site.TLS.Plain...)
			if site.TLS.ACME != nil {
				folders = append(folders, site.TLS.ACME.Storage)
			}
		}
	}
	for _, a := range c.Apps {
		folders = append(folders, a.Dir)
		add(a.SlowLog)
		for i := range a.Listen {
			listen(a.Listen[i].Address)
		}
		s.StopFor = max(s.StopFor, a.StopTimeout+c.Server.ShutdownTimeout+30*time.Second)
		s.Switch = s.Switch || a.User != "" && a.User != c.Server.User || a.Chroot != ""
	}
	s.Listen = slices.Compact(slices.Sorted(slices.Values(s.Listen)))
	slices.Sort(folders)
	for _, dir := range slices.Compact(folders) {
		if filepath.IsAbs(dir) && dir != "/" && !slices.ContainsFunc(s.Write, func(up string) bool { return strings.HasPrefix(dir, up+"/") }) {
			s.Write = append(s.Write, dir)
		}
	}
}

// account finds whose the service is.
func (f *installFlags) account(s *install.Spec, c *config.Config) error {
	switch {
	case s.User == "root", s.Switch && s.User == "":
		s.User = "" // apps that are other users' are started by root
		return nil
	case s.User == "" && c.Server.User != "":
		s.User, s.Group = c.Server.User, c.Server.Group
	case s.User == "":
		owner, err := ownerOf(s.Folder)
		if err != nil {
			return err
		}
		if owner == "root" {
			return &usageError{"whose the service is to be is not said: " + s.Folder + " is root's", `--user ACCOUNT, or user = "ACCOUNT" under [server]; requests are not parsed as root unless it is --user root`}
		}
		s.User = owner
	}
	if _, err := user.Lookup(s.User); err != nil && !f.print {
		return &usageError{"there is no account " + s.User, "make it first: useradd --system --home-dir " + s.Folder + " --shell /usr/sbin/nologin " + s.User}
	}
	return nil
}

func ownerOf(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", fmt.Errorf("the owner of %s is not known", path)
	}
	id := strconv.Itoa(int(st.Uid))
	u, err := user.LookupId(id)
	if err != nil {
		return "", &usageError{path + " is of user " + id + ", who has no account", "--user ACCOUNT"}
	}
	return u.Username, nil
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// serviceName is what the service of a place is called by itself.
func serviceName(place string) string {
	name := strings.TrimSuffix(filepath.Base(place), ".toml")
	name = strings.Trim(notInNames.ReplaceAllString(name, "-"), "-.")
	if name == "" {
		return "millrace"
	}
	return name
}
