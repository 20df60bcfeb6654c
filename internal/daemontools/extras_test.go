//go:build unix

package daemontools

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/supervise"
)

// oursAlone is a stage for what the original has not.
func oursAlone(t *testing.T) *stage {
	t.Helper()
	ours := ourPrograms(t)
	return &stage{T: t, mix: mix{name: "ours", scan: ours, keep: ours, control: ours}, dir: t.TempDir()}
}

// json is what svstat --json says of a service.
func (s *stage) json(service string) (seen sightJSON) {
	s.Helper()
	out, err := s.command(s.Context(), "svstat", "--json", service).Output()
	if err == nil {
		err = json.Unmarshal(out, &seen)
	}
	if err != nil {
		s.Fatalf("%q: %v", out, err)
	}
	return seen
}

// TestReadiness: who depends on a service waits until that says that it is
// ready, by its descriptor or by its check.
func TestReadiness(t *testing.T) {
	t.Parallel()
	s := oursAlone(t)
	s.script("sv/told/run", "until [ -e go ]; do sleep 0.02; done; echo ready >&5; "+forever)
	s.file("sv/told/notification-fd", "5\n", 0o644)
	s.script("sv/checked/run", forever)
	s.script("sv/checked/check", "test -e go")
	s.script("sv/web/run", forever)
	s.file("sv/web/depends", "# both\ntold\nchecked # this too\n", 0o644)
	b := s.begin("svscan", "sv")
	s.state("sv/told", "up u")
	s.state("sv/checked", "up u")
	until(t, "it waits", func() bool { return len(s.json("sv/web").WaitingFor) == 2 })
	s.file("sv/told/go", "", 0o644)
	until(t, "the one is ready", func() bool { return *s.json("sv/told").Ready })
	if web, checked := s.json("sv/web"), s.json("sv/checked"); *web.Up || *checked.Ready || !*checked.Readiness {
		t.Errorf("%+v, %+v", web, checked)
	}
	s.run("svstat", "sv/web") // as the original would say it
	s.file("sv/checked/go", "", 0o644)
	web := s.state("sv/web", "up u")
	if ready := s.json("sv/checked").ReadySince; ready == nil || web.since().Before(*ready) {
		t.Errorf("started %v, ready %v", web.since(), ready)
	}
	s.run("svc", "-k", "sv/told") // which holds back nobody who was started
	if got := s.state("sv/web", "up u"); got.PID != web.PID {
		t.Error("it was started anew")
	}
	if !strings.Contains(s.story(), "sv/web: down S seconds, normally up, want up") {
		t.Error(s.story())
	}
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.end()
}

// TestCircle: services that depend on each other, or on nothing that there is.
func TestCircle(t *testing.T) {
	t.Parallel()
	s := oursAlone(t)
	for name, depends := range map[string]string{"a": "b", "b": "c", "c": "a", "self": "self", "lost": "nowhere"} {
		s.script("sv/"+name+"/run", forever)
		s.file("sv/"+name+"/depends", depends, 0o644)
	}
	s.flags = []string{"--grace=10m"}
	b := s.begin("svscan", "sv")
	for _, name := range []string{"a", "b", "c", "self"} {
		s.state("sv/"+name, "up u")
	}
	b.says("depend on each other")
	if lost := s.json("sv/lost"); *lost.Up || len(lost.WaitingFor) != 1 {
		t.Errorf("%+v", lost)
	}
	s.run("svc", "-u", "sv/lost")
	s.state("sv/lost", "up u")
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.end()
}

// TestFinish: finish runs after run, and may say that it is of no use.
func TestFinish(t *testing.T) {
	t.Parallel()
	s := oursAlone(t)
	s.script("s/run", "echo $$ >>starts; [ -e hold ] && exec sleep 1000; exit 7")
	s.script("s/finish", `echo "$1 $2 $3" >>finished; [ "$1" = 7 ] && exit 125; exit 0`)
	b := s.begin("supervise", "s")
	s.state("s", "down d")
	b.says("s/finish says that it is of no use")
	until(t, "that is known", func() bool { return s.json("s").Failed })
	if seen := s.json("s"); seen.LastExit == nil || *seen.LastExit.Code != 7 {
		t.Errorf("%+v", seen)
	}
	s.file("s/hold", "", 0o644)
	s.run("svc", "-u", "s")
	st := s.state("s", "up u")
	s.run("svc", "-k", "s")
	s.another("s", st.PID)
	if seen := s.json("s"); seen.Failed || seen.LastExit.Signal != 9 || seen.LastExit.Code != nil {
		t.Errorf("%+v", seen)
	}
	s.run("svc", "-dx", "s")
	b.end()
	if got := s.read("s/finished"); got != "7 0 s\n256 9 s\n256 15 s\n" {
		t.Errorf("finish ran with %q", got)
	}
	if starts := strings.Count(s.read("s/starts"), "\n"); starts != 3 {
		t.Errorf("%d starts", starts)
	}
}

