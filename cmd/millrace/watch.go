package main

// This file: serve --reload, which reloads when a file of the app has changed.
// watch_files.go says which files those are.
//
// The system tells of changes (inotify and its like), within milliseconds and
// at no cost while nothing happens. It does not tell of those on network mounts
// and in some containers, and it may run out of what it watches with: so all
// files are looked at as well, seldom enough to cost nothing that counts.

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is the time without a change after which a save is taken to be
	// over: editors write in several steps, and a checkout many files.
	quiet = 50 * time.Millisecond
	// patience is how long changes that go on may keep a reload waiting.
	patience = 250 * time.Millisecond

	lookEvery   = 2 * time.Second        // at all files
	lookAlone   = 300 * time.Millisecond // where the system does not tell
	lookShare   = 200                    // a look takes at most one in so many parts of the time
	aloneShare  = 20
	maxLookedAt = 100_000 // files and folders in one look
)

// watcher knows the files and how they were.
type watcher struct {
	log    *slog.Logger
	notify *fsnotify.Watcher // nil: the system does not tell
	alone  bool              // it does not tell of everything

	at      places
	exact   map[string]bool  // of at.files
	folders map[string]bool  // below at.folders, as far as they are looked at
	known   map[string]stamp // files
	full    bool             // there are more than maxLookedAt
	took    time.Duration    // the last look
}

// watch calls changed whenever a file was written, added or removed, until ctx
// is done. where is asked each time: a reload may change it.
func watch(ctx context.Context, where func() places, log *slog.Logger, changed func()) {
	w := &watcher{log: log}
	w.open()
	defer w.close()
	w.begin(where())
	w.run(ctx, where, changed)
}

// run tells of what changes after begin.
func (w *watcher) run(ctx context.Context, where func() places, changed func()) {
	look := time.NewTimer(w.pause(w.took))
	defer look.Stop()
	settled := time.NewTimer(0)
	settled.Stop()
	var first time.Time // of the changes that are not told yet
	for {
		hit := false
		select {
		case <-ctx.Done():
			return
		case e := <-w.events():
			hit = w.event(e)
		case err := <-w.errors():
			w.trouble(err)
			hit = w.look()
		case <-look.C:
			hit = w.look()
			look.Reset(w.pause(w.took))
		case <-settled.C:
			first = time.Time{}
			changed()
			if at := where(); !at.equal(w.at) {
				w.begin(at)
			}
		}
		if hit {
			now := time.Now()
			if first.IsZero() {
				first = now
			}
			settled.Reset(min(quiet, max(0, patience-now.Sub(first))))
		}
	}
}

// open has the system tell.
func (w *watcher) open() {
	n, err := fsnotify.NewWatcher()
	if err != nil {
		w.trouble(err)
		return
	}
	w.notify = n
}

func (w *watcher) close() {
	if w.notify != nil {
		w.notify.Close()
	}
}

func (w *watcher) events() <-chan fsnotify.Event {
	if w.notify == nil {
		return nil
	}
	return w.notify.Events
}

func (w *watcher) errors() <-chan error {
	if w.notify == nil {
		return nil
	}
	return w.notify.Errors
}

// trouble says once that files have to be looked at more often.
func (w *watcher) trouble(err error) {
	if !w.alone {
		w.log.Warn("--reload: the system does not tell of all changes; the files are looked at instead", "error", err)
	}
	w.alone = true
}

// pause is the time to the next look after one that took so long.
func (w *watcher) pause(took time.Duration) time.Duration {
	if w.alone {
		return max(lookAlone, aloneShare*took)
	}
	return max(lookEvery, lookShare*took)
}

// begin takes places as they are now.
func (w *watcher) begin(at places) {
	w.at = at
	w.exact, w.folders, w.known = map[string]bool{}, map[string]bool{}, map[string]stamp{}
	for _, path := range at.files {
		w.exact[path] = true
	}
	w.look()
}

// look looks at everything, and has the system tell of folders that are new.
func (w *watcher) look() (changed bool) {
	began := time.Now()
	defer func() { w.took = time.Since(began) }()
	now, seen := map[string]stamp{}, 0
	for _, path := range w.at.files {
		w.add(filepath.Dir(path))
		if s, ok := stampOf(path); ok {
			now[path] = s
		}
	}
	folders := map[string]bool{}
	for _, folder := range w.at.folders {
		seen += w.walk(folder, now, folders, maxLookedAt-seen)
	}
	if seen >= maxLookedAt && !w.full {
		w.full = true
		w.log.Warn("--reload: there are too many files; the rest is not looked at", "files", maxLookedAt)
	}
	changed = len(now) != len(w.known)
	for path, s := range now {
		if was, ok := w.known[path]; !ok || was != s {
			changed = true
		}
	}
	w.known, w.folders = now, folders
	return changed
}

// walk looks at a folder and what is in it, and returns how much that was.
func (w *watcher) walk(root string, known map[string]stamp, folders map[string]bool, most int) (seen int) {
	_ = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone in this moment, or not ours to read
		}
		if seen++; seen > most {
			return fs.SkipAll
		}
		if e.IsDir() {
			if path != root && skippedFolder(path, e.Name()) {
				return fs.SkipDir
			}
			if !w.folders[path] {
				w.add(path)
			}
			folders[path] = true
			return nil
		}
		if !isSource(e.Name()) {
			return nil
		}
		if s, ok := stampOf(path); ok {
			known[path] = s
		}
		return nil
	})
	return seen
}

// add has the system tell of a folder's changes. What it cannot find may come.
func (w *watcher) add(folder string) {
	if w.notify == nil {
		return
	}
	if err := w.notify.Add(folder); err != nil && !os.IsNotExist(err) && !os.IsPermission(err) {
		w.trouble(err)
	}
}

// event takes what the system tells, and reports whether it is a change.
func (w *watcher) event(e fsnotify.Event) bool {
	path := filepath.Clean(e.Name)
	inside := w.folders[filepath.Dir(path)]
	switch {
	case w.exact[path], inside && isSource(filepath.Base(path)):
		return w.compare(path)
	case w.folders[path] && (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)):
		return w.drop(path)
	case inside && e.Has(fsnotify.Create) && !skippedFolder(path, filepath.Base(path)):
		if info, err := os.Lstat(path); err != nil || !info.IsDir() {
			return false
		}
		before := len(w.known)
		w.walk(path, w.known, w.folders, maxLookedAt) // which adds before it looks: nothing is missed
		return len(w.known) != before
	}
	return false
}

// compare looks at one file.
func (w *watcher) compare(path string) bool {
	was, had := w.known[path]
	now, has := stampOf(path)
	if has {
		w.known[path] = now
	} else {
		delete(w.known, path)
	}
	return had != has || was != now
}

// drop forgets a folder that is gone, or goes by another name.
func (w *watcher) drop(folder string) bool {
	changed := false
	below := folder + string(filepath.Separator)
	for path := range w.folders {
		if path == folder || strings.HasPrefix(path, below) {
			delete(w.folders, path)
			_ = w.notify.Remove(path) // the system may have done so
		}
	}
	for path := range w.known {
		if strings.HasPrefix(path, below) {
			delete(w.known, path)
			changed = true
		}
	}
	return changed
}
