package pool

// Processes: what the channels of one have in common, from its fork to the
// host's report of its death.

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// process is a worker that a host has forked. Under prefork it serves one
// channel. Under threaded it serves up to Config.Threads, each from a thread
// of its own; further ones are opened over a control socket, to which
// worker/millrace_worker/host.py is the other side. It leaves when its last
// channel has ended.
//
// What is not said to be otherwise is guarded by Pool.mu.
type process struct {
	host    *host
	program *program     // nil: it was forked by the host
	number  int          // among the host's; never used twice
	pid     atomic.Int64 // 0 until the host has told; not guarded

	channels []*channel // that have not ended
	orphaned []int      // slots of ended ones that the process may still write to
	control  int        // further channels are opened here; -1: none are
	lifeline int        // closing it kills the process; -1 once closed
	traces   *os.File   // its tracebacks come here; nil: it gives none
	wanted   []wantedTrace
	tracing  bool // somebody serves wanted
	leaveBy  time.Duration
	endBy    time.Duration // until when a doomed process may clean up
	expires  time.Duration // at which it is replaced; 0: never
	printer  *printer      // what it prints

	served   uint64
	limit    uint64 // served at which it is replaced; 0: never
	grown    grown
	reason   string // why it is replaced, or gone: requests, memory, lifetime, timeout, lost (its channel failed), left (a program), died; "" if it is not
	retiring bool   // its channels go as replacements come
	full     bool   // it could not open one more
	failed   bool   // before any channel was ready
	doomed   string // why it is killed once the channels that can end have ended; "" if it is not
	killed   string // why we killed it

	measured measured // what the system says of it

	died     string        // the host's report
	reported chan struct{} // closed with it
}

// fork asks the host for a process that serves ch; theirs are the descriptors
// that are to be its ends of the channel.
func (h *host) fork(ch *channel, theirs []int) error {
	p := h.pool
	outRead, outWrite, err := outputPipe()
	if err != nil {
		return err
	}
	defer outWrite.Close()
	lifeRead, lifeWrite, err := os.Pipe()
	if err != nil {
		outRead.Close()
		return err
	}
	defer lifeRead.Close()
	defer lifeWrite.Close()
	traceRead, traceWrite, err := outputPipe()
	if err != nil {
		outRead.Close()
		return err
	}
	defer traceWrite.Close()
	proc := &process{host: h, control: -1, lifeline: -1, traces: traceRead, reported: make(chan struct{})}
	if limit := h.cfg.MaxRequests; limit > 0 {
		proc.limit = uint64(jitter(limit))
	}
	// Requests, answers, output, lifeline, tracebacks, control: the order of host.py.
	fds := append(slices.Clone(theirs), int(outWrite.Fd()), int(lifeRead.Fd()), int(traceWrite.Fd()))
	if h.cfg.Threads > 0 {
		ours, their, err := streamPair()
		if err != nil {
			outRead.Close()
			proc.closeFDs()
			return err
		}
		defer closeFD(their)
		proc.control, fds = ours, append(fds, their)
	}
	if proc.lifeline, err = duplicate(int(lifeWrite.Fd())); err != nil {
		proc.lifeline = -1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		err = h.enterLocked(ch, proc)
	}
	if err == nil {
		if limit := h.cfg.MaxLifetime; limit > 0 {
			proc.expires = p.now() + time.Duration(jitter(int(limit)))
		}
		h.lastProcess++
		proc.number = h.lastProcess
		err = h.send(map[string]any{"do": "fork", "process": proc.number, "slot": ch.slot, "channel": ch.id}, fds...)
		if err != nil {
			p.leaveProcessLocked(ch, true)
		}
	}
	if err != nil {
		outRead.Close()
		proc.closeFDs()
		return err
	}
	p.processes = append(p.processes, proc)
	proc.printer = p.output.follow(outRead, proc, nil)
	return nil
}

// roomLocked returns a process of the host that can open another channel, nil
// if there is none.
func (h *host) roomLocked() *process {
	for _, proc := range h.pool.processes {
		if proc.roomFor(h) > 0 {
			return proc
		}
	}
	return nil
}

