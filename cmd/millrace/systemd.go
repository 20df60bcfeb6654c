package main

// This file: systemd, between the process that it started and the one that
// serves.

import (
	"os"
	"strings"
	"time"

	"millrace/internal/systemd"
)

// watchdogVariable tells a front how often systemd wants to hear of it.
const watchdogVariable = "MILLRACE_WATCHDOG"

// frontWatchdog is the variable for a front, if there is to be one.
func frontWatchdog(s *systemd.Service) []string {
	if s.Watchdog() <= 0 {
		return nil
	}
	return []string{watchdogVariable + "=" + s.Watchdog().String()}
}

// notifyFor passes on what a front says: systemd believes the process that it
// started alone. A front says what it can, and no more: see systemd.Notify.
func notifyFor(s *systemd.Service, log func(problem string, err error)) func(text string) {
	return func(text string) {
		what, status, _ := strings.Cut(text, " ")
		if err := s.Notify(what, status); err != nil {
			log("cannot tell the supervisor how the server is", err)
		}
	}
}

// Notify has the keeper pass it on.
func (k kept) Notify(what, status string) error {
	return k.Client.Notify(what + " " + status)
}

// Watchdog is what the keeper was told.
func (k kept) Watchdog() time.Duration {
	d, err := time.ParseDuration(os.Getenv(watchdogVariable))
	if err != nil {
		return 0
	}
	return d
}

// unheard says which sockets systemd passed in vain: whoever connects to them
// waits for ever.
func unheard(s *systemd.Service, addresses []string) []string {
	var notes []string
	for _, socket := range s.Unused(addresses) {
		notes = append(notes, "systemd passed the socket "+socket+", and nothing listens on it; write it as an address, or take it out of the socket unit")
	}
	return notes
}
