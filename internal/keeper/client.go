//go:build unix

package keeper

// The front's side: what it asks its keeper for.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"millrace/internal/listen"
	"millrace/internal/supervise"
)

// Begin is what a front is told when it starts.
type Begin struct {
	Plan   int             // its number
	Body   json.RawMessage // the plan, as Loaded.Front has it
	PID    int             // the keeper's
	Follow bool            // another front serves still; it hands over, see Events

	Memory json.RawMessage // that the front before had the keeper remember; nil: none

	Handed map[string]*os.File // of a Follow: where apps' workers come from, by app
}

// Events are what a keeper tells its front. All are called from one goroutine,
// and must not wait for the keeper.
type Events struct {
	// HandOver says that the next front is there: to is where apps' workers are
	// to be given to it. They are the callee's.
	HandOver func(to map[string]*os.File)
	// Resume says that the next front has failed.
	Resume func()
	// Retire says that the next front serves: this one accepts no more, answers
	// what it has, and ends.
	Retire func()
	// Upgrade says that somebody wants an upgrade: the front is to ask for it.
	Upgrade func()
	// Gone says that the keeper has died.
	Gone func()
}

// Client is a front's connection to its keeper. Its methods may be called from
// any goroutine.
type Client struct {
	wire  *wire
	begin Begin

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan *message
	exits   map[int]chan supervise.Exit
	gone    error // the connection has ended
}

var (
	_ supervise.Starter = (*Client)(nil)
	_ supervise.Adopter = (*Client)(nil)
)

// Connect takes the connection over that the keeper gave the front, and
// returns when the keeper has said what to begin with.
func Connect(f *os.File) (*Client, error) {
	w, err := newWire(f)
	if err != nil {
		return nil, err
	}
	m, err := w.receive()
	if err == nil && (m.Do != "begin" || len(m.Names) != len(m.files)) {
		err = fmt.Errorf("it begins with %q", m.Do)
	}
	if err != nil {
		w.conn.Close()
		return nil, fmt.Errorf("cannot talk to the keeper: %w", err)
	}
	c := &Client{
		wire:    w,
		begin:   Begin{Plan: m.Plan, Body: m.Body, PID: m.PID, Follow: m.Text == follow, Memory: m.Memory, Handed: map[string]*os.File{}},
		waiting: map[uint64]chan *message{}, exits: map[int]chan supervise.Exit{},
	}
	for i, name := range m.Names {
		c.begin.Handed[name] = m.files[i]
	}
	return c, nil
}

// follow is the text of a begin beside another front.
const follow = "follow"

// Begin is what the keeper said at first.
func (c *Client) Begin() Begin { return c.begin }

// Run tells events until the keeper is gone. It is to be called once, before
// anything is asked for.
func (c *Client) Run(e Events) {
	var err error
	for err == nil {
		var m *message
		if m, err = c.wire.receive(); err == nil {
			c.told(m, e)
		}
	}
	c.mu.Lock()
	c.gone = fmt.Errorf("the keeper is gone: %w", err)
	for _, reply := range c.waiting {
		close(reply)
	}
	for _, exit := range c.exits {
		exit <- supervise.Exit{Err: c.gone}
	}
	c.waiting, c.exits = nil, nil
	c.mu.Unlock()
	e.Gone()
}

func (c *Client) told(m *message, e Events) {
	switch m.Do {
	case "reply":
		c.mu.Lock()
		reply := c.waiting[m.ID]
		delete(c.waiting, m.ID)
		if m.PID > 0 && m.Failed == nil {
			c.exits[m.PID] = make(chan supervise.Exit, 1) // its exit may be the next message
		}
		c.mu.Unlock()
		if reply == nil {
			closeAll(m.files)
			return
		}
		reply <- m
		return
	case "exited":
		c.mu.Lock()
		exit := c.exits[m.PID]
		c.mu.Unlock()
		if exit != nil {
			x := supervise.Exit{Code: m.Code, Signal: syscall.Signal(m.Signal)}
			if m.Failed != nil {
				x.Err = m.Failed
			}
			exit <- x
		}
	case "hand over":
		to := map[string]*os.File{}
		for i, name := range m.Names {
			if i < len(m.files) {
				to[name] = m.files[i]
			}
		}
		e.HandOver(to)
		return
	case "resume":
		e.Resume()
	case "retire":
		e.Retire()
	case "upgrade":
		e.Upgrade()
	}
	closeAll(m.files)
}