// roomFor returns how many more channels a process of the host can open. It
// needs Pool.mu.
func (proc *process) roomFor(h *host) int {
	if proc.host != h || proc.retiring || proc.full || proc.killed != "" || proc.died != "" ||
		len(proc.channels) == 0 || proc.program == nil && proc.control < 0 {
		return 0
	}
	return max(h.cfg.perProcess()-len(proc.channels), 0)
}

// takingLocked returns how many channels take requests.
func (proc *process) takingLocked() int {
	n := 0
	for _, ch := range proc.channels {
		if ch.state == channelServing {
			n++
		}
	}
	return n
}

// openLocked has the process serve ch too.
func (proc *process) openLocked(ch *channel, theirs []int) error {
	if err := proc.host.enterLocked(ch, proc); err != nil {
		return err
	}
	message, err := json.Marshal(map[string]any{"slot": ch.slot, "channel": ch.id})
	if err == nil {
		_, err = sendWith(proc.control, append(message, '\n'), theirs...)
	}
	if err != nil {
		proc.full = true // it does not read: the next one is for another
		proc.host.pool.leaveProcessLocked(ch, true)
		return os.NewSyscallError("sendmsg", err)
	}
	return nil
}

// leaveProcessLocked takes an ended channel from its process. ended says that
// nobody writes to its slot any more, though the process may live.
func (p *Pool) leaveProcessLocked(ch *channel, ended bool) {
	proc := ch.process
	if i := slices.Index(proc.channels, ch); i >= 0 {
		proc.channels = slices.Delete(proc.channels, i, i+1)
	}
	p.unlistLocked(ch)
	if ended || proc.died != "" {
		ch.host.free = append(ch.host.free, ch.slot)
	} else {
		proc.orphaned = append(proc.orphaned, ch.slot)
	}
	proc.shutLocked()
	p.endDoomedLocked(proc)
	if len(proc.channels) == 0 {
		if proc.program != nil {
			proc.program.leave()
		}
		proc.leaveBy = p.now() + ch.host.cfg.StopTimeout
	}
}

// shutLocked tells a process none of whose channels takes requests that no
// further one comes: it leaves after the last.
func (proc *process) shutLocked() {
	for _, ch := range proc.channels {
		if ch.state == channelStarting || ch.state == channelServing {
			return
		}
	}
	if proc.control >= 0 {
		closeFD(proc.control)
		proc.control = -1
	}
}

// retireLocked has the process replaced: its channels serve until others do.
func (p *Pool) retireLocked(proc *process, reason string) {
	proc.retireForLocked(reason)
	if !proc.retiring {
		proc.retiring = true
		p.kickKeeper()
	}
}

// recycledLocked counts a worker that went for a reason; one that was spare, or
// of an old generation, or ended with the pool, has none.
func (p *Pool) recycledLocked(ch *channel) {
	if reason := ch.process.reason; reason != "" {
		p.stats.recycledBy[reason]++
	}
}

// retireForLocked notes why a process goes: the first reason counts.
func (proc *process) retireForLocked(reason string) {
	if proc.reason == "" {
		proc.reason = reason
	}
}

// giveUpLocked counts a channel as lost. Nothing is lent to it any more, nor
// are channels opened in its process, whose others go as replacements come.
// The process is killed once only given up ones are left: at once, under
// prefork.
func (p *Pool) giveUpLocked(ch *channel, why string) {
	proc := ch.process
	if !ch.givenUp {
		ch.givenUp = true
		p.startFailedLocked(ch)
		p.drainLocked(ch)
		if proc.doomed == "" {
			proc.doomed = why
		}
		p.retireLocked(proc, "lost")
		if proc.program != nil {
			// It need not be threads: one request may hold all others up.
			for _, sibling := range proc.channels {
				p.drainLocked(sibling)
			}
		}
	}
	p.endDoomedLocked(proc)
}

