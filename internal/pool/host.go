package pool

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

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

	cmd     *exec.Cmd
	page    *sharedPage
	control *os.File // our end; read's
	raw     syscall.RawConn

	mu     sync.Mutex // guards sending, and closed
	closed bool

	// Guarded by Pool.mu.
	free          []int // slots
	lastProcess   int
	gone          bool          // nothing more is reported
	startFailures int           // processes that ended before they served, in a row
	lastFailure   time.Duration // Pool.now of the last

	// The keeper's alone.
	ready     bool // the app is imported, or left to the workers
	served    bool // some worker was ready once
	forked    bool // a worker was asked for
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

// startHost starts the process; events follow.
func (p *Pool) startHost(cfg Config, preload bool, generation int) (*host, error) {
	h := &host{pool: p, cfg: cfg, preload: preload, generation: generation, started: time.Now()}
	slots := 2*cfg.MaxChildren + 8 // as many again may be draining
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

	h.cmd = exec.Command(cfg.Python, "-c", worker.Bootstrap, "millrace:"+cfg.Name)
	h.cmd.Env = cfg.Env
	h.cmd.Dir = cfg.Dir
	h.cmd.Stdin = bytes.NewReader(worker.Program("host"))
	h.cmd.Stdout, h.cmd.Stderr = outWrite, outWrite
	h.cmd.ExtraFiles = []*os.File{theirControl, h.page.file}
	h.cmd.SysProcAttr = ownGroup()
	if err := h.cmd.Start(); err != nil {
		outRead.Close()
		return fail(err)
	}
	h.page.file.Close() // the process has it
	p.output.follow(outRead, nil)
	wsgi := cfg.WSGI
	if cfg.Demo {
		wsgi = "millrace_worker.demo:application"
	}
	err = h.send(map[string]any{
		"do": "start", "name": cfg.Name, "wsgi": wsgi, "dir": cfg.Dir, "workdir": cmp.Or(cfg.Workdir, cfg.Dir), "preload": preload,
		"after_fork": cfg.AfterFork, "software": software,
		"threads": cfg.Threads, "multiprocess": cfg.Threads == 0 || cfg.MaxChildren > cfg.Threads,
	})
	if err != nil {
		p.log.Error("cannot talk to the host", "app", p.name, "error", err)
		_ = h.cmd.Process.Kill() // its exit is the event
	}
	p.hosts.Add(1)
	go h.follow()
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
		_ = h.cmd.Process.Kill()
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
	}
}

// follow reads the host's messages until it is gone.
func (h *host) follow() {
	p := h.pool
	defer p.hosts.Done()
	decoder := json.NewDecoder(h.control)
	for {
		var m hostMessage
		if err := decoder.Decode(&m); err != nil {
			break
		}
		switch m.Event {
		case "forked":
			h.reported(m.Process, func(proc *process) { proc.pid.Store(int64(m.PID)) })
		case "died":
			h.reported(m.Process, func(proc *process) { p.diedLocked(proc, m.How) })
		case "ready":
			p.tell(hostEvent{host: h, kind: "ready", about: m.about})
		case "failed":
			p.tell(hostEvent{host: h, kind: "failed", failed: &ImportError{App: p.name, Traceback: m.Traceback}})
		case "unsafe":
			p.tell(hostEvent{host: h, kind: "unsafe", why: m.Why})
		}
	}
	err := h.cmd.Wait()
	how := "exited with status 0"
	if err != nil {
		how = err.Error()
	}
	h.leave()
	p.mu.Lock()
	h.gone = true
	for _, proc := range slices.Clone(p.processes) {
		if proc.host == h && len(proc.channels) == 0 {
			p.forgetLocked(proc)
		}
	}
	p.mu.Unlock()
	p.tell(hostEvent{host: h, kind: "exited", text: how})
}

// reported calls f, under the pool's lock, with the process that a report is
// about.
func (h *host) reported(number int, f func(*process)) {
	p := h.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, proc := range p.processes {
		if proc.host == h && proc.number == number {
			f(proc)
			return
		}
	}
}

// unlistLocked takes a channel off the pool's list.
func (p *Pool) unlistLocked(ch *channel) {
	if i := slices.Index(p.channels, ch); i >= 0 {
		p.channels = slices.Delete(p.channels, i, i+1)
	}
}