// ask sends a request and waits for its reply.
func (c *Client) ask(ctx context.Context, m *message, files ...*os.File) (*message, error) {
	reply := make(chan *message, 1)
	c.mu.Lock()
	if c.gone != nil {
		defer c.mu.Unlock()
		return nil, c.gone
	}
	c.last++
	m.ID = c.last
	c.waiting[m.ID] = reply
	c.mu.Unlock()
	if err := c.wire.send(m, files...); err != nil {
		c.mu.Lock()
		delete(c.waiting, m.ID)
		c.mu.Unlock()
		return nil, fmt.Errorf("cannot talk to the keeper: %w", err)
	}
	select {
	case got, ok := <-reply:
		switch {
		case !ok:
			return nil, c.gone
		case got.Failed != nil:
			closeAll(got.files)
			return nil, got.Failed
		}
		return got, nil
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.waiting, m.ID)
		c.mu.Unlock()
		return nil, ctx.Err()
	}
}

// askFor is ask for one descriptor.
func (c *Client) askFor(m *message) (*os.File, error) {
	got, err := c.ask(context.Background(), m)
	switch {
	case err != nil:
		return nil, err
	case len(got.files) != 1:
		closeAll(got.files)
		return nil, errNoDescriptor
	}
	return got.files[0], nil
}

var errNoDescriptor = errors.New("the keeper sent no descriptor")

// Start starts a command of a plan that the keeper has loaded: what Start names
// is the command's name and plan; as what it runs is the keeper's to know.
func (c *Client) Start(s supervise.Start) (supervise.Process, error) {
	m := &message{Do: "start", Command: s.Command.Name, Plan: s.Command.Plan, Replace: s.Replace, Program: []byte(s.Program), Owner: s.Owner}
	for _, v := range s.Env {
		m.Env = append(m.Env, []byte(v))
	}
	for _, v := range s.Args {
		m.Args = append(m.Args, []byte(v))
	}
	var files []*os.File
	for _, f := range s.Files {
		m.Null = append(m.Null, f == nil)
		if f != nil {
			files = append(files, f)
		}
	}
	got, err := c.ask(context.Background(), m, files...)
	if err != nil {
		return nil, err
	}
	return c.process(got.PID)
}

// Adopt returns the process that the front before this one had started.
func (c *Client) Adopt(pid int) (supervise.Process, error) {
	if _, err := c.ask(context.Background(), &message{Do: "adopt", PID: pid}); err != nil {
		return nil, err
	}
	return c.process(pid)
}

func (c *Client) process(pid int) (supervise.Process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	exit := c.exits[pid]
	if exit == nil {
		return nil, c.gone
	}
	return &process{client: c, pid: pid, exit: exit}, nil
}

// process is one that the keeper started.
type process struct {
	client *Client
	pid    int
	exit   chan supervise.Exit
}

func (p *process) PID() int { return p.pid }

func (p *process) Wait() supervise.Exit {
	x := <-p.exit
	p.client.mu.Lock()
	defer p.client.mu.Unlock()
	if p.client.exits[p.pid] == p.exit {
		delete(p.client.exits, p.pid)
	}
	return x
}

func (p *process) Signal(sig syscall.Signal) error {
	return p.client.wire.send(&message{Do: "signal", PID: p.pid, Signal: int(sig)})
}

