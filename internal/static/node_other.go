//go:build !linux

package static

import "errors"

// Bare descriptors are for Linux; elsewhere every node has an *os.File.
var errNoDescriptor = errors.New("static: no bare descriptors on this system")

func openQuickly(int, string, bool) (node, bool, error) { return node{}, false, nil }

func statDescriptor(int) (meta, error) { return meta{}, errNoDescriptor }

func readDescriptor(int, []byte, int64) (int, error) { return 0, errNoDescriptor }

func closeDescriptor(int) {}