// TestBackoff: what fails again and again is started less and less often; what
// is killed, ends well, or has lived is started as by the original.
func TestBackoff(t *testing.T) {
	var said bytes.Buffer
	s := &service{
		e: newEngine(&said), label: "x", want: wantUp,
		backoff: supervise.Backoff{First: 2 * time.Second, Limit: time.Minute, Factor: 2},
	}
	exits, killed, crashed := syscall.WaitStatus(1<<8), syscall.WaitStatus(9), syscall.WaitStatus(11)
	wait := func(status syscall.WaitStatus, lived time.Duration) time.Duration {
		s.started = time.Now()
		s.reckon(status, lived)
		return s.next.Sub(s.started)
	}
	for range 1000 {
		if got := wait(killed, time.Millisecond); got != pause {
			t.Fatalf("killed: %v", got)
		}
	}
	for range patience - 1 {
		if got := wait(exits, time.Second); got != pause {
			t.Fatalf("patience: %v", got)
		}
	}
	want := 2 * time.Second
	for i := range 20 {
		status := exits
		if i%2 == 1 {
			status = crashed
		}
		if got := wait(status, 0); got < want*9/10 || got > want*11/10+time.Second {
			t.Errorf("%d: %v, and not %v", i, got, want)
		}
		want = min(2*want, time.Minute)
	}
	for what, last := range map[string]time.Duration{
		"killed": wait(killed, 0), "then failed": wait(exits, 0), "done": wait(0, 0), "lived": wait(exits, time.Hour),
	} {
		if last != pause {
			t.Errorf("%s: %v", what, last)
		}
	}
	if strings.Count(said.String(), "\n") != 1 || !strings.Contains(said.String(), "x has failed 10 times in a row") {
		t.Errorf("%q", said.String())
	}
}

// TestStop: at SIGTERM svscan ends what it keeps, first who depends on others,
// and each log when it has read all.
func TestStop(t *testing.T) {
	t.Parallel()
	s := oursAlone(t)
	s.script("sv/db/run", `trap 'echo db >>../../order; exit 0' TERM; while :; do sleep 0.02; done`)
	s.script("sv/web/run", `trap 'echo last words; sleep 0.2; echo web >>../../order; exit 0' TERM; echo hello; while :; do sleep 0.02; done`)
	s.script("sv/web/log/run", `exec cat >>got`)
	s.file("sv/web/depends", "db", 0o644)
	s.flags = []string{"--grace=1h"} // which it does not take
	b := s.begin("svscan", "sv")
	s.holds("sv/web/log/got", "hello")
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.end()
	if got := s.read("order"); got != "web\ndb\n" {
		t.Errorf("ended in the order %q", got)
	}
	if got := s.read("sv/web/log/got"); got != "hello\nlast words\n" {
		t.Errorf("the log has %q", got)
	}
	for _, name := range []string{"db", "web"} {
		s.left("sv/"+name, "down d")
	}
	s.left("sv/web/log", "down u") // it ended by itself
	if b.cmd.ProcessState.ExitCode() != 0 {
		t.Error(b.cmd.ProcessState)
	}
}

// TestStopDrains: a log that is between two starts when svscan ends is started
// for what its service has said last.
func TestStopDrains(t *testing.T) {
	t.Parallel()
	s := oursAlone(t)
	s.script("sv/a/run", `trap 'echo last words; exit 0' TERM; echo hello; while :; do sleep 0.02; done`)
	s.script("sv/a/log/run", `[ -e got ] && exec cat >>got
read -r line; echo "$line" >>got; exit 1`)
	b := s.begin("svscan", "sv")
	s.holds("sv/a/log/got", "hello") // and it is down until its second is over
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.end()
	if got := s.read("sv/a/log/got"); got != "hello\nlast words\n" {
		t.Errorf("the log has %q", got)
	}
}

// TestStopDeaf: what does not end is killed, and only then what it depends on.
func TestStopDeaf(t *testing.T) {
	t.Parallel()
	s := oursAlone(t)
	for _, name := range []string{"db", "deaf"} {
		s.script("sv/"+name+"/run", `trap "" TERM; echo there >there; while :; do sleep 0.02; done`)
	}
	s.file("sv/deaf/depends", "db", 0o644)
	s.script("sv/db/finish", `echo "$2" >ended`)
	s.script("sv/deaf/finish", `echo "$2" >ended`)
	s.flags = []string{"--grace=10ms"}
	b := s.begin("svscan", "sv")
	s.holds("sv/db/there", "there")
	s.holds("sv/deaf/there", "there")
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.end()
	for _, name := range []string{"db", "deaf"} {
		s.left("sv/"+name, "down d")
		s.holds("sv/"+name+"/ended", "9")
	}
	if b.cmd.ProcessState.ExitCode() != 0 {
		t.Error(b.cmd.ProcessState)
	}
}

