package pool

// What the system says of the processes: processor time and memory. It is
// read only when somebody asks, at most once a second, outside Pool.mu, by a
// goroutine that nobody waits for longer than they like: the kernel may keep
// who reads the memory of a stuck process.

import (
	"sync"
	"time"
)

const (
	// measureEvery is how old figures may be before they are read again.
	measureEvery = time.Second
	// shareEvery is the same for what takes the kernel a walk over all pages
	// of a process: PSS, and what is shared.
	shareEvery = 5 * time.Second
	// shareBudget bounds the time of such walks in one round. Who does not come
	// round is the first in the next.
	shareBudget = 100 * time.Millisecond
)

// Process is what the system says of a process.
type Process struct {
	CPU    float64 `json:"cpu_s"` // in all
	RSS    int64   `json:"rss_bytes"`
	PSS    int64   `json:"pss_bytes,omitempty"`    // 0: not known
	Shared int64   `json:"shared_bytes,omitempty"` // of RSS: pages that other processes have too; 0: not known

	// Of the requests that ended between the last two looks, or for the first
	// look since the process began: the mean for each.
	LastCPU    float64 `json:"last_cpu_ms,omitempty"`
	LastGrowth int64   `json:"last_growth_bytes,omitempty"` // of RSS; negative: it shrank
}

// Memory is that of all processes of an app, its host among them.
type Memory struct {
	Processes   int     `json:"processes"`
	RSS         int64   `json:"rss_bytes"`              // shared pages counted in each
	PSS         int64   `json:"pss_bytes,omitempty"`    // each page once; 0: not known of all
	Shared      int64   `json:"shared_bytes,omitempty"` // of RSS
	SharedShare float64 `json:"shared_share,omitempty"` // Shared ÷ RSS: what copy-on-write spares
	Age         float64 `json:"age_s"`                  // of these figures
}

// usage is one look at a process.
type usage struct {
	cpu         time.Duration
	rss         int64
	pss, shared int64
	sharedOf    int64 // the RSS that shared is a part of
}

// measured is what is known of a process, under Pool.mu.
type measured struct {
	usage
	at       time.Time // zero: never
	sharedAt time.Time // zero: never
	served   uint64    // then
	lastCPU  time.Duration
	growth   int64
}

func (m *measured) status() *Process {
	if m.at.IsZero() {
		return nil
	}
	return &Process{
		CPU: m.cpu.Seconds(), RSS: m.rss, PSS: m.pss, Shared: m.shared,
		LastCPU: milliseconds(m.lastCPU), LastGrowth: m.growth,
	}
}

// note takes a look in, of a process that has answered so many requests.
func (m *measured) note(u usage, served uint64, at time.Time) {
	if n := served - m.served; n > 0 {
		m.lastCPU = (u.cpu - m.cpu) / time.Duration(n)
		if !m.at.IsZero() {
			m.growth = (u.rss - m.rss) / int64(n)
		}
	}
	m.usage, m.served, m.at = u, served, at
}

// measuring is the state of Measure.
type measuring struct {
	mu    sync.Mutex
	at    time.Time     // of the last look
	round chan struct{} // closed when that look is complete
}

// Measure has the system asked for processor time and memory, unless it was
// within the last second. The channel is closed when Status has the figures;
// nobody needs to wait.
func (p *Pool) Measure() <-chan struct{} {
	m := &p.measuring
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.round != nil {
		select {
		case <-m.round:
		default:
			return m.round // it is under way
		}
		if time.Since(m.at) < measureEvery {
			return m.round
		}
	}
	m.at, m.round = time.Now(), make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		p.measure()
	}(m.round)
	return m.round
}

// look is a process that is to be looked at.
type look struct {
	into   *measured // under Pool.mu
	proc   *process  // nil: a host
	pid    int
	served uint64
	was    measured
	usage  usage
	shared time.Time // when usage's sharing was read
	ok     bool
}

func (p *Pool) measure() {
	p.mu.Lock()
	looks := make([]look, 0, len(p.processes)+1)
	hosts := map[*host]bool{}
	add := func(h *host) {
		if h != nil && !h.gone && !hosts[h] && h.proc.PID() > 0 { // programs have none
			hosts[h] = true
			looks = append(looks, look{into: &h.measured, pid: h.proc.PID(), was: h.measured})
		}
	}
	add(p.host)
	for _, proc := range p.processes {
		add(proc.host)
		if pid := int(proc.pid.Load()); pid > 0 && proc.died == "" {
			looks = append(looks, look{into: &proc.measured, proc: proc, pid: pid, served: proc.served, was: proc.measured})
		}
	}
	p.mu.Unlock()

	readUsage(looks)

	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for i := range looks {
		l := &looks[i]
		if !l.ok || l.proc != nil && l.proc.died != "" {
			continue // its id may be another's by now
		}
		l.into.note(l.usage, l.served, now)
		l.into.sharedAt = l.shared
	}
}

// memory sums up.
type memory struct {
	processes, unknown int
	usage
	at time.Time // of the oldest
}

func (p *Pool) memoryLocked() memory {
	var all memory
	hosts := map[*host]bool{}
	add := func(m *measured) {
		if m.at.IsZero() {
			return
		}
		all.processes++
		if m.sharedAt.IsZero() {
			all.unknown++
		}
		if all.at.IsZero() || m.at.Before(all.at) {
			all.at = m.at
		}
		all.rss += m.rss
		all.pss += m.pss
		all.shared += m.shared
		all.sharedOf += m.sharedOf
	}
	addHost := func(h *host) {
		if h != nil && !h.gone && !hosts[h] {
			hosts[h] = true
			add(&h.measured)
		}
	}
	addHost(p.host)
	for _, proc := range p.processes {
		addHost(proc.host)
		add(&proc.measured)
	}
	return all
}

func (m *memory) status() *Memory {
	if m.processes == 0 {
		return nil
	}
	s := &Memory{Processes: m.processes, RSS: m.rss, Age: time.Since(m.at).Seconds()}
	if m.unknown == 0 {
		s.PSS = m.pss
	}
	if m.sharedOf > 0 {
		s.Shared, s.SharedShare = m.shared, float64(m.shared)/float64(m.sharedOf)
	}
	return s
}
