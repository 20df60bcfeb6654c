//go:build unix

package daemontools

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// scene is one scenario.
type scene struct {
	name  string
	scans bool // svscan is in it
	play  func(s *stage)
}

const forever = "exec sleep 1000"

func scenes() []scene {
	return []scene{
		{"up, down and exit", false, func(s *stage) {
			s.script("s/run", forever)
			b := s.begin("supervise", "s")
			s.state("s", "up u")
			s.run("svstat", "s")
			s.run("svok", "s")
			s.run("svc", "-d", "s")
			s.state("s", "down d")
			s.run("svstat", "s")
			s.run("svc", "-u", "s")
			s.state("s", "up u")
			s.run("svc", "-dx", "s")
			b.end()
			s.left("s", "down d")
			s.run("svstat", "s")
			s.run("svok", "s")
			s.run("svc", "-u", "s", ".", "nowhere")
		}},
		{"killed", false, func(s *stage) {
			s.script("s/run", forever)
			b := s.begin("supervise", "s")
			first := s.state("s", "up u")
			s.run("svc", "-k", "s")
			second := s.another("s", first.PID)
			s.run("svc", "-du", "s") // ended, and wanted up again before that is seen
			s.another("s", second.PID)
			s.run("svstat", "s")
			s.run("svc", "-x", "s") // not before it is down
			s.run("svok", "s")
			s.run("svc", "-t", "s")
			b.end()
		}},
		{"once", false, func(s *stage) {
			s.script("s/run", forever)
			b := s.begin("supervise", "s")
			s.state("s", "up u")
			s.run("svc", "-o", "s")
			s.state("s", "up")
			s.run("svstat", "s")
			s.run("svc", "-t", "s")
			s.state("s", "down")
			s.run("svstat", "s")
			s.run("svc", "-o", "s")
			s.state("s", "up")
			s.run("svc", "-tx", "s")
			b.end()
			s.left("s", "down")
		}},
		{"paused and continued", false, func(s *stage) {
			s.script("s/run", forever)
			b := s.begin("supervise", "s")
			s.state("s", "up u")
			s.run("svc", "-p", "s")
			st := s.state("s", "up u paused")
			s.stopped(st, true)
			s.run("svstat", "s")
			s.run("svc", "-c", "s")
			s.state("s", "up u")
			s.stopped(st, false)
			s.run("svc", "-p", "s")
			s.state("s", "up u paused")
			s.run("svc", "-d", "s")
			s.state("s", "down d")
			s.run("svc", "-p", "s") // of nothing: that is not kept
			s.run("svc", "-u", "s")
			s.state("s", "up u")
			s.run("svc", "-dx", "s")
			b.end()
		}},
		{"signals", false, func(s *stage) {
			s.script("s/run", `for n in HUP ALRM INT TERM; do trap "echo $n >>got" $n; done
echo ready >>got
while :; do sleep 0.05; done`)
			b := s.begin("supervise", "s")
			st := s.state("s", "up u")
			s.holds("s/got", "ready")
			for _, c := range [][2]string{{"-h", "HUP"}, {"-a", "ALRM"}, {"-i", "INT"}, {"-t", "TERM"}} {
				s.run("svc", c[0], "s")
				s.holds("s/got", c[1])
			}
			s.run("svc", "-k", "s")
			s.another("s", st.PID)
			s.run("svc", "-dkx", "s")
			b.end()
		}},
		{"a file down", false, func(s *stage) {
			s.script("s/run", forever)
			s.file("s/down", "", 0o644)
			b := s.begin("supervise", "s")
			s.state("s", "down d")
			s.run("svstat", "s")
			s.run("svc", "-u", "s")
			s.state("s", "up u")
			s.run("svstat", "s")
			s.run("svc", "-dx", "s")
			b.end()
		}},
		{"ends at once", false, func(s *stage) {
			s.script("s/run", "exit 1")
			b := s.begin("supervise", "s")
			last := s.another("s", 0)
			for range 3 {
				next := s.another("s", last.PID)
				if apart := next.since().Sub(last.since()); apart < pause {
					s.Errorf("started after %v", apart)
				}
				last = next
			}
			s.seen("up (pid ", "svstat", "s")
			s.run("svc", "-dx", "s")
			b.end()
		}},
		{"no run", false, func(s *stage) {
			s.file("s/why", "", 0o644)
			s.failing()
		}},
		{"run is not executable", false, func(s *stage) {
			s.file("s/run", "#!/bin/sh\n", 0o644)
			s.failing()
		}},
		{"run is for no interpreter", false, func(s *stage) {
			s.file("s/run", "#!/nowhere/at/all\n", 0o755)
			s.failing()
		}},
		{"run is no program", false, func(s *stage) {
			s.file("s/run", "true\n", 0o755)
			s.failing()
		}},
		{"run is a folder", false, func(s *stage) {
			s.file("s/run/x", "", 0o644)
			s.failing()
		}},
		{"twice", false, func(s *stage) {
			s.script("s/run", forever)
			b := s.begin("supervise", "s")
			s.state("s", "up u")
			s.run("supervise", "s")
			s.run("svc", "-dx", "s")
			b.end()
		}},
		{"mistakes", false, func(s *stage) {
			s.file("empty/x", "", 0o644)
			s.file("file", "", 0o644)
			for _, line := range []string{
				"supervise", "supervise a b", "supervise nowhere", "supervise file",
				"svok", "svok nowhere", "svok empty", "svok file", "svok empty more",
				"svc", "svc -z empty", "svc -u", "svc -u nowhere empty file", "svc -- empty", "svc - empty", "svc -u -d -- empty",
				"svstat", "svstat nowhere empty file",
			} {
				s.run(strings.Fields(line)...)
			}
		}},
		{"a FIFO without a reader", false, func(s *stage) {
			s.script("s/run", forever)
			for _, name := range []string{"control", "ok"} {
				s.file("s/supervise/x", "", 0o600)
				if err := syscall.Mkfifo(filepath.Join(s.dir, "s/supervise", name), 0o600); err != nil {
					s.Fatal(err)
				}
			}
			s.run("svc", "-u", "s")
			s.run("svok", "s")
			s.run("svstat", "s")
		}},
		{"no FIFO", false, func(s *stage) {
			s.file("s/supervise/control", "", 0o600)
			s.file("s/supervise/ok", "", 0o600)
			s.run("svc", "-upc", "s")
			s.holds("s/supervise/control", "upc")
			s.run("svok", "s")
			s.run("svstat", "s")
			s.file("f/supervise/control/x", "", 0o600)
			s.file("f/supervise/ok/x", "", 0o600)
			s.script("f/run", forever)
			s.run("svc", "-u", "f")
			s.run("svok", "f")
			s.run("svstat", "f")
			s.run("supervise", "f")
		}},
		{"a corrupt status", false, func(s *stage) {
			s.script("s/run", forever)
			b := s.begin("supervise", "s")
			s.state("s", "up u")
			s.run("svc", "-p", "s")
			s.state("s", "up u paused") // the original is awake
			s.run("svc", "-c", "s")
			st := s.state("s", "up u")
			good := string(st.Encode())
			for _, text := range []string{
				"", "x", good[:17], good + "more", strings.Repeat("\xff", 18), strings.Repeat("\x00", 18),
				good[:12] + "\xff\xff\xff\xff\x07x", good[:8] + "\xff\xff\xff\xff" + good[12:],
			} {
				s.file("s/supervise/status", text, 0o644)
				s.run("svstat", "s")
			}
			if err := os.Remove(filepath.Join(s.dir, "s/supervise/status")); err != nil {
				s.Fatal(err)
			}
			s.run("svstat", "s")
			s.file("s/supervise/status/x", "", 0o644) // the original takes the error for a status
			s.run("svc", "-p", "s")                   // has it written, which fails
			b.says("unable to rename")
			s.run("svc", "-cdx", "s")
			b.end()
		}},
		{"begun with a corrupt status", false, func(s *stage) {
			s.script("s/run", forever)
			s.file("s/supervise/status", "\xff\xff", 0o644)
			s.file("s/supervise/details", "{", 0o644)
			b := s.begin("supervise", "s")
			s.state("s", "up u")
			s.run("svc", "-dx", "s")
			b.end()
		}},
		{"folders without rights", false, func(s *stage) {
			s.script("s/run", forever)
			s.file("s/supervise/x", "", 0o644)
			for _, dir := range []string{"s/supervise", "s"} {
				for _, mode := range []os.FileMode{0, 0o500, 0o300} {
					if err := os.Chmod(filepath.Join(s.dir, dir), mode); err != nil {
						s.Fatal(err)
					}
					s.note("%s has mode %o", dir, mode)
					if mode != 0o300 { // with which it may
						s.unprivileged("supervise", "s")
					}
					s.unprivileged("svok", "s")
					s.unprivileged("svc", "-u", "s")
					s.unprivileged("svstat", "s")
				}
				_ = os.Chmod(filepath.Join(s.dir, dir), 0o755)
				if dir == "s/supervise" {
					_ = os.RemoveAll(filepath.Join(s.dir, dir))
				}
			}
		}},
		{"svscan's words", true, func(s *stage) {
			s.run("svscan", "nowhere")
			s.script(".hidden/run", "echo hidden >&2")
			s.file("file", "", 0o644)
			s.file("norun/x", "", 0o644)
			if err := os.Symlink("nowhere", filepath.Join(s.dir, "dangling")); err != nil {
				s.Fatal(err)
			}
			b := s.begin("svscan")
			b.says("svscan: warning: unable to stat dangling: file does not exist")
			b.says("supervise: fatal: unable to start norun/run: file does not exist")
			if strings.Contains(b.errs.String(), "hidden") || strings.Contains(b.errs.String(), "file/") {
				s.Error(b.errs.String())
			}
		}},
		{"a log", true, func(s *stage) {
			in := s.fifo("sv/a/in")
			s.script("sv/a/run", `while read -r line; do echo "$line"; echo "$line" >>passed; done <in`)
			s.script("sv/a/log/run", "exec cat >>got")
			s.begin("svscan", "sv")
			s.state("sv/a", "up u")
			log := s.state("sv/a/log", "up u")
			s.write(in, "one")
			s.holds("sv/a/log/got", "one")
			s.run("svc", "-k", "sv/a/log")
			s.another("sv/a/log", log.PID)
			s.write(in, "two")
			s.holds("sv/a/log/got", "two")
			s.run("svc", "-d", "sv/a/log")
			s.state("sv/a/log", "down d")
			s.write(in, "three")
			s.holds("sv/a/passed", "three") // it is in the pipe
			s.run("svc", "-d", "sv/a")
			s.state("sv/a", "down d")
			s.run("svstat", "sv/a", "sv/a/log")
			s.run("svc", "-u", "sv/a/log", "sv/a")
			s.holds("sv/a/log/got", "three")
			s.state("sv/a", "up u")
			s.write(in, "four")
			s.holds("sv/a/log/got", "four")
			s.note("all of it: %s", s.read("sv/a/log/got"))
		}},
		{"folders come and go", true, func(s *stage) {
			for _, name := range []string{"sv/a/run", "sv/c/run"} {
				s.script(name, forever)
			}
			s.begin("svscan", "sv")
			a, c := s.state("sv/a", "up u"), s.state("sv/c", "up u")
			s.script("sv/new/run", forever)
			for _, names := range [][2]string{{"sv/a", "sv/b"}, {"sv/c", "c"}} {
				if err := os.Rename(filepath.Join(s.dir, names[0]), filepath.Join(s.dir, names[1])); err != nil {
					s.Fatal(err)
				}
			}
			s.state("sv/new", "up u") // it was looked for
			s.run("svstat", "sv/b", "c")
			s.note("as they were: %v", s.state("sv/b", "up u").PID == a.PID && s.state("c", "up u").PID == c.PID)
			s.run("svc", "-k", "sv/b", "c")
			b := s.another("sv/b", a.PID)
			s.another("c", c.PID)
			s.run("svc", "-dx", "sv/b", "c")
			until(s, "c is given up", func() bool { return s.command(s.Context(), "svok", "c").Run() != nil })
			s.another("sv/b", b.PID) // taken up anew
			s.run("svstat", "sv/b", "c")
		}},
	}
}

