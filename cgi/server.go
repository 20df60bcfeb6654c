package cgi

// The program's side: an http.Handler that answers the one request that the
// process was started for.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path"
	"strings"

	"millrace/gateway"
)

// ErrNotCGI is returned by a program that was not started by a CGI server.
var ErrNotCGI = errors.New("cgi: this is not a CGI request")

// Serve answers the request that this process was started for: it is
// Child.Run for h. Call it once, from main, and end with a status other than 0
// if it fails.
func Serve(h http.Handler) error { return (&Child{Handler: h}).Run(context.Background()) }

// Child answers one CGI request. The zero value answers that of this process.
//
// A handler finds the whole environment by gateway.FrontOf(r.Context()), and
// the way to the server's error log as its Stderr. For a script whose name
// begins with "nph-" the response begins with a status line, as the server
// passes it on unread (RFC 3875, section 5).
type Child struct {
	Handler http.Handler // nil: http.DefaultServeMux

	Env    []string  // "NAME=value"; nil: os.Environ()
	Stdin  io.Reader // nil: os.Stdin
	Stdout io.Writer // nil: os.Stdout
	Stderr io.Writer // nil: os.Stderr

	// Log takes what goes wrong; nil: text to Stderr.
	Log *slog.Logger
}

// Run answers the request. Its error wraps ErrNotCGI if there is none; a
// request that is malformed is answered with 400, and is an error too, as is a
// response that was cut short.
func (c *Child) Run(ctx context.Context) error {
	env, stdin, stdout, stderr := c.Env, c.Stdin, c.Stdout, c.Stderr
	if env == nil {
		env = os.Environ()
	}
	if stdin == nil {
		stdin = os.Stdin
	}
	if stdout == nil {
		stdout = os.Stdout
	}
	if stderr == nil {
		stderr = os.Stderr
	}
	log := c.Log
	if log == nil {
		log = slog.New(slog.NewTextHandler(stderr, nil))
	}
	params := fromEnviron(env)
	for _, name := range []string{"GATEWAY_INTERFACE", "REQUEST_METHOD"} {
		if value, _ := gateway.Lookup(params, name); value == "" {
			return fmt.Errorf("%w: %s is not set; have a web server run this program, or set GATEWAY_INTERFACE=CGI/1.1 REQUEST_METHOD=GET PATH_INFO=/ to try it", ErrNotCGI, name)
		}
	}
	out := &gateway.PlainStream{}
	out.Reset(stdout, form(params))
	w := &gateway.ResponseWriter{}
	r, err := gateway.ToHTTP(ctx, gateway.Incoming{Protocol: "cgi", Params: params, Body: stdin, Stderr: stderr, Script: true})
	if err != nil {
		w.Reset(out, http.MethodGet)
		http.Error(w, "Bad Request", http.StatusBadRequest)
		return errors.Join(fmt.Errorf("cgi: a malformed request: %w", err), out.Flush())
	}
	if r.ContentLength > 0 {
		r.Body = io.NopCloser(&input{r: stdin, left: r.ContentLength})
	}
	h := c.Handler
	if h == nil {
		h = http.DefaultServeMux
	}
	w.Reset(out, r.Method)
	complete := w.Run(h, r, log)
	if err := out.Flush(); err != nil {
		return fmt.Errorf("cgi: cannot write the response: %w", err)
	}
	if !complete {
		return fmt.Errorf("cgi: the response to %s %.64q is not complete", r.Method, r.RequestURI)
	}
	return nil
}

// form is how the response begins.
func form(params []gateway.Param) gateway.Form {
	name, _ := gateway.Lookup(params, "SCRIPT_NAME")
	if strings.HasPrefix(path.Base(name), "nph-") {
		return gateway.FormHTTP
	}
	return gateway.FormCGI
}

// input is a body of a known length: a program must not read beyond it (RFC
// 3875, section 4.2), and one that ends before is broken.
type input struct {
	r    io.Reader
	left int64
}

func (in *input) Read(b []byte) (int, error) {
	if in.left == 0 {
		return 0, io.EOF
	}
	n, err := in.r.Read(b[:min(int64(len(b)), in.left)])
	in.left -= int64(n)
	switch {
	case in.left == 0:
		err = io.EOF
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
