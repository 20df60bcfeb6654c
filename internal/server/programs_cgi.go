package server

// CGI programs as apps: a process for each request, started by the keeper.

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"millrace/cgi"
	"millrace/gateway"
	"millrace/internal/pool"
	"millrace/internal/supervise"
)

// cgiProgram starts a CGI program for each request.
type cgiProgram struct {
	command *supervise.Command
	path    string // of the program, as configured
	starter supervise.Starter
	log     *slog.Logger
}

var _ pool.Protocol = cgiProgram{}

// cgiGrace is how long a CGI program may take to leave after its response, and
// after it is told to.
const cgiGrace = 2 * time.Second

// Client returns a Host: each has one process at a time, and Close ends it.
func (p cgiProgram) Client(func(context.Context) (net.Conn, error)) gateway.RoundTripper {
	return &cgi.Host{
		Path: p.path, Start: p.start, Log: p.log, Grace: cgiGrace,
		Timeout: -1, // the pool's request_timeout
	}
}

// start starts what a Host would. The environment of the command is the
// keeper's to know: what goes along is the request's alone.
func (p cgiProgram) start(cmd *exec.Cmd) (cgi.Process, error) {
	return startCGI(p.starter, cmd, supervise.Start{Command: p.command})
}

// startCGI completes a start with what a Host has made of a request.
func startCGI(starter supervise.Starter, cmd *exec.Cmd, s supervise.Start) (cgi.Process, error) {
	var files []*os.File
	for _, v := range []any{cmd.Stdin, cmd.Stdout, cmd.Stderr} {
		f, _ := v.(*os.File)
		if f != nil { // a pipe's end, which is the program's alone, and has to wait for ours
			if err := syscall.SetNonblock(int(f.Fd()), false); err != nil {
				return nil, os.NewSyscallError("fcntl", err)
			}
		}
		files = append(files, f)
	}
	request := slices.DeleteFunc(slices.Clone(cmd.Env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return !cgi.MayBeVariable(name)
	})
	s.Files, s.Env, s.Args = files, request, cmd.Args[1:]
	started, err := starter.Start(s)
	if err != nil {
		return nil, err
	}
	return cgiProcess{started}, nil
}

// cgiProcess is a process as package cgi sees it.
type cgiProcess struct{ supervise.Process }

func (p cgiProcess) Wait() cgi.Exit {
	exit := p.Process.Wait()
	if exit.Err != nil || exit.Signal != 0 {
		return cgi.Exit{Code: -1, Status: exit.String()}
	}
	return cgi.Exit{Code: exit.Code, Status: exit.String()}
}

func (p cgiProcess) Terminate() { _ = p.Process.Signal(syscall.SIGTERM) }
func (p cgiProcess) Kill()      { _ = p.Process.Kill() }
