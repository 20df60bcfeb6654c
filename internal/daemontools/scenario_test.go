//go:build unix

package daemontools

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/internal/testkit"
)

// mix is which programs a scenario is played with: folders of links.
type mix struct {
	name    string
	scan    string // svscan
	keep    string // supervise
	control string // svc, svok, svstat
	flags   []string
	scans   bool // it differs from another only in svscan
}

// mixes are the original alone first, which is what all others are to equal.
func mixes(t *testing.T) []mix {
	ours, theirs := ourPrograms(t), theirPrograms(t)
	return []mix{
		{name: "theirs", scan: theirs, keep: theirs, control: theirs},
		{name: "our supervise", scan: theirs, keep: ours, control: theirs},
		{name: "our control", scan: theirs, keep: theirs, control: ours},
		{name: "our supervise and control", scan: theirs, keep: ours, control: ours},
		{name: "our svscan", scan: ours, keep: theirs, control: theirs, scans: true},
		{name: "our svscan and control", scan: ours, keep: theirs, control: ours, scans: true},
		{name: "our svscan --separate", scan: ours, keep: theirs, control: theirs, flags: []string{"--separate"}, scans: true},
		{name: "ours --separate", scan: ours, keep: ours, control: ours, flags: []string{"--separate"}, scans: true},
	}
}

// stage is where a scenario is played. What was to be seen is in told.
type stage struct {
	*testing.T
	mix
	dir  string
	told bytes.Buffer
}

// file writes one below the stage.
func (s *stage) file(name, text string, mode os.FileMode) {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) script(name, text string) { s.file(name, "#!/bin/sh\n"+text+"\n", 0o755) }

func (s *stage) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(s.dir, name)) // not there is empty
	return string(text)
}

// command is a program of the mix.
func (s *stage) command(ctx context.Context, args ...string) *exec.Cmd {
	from := s.control
	switch args[0] {
	case "supervise":
		from = s.keep
	case "svscan":
		from = s.scan
		args = append(append([]string{"svscan"}, s.flags...), args[1:]...)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(from, args[0]), args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "PATH="+s.keep+":/usr/bin:/bin")
	return cmd
}

// run runs a program, and tells what it says and how it ends.
func (s *stage) run(args ...string) {
	s.Helper()
	s.tell(strings.Join(args, " "), s.command(s.Context(), args...))
}

func (s *stage) tell(what string, cmd *exec.Cmd) {
	s.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		s.Fatalf("%s: %v", what, err)
	}
	fmt.Fprintf(&s.told, "$ %s: %d\n%s%s", what, cmd.ProcessState.ExitCode(), out.String(), errs.String())
}

// note tells something.
func (s *stage) note(format string, args ...any) { fmt.Fprintf(&s.told, format+"\n", args...) }

// began is a program that runs in the background.
type began struct {
	s    *stage
	cmd  *exec.Cmd
	errs *lines
	done chan struct{}
}

// lines is a buffer of what is written to it.
type lines struct{ testkit.Output }

// begin starts a program. It is killed at the end, with what it runs.
func (s *stage) begin(args ...string) *began {
	s.Helper()
	return s.beginAs(s.command(context.Background(), args...))
}

func (s *stage) beginAs(cmd *exec.Cmd) *began {
	s.Helper()
	b := &began{s: s, cmd: cmd, errs: &lines{}, done: make(chan struct{})}
	copied := make(chan struct{})
	read, write, err := os.Pipe()
	if err != nil {
		s.Fatal(err)
	}
	cmd.Stderr = write
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	write.Close()
	go func() {
		defer close(copied)
		_, _ = io.Copy(b.errs, read)
	}()
	go func() {
		defer close(b.done)
		_ = cmd.Wait()
	}()
	s.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-b.done
		read.Close()
		<-copied
	})
	return b
}

