//go:build unix

package daemontools

// This file: setuidgid, envuidgid and envdir, which become another program.

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// changed is an environment with changes: each "NAME=VALUE", or "NAME" for one
// that is to be gone. The order is the original's: what is changed leaves its
// place to the last one.
func changed(env []string, changes ...string) []string {
	env = append([]string(nil), env...)
	for _, change := range changes {
		name, _, set := strings.Cut(change, "=")
		for i, v := range env {
			if strings.HasPrefix(v, name+"=") {
				last := len(env) - 1
				env[i] = env[last]
				env = env[:last]
				break
			}
		}
		if set {
			env = append(env, change)
		}
	}
	return env
}

// run becomes a program with changes in the environment. It returns the exit
// status if that is impossible.
func run(name string, stderr io.Writer, command []string, changes ...string) int {
	err := become(command, changed(os.Environ(), changes...))
	return fault(stderr, err, name, ": fatal: unable to run ", command[0], ": ")
}

// account is the numbers of an account; false if there is none by that name.
func account(name string) (uid, gid int, ok bool) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, false
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		return 0, 0, false
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, err == nil
}

func runSetuidgid(args []string, _ io.Reader, _, stderr io.Writer) int {
	if len(args) < 3 {
		return usage(stderr, "setuidgid: usage: setuidgid account child")
	}
	uid, gid, ok := account(args[1])
	if !ok {
		say(stderr, "setuidgid: fatal: unknown account ", args[1])
		return exitFault
	}
	// These are for all threads. The account's other groups are not set: the
	// original drops them all.
	err := syscall.Setgroups([]int{gid})
	if err == nil {
		err = syscall.Setgid(gid)
	}
	if err != nil {
		return fault(stderr, err, "setuidgid: fatal: unable to setgid: ")
	}
	if err := syscall.Setuid(uid); err != nil {
		return fault(stderr, err, "setuidgid: fatal: unable to setuid: ")
	}
	return run("setuidgid", stderr, args[2:])
}

func runEnvuidgid(args []string, _ io.Reader, _, stderr io.Writer) int {
	if len(args) < 3 {
		return usage(stderr, "envuidgid: usage: envuidgid account child")
	}
	uid, gid, ok := account(args[1])
	if !ok {
		say(stderr, "envuidgid: fatal: unknown account ", args[1])
		return exitFault
	}
	return run("envuidgid", stderr, args[2:], "GID="+strconv.Itoa(gid), "UID="+strconv.Itoa(uid))
}

func runEnvdir(args []string, _ io.Reader, _, stderr io.Writer) int {
	if len(args) < 3 {
		say(stderr, "envdir: usage: envdir dir child")
		return exitFault // unlike its siblings
	}
	dir := args[1]
	f, err := os.Open(dir)
	if err == nil {
		var info fs.FileInfo
		if info, err = f.Stat(); err == nil && !info.IsDir() {
			err = syscall.ENOTDIR
		}
	}
	if err != nil {
		return fault(stderr, err, "envdir: fatal: unable to switch to directory ", dir, ": ")
	}
	names, err := f.Readdirnames(-1) // in the folder's order, as the original
	_ = f.Close()                    // it was read
	if err != nil {
		return fault(stderr, err, "envdir: fatal: unable to read directory ", dir, ": ")
	}
	var changes []string
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			continue
		}
		content, err := readFile(dir+"/"+name, mostVariable)
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed since, or a link that leads nowhere
			changes = append(changes, name)
		case err != nil:
			return fault(stderr, err, "envdir: fatal: unable to read ", dir, "/", name, ": ")
		default:
			changes = append(changes, variable(name, content))
		}
	}
	return run("envdir", stderr, args[2:], changes...)
}

// mostVariable is more than any system passes on in a variable, or in all.
const mostVariable = 16 << 20

// variable is the change of the environment that a file means.
func variable(name string, content []byte) string {
	if len(content) == 0 {
		return name
	}
	first, _, _ := bytes.Cut(content, []byte{'\n'})
	first = bytes.TrimRight(first, " \t")
	return name + "=" + string(bytes.ReplaceAll(first, []byte{0}, []byte{'\n'}))
}
