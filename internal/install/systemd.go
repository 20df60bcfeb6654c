package install

import (
	"fmt"
	"net"
	"strings"
)

// UnitFolder is where the units of an administrator are.
const UnitFolder = "/etc/systemd/system"

func (s *Spec) systemd() *Installation {
	unit, socket := s.Name+".service", s.Name+".socket"
	streams := s.streams()
	i := &Installation{Kind: Systemd, Name: s.Name,
		Files:   []File{{Path: UnitFolder + "/" + unit, Mode: 0o644, Content: s.unit(len(streams) > 0)}},
		Enable:  []Command{{Args: []string{"systemctl", "daemon-reload"}}},
		Disable: []Command{},
		After:   []Command{{Args: []string{"systemctl", "daemon-reload"}, Optional: true}},
		Says:    []string{"systemctl status " + unit + " says how it is, journalctl -u " + unit + " what it logged"},
	}
	if len(streams) > 0 {
		i.Files = append(i.Files, File{Path: UnitFolder + "/" + socket, Mode: 0o644, Content: s.socketUnit(streams)})
		i.Enable = append(i.Enable, Command{Args: []string{"systemctl", "enable", "--now", socket}})
		i.Disable = append(i.Disable, Command{Args: []string{"systemctl", "disable", "--now", socket}, Optional: true})
	}
	i.Enable = append(i.Enable, Command{Args: []string{"systemctl", "enable", "--now", unit}})
	i.Disable = append(i.Disable, Command{Args: []string{"systemctl", "disable", "--now", unit}, Optional: true})
	return i
}

// streams are the addresses that systemd can open, as it writes them.
func (s *Spec) streams() []string {
	var all []string
	for _, address := range s.Listen {
		host, port, err := net.SplitHostPort(address)
		switch {
		case err != nil || port == "0" || strings.HasPrefix(address, "unix:"):
		case host == "":
			all = append(all, port)
		case net.ParseIP(host) != nil:
			all = append(all, net.JoinHostPort(host, port))
		}
	}
	return all
}

func (s *Spec) socketUnit(streams []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Made by "millrace service install".
[Unit]
Description=Addresses of %s

[Socket]
`, s.Name)
	for _, stream := range streams {
		fmt.Fprintf(&b, "ListenStream=%s\n", stream)
	}
	b.WriteString(`Backlog=4096
NoDelay=yes

[Install]
WantedBy=sockets.target
`)
	return b.String()
}

// unit is the service. What it may not do is chosen so that an app of any
// language runs: writing to executable memory, which JITs do, stays allowed.
func (s *Spec) unit(sockets bool) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`# Made by "millrace service install".`)
	line("[Unit]")
	line("Description=millrace: %s", s.Name)
	line("After=network.target")
	if sockets {
		line("Requires=%s.socket", s.Name)
		line("After=%s.socket", s.Name)
	}
	line("")
	line("[Service]")
	line("Type=notify")
	line("ExecStart=%s", literal(words(s.serve()...)))
	line("ExecReload=%s", literal(words(s.talk("reload")...)))
	line("WorkingDirectory=%s", literal(s.Folder))
	line("Restart=always")
	line("RestartSec=1s")
	line("WatchdogSec=30s")
	line("KillMode=mixed")
	line("TimeoutStopSec=%ds", int(s.StopFor.Seconds()))
	line("RuntimeDirectory=%s", s.Name)
	line("")
	if s.User != "" {
		line("User=%s", literal(s.User))
		if s.Group != "" {
			line("Group=%s", literal(s.Group))
		}
	}
	capabilities := s.capabilities()
	line("CapabilityBoundingSet=%s", capabilities)
	if s.User != "" && capabilities != "" {
		line("AmbientCapabilities=%s", capabilities)
	}
	line("NoNewPrivileges=yes")
	line("ProtectSystem=strict")
	for _, path := range s.Write {
		line("ReadWritePaths=%s", quotePath("-"+path))
	}
	line("ProtectHome=%s", s.home())
	for _, yes := range []string{
		"PrivateTmp", "PrivateDevices", "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups",
		"ProtectClock", "ProtectHostname", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality",
	} {
		line("%s=yes", yes)
	}
	line("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK")
	line("SystemCallArchitectures=native")
	if s.Switch {
		line("SystemCallFilter=@system-service @mount")
	} else {
		line("SystemCallFilter=@system-service")
		line("SystemCallFilter=~@privileged @resources")
		line("SystemCallFilter=@chown sched_setaffinity sched_setscheduler setpriority ioprio_set setrlimit prlimit64")
		line("RemoveIPC=yes")
	}
	line("SystemCallErrorNumber=EPERM")
	line("UMask=0027")
	line("")
	line("[Install]")
	line("WantedBy=multi-user.target")
	return b.String()
}

// capabilities are what it needs of root's rights.
func (s *Spec) capabilities() string {
	var all []string
	if s.Low {
		all = append(all, "CAP_NET_BIND_SERVICE")
	}
	if s.User == "" {
		all = append(all, "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SYS_RESOURCE")
	}
	if s.User == "" && s.Switch {
		all = append(all, "CAP_SYS_CHROOT")
	}
	return strings.Join(all, " ")
}

// home is what is seen of home folders: those of others are not, unless the
// service has to do with one.
func (s *Spec) home() string {
	for _, path := range append([]string{s.Binary, s.Target, s.Folder}, s.Write...) {
		for _, home := range []string{"/home/", "/root/", "/run/user/"} {
			if strings.HasPrefix(path+"/", home) {
				return "read-only"
			}
		}
	}
	return "yes"
}

// quotePath is a path in a list of them.
func quotePath(path string) string {
	if strings.ContainsAny(path, " %") {
		return `"` + literal(path) + `"`
	}
	return path
}

// literal is a text in which a percent sign begins no specifier.
func literal(text string) string { return strings.ReplaceAll(text, "%", "%%") }
