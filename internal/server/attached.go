package server

// What lives beside an app's workers: attached programs, here, and cron jobs.
// Package attach keeps them.

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"millrace/internal/attach"
	"millrace/internal/config"
	"millrace/internal/supervise"
)

// beside is what lives beside one app. It begins when the app serves for the
// first time; until then the latest configuration waits.
type beside struct {
	set *attach.Set

	mu     sync.Mutex
	begun  bool
	wanted attach.Config
}

// want says what the generation has that serves, or is to.
func (b *beside) want(c attach.Config) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wanted = c
	if b.begun {
		b.set.Replace(c)
	}
}

// begin is called when the app serves.
func (b *beside) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.begun {
		b.begun = true
		b.set.Replace(b.wanted)
	}
}

// besideConfig maps what lives beside an app.
func (s *Server) besideConfig(name string, plan *Plan) (attach.Config, error) {
	a := plan.Config.Apps[name]
	out := attach.Config{Starter: s.keeper, StopTimeout: a.StopTimeout}
	if len(a.Attached) == 0 && len(a.Cron) == 0 {
		return out, nil
	}
	like, err := besideLike(name, plan)
	if err != nil {
		return out, err
	}
	for _, program := range slices.Sorted(maps.Keys(a.Attached)) {
		p := a.Attached[program]
		sig, ok := supervise.SignalNamed(cmp.Or(p.StopSignal, "TERM"))
		if !ok {
			return out, fmt.Errorf("app %s: attached program %s: stop_signal %q is none", name, program, p.StopSignal) // package config refuses it
		}
		out.Programs = append(out.Programs, attach.Program{
			Name: program, Command: plan.command(attachedCommand(name, program, p, like)), Count: p.Count, StopSignal: sig, StopTimeout: p.StopTimeout,
		})
	}
	for n, line := range a.Cron {
		job, err := cronJob(name, n, line, like)
		if err != nil {
			return out, err
		}
		job.Command = plan.command(job.Command)
		out.Jobs = append(out.Jobs, job)
	}
	return out, nil
}

// besideCommands are all programs that besideConfig names.
func besideCommands(name string, plan *Plan) ([]*supervise.Command, error) {
	a := plan.Config.Apps[name]
	if len(a.Attached) == 0 && len(a.Cron) == 0 {
		return nil, nil
	}
	like, err := besideLike(name, plan)
	if err != nil {
		return nil, err
	}
	var all []*supervise.Command
	for program, p := range a.Attached {
		all = append(all, attachedCommand(name, program, p, like))
	}
	for n, line := range a.Cron {
		job, err := cronJob(name, n, line, like)
		if err != nil {
			return nil, err
		}
		all = append(all, job.Command)
	}
	return all, nil
}

// besideLike is what the commands beside an app have in common with its own
// processes.
func besideLike(name string, plan *Plan) (*supervise.Command, error) {
	env, rights, err := plan.processes(name)
	return &supervise.Command{Env: env, Dir: plan.Config.Apps[name].Dir, Rights: rights}, err
}

func attachedCommand(app, program string, p *config.Attached, like *supervise.Command) *supervise.Command {
	c := commandLike(like, "app "+app+" attached "+program)
	c.Path, c.Args, c.Whole = p.Command[0], p.Command, true
	c.Env = withEnv(like.Env, p.Env)
	return c
}

// commandLike is a command that runs as an app's own processes do.
func commandLike(like *supervise.Command, name string) *supervise.Command {
	return &supervise.Command{Name: name, Env: like.Env, Dir: like.Dir, Rights: like.Rights, Lifeline: true}
}

// withEnv adds variables to an environment.
func withEnv(env []string, more map[string]string) []string {
	if len(more) == 0 {
		return env
	}
	all := slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		_, again := more[name]
		return again
	})
	for _, name := range slices.Sorted(maps.Keys(more)) {
		all = append(all, name+"="+more[name])
	}
	return all
}
