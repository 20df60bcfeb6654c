//go:build unix

package keeper

// An upgrade, from the word to the end of the old front. The first half is in
// the old program (trial, exec), the second in the new one.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/supervise"
)

// upgradePatience is what a front of the new program has until it serves.
const upgradePatience = 5 * time.Minute

// trialTime is what a new program has to say that it starts.
const trialTime = 10 * time.Second

// maxOld is how many fronts may still have requests when an upgrade begins.
const maxOld = 4

// upgrade is one that is under way.
type upgrade struct {
	asker   int    // the number of the front that asked; 0: none did
	request uint64 // that it asked with
	refused func(error)

	tried   bool                     // the new program starts
	halting bool                     // the fronts are told to pause
	again   map[*front]chan struct{} // of those that have paused

	inherited bool // it is the new program that runs
	apps      []string
	names     []string   // of give
	give      []*os.File // our ends of what the next front takes workers from, for the current one
}

// UpgradeSelf upgrades, for a signal: how it went is said in the log. The front
// is told to ask for it: it knows whether a reload is under way.
func (k *Keeper) UpgradeSelf() {
	k.post(func() {
		if k.current != nil {
			k.reply(k.current, &message{Do: "upgrade"})
		}
	})
}

// upgrade begins an upgrade. refused is called if it does not come to the
// program's execution; what happens after that the new program says.
func (k *Keeper) upgrade(refused func(error), asker int, request uint64) {
	switch {
	case k.upgrading != nil, k.stopping, k.current == nil || !k.current.served, len(k.old) >= maxOld:
		k.opt.Log.Warn("an upgrade is refused: another one, or the end, or a start is under way")
		refused(&Failure{Problem: "cannot upgrade: another upgrade, or the end, or a start is under way", Fix: "ask again when that is done"})
		return
	}
	u := &upgrade{asker: asker, request: request, refused: refused, again: map[*front]chan struct{}{}}
	k.upgrading = u
	go func() {
		err := k.try()
		k.post(func() {
			if u.tried = true; err != nil {
				k.refuse(err)
				return
			}
			k.proceed()
		})
	}()
}

// refuse ends an upgrade before the program's execution.
func (k *Keeper) refuse(err error) {
	u := k.upgrading
	k.upgrading = nil
	for f, again := range u.again {
		f.wire.resume()
		close(again)
	}
	for _, f := range k.fronts() {
		f.wire.resume() // one that had not paused yet
	}
	k.opt.Signals() // which were ignored, if it came that far
	k.opt.Log.Error("cannot upgrade; the old program serves on", "error", err)
	u.refused(err)
}

// fronts are those that a next program would find.
func (k *Keeper) fronts() []*front {
	all := slices.Clone(k.old)
	if k.current != nil {
		all = append(all, k.current)
	}
	return all
}

// proceed goes on with an upgrade as far as that is possible now. What another
// program could not know of must be over: plans that are being loaded, whose
// loading starts processes, and what a front has said and is not answered.
func (k *Keeper) proceed() {
	u := k.upgrading
	switch {
	case u == nil || !u.tried || k.next != nil || u.inherited:
		return
	case k.current == nil || k.stopping:
		k.refuse(errors.New("the front has ended, or is told to"))
		return
	case k.loading > 0:
		return
	}
	if !u.halting {
		u.halting = true
		for _, f := range k.fronts() {
			f.wire.pause()
		}
	}
	for _, f := range k.fronts() {
		if u.again[f] == nil {
			return
		}
	}
	if k.starting > 0 { // the last one goes on here
		return
	}
	k.refuse(k.execute()) // a success has not returned
}

// paused notes that nothing is read from a front until again is closed.
func (k *Keeper) paused(f *front, again chan struct{}) {
	u := k.upgrading
	if u == nil || !u.halting {
		f.wire.resume() // the upgrade was refused meanwhile
		close(again)
		return
	}
	u.again[f] = again
	k.proceed()
}

