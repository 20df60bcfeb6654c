//go:build unix

package daemontools

// This file: one folder of multilog, with the log that rotates in it. Each step
// of a rotation leaves names and modes by which restart knows, whenever the
// process is killed, what is whole and what is not.

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// rotated is an open log.
type rotated struct {
	logFolder
	m       *multilog
	folder  int // descriptors
	lock    int
	current int
	id      fileID // of current

	bytes int64  // of current, those in out among them
	out   []byte // to be written
}

// fatal says what cannot be done before anything was read.
type fatal struct {
	what string
	err  error
}

func (f *fatal) Error() string { return f.what + ": " + f.err.Error() }

func (d *rotated) fatal(what, name string, err error) error {
	if name != "" {
		name = "/" + name
	}
	return &fatal{what + " " + d.path + name, err}
}

// open takes the folder, and makes it if it is not there.
func (d *rotated) open(start int) error {
	_ = unix.Mkdirat(start, d.path, 0o700) // if it is not there after all, that is said next
	var err error
	if d.folder, err = openAt(start, d.path, unix.O_RDONLY|unix.O_DIRECTORY, 0); err != nil {
		return d.fatal("unable to open directory", "", err)
	}
	d.lock, err = openAt(d.folder, "lock", unix.O_RDWR|unix.O_CREAT, 0o600)
	if err == nil {
		err = unix.Flock(d.lock, unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		return d.fatal("unable to lock directory", "", err)
	}
	return nil
}

// restart goes on with a current that was closed properly, or puts away what
// was left of one that was not. known are sizes up to which files are surely
// what was logged: what comes after them in a file will be logged again.
func (d *rotated) restart(known map[fileID]journaled) error {
	st, err := d.stat("current")
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return d.fatal("unable to stat", "current", err)
	}
	if err == nil && st.Mode&0o100 != 0 {
		return d.append(st.Size)
	}
	if err == nil {
		if was, ok := known[idOf(st)]; ok && st.Size > was.size {
			if err := d.truncate(was.size); err != nil {
				return d.fatal("unable to write to", "current", err)
			}
		}
	}
	_ = unix.Unlinkat(d.folder, "state", 0)
	_ = unix.Unlinkat(d.folder, "newstate", 0)
	st, err = d.stat("processed")
	switch {
	case err != nil && !errors.Is(err, unix.ENOENT):
		return d.fatal("unable to stat", "processed", err)
	case err == nil && st.Mode&0o100 != 0: // the processor had done its work
		_ = unix.Unlinkat(d.folder, "previous", 0)
		d.finish("processed", "s")
	default:
		_ = unix.Unlinkat(d.folder, "processed", 0)
		d.finish("previous", "u")
	}
	d.finish("current", "u")
	state, err := openAt(d.folder, "state", unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC, 0o644)
	if err != nil {
		return d.fatal("unable to write to", "state", err)
	}
	_ = unix.Close(state) // it is empty
	return d.append(0)
}

// append opens current, which has a size.
func (d *rotated) append(size int64) error {
	fd, err := openAt(d.folder, "current", unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND, 0o600)
	if err != nil {
		return d.fatal("unable to append to", "current", err)
	}
	if err := unix.Fchmod(fd, 0o644); err != nil {
		return d.fatal("unable to set mode of", "current", err)
	}
	d.take(fd, size)
	return nil
}

func (d *rotated) take(fd int, size int64) {
	d.current, d.bytes, d.id = fd, size, fileID{}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil {
		d.id = idOf(&st)
	}
}

