// Package cgi runs CGI/1.1 programs (RFC 3875), and runs an http.Handler as
// one.
//
// # Starting programs
//
// Host starts one process for each request. It is a gateway.RoundTripper, and
// Handler makes an http.Handler of it:
//
//	http.Handle("/cgi-bin/report/", &cgi.Handler{
//		Host:  &cgi.Host{Path: "/usr/lib/cgi-bin/report"},
//		Mount: "/cgi-bin/report",
//	})
//
// The life of a request: the process is started in a process group of its own,
// with an environment of the request's parameters and what Host names, never
// the server's own. The request's body goes to its standard input while its
// standard output is read, so a program may answer before it has read its
// input, or without reading it. What it writes to its standard error goes to
// the request's Stderr, else to the log, a line a record. When the response
// has ended, the process is given Host.Grace to leave; when the request is
// given up, or takes too long, its group gets SIGTERM and, after Grace,
// SIGKILL. Each process is reaped. A program that has ended while another
// process that it started holds its output open does not keep the response
// from ending; such a process is left alone.
//
// # Being such a program
//
// Serve answers the one request that the process was started for:
//
//	func main() {
//		if err := cgi.Serve(http.HandlerFunc(hello)); err != nil {
//			log.Fatal(err)
//		}
//	}
//
// # What it does not do
//
// It looks for no scripts in a folder, and decides nothing from a file's name:
// which program answers is the caller's to say. There is no "nph-" treatment of
// programs that it starts: their output is parsed like any other, and a first
// line "HTTP/1.1 200 OK" is understood. On Windows there are no process groups:
// the process alone is killed, at once.
//
// The package imports the standard library and package gateway alone.
package cgi
