//go:build unix

package daemontools

// This file: how these programs read their options, and how they become the
// program that they were given.

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// become executes a program in this one's place. It returns if that is
// impossible, and why.
func become(args, env []string) error {
	return alongPath(args[0], func(path string) error { return execute(path, args, env) })
}

// alongPath finds a program as the originals do: on the PATH that this process
// has, else in /bin and /usr/bin. It tries one file after the other until that
// works; its error is of the one that was there.
func alongPath(file string, try func(path string) error) error {
	if strings.ContainsRune(file, '/') {
		return try(file)
	}
	path, ok := os.LookupEnv("PATH")
	if !ok {
		path = "/bin:/usr/bin"
	}
	var found error = syscall.ENOENT
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		switch err := try(dir + "/" + file); err {
		case syscall.ENOENT:
		case syscall.EACCES, syscall.EPERM, syscall.EISDIR:
			found = err
		default:
			return err // nil among them
		}
	}
	return found
}

func execute(path string, args, env []string) error {
	for {
		if err := syscall.Exec(path, args, env); err != syscall.EINTR {
			return err
		}
	}
}

// options reads flags of one letter, as the originals do: several may share an
// argument, "--" ends them, and so does what begins with no dash. args begin
// with the program's name. known are the letters; one with a colon after it
// takes a value, which is the rest of its argument or the next one. each is
// called for each; options returns what comes after them, and false if a letter
// is not known or has no value, which it says.
func options(stderr io.Writer, args []string, known string, each func(letter byte, value string)) (rest []string, ok bool) {
	name := filepath.Base(args[0])
	args = args[1:]
	for len(args) > 0 {
		flags := args[0]
		if len(flags) < 2 || flags[0] != '-' {
			return args, true
		}
		args = args[1:]
		if flags[1] == '-' {
			return args, true
		}
		for i := 1; i < len(flags); i++ {
			at := strings.IndexByte(known, flags[i])
			if at < 0 || flags[i] == ':' {
				say(stderr, name, ": illegal option -- ", flags[i:i+1])
				return nil, false
			}
			if at+1 >= len(known) || known[at+1] != ':' {
				each(flags[i], "")
				continue
			}
			value := flags[i+1:]
			if value == "" {
				if len(args) == 0 {
					say(stderr, name, ": option requires an argument -- ", flags[i:i+1])
					return nil, false
				}
				value, args = args[0], args[1:]
			}
			each(flags[i], value)
			break
		}
	}
	return args, true
}
