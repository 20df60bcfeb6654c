package pool

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"millrace/internal/supervise"
	"millrace/worker"
)

// software is the SERVER_SOFTWARE of every environ.
const software = "millrace"

// host is one generation of the app: the process that imports it and forks
// its workers. worker/millrace_worker/host.py is the other side.
type host struct {
	pool       *Pool
	cfg        Config
	preload    bool
	generation int

	proc    supervise.Process
	page    *sharedPage
	control *os.File // our end; read's
	raw     syscall.RawConn

	mu     sync.Mutex // guards sending, and closed
	closed bool

	// Guarded by Pool.mu.
	free        []int // slots
	slots       int   // all of them
	printer     *printer
	parting     chan []byte        // where follow leaves what it has read of a line; nil: it reads on
	away        map[int]*awayState // processes that another pool is about to give us, by number
	adopted     time.Duration      // Pool.now of its taking over; 0: it is our own
	diedAway    map[int]*awayState // those of them that died there
	gaveUp      bool               // nothing more comes from there
	unread      []byte             // of the control socket, before the first message
	substitute  *channel           // forked while all of them are away
	lastProcess int
	deaf        bool     // follow has ended, or is about to
	gone        bool     // nothing more is reported
	wasReady    bool     // some channel was
	failed      error    // of programs: why the last that never served ended
	measured    measured // what the system says of it
	crashes
	toldLarge bool // that max_memory is less than its processes take at rest

	// The keeper's alone.
	ready     bool // the app is imported, or left to the workers
	served    bool // some worker was ready once
	forked    bool // a worker was asked for
	stands    bool // the next fork is the substitute
	exited    bool
	started   time.Time
	forkAfter time.Time // no fork before
	about     about
}

// about is what a host says of itself when it is ready.
type about struct {
	Version        string `json:"version"`
	Implementation string `json:"implementation"`
	Preloaded      bool   `json:"preloaded"`
	GIL            bool   `json:"gil"`
}

// hostMessage is one line of a host; see host.py.
type hostMessage struct {
	Event     string   `json:"event"`
	Process   int      `json:"process"`
	PID       int      `json:"pid"`
	How       string   `json:"how"`
	Traceback string   `json:"traceback"`
	Why       []string `json:"why"`
	about
}

// hostEvent is what the keeper learns of a host.
type hostEvent struct {
	host   *host
	kind   string // ready, failed, unsafe, exited
	text   string
	why    []string
	about  about
	failed error
}

// HostCommand is what imports an app in Python and forks its workers:
// Config.Host. env is its whole environment.
func HostCommand(name, python, dir string, env []string, rights supervise.Rights) *supervise.Command {
	return &supervise.Command{
		Name: "app " + name, Path: python, Args: []string{python, "-c", worker.Bootstrap, "millrace:" + name},
		Env: env, Dir: dir, Stdin: worker.Program("host"), Rights: rights,
	}
}