func (d *rotated) truncate(size int64) error {
	fd, err := openAt(d.folder, "current", unix.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Ftruncate(fd, size)
}

// flush writes what there is to write, however long it takes.
func (d *rotated) flush() {
	for b := d.out; len(b) > 0; {
		n, err := unix.Write(d.current, b)
		if n > 0 {
			b = b[n:]
			continue
		}
		if err == nil {
			err = unix.EIO
		}
		if !errors.Is(err, unix.EINTR) {
			d.m.pausing(err, "unable to write to ", d.path, "/current")
		}
	}
	d.out = d.out[:0]
}

// again does something until it is done.
func (d *rotated) again(do func() error, what ...string) {
	for {
		err := do()
		if err == nil {
			return
		}
		if !errors.Is(err, unix.EINTR) {
			d.m.pausing(err, what...)
		}
	}
}

// rotate finishes current and begins another.
func (d *rotated) rotate() {
	d.again(func() error { return unix.Fsync(d.current) }, "unable to write ", d.path, "/current to disk")
	_ = unix.Close(d.current) // its content is on the disk
	d.again(func() error { return unix.Renameat(d.folder, "current", d.folder, "previous") },
		"unable to rename current to previous in directory ", d.path)
	fd := -1
	d.again(func() (err error) {
		fd, err = openAt(d.folder, "current", unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND, 0o600)
		return err
	}, "unable to create ", d.path, "/current")
	d.take(fd, 0)
	d.again(func() error { return unix.Fchmod(fd, 0o644) }, "unable to set mode of ", d.path, "/current")
	d.m.commit()
	d.again(func() error { return unix.Fchmodat(d.folder, "previous", 0o744, 0) }, "unable to set mode of ", d.path, "/previous")
	if d.processor == "" {
		d.finish("previous", "s")
		return
	}
	d.process()
	d.settle("processed", 0o744)
	d.settle("newstate", 0)
	d.again(func() error { return unix.Unlinkat(d.folder, "previous", 0) }, "unable to remove ", d.path, "/previous")
	d.again(func() error { return unix.Renameat(d.folder, "newstate", d.folder, "state") },
		"unable to rename newstate to state in directory ", d.path)
	d.finish("processed", "s")
}

// settle has a file of the processor on the disk, with a mode that says so.
func (d *rotated) settle(name string, mode uint32) {
	fd := -1
	d.again(func() (err error) {
		fd, err = openAt(d.folder, name, unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND, 0o600)
		return err
	}, "unable to create ", d.path, "/", name)
	d.again(func() error { return unix.Fsync(fd) }, "unable to write ", d.path, "/", name, " to disk")
	if mode != 0 {
		d.again(func() error { return unix.Fchmod(fd, mode) }, "unable to set mode of ", d.path, "/", name)
	}
	_ = unix.Close(fd) // its content is on the disk
}

// process runs the processor until it has done its work.
func (d *rotated) process() {
	for {
		cmd, files, err := d.command()
		if err == nil {
			err = cmd.Start()
		}
		for _, f := range files {
			_ = f.Close() // the processor has its own
		}
		if err != nil {
			d.m.pausing(err, "unable to fork for processor in directory ", d.path)
			continue
		}
		var exit *exec.ExitError
		switch err := cmd.Wait(); {
		case err == nil:
			return
		case errors.As(err, &exit) && !exit.Exited():
			d.m.say("processor crashed in ", d.path, ", pausing")
		case errors.As(err, &exit):
			d.m.say("processor failed in ", d.path, ", pausing")
		default:
			d.m.say("wait failed for processor in ", d.path, ", pausing")
		}
		time.Sleep(d.m.pause)
	}
}

// command is the processor: it reads previous and the state that it left, and
// writes processed and the state for the next time. files are to be closed.
func (d *rotated) command() (cmd *exec.Cmd, files []*os.File, err error) {
	const fresh = unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC
	for _, f := range []struct {
		name  string
		flags int
	}{{"previous", unix.O_RDONLY}, {"processed", fresh}, {"state", unix.O_RDONLY}, {"newstate", fresh}} {
		fd, err := openAt(d.folder, f.name, f.flags, 0o644)
		if err != nil {
			return nil, files, err
		}
		_ = unix.SetNonblock(fd, false) // an inherited one is to block, as every program expects
		files = append(files, os.NewFile(uintptr(fd), f.name))
	}
	if err := unix.Fchdir(d.folder); err != nil {
		return nil, files, err
	}
	cmd = &exec.Cmd{
		Path: "/bin/sh", Args: []string{"sh", "-c", d.processor},
		Stdin: files[0], Stdout: files[1], Stderr: d.m.stderr,
		ExtraFiles: []*os.File{nil, files[2], files[3]}, // descriptors 4 and 5
	}
	return cmd, files, nil
}

// finish gives a file its final name, if it is there, and removes the oldest
// that are too many.
func (d *rotated) finish(name, code string) {
	var st *unix.Stat_t
	there := true
	d.again(func() (err error) {
		if st, err = d.stat(name); errors.Is(err, unix.ENOENT) {
			there, err = false, nil
		}
		return err
	}, "unable to stat ", d.path, "/", name)
	if !there {
		return
	}
	if st.Nlink == 1 { // else it has its name, and was not removed by the old one
		var final string
		for {
			final = string(appendStamp(nil, time.Now())) + "." + code
			err := unix.Linkat(d.folder, name, d.folder, final, 0)
			if err == nil {
				break
			}
			if !errors.Is(err, unix.EINTR) {
				d.m.pausing(err, "unable to link to ", d.path, "/", final)
			}
		}
	}
	d.again(func() error { return unix.Unlinkat(d.folder, name, 0) }, "unable to remove ", d.path, "/", name)
	d.again(d.prune, "unable to read ", d.path)
}

// prune removes the oldest finished files, until there are few enough.
func (d *rotated) prune() error {
	for {
		fd, err := openAt(d.folder, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), d.path)
		names, err := f.Readdirnames(-1)
		_ = f.Close() // it was read
		if err != nil {
			return errnoOf(err)
		}
		count, oldest := 0, ""
		for _, name := range names {
			if len(name) < stampLength || name[0] != '@' {
				continue
			}
			count++
			if oldest == "" || name < oldest {
				oldest = name
			}
		}
		if count < d.keep {
			return nil
		}
		if err := unix.Unlinkat(d.folder, oldest, 0); err != nil {
			// Something else of ours has the name. The original waits for ever.
			d.m.say("unable to remove ", d.path, "/", oldest, ": ", words(err))
			return nil
		}
	}
}

// close puts current safely on the disk and says so by its mode.
func (d *rotated) close() {
	d.again(func() error { return unix.Fsync(d.current) }, "unable to write ", d.path, "/current to disk")
	d.again(func() error { return unix.Fchmod(d.current, 0o744) }, "unable to set mode of ", d.path, "/current")
}

func (d *rotated) stat(name string) (*unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(d.folder, name, &st, 0)
	return &st, err
}

func idOf(st *unix.Stat_t) fileID { return fileID{uint64(st.Dev), uint64(st.Ino)} }

// openAt is openat(2), as the original opens everything: it never waits.
func openAt(dir int, name string, flags int, mode uint32) (int, error) {
	if strings.IndexByte(name, 0) >= 0 {
		return -1, unix.EINVAL
	}
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_NONBLOCK|unix.O_CLOEXEC, mode)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

func errnoOf(err error) error {
	var number unix.Errno
	if errors.As(err, &number) {
		return number
	}
	return err
}
