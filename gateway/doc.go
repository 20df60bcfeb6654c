// Package gateway holds the CGI/1.1 request and response (RFC 3875), which
// every gateway protocol carries in its own encoding.
//
// A request is an ordered list of parameters. AppendHTTP makes it from an
// HTTP request, after routing has decided which part of the path is the
// script's name and which part is its own to interpret. The rules that keep a
// client from forging a parameter are here, in one place: see AppendHTTP.
//
// A response head that an app gives is checked by AppHeader before any of it
// reaches a client.
//
// The package imports the standard library alone and starts no goroutine.
package gateway
