package static

import (
	"io"
	"io/fs"
	"os"
)

// node is what was found under a name: a file that is open, of any kind yet.
// Where the system allows, it is a bare descriptor, which costs a third of an
// *os.File; that is made of it when sendfile needs one.
type node struct {
	fd int      // valid when f is nil
	f  *os.File // or this
}

// meta is what a response needs to know of a node.
type meta struct {
	mode fs.FileMode
	identity
}

// identity tells one state of one file from another. Where the system has bare
// descriptors it is whole; elsewhere it is size and time alone.
type identity struct {
	dev, ino     uint64
	size         int64
	mtime, ctime int64 // Unix time in nanoseconds
}

func (n *node) stat() (meta, error) {
	if n.f == nil {
		return statDescriptor(n.fd)
	}
	info, err := n.f.Stat()
	if err != nil {
		return meta{}, err
	}
	return metaOf(info), nil
}

// metaOf is what a system without bare descriptors says of a file.
func metaOf(info fs.FileInfo) meta {
	mtime := int64(0)
	if t := info.ModTime(); !t.IsZero() {
		mtime = t.UnixNano()
	}
	return meta{info.Mode(), identity{size: info.Size(), mtime: mtime}}
}

// readStart reads from the file's start; it returns fewer bytes than b has room for
// only at the file's end or with an error.
func (n *node) readStart(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		var got int
		var err error
		if n.f == nil {
			got, err = readDescriptor(n.fd, b[done:], int64(done))
		} else {
			got, err = n.f.Read(b[done:])
		}
		done += max(got, 0)
		if got == 0 || err != nil {
			if err == io.EOF {
				err = nil
			}
			return done, err
		}
	}
	return done, nil
}

// file turns the node into an *os.File, which the node still owns.
func (n *node) file(name string) *os.File {
	if n.f == nil {
		n.f = os.NewFile(uintptr(n.fd), name)
	}
	return n.f
}

// close closes the node. The error is of no use: nothing was written.
func (n *node) close() {
	if n.f == nil {
		closeDescriptor(n.fd)
		return
	}
	_ = n.f.Close()
}
