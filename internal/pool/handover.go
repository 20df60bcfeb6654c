package pool

// The giving side of a handover: an upgrade keeps the workers.
//
// The host goes first, whole; from then on this pool forks nothing. Each
// process follows as it falls idle, and as long as this pool may still get
// requests it keeps what it needs for them, one process at least. exchange.go
// has the messages, adopt.go the other side.

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"millrace/internal/supervise"
)

var errHandingOver = errors.New("the app's workers are being handed to another process; reload when that serves")

// steadyPatience is how long a handover waits for a reload, or for the first
// worker.
const steadyPatience = 5 * time.Second

// HandOver gives the host and the workers to a pool in another process, whose
// Config.Adopt is the other end of the Unix stream socket to, which is closed
// at the return. The requests that this pool still gets are served. Once
// Drained says that no more come, the last processes go too; those that still
// run something after StopTimeout stay, to end with this pool.
//
// It returns nil when everything that could be given was: Run's context may end
// then. An error says why not. The workers that were not given serve on then;
// if the host was given, and its taker is gone or ctx is done, this pool starts
// a new generation of its own. A taker that lives keeps the host, and HandOver
// returns after Drained.
func (p *Pool) HandOver(ctx context.Context, to *os.File) error {
	x, err := newExchange(to)
	if err != nil {
		return err
	}
	defer x.close()
	o := &handover{pool: p, exchange: x}
	if err := o.begin(ctx); err != nil {
		err = fmt.Errorf("cannot hand over the workers of app %s: %w", p.name, err)
		_ = x.send(exchangeMessage{Do: "none", Reason: err.Error()}) // an error: nobody is there to tell
		return err
	}
	defer p.hosts.Done()
	if err := o.giveHost(ctx); err != nil {
		o.inKeeper(func() { p.keeper.handing = false })
		p.kickKeeper()
		return fmt.Errorf("cannot hand over the workers of app %s: %w; they serve on", p.name, err)
	}
	if err := o.giveProcesses(ctx); err != nil {
		o.unmark()
		gone, err := x.takerGone(err)
		err = fmt.Errorf("the handover of app %s broke off: %w", p.name, err)
		if ctx.Err() == nil && !gone && o.keeps(ctx, err) {
			return err
		}
		x.close() // before anything of it is used here again
		p.log.Error("a handover broke off; a new generation starts", "app", p.name, "given", o.given, "error", err)
		o.inKeeper(func() { p.takeHostBack(o.host) })
		return err
	}
	o.host.leave() // the taker has it
	return nil
}

// keeps leaves the host with a taker that lives, and what was not given here. It
// returns when this pool is needed no more, or, with false, when the taker is
// said to have failed: two that read the host's reports would each miss some.
func (o *handover) keeps(ctx context.Context, why error) bool {
	p := o.pool
	o.exchange.close()
	p.log.Warn("no more workers are handed over; the others serve here until this process ends", "app", p.name, "given", o.given, "error", why)
	select {
	case <-p.drained:
	case <-p.done:
	case <-ctx.Done():
		select {
		case <-p.drained:
		default:
			return false
		}
	}
	o.host.leave()
	return true
}

// Drained tells a HandOver that no further request comes to this pool.
func (p *Pool) Drained() { p.drainOnce.Do(func() { close(p.drained) }) }

// handover is the state of one HandOver.
type handover struct {
	pool     *Pool
	exchange *exchange
	host     *host
	given    int // processes
	drained  bool
	until    time.Time // after which nothing more is given
	marked   *process  // lent nothing, to fall idle
	complain bool      // it is logged that a process could not be given
}

// inKeeper has the keeper run f, unless the pool has ended.
func (o *handover) inKeeper(f func()) bool {
	done := make(chan struct{})
	select {
	case o.pool.tasks <- func() { f(); close(done) }:
		<-done
		return true
	case <-o.pool.done:
		return false
	}
}