// end waits for the end, and tells it.
func (b *began) end() {
	b.s.Helper()
	select {
	case <-b.done:
		said := slices.Compact(strings.SplitAfter(b.errs.String(), "\n")) // how often depends on the time
		b.s.note("ended: %d\n%s", b.cmd.ProcessState.ExitCode(), strings.Join(said, ""))
	case <-time.After(busy):
		b.s.Fatal("it does not end")
	}
}

// state waits until a service's status is such: "up" or "down", what is
// wanted, and "paused". Then it tells the status, the time and pid apart.
func (s *stage) state(service, state string) Status {
	s.Helper()
	return s.status(service, state, true)
}

// left is state for a service whose supervise has ended.
func (s *stage) left(service, state string) { s.Helper(); s.status(service, state, false) }

func (s *stage) status(service, state string, supervised bool) Status {
	s.Helper()
	var last Status
	until(s, service+" is "+state+"\n"+s.told.String(), func() bool {
		text, err := os.ReadFile(filepath.Join(s.dir, service, "supervise/status"))
		if err != nil {
			return false
		}
		if last, err = DecodeStatus(text); err != nil {
			return false
		}
		words := []string{"down"}
		if last.PID != 0 {
			words[0] = "up"
		}
		if last.Want != 0 {
			words = append(words, string(last.Want))
		}
		if last.Paused != 0 {
			words = append(words, "paused")
		}
		if strings.Join(words, " ") != state || len(text) != statusSize {
			return false
		}
		if !supervised {
			return true
		}
		// Both supervises write their first status before they read from ok,
		// and svstat asks whether somebody reads from it.
		ok, err := os.OpenFile(filepath.Join(s.dir, service, "supervise/ok"), os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return false
		}
		return ok.Close() == nil
	})
	s.note("%s: %s", service, state)
	return last
}

// another waits until a service runs as another process than pid.
func (s *stage) another(service string, pid uint32) Status {
	s.Helper()
	var last Status
	until(s, service+" is started again", func() bool {
		text := s.read(service + "/supervise/status")
		last, _ = DecodeStatus([]byte(text))
		return last.PID != 0 && last.PID != pid
	})
	return last
}

// holds waits until a file has a text, and tells that.
func (s *stage) holds(name, text string) {
	s.Helper()
	until(s, name+" holds "+text, func() bool { return strings.Contains(s.read(name), text) })
	s.note("%s holds %s", name, text)
}

// says waits until a program has said something on stderr.
func (b *began) says(text string) {
	b.s.Helper()
	until(b.s, "it says "+text, func() bool { return strings.Contains(b.errs.String(), text) })
	b.s.note("it says %s", text)
}

var (
	pids    = regexp.MustCompile(`pid \d+`)
	seconds = regexp.MustCompile(`\d+ seconds`)
)

// story is what was told, without what differs from one time to the next.
func (s *stage) story() string {
	text := pids.ReplaceAllString(s.told.String(), "pid N")
	return seconds.ReplaceAllString(text, "S seconds")
}

// TestScenarios plays each scenario with each mix of programs: what is to be
// seen must be what the originals alone show.
func TestScenarios(t *testing.T) {
	all := mixes(t)
	for _, scene := range scenes() {
		t.Run(scene.name, func(t *testing.T) {
			t.Parallel()
			stories := make([]string, len(all))
			t.Run("mixes", func(t *testing.T) {
				for i, m := range all {
					if m.scans && !scene.scans {
						continue
					}
					t.Run(m.name, func(t *testing.T) {
						t.Parallel()
						s := &stage{T: t, mix: m, dir: t.TempDir()}
						scene.play(s)
						stories[i] = s.story()
					})
				}
			})
			for i, m := range all {
				if stories[i] != "" && stories[i] != stories[0] {
					t.Errorf("with %s:\n%s\nwith theirs:\n%s", m.name, stories[i], stories[0])
				}
			}
			if !t.Failed() {
				t.Log(stories[0])
			}
		})
	}
}
