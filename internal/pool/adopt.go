package pool

// The taking side of a handover (handover.go): this pool goes on with the host
// and the workers of a pool in another process.
//
// The host comes first. From then on its reports of deaths come here, and this
// pool forks; the processes that are still with the giver count as starting,
// so that there are never more than wanted, but for one: while all of them are
// away, a substitute serves.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
	"unsafe"

	"millrace/internal/supervise"
)

// substitutePatience is how long a pool without a worker of its own waits for
// the first of several.
const substitutePatience = 200 * time.Millisecond

// adoption is the state of one taking over.
type adoption struct {
	pool     *Pool
	exchange *exchange
	host     *host
}

// adopt takes the host over; its processes follow. It returns false if there
// is none to be had. It is the keeper's.
func (p *Pool) adopt(ctx context.Context) bool {
	if p.cfg.Program != nil || p.cfg.perRequest() {
		p.adoptFrom.Close()
		return false
	}
	x, err := newExchange(p.adoptFrom)
	if err != nil {
		p.log.Error("no workers are taken over; new ones start", "app", p.name, "error", err)
		return false
	}
	a := &adoption{pool: p, exchange: x}
	if err := a.takeHost(ctx); err != nil {
		x.close()
		p.log.Warn("no workers are taken over; new ones start", "app", p.name, "error", err)
		return false
	}
	h := a.host
	k := &p.keeper
	k.generations, k.current = h.generation, h
	p.mu.Lock()
	p.generation, p.generationSince, p.host, p.about = h.generation, time.Now(), h, h.about
	away := len(h.away)
	p.mu.Unlock()
	p.log.Info("the host is taken over", "app", p.name, "pid", h.proc.PID(), "generation", h.generation, "processes", away)
	p.hosts.Add(2)
	go h.follow(h.unread)
	go a.run(ctx)
	return true
}

// takeHost answers an offer, and takes what was offered.
func (a *adoption) takeHost(ctx context.Context) error {
	x, p := a.exchange, a.pool
	m, fds, err := x.receive(ctx, steadyPatience+exchangePatience)
	for _, fd := range fds {
		closeFD(fd)
	}
	switch {
	case err != nil:
		return err
	case m.Do != "offer":
		return errors.New(m.Reason)
	}
	adopter, able := p.cfg.Starter.(supervise.Adopter)
	reason := ""
	switch {
	case m.Version != exchangeVersion:
		reason = fmt.Sprintf("the other side gives them as version %d, this one takes version %d", m.Version, exchangeVersion)
	case m.Fingerprint == "" || m.Fingerprint != fingerprint(p.cfg):
		reason = "the app's configuration, or the worker's program, is another now"
	case !able:
		reason = "processes cannot be taken over here"
	}
	if reason != "" {
		_ = x.send(exchangeMessage{Do: "refuse", Reason: reason})
		return errors.New(reason)
	}
	if err := x.send(exchangeMessage{Do: "accept"}); err != nil {
		return err
	}
	if m, fds, err = x.expect(ctx, "host"); err != nil {
		return err
	}
	if err := a.makeHost(m.Host, fds, adopter); err != nil {
		_ = x.send(exchangeMessage{Do: "refuse", Reason: err.Error()})
		return err
	}
	return nil
}

// makeHost makes a host of what came. The descriptors are its own, or closed.
func (a *adoption) makeHost(s *hostState, fds []int, adopter supervise.Adopter) (err error) {
	p := a.pool
	control, page, out := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "page"), os.NewFile(uintptr(fds[2]), "output")
	h := &host{
		pool: p, cfg: *p.cfg, preload: s.Preload, generation: s.Generation, started: time.Now(),
		control: control, slots: s.Slots, lastProcess: s.LastProcess, away: map[int]*awayState{},
		adopted: max(p.now(), 1), ready: true, served: true, forked: true, about: s.About,
	}
	defer func() {
		if err != nil {
			control.Close()
			page.Close()
			out.Close()
		}
	}()
	info, err := page.Stat()
	if err != nil {
		return err
	}
	if info.Size() < int64(s.Slots)*slotSize {
		return fmt.Errorf("%w: a page of %d bytes for %d slots", errExchange, info.Size(), s.Slots)
	}
	if h.raw, err = control.SyscallConn(); err != nil {
		return err
	}
	if h.proc, err = adopter.Adopt(s.PID); err != nil {
		return err
	}
	if h.page, err = mapPage(page, int(info.Size())); err != nil {
		return err
	}
	taken := map[int]bool{}
	for i := range s.Away {
		h.away[s.Away[i].Number] = &s.Away[i]
		for _, slot := range s.Away[i].Slots {
			taken[slot] = true
		}
	}
	for i := range s.Slots {
		if slot := s.Slots - 1 - i; !taken[slot] {
			h.free = append(h.free, slot)
		}
	}
	if err := a.exchange.send(exchangeMessage{Do: "taken"}); err != nil {
		return err
	}
	p.channelIDs.Store(s.ChannelIDs)
	h.printer = p.output.follow(out, nil, s.Printed)
	h.unread = s.Unread
	a.host = h
	return nil
}

