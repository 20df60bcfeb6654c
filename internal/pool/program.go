package pool

// Programs: apps that are a program of their own, which speaks a protocol. A
// generation of them has no host: the keeper starts each process itself, and
// its channels are requests that it may be lent at a time. What a process gets
// for its requests is in program_socket.go, how it is lent one in
// program_call.go. All else is a Python worker's: dispatch, scaling, limits,
// recycling, reloads.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"millrace/gateway"
	"millrace/internal/supervise"
)

// Program is what a pool needs to know of an app that is a program.
type Program struct {
	Command     *supervise.Command
	Args        []string        // of Command, as configured: a Starter may know them alone
	Key         string          // how it is configured, for errors: `command = ["php-cgi"]`
	Concurrency int             // requests that one process is lent at a time
	Params      []gateway.Param // of each request, over those of their names
	Protocol    Protocol

	// PerRequest says that Protocol's clients start a process for each request
	// themselves, and need no connection: their dial is nil. A worker is then
	// the room for one. Close of a client ends its process, and waits for that.
	PerRequest bool
}

// Protocol is what a program speaks.
type Protocol interface {
	// Client returns a client that has one connection at a time at most, opened
	// by dial. If it is an io.Closer it is closed at its end.
	Client(dial func(context.Context) (net.Conn, error)) gateway.RoundTripper
}

const (
	// termGrace is how long a process that is killed has after SIGTERM.
	termGrace = 500 * time.Millisecond
	// lastBytes is how long the connections of a process that has died may
	// take to come to their ends: its children may hold them open.
	lastBytes = 2 * time.Second
	// wordsKept is how many of the lines that a process printed before it was
	// ready an error tells.
	wordsKept = 5
)

// program is what a process has that is a program.
type program struct {
	cfg    *Program
	proc   supervise.Process
	socket *programSocket
	alive  context.Context // ends what runs on its connections
	cut    context.CancelFunc
	silent chan struct{} // closed when it prints no more
	ready  bool          // it has taken a connection; under Pool.mu
	exit   supervise.Exit

	terminated atomic.Int64 // when SIGTERM was sent, in Unix nanoseconds; 0: it was not

	mu    sync.Mutex
	words []string // the last lines that it printed before it was ready
}

// noHost stands for the process that a generation of programs does not have.
type noHost struct{}

func (noHost) PID() int                    { return 0 }
func (noHost) Wait() supervise.Exit        { return supervise.Exit{} }
func (noHost) Signal(syscall.Signal) error { return nil }
func (noHost) Kill() error                 { return nil }

// programs returns a generation of programs.
func (p *Pool) programs(cfg Config, generation int) *host {
	return &host{pool: p, cfg: cfg, generation: generation, proc: noHost{}, started: time.Now(), ready: true, exited: true, closed: true}
}

// newProgramChannel opens a channel to a process that has room, else to one
// that is started for it.
func (h *host) newProgramChannel() (*channel, error) {
	p := h.pool
	ch := &channel{pool: p, host: h, id: p.channelIDs.Add(1), packets: -1, readEnd: -1, words: &slotWords{}}
	p.mu.Lock()
	for _, proc := range p.processes {
		if proc.roomFor(h) > 0 {
			p.joinProgramLocked(ch, proc)
			p.unlock()
			return ch, nil
		}
	}
	p.mu.Unlock()
	return ch, h.startProgram(ch)
}

// joinProgramLocked makes ch one of the requests that proc is lent at a time.
func (p *Pool) joinProgramLocked(ch *channel, proc *process) {
	ch.process, ch.since = proc, p.now()
	ch.link = &link{channel: ch, program: proc.program}
	dial := ch.link.dial
	if proc.program.cfg.PerRequest {
		dial = nil
	}
	ch.link.client = proc.program.cfg.Protocol.Client(dial)
	proc.channels = append(proc.channels, ch)
	p.channels = append(p.channels, ch)
	if proc.program.ready {
		p.readyLocked(ch)
	}
}

// startProgram starts a process, whose first channel is ch.
func (h *host) startProgram(ch *channel) error {
	p, cfg := h.pool, h.cfg.Program
	if cfg.PerRequest {
		p.addProgram(ch, h, &program{cfg: cfg, proc: &requestRoom{left: make(chan struct{})}, socket: &programSocket{}, ready: true})
		return nil
	}
	wrong := func(err error) error { return fmt.Errorf("%s of app %s: %w", cfg.Key, h.cfg.Name, err) }
	socket, err := newProgramSocket(cfg)
	if err != nil {
		return wrong(err)
	}
	outRead, outWrite, err := outputPipe()
	if err != nil {
		socket.close()
		return wrong(err)
	}
	defer outWrite.Close()
	started, err := h.cfg.Starter.Start(supervise.Start{
		Command: cfg.Command, Files: []*os.File{socket.listener, outWrite, outWrite}, Replace: socket.replace,
	})
	if err != nil {
		outRead.Close()
		socket.close()
		return wrong(err)
	}
	proc := p.addProgram(ch, h, &program{cfg: cfg, proc: started, socket: socket, silent: make(chan struct{})})
	proc.printer = p.output.follow(outRead, proc, nil)
	go p.awaitProgram(proc)
	return nil
}

// addProgram makes a process of what was started for ch, and follows it.
func (p *Pool) addProgram(ch *channel, h *host, pr *program) *process {
	proc := &process{host: h, program: pr, control: -1, lifeline: -1, reported: make(chan struct{})}
	if limit := h.cfg.MaxRequests; limit > 0 {
		proc.limit = uint64(jitter(limit))
	}
	if limit := h.cfg.MaxLifetime; limit > 0 {
		proc.expires = p.now() + time.Duration(jitter(int(limit)))
	}
	proc.pid.Store(int64(pr.proc.PID()))
	pr.alive, pr.cut = context.WithCancel(context.Background())
	p.mu.Lock()
	h.lastProcess++
	proc.number = h.lastProcess
	p.processes = append(p.processes, proc)
	p.joinProgramLocked(ch, proc)
	p.unlock()
	p.hosts.Add(1)
	go p.followProgram(proc)
	return proc
}

