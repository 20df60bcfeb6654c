package server

// This file: the paths of apps with a root folder of their own.

import (
	"path/filepath"
	"strings"

	"millrace/internal/config"
)

// enterRoot makes the paths of an app with a root folder of its own what they
// are within it.
func enterRoot(a *config.App) {
	a.Dir, a.Python = within(a.Chroot, a.Dir), within(a.Chroot, a.Python)
	if len(a.Command) > 0 {
		a.Command[0] = within(a.Chroot, a.Command[0])
	}
	for _, attached := range a.Attached {
		if len(attached.Command) > 0 {
			attached.Command[0] = within(a.Chroot, attached.Command[0])
		}
	}
}

// within is a path as it is called in the root folder. One that is not in it is
// left alone: starting the program will say that it is not there.
func within(root, path string) string {
	root = filepath.Clean(root)
	rest, ok := strings.CutPrefix(path, root)
	switch {
	case !ok || root == "/":
		return path
	case rest == "":
		return "/"
	case rest[0] == filepath.Separator:
		return rest
	}
	return path
}
