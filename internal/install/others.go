package install

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// rc is a script of FreeBSD's rc.d. daemon(8) starts it anew when it dies.
func (s *Spec) rc() *Installation {
	id := strings.NewReplacer("-", "_", ".", "_").Replace(s.Name)
	if id[0] >= '0' && id[0] <= '9' { // of which sh can make no variable
		id = "millrace_" + id
	}
	user := s.User
	if user == "" {
		user = "root"
	}
	text := `#!/bin/sh
# Made by "millrace service install".

# PROVIDE: ` + id + `
# REQUIRE: NETWORKING DAEMON LOGIN
# KEYWORD: shutdown

. /etc/rc.subr

name="` + id + `"
rcvar="` + id + `_enable"
load_rc_config "$name"
: ${` + id + `_enable:="NO"}

pidfile="/var/run/` + s.Name + `.pid"
procname="/usr/sbin/daemon"
command="/usr/sbin/daemon"
command_args="-r -R 1 -S -T ` + s.Name + ` -u ` + user + ` -P ${pidfile} ` + evaluated(s.serve()) + `"
extra_commands="reload"
reload_cmd="` + evaluated(s.talk("reload")) + `"
start_precmd="` + id + `_folders"

` + id + `_folders()
{
	install -d -o ` + user + ` -m 0755 ` + words(s.runtime()) + `
	cd ` + words(s.Folder) + `
}

run_rc_command "$1"
`
	return &Installation{Kind: RC, Name: s.Name,
		Files:   []File{{Path: "/usr/local/etc/rc.d/" + id, Mode: 0o555, Content: text}},
		Enable:  []Command{{Args: []string{"sysrc", id + "_enable=YES"}}, {Args: []string{"service", id, "start"}}},
		Disable: []Command{{Args: []string{"service", id, "stop"}, Optional: true}, {Args: []string{"sysrc", "-x", id + "_enable"}, Optional: true}},
		Says:    []string{"service " + id + " status says how it is; its output is in /var/log/messages"},
	}
}

// evaluated is a command line within a text in double quotes, which rc.subr
// evaluates.
func evaluated(args []string) string { return strings.ReplaceAll(words(args...), `"`, `\"`) }

// launchd is a property list of macOS.
func (s *Spec) launchd() *Installation {
	label := "millrace." + s.Name
	path := "/Library/LaunchDaemons/" + label + ".plist"
	var b strings.Builder
	text := func(v string) string {
		var e strings.Builder
		_ = xml.EscapeText(&e, []byte(v)) // into memory
		return e.String()
	}
	key := func(name, value string) { fmt.Fprintf(&b, "\t<key>%s</key>\n\t%s\n", name, value) }
	str := func(v string) string { return "<string>" + text(v) + "</string>" }
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- Made by "millrace service install". -->
<plist version="1.0">
<dict>
`)
	key("Label", str(label))
	var args strings.Builder
	for _, a := range s.serve() {
		args.WriteString("\n\t\t" + str(a))
	}
	key("ProgramArguments", "<array>"+args.String()+"\n\t</array>")
	key("WorkingDirectory", str(s.Folder))
	if s.User != "" {
		key("UserName", str(s.User))
	}
	if s.Group != "" {
		key("GroupName", str(s.Group))
	}
	key("RunAtLoad", "<true/>")
	key("KeepAlive", "<true/>")
	key("ThrottleInterval", "<integer>1</integer>")
	key("ExitTimeOut", fmt.Sprintf("<integer>%d</integer>", int(s.StopFor.Seconds())))
	key("Umask", "<integer>23</integer>") // 027
	key("StandardOutPath", str("/var/log/"+s.Name+".log"))
	key("StandardErrorPath", str("/var/log/"+s.Name+".log"))
	b.WriteString("</dict>\n</plist>\n")
	return &Installation{Kind: Launchd, Name: s.Name,
		Files:   []File{{Path: path, Mode: 0o644, Content: b.String()}},
		Enable:  []Command{{Args: []string{"install", "-d", "-o", strings.Split(s.account(), ":")[0], s.runtime()}}, {Args: []string{"launchctl", "bootstrap", "system", path}}},
		Disable: []Command{{Args: []string{"launchctl", "bootout", "system/" + label}, Optional: true}},
		Says:    []string{"launchctl print system/" + label + " says how it is; its output is in /var/log/" + s.Name + ".log"},
	}
}

// run is a folder with a program run, and a log of its own.
func (s *Spec) run() *Installation {
	folder := s.Service
	if folder == "" {
		folder = "/etc/sv/" + s.Name
	}
	var asUser, logAs string
	var dirs strings.Builder
	if s.User != "" {
		asUser = words(s.Binary, "setuidgid", s.User) + " "
		logAs = asUser
	}
	logs := "/var/log/" + s.Name
	if s.Control == "" {
		fmt.Fprintf(&dirs, "mkdir -p %s && chown %s %s || exit 111\n", words(s.runtime()), s.account(), words(s.runtime()))
	}
	text := `#!/bin/sh
# Made by "millrace service install".
exec 2>&1
cd ` + words(s.Folder) + ` || exit 111
umask 027
` + dirs.String() + `exec ` + asUser + words(s.serve()...) + "\n"
	log := `#!/bin/sh
# Made by "millrace service install".
mkdir -p ` + words(logs) + ` && chown ` + s.account() + ` ` + words(logs) + ` || exit 111
exec ` + logAs + words(s.Binary, "multilog", "t", "s999999", "n20", logs) + "\n"
	i := &Installation{Kind: Run, Name: s.Name,
		Files: []File{
			{Path: folder + "/run", Mode: 0o755, Content: text},
			{Path: folder + "/log/run", Mode: 0o755, Content: log},
		},
		Says: []string{"its output is in " + logs + "/current; millrace tai64nlocal makes the times readable"},
	}
	if s.Scan != "" {
		link := strings.TrimSuffix(s.Scan, "/") + "/" + s.Name
		i.Files = append(i.Files, File{Path: link, Link: folder})
		// Without the link nobody starts it anew.
		i.After = []Command{{Args: []string{s.Binary, "svc", "-dx", folder, folder + "/log"}, Optional: true}}
		i.Says = append(i.Says, "millrace svstat "+link+" says how it is")
	} else {
		i.Says = append(i.Says, "no folder of services was found: link "+folder+" into yours, or run millrace supervise "+folder)
	}
	return i
}
