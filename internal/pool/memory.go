package pool

// max_memory: processes that have grown too large are replaced.

import "time"

const (
	// memoryTick is how often a process that has answered meanwhile is looked
	// at, memoryIdle any other.
	memoryTick = 100 * time.Millisecond
	memoryIdle = time.Second
)

// grown is what the keeper knows of a process's memory.
type grown struct {
	at     time.Duration // Pool.now of the last look
	served uint64        // then
}

// lookAtMemory has the processes replaced that are over max_memory. The system
// is asked without the lock.
func (p *Pool) lookAtMemory() {
	k := &p.keeper
	if time.Since(k.looked) < memoryTick {
		return
	}
	k.looked = time.Now()
	type look struct {
		proc     *process
		resident int64
	}
	var looks []look
	p.mu.Lock()
	now := p.now()
	for _, proc := range p.processes {
		if proc.host.cfg.MaxMemory > 0 && proc.pid.Load() > 0 && !proc.retiring && proc.died == "" &&
			(proc.served != proc.grown.served || now-proc.grown.at >= memoryIdle) {
			proc.grown = grown{at: now, served: proc.served}
			looks = append(looks, look{proc: proc})
		}
	}
	p.mu.Unlock()
	if len(looks) == 0 {
		return
	}
	for i := range looks {
		// An error: it has ended, which the host is about to tell.
		looks[i].resident, _ = residentMemory(int(looks[i].proc.pid.Load()))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range looks {
		if l.resident > l.proc.host.cfg.MaxMemory && l.proc.died == "" && !l.proc.retiring {
			p.tooLargeLocked(l.proc, l.resident)
		}
	}
}

// tooLargeLocked has a process replaced. One that has answered nothing yet is
// as large as any that could replace it.
func (p *Pool) tooLargeLocked(proc *process, resident int64) {
	h := proc.host
	if proc.served == 0 {
		if !h.toldLarge && proc.servesLocked() {
			h.toldLarge = true
			p.log.Error("max_memory is less than a worker takes before its first request: each is replaced after its first ones",
				"app", p.name, "pid", proc.pid.Load(), "resident", resident, "limit", h.cfg.MaxMemory)
		}
		return
	}
	p.log.Info("worker is replaced: it takes more than max_memory", "app", p.name, "pid", proc.pid.Load(),
		"resident", resident, "limit", h.cfg.MaxMemory, "requests", proc.served)
	p.retireLocked(proc, "memory")
}
