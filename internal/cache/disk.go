package cache

// Entries in files. A file is written under a name of its own, whole, and then
// takes its place by a rename: at no moment is there half an entry under a name
// that is looked for. Its name is a digest of what it is found by, so that the
// next response takes the place of the one before.

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// syncFrom is the size from which a file is brought to the disk before it takes
// its place: a failing machine must not leave holes in it that nobody sees.
const syncFrom = 4 << 20

// disk is a folder of entries. What is in it is the store's to know.
type disk struct {
	dir string
	tmp string // files that are being written
	n   atomic.Uint64

	ends sync.RWMutex // held to write while an end of a file is written that others may read
}

// maxSlack is what heads may take behind a body that is freshened again and
// again, beside a quarter of the body's length.
const maxSlack = 64 << 10

var errSlack = errors.New("it has been freshened too often")

// openDisk makes the folder, and looks whether files can be written.
func openDisk(dir string) (*disk, error) {
	d := &disk{dir: filepath.Join(dir, "v1"), tmp: filepath.Join(dir, "v1", "tmp")}
	if err := os.MkdirAll(d.tmp, 0o700); err != nil {
		return nil, err
	}
	f, err := d.create()
	if err != nil {
		return nil, err
	}
	f.discard()
	return d, nil
}

func (d *disk) path(name string) string { return filepath.Join(d.dir, name[:2], name[2:]) }

// fileName is the name of an entry.
func fileName(e *entry) string {
	h := sha256.New()
	write := func(s string) {
		var n [8]byte
		_, _ = h.Write(append(strconv.AppendInt(n[:0], int64(len(s)), 10), ' '))
		_, _ = io.WriteString(h, s)
	}
	write(e.key)
	for _, name := range e.vary {
		write(name)
	}
	write(e.varyValue)
	return hex.EncodeToString(h.Sum(nil)[:20])
}

// isName says whether a file in the folder is called like an entry.
func isName(folder, rest string) bool {
	if len(folder) != 2 || len(rest) != 38 {
		return false
	}
	_, err := hex.DecodeString(folder + rest)
	return err == nil && strings.ToLower(rest) == rest
}

// newFile is an entry on its way to the disk.
type newFile struct {
	f   *os.File
	d   *disk
	n   int64
	sum hash.Hash32
}

func (d *disk) create() (*newFile, error) {
	for try := 0; ; try++ {
		name := filepath.Join(d.tmp, fmt.Sprintf("%d-%d", os.Getpid(), d.n.Add(1)))
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, err
		}
		// Who finds it locked knows that somebody writes it. Who found it before
		// may have removed it.
		if err = lockFile(f); err == nil {
			err = stillThere(f, name)
		}
		if err == nil {
			return &newFile{f: f, d: d, sum: crc32.New(castagnoli)}, nil
		}
		f.Close()
		if try == 3 {
			os.Remove(name)
			return nil, err
		}
	}
}

// stillThere says whether a file has its name.
func stillThere(f *os.File, name string) error {
	of, err := f.Stat()
	if err != nil {
		return err
	}
	at, err := os.Lstat(name)
	if err == nil && !os.SameFile(of, at) {
		err = fs.ErrNotExist
	}
	return err
}

// Write appends to the body.
func (nf *newFile) Write(b []byte) (int, error) {
	n, err := nf.f.Write(b)
	_, _ = nf.sum.Write(b[:n])
	nf.n += int64(n)
	return n, err
}

// discard removes it. The file stays open for those who read it.
func (nf *newFile) discard() {
	os.Remove(nf.f.Name())
	nf.f.Close()
}

// finish writes what e is behind the body. It returns the size of the file.
func (nf *newFile) finish(e *entry) (size int64, err error) {
	e.sum = nf.sum.Sum32()
	tail := entryTail(e, nf.n, nf.n, nil)
	if _, err := nf.f.Write(tail); err != nil {
		return 0, err
	}
	size = nf.n + int64(len(tail))
	if size >= syncFrom {
		return size, nf.f.Sync()
	}
	return size, nil
}

// publish gives a finished file its name, which it returns.
func (nf *newFile) publish(e *entry) (name string, err error) {
	name = fileName(e)
	to := nf.d.path(name)
	err = os.Rename(nf.f.Name(), to)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(to), 0o700); err == nil {
			err = os.Rename(nf.f.Name(), to)
		}
	}
	return name, err
}

// entryTail is the head and the trailer of an entry whose body is length long,
// for the place at in its file.
func entryTail(e *entry, length, at int64, b []byte) []byte {
	start := len(b)
	b = appendHead(b, e)
	t := trailer{body: length, head: int64(len(b) - start), at: at, bodySum: e.sum, headSum: crc32.Checksum(b[start:], castagnoli)}
	return t.append(b)
}

