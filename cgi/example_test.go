package cgi_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"

	"millrace/cgi"
)

// A CGI script is served under /cgi-bin/report.
func ExampleHandler() {
	http.Handle("/cgi-bin/report/", &cgi.Handler{
		Host:  &cgi.Host{Path: "/usr/lib/cgi-bin/report", MaxProcesses: 20},
		Mount: "/cgi-bin/report",
		Root:  "/var/www",
	})
}

// A program that any web server runs by CGI.
func ExampleServe() {
	err := cgi.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s\n", r.RemoteAddr)
	}))
	if err != nil {
		log.Print(err)
		os.Exit(1)
	}
}

// The request of a program that is tried without a web server.
func ExampleChild() {
	var out strings.Builder
	child := &cgi.Child{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %s\n", r.Method, r.URL)
		}),
		Env:    []string{"GATEWAY_INTERFACE=CGI/1.1", "REQUEST_METHOD=GET", "SCRIPT_NAME=/hello", "PATH_INFO=/world", "QUERY_STRING=a=b"},
		Stdin:  strings.NewReader(""),
		Stdout: &out,
	}
	if err := child.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Print(strings.ReplaceAll(out.String(), "\r", ""))
	// Output:
	// Status: 200 OK
	//
	// GET /hello/world?a=b
}
