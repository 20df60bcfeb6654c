package server

// Folders of CGI programs: what is started for them, by whom, and the group that
// bounds how many run.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"

	"millrace/cgi"
	"millrace/gateway"
	"millrace/internal/config"
	"millrace/internal/docroot"
	"millrace/internal/script"
	"millrace/internal/supervise"
	"millrace/internal/upstream"
)

// cgiPath is the PATH of programs of a folder.
const cgiPath = "PATH=/usr/local/bin:/usr/bin:/bin"

// cgiCommands are the programs of all folders of a plan.
func cgiCommands(plan *Plan) ([]*supervise.Command, error) {
	var all []*supervise.Command
	for i := range plan.Config.Sites {
		c := &plan.Config.Sites[i]
		for j := range c.Routes {
			command, err := cgiCommand(plan, c, &c.Routes[j], fmt.Sprintf("cgi of %s", placeName(i, j)))
			if err != nil {
				return nil, err
			}
			if command != nil {
				all = append(all, command)
			}
		}
	}
	return all, nil
}

// placeName names a route to people: see place.
func placeName(site, route int) string {
	return fmt.Sprintf("[[site]] %d, [[site.route]] %d", site+1, route+1)
}

// cgiCommand is that of a route; nil: it has none. A sealed plan's has a name
// alone.
func cgiCommand(plan *Plan, site *config.Site, r *config.Route, name string) (*supervise.Command, error) {
	c, folder := r.CGI, &supervise.Folder{}
	switch {
	case c != nil:
		folder.Root = c.Root
	case r.UserDirs != nil && r.UserDirs.CGI != nil:
		c = r.UserDirs.CGI
		folder.Home = r.UserDirs.Folder
		folder.Users = supervise.Users{Enabled: r.UserDirs.Enabled, Disabled: r.UserDirs.Disabled, MinUID: uint32(r.UserDirs.MinUID)}
	default:
		return nil, nil
	}
	command := &supervise.Command{Name: name, PerRequest: true, Lifeline: true, Folder: folder}
	if plan.Digests != nil {
		return command, nil
	}
	folder.Interpreters = c.Interpreters
	folder.Follow = followsLinks(site, c.FollowSymlinks) && !c.AsOwner && r.UserDirs == nil
	command.Env = []string{cgiPath}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		command.Env = append(command.Env, name+"="+c.Env[name])
	}
	if _, ok := c.Env["PATH"]; ok {
		command.Env = command.Env[1:]
	}
	privileged := os.Geteuid() == 0
	where := name
	var err error
	if command.Rights.Limits, err = limitsOf(c.Rlimits, where); err != nil {
		return nil, err
	}
	if c.AsOwner {
		if !privileged {
			return nil, &Error{Problem: "as_owner in " + where + ": only root may start programs as other users", Fix: "start millrace as root, or leave as_owner out"}
		}
		folder.AsOwner = &supervise.AsOwner{MinUID: uint32(c.MinUID), MinGID: uint32(c.MinGID)}
		return command, nil
	}
	as := identity{user: c.User, userWhere: where, group: c.Group, groupWhere: where}
	if as.user == "" {
		as.user, as.userWhere = plan.Config.Server.User, "[server]"
		if as.group == "" {
			as.group, as.groupWhere = plan.Config.Server.Group, "[server]"
		}
	}
	command.Rights.User, err = as.lookUp(privileged)
	return command, err
}

// followsLinks is what a key says of symbolic links, or the site.
func followsLinks(site *config.Site, own *bool) bool {
	if own != nil {
		return *own
	}
	return site.FollowSymlinks
}

// mayRun is whether a file can be run as a program of the folder.
func mayRun(c *config.CGI) func(name string, info docroot.Info) bool {
	return func(name string, info docroot.Info) bool {
		return info.Exec || c.Interpreters[strings.ToLower(path.Ext(name))] != ""
	}
}

// cgiProgramOf is which program of a folder a request is for.
type cgiProgramOf struct {
	file  string // its path, for people and $0
	rel   string // below the folder
	owner string // the user in whose home it is
}

type cgiProgramKey struct{}

