// Package daemontools is the daemontools family: programs that keep services
// running, and that people know.
//
// A service is a folder with an executable file run, which stays in the
// foreground. supervise keeps one running, svscan all those in a folder. What
// they know of a service and how it is controlled is in the folder supervise
// within it: two FIFOs, a lock and a status of 18 bytes. Others read and write
// them (svc, svok, svstat), and these may be programs of this package or of
// the original daemontools, in any mix: folders, FIFOs, lock, status, output
// and exit statuses are the same.
//
// Each program is a function from its arguments to its exit status, in a table
// (table.go). Main runs one by the name that the binary is called by. Those
// that run another program become it. What they have in common is words.go
// (how the original names errors) and become.go.
//
// Supervision: service.go is one service and what happens to it, engine.go the
// loop that owns many, svscan.go finds them in a folder. status.go is the
// status, control.go the commands. Beyond the original are finish.go, ready.go,
// depends.go, adopt_linux.go and cgroup_linux.go; each begins to matter when a
// folder has its file, so that a folder made for the original is treated as it
// would be there.
//
// Logs: multilog.go is multilog from start to end, multilog_lines.go each line,
// multilog_log.go the folder with the files, multilog_journal.go what a kill
// leaves to the next one. tai64n.go is the times. cmd_*.go are programs that are
// a function each.
package daemontools
