//go:build unix

package keeper

// The first half of an upgrade, in the old program: from the word to the
// execution of the new one, which goes on (inherit.go).

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"millrace/internal/supervise"
)

// trialTime is what a new program has to say that it starts.
const trialTime = 10 * time.Second

// maxOld is how many fronts may still have requests when an upgrade begins.
const maxOld = 4

// upgrade is one that is under way.
type upgrade struct {
	asker   int    // the number of the front that asked; 0: none did
	request uint64 // that it asked with
	refused func(error)

	tried   bool                     // the new program starts
	halting bool                     // the fronts are told to pause
	again   map[*front]chan struct{} // of those that have paused

	inherited bool // it is the new program that runs
	apps      []string
	names     []string   // of give
	give      []*os.File // our ends of what the next front takes workers from, for the current one
}

// UpgradeSelf upgrades, for a signal: how it went is said in the log. The front
// is told to ask for it: it knows whether a reload is under way.
func (k *Keeper) UpgradeSelf() {
	k.post(func() {
		if k.current != nil {
			k.reply(k.current, &message{Do: "upgrade"})
		}
	})
}

// upgrade begins an upgrade. refused is called if it does not come to the
// program's execution; what happens after that the new program says.
func (k *Keeper) upgrade(refused func(error), asker int, request uint64) {
	why, fix := "", "ask again when that is done"
	switch {
	case k.upgrading != nil, k.stopping, k.current == nil || !k.current.served:
		why = "another upgrade, or the end, or a start is under way"
	case len(k.old) >= maxOld:
		why, fix = fmt.Sprintf("%d fronts of earlier ones have not ended", len(k.old)), "ask again when one of them has: what it still answers bounds that, and shutdown_timeout"
	}
	if why != "" {
		k.opt.Log.Warn("an upgrade is refused: " + why)
		refused(&Failure{Problem: "cannot upgrade: " + why, Fix: fix})
		return
	}
	u := &upgrade{asker: asker, request: request, refused: refused, again: map[*front]chan struct{}{}}
	k.upgrading = u
	go func() {
		err := k.try()
		k.post(func() {
			if u.tried = true; err != nil {
				k.refuse(err)
				return
			}
			k.proceed()
		})
	}()
}

// refuse ends an upgrade before the program's execution.
func (k *Keeper) refuse(err error) {
	u := k.upgrading
	k.upgrading = nil
	for f, again := range u.again {
		f.wire.resume()
		close(again)
	}
	for _, f := range k.fronts() {
		f.wire.resume() // one that had not paused yet
	}
	k.opt.Signals() // which were ignored, if it came that far
	k.opt.Log.Error("cannot upgrade; the old program serves on", "error", err)
	u.refused(err)
}

// fronts are those that a next program would find.
func (k *Keeper) fronts() []*front {
	all := slices.Clone(k.old)
	if k.current != nil {
		all = append(all, k.current)
	}
	return all
}

// proceed goes on with an upgrade as far as that is possible now. What another
// program could not know of must be over: plans that are being loaded, whose
// loading starts processes, and what a front has said and is not answered.
func (k *Keeper) proceed() {
	u := k.upgrading
	switch {
	case u == nil || !u.tried || k.next != nil || u.inherited:
		return
	case k.current == nil || k.stopping:
		k.refuse(errors.New("the front has ended, or is told to"))
		return
	case k.loading > 0:
		return
	}
	if !u.halting {
		u.halting = true
		for _, f := range k.fronts() {
			f.wire.pause()
		}
	}
	for _, f := range k.fronts() {
		if u.again[f] == nil {
			return
		}
	}
	if k.starting > 0 { // the last one goes on here
		return
	}
	k.refuse(k.execute()) // a success has not returned
}

// paused notes that nothing is read from a front until again is closed.
func (k *Keeper) paused(f *front, again chan struct{}) {
	u := k.upgrading
	if u == nil || !u.halting {
		f.wire.resume() // the upgrade was refused meanwhile
		close(again)
		return
	}
	u.again[f] = again
	k.proceed()
}

