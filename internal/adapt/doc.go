// Package adapt makes configurations of what other programs are configured
// with.
//
// runfcgi.go reads the arguments of Django's runfcgi and of django-fcgi.py, and
// script.go the script files whose "#!" line runs `millrace runfcgi`.
// options.go is the table of the options: parsing, the help text and the
// table of docs/runfcgi.md come from it.
//
// foreign.go reads the configurations of other servers: which one a file is of, and
// by the package of that server what it is as a millrace.toml.
//
// Nothing is started or printed here; scripts and configurations are read. What of arguments can't be
// carried over is an *ArgumentError, which names the option, its value, and
// what it takes.
package adapt

import (
	"strconv"
	"strings"
)

// ArgumentError is an argument that can't be.
type ArgumentError struct {
	Place   string // "mysite.fcgi:3"; empty: the command line
	Problem string // one line: the option, the value and what it takes
	Fix     string // one line: what to do
}

func (e *ArgumentError) Error() string {
	if e.Place != "" {
		return e.Place + ": " + e.Problem
	}
	return e.Problem
}

// Hint says what to do.
func (e *ArgumentError) Hint() string { return e.Fix }

// quote shows what somebody typed: bounded, on one line.
func quote(s string) string {
	const most = 120
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}
