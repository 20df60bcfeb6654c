package certs

// This file: pairs in files, and what happens when those change.

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Files keeps the pairs of a server over its reloads. Its methods may be called
// from any goroutine.
type Files struct {
	open func(path string) (*os.File, error)
	log  *slog.Logger

	mu    sync.Mutex // held while files are read; who shakes hands does not take it
	pairs map[Pair]*File
}

// File is one pair, as it is now.
type File struct {
	pair    Pair
	current atomic.Pointer[tls.Certificate]
	stamps  [2]stamp // of what is current, or of what was refused

	broken [2]stamp // of what could not be used when it was last looked at
	said   bool     // that it is broken
	warned bool     // that it has expired
}

// Get is the pair.
func (f *File) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.current.Load(), nil }

// NewFiles returns a Files without any pair, whose files open opens.
func NewFiles(open func(path string) (*os.File, error), log *slog.Logger) *Files {
	return &Files{open: open, log: log, pairs: map[Pair]*File{}}
}

// Load reads a pair anew. One that cannot be used changes nothing.
func (f *Files) Load(p Pair) (*File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	pair, stamps, err := f.read(p)
	if err != nil {
		return nil, err
	}
	one := f.pairs[p]
	if one == nil {
		one = &File{pair: p}
		f.pairs[p] = one
	}
	f.takeLocked(one, pair, stamps)
	return one, nil
}

func (f *Files) takeLocked(one *File, pair *tls.Certificate, stamps [2]stamp) {
	one.stamps, one.broken, one.said, one.warned = stamps, [2]stamp{}, false, false
	one.current.Store(pair)
	f.warnLocked(one)
}

// warnLocked says once that a certificate is not valid.
func (f *Files) warnLocked(one *File) {
	if why := Expiry(one.current.Load(), time.Now()); why != "" && !one.warned {
		one.warned = true
		f.log.Warn("browsers refuse a certificate", "certificate", one.pair.Certificate, "why", why)
	}
}

// Roots reads files of root certificates in PEM. They are not looked at again.
func (f *Files) Roots(paths []string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for _, path := range paths {
		file, err := f.open(path)
		if err != nil {
			return nil, fmt.Errorf("cannot open %s: %w", path, bare(err))
		}
		text, err := io.ReadAll(io.LimitReader(file, maxFile))
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", path, bare(err))
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("cannot use %s: there is no certificate in it", path)
		}
	}
	return pool, nil
}

// Keep forgets all pairs but these.
func (f *Files) Keep(pairs []Pair) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wanted := map[Pair]bool{}
	for _, p := range pairs {
		wanted[p] = true
	}
	for p := range f.pairs {
		if !wanted[p] {
			delete(f.pairs, p)
		}
	}
}

// Refresh looks at each pair's files, and reads them if they have changed.
func (f *Files) Refresh() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.pairs {
		f.refreshLocked(one)
		f.warnLocked(one)
	}
}

func (f *Files) refreshLocked(one *File) {
	if now, ok := f.stampsLocked(one.pair); ok && sameAll(now, one.stamps) {
		return
	}
	pair, stamps, err := f.read(one.pair)
	if err == nil {
		f.takeLocked(one, pair, stamps)
		f.log.Info("a certificate has changed, and is used from now on", "certificate", one.pair.Certificate, "until", pair.Leaf.NotAfter.UTC().Format(time.DateOnly))
		return
	}
	// One of the two may not be there yet: it is said when nothing has changed
	// by the next time.
	settled := sameAll(stamps, one.broken) || stamps == [2]stamp{} && one.broken == stamps
	switch {
	case !settled:
		one.broken, one.said = stamps, false
	case !one.said:
		one.said = true
		f.log.Error("a certificate has changed and cannot be used; the old one is kept", "certificate", one.pair.Certificate, "error", err)
	}
}

// stampsLocked is how the files of a pair look.
func (f *Files) stampsLocked(p Pair) (all [2]stamp, ok bool) {
	for i, path := range []string{p.Certificate, p.Key} {
		file, at, err := f.look(path)
		if err != nil {
			return all, false
		}
		file.Close()
		all[i] = at
	}
	return all, true
}

func sameAll(a, b [2]stamp) bool { return a[0].same(b[0]) && a[1].same(b[1]) }