// try runs the program's file as it is now, only to see that it starts.
func (k *Keeper) try() error {
	ctx, cancel := context.WithTimeout(context.Background(), trialTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, k.opt.Program, k.opt.Trial...)
	cmd.WaitDelay = time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &limited{&said}, &limited{&said}
	err := cmd.Run()
	if err == nil && strings.TrimSpace(said.String()) != trialWord {
		err = errors.New("it is another program, or one that cannot take this one's place")
	}
	if err != nil {
		f := &Failure{Problem: fmt.Sprintf("the new program %s does not start: %v", k.opt.Program, err), Fix: "put one that runs in its place, and upgrade again"}
		if text := strings.TrimSpace(said.String()); text != "" && text != trialWord {
			f.More = text
		}
		return f
	}
	return nil
}

// trialWord is what a program answers to Trial that understands our state.
const trialWord = "millrace keeper 1"

// Trial is the answer to Options.Trial.
func Trial() string { return trialWord }

// limited keeps the first part of what a program says.
type limited struct{ b *bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := 4096 - l.b.Len(); room > 0 {
		l.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// execute executes the program's file in place. It returns on a failure alone.
func (k *Keeper) execute() error {
	var kept []int // descriptors that the next program is to have
	keep := func(f interface {
		SyscallConn() (syscall.RawConn, error)
	}) int {
		raw, err := f.SyscallConn()
		if err != nil {
			return -1
		}
		number := -1
		_ = raw.Control(func(fd uintptr) { number = int(fd) })
		kept = append(kept, number)
		return number
	}
	st := &State{
		Key: k.opt.Key, Number: k.number, Plans: k.plans, LastFront: k.lastFront, Memory: k.memory, PIDFile: k.pidfile,
		Front:     stateFront{k.current.number, k.current.plan, k.current.process.PID(), keep(k.current.wire.conn)},
		Lifelines: map[int]int{}, Owners: map[int]int{}, Asker: k.upgrading.asker, Request: k.upgrading.request,
	}
	for _, f := range k.old {
		st.Old = append(st.Old, stateFront{f.number, f.plan, f.process.PID(), keep(f.wire.conn)})
	}
	for key, h := range k.held {
		s := stateSocket{Key: key, Path: h.path, FD: keep(h.file)}
		if h.made != nil {
			if sys, ok := h.made.Sys().(*syscall.Stat_t); ok {
				s.Dev, s.Ino = uint64(sys.Dev), uint64(sys.Ino)
			}
		}
		for user := range h.users {
			s.Users = append(s.Users, user)
		}
		for _, w := range h.waiting {
			s.Waiting = append(s.Waiting, stateWaiting{w.front.number, w.request})
		}
		st.Sockets = append(st.Sockets, s)
	}
	for pid, p := range k.procs {
		st.Owners[pid] = p.front.number // it may have ended: then nobody waits for the process but we
		if l, ok := unwrap(p.process).(interface{ Lifeline() *os.File }); ok && l.Lifeline() != nil {
			st.Lifelines[pid] = keep(l.Lifeline())
		}
	}
	f, err := stateFile(st)
	if err != nil {
		return fmt.Errorf("cannot write the state for the new program: %w", err)
	}
	defer f.Close()
	kept = append(kept, k.opt.NextFiles...)
	env := slices.Concat(os.Environ(), k.opt.NextEnv)
	env = append(env, fmt.Sprintf("%s=%d", StateVariable, keep(f)))
	k.opt.Log.Info("upgrading", "program", k.opt.Program)
	// What comes until the new program listens to signals waits for it.
	unblock := blockSignals()
	syscall.ForkLock.Lock()
	for _, fd := range kept {
		setCloseOnExec(fd, false)
	}
	err = syscall.Exec(k.opt.Program, k.opt.Args, env)
	for _, fd := range kept {
		setCloseOnExec(fd, true)
	}
	syscall.ForkLock.Unlock()
	unblock()
	return &Failure{Problem: fmt.Sprintf("cannot execute %s: %v", k.opt.Program, err), Fix: "put one that runs in its place, and upgrade again"}
}

func unwrap(p supervise.Process) supervise.Process {
	if w, ok := p.(*watched); ok {
		return w.Process
	}
	return p
}