// TestBoot: svscanboot starts svscan with an empty environment, and shows what
// goes wrong among the processes.
func TestBoot(t *testing.T) {
	t.Parallel()
	s := oursAlone(t)
	s.script("sv/a/run", "env >made; mv made env; "+forever)
	s.script("sv/bad/log/run", forever)
	b := s.begin("svscanboot", filepath.Join(s.dir, "sv"))
	s.state("sv/a", "up u")
	s.state("sv/bad/log", "up u")
	s.holds("sv/a/env", bootPath+"\n")
	if env := s.read("sv/a/env"); strings.Contains(env, "HOME=") {
		t.Errorf("the environment is\n%s", env)
	}
	until(t, "it is shown", func() bool {
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		return slices.ContainsFunc(lines, func(name string) bool {
			text, _ := os.ReadFile(name) // one that is gone says nothing
			return bytes.HasPrefix(text, []byte("readproctitle\x00service\x00errors:\x00...")) &&
				bytes.Contains(text, []byte("unable to start bad/run: file does not exist\n"))
		})
	})
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.end()
	s.left("sv/a", "down d")
}

// TestNobodyListens: svscan goes on when who reads its stderr is gone.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	s := oursAlone(t)
	s.script("sv/a/run", forever)
	if err := os.Symlink("nowhere", filepath.Join(s.dir, "sv/dangling")); err != nil { // of which it says something
		t.Fatal(err)
	}
	cmd := s.command(t.Context(), "svscan", "sv")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	read.Close()
	st := s.state("sv/a", "up u")
	s.run("svc", "-k", "sv/a")
	s.another("sv/a", st.PID)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestTooMany: no more services than the original has.
func TestTooMany(t *testing.T) {
	var said bytes.Buffer
	sc := &scanner{e: newEngine(&said), entries: make([]*entry, maxServices-1)}
	if en := sc.enroll("last", new(unix.Stat_t)); en == nil || said.Len() > 0 {
		t.Errorf("%v, %q", en, said.String())
	}
	sc.entries = append(sc.entries, nil)
	if en := sc.enroll("x", new(unix.Stat_t)); en != nil || said.String() != "svscan: warning: unable to start x: running too many services\n" {
		t.Errorf("%v, %q", en, said.String())
	}
}

// TestMany: one process keeps many services, at little cost for each.
// MILLRACE_SERVICES says how many.
func TestMany(t *testing.T) {
	n := 100
	if text := os.Getenv("MILLRACE_SERVICES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > maxServices {
			t.Fatalf("MILLRACE_SERVICES is %q", text)
		}
	}
	s := oursAlone(t)
	if err := os.Mkdir(filepath.Join(s.dir, "none"), 0o755); err != nil {
		t.Fatal(err)
	}
	none := s.begin("svscan", "none")
	names := make([]string, n)
	for i := range names {
		names[i] = "sv/" + strconv.Itoa(i)
		s.script(names[i]+"/run", forever)
	}
	began := time.Now()
	b := s.begin("svscan", "sv")
	allUp := func() map[uint32]bool {
		seen := map[uint32]bool{}
		until(t, "all are up", func() bool {
			clear(seen)
			for _, name := range names {
				if st, err := DecodeStatus([]byte(s.read(name + "/supervise/status"))); err == nil && st.PID != 0 {
					seen[st.PID] = true
				}
			}
			return len(seen) == n
		})
		return seen
	}
	first := allUp()
	t.Logf("%d services are up after %v", n, time.Since(began))
	if before, after := pss(t, none.cmd.Process.Pid), pss(t, b.cmd.Process.Pid); after > 0 {
		each := (after - before) / n
		t.Logf("svscan takes %d KiB with none, %d KiB with %d: %d KiB for each", before, after, n, each)
		if each > 300 {
			t.Errorf("%d KiB for each service", each)
		}
	}
	began = time.Now()
	for pid := range first {
		_ = syscall.Kill(int(pid), syscall.SIGKILL)
	}
	until(t, "all are others", func() bool {
		for pid := range allUp() {
			if first[pid] {
				return false
			}
		}
		return true
	})
	t.Logf("all killed, and up again after %v", time.Since(began))
	began = time.Now()
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.end()
	t.Logf("all stopped after %v", time.Since(began))
}

// pss is what a process takes, in KiB, with its share of what it shares; 0
// where that is not known.
func pss(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); fields[0] == "Pss:" {
			n, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	return 0
}