// run takes processes until the giver has no more, or is gone.
func (a *adoption) run(ctx context.Context) {
	p, h := a.pool, a.host
	defer p.hosts.Done()
	defer a.exchange.close()
	var err error
	for err == nil {
		var m exchangeMessage
		var fds []int
		m, fds, err = a.exchange.receive(ctx, 0)
		switch {
		case err != nil:
		case m.Do == "end":
			err = io.EOF
		case m.Do == "process":
			err = a.takeProcess(m.Process, fds)
			continue
		default:
			err = fmt.Errorf("%w: %q is not expected", errExchange, m.Do)
		}
		for _, fd := range fds {
			closeFD(fd)
		}
		if err == io.EOF && m.Do == "end" {
			break
		}
	}
	p.mu.Lock()
	left, _ := h.awayLocked()
	h.gaveUp = true
	p.mu.Unlock()
	p.kickKeeper()
	switch {
	case err != io.EOF && ctx.Err() == nil:
		// The giver must not take us for dead, and the host back.
		_ = a.exchange.send(exchangeMessage{Do: "refuse", Reason: err.Error()}) // an error: it is dead itself
		p.log.Error("the process before hands over no more workers; others start", "app", p.name, "error", err)
	case left > 0 && ctx.Err() == nil:
		p.log.Info("some workers end with the process before; others start", "app", p.name, "workers", left)
	}
}

// takeProcess receives a process's channels, and makes it ours.
func (a *adoption) takeProcess(s *processState, fds []int) (err error) {
	p, h := a.pool, a.host
	proc := &process{
		host: h, number: s.Number, control: -1, lifeline: fds[0], reported: make(chan struct{}),
		served: s.Served, limit: s.Limit, full: s.Full, orphaned: s.Orphaned,
	}
	proc.pid.Store(int64(s.PID))
	rest := fds[1:]
	if s.Control {
		proc.control, rest = rest[0], rest[1:]
	}
	var out *os.File
	if s.Output {
		out, rest = os.NewFile(uintptr(rest[0]), "output"), rest[1:]
	}
	if s.Traces {
		proc.traces = os.NewFile(uintptr(rest[0]), "tracebacks")
	}
	if limit := h.cfg.MaxLifetime; limit > 0 {
		proc.expires = p.now() + time.Duration(jitter(int(limit)))
		if s.Left > 0 {
			proc.expires = min(proc.expires, p.now()+s.Left)
		}
	}
	var channels []*channel
	defer func() {
		if err != nil {
			proc.closeFDs()
			if out != nil {
				out.Close()
			}
			for _, ch := range channels {
				ch.closeFDs()
			}
		}
	}()
	for range s.Channels {
		m, fds, err := a.exchange.expect(context.Background(), "channel")
		if err != nil {
			return err
		}
		c := m.Channel
		ch := &channel{
			pool: p, host: h, process: proc, id: c.ID, slot: c.Slot, seq: c.Seq, ping: c.Ping, served: c.Served,
			since: -c.Age, headSince: -c.Idle,
			packets: fds[0], readEnd: fds[1], answers: os.NewFile(uintptr(fds[2]), "answers"), state: channelServing, ready: true,
		}
		channels = append(channels, ch)
		if ch.raw, err = ch.answers.SyscallConn(); err != nil {
			return err
		}
	}
	if err := a.mayTake(proc, channels); err != nil {
		return err
	}
	if err := a.exchange.send(exchangeMessage{Do: "taken"}); err != nil {
		return err
	}
	a.enter(proc, channels, out, s.Printed)
	return nil
}