// endDoomedLocked kills a doomed process that serves nobody any more, once it
// has had its time to clean up.
func (p *Pool) endDoomedLocked(proc *process) {
	if proc.doomed == "" || proc.killed != "" || p.now() < proc.endBy {
		return
	}
	for _, ch := range proc.channels {
		// A thread that drains and has nothing left may be kept from ending by
		// one that holds the interpreter.
		if !ch.givenUp && (ch.state != channelDraining || len(ch.held) > 0 || ch.closing()) {
			return
		}
	}
	proc.kill(proc.doomed)
}

// servesLocked reports whether some channel of the process was ready once.
func (proc *process) servesLocked() bool {
	return slices.ContainsFunc(proc.channels, func(ch *channel) bool { return ch.ready })
}

// kill ends the process, whatever it is doing. The lifeline is the kernel's
// own means; the host's is for a process that has closed it. It needs Pool.mu.
func (proc *process) kill(why string) {
	if proc.killed == "" {
		proc.killed = why
	}
	if proc.program != nil {
		proc.program.kill()
		return
	}
	if proc.lifeline >= 0 {
		closeFD(proc.lifeline)
		proc.lifeline = -1
	}
	if proc.died == "" {
		// Only who reaps a process knows that its id is not somebody else's by
		// now. A host that is gone has none that need this.
		_ = proc.host.send(map[string]any{"do": "kill", "process": proc.number, "signal": int(syscall.SIGKILL)})
	}
}

// closeFDs closes what the process's channels do not.
func (proc *process) closeFDs() {
	for _, fd := range []*int{&proc.control, &proc.lifeline} {
		if *fd >= 0 {
			closeFD(*fd)
			*fd = -1
		}
	}
	if proc.traces != nil {
		proc.traces.Close()
		proc.traces = nil
	}
}

// diedLocked notes the host's report.
func (p *Pool) diedLocked(proc *process, how string) {
	proc.died = how
	close(proc.reported)
	proc.closeFDs()
	proc.host.free = append(proc.host.free, proc.orphaned...)
	proc.orphaned = nil
	p.forgetLocked(proc)
	unexpected := false
	for _, ch := range proc.channels {
		unexpected = unexpected || ch.state == channelServing || ch.state == channelStarting
	}
	proc.endReadingLocked()
	switch {
	case unexpected && proc.leftLocked():
		proc.retireForLocked("left")
		p.log.Info("a process of the program left by itself", "app", p.name, "pid", proc.pid.Load(), "requests", proc.served)
	case unexpected:
		proc.retireForLocked("died")
		p.diedEarlyLocked(proc)
		p.log.Warn("worker died", "app", p.name, "pid", proc.pid.Load(), "how", how)
	}
	p.kickKeeper()
}

// endReadingLocked has the read loops of a dead process's channels end once
// they have read what it had sent: an app's own child may keep the stream open.
func (proc *process) endReadingLocked() {
	for _, ch := range proc.channels {
		if ch.link == nil {
			_ = ch.raw.Control(func(fd uintptr) { endReading(int(fd)) }) // closed already is fine too
		}
	}
}

// forgetLocked takes a process off the pool's list: it is dead, or nobody will
// say when it is.
func (p *Pool) forgetLocked(proc *process) {
	if i := slices.Index(p.processes, proc); i >= 0 {
		p.processes = slices.Delete(p.processes, i, i+1)
	}
}

func (proc *process) howItDied() string {
	switch {
	case proc.killed != "":
		return "killed: " + proc.killed
	case proc.died != "":
		return proc.died
	}
	return "it closed its channel"
}

// sweepLocked ends a process that nobody will report: its host is gone, or
// another pool's. That it holds its end of the lifeline no more says that it
// has ended.
func (p *Pool) sweepLocked(proc *process, now time.Duration) {
	if now > proc.leaveBy {
		proc.kill("it did not end within stop_timeout")
	}
	if proc.lifeline < 0 || hungUp(proc.lifeline) {
		proc.closeFDs()
		p.forgetLocked(proc)
		p.kickKeeper()
	}
}

// jitter spreads a limit by a tenth either way, so that workers started
// together are not recycled together.
func jitter(limit int) int {
	spread := limit / 10
	return max(1, limit-spread+rand.IntN(2*spread+1))
}
