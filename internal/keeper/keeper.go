//go:build unix

package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"syscall"
	"time"

	"millrace/internal/supervise"
)

// Loaded is a plan as the keeper needs it.
type Loaded struct {
	Front     json.RawMessage               // the plan for the front: with nothing that the front must not know
	Commands  map[string]*supervise.Command // what a front may start, by name
	Addresses []string                      // that it may listen on
	Packets   []string                      // those of them that have UDP beside
	Modes     map[string]fs.FileMode        // of its Unix sockets; 0666 of one that is not there
	Logs      []string                      // that it may append to
	Files     []string                      // that it may read, whoever's they are: certificates and their keys
	Rotated   map[string]int                // those of them that it may have rotated, and how many older ones are kept
	Rights    supervise.Rights              // that it has itself
	Origin    json.RawMessage               // what Load wants to know of it in a later program: State.Serving
}

// Options of New. All but Stdout, Stderr and Notify are required.
type Options struct {
	// Load loads the plan, each time anew.
	Load func(ctx context.Context) (*Loaded, error)

	Key     []byte   // what Load keeps from one program to the next, by State.Key
	Program string   // the file of this program, for fronts and upgrades
	Args    []string // of this process, for upgrades
	Front   []string // arguments of a front, without the program's name
	Trial   []string // arguments with which the program only says that it starts
	Env     []string // of a front

	Stdout, Stderr *os.File // of a front; nil: the null device
	Log            *slog.Logger

	WritePID  func() error // an error says whose the pidfile is
	RemovePID func()

	// Serving is called once, when the first front serves, with its status. An
	// error ends everything.
	Serving func(status json.RawMessage) error

	// Systemd returns the descriptor of a socket that systemd passed by its
	// name; nil: it passed none.
	Systemd func(name string) (fd int, err error)

	// NextEnv and NextFiles are the environment that the next program is to
	// have beyond this one's, and descriptors that it is to find under the
	// same numbers.
	NextEnv   []string
	NextFiles []int

	// Signals has this process be notified of signals, which an upgrade that
	// fails may have ended.
	Signals func()

	// Notify passes on what a front says to who started us; may be nil.
	Notify func(text string)
}

// Keeper keeps one front, for a while two. Run owns its state: whatever else
// has something to do with it sends a function to do.
type Keeper struct {
	opt     Options
	do      chan func()
	done    chan struct{} // closed when Run has ended
	started bool          // some front has served

	current, next *front // next: during an upgrade, until it serves
	old           []*front
	lastFront     int
	memory        json.RawMessage // that a front had us remember, for the next

	number  int // of the newest plan
	serves  int // of the one that the current front serves, or served last
	loading int // plans that are being loaded

	starter  supervise.Starter
	starting int // processes whose starts are under way
	plans    map[int]*Loaded
	held     map[string]*held
	procs    map[int]*owned

	stopping  bool
	last      *int // the exit status of the current front, which has ended for good
	ended     *int // the exit status, when all is over
	pidfile   bool
	restart   supervise.Backoff
	upgrading *upgrade
	failure   error // of Serving
}

// owned is a process of the apps.
type owned struct {
	process supervise.Process
	front   *front   // whose it is
	before  []*front // whose it was; they may still wait for its end
}

// New returns a keeper that does nothing yet.
func New(o Options) *Keeper {
	return &Keeper{
		opt: o, do: make(chan func()), done: make(chan struct{}),
		plans: map[int]*Loaded{}, held: map[string]*held{}, procs: map[int]*owned{}, starter: supervise.Local{},
		restart: supervise.Backoff{First: 100 * time.Millisecond, Limit: 15 * time.Second, Factor: 2},
	}
}

// Run starts a front that serves first, and keeps it until it ends by its own
// will or because of Signal. It returns the front's exit status. What happens
// at ctx's end is what SIGTERM does. inherited is what the program before this
// one left by an upgrade: nil for none, then first is required. unloaded is why
// there is no first.
func (k *Keeper) Run(ctx context.Context, first *Loaded, inherited *State, unloaded error) (status int, err error) {
	defer close(k.done)
	switch {
	case inherited != nil:
		if err := k.inherit(inherited, first, unloaded); err != nil {
			return 1, err
		}
	default:
		k.number, k.serves = 1, 1
		k.plans[1] = first
		if err := k.startFront(k.number); err != nil {
			return 1, err
		}
	}
	canceled := ctx.Done()
	for k.ended == nil {
		select {
		case f := <-k.do:
			f()
		case <-canceled:
			canceled = nil
			k.signal(syscall.SIGTERM)
		}
	}
	k.end()
	return *k.ended, k.failure
}

// post has the owner of the state do something; false after its end.
func (k *Keeper) post(f func()) bool {
	select {
	case k.do <- f:
		return true
	case <-k.done:
		return false
	}
}