// startHost starts the process; events follow.
func (p *Pool) startHost(cfg Config, preload bool, generation int) (*host, error) {
	if cfg.Program != nil {
		return p.programs(cfg, generation), nil
	}
	h := &host{pool: p, cfg: cfg, preload: preload, generation: generation, started: time.Now()}
	slots := 2*cfg.MaxChildren + 8 // as many again may be draining
	h.slots = slots
	for i := range slots {
		h.free = append(h.free, slots-1-i)
	}
	fail := func(err error) (*host, error) {
		if h.page != nil {
			h.page.file.Close()
		}
		if h.control != nil {
			h.control.Close()
		}
		return nil, fmt.Errorf("cannot start the host of app %s with %s: %w", cfg.Name, cfg.Python, err)
	}
	pageSize := os.Getpagesize()
	var err error
	if h.page, err = newSharedPage((slots*slotSize + pageSize - 1) / pageSize * pageSize); err != nil {
		return fail(err)
	}
	ours, theirs, err := streamPair()
	if err != nil {
		return fail(err)
	}
	theirControl := os.NewFile(uintptr(theirs), "control")
	defer theirControl.Close()
	h.control = os.NewFile(uintptr(ours), "control")
	if h.raw, err = h.control.SyscallConn(); err != nil {
		return fail(err)
	}
	outRead, outWrite, err := outputPipe()
	if err != nil {
		return fail(err)
	}
	defer outWrite.Close()

	files := []*os.File{nil, outWrite, outWrite, theirControl, h.page.file}
	if h.proc, err = cfg.Starter.Start(supervise.Start{Command: cfg.Host, Files: files}); err != nil {
		outRead.Close()
		return fail(err)
	}
	h.printer = p.output.follow(outRead, nil, nil)
	wsgi := cfg.WSGI
	if cfg.Demo {
		wsgi = "millrace_worker.demo:application"
	}
	err = h.send(map[string]any{
		"do": "start", "name": cfg.Name, "wsgi": wsgi, "dir": cfg.Dir, "workdir": cmp.Or(cfg.Workdir, cfg.Dir), "preload": preload,
		"warm_up": cfg.WarmUp, "after_fork": cfg.AfterFork, "software": software, "once": cfg.perRequest(),
		"threads": cfg.Threads, "multiprocess": cfg.Threads == 0 || cfg.MaxChildren > cfg.Threads,
	})
	if err != nil {
		p.log.Error("cannot talk to the host", "app", p.name, "error", err)
		_ = h.proc.Kill() // its exit is the event
	}
	p.hosts.Add(1)
	go h.follow(nil)
	return h, nil
}

// send writes one message, without ever waiting for the host.
func (h *host) send(message map[string]any, fds ...int) error {
	b, err := json.Marshal(message)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return os.ErrClosed
	}
	var n int
	var sendErr error
	err = h.raw.Control(func(fd uintptr) { n, sendErr = sendWith(int(fd), b, fds...) })
	switch {
	case err != nil:
		return err
	case sendErr != nil:
		return os.NewSyscallError("sendmsg", sendErr)
	case n < len(b):
		// Half a line: nothing that follows could be understood.
		_ = h.proc.Kill()
		return fmt.Errorf("the host does not read its control socket")
	}
	return nil
}

// leave asks the host to go: it kills what workers it has left.
func (h *host) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		h.control.Close()
		h.page.file.Close()
	}
}

// follow reads the host's messages until it is gone. unread is the beginning
// of the first.
func (h *host) follow(unread []byte) {
	p := h.pool
	defer p.hosts.Done()
	lines := &lineReader{r: h.control, rest: unread}
	for {
		line, err := lines.next()
		if h.parts(lines.rest, err) {
			return // its messages are another pool's
		}
		if err != nil {
			break
		}
		var m hostMessage
		if err := json.Unmarshal(line, &m); err != nil {
			p.log.Error("the host says what is no message", "app", p.name, "pid", h.proc.PID(), "error", err)
			continue
		}
		switch m.Event {
		case "forked":
			h.reported(m.Process, func(proc *process) { proc.pid.Store(int64(m.PID)) }, func(a *awayState) { a.PID = m.PID })
		case "died":
			h.reported(m.Process, func(proc *process) { p.diedLocked(proc, m.How) }, h.awayDiedLocked)
		case "ready":
			p.tell(hostEvent{host: h, kind: "ready", about: m.about})
		case "failed":
			p.tell(hostEvent{host: h, kind: "failed", failed: &ImportError{App: p.name, Traceback: m.Traceback}})
		case "unsafe":
			p.tell(hostEvent{host: h, kind: "unsafe", why: m.Why})
		}
	}
	how := h.proc.Wait().String()
	h.leave()
	p.mu.Lock()
	h.gone = true
	p.mu.Unlock()
	p.tell(hostEvent{host: h, kind: "exited", text: how})
}

// reported calls f, under the pool's lock, with the process that a report is
// about, or away with one that another pool has still.
func (h *host) reported(number int, f func(*process), away func(*awayState)) {
	p := h.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, proc := range p.processes {
		if proc.host == h && proc.number == number {
			f(proc)
			return
		}
	}
	if a := h.away[number]; a != nil {
		away(a)
	}
}

// unlistLocked takes a channel off the pool's list.
func (p *Pool) unlistLocked(ch *channel) {
	if i := slices.Index(p.channels, ch); i >= 0 {
		p.channels = slices.Delete(p.channels, i, i+1)
	}
}