// write writes an entry whose body is in memory.
func (d *disk) write(e *entry) (name string, size int64, err error) {
	nf, err := d.create()
	if err != nil {
		return "", 0, err
	}
	defer nf.f.Close()
	if _, err = nf.Write(e.body); err == nil {
		size, err = nf.finish(e)
	}
	if err == nil {
		name, err = nf.publish(e)
	}
	if err != nil {
		os.Remove(nf.f.Name())
	}
	return name, size, err
}

// freshen writes the head of an entry anew behind its body's file.
func (d *disk) freshen(e *entry) (size int64, err error) {
	f, err := os.OpenFile(d.path(e.file), os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	d.ends.Lock()
	defer d.ends.Unlock()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	old, err := readTrailer(f, info.Size())
	if err != nil || old.body != e.length || old.bodySum != e.sum {
		return 0, errEntry // another process has put another one there
	}
	if size = info.Size(); size-e.length > maxSlack+e.length/4 {
		return 0, errSlack
	}
	tail := entryTail(e, e.length, size, nil)
	if _, err := f.WriteAt(tail, size); err != nil {
		return 0, err
	}
	return size + int64(len(tail)), nil
}

func readTrailer(f *os.File, size int64) (trailer, error) {
	var b [trailerSize]byte
	if size < trailerSize {
		return trailer{}, errEntry
	}
	if _, err := f.ReadAt(b[:], size-trailerSize); err != nil {
		return trailer{}, err
	}
	return parseTrailer(b[:], size)
}

// readHead reads what an open file says of its entry.
func (d *disk) readHead(f *os.File) (e *entry, size int64, err error) {
	d.ends.RLock()
	defer d.ends.RUnlock()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	t, err := readTrailer(f, info.Size())
	if err != nil {
		return nil, 0, err
	}
	b := make([]byte, t.head)
	if _, err := f.ReadAt(b, t.at); err != nil {
		return nil, 0, err
	}
	if crc32.Checksum(b, castagnoli) != t.headSum {
		return nil, 0, errEntry
	}
	if e, err = parseHead(b); err != nil {
		return nil, 0, err
	}
	e.length, e.sum = t.body, t.bodySum
	return e, info.Size(), nil
}

// open opens an entry's file: its offset is that of its body. keep is up to
// which length the body is read into memory; then no file is returned. An entry
// whose sum is wrong is an error, and so is another one than key is for.
func (d *disk) open(name, key string, keep int64, verified bool) (*entry, *os.File, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, nil, err
	}
	e, _, err := d.readHead(f)
	if err == nil && (e.key != key || fileName(e) != name) {
		err = errEntry
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	e.file, e.verified = name, true
	if e.length <= keep {
		defer f.Close()
		e.body = make([]byte, e.length)
		if _, err := io.ReadFull(f, e.body); err != nil {
			return nil, nil, err
		}
		if crc32.Checksum(e.body, castagnoli) != e.sum {
			return nil, nil, errEntry
		}
		return e, nil, nil
	}
	if !verified {
		err := checkBody(f, e)
		if err == nil {
			_, err = f.Seek(0, io.SeekStart)
		}
		if err != nil {
			f.Close()
			return nil, nil, err
		}
	}
	return e, f, nil
}

func checkBody(f *os.File, e *entry) error {
	sum := crc32.New(castagnoli)
	if n, err := io.CopyN(sum, f, e.length); err != nil || n != e.length {
		return errEntry
	}
	if sum.Sum32() != e.sum {
		return errEntry
	}
	return nil
}

func (d *disk) remove(name string) error { return os.Remove(d.path(name)) }

// scan calls found for the files of all entries. What is none is removed, and
// so is what nobody writes any more. It ends when found says so.
func (d *disk) scan(found func(name string, e *entry, size int64) bool) error {
	if tmp, err := os.ReadDir(d.tmp); err == nil {
		for _, t := range tmp {
			d.sweep(filepath.Join(d.tmp, t.Name()))
		}
	}
	folders, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if len(folder.Name()) != 2 {
			continue
		}
		files, err := os.ReadDir(filepath.Join(d.dir, folder.Name()))
		if err != nil {
			return err
		}
		for _, file := range files {
			if !isName(folder.Name(), file.Name()) {
				continue
			}
			name := folder.Name() + file.Name()
			e, size, err := d.look(name)
			if err != nil {
				if errors.Is(err, errEntry) {
					_ = d.remove(name)
				}
				continue
			}
			if !found(name, e, size) {
				return nil
			}
		}
	}
	return nil
}

// look reads the head of a file that is called like an entry.
func (d *disk) look(name string) (*entry, int64, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	e, size, err := d.readHead(f)
	if err == nil && fileName(e) != name {
		err = errEntry
	}
	if err == nil {
		e.file = name
	}
	return e, size, err
}

// sweep removes a file that somebody began and that nobody writes.
func (d *disk) sweep(path string) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if lockFile(f) == nil && stillThere(f, path) == nil { // or it was renamed, and is an entry
		os.Remove(path)
	}
}

// removeFile removes the name of a file that does not become an entry.
func removeFile(nf *newFile) { os.Remove(nf.f.Name()) }
