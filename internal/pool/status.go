package pool

import (
	"maps"
	"slices"
	"strings"
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
	retried   uint64
	slow      uint64

	queueTimeouts uint64
	recycledBy    map[string]uint64

	meanService time.Duration // of a request in a worker, smoothed
	prompt      float64       // share of the requests that a worker answers within patience, smoothed
	running     int           // channels that run a request
	maxRunning  int           // running ever
	busyTime    time.Duration // that all channels together have run
	busySince   time.Duration // until when busyTime counts
	full        uint64        // times that max_children were too few
	isFull      bool          // they are

	queueTime   histogram // of requests that a worker began
	serviceTime histogram // of requests that a worker has ended, or that it was killed for

	refused     uint64
	refusedLast [1024]time.Duration // a ring
}

// Status is a snapshot of a pool; its JSON form is part of `millrace status
// --json`. docs/status.md explains each field to people.
type Status struct {
	Name       string    `json:"name"`
	Method     string    `json:"method"`            // prefork, threaded
	Threads    int       `json:"threads,omitempty"` // of one process at most, when threaded
	Parallel   bool      `json:"threads_parallel"`  // threads of one process run Python at the same time: the interpreter has no global lock
	Generation int       `json:"generation"`
	Since      time.Time `json:"generation_since,omitzero"` // when it began to serve
	Uptime     float64   `json:"generation_uptime_s"`
	State      string    `json:"state"` // starting (nothing serves, yet or for now), serving, failing (import fails, nothing serves), stopping
	Python     string    `json:"python"`
	Version    string    `json:"python_version,omitempty"` // "CPython 3.11.2"
	HostPID    int       `json:"host_pid,omitempty"`       // of the process that imported the app
	Preloaded  bool      `json:"preloaded"`

	MinSpare    int    `json:"min_spare"`
	MaxSpare    int    `json:"max_spare"`
	MaxChildren int    `json:"max_children"`
	Idle        int    `json:"idle"`
	Active      int    `json:"active"`               // workers that run a request, or its close()
	Total       int    `json:"total"`                // workers, also those that start or leave
	MaxActive   int    `json:"max_active"`           // that ran a request at one time
	Reached     uint64 `json:"max_children_reached"` // times that a request waited and all max_children were busy
	QueueLen    int    `json:"queue"`
	QueueMax    int    `json:"queue_limit"`
	QueueSeen   int    `json:"max_queue"` // that waited at one time

	Accepted  uint64  `json:"accepted"`   // requests handed to the pool
	Answered  uint64  `json:"answered"`   // requests that a worker answered
	TakenBack uint64  `json:"taken_back"` // requests moved from behind a slow one
	Lost      uint64  `json:"lost"`       // requests whose worker died: 502
	Timeouts  uint64  `json:"timeouts"`   // requests over request_timeout: 504
	Started   uint64  `json:"started"`    // workers started
	Recycled  uint64  `json:"recycled"`   // workers replaced because of a limit
	ServiceMS float64 `json:"service_ms"` // mean time of a request in a worker, of late
	Slow      uint64  `json:"slow"`       // requests over slow_request
	Retried   uint64  `json:"retried"`    // requests that were run once more
	Refused   Refused `json:"refused"`

	QueueTimeouts uint64            `json:"queue_timeouts"` // requests over queue_timeout: 503
	RecycledBy    map[string]uint64 `json:"recycled_by"`    // workers that went, by the reason; see process.reason

	QueueTime   Histogram `json:"queue_time"`   // from a request's last byte to its start in a worker
	ServiceTime Histogram `json:"service_time"` // from there to the answer's last byte from the worker

	Memory  *Memory  `json:"memory,omitempty"` // of all processes; nil: not measured, or the system does not tell
	Workers []Worker `json:"workers"`
	Failure string   `json:"failure,omitempty"` // why nothing serves: the last traceback of a failed import
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
	PID        int      `json:"pid"`
	Channel    uint64   `json:"channel"` // the first number of its requests' ids; no two workers of an app ever have the same
	Generation int      `json:"generation"`
	State      string   `json:"state"`   // starting, idle, busy, draining
	Since      float64  `json:"since_s"` // that it is in this state
	Age        float64  `json:"age_s"`   // since it was asked for
	Requests   uint64   `json:"requests"`
	Running    string   `json:"running,omitempty"`    // "GET /path", without the query
	RunningFor float64  `json:"running_s,omitempty"`  // since it was lent to the worker
	WaitedFor  float64  `json:"waited_s,omitempty"`   // before
	Request    string   `json:"request,omitempty"`    // its id
	Client     string   `json:"client,omitempty"`     // who asked
	Process    *Process `json:"process,omitempty"`    // of all threads of its process together; nil as Status.Memory
	Waiting    int      `json:"lent_ahead,omitempty"` // requests that it holds behind the one it runs
}

