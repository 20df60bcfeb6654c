package main

// This file: the environment of a front.

import (
	"slices"
	"strings"
)

// keepStacks has the runtime leave a goroutine's stack as large as it has
// grown. A collection would else halve the stack of each connection that waits
// for its next request, which grows it again: with 10,000 of them a seventh of
// the front's time. One that waits for longer has no goroutine, and no stack.
const keepStacks = "gcshrinkstackoff=1"

// frontEnviron is what a front has of its keeper's environment: nothing of the
// apps'.
func frontEnviron(environ []string) []string {
	kept := []string{"PATH", "HOME", "TMPDIR", "TZ", "LANG", "GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GOTRACEBACK", "GORACE", "GOCOVERDIR"}
	debug := "GODEBUG=" + keepStacks
	var env []string
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		switch {
		case name == "GODEBUG" && value != "":
			debug = "GODEBUG=" + keepStacks + "," + value // of two the last counts
		case slices.Contains(kept, name), strings.HasPrefix(name, "LC_"), strings.HasPrefix(name, "MILLRACE_"):
			env = append(env, v)
		}
	}
	return append(env, debug)
}
