package main

// This file: a place that is a symlink, as "current" of a site that is deployed
// by it. Who is asked there is the server that was started there, whatever the
// symlink leads to by now.

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// namedPlace is a target's place as it was named, with its symlinks.
func namedPlace(target string) (string, error) {
	if target == "" {
		target = "."
	}
	info, err := os.Stat(target)
	switch {
	case err != nil:
		target = missingPlace(target)
	case !info.IsDir() && filepath.Ext(target) == ".py":
		target = "."
	case !info.IsDir() && filepath.Base(target) == configName:
		target = filepath.Dir(target)
	}
	return filepath.Abs(target)
}

// linkControl has the control socket found by the name of a place as well.
func linkControl(named, control string) error {
	link, err := derivedControl(named)
	if err != nil || link == control {
		return err
	}
	if to, err := os.Readlink(link); err == nil && to == filepath.Base(control) {
		return nil
	}
	next := link + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if info, err := os.Lstat(link); err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return nil // somebody serves, or has served, that place itself
	}
	if err := os.Symlink(filepath.Base(control), next); err != nil {
		return err
	}
	return os.Rename(next, link)
}

// unlinkControl removes a link that is where a socket is to be.
func unlinkControl(control string) error {
	info, err := os.Lstat(control)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return nil // there is none, or whoever listens finds out
	}
	return os.Remove(control)
}

// distinct are the sockets that differ, links followed.
func distinct(sockets []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, socket := range sockets {
		real := socket
		if to, err := os.Readlink(socket); err == nil && !strings.ContainsRune(to, filepath.Separator) {
			real = filepath.Join(filepath.Dir(socket), to)
		}
		if !seen[real] {
			seen[real] = true
			out = append(out, socket)
		}
	}
	return out
}