// requestRoom stands for the process of a worker that has one for each request: it
// ends when it is told to.
type requestRoom struct {
	once sync.Once
	left chan struct{}
}

func (r *requestRoom) PID() int { return 0 }

func (r *requestRoom) Wait() supervise.Exit {
	<-r.left
	return supervise.Exit{}
}

func (r *requestRoom) Signal(syscall.Signal) error { return r.Kill() }

func (r *requestRoom) Kill() error {
	r.once.Do(func() { close(r.left) })
	return nil
}

// awaitProgram makes the channels of a process ready when it takes
// connections. Who waits too long for that is the keeper's matter.
func (p *Pool) awaitProgram(proc *process) {
	pr := proc.program
	if pr.socket.accepts(pr.alive) != nil {
		return // it was killed, or died
	}
	p.mu.Lock()
	defer p.unlock()
	if proc.died != "" {
		return
	}
	pr.ready = true
	pr.forgetWords()
	for _, ch := range proc.channels {
		p.readyLocked(ch)
	}
}

// followProgram notes the end of a process.
func (p *Pool) followProgram(proc *process) {
	defer p.hosts.Done()
	pr := proc.program
	exit := pr.proc.Wait()
	pr.socket.died() // before anyone asks what it had not accepted
	time.AfterFunc(lastBytes, pr.cut)
	p.mu.Lock()
	if !pr.ready {
		p.mu.Unlock()
		late := time.NewTimer(reportPatience) // its last words are on their way
		defer late.Stop()
		select {
		case <-pr.silent:
		case <-late.C:
		}
		p.mu.Lock()
	}
	defer p.unlock()
	pr.exit = exit
	if !pr.ready {
		pr.cut() // nobody waits for it any more
		proc.host.failed = fmt.Errorf("%s of app %s: %w", pr.cfg.Key, p.name, pr.endedEarly(proc, exit))
	}
	p.diedLocked(proc, exit.String())
	for _, ch := range proc.channels {
		ch.ended = true
		p.startFailedLocked(ch)
		if len(ch.held) == 0 {
			p.endProgramChannelLocked(ch)
		}
	}
}

// leftLocked reports whether the process, which has ended, did so as it should:
// programs may leave after so many requests.
func (proc *process) leftLocked() bool {
	return proc.program != nil && proc.program.exit.OK() && proc.killed == "" && proc.served > 0
}

// endedEarly says why a process never served.
func (pr *program) endedEarly(proc *process, exit supervise.Exit) error {
	text := "the program ended before it took a connection: " + exit.String()
	if proc.killed != "" {
		text = "the program was killed before it took a connection: " + proc.killed
	}
	return errors.New(text + pr.said())
}

// notReady is why a generation is given up after startup_timeout.
func (h *host) notReady() error {
	p := h.pool
	if h.cfg.Program == nil {
		return fmt.Errorf("app %s was not ready within startup_timeout (%s): its import, or its first worker, takes longer", p.name, h.cfg.StartupTimeout)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	text, said := "its standard input, which is a listening socket", ""
	for _, proc := range p.processes {
		if proc.host == h {
			text, said = proc.program.socket.where(), proc.program.said()
		}
	}
	return fmt.Errorf("%s of app %s: the program took no connection on %s within startup_timeout (%s)%s",
		h.cfg.Program.Key, p.name, text, h.cfg.StartupTimeout, said)
}

// heard keeps a line that the process has printed, for the error if it never
// serves.
func (pr *program) heard(line []byte) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.words == nil {
		pr.words = make([]string, 0, wordsKept)
	}
	if cap(pr.words) == 0 || len(bytes.TrimSpace(line)) == 0 {
		return
	}
	if len(pr.words) == wordsKept {
		copy(pr.words, pr.words[1:])
		pr.words = pr.words[:wordsKept-1]
	}
	pr.words = append(pr.words, fmt.Sprintf("%.300q", line))
}

// forgetWords ends that.
func (pr *program) forgetWords() {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.words = []string{}
}

func (pr *program) said() string {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if len(pr.words) == 0 {
		return ""
	}
	return "; it said " + strings.Join(pr.words, ", ")
}

// endProgramChannelLocked ends a channel that holds nothing. The list of
// channels stays as it is for now: whoever calls this may be walking it.
func (p *Pool) endProgramChannelLocked(ch *channel) {
	if ch.buried {
		return
	}
	ch.buried, ch.clean = true, true
	ch.state = channelDead
	go func() {
		ch.link.close()
		p.mu.Lock()
		defer p.unlock()
		p.recycledLocked(ch)
		p.leaveProcessLocked(ch, true)
		p.dispatchLocked()
		p.kickKeeper()
	}()
}

// leave asks a process whose last channel has ended to go. The keeper kills it
// if it does not.
func (pr *program) leave() {
	if pr.terminated.CompareAndSwap(0, time.Now().UnixNano()) {
		go func() { _ = pr.proc.Signal(syscall.SIGTERM) }()
	}
}

// kill ends a process and what runs on its connections: it has termGrace from
// its SIGTERM on.
func (pr *program) kill() {
	pr.cut()
	pr.leave()
	since := time.Since(time.Unix(0, pr.terminated.Load()))
	time.AfterFunc(max(termGrace-since, 0), func() { _ = pr.proc.Kill() })
}