// failing is a service that cannot be started.
func (s *stage) failing() {
	s.Helper()
	b := s.begin("supervise", "s")
	b.says("supervise: fatal: unable to start s/run: ")
	s.seen("up (pid ", "svstat", "s") // as the original has it, which looks away for a second
	s.run("svc", "-dx", "s")
	b.end()
}

// seen runs a program until it says something, and tells all that it says then.
func (s *stage) seen(text string, args ...string) {
	s.Helper()
	var out []byte
	until(s, strings.Join(args, " ")+" says "+text, func() bool {
		out, _ = s.command(s.Context(), args...).CombinedOutput()
		return strings.Contains(string(out), text)
	})
	s.note("$ %s\n%s", strings.Join(args, " "), out)
}

// stopped waits until a process is, or is not.
func (s *stage) stopped(st Status, want bool) {
	s.Helper()
	until(s, "it is stopped", func() bool {
		text, _ := os.ReadFile("/proc/" + strconv.Itoa(int(st.PID)) + "/stat")
		return strings.Contains(string(text), ") T ") == want
	})
	s.note("stopped: %v", want)
}

// fifo makes one, and opens it, so that it has no end.
func (s *stage) fifo(name string) *os.File {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		s.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { f.Close() })
	return f
}

func (s *stage) write(f *os.File, line string) {
	s.Helper()
	if _, err := f.WriteString(line + "\n"); err != nil {
		s.Fatal(err)
	}
	s.note("written: %s", line)
}

// unprivileged runs a program that has no right to do what modes forbid.
func (s *stage) unprivileged(args ...string) {
	s.Helper()
	s.tell(strings.Join(args, " "), s.withoutRights(s.command(s.Context(), args...)))
}

func (s *stage) withoutRights(cmd *exec.Cmd) *exec.Cmd {
	s.Helper()
	if os.Getuid() == 0 {
		path, err := exec.LookPath("setpriv")
		if err != nil {
			s.Fatal(err)
		}
		cmd.Args = append([]string{path, "--bounding-set", "-dac_override,-dac_read_search", cmd.Path}, cmd.Args[1:]...)
		cmd.Path = path
	}
	return cmd
}
