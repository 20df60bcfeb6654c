// Package xconnect has package net/http take extended CONNECT (RFC 8441), which
// is how a WebSocket begins over HTTP/2.
//
// net/http takes it only if GODEBUG holds http2xconnect=1 at the moment when
// net/http is initialised; there is no other switch. So this package, which
// imports nothing but the environment, sets it when it is initialised itself:
// before net/http, since packages that are ready are initialised in the order of
// their paths (The Go Programming Language Specification, "Program
// initialization"), and "millrace/…" comes before "net/…". Restore takes it out
// again, so that no program we start sees it.
package xconnect

import "os"

const (
	variable = "GODEBUG"
	setting  = "http2xconnect=1"
)

// before is the variable as we found it.
var before, wasSet = enable()

func enable() (before string, wasSet bool) {
	before, wasSet = os.LookupEnv(variable)
	value := setting
	if before != "" {
		value = before + "," + setting
	}
	_ = os.Setenv(variable, value) // without it HTTP/2 has no WebSockets, and says so
	return before, wasSet
}

// Restore gives the environment back as it was. It is called once package
// net/http is initialised, by who imports it.
func Restore() {
	if wasSet {
		_ = os.Setenv(variable, before) // it was there: the name is one
		return
	}
	_ = os.Unsetenv(variable) // as above
}
