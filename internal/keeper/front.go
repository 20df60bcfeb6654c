//go:build unix

package keeper

// Fronts, and the processes that they have us start.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"millrace/internal/supervise"
)

// front is a process that serves.
type front struct {
	number  int
	plan    int // the number of the one that it serves
	process supervise.Process
	wire    *wire
	born    time.Time
	served  bool

	starting int   // processes whose starts are under way, or whose files are being closed
	loading  int   // plans
	failure  error // that it has told of, before its end; nil: none
}

// startFront starts a front that serves a plan: the current one, or if there is
// one, the next.
func (k *Keeper) startFront(plan int) error {
	f, err := k.newFront(plan)
	if err != nil {
		return err
	}
	begin := &message{Do: "begin", Plan: f.plan, Body: k.plans[f.plan].Front, Memory: k.memory, PID: os.Getpid()}
	if k.current == nil {
		k.current = f
	} else {
		k.next = f
		begin.Text = follow
		closeAll(k.upgrading.give)
		k.upgrading.give, k.upgrading.names = nil, nil
		for _, name := range k.upgrading.apps {
			ours, theirs, err := pair()
			if err != nil {
				break // its workers start anew
			}
			begin.Names = append(begin.Names, name)
			begin.files = append(begin.files, theirs)
			k.upgrading.names = append(k.upgrading.names, name)
			k.upgrading.give = append(k.upgrading.give, ours)
		}
	}
	k.watch(f)
	k.reply(f, begin, begin.files...)
	closeAll(begin.files)
	return nil
}

func (k *Keeper) newFront(plan int) (*front, error) {
	loaded := k.plans[plan]
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	w, err := newWire(ours)
	if err != nil {
		return nil, err
	}
	p, err := supervise.Local{}.Start(supervise.Start{
		Command: &supervise.Command{
			Name: "the front", Path: k.opt.Program, Args: append([]string{k.opt.Args[0]}, k.opt.Front...), Env: k.opt.Env, Rights: loaded.Rights,
		},
		Files: []*os.File{nil, k.opt.Stdout, k.opt.Stderr, theirs},
	})
	if err != nil {
		w.conn.Close()
		return nil, err
	}
	k.lastFront++
	return &front{number: k.lastFront, plan: plan, process: p, wire: w, born: time.Now()}, nil
}

// FrontFile is the descriptor of a front's connection to its keeper.
const FrontFile = 3

// watch follows what a front says, and its end.
func (k *Keeper) watch(f *front) {
	go func() {
		for {
			m, err := f.wire.receive()
			if errors.Is(err, errPaused) {
				again := make(chan struct{})
				if !k.post(func() { k.paused(f, again) }) {
					return
				}
				<-again
				continue
			}
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) && !errors.Is(err, syscall.ECONNRESET) {
					_ = f.process.Kill() // what it says cannot be understood
				}
				return
			}
			if !k.receive(f, m) {
				return
			}
		}
	}()
	go func() {
		x := f.process.Wait()
		k.post(func() { k.exited(f, x) })
	}()
}

// follow tells the owner of a process of its end.
func (k *Keeper) follow(pid int) {
	p := k.procs[pid]
	if p == nil || p.process == nil {
		return
	}
	if adopted, ok := p.process.(*watched); ok && adopted.followed {
		return
	}
	w := &watched{Process: p.process, followed: true}
	p.process = w
	go func() {
		x := w.Wait()
		k.post(func() {
			if k.procs[pid] != p {
				return
			}
			delete(k.procs, pid)
			for _, f := range append(p.before, p.front) {
				if k.lives(f) {
					k.reply(f, &message{Do: "exited", PID: pid, Code: x.Code, Signal: int(x.Signal), Failed: failed(x.Err)})
				}
			}
		})
	}()
}

// lives reports whether a front has not ended.
func (k *Keeper) lives(f *front) bool {
	return f != nil && (f == k.current || f == k.next || slices.Contains(k.old, f))
}

// watched is a process whose end is waited for.
type watched struct {
	supervise.Process
	followed bool
}

// adopt gives a process to the next front.
func (k *Keeper) adopt(f *front, pid int) error {
	p := k.procs[pid]
	if p == nil {
		return fmt.Errorf("there is no process %d", pid)
	}
	if p.front != f {
		p.before = append(p.before, p.front)
		p.front = f
	}
	return nil
}

// signalProcess signals a process that the front has started.
func (k *Keeper) signalProcess(f *front, m *message) {
	p := k.procs[m.PID]
	if p == nil || p.front != f {
		return // it is gone, or another's
	}
	var err error
	if m.Do == "kill" {
		err = p.process.Kill()
	} else {
		err = p.process.Signal(syscall.Signal(m.Signal))
	}
	if err != nil {
		k.opt.Log.Error("cannot signal a process", "pid", m.PID, "error", err)
	}
}
