package main

// This file: serve --reload, which looks for changed .py files.

import (
	"context"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	watchEvery = 300 * time.Millisecond
	maxWatched = 20_000 // files and folders that are looked at in one round
)

// watch calls changed whenever a .py file below dirs was written, added or
// removed, until ctx is done. dirs is asked each time: a reload may change it.
// Polling needs no descriptor a folder, and sees the files of network mounts
// and containers, whose changes the kernel does not report.
func watch(ctx context.Context, dirs func() []string, log *slog.Logger, changed func()) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	last, complete := fingerprint(dirs())
	if !complete {
		log.Warn(fmt.Sprintf("--reload looks at the first %d files alone", maxWatched))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now, _ := fingerprint(dirs()); now != last {
			last = now
			changed()
		}
	}
}

// fingerprint sums up the names, times and sizes of the Python files below
// folders. complete is false if there were too many to look at them all.
func fingerprint(dirs []string) (sum uint64, complete bool) {
	h := fnv.New64a()
	seen := 0
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return nil // gone in this moment, or not ours to read
			}
			if seen++; seen > maxWatched {
				return fs.SkipAll
			}
			if e.IsDir() {
				if path != dir && skipped(path, e.Name()) {
					return fs.SkipDir
				}
				return nil
			}
			if !strings.HasSuffix(e.Name(), ".py") {
				return nil
			}
			if info, err := e.Info(); err == nil {
				fmt.Fprintf(h, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
			}
			return nil
		})
	}
	return h.Sum64(), seen <= maxWatched
}

// skipped are the folders that hold no code of the app's own.
func skipped(path, name string) bool {
	if strings.HasPrefix(name, ".") || name == "node_modules" || name == "__pycache__" {
		return true
	}
	_, err := os.Lstat(filepath.Join(path, "pyvenv.cfg"))
	return err == nil
}

// foldersOf are the working folders of a plan's apps, those inside another
// one left out.
func foldersOf(f *found) []string {
	var all []string
	for _, a := range f.Config.Apps {
		all = append(all, filepath.Clean(a.Dir))
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(dir string) bool {
		return slices.ContainsFunc(all, func(other string) bool {
			return strings.HasPrefix(dir, strings.TrimSuffix(other, "/")+"/")
		})
	})
}
