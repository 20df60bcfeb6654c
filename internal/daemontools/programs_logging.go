//go:build unix

package daemontools

// logging are those that write logs, and that change as what a program runs.
func logging() []Program {
	return []Program{
		{"multilog", "SCRIPT...", "Write lines from stdin to logs that rotate", runMultilog},
		{"tai64n", "", "Put the time in front of each line", runTai64n},
		{"tai64nlocal", "", "Make the times of tai64n and multilog readable", runTai64nlocal},
		{"setuidgid", "ACCOUNT COMMAND...", "Run a command as an account", runSetuidgid},
		{"envuidgid", "ACCOUNT COMMAND...", "Run a command with an account's numbers in $UID and $GID", runEnvuidgid},
		{"envdir", "DIR COMMAND...", "Run a command with variables that are files of a folder", runEnvdir},
		{"softlimit", "OPTIONS... COMMAND...", "Run a command within limits", runSoftlimit},
	}
}
