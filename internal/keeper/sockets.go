//go:build unix

package keeper

// Sockets and logs: what a front serves and writes, and we open.

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"millrace/internal/listen"
	"millrace/internal/logfile"
)

// held is a socket that is open.
type held struct {
	file  *os.File
	path  string      // of a Unix socket that we made; "": another
	made  fs.FileInfo // that socket; nil: it was gone at once
	users map[int]bool

	waiting []waiting // for a packet socket, which one front alone may read
}

// waiting is a front that has asked for what another has.
type waiting struct {
	front   *front
	request uint64
}

func (h *held) close() {
	if h.path != "" && h.made != nil {
		if now, err := os.Lstat(h.path); err == nil && os.SameFile(now, h.made) {
			_ = os.Remove(h.path) // a folder that lost its rights: the next one finds it stale
		}
	}
	h.file.Close()
}

// allowed reports whether some plan names it.
func (k *Keeper) allowed(of func(*Loaded) []string, name string) bool {
	for _, l := range k.plans {
		if slices.Contains(of(l), name) {
			return true
		}
	}
	return false
}

// listen opens an address, or returns the socket that it has, and the key that
// it has it under: of a port that may be any there may be several.
func (k *Keeper) listen(f *front, m *message) (key string, _ *os.File, err error) {
	if !k.allowed(func(l *Loaded) []string { return l.Addresses }, m.Address) {
		return "", nil, fmt.Errorf("cannot listen on %.100q: the configuration does not name it", m.Address)
	}
	key = m.Address
	for n := 1; k.held[key] != nil && k.held[key].users[f.number]; n++ {
		if n >= maxAnyPort {
			return "", nil, fmt.Errorf("cannot listen on %.100q: it is open %d times", m.Address, n)
		}
		key = fmt.Sprintf("%s#%d", m.Address, n)
	}
	h := k.held[key]
	if h == nil {
		mode, err := k.mode(m.Address, m.Mode)
		if err != nil {
			return "", nil, err
		}
		if h, err = open(m.Address, listen.Options{Mode: mode, Systemd: k.opt.Systemd}); err != nil {
			return "", nil, err
		}
		k.held[key] = h
	}
	h.users[f.number] = true
	return key, h.file, nil
}

func open(address string, o listen.Options) (*held, error) {
	l, err := listen.Open(address, o)
	if err != nil {
		return nil, err
	}
	h := &held{users: map[int]bool{}}
	if h.file, err = l.File(); err != nil {
		_ = l.Close()
		return nil, err
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		h.path = path
		h.made, _ = os.Lstat(path)
	}
	return h, l.Leave()
}

// release lets go of a socket that a front is about to close, unless another
// front has it.
func (k *Keeper) release(f *front, key string) (last bool) {
	h := k.held[key]
	if h == nil || !h.users[f.number] {
		return false
	}
	delete(h.users, f.number)
	k.passOn(key, h)
	if len(h.users) > 0 {
		return false
	}
	h.close()
	delete(k.held, key)
	return true
}

func (k *Keeper) setMode(m *message) error {
	h := k.held[m.Address]
	if h == nil || h.path == "" {
		return fmt.Errorf("%.100q is no Unix socket that is open", m.Address)
	}
	mode, err := k.mode(m.Address, m.Mode)
	if err != nil {
		return err
	}
	return listen.ChmodSocket(h.path, h.made, mode)
}

// mode is one that a front asks for: it must be what a plan has for the
// address.
func (k *Keeper) mode(address string, asked uint32) (fs.FileMode, error) {
	if !strings.HasPrefix(address, "unix:") {
		return 0, nil
	}
	mode := cmp.Or(fs.FileMode(asked), defaultMode)
	for _, l := range k.plans {
		if mode == cmp.Or(l.Modes[address], defaultMode) {
			return mode, nil
		}
	}
	return 0, fmt.Errorf("cannot make %.100q mode %#o: the configuration has another", address, asked)
}

// defaultMode is that of a Unix socket for which a plan has none.
const defaultMode fs.FileMode = 0o666

// openLog opens a log to append to.
func (k *Keeper) openLog(path string) (*os.File, error) {
	if !k.allowed(func(l *Loaded) []string { return l.Logs }, path) {
		return nil, fmt.Errorf("cannot open %.100q: the configuration names no such log", path)
	}
	return logfile.Open(path)
}

// openFile opens a file to read.
func (k *Keeper) openFile(path string) (*os.File, error) {
	if !k.allowed(func(l *Loaded) []string { return l.Files }, path) {
		return nil, fmt.Errorf("cannot open %.100q: the configuration names no such file", path)
	}
	return logfile.Read(path)
}

// rotateLog renames a log, as its plan says.
func (k *Keeper) rotateLog(path string) error {
	keep := 0
	for _, l := range k.plans {
		keep = max(keep, l.Rotated[path])
	}
	if keep == 0 {
		return fmt.Errorf("cannot rotate %.100q: the configuration says nothing of it", path)
	}
	return logfile.Rotate(path, keep)
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