// Signal passes a signal on to the front. SIGTERM and SIGINT let it end.
func (k *Keeper) Signal(sig syscall.Signal) { k.post(func() { k.signal(sig) }) }

func (k *Keeper) signal(sig syscall.Signal) {
	if sig == syscall.SIGTERM || sig == syscall.SIGINT {
		k.stopping = true
		if k.next != nil {
			_ = k.next.process.Kill() // it does not serve yet
		}
	}
	switch {
	case k.current != nil:
		_ = k.current.process.Signal(sig)
	case k.stopping: // between two fronts
		k.finish(0)
	}
}

func (k *Keeper) finish(status int) {
	if k.ended == nil {
		k.ended = &status
	}
}

// end gives back what is open, and waits for nobody.
func (k *Keeper) end() {
	k.settle()
	for _, f := range append(k.old, k.current, k.next) {
		if f != nil {
			_ = f.process.Kill()
			f.wire.conn.Close()
		}
	}
	for _, p := range k.procs {
		_ = p.process.Kill()
	}
	for _, h := range k.held {
		h.close()
	}
	if k.pidfile {
		k.opt.RemovePID()
	}
}

// serving handles the word of a front that it serves.
func (k *Keeper) serving(f *front, m *message) error {
	switch {
	case f == k.next:
		k.upgraded()
	case f == k.current && !k.started:
		if err := k.opt.Serving(m.Body); err != nil {
			k.failure = err
			k.stopping = true
			_ = f.process.Signal(syscall.SIGTERM)
			return err
		}
	}
	k.started, f.served = true, true
	k.restart.Reset()
	return nil
}

// exited handles the end of a front.
func (k *Keeper) exited(f *front, x supervise.Exit) {
	f.wire.conn.Close()
	for _, p := range k.procs {
		if p.front == f {
			_ = p.process.Kill() // a front that ends by its own will leaves none; follow reaps it
		}
	}
	defer k.proceed() // one less to wait for
	for key, h := range k.held {
		delete(h.users, f.number)
		k.passOn(key, h)
	}
	switch f {
	case k.next:
		k.next = nil
		k.closeUnused() // what it alone had opened, if it was killed
		err := fmt.Errorf("the front of the new program ended before it served: %s", x)
		switch {
		case k.stopping:
			err = errors.New("the server was told to stop")
		case f.failure != nil:
			err = f.failure
		}
		k.upgradeFailed(err)
		return
	case k.current:
		k.current = nil
	default:
		for i, one := range k.old {
			if one == f {
				k.old = append(k.old[:i], k.old[i+1:]...)
				break
			}
		}
		if k.last != nil && len(k.old) == 0 {
			k.finish(*k.last)
		}
		return
	}
	switch {
	case x.OK(), k.stopping, !k.started:
		status := x.Code
		if x.Signal != 0 || x.Err != nil {
			status = 1
			k.opt.Log.Error("the front ended", "pid", f.process.PID(), "how", x.String())
		}
		if k.last = &status; len(k.old) == 0 {
			k.finish(status)
		} // else those before it still answer what they have
	case k.next != nil: // it has died at its upgrade
		k.opt.Log.Error("the old front died; the new one takes its place", "pid", f.process.PID(), "how", x.String())
		k.current, k.next = k.next, nil
		k.serves = k.current.plan
		closeAll(k.upgrading.give)
		k.upgrading = nil
	default:
		k.restartFront(f, x)
	}
}

// restartFront starts another front in place of one that died. Clients that
// connect meanwhile wait in the backlogs of the sockets, which stay open.
func (k *Keeper) restartFront(f *front, x supervise.Exit) {
	delay := time.Duration(0)
	if !f.served || time.Since(f.born) < time.Minute {
		delay = k.restart.Next()
	}
	k.opt.Log.Error("the front died; another one takes its place", "pid", f.process.PID(), "how", x.String(), "after", delay.Round(time.Millisecond))
	time.AfterFunc(delay, func() {
		k.post(func() {
			if k.stopping || k.current != nil {
				return
			}
			if err := k.startFront(k.serves); err != nil {
				k.opt.Log.Error("cannot start a front", "error", err)
				k.finish(1)
			}
		})
	})
}

