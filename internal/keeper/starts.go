//go:build unix

package keeper

// Starts of processes, and what one front may ask for. A start may take long,
// on an app's own file system: it goes on beside all else.

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"millrace/cgi"
	"millrace/internal/supervise"
)

// Bounds for one front, far beyond what one needs: it may be somebody else's.
const (
	maxProcesses = 10_000 // that it has
	maxStarts    = 256    // under way
	maxLoads     = 4      // of plans, under way
	maxAnyPort   = 256    // sockets of one address whose port is any
)

// settleTime is how long the keeper's end waits for starts that are under way.
const settleTime = 5 * time.Second

// receive has a message handled. It closes the descriptors that came along
// unless they are somebody's by now, beside the keeper's loop: close may wait,
// as of a socket that lingers. false: the front is not to be heard any more.
func (k *Keeper) receive(f *front, m *message) bool {
	if len(m.files) == 0 {
		return k.post(func() { k.handle(f, m) })
	}
	if m.Do != "start" {
		_ = f.process.Kill() // nothing else takes any
		closeAll(m.files)
		return false
	}
	handled := make(chan struct{})
	going := k.post(func() { k.handle(f, m); close(handled) })
	if going {
		<-handled
	}
	closeAll(m.files)
	return going
}

// start starts a command of a plan, and replies. What a front says of it is its
// name, the plan, and what it is to have open.
func (k *Keeper) start(f *front, m *message) {
	s, err := k.starts(f, m)
	if err != nil {
		k.reply(f, &message{ID: m.ID, Do: "reply", Failed: failed(err)})
		return
	}
	files := m.files
	m.files = nil // ours from now on
	k.starting++
	f.starting++
	go func() {
		p, err := k.starter.Start(s)
		posted := k.post(func() {
			k.starting--
			k.launched(f, m.ID, p, err)
			k.proceed()
		})
		if !posted && err == nil { // all is over
			_ = p.Kill()
			p.Wait()
		}
		closeAll(files)
		k.post(func() { f.starting-- })
	}()
}

// starts is what a front asks to start, if it may.
func (k *Keeper) starts(f *front, m *message) (s supervise.Start, err error) {
	loaded := k.plans[m.Plan]
	switch {
	case k.ended != nil:
		return s, fmt.Errorf("cannot start %.100q: the keeper ends", m.Command)
	case loaded == nil:
		return s, fmt.Errorf("cannot start %.100q: its configuration is not served any more", m.Command)
	case loaded.Commands[m.Command] == nil:
		return s, fmt.Errorf("cannot start %.100q: there is no such command in the configuration", m.Command)
	}
	s.Command, s.Replace = loaded.Commands[m.Command], m.Replace
	fail := func(err error) (supervise.Start, error) {
		return s, fmt.Errorf("cannot start %s: %w", s.Command.Name, err)
	}
	if err := k.room(f); err != nil {
		return fail(err)
	}
	left := m.files
	for _, null := range m.Null {
		switch {
		case null:
			s.Files = append(s.Files, nil)
		case len(left) == 0:
			return fail(errors.New("descriptors are missing"))
		default:
			s.Files, left = append(s.Files, left[0]), left[1:]
		}
	}
	if len(left) > 0 || len(s.Files) > maxFiles {
		return fail(errors.New("there are too many descriptors"))
	}
	for name, value := range m.Replace {
		if err := checkReplacement(name, value); err != nil {
			return fail(err)
		}
	}
	if s.Env, s.Args, err = ofRequest(s.Command, m); err != nil {
		return fail(err)
	}
	if s.Command.Folder == nil && len(m.Program)+len(m.Owner) > 0 {
		return fail(errors.New("it is one program"))
	}
	s.Program, s.Owner = string(m.Program), m.Owner // which the launcher checks
	return s, nil
}

// room is an error if a front has all that it may have.
func (k *Keeper) room(f *front) error {
	if f.starting >= maxStarts {
		return &Failure{Problem: fmt.Sprintf("%d starts are under way", f.starting), Fix: "look why programs take so long to start"}
	}
	if len(k.procs)+f.starting < maxProcesses {
		return nil
	}
	has := f.starting
	for _, p := range k.procs {
		if p.front == f {
			has++
		}
	}
	if has >= maxProcesses {
		return &Failure{Problem: fmt.Sprintf("there are %d processes already", has), Fix: "look why so many run"}
	}
	return nil
}

// launched tells a front of the process that it asked for.
func (k *Keeper) launched(f *front, request uint64, p supervise.Process, err error) {
	if !k.lives(f) {
		if err == nil {
			_ = p.Kill()
			go p.Wait()
		}
		return
	}
	reply := &message{ID: request, Do: "reply", Failed: failed(err)}
	if err == nil {
		reply.PID = p.PID()
		k.procs[reply.PID] = &owned{process: p, front: f}
	}
	k.reply(f, reply)
	k.follow(reply.PID) // its exit comes after the reply
}

// settle waits for the starts that are under way, so that they leave nothing.
func (k *Keeper) settle() {
	late := time.NewTimer(settleTime)
	defer late.Stop()
	for k.starting > 0 {
		select {
		case f := <-k.do:
			f()
		case <-late.C:
			return
		}
	}
}

// ofRequest are the variables and arguments of a request, for a program that is
// started for each: they must not steer the program itself.
func ofRequest(c *supervise.Command, m *message) (env, args []string, err error) {
	if !c.PerRequest && len(m.Env)+len(m.Args) > 0 {
		return nil, nil, errors.New("it takes nothing of a request")
	}
	for _, v := range m.Env {
		name, _, _ := strings.Cut(string(v), "=")
		if !cgi.MayBeVariable(name) {
			return nil, nil, fmt.Errorf("a request may not set %.50q", name)
		}
		env = append(env, string(v))
	}
	for _, arg := range m.Args {
		if len(arg) > 0 && arg[0] == '-' {
			return nil, nil, errors.New("a request's argument begins with -")
		}
		args = append(args, string(arg))
	}
	return env, args, nil
}

// checkReplacement takes what a program may be told of its socket, and nothing
// that it could take for something else.
func checkReplacement(name, value string) error {
	switch {
	case name == "port" && value != "" && len(value) <= len("65535") && strings.Trim(value, "0123456789") == "":
		return nil
	case name == "socket" && len(value) < 108 && strings.HasPrefix(value, "/") && !strings.Contains(value, "..") && plain(value):
		return nil
	}
	return fmt.Errorf("%.20q is not replaced by %.120q", name, value)
}

// plain reports whether a path is made as those of our own sockets are.
func plain(path string) bool {
	return !strings.ContainsFunc(path, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("._/-", c))
	})
}
