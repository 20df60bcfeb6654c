package pool

// Which process a handover (handover.go) gives next: one that rests. Under load
// none is ever found idle: one is taken out of dispatch then, to fall idle.

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// pick returns a process that is to be given now, nil if none is, and how many
// of the host's are left here. Processes that are to be replaced are let go.
func (o *handover) pick() (_ *process, left int) {
	p := o.pool
	p.mu.Lock()
	defer p.unlock()
	var givable, resting []*process
	for _, proc := range p.processes {
		switch {
		case proc.host != o.host || len(proc.channels) == 0:
			continue
		case proc.givableLocked():
			givable = append(givable, proc)
			if proc.restsLocked() {
				resting = append(resting, proc)
			}
		}
		left++
	}
	if len(givable) > 0 || o.drained {
		o.releaseLocked()
	}
	if !slices.Contains(givable, o.marked) {
		o.unmarkLocked() // what is left of it serves on
	}
	switch {
	case o.drained:
		if p.queue.len > 0 {
			o.unmarkLocked() // it is late, but it came
			return nil, left
		}
	case len(givable) < 2:
		o.unmarkLocked()
		return nil, left
	case o.given > 0 && (p.queue.len > 0 || len(resting) < 2):
		o.unmarkLocked()
		return nil, left // all of it is needed here
	}
	if len(resting) > 0 {
		if !o.drained && o.marked != nil && o.marked.restsLocked() {
			return o.marked, left
		}
		o.unmarkLocked()
		return resting[0], left
	}
	if o.marked == nil && !o.drained && len(givable) > 0 {
		o.markLocked(slices.MinFunc(givable, func(a, b *process) int { return cmp.Compare(a.heldLocked(), b.heldLocked()) }))
	}
	return nil, left
}

// releaseLocked lets processes go that are to be replaced, which is the
// taker's to do: it hears of their deaths.
func (o *handover) releaseLocked() {
	for _, ch := range o.pool.channels {
		if ch.host == o.host && ch.process.retiring && ch.state == channelServing {
			o.pool.drainLocked(ch)
		}
	}
}

// markLocked takes a process out of dispatch: under load none is ever found
// idle.
func (o *handover) markLocked(proc *process) {
	o.marked = proc
	for _, ch := range proc.channels {
		ch.handing = true
		if !ch.lingering { // else what is unread is a ping
			o.pool.takeBackLocked(ch)
		}
	}
	o.pool.dispatchLocked()
}

func (o *handover) unmark() {
	o.pool.mu.Lock()
	defer o.pool.unlock()
	o.unmarkLocked()
}

func (o *handover) unmarkLocked() {
	if o.marked == nil {
		return
	}
	for _, ch := range o.marked.channels {
		ch.handing = false
		o.pool.idleListLocked(ch)
	}
	o.marked = nil
	o.pool.dispatchLocked()
}

func (proc *process) heldLocked() (n int) {
	for _, ch := range proc.channels {
		if n += len(ch.held); ch.streaming {
			n += maxDepth // it may take its time
		}
	}
	return n
}

// givableLocked reports whether the process may be another pool's once it
// rests.
func (proc *process) givableLocked() bool {
	unfit, _ := proc.keptLocked()
	return len(unfit) == 0 && len(proc.channels) > 0
}

// restsLocked reports whether no channel of the process has anything to do, or
// to say.
func (proc *process) restsLocked() bool {
	_, busy := proc.keptLocked()
	return len(busy) == 0 && proc.givableLocked()
}

// keptLocked says in a word each what keeps the process from being given: for
// good, and until it rests.
func (proc *process) keptLocked() (unfit, busy []string) {
	note := func(words *[]string, holds bool, word string) {
		if holds && !slices.Contains(*words, word) {
			*words = append(*words, word)
		}
	}
	note(&unfit, proc.retiring, "retiring")
	note(&unfit, proc.doomed != "", "lost")
	note(&unfit, proc.killed != "" || proc.died != "" || proc.lifeline < 0, "dying")
	note(&busy, proc.tracing, "traced")
	for _, ch := range proc.channels {
		note(&unfit, ch.state != channelServing, ch.state.String())
		note(&unfit, ch.givenUp, "lost")
		note(&unfit, ch.ended || ch.packets < 0 && ch.state == channelServing, "ended")
		note(&busy, len(ch.held) > 0, "busy")
		note(&busy, ch.writing, "written to")
		note(&busy, ch.streaming, "streaming")
		note(&busy, len(ch.held) == 0 && (ch.lingering || ch.closing()), "closing")
	}
	return unfit, busy
}

// kept says of each process that is left here what keeps it.
func (o *handover) kept() string {
	p := o.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, proc := range p.processes {
		if proc.host == o.host && len(proc.channels) > 0 {
			unfit, busy := proc.keptLocked()
			words := append(unfit, busy...)
			if len(words) == 0 {
				words = []string{"at rest"}
			}
			all = append(all, fmt.Sprintf("%d %s", proc.pid.Load(), strings.Join(words, ", ")))
		}
	}
	return strings.Join(all, "; ")
}