// row is what Status takes of a channel under the lock; the rest can wait.
type row struct {
	Worker
	method, uri string
	measured    measured
}

// maxShown is how many bytes of a request's method and path a status has.
const maxShown = 1024

// taken is what Status takes under the lock.
type taken struct {
	Status
	rows                   []row
	queueTime, serviceTime histogram
	refused                []time.Duration
	memory                 memory
}

// Status returns a snapshot. It holds the lock for a few microseconds, and for
// ten more with each hundred workers; it reads nothing of the system, as
// Measure does.
func (p *Pool) Status() Status {
	cfg := p.config.Load()
	t := &taken{
		rows:    make([]row, 0, 2*cfg.MaxChildren+8),
		refused: make([]time.Duration, len(stats{}.refusedLast)),
	}
	p.mu.Lock()
	p.takeLocked(t)
	p.mu.Unlock()
	return t.status()
}

func (p *Pool) takeLocked(t *taken) {
	now := p.now()
	t.Status = Status{
		Name: p.name, Method: p.cfg.method(), Threads: p.cfg.Threads, State: p.stateLocked(), Python: p.cfg.Python,
		Generation: p.generation, Since: p.generationSince,
		MinSpare: p.cfg.MinSpare, MaxSpare: p.cfg.MaxSpare, MaxChildren: p.cfg.MaxChildren,
		Total: len(p.channels), MaxActive: p.stats.maxRunning, Reached: p.stats.full,
		QueueLen: p.queue.len, QueueMax: p.cfg.Queue, QueueSeen: p.queue.longest,
		Accepted: p.stats.accepted, Answered: p.stats.answered, TakenBack: p.stats.takenBack,
		Lost: p.stats.lost, Timeouts: p.stats.timeouts, Started: p.stats.started, Recycled: p.stats.recycled,
		ServiceMS: milliseconds(p.stats.meanService), Refused: Refused{Count: p.stats.refused}, Failure: p.failure,
		Slow: p.stats.slow, Retried: p.stats.retried, QueueTimeouts: p.stats.queueTimeouts, RecycledBy: maps.Clone(p.stats.recycledBy),
	}
	if h := p.host; h != nil {
		t.Preloaded, t.Parallel = h.preload, !p.about.GIL
		t.Version = p.about.Implementation + " " + p.about.Version
		if !h.gone {
			t.HostPID = h.proc.PID()
		}
	}
	t.queueTime, t.serviceTime = p.stats.queueTime, p.stats.serviceTime
	t.refused = t.refused[:copy(t.refused, p.stats.refusedLast[:min(p.stats.refused, uint64(len(t.refused)))])]
	t.memory = p.memoryLocked()
	for _, ch := range p.channels {
		r := p.rowLocked(ch, now)
		if r.State == "idle" {
			t.Idle++
		}
		if len(ch.held) > 0 || ch.closing() {
			t.Active++
		}
		t.rows = append(t.rows, r)
	}
}

