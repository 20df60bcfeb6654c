//go:build unix

package supervise

// This file: the side of the launcher (launch_unix.go) that starts it.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// launchTimeout bounds the launcher, whose slowest step is an exec from a
// network's file system.
const launchTimeout = 30 * time.Second

// needsLauncher reports whether package syscall alone cannot start a command.
func needsLauncher(c *Command) bool {
	r := &c.Rights
	return c.Folder != nil || r.User != nil || r.Umask != nil || r.Chroot != "" || len(r.Limits) > 0 || c.Lifeline && lifelines || hasAmbient()
}

// startLaunched starts a command through a launcher. cmd is all that a command
// without rights needs. It returns when the program runs.
func startLaunched(s *Start, cmd *exec.Cmd) (Process, error) {
	c := s.Command
	fail := func(err error) error {
		if u := c.Rights.User; u != nil {
			return fmt.Errorf("cannot start %s as user %s: %w", c.Name, u, err)
		}
		return fmt.Errorf("cannot start %s: %w", c.Name, err)
	}
	if !launching.Load() {
		return nil, fail(errors.New("this program does not call supervise.Launch"))
	}
	in := &instructions{
		Path: []byte(c.Path), Args: byteses(cmd.Args), Env: byteses(cmd.Env), Dir: []byte(c.Dir),
		Rights: c.Rights, Chroot: []byte(c.Rights.Chroot), Files: 3 + len(cmd.ExtraFiles), Lifeline: -1,
		Folder: c.Folder, Program: []byte(s.Program), Owner: s.Owner,
	}
	p := &child{cmd: cmd, whole: c.Whole}
	if c.Lifeline && lifelines {
		read, write, err := os.Pipe()
		if err != nil {
			return nil, fail(err)
		}
		defer read.Close()
		in.Lifeline, p.lifeline = in.Files, write
		cmd.ExtraFiles = append(cmd.ExtraFiles, read)
	}
	if err := runLauncher(cmd, in); err != nil {
		if p.lifeline != nil {
			p.lifeline.Close()
		}
		return nil, fail(err)
	}
	return p, nil
}

// runLauncher starts cmd through a launcher. On an error nothing of it is left.
func runLauncher(cmd *exec.Cmd, in *instructions) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	ours, theirs, err := wirePair()
	if err != nil {
		return err
	}
	defer ours.Close()
	defer theirs.Close()
	if cmd.Path, err = ourselves(); err != nil {
		return err
	}
	number := 3 + len(cmd.ExtraFiles)
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	cmd.Args = []string{launcherName, strconv.Itoa(number)}
	cmd.Env = []string{"GOMAXPROCS=1", "GOGC=off"} // it lives for moments
	cmd.Dir = ""
	if err := cmd.Start(); err != nil {
		return err
	}
	theirs.Close()
	if err := instruct(ours, text); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // its status says nothing more
		return err
	}
	return nil
}

// instruct tells a launcher what to do, and returns nil when its end of the
// wire is closed without a word: by the exec, or by its death, which the
// process's exit will tell.
func instruct(wire *os.File, instructions []byte) error {
	if err := wire.SetDeadline(time.Now().Add(launchTimeout)); err != nil {
		return err
	}
	_, writeErr := wire.Write(instructions)
	if writeErr == nil {
		writeErr = shutWrite(wire)
	}
	text, err := io.ReadAll(wire)
	switch {
	case len(text) == 0 && writeErr != nil:
		return fmt.Errorf("its launcher takes no instructions: %w", writeErr)
	case len(text) == 0 && err == nil:
		return nil
	case err != nil:
		return fmt.Errorf("its launcher does not answer: %w", err)
	}
	var f launchFailure
	if err := json.Unmarshal(text, &f); err != nil {
		return fmt.Errorf("its launcher says %q: %w", text, err)
	}
	return f.error()
}

// wirePair makes a pair of stream sockets whose first end has deadlines.
func wirePair() (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock() // where sockets are not made close-on-exec in one step
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "launch")
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		_ = syscall.Close(fds[0])
		theirs.Close()
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fds[0]), "launch"), theirs, nil
}

func shutWrite(wire *os.File) error {
	raw, err := wire.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = syscall.Shutdown(int(fd), syscall.SHUT_WR) }); err != nil {
		return err
	}
	return os.NewSyscallError("shutdown", failed)
}

// String names the user to people.
func (u *User) String() string {
	if u.Name != "" {
		return strings.ToValidUTF8(u.Name, "?")
	}
	return strconv.FormatUint(uint64(u.UID), 10)
}
