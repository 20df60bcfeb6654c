package pool

import (
	"slices"
	"time"
)

// stats are the pool's counts, under Pool.mu.
type stats struct {
	accepted  uint64
	answered  uint64
	takenBack uint64
	lost      uint64
	timeouts  uint64
	started   uint64
	recycled  uint64

	meanService time.Duration // of a request in a worker, smoothed
	running     int           // channels that run a request
	busyTime    time.Duration // that all channels together have run
	busySince   time.Duration // until when busyTime counts

	refused     uint64
	refusedLast [1024]time.Duration // a ring
}

// Status is a snapshot of a pool; its JSON form is part of `millrace status --json`.
type Status struct {
	Name        string   `json:"name"`
	Method      string   `json:"method"`            // prefork, threaded
	Threads     int      `json:"threads,omitempty"` // of one process at most, when threaded
	Generation  int      `json:"generation"`
	State       string   `json:"state"` // starting, serving, failing (import fails, nothing serves), stopping
	Python      string   `json:"python"`
	Preloaded   bool     `json:"preloaded"`
	MinSpare    int      `json:"min_spare"`
	MaxSpare    int      `json:"max_spare"`
	MaxChildren int      `json:"max_children"`
	Idle        int      `json:"idle"`
	Active      int      `json:"active"`
	QueueLen    int      `json:"queue"`
	QueueMax    int      `json:"queue_limit"`
	Accepted    uint64   `json:"accepted"`   // requests handed to the pool
	Answered    uint64   `json:"answered"`   // requests that a worker answered
	TakenBack   uint64   `json:"taken_back"` // requests moved from behind a slow one
	Lost        uint64   `json:"lost"`       // requests whose worker died: 502
	Timeouts    uint64   `json:"timeouts"`   // requests over request_timeout: 504
	Started     uint64   `json:"started"`    // workers started
	Recycled    uint64   `json:"recycled"`   // workers replaced at max_requests
	ServiceMS   float64  `json:"service_ms"` // mean time of a request in a worker, of late
	Refused     Refused  `json:"refused"`
	Workers     []Worker `json:"workers"`
	Failure     string   `json:"failure,omitempty"` // why nothing serves: the last traceback of a failed import
}

// Refused counts 503s of a full queue, with the time from the parsed head to
// the response's first write, over the last 1024 of them.
type Refused struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
}

// Worker is one worker: a process, or a thread of one.
type Worker struct {
	PID        int     `json:"pid"`
	Generation int     `json:"generation"`
	State      string  `json:"state"` // starting, idle, busy, draining
	Since      float64 `json:"since_s"`
	Requests   uint64  `json:"requests"`
	Running    string  `json:"running,omitempty"` // "GET /path"
	RunningFor float64 `json:"running_s,omitempty"`
}

// Status returns a snapshot.
func (p *Pool) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	s := Status{
		Name: p.name, Method: p.cfg.method(), Threads: p.cfg.Threads, State: "starting", Python: p.cfg.Python,
		MinSpare: p.cfg.MinSpare, MaxSpare: p.cfg.MaxSpare, MaxChildren: p.cfg.MaxChildren,
		QueueLen: p.queue.len, QueueMax: p.cfg.Queue,
		Accepted: p.stats.accepted, Answered: p.stats.answered, TakenBack: p.stats.takenBack,
		Lost: p.stats.lost, Timeouts: p.stats.timeouts, Started: p.stats.started, Recycled: p.stats.recycled,
		ServiceMS: milliseconds(p.stats.meanService), Refused: p.refusedLocked(), Failure: p.failure,
		Workers: []Worker{},
	}
	for _, ch := range p.channels {
		w := Worker{
			PID: int(ch.process.pid.Load()), Generation: ch.host.generation, State: ch.state.String(),
			Since: (now - ch.since).Seconds(), Requests: ch.served,
		}
		if ch.state == channelServing {
			s.Generation = max(s.Generation, ch.host.generation)
			s.Preloaded = ch.host.preload
			s.State = "serving"
			w.State = "busy"
			if ch.idleLocked() && !ch.closing() {
				w.State = "idle"
				s.Idle++
			}
		}
		if len(ch.held) > 0 {
			w.Running, w.RunningFor = ch.held[0].method+" "+ch.held[0].uri, (now - ch.headSince).Seconds()
		}
		if len(ch.held) > 0 || ch.closing() {
			s.Active++
		}
		s.Workers = append(s.Workers, w)
	}
	switch {
	case p.stopping:
		s.State = "stopping"
	case p.failure != "":
		s.State = "failing"
	}
	return s
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// refused counts a 503 of a full queue.
func (p *Pool) refused(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.refusedLast[p.stats.refused%uint64(len(p.stats.refusedLast))] = took
	p.stats.refused++
}

func (p *Pool) refusedLocked() Refused {
	n := int(min(p.stats.refused, uint64(len(p.stats.refusedLast))))
	if n == 0 {
		return Refused{}
	}
	last := slices.Sorted(slices.Values(p.stats.refusedLast[:n]))
	return Refused{Count: p.stats.refused, P50: milliseconds(last[n/2]), P99: milliseconds(last[n*99/100])}
}
