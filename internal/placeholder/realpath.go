package placeholder

import (
	"path/filepath"
	"sync/atomic"
	"time"
)

// realpathFor is how long what a path leads to is believed. A deployment that
// changes a link is seen after that.
const realpathFor = time.Second

// realpath is a path of this machine without symbolic links: {realpath.PATH}.
// Where the path leads nowhere it is itself.
type realpath struct {
	of    string
	found atomic.Pointer[realpathFound]
}

type realpathFound struct {
	path string
	at   time.Time
}

func (p *realpath) now() string {
	now := time.Now()
	if f := p.found.Load(); f != nil && now.Sub(f.at) < realpathFor {
		return f.path
	}
	path, err := filepath.EvalSymlinks(p.of)
	if err != nil {
		path = p.of
	}
	p.found.Store(&realpathFound{path, now})
	return path
}