func withProgram(r *http.Request, p *cgiProgramOf) *http.Request {
	return r.WithContext(gateway.WithValue(r.Context(), cgiProgramKey{}, p))
}

// cgiGroup makes what answers requests by programs of a folder.
func (b *builder) cgiGroup(at *place, c *config.CGI, name string) (http.Handler, error) {
	command, err := cgiCommand(b.plan, at.site, at.route, "cgi of "+at.name)
	if err != nil {
		return nil, err
	}
	log := b.log.With("cgi", name)
	group := upstream.New(upstream.Config{
		Name: name, Protocol: "cgi", MaxConns: c.MaxChildren, ConnectTimeout: c.QueueTimeout, MaxBody: int64(c.MaxBody),
		Spool: b.server.spool, Log: b.log,
		Servers: []upstream.Server{{Address: name, RoundTripper: &cgiPrograms{
			command: b.plan.command(command), starter: b.server.keeper, log: log, timeout: c.Timeout, maxTime: c.MaxTime,
		}}},
	})
	b.tree.programs = append(b.tree.programs, group)
	return group.Handler("", at.entry.redirect), nil
}

// cgiPrograms runs programs of a folder.
type cgiPrograms struct {
	command *supervise.Command
	starter supervise.Starter
	log     *slog.Logger
	timeout time.Duration
	maxTime time.Duration
}

var _ gateway.RoundTripper = (*cgiPrograms)(nil)

// RoundTrip starts the program that the request was found to be for.
func (p *cgiPrograms) RoundTrip(ctx context.Context, req *gateway.Request) (*gateway.Response, error) {
	of, _ := ctx.Value(cgiProgramKey{}).(*cgiProgramOf)
	if of == nil {
		return nil, errors.New("it is not known which program the request is for")
	}
	var failed error // to start
	h := &cgi.Host{
		Path: of.file, Log: p.log, Grace: cgiGrace, Timeout: p.timeout, MaxTime: p.maxTime,
		Start: func(cmd *exec.Cmd) (cgi.Process, error) {
			process, err := startCGI(p.starter, cmd, supervise.Start{Command: p.command, Program: of.rel, Owner: of.owner})
			failed = err
			return process, err
		},
	}
	resp, err := h.RoundTrip(ctx, req)
	switch {
	case errors.Is(failed, supervise.ErrRefused):
		err = fmt.Errorf("%w: %w", failed, gateway.ErrForbidden)
	case errors.Is(err, gateway.ErrUnreachable) && failed != nil: // the folder is not down because a program of it does not start
		err = &notStarted{failed}
	}
	return resp, err
}

// notStarted is an error that is of one program alone.
type notStarted struct{ err error }

func (e *notStarted) Error() string { return e.err.Error() }

// cgiFinder finds programs of a folder: o says where.
func cgiFinder(c *config.CGI, o script.Options) *script.Finder {
	o.Extensions, o.Index, o.Exclude, o.MayRun = c.Extensions, c.Index, excluded(c.Exclude), mayRun(c)
	return script.New(o)
}

// answerCGI runs the programs of a route's folder.
func (b *builder) answerCGI(at *place) (http.Handler, error) {
	return b.cgiGroup(at, at.route.CGI, at.route.CGI.Root)
}

// sealedSites are sites without what is the keeper's alone of their programs.
func sealedSites(sites []config.Site) []config.Site {
	sealed := slices.Clone(sites)
	for i := range sealed {
		sealed[i].Routes = slices.Clone(sealed[i].Routes)
		for j := range sealed[i].Routes {
			r := &sealed[i].Routes[j]
			r.CGI = sealedCGI(r.CGI)
			if r.UserDirs != nil {
				dirs := *r.UserDirs
				dirs.CGI = sealedCGI(dirs.CGI)
				r.UserDirs = &dirs
			}
		}
	}
	return sealed
}

func sealedCGI(c *config.CGI) *config.CGI {
	if c == nil {
		return nil
	}
	sealed := *c
	sealed.Env, sealed.Rlimits, sealed.User, sealed.Group = nil, nil, "", ""
	return &sealed
}