// try runs the program's file as it is now, only to see that it starts.
func (k *Keeper) try() error {
	ctx, cancel := context.WithTimeout(context.Background(), trialTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, k.opt.Program, k.opt.Trial...)
	cmd.WaitDelay = time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &limited{&said}, &limited{&said}
	err := cmd.Run()
	if err == nil && strings.TrimSpace(said.String()) != trialWord {
		err = errors.New("it is another program, or one that cannot take this one's place")
	}
	if err != nil {
		f := &Failure{Problem: fmt.Sprintf("the new program %s does not start: %v", k.opt.Program, err), Fix: "put one that runs in its place, and upgrade again"}
		if text := strings.TrimSpace(said.String()); text != "" && text != trialWord {
			f.More = text
		}
		return f
	}
	return nil
}

// trialWord is what a program answers to Trial that understands our state.
const trialWord = "millrace keeper 1"

// Trial is the answer to Options.Trial.
func Trial() string { return trialWord }

// limited keeps the first part of what a program says.
type limited struct{ b *bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := 4096 - l.b.Len(); room > 0 {
		l.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// State is what a program leaves for the one that takes its place. Its
// descriptors are those of the process, by their numbers.
type State struct {
	Key       []byte          `json:"key"` // Options.Key
	Number    int             `json:"number"`
	Plans     map[int]*Loaded `json:"plans"`
	Front     stateFront      `json:"front"`
	Old       []stateFront    `json:"old"` // that end
	LastFront int             `json:"last_front"`
	Memory    json.RawMessage `json:"memory,omitempty"`
	Sockets   []stateSocket   `json:"sockets"`
	Owners    map[int]int     `json:"owners"`    // of the processes: pid, number of a front
	Lifelines map[int]int     `json:"lifelines"` // of those that have one: pid, descriptor
	PIDFile   bool            `json:"pidfile"`
	Asker     int             `json:"asker"`
	Request   uint64          `json:"request"`
}

// Serving returns the Origin of what the front serves; nil: the program before
// told none.
func (s *State) Serving() json.RawMessage {
	if l := s.Plans[s.Front.Plan]; l != nil {
		return l.Origin
	}
	return nil
}

type stateFront struct {
	Number int `json:"number"`
	Plan   int `json:"plan"`
	PID    int `json:"pid"`
	FD     int `json:"fd"`
}

type stateSocket struct {
	Key   string `json:"key"`
	Path  string `json:"path"`
	Dev   uint64 `json:"dev"`
	Ino   uint64 `json:"ino"`
	FD    int    `json:"fd"`
	Users []int  `json:"users"`

	Waiting []stateWaiting `json:"waiting,omitempty"`
}

// stateWaiting is a front that waits for a packet socket.
type stateWaiting struct {
	Front   int    `json:"front"`
	Request uint64 `json:"request"`
}

// StateVariable names the descriptor of the state in the environment.
const StateVariable = "MILLRACE_KEEPER_STATE"

// execute executes the program's file in place. It returns on a failure alone.
func (k *Keeper) execute() error {
	var kept []int // descriptors that the next program is to have
	keep := func(f interface {
		SyscallConn() (syscall.RawConn, error)
	}) int {
		raw, err := f.SyscallConn()
		if err != nil {
			return -1
		}
		number := -1
		_ = raw.Control(func(fd uintptr) { number = int(fd) })
		kept = append(kept, number)
		return number
	}
	st := &State{
		Key: k.opt.Key, Number: k.number, Plans: k.plans, LastFront: k.lastFront, Memory: k.memory, PIDFile: k.pidfile,
		Front:     stateFront{k.current.number, k.current.plan, k.current.process.PID(), keep(k.current.wire.conn)},
		Lifelines: map[int]int{}, Owners: map[int]int{}, Asker: k.upgrading.asker, Request: k.upgrading.request,
	}
	for _, f := range k.old {
		st.Old = append(st.Old, stateFront{f.number, f.plan, f.process.PID(), keep(f.wire.conn)})
	}
	for key, h := range k.held {
		s := stateSocket{Key: key, Path: h.path, FD: keep(h.file)}
		if h.made != nil {
			if sys, ok := h.made.Sys().(*syscall.Stat_t); ok {
				s.Dev, s.Ino = uint64(sys.Dev), uint64(sys.Ino)
			}
		}
		for user := range h.users {
			s.Users = append(s.Users, user)
		}
		for _, w := range h.waiting {
			s.Waiting = append(s.Waiting, stateWaiting{w.front.number, w.request})
		}
		st.Sockets = append(st.Sockets, s)
	}
	for pid, p := range k.procs {
		st.Owners[pid] = p.front.number // it may have ended: then nobody waits for the process but we
		if l, ok := unwrap(p.process).(interface{ Lifeline() *os.File }); ok && l.Lifeline() != nil {
			st.Lifelines[pid] = keep(l.Lifeline())
		}
	}
	f, err := stateFile(st)
	if err != nil {
		return fmt.Errorf("cannot write the state for the new program: %w", err)
	}
	defer f.Close()
	kept = append(kept, k.opt.NextFiles...)
	env := slices.Concat(os.Environ(), k.opt.NextEnv)
	env = append(env, fmt.Sprintf("%s=%d", StateVariable, keep(f)))
	k.opt.Log.Info("upgrading", "program", k.opt.Program)
	// What comes until the new program listens to signals waits for it.
	unblock := blockSignals()
	syscall.ForkLock.Lock()
	for _, fd := range kept {
		setCloseOnExec(fd, false)
	}
	err = syscall.Exec(k.opt.Program, k.opt.Args, env)
	for _, fd := range kept {
		setCloseOnExec(fd, true)
	}
	syscall.ForkLock.Unlock()
	unblock()
	return &Failure{Problem: fmt.Sprintf("cannot execute %s: %v", k.opt.Program, err), Fix: "put one that runs in its place, and upgrade again"}
}

func unwrap(p supervise.Process) supervise.Process {
	if w, ok := p.(*watched); ok {
		return w.Process
	}
	return p
}

// stateFile is a file without a name that holds a state.
func stateFile(st *State) (*os.File, error) {
	b, err := json.Marshal(st)
	if err != nil {
		return nil, err
	}
	f, err := nameless()
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(b); err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func setCloseOnExec(fd int, on bool) {
	flag := 0
	if on {
		flag = unix.FD_CLOEXEC
	}
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, flag)
}

// ReadState reads what the program before this one left; nil if there is none.
// Its descriptors are closed on exec from then on.
func ReadState() (*State, error) {
	text, ok := os.LookupEnv(StateVariable)
	if !ok {
		return nil, nil
	}
	_ = os.Unsetenv(StateVariable)
	var fd int
	if _, err := fmt.Sscanf(text, "%d", &fd); err != nil {
		return nil, fmt.Errorf("%s=%q is no descriptor", StateVariable, text)
	}
	f := os.NewFile(uintptr(fd), "state")
	defer f.Close()
	st := new(State)
	if err := json.NewDecoder(f).Decode(st); err != nil {
		return nil, fmt.Errorf("cannot read the state of the program before: %w", err)
	}
	for _, f := range append(st.Old, st.Front) {
		setCloseOnExec(f.FD, true)
	}
	for _, s := range st.Sockets {
		setCloseOnExec(s.FD, true)
	}
	for _, fd := range st.Lifelines {
		setCloseOnExec(fd, true)
	}
	return st, nil
}

// inherit goes on where the program before has left off, and starts the front
// of the new one beside the old. next is the plan for it; nil if it cannot be
// loaded, for the reason unloaded: then the old front serves on.
func (k *Keeper) inherit(st *State, next *Loaded, unloaded error) error {
	k.started, k.pidfile, k.number, k.plans, k.lastFront, k.memory = true, st.PIDFile, st.Number, st.Plans, st.LastFront, st.Memory
	fronts := map[int]*front{}
	for i, sf := range append(st.Old, st.Front) {
		w, err := newWire(os.NewFile(uintptr(sf.FD), "front"))
		if err != nil {
			return err
		}
		f := &front{number: sf.Number, plan: sf.Plan, process: supervise.Child(sf.PID, nil), wire: w, born: time.Now(), served: true}
		fronts[sf.Number] = f
		if i < len(st.Old) {
			k.old = append(k.old, f)
		} else {
			k.current = f
		}
	}
	for _, s := range st.Sockets {
		h := &held{file: os.NewFile(uintptr(s.FD), s.Key), path: s.Path, users: map[int]bool{}}
		if info, err := os.Lstat(s.Path); err == nil {
			if sys, ok := info.Sys().(*syscall.Stat_t); ok && uint64(sys.Dev) == s.Dev && uint64(sys.Ino) == s.Ino {
				h.made = info
			}
		}
		for _, user := range s.Users {
			h.users[user] = true
		}
		for _, w := range s.Waiting {
			if f := fronts[w.Front]; f != nil {
				h.waiting = append(h.waiting, waiting{f, w.Request})
			}
		}
		k.held[s.Key] = h
	}
	for pid, owner := range st.Owners {
		var lifeline *os.File
		if fd, ok := st.Lifelines[pid]; ok {
			lifeline = os.NewFile(uintptr(fd), "lifeline")
		}
		k.procs[pid] = &owned{process: supervise.Child(pid, lifeline), front: fronts[owner]}
		k.follow(pid)
	}
	for _, f := range fronts {
		k.watch(f)
	}
	k.upgrading = &upgrade{asker: st.Asker, request: st.Request, inherited: true}
	if next == nil {
		k.upgradeFailed(fmt.Errorf("the new program cannot load the configuration: %w", unloaded))
		return nil
	}
	upgrading := k.upgrading
	time.AfterFunc(upgradePatience, func() {
		k.post(func() {
			if k.upgrading == upgrading && k.next != nil {
				k.next.failure = fmt.Errorf("the front of the new program did not serve within %s", upgradePatience)
				_ = k.next.process.Kill()
			}
		})
	})
	k.number++
	k.plans[k.number] = next
	for name := range next.Commands {
		if app, ok := strings.CutPrefix(name, "app "); ok && !strings.Contains(app, " ") {
			k.upgrading.apps = append(k.upgrading.apps, app)
		}
	}
	if err := k.startFront(k.number); err != nil {
		k.upgradeFailed(err)
	}
	return nil
}

// handOver has the current front give its workers to the next.
func (k *Keeper) handOver() {
	u := k.upgrading
	k.reply(k.current, &message{Do: "hand over", Names: u.names}, u.give...)
	closeAll(u.give)
	u.give, u.names = nil, nil
}

// upgraded makes the next front the current one; the one before answers what
// it has, and ends.
func (k *Keeper) upgraded() {
	old := k.current
	k.current, k.next = k.next, nil
	k.serves = k.current.plan
	k.old = append(k.old, old)
	k.forget()
	k.reply(old, &message{Do: "retire"})
	k.opt.Log.Info("upgraded", "front", k.current.process.PID())
	k.answerUpgrade(old, nil)
}

// upgradeFailed lets the current front serve on.
func (k *Keeper) upgradeFailed(err error) {
	if k.upgrading == nil {
		return
	}
	k.opt.Log.Error("the upgrade failed; the old front serves on", "error", err)
	if k.current != nil {
		k.reply(k.current, &message{Do: "resume"})
		k.answerUpgrade(k.current, err)
	}
}

func (k *Keeper) answerUpgrade(f *front, err error) {
	u := k.upgrading
	k.upgrading = nil
	closeAll(u.give)
	if u.asker == f.number {
		k.reply(f, &message{ID: u.request, Do: "reply", Failed: failed(err)})
	}
}
