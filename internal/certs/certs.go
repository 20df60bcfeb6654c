// Package certs keeps the certificates of sites, and chooses among them.
//
// Files holds pairs of certificate and key that are in files. Load reads a pair
// for a configuration that is about to be served; Refresh looks at all of them
// again, and reads those whose files have changed since. What it reads is used
// if it is whole: until then, and if it never is, the old pair serves on, and
// the log says so. A program that renews certificates puts the two files in
// place one after the other; a pair that does not go together is looked at a
// second time before it is spoken of.
//
// Table is which certificates there are for which names, on one address: a
// client says the name that it wants in its first message (SNI), and one whose
// name nobody has is refused. A Table is immutable, and goes with the
// configuration that it was made from; the pairs in it live on.
//
// How a file is opened is the caller's matter: a process without the right to
// read a key has it opened by one that has.
package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Pair names the files of a certificate, with its chain, and of its key. They
// may be one file.
type Pair struct{ Certificate, Key string }

// maxFile bounds a file: a long chain is a hundredth of it.
const maxFile = 1 << 20

// stamp is how a file looked from outside.
type stamp struct {
	info os.FileInfo // nil: never seen
}

func (s stamp) same(other stamp) bool {
	return s.info != nil && other.info != nil && os.SameFile(s.info, other.info) &&
		s.info.Size() == other.info.Size() && s.info.ModTime().Equal(other.info.ModTime())
}

// look opens a file and tells how it looks. The file is the caller's.
func (f *Files) look(path string) (*os.File, stamp, error) {
	file, err := f.open(path)
	if err != nil {
		return nil, stamp{}, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, stamp{}, err
	}
	return file, stamp{info}, nil
}

// read reads a pair, and says how its files looked before.
func (f *Files) read(p Pair) (*tls.Certificate, [2]stamp, error) {
	var stamps [2]stamp
	var texts [2][]byte
	for i, path := range []string{p.Certificate, p.Key} {
		file, at, err := f.look(path)
		if err != nil {
			return nil, stamps, fmt.Errorf("cannot open %s: %w", path, bare(err))
		}
		stamps[i] = at
		texts[i], err = io.ReadAll(io.LimitReader(file, maxFile+1))
		file.Close()
		if err == nil && len(texts[i]) > maxFile {
			err = errors.New("it is larger than 1 MiB")
		}
		if err != nil {
			return nil, stamps, fmt.Errorf("cannot read %s: %w", path, bare(err))
		}
	}
	pair, err := tls.X509KeyPair(texts[0], texts[1])
	if err != nil {
		return nil, stamps, fmt.Errorf("cannot use %s with the key %s: %s", p.Certificate, p.Key, strings.TrimPrefix(err.Error(), "tls: "))
	}
	return &pair, stamps, nil
}

// bare is an error without what package os says twice.
func bare(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// Expiry is what is to be said of a certificate's dates; "": nothing.
func Expiry(c *tls.Certificate, now time.Time) string {
	switch {
	case c.Leaf == nil:
		return ""
	case now.After(c.Leaf.NotAfter):
		return "it has expired on " + c.Leaf.NotAfter.UTC().Format(time.DateTime)
	case now.Before(c.Leaf.NotBefore):
		return "it is not valid before " + c.Leaf.NotBefore.UTC().Format(time.DateTime)
	}
	return ""
}