func (p *process) Kill() error { return p.client.wire.send(&message{Do: "kill", PID: p.pid}) }

// Load has the keeper load the plan anew. The context's end gives it up.
func (c *Client) Load(ctx context.Context) (number int, plan json.RawMessage, err error) {
	got, err := c.ask(ctx, &message{Do: "load"})
	if err != nil {
		return 0, nil, err
	}
	return got.Plan, got.Body, nil
}

// Use says that a plan is served: the keeper forgets the others.
func (c *Client) Use(plan int) error { return c.wire.send(&message{Do: "use", Plan: plan}) }

// Listen has the keeper open an address of a plan, if it is not open yet.
func (c *Client) Listen(address string, o listen.Options) (*listen.Listener, error) {
	got, err := c.ask(context.Background(), &message{Do: "listen", Address: address, Mode: uint32(o.Mode)})
	if err != nil {
		return nil, err
	}
	defer closeAll(got.files)
	if len(got.files) != 1 {
		return nil, errNoDescriptor
	}
	return listen.Given(address, got.files[0], &owner{c, got.Address}, o)
}

// owner is the keeper as the owner of a socket.
type owner struct {
	client *Client
	key    string
}

func (o *owner) Release() (last bool, err error) {
	got, err := o.client.ask(context.Background(), &message{Do: "release", Address: o.key})
	return err == nil && got.Text == lastUser, err
}

// lastUser is the text of the reply to a release that has closed the socket.
const lastUser = "last"

func (o *owner) SetMode(mode fs.FileMode) error {
	_, err := o.client.ask(context.Background(), &message{Do: "mode", Address: o.key, Mode: uint32(mode)})
	return err
}

// OpenLog has the keeper open a log of a plan, to append to it.
func (c *Client) OpenLog(path string) (*os.File, error) {
	return c.askFor(&message{Do: "log", Path: path})
}

// OpenFile has the keeper open a file of a plan, to read it.
func (c *Client) OpenFile(path string) (*os.File, error) {
	return c.askFor(&message{Do: "read", Path: path})
}

// RotateLog has the keeper rename a log of a plan, of which as many older ones
// stay as that says.
func (c *Client) RotateLog(path string, _ int) error {
	_, err := c.ask(context.Background(), &message{Do: "rotate", Path: path})
	return err
}

// WritePID has the keeper write its pidfile; an error says whose it is.
func (c *Client) WritePID() error {
	_, err := c.ask(context.Background(), &message{Do: "pid"})
	return err
}

// Take says that the front of an upgrade has all that it needs but the workers
// of the one before it, which come from now on; see Begin.Handed.
func (c *Client) Take() error {
	_, err := c.ask(context.Background(), &message{Do: "take"})
	return err
}

// Serving says that the front serves; status is for people.
func (c *Client) Serving(status json.RawMessage) error {
	_, err := c.ask(context.Background(), &message{Do: "serving", Body: status})
	return err
}

// Upgrade has the keeper execute its program's file anew and start a front
// from it. It returns when that front serves, or why it does not.
func (c *Client) Upgrade(ctx context.Context) error {
	_, err := c.ask(ctx, &message{Do: "upgrade"})
	return err
}

// Remember has the keeper keep what the fronts that follow are to have as
// Begin.Memory.
func (c *Client) Remember(memory json.RawMessage) error {
	return c.wire.send(&message{Do: "remember", Body: memory})
}

// Stop has the keeper end everything, as SIGTERM does.
func (c *Client) Stop() error { return c.wire.send(&message{Do: "stop"}) }

// Fail says why this front is about to end without having served.
func (c *Client) Fail(err error) error {
	return c.wire.send(&message{Do: "failed", Failed: failed(err)})
}

// Notify passes a line of status, or of a reload, on to who started the keeper.
func (c *Client) Notify(text string) error { return c.wire.send(&message{Do: "notify", Text: text}) }
