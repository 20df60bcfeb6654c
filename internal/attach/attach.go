// Package attach keeps what lives beside an app's workers: the programs that
// are attached to it, and its cron jobs.
//
// A Set is what belongs to one app. It is empty until the app serves; then
// Replace gives it what its generation has, and each later generation anew.
//
// # A program
//
// (program.go) is started, started again when it ends, after a delay that grows
// while it keeps ending early, and replaced by the next generation's: the old
// one is asked to end, and the new one starts when it has. So there are never
// more of it than its Count: a scheduler that must not run twice does not.
//
// # A cron job
//
// (cron.go) is run at the times of its Schedule (schedule.go), by the
// configuration of the generation that serves then; never while the same line
// runs still. A reload does not touch what runs.
//
// What either prints goes to the log, line by line (output.go). All processes
// end with this one, however it ends, where the system can do that: see
// supervise.Command's Lifeline.
//
// The package reads no configuration; package server maps it to Programs and
// Jobs.
package attach
