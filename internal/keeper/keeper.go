//go:build unix

package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"millrace/internal/supervise"
)

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
