package pool

import (
	"bytes"
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

	mu      sync.Mutex // guards sending, and what follows
	closed  bool
	free    []int      // slots
	taken   []*channel // by slot
	deadOne []bool     // by slot: buried or reported dead, the other is due

	// Guarded by Pool.mu.
	startFailures int           // workers that died before they were ready, in a row
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
	Slot      int      `json:"slot"`
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
	h.taken, h.deadOne = make([]*channel, slots), make([]bool, slots)
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
		"do": "start", "name": cfg.Name, "wsgi": wsgi, "dir": cfg.Dir, "preload": preload,
		"after_fork": cfg.AfterFork, "software": software,
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

// kill ends the worker in a slot. The host does it, since only who reaps a
// process knows that its id is not somebody else's by now.
func (h *host) kill(slot int) {
	// A host that is gone has no workers that need this: their lifelines do it.
	_ = h.send(map[string]any{"do": "kill", "slot": slot, "signal": int(syscall.SIGKILL)})
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
			p.mu.Lock()
			if ch := h.at(m.Slot); ch != nil {
				ch.pid.Store(int64(m.PID))
			}
			p.mu.Unlock()
		case "died":
			h.workerDied(m.Slot, m.How)
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
	p.tell(hostEvent{host: h, kind: "exited", text: how})
}

// at returns the channel in a slot, nil for none.
func (h *host) at(slot int) *channel {
	h.mu.Lock()
	defer h.mu.Unlock()
	if slot < 0 || slot >= len(h.taken) {
		return nil
	}
	return h.taken[slot]
}

// workerDied notes the host's report, and has the channel's read loop end
// once it has read what the worker had sent.
func (h *host) workerDied(slot int, how string) {
	ch := h.at(slot)
	if ch == nil {
		return
	}
	p := h.pool
	p.mu.Lock()
	ch.died = how
	close(ch.reported)
	if ch.state == channelServing || ch.state == channelStarting {
		p.log.Warn("worker died", "app", p.name, "pid", ch.pid.Load(), "how", how)
	}
	// An app's own child may keep the stream open; closed already is fine too.
	_ = ch.raw.Control(func(fd uintptr) { endReading(int(fd)) })
	p.mu.Unlock()
	h.letGo(slot)
}

func (h *host) takeSlot() (int, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.free) == 0 || h.closed {
		return 0, false
	}
	slot := h.free[len(h.free)-1]
	h.free = h.free[:len(h.free)-1]
	return slot, true
}

func (h *host) freeSlot(slot int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken[slot], h.deadOne[slot] = nil, false
	h.free = append(h.free, slot)
}

// letGo frees a slot when both its channel is buried and its worker is known
// to be dead: before, it could be killed in the place of a successor, or
// write to a successor's words.
func (h *host) letGo(slot int) {
	h.mu.Lock()
	first := !h.deadOne[slot]
	h.deadOne[slot] = true
	h.mu.Unlock()
	if !first {
		h.freeSlot(slot)
	}
}

// adopt enters a channel where the host's reports find it.
func (h *host) adopt(ch *channel) {
	h.mu.Lock()
	h.taken[ch.slot] = ch
	h.mu.Unlock()
	p := h.pool
	p.mu.Lock()
	ch.since = p.now()
	p.channels = append(p.channels, ch)
	p.mu.Unlock()
}

// disown takes back adopt.
func (h *host) disown(ch *channel) {
	h.pool.mu.Lock()
	h.pool.unlistLocked(ch)
	h.pool.mu.Unlock()
}

// unlistLocked takes a channel off the pool's list.
func (p *Pool) unlistLocked(ch *channel) {
	if i := slices.Index(p.channels, ch); i >= 0 {
		p.channels = slices.Delete(p.channels, i, i+1)
	}
}