// begin waits for a generation that serves, and has the keeper leave it as it
// is. With it the caller is counted among Pool.hosts.
func (o *handover) begin(ctx context.Context) error {
	p, k := o.pool, &o.pool.keeper
	late := time.NewTimer(steadyPatience)
	defer late.Stop()
	tick := time.NewTicker(busyTick)
	defer tick.Stop()
	for {
		var why error
		final := false
		ended := !o.inKeeper(func() {
			switch {
			case k.handing || k.given != nil:
				why = errHandingOver
			case k.next != nil:
				why = errors.New("a generation is starting")
			case k.current == nil || p.isStopping():
				why = errors.New("it does not serve")
			case k.current.cfg.Program != nil:
				why, final = errors.New("a program's processes are started anew"), true
			case k.current.cfg.perRequest():
				why, final = errors.New("each request has a process of its own"), true
			case k.current.awaits():
				why = errors.New("the handover before has not ended")
			default:
				why = nil
				k.handing, o.host = true, k.current
				p.hosts.Add(1)
			}
		})
		if ended {
			return errStopped
		}
		if o.host != nil || final {
			return why
		}
		select {
		case <-tick.C:
		case <-late.C:
			return why
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// giveHost offers the host and gives it. On an error it is ours still.
func (o *handover) giveHost(ctx context.Context) error {
	x, h, p := o.exchange, o.host, o.pool
	if err := x.send(exchangeMessage{Do: "offer", Version: exchangeVersion, Fingerprint: fingerprint(&h.cfg)}); err != nil {
		return err
	}
	if _, _, err := x.expect(ctx, "accept"); err != nil {
		return err
	}
	unread, ok := h.park()
	if !ok {
		return errors.New("its host has ended")
	}
	printed, prints := h.printer.park()
	fds, err := duplicates(nil, h.control, h.page.file, h.printer.file)
	if err == nil {
		state := o.hostState()
		state.Unread, state.Printed = unread, printed
		err = x.send(exchangeMessage{Do: "host", Host: state}, fds...)
	}
	for _, fd := range fds {
		closeFD(fd)
	}
	if err == nil {
		err = x.taken()
	}
	if err != nil {
		h.unpark(unread)
		if prints {
			h.printer.unpark(printed)
		}
		return err
	}
	if prints {
		h.printer.file.Close()
	}
	p.mu.Lock()
	h.gone = true // nothing more is reported to us
	p.mu.Unlock()
	o.inKeeper(func() {
		k := &p.keeper
		k.handing, k.given, k.current = false, h, nil
	})
	p.kickKeeper()
	return nil
}

// hostState describes the host and the processes that it has.
func (o *handover) hostState() *hostState {
	h, p := o.host, o.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &hostState{
		PID: h.proc.PID(), Generation: h.generation, Preload: h.preload, Slots: h.slots,
		LastProcess: h.lastProcess, ChannelIDs: p.channelIDs.Load(), About: h.about,
	}
	for _, proc := range p.processes {
		if proc.host != h {
			continue
		}
		a := awayState{Number: proc.number, PID: int(proc.pid.Load()), Slots: slices.Clone(proc.orphaned)}
		for _, ch := range proc.channels {
			a.Slots = append(a.Slots, ch.slot)
			if ch.state == channelServing || ch.state == channelStarting {
				a.Channels++
			}
		}
		s.Away = append(s.Away, a)
	}
	return s
}

// giveProcesses gives what falls idle, until nothing is left to give.
func (o *handover) giveProcesses(ctx context.Context) error {
	p := o.pool
	tick := time.NewTicker(busyTick)
	defer tick.Stop()
	drained := p.drained
	for {
		for {
			proc, left := o.pick()
			switch {
			case o.drained && (left == 0 || time.Now().After(o.until) || ctx.Err() != nil):
				return o.end(left)
			case ctx.Err() != nil:
				return ctx.Err()
			}
			if proc == nil {
				break
			}
			err := o.give(proc)
			if errors.Is(err, errNotNow) {
				break // not at once again
			}
			if err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
			if err := o.exchange.alive(ctx); err != nil {
				return fmt.Errorf("its taker takes no more: %w", err)
			}
		case <-drained:
			drained, o.drained = nil, true
			o.until = time.Now().Add(o.host.cfg.StopTimeout)
		case <-p.done:
			return o.end(0)
		case <-ctx.Done():
			select {
			case <-p.drained:
				o.drained = true
			default:
			}
		}
	}
}

// end says that nothing more is given.
func (o *handover) end(left int) error {
	o.unmark()
	p := o.pool
	if left != 0 {
		p.log.Warn("workers are not handed over, and end with this process", "app", p.name, "processes", left, "why", o.kept())
	}
	return o.exchange.send(exchangeMessage{Do: "end"})
}

// takeHostBack goes on with a generation of our own, since the host's taker is
// gone. It is the keeper's.
func (p *Pool) takeHostBack(h *host) {
	k := &p.keeper
	proc := supervise.Process(noHost{})
	if adopter, ok := h.cfg.Starter.(supervise.Adopter); ok {
		var err error
		if proc, err = adopter.Adopt(h.proc.PID()); err != nil {
			p.log.Warn("the host has ended with its taker", "app", p.name, "pid", h.proc.PID(), "error", err)
			proc = noHost{}
		}
	}
	p.mu.Lock()
	h.mu.Lock()
	h.gone, h.proc = false, proc
	h.mu.Unlock()
	p.mu.Unlock()
	h.unpark(nil)
	k.given = nil
	k.old = append(k.old, h)
	if k.next == nil && k.current == nil && !p.isStopping() {
		p.startNext(h.cfg, h.cfg.Preload, nil)
	}
}

// tendGiven starts a generation of our own when every worker that was kept for
// requests that still come has died.
func (p *Pool) tendGiven() {
	k := &p.keeper
	if k.given == nil || k.next != nil || k.current != nil {
		return
	}
	p.mu.Lock()
	lost := p.queue.len > 0 && len(p.channels) == 0
	p.mu.Unlock()
	if lost {
		p.log.Warn("no worker is left for requests that still wait here; a new generation starts", "app", p.name)
		p.startNext(k.given.cfg, k.given.cfg.Preload, nil)
	}
}

func (p *Pool) isStopping() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopping
}

// fingerprint is the same for two configurations that make the same host: its
// program, environment and rights, the app, and what its processes are told.
func fingerprint(cfg *Config) string {
	command := *cfg.Host
	command.Plan = 0 // each process counts its own
	b, err := json.Marshal(struct {
		Host                                  *supervise.Command
		WSGI, Dir, Workdir, WarmUp, AfterFork string
		Demo, Preload                         bool
		Threads, MaxChildren                  int
	}{&command, cfg.WSGI, cfg.Dir, cfg.Workdir, cfg.WarmUp, cfg.AfterFork, cfg.Demo, cfg.Preload, cfg.Threads, cfg.MaxChildren})
	if err != nil {
		return "" // of no other
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