// status makes the rest of what was taken.
func (t *taken) status() Status {
	s := t.Status
	if !s.Since.IsZero() {
		s.Uptime = time.Since(s.Since).Seconds()
	}
	s.QueueTime, s.ServiceTime = t.queueTime.snapshot(), t.serviceTime.snapshot()
	if n := len(t.refused); n > 0 {
		slices.Sort(t.refused)
		s.Refused.P50, s.Refused.P99 = milliseconds(t.refused[n/2]), milliseconds(t.refused[n*99/100])
	}
	s.Memory = t.memory.status()
	s.Workers = make([]Worker, 0, len(t.rows))
	for i := range t.rows {
		r := &t.rows[i]
		if r.method != "" {
			r.Running = shown(r.method, r.uri)
		}
		r.Process = r.measured.status()
		s.Workers = append(s.Workers, r.Worker)
	}
	return s
}

// State is the status's State alone, and its Failure: a glance, for those who
// ask often.
func (p *Pool) State() (state, failure string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stateLocked(), p.failure
}

func (p *Pool) stateLocked() string {
	switch {
	case p.stopping:
		return "stopping"
	case p.failure != "":
		return "failing"
	}
	for _, ch := range p.channels {
		if ch.state == channelServing && !ch.givenUp {
			return "serving"
		}
	}
	if p.host != nil && !p.host.gone && p.boundsLocked().mayBeNone() {
		return "serving" // a request gets a worker
	}
	return "starting"
}

// rowLocked is what is known of a worker.
func (p *Pool) rowLocked(ch *channel, now time.Duration) row {
	since := ch.headSince
	r := row{Worker: Worker{
		PID: int(ch.process.pid.Load()), Channel: ch.id, Generation: ch.host.generation, State: ch.state.String(),
		Age: (now - ch.since).Seconds(), Requests: ch.served,
	}, measured: ch.process.measured}
	switch ch.state {
	case channelStarting:
		since = ch.since
	case channelDraining:
		since = ch.drainBy - ch.host.cfg.StopTimeout
	case channelServing:
		r.State = "busy"
		if ch.idleLocked() && !ch.closing() {
			r.State = "idle"
		}
	}
	r.Since = (now - since).Seconds()
	if len(ch.held) > 0 {
		c := ch.held[0]
		r.method, r.uri, r.Client, r.Request = c.method, c.uri, c.peer, c.requestID()
		r.RunningFor, r.Waiting = (now - ch.headSince).Seconds(), len(ch.held)-1
		r.WaitedFor = max(ch.headSince-c.came, 0).Seconds()
	}
	return r
}

// shown is a request for a status: without the query, where secrets may be.
func shown(method, uri string) string {
	uri, _, _ = strings.Cut(uri, "?")
	s := method + " " + uri
	return strings.ToValidUTF8(s[:min(len(s), maxShown)], "")
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// ranLocked counts the times of the call that the channel has run: once, for
// one that is ended before its worker is done with it.
func (p *Pool) ranLocked(ch *channel, now time.Duration) {
	c := ch.held[0]
	if c.counted {
		return
	}
	p.stats.queueTime.record(ch.headSince - c.came)
	p.stats.serviceTime.record(now - ch.headSince)
	c.counted = true
}

// fullLocked counts the times that max_children were too few: not how long.
func (p *Pool) fullLocked(c census, b bounds) {
	switch {
	case p.queue.len > 0 && c.idle == 0 && c.serving+c.leaving >= b.maxChildren:
		if !p.stats.isFull {
			p.stats.isFull = true
			p.stats.full++
		}
	case p.queue.len == 0:
		p.stats.isFull = false
	}
}

// refused counts a 503 of a full queue.
func (p *Pool) refused(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.refusedLast[p.stats.refused%uint64(len(p.stats.refusedLast))] = took
	p.stats.refused++
}