// handle does what a front asks for, and replies.
func (k *Keeper) handle(f *front, m *message) {
	reply := &message{ID: m.ID, Do: "reply"}
	var files []*os.File
	err := errUnknown
	switch m.Do {
	case "start":
		k.start(f, m)
		return // that takes its time
	case "adopt":
		reply.PID, err = m.PID, k.adopt(f, m.PID)
	case "signal", "kill":
		k.signalProcess(f, m)
		return
	case "listen":
		var file *os.File
		if reply.Address, file, err = k.listen(f, m); err == nil {
			files = append(files, file)
		}
	case "packet":
		var file *os.File
		var later bool
		if reply.Address, file, later, err = k.packet(f, m); later {
			return // when the front that has it lets it go
		}
		if err == nil {
			files = append(files, file)
		}
	case "give up":
		k.giveUp(f, m.Address)
		return
	case "release":
		if err = nil; k.release(f, m.Address) {
			reply.Text = lastUser
		}
	case "mode":
		err = k.setMode(m)
	case "log":
		var file *os.File
		if file, err = k.openLog(m.Path); err == nil {
			defer file.Close()
			files = append(files, file)
		}
	case "read":
		var file *os.File
		if file, err = k.openFile(m.Path); err == nil {
			defer file.Close()
			files = append(files, file)
		}
	case "rotate":
		err = k.rotateLog(m.Path)
	case "pid":
		if err = nil; !k.pidfile {
			err = k.opt.WritePID()
			k.pidfile = err == nil
		}
	case "take":
		err = nil
		if f == k.next {
			k.handOver()
		}
	case "serving":
		err = k.serving(f, m)
	case "stop":
		k.signal(syscall.SIGTERM)
		return
	case "failed":
		if m.Failed != nil {
			f.failure = m.Failed
		}
		return
	case "remember":
		k.memory = m.Body
		return
	case "use":
		k.use(f, m.Plan)
		return
	case "load":
		k.load(f, m)
		return // that, too
	case "upgrade":
		k.upgrade(func(err error) { k.reply(f, &message{ID: m.ID, Do: "reply", Failed: failed(err)}) }, f.number, m.ID)
		return
	case "notify":
		if f == k.current && k.opt.Notify != nil {
			k.opt.Notify(m.Text)
		}
		return
	}
	reply.Failed = failed(err)
	k.reply(f, reply, files...)
	if reply.PID > 0 && err == nil {
		k.follow(reply.PID) // its exit comes after the reply
	}
}

var errUnknown = errors.New("the keeper does not know what that is")

// reply sends a front what it waits for. One that does not read is at its end.
func (k *Keeper) reply(f *front, m *message, files ...*os.File) {
	_ = f.wire.conn.SetWriteDeadline(time.Now().Add(sendPatience))
	if err := f.wire.send(m, files...); err != nil {
		k.opt.Log.Error("cannot talk to the front; it is killed", "pid", f.process.PID(), "error", err)
		_ = f.process.Kill()
	}
}

// sendPatience is how long a front may leave its messages unread.
const sendPatience = 10 * time.Second

// load loads the plan anew for a front, beside everything else.
func (k *Keeper) load(f *front, m *message) {
	if k.upgrading != nil { // whose program must not find a child that it does not know
		k.reply(f, &message{ID: m.ID, Do: "reply", Failed: &Failure{
			Problem: "cannot reload: an upgrade is under way", Fix: "the upgrade reads the configuration anew; reload when it is done",
		}})
		return
	}
	if f.loading >= maxLoads {
		k.reply(f, &message{ID: m.ID, Do: "reply", Failed: &Failure{
			Problem: "cannot reload: other reloads are under way", Fix: "reload when they are done",
		}})
		return
	}
	k.loading++
	f.loading++
	go func() {
		loaded, err := k.opt.Load(context.Background())
		k.post(func() {
			k.loading--
			f.loading--
			defer k.proceed()
			reply := &message{ID: m.ID, Do: "reply", Failed: failed(err)}
			if err == nil {
				k.number++
				k.plans[k.number] = loaded
				k.forget() // one that was loaded before, and did not come to be served
				reply.Plan, reply.Body = k.number, loaded.Front
			}
			if k.lives(f) {
				k.reply(f, reply)
			}
		})
	}()
}

// forget drops the plans that no front serves, but for the last, which may be
// about to be. A plan is large, and goes with each upgrade.
func (k *Keeper) forget() {
	used := map[int]bool{k.number: true, k.serves: true}
	for _, f := range append([]*front{k.current, k.next}, k.old...) {
		if f != nil {
			used[f.plan] = true
		}
	}
	for n := range k.plans {
		if !used[n] {
			delete(k.plans, n)
		}
	}
}

// use forgets the plans before the one that the front serves now, and closes
// what nobody listens on any more.
func (k *Keeper) use(f *front, number int) {
	f.plan = number
	if f != k.current || k.plans[number] == nil {
		return
	}
	k.serves = number
	k.forget()
	k.closeUnused()
}

// closeUnused closes what no front listens on. It is not for when the current
// one has died: the next is to find its sockets open.
func (k *Keeper) closeUnused() {
	for address, h := range k.held {
		if len(h.users) == 0 {
			h.close()
			delete(k.held, address)
		}
	}
}
