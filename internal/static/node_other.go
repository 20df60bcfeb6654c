//go:build !linux

package static

import (
	"errors"
	"os"
	"path/filepath"
)

// Bare descriptors are for Linux; elsewhere every node has an *os.File.
var errNoDescriptor = errors.New("static: no bare descriptors on this system")

const bareDescriptors = false

func openQuickly(int, string, bool) (node, bool, error) { return node{}, false, nil }

func statDescriptor(int) (meta, error) { return meta{}, errNoDescriptor }

func (n *node) folder(string) *os.File { return n.f }

func statIn(dir *os.File, name string) (meta, error) {
	info, err := os.Lstat(filepath.Join(dir.Name(), name))
	if err != nil {
		return meta{}, err
	}
	return metaOf(info), nil
}

func readDescriptor(int, []byte, int64) (int, error) { return 0, errNoDescriptor }

func closeDescriptor(int) {}
