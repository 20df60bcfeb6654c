package static

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Each serves files from roots that depend on the request: those of its host,
// say. It keeps a Handler for each set of roots that was asked for lately, so
// that all that holds for a root (see New) holds for each of these.
type Each struct {
	o       Options
	folders func(r *http.Request) ([]string, bool)
	own     bool // the cache

	mu      sync.Mutex
	members map[string]*member
	closed  bool
}

// maxMembers is how many Handlers are kept. Each has two descriptors for each
// root.
const maxMembers = 128

// member is the Handler of one set of roots; or why there is none, for a while.
type member struct {
	handler *Handler
	err     error
	until   time.Time // of err
	users   int
	used    time.Time
	dropped bool
}

// NewEach makes an Each. folders names the roots of a request; false: there
// are none. o.Roots is not looked at. Close it when it is no longer needed.
func NewEach(o Options, folders func(r *http.Request) ([]string, bool)) (*Each, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	e := &Each{o: o, folders: folders, members: map[string]*member{}, own: o.Cache == nil}
	if e.own {
		e.o.Cache = NewCache(CacheOptions{})
	}
	return e, nil
}

func (e *Each) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	roots, ok := e.folders(r)
	var m *member
	if ok {
		m = e.enter(roots, time.Now())
	}
	if m == nil {
		e.o.NotFound.ServeHTTP(w, r)
		return
	}
	defer e.leave(m)
	m.handler.ServeHTTP(w, r)
}

// enter finds or makes the Handler of some roots. nil: nothing is there, or
// nothing that may be served.
func (e *Each) enter(roots []string, now time.Time) *member {
	key := strings.Join(roots, "\x00")
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.members[key]
	if m != nil && m.err != nil && now.After(m.until) {
		delete(e.members, key)
		m = nil
	}
	if m == nil {
		if e.closed || !anyFolder(roots) {
			return nil // not kept: names that a client makes up are without end
		}
		m = &member{}
		o := e.o
		o.Roots = roots
		if m.handler, m.err = New(o); m.err != nil {
			m.until = now.Add(time.Second)
			e.o.Log.Error("cannot serve the files of a request", "err", m.err)
		}
		e.makeRoomLocked()
		e.members[key] = m
	}
	m.used = now
	if m.err != nil {
		return nil
	}
	m.users++
	return m
}

func anyFolder(roots []string) bool {
	for _, root := range roots {
		if info, err := os.Stat(root); err == nil && info.IsDir() {
			return true
		}
	}
	return false
}

// makeRoomLocked drops who was not asked for longest.
func (e *Each) makeRoomLocked() {
	for len(e.members) >= maxMembers {
		var oldest string
		for key, m := range e.members {
			if oldest == "" || m.used.Before(e.members[oldest].used) {
				oldest = key
			}
		}
		e.dropLocked(oldest)
	}
}

// dropLocked closes a Handler, now or when the last of its requests is over.
func (e *Each) dropLocked(key string) {
	m := e.members[key]
	delete(e.members, key)
	m.dropped = true
	if m.users == 0 {
		e.end(m)
	}
}

func (e *Each) leave(m *member) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if m.users--; m.users == 0 && m.dropped {
		e.end(m)
	}
}

func (e *Each) end(m *member) {
	if m.handler == nil {
		return
	}
	if err := m.handler.Close(); err != nil {
		e.o.Log.Error("cannot close a files root", "err", err)
	}
}

// Close closes all Handlers that nobody uses, and the others when nobody does
// any more. Requests that come later find nothing.
func (e *Each) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for key := range e.members {
		e.dropLocked(key)
	}
	if e.own {
		e.o.Cache.Close()
	}
	return nil
}
