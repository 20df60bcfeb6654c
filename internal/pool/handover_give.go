package pool

// How a handover (handover.go) gives one process: what reads from it is halted,
// and it goes over as messages with descriptors of its own (exchange.go).

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// errNotNow is of a process that could not be given, by no fault of its taker.
var errNotNow = errors.New("it is not given now")

// give gives one process. On an error it stays ours; after errNotNow the
// exchange goes on.
func (o *handover) give(proc *process) error {
	p := o.pool
	parked, ok := o.halt(proc)
	if !ok {
		return nil // it has died, or was lent something meanwhile
	}
	printed, prints := proc.printer.park()
	err := o.sendProcess(proc, parked, printed, prints)
	if err == nil {
		err = o.exchange.taken()
	}
	if err != nil {
		p.mu.Lock()
		for _, r := range parked {
			r.ch.unparkLocked(r)
		}
		p.dispatchLocked()
		p.unlock()
		if prints {
			proc.printer.unpark(printed)
		}
		if errors.Is(err, errNotNow) && !errors.Is(err, errStopped) && !o.complain {
			o.complain = true
			p.log.Warn("a worker cannot be handed over now", "app", p.name, "pid", proc.pid.Load(), "error", err)
		}
		return err
	}
	o.given++
	p.mu.Lock()
	for _, r := range parked {
		ch := r.ch
		ch.state = channelDead
		if i := slices.Index(p.idle, ch); i >= 0 {
			p.idle = slices.Delete(p.idle, i, i+1)
		}
		p.unlistLocked(ch)
		ch.closeFDs()
	}
	proc.channels = nil
	proc.closeFDs()
	p.forgetLocked(proc)
	p.mu.Unlock()
	if prints {
		proc.printer.file.Close()
	}
	return nil
}

// halt takes a process that rests out of dispatch and halts what reads from
// it.
func (o *handover) halt(proc *process) ([]*reader, bool) {
	p := o.pool
	p.mu.Lock()
	if !proc.restsLocked() {
		p.mu.Unlock()
		return nil, false
	}
	o.marked = nil
	channels := slices.Clone(proc.channels)
	var parting []chan *reader
	for _, ch := range channels {
		ch.handing = true
		ch.parkLocked()
		parting = append(parting, ch.parting)
	}
	p.mu.Unlock()
	var parked []*reader
	for _, c := range parting {
		if r := <-c; r != nil {
			parked = append(parked, r)
		}
	}
	if len(parked) == len(channels) {
		return parked, true
	}
	p.mu.Lock()
	for _, r := range parked {
		r.ch.unparkLocked(r)
	}
	p.dispatchLocked()
	p.unlock()
	return nil, false
}

// part is a message with descriptors of its own.
type part struct {
	message exchangeMessage
	fds     []int
}

// sendProcess writes a process and its channels. The error is errNotNow if it
// has written nothing, to a taker that is there.
func (o *handover) sendProcess(proc *process, parked []*reader, printed []byte, prints bool) error {
	parts, err := o.parts(proc, parked, printed, prints)
	if err != nil {
		err = fmt.Errorf("%w: %w", errNotNow, err)
	}
	for _, one := range parts {
		if err == nil {
			err = o.exchange.send(one.message, one.fds...)
		}
		for _, fd := range one.fds {
			closeFD(fd)
		}
	}
	return err
}

// parts describes a process and its channels. The descriptors are the
// caller's, also with an error.
func (o *handover) parts(proc *process, parked []*reader, printed []byte, prints bool) (parts []part, err error) {
	p := o.pool
	p.mu.Lock() // a stop may close what is ours
	defer p.mu.Unlock()
	if !proc.restsLocked() {
		return nil, errStopped
	}
	state := &processState{
		Number: proc.number, PID: int(proc.pid.Load()), Served: proc.served, Limit: proc.limit, Full: proc.full,
		Orphaned: slices.Clone(proc.orphaned), Channels: len(parked), Output: prints, Control: proc.control >= 0, Printed: printed,
		Traces: proc.traces != nil,
	}
	if proc.expires > 0 {
		state.Left = max(proc.expires-p.now(), 1)
	}
	raw := []int{proc.lifeline}
	var files []*os.File
	if prints {
		files = append(files, proc.printer.file)
	}
	if state.Control {
		raw = append(raw, proc.control)
	}
	if state.Traces {
		files = append(files, proc.traces)
	}
	now := p.now()
	fds, err := duplicates(raw, files...)
	parts = append(parts, part{exchangeMessage{Do: "process", Process: state}, fds})
	for _, r := range parked {
		if err != nil {
			break
		}
		ch := r.ch
		fds, err = duplicates([]int{ch.packets, ch.readEnd}, ch.answers)
		parts = append(parts, part{exchangeMessage{Do: "channel", Channel: &channelWords{
			ID: ch.id, Slot: ch.slot, Seq: ch.seq, Ping: ch.ping, Served: ch.served,
			Age: max(now-ch.since, 0), Idle: min(max(now-ch.headSince, 0), max(now-ch.since, 0)),
		}}, fds})
	}
	return parts, err
}

// duplicates are descriptors for a message: of what raw has, then of files. The
// caller closes them.
func duplicates(raw []int, files ...*os.File) (fds []int, err error) {
	add := func(fd int) {
		var dup int
		if dup, err = duplicate(fd); err == nil {
			fds = append(fds, dup)
		}
	}
	for _, fd := range raw {
		if err == nil {
			add(fd)
		}
	}
	for _, f := range files {
		if err != nil {
			break
		}
		conn, connErr := f.SyscallConn()
		if err = connErr; err == nil {
			err = conn.Control(func(fd uintptr) { add(int(fd)) })
		}
	}
	if err != nil {
		for _, fd := range fds {
			closeFD(fd)
		}
		return nil, err
	}
	return fds, nil
}