// mayTake checks that a process, and the slots that it writes to, are what the
// host came with.
func (a *adoption) mayTake(proc *process, channels []*channel) error {
	p, h := a.pool, a.host
	p.mu.Lock()
	defer p.mu.Unlock()
	away := h.away[proc.number]
	if away == nil {
		away = h.diedAway[proc.number]
	}
	if away == nil {
		return fmt.Errorf("%w: process %d is not the host's", errExchange, proc.number)
	}
	left := slices.Clone(away.Slots)
	slots := slices.Clone(proc.orphaned)
	for _, ch := range channels {
		slots = append(slots, ch.slot)
	}
	for _, slot := range slots {
		i := slices.Index(left, slot)
		if i < 0 {
			return fmt.Errorf("%w: slot %d is not of process %d", errExchange, slot, proc.number)
		}
		left = slices.Delete(left, i, i+1)
	}
	return nil
}

// enter puts a process among ours.
func (a *adoption) enter(proc *process, channels []*channel, out *os.File, printed []byte) {
	p, h := a.pool, a.host
	p.mu.Lock()
	defer p.unlock()
	if out != nil {
		proc.printer = p.output.follow(out, proc, printed)
	} else {
		proc.printer = endedPrinter()
	}
	away := h.away[proc.number]
	if away == nil { // the host has reported its death meanwhile
		proc.closeFDs()
		for _, ch := range channels {
			ch.closeFDs()
		}
		return
	}
	delete(h.away, proc.number)
	if proc.pid.Load() == 0 {
		proc.pid.Store(int64(away.PID))
	}
	proc.channels = channels
	p.processes = append(p.processes, proc)
	used, now := map[int]bool{}, p.now()
	for _, slot := range proc.orphaned {
		used[slot] = true
	}
	for _, ch := range channels {
		used[ch.slot] = true
		ch.words = (*slotWords)(unsafe.Pointer(&h.page.bytes[ch.slot*slotSize]))
		ch.since += now // they came as ages
		ch.headSince += now
		p.channels = append(p.channels, ch)
		p.idleListLocked(ch)
		go ch.read()
	}
	for _, slot := range away.Slots { // of channels that ended with the giver
		if !used[slot] {
			h.free = append(h.free, slot)
		}
	}
	if proc.limit > 0 && proc.served >= proc.limit {
		p.retireLocked(proc, "requests")
	}
	p.dispatchLocked()
	p.kickKeeper()
}

// awayLocked is what the giver has still.
func (h *host) awayLocked() (channels, processes int) {
	if h.gaveUp {
		return 0, 0
	}
	for _, a := range h.away {
		channels += a.Channels
	}
	return channels, len(h.away)
}

// awaits reports whether a giver may give more of the host's processes.
func (h *host) awaits() bool {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	return h.awaitsLocked()
}

func (h *host) awaitsLocked() bool { return h.adopted > 0 && !h.gaveUp }

// awayDiedLocked notes the host's report about a process that the giver has,
// or is about to give.
func (h *host) awayDiedLocked(a *awayState) {
	delete(h.away, a.Number)
	if h.diedAway == nil {
		h.diedAway = map[int]*awayState{}
	}
	h.diedAway[a.Number] = a
	h.free = append(h.free, a.Slots...)
	h.pool.kickKeeper()
}

// substituteLocked has a pool all of whose workers are away start one, and
// lets that go again once they have come. It also says when the pool is ready.
func (p *Pool) substituteLocked(c census, want int, b bounds, s *steps) {
	h := p.keeper.current
	if h.adopted == 0 {
		return
	}
	channels, processes := h.awayLocked()
	if c.serving > 0 || b.mayBeNone() { // which forks when a request comes
		p.readyOnce.Do(func() { close(p.ready) })
	}
	switch {
	case channels > 0 && channels == c.starting && c.serving+c.leaving == 0 && want > 0:
		if processes == 1 || p.now()-h.adopted > substitutePatience {
			s.fork, h.stands = 1, true
		}
	case h.substitute != nil && c.starting+c.serving > want && c.serving > 1:
		p.drainLocked(h.substitute)
		h.substitute, s.stop = nil, 0
	}
}
