//go:build unix

package keeper

// Plans: what the configuration says, as the keeper and a front need it.

import (
	"context"
	"encoding/json"
	"io/fs"

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
