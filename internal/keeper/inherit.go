//go:build unix

package keeper

// The second half of an upgrade, in the new program: it goes on where the one
// before has left off.

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"millrace/internal/supervise"
)

// upgradePatience is what a front of the new program has until it serves.
const upgradePatience = 5 * time.Minute

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
