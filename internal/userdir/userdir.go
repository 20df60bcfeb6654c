// Package userdir finds the folders that the users of a machine serve their
// pages from: "/~ann/" is public_html in the home of ann.
//
// A name from a URL is looked up only if it can be one: letters, digits and
// "._-", at most 32 of them. Whoever has no folder, may have none, or does not
// exist is answered alike: by ok false. What was found out is remembered for a
// while, also that there is nobody, so that guessing names costs the machine
// little.
package userdir

import (
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options say who may have a folder.
type Options struct {
	Enabled  []string // these alone; empty: all
	Disabled []string // but not these
	MinUID   uint32   // and none below it; root never

	// Lookup finds a user; nil: os/user.Lookup.
	Lookup func(name string) (*user.User, error)
	// Now tells the time; nil: time.Now.
	Now func() time.Time
}

// User is one who may have a folder.
type User struct {
	Name string
	Home string // absolute
	UID  uint32
}

// Users looks users up. It is safe for concurrent use.
type Users struct {
	o Options

	mu    sync.Mutex
	known map[string]known
}

type known struct {
	user *User // nil: nobody
	at   time.Time
}

const (
	// remembered is for how long an answer holds.
	remembered = 10 * time.Second
	// maxKnown bounds how many are remembered: who guesses names fills no memory.
	maxKnown = 4096
)

// New returns Users.
func New(o Options) *Users {
	if o.Lookup == nil {
		o.Lookup = user.Lookup
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Users{o: o, known: map[string]known{}}
}

// Split parts a path "/~name/rest": slash says that there is one behind the
// name, and rest begins with it.
func Split(urlPath string) (name, rest string, slash, ok bool) {
	name, ok = strings.CutPrefix(urlPath, "/~")
	if !ok {
		return "", "", false, false
	}
	if i := strings.IndexByte(name, '/'); i >= 0 {
		return name[:i], name[i:], true, true
	}
	return name, "", false, true
}

// isName reports whether a text can be the name of a user.
func isName(name string) bool {
	if name == "" || len(name) > 32 || name[0] == '.' || name[0] == '-' {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// Find returns the user of a name who may have a folder.
func (u *Users) Find(name string) (*User, bool) {
	if !isName(name) || slices.Contains(u.o.Disabled, name) || len(u.o.Enabled) > 0 && !slices.Contains(u.o.Enabled, name) {
		return nil, false
	}
	now := u.o.Now()
	u.mu.Lock()
	k, ok := u.known[name]
	u.mu.Unlock()
	if !ok || now.Sub(k.at) >= remembered {
		k = known{u.lookUp(name), now}
		u.mu.Lock()
		if len(u.known) >= maxKnown {
			clear(u.known)
		}
		u.known[name] = k
		u.mu.Unlock()
	}
	return k.user, k.user != nil
}

// lookUp asks the system; nil: nobody who may have a folder.
func (u *Users) lookUp(name string) *User {
	entry, err := u.o.Lookup(name)
	if err != nil || entry.Username != name { // some systems know users by several names
		return nil
	}
	uid, err := strconv.ParseUint(entry.Uid, 10, 32)
	if err != nil || uid == 0 || uint32(uid) < u.o.MinUID {
		return nil
	}
	home := path.Clean(entry.HomeDir)
	if !strings.HasPrefix(entry.HomeDir, "/") || home == "/" {
		return nil
	}
	return &User{Name: name, Home: home, UID: uint32(uid)}
}
