package main

// This file: where the control socket is. `serve` and the commands that talk
// to it must come to the same answer from the same folder or target.

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"millrace/internal/config"
)

// configName is the configuration that a folder is looked through for.
const configName = "millrace.toml"

// controlOf is the control socket of what is served for target: given (the
// flag), else what its configuration says, else one in the user's runtime
// folder, named after the target's place.
func controlOf(given, target string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	place, file, err := placeOf(target)
	if err != nil {
		return "", err
	}
	if file != "" && !isForeign(file) { // another server's says nothing of a control socket
		if c, err := config.Load(file); err != nil {
			return brokenControl(place, err)
		} else if c.Server.Control != "" {
			return c.Server.Control, nil
		}
	}
	return derivedControl(place)
}

// brokenControl is the socket of what is served for a configuration that can no
// longer be read, because of broken: it is there to be asked, and to be stopped,
// at the place where such a socket is unless the configuration names another.
func brokenControl(place string, broken error) (string, error) {
	path, err := derivedControl(place)
	if err != nil {
		return "", broken
	}
	if _, err := os.Lstat(path); err != nil {
		return "", broken
	}
	return path, nil
}

// placeOf is what a target's control socket is named after, and its
// configuration, if it has one. A folder and the millrace.toml in it are one
// place; module:callable is served from the current folder, which is its place.
func placeOf(target string) (place, file string, err error) {
	if target == "" {
		target = "."
	}
	info, err := os.Stat(target)
	switch {
	case err != nil:
		place = missingPlace(target)
	case info.IsDir():
		place = target
		if in, err := os.Stat(filepath.Join(target, configName)); err == nil && in.Mode().IsRegular() {
			file = filepath.Join(target, configName)
		}
	case filepath.Ext(target) == ".py": // the same
		place = "."
	case filepath.Base(target) == configName:
		place, file = filepath.Dir(target), target
	default:
		place, file = target, target
	}
	if place, err = filepath.Abs(place); err != nil {
		return "", "", err
	}
	if real, err := filepath.EvalSymlinks(place); err == nil {
		place = real
	} else if dir, err := filepath.EvalSymlinks(filepath.Dir(place)); err == nil {
		place = filepath.Join(dir, filepath.Base(place))
	}
	return place, file, nil
}

// missingPlace is the place of a target that is not there. A mistyped path must
// not mean what serves the current folder: it would be stopped in its stead. And
// what was started with a file that has gone since is found by the file's name.
func missingPlace(target string) string {
	switch ext := filepath.Ext(target); {
	case filepath.Base(target) == configName:
		return filepath.Dir(target)
	case ext == ".toml", ext == ".conf":
		return target
	case strings.Contains(target, ":"), target == filepath.Base(target) && ext == ".py": // module:callable, as a script is
		return "."
	}
	return target
}

func derivedControl(place string) (string, error) {
	dir, err := runtimeFolder()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, digest(place)+".sock"), nil
}

// addressControl is that of what serves a place at an address of its own, as
// runfcgi does: several may serve one place.
func addressControl(place, address string) (string, error) {
	dir, err := runtimeFolder()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, digest(place)+"-"+digest(address)+".sock"), nil
}

// addressControls are the sockets of all that ever served a place so.
func addressControls(place string) ([]string, error) {
	dir, err := runtimeFolder()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), digest(place)+"-") {
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	return all, nil
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// runtimeFolder makes the folder of this user's control sockets. In a folder
// where anybody may write it must be ours alone: who owns it could put a
// socket of his own there.
func runtimeFolder() (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("millrace-%d", os.Getuid()))
	if base := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(base) && isFolder(base) {
		dir = filepath.Join(base, "millrace")
	} else if os.Getuid() == 0 && isFolder("/run") {
		dir = "/run/millrace"
	}
	fail := func(why string) (string, error) {
		return "", &failure{
			problem: "cannot use " + dir + " for the control socket: " + why,
			hint:    `name a socket: --control FILE, or control = "FILE" under [server]`,
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fail(cause(err).Error())
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return fail(cause(err).Error())
	case !info.IsDir():
		return fail("it is not a folder")
	case !ownedByUs(info):
		return fail("it belongs to another user")
	case info.Mode().Perm()&0o077 != 0:
		return fail("others than its owner may enter it")
	}
	return dir, nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// failure is an error with advice that no package beneath has made.
type failure struct{ problem, hint string }

func (e *failure) Error() string { return e.problem }
func (e *failure) Hint() string  { return e.hint }

// cause drops what package os says twice.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
