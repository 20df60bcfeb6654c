package server

// Apps that are a program: what runs, and what it speaks.

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/ajp"
	"millrace/fcgi"
	"millrace/gateway"
	"millrace/internal/config"
	"millrace/internal/pool"
	"millrace/internal/supervise"
	"millrace/internal/upstream"
	"millrace/scgi"
	"millrace/uwsgi"
)

// programCommand is the program of an app; env is its whole environment.
func programCommand(name string, a *config.App, env []string, rights supervise.Rights) *supervise.Command {
	return &supervise.Command{
		Name: "app " + name, Path: a.Command[0], Args: a.Command, Env: env, Dir: a.Dir, Lifeline: true, Rights: rights,
		PerRequest: a.Method == pool.CGI, Whole: a.Method != pool.CGI,
	}
}

// runProgram has a pool run the program of an app.
func (s *Server) runProgram(cfg *pool.Config, a *config.App) {
	cfg.Program = appProgram(a, cfg.Host)
	if a.Method == pool.CGI {
		cfg.Program.PerRequest, cfg.Program.Concurrency = true, 1
		cfg.Program.Protocol = cgiProgram{cfg.Host, a.Command[0], s.keeper, s.log.With("app", cfg.Name)}
		// A worker is room for a process: there may as well be all.
		cfg.Scaling, cfg.MinSpare, cfg.MaxSpare = "static", cfg.MaxChildren, cfg.MaxChildren
		cfg.MaxRequests, cfg.MaxMemory, cfg.MaxLifetime = 0, 0, 0
		return
	}
	cfg.MinSpare *= a.Concurrency
	cfg.MaxSpare *= a.Concurrency
	cfg.MaxChildren *= a.Concurrency
}

// appProgram is the program of an app.
func appProgram(a *config.App, command *supervise.Command) *pool.Program {
	p := &pool.Program{
		Command:     command,
		Args:        a.Command,
		Key:         commandKey(a.Command),
		Concurrency: a.Concurrency,
		Protocol:    programProtocol(a.Protocol),
	}
	for _, name := range slices.Sorted(maps.Keys(a.Params)) {
		p.Params = append(p.Params, gateway.Param{Name: name, Value: a.Params[name]})
	}
	return p
}

// mayBind refuses a program that would bind a socket which the front could not
// reach: the folder of {socket} is the front's.
func mayBind(name string, c *config.Config) error {
	a := c.Apps[name]
	if !slices.ContainsFunc(a.Command, func(arg string) bool { return strings.Contains(arg, "{socket}") }) {
		return nil
	}
	key := ""
	switch {
	case a.Chroot != "":
		key = fmt.Sprintf("chroot = %q", a.Chroot)
	case a.User != "" && a.User != c.Server.User:
		key = fmt.Sprintf("user = %q", a.User)
	default:
		return nil
	}
	return &Error{
		Problem: fmt.Sprintf("%s in [app.%s]: the folder of {socket} is millrace's own, which the program cannot enter with %s", commandKey(a.Command), name, key),
		Fix:     "write {port}, or have the program take its standard input, which is a listening socket then",
	}
}

// commandKey is the key as the file has it.
func commandKey(command []string) string {
	quoted := make([]string, len(command))
	for i, arg := range command {
		quoted[i] = strconv.Quote(arg)
	}
	return "command = [" + strings.Join(quoted, ", ") + "]"
}

// programProtocol is what a program speaks, by its name in the configuration.
type programProtocol string

var _ pool.Protocol = programProtocol("")

// unlimited is the time-out of clients whose requests the pool ends itself.
const unlimited = 365 * 24 * time.Hour

// Client returns a client that keeps its one connection where the protocol
// can: a process serves us alone, so that nobody waits for it.
func (p programProtocol) Client(dial func(context.Context) (net.Conn, error)) gateway.RoundTripper {
	const address = "the program"
	switch p {
	case "scgi":
		return &scgi.Client{Address: address, Dial: dial, Timeout: unlimited}
	case "uwsgi":
		return &uwsgi.Client{Address: address, Dial: dial, Timeout: unlimited}
	case "ajp":
		return &ajp.Client{Address: address, Dial: dial, Timeout: unlimited, MaxConns: 1, IdleTimeout: unlimited}
	case "http":
		return upstream.NewHTTPClient(dial)
	}
	return &fcgi.Client{Address: address, Dial: dial, Timeout: unlimited, Reuse: fcgi.ReuseAlways, MaxConns: 1, IdleTimeout: unlimited}
}
