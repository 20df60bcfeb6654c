package daemontools

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAdopted: what a supervise that was killed has left running is taken
// back, and not started beside it.
func TestAdopted(t *testing.T) {
	t.Parallel()
	s := oursAlone(t)
	s.script("s/run", "echo $$ >>starts; "+forever)
	kill := func(b *began) {
		if err := b.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-b.done
	}
	b := s.begin("supervise", "s")
	st := s.state("s", "up u")
	kill(b)
	b = s.begin("supervise", "s")
	b.says("s runs already, as process " + strconv.Itoa(int(st.PID)))
	if got := s.state("s", "up u"); got != st {
		t.Errorf("%+v, and before %+v", got, st)
	}
	if !s.json("s").Adopted {
		t.Error("it does not say that it was taken back")
	}
	s.run("svc", "-k", "s")
	if s.another("s", st.PID); s.json("s").Adopted {
		t.Error("it says that of another")
	}
	s.run("svc", "-dx", "s")
	b.end()
	if starts := strings.Count(s.read("s/starts"), "\n"); starts != 2 {
		t.Errorf("%d starts", starts)
	}
	// A number that another process has by now.
	old := Status{Seconds: st.Seconds - 1000, PID: uint32(os.Getpid()), Want: 'u'}
	s.file("s/supervise/status", string(old.Encode()), 0o644)
	b = s.begin("supervise", "s")
	if got := s.another("s", old.PID); got.PID == 0 {
		t.Error("nothing runs")
	}
	s.run("svc", "-dx", "s")
	b.end()
}

// TestAdoptedLog: svscan is killed and started again; no line between a
// service and its log is lost, nor is either started anew.
func TestAdoptedLog(t *testing.T) {
	t.Parallel()
	s := oursAlone(t)
	in := s.fifo("sv/a/in")
	s.script("sv/a/run", `while read -r line; do echo "$line"; done <in`)
	s.script("sv/a/log/run", "exec cat >>got")
	b := s.begin("svscan", "sv")
	a, log := s.state("sv/a", "up u"), s.state("sv/a/log", "up u")
	s.write(in, "one")
	s.holds("sv/a/log/got", "one")
	if err := b.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-b.done
	s.write(in, "two") // nobody supervises
	s.holds("sv/a/log/got", "two")
	b = s.begin("svscan", "sv")
	b.says("a runs already")
	b.says("log runs already")
	if s.state("sv/a", "up u").PID != a.PID || s.state("sv/a/log", "up u").PID != log.PID {
		t.Error("started anew")
	}
	s.run("svc", "-k", "sv/a/log")
	s.another("sv/a/log", log.PID)
	s.write(in, "three")
	s.holds("sv/a/log/got", "three")
	s.run("svc", "-k", "sv/a")
	s.another("sv/a", a.PID)
	s.write(in, "four")
	s.holds("sv/a/log/got", "four")
	if got := s.read("sv/a/log/got"); got != "one\ntwo\nthree\nfour\n" {
		t.Errorf("the log has %q", got)
	}
}

// TestCgroup: what a service leaves behind is gone before it is started again.
func TestCgroup(t *testing.T) {
	t.Parallel()
	own := cgroupHere(t)
	s := oursAlone(t)
	s.script("s/run", "setsid sleep 1000 & echo $! >>left; "+forever)
	s.file("s/cgroup", "", 0o644)
	b := s.begin("supervise", "s")
	st := s.state("s", "up u")
	until(t, "it leaves something", func() bool { return strings.Count(s.read("s/left"), "\n") == 1 })
	var folder syscall.Stat_t
	if err := syscall.Stat(filepath.Join(s.dir, "s"), &folder); err != nil {
		t.Fatal(err)
	}
	group := filepath.Join(own, fmt.Sprintf("millrace-%x-%x", folder.Dev, folder.Ino))
	if text, err := os.ReadFile(filepath.Join(group, "cgroup.procs")); err != nil || strings.Count(string(text), "\n") != 2 {
		t.Errorf("in the group: %q, %v", text, err)
	}
	gone := func(line int) {
		pid := strings.Fields(s.read("s/left"))[line]
		until(t, "what was left is gone", func() bool {
			text, err := os.ReadFile("/proc/" + pid + "/stat")
			return err != nil || strings.Contains(string(text), ") Z ")
		})
	}
	s.run("svc", "-k", "s")
	s.another("s", st.PID)
	gone(0)
	until(t, "it leaves another", func() bool { return strings.Count(s.read("s/left"), "\n") == 2 })
	s.run("svc", "-dx", "s")
	b.end()
	gone(1)
	if _, err := os.Stat(group); err == nil {
		t.Error("the group is still there")
	}
}

// TestProcessOne: as process 1 svscan reaps orphans, hands on signals and ends
// with all that it keeps.
func TestProcessOne(t *testing.T) {
	t.Parallel()
	s := oursAlone(t)
	s.script("sv/a/run", `trap 'echo hup >>got' HUP; trap 'echo usr1 >>got' USR1
(sh -c 'sleep 0.1; echo orphan >>got' &)
echo ready >>got; while :; do sleep 0.02; done`)
	cmd := s.command(t.Context(), "svscan", "sv")
	errs := &lines{}
	cmd.Stderr = errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("no namespace can be made here: %v", err)
	}
	s.holds("sv/a/got", "ready")
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"hup", "usr1", "orphan"} {
		s.holds("sv/a/got", text)
	}
	until(t, "only those that sleep are left", func() bool { return !strings.Contains(childrenOf(cmd.Process.Pid), "Z") })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, errs)
	}
	s.left("sv/a", "down d")
}

// childrenOf are the states of a process's children.
func childrenOf(pid int) (states string) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // a pattern of ours
	for _, file := range files {
		text, _ := os.ReadFile(file) // one that is gone is none
		after := string(text[strings.LastIndexByte(string(text), ')')+1:])
		if fields := strings.Fields(after); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			states += fields[0]
		}
	}
	return states
}

// TestNoSpin: whatever is wrong with folders, it costs next to nothing.
func TestNoSpin(t *testing.T) {
	t.Parallel()
	s := oursAlone(t)
	s.file("sv/norun/x", "", 0o644)
	s.file("sv/noexec/run", "", 0o644)
	s.script("sv/ends/run", "echo >>starts; exit 1")
	s.script("sv/file/run", forever)
	s.file("sv/file/supervise/control", "ududud", 0o600) // no FIFO
	s.script("sv/folder/run", forever)
	s.file("sv/folder/supervise/control/x", "", 0o600)
	s.file("sv/locked/supervise", "", 0o600)
	s.script("sv/checked/run", forever)
	s.script("sv/checked/check", "exit 1")
	s.script("sv/told/run", "exec 5>&-; "+forever)
	s.file("sv/told/notification-fd", "5", 0o644)
	s.file("sv/told/depends", "checked", 0o644)
	s.script("sv/nolog/run", "while :; do echo y || exit 0; done")
	s.file("sv/nolog/log/x", "", 0o644)
	b := s.begin("svscan", "sv")
	b.says("unable to start norun/run")
	b.says("folder/supervise/control: is a directory")
	b.says("locked/supervise/lock: not a directory")
	before, began := ownTime(t, b.cmd.Process.Pid), time.Now()
	// Each starts at most once a second, so that this takes seconds.
	starts := strings.Count(s.read("sv/ends/starts"), "\n")
	until(t, "three more starts", func() bool { return strings.Count(s.read("sv/ends/starts"), "\n") >= starts+3 })
	used, passed := ownTime(t, b.cmd.Process.Pid)-before, time.Since(began)
	t.Logf("%v of the processor's time in %v", used, passed)
	if passed < 2*pause || used > passed/3 { // who spins takes all that there is
		t.Errorf("it took %v in %v", used, passed)
	}
}

// ownTime is the processor's time that a process has taken, without its children.
func ownTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	system, failed := strconv.Atoi(fields[12])
	if err != nil || failed != nil {
		t.Fatalf("%q", text)
	}
	return time.Duration(user+system) * (time.Second / 100)
}

// TestCheckEnds: a check that waits ends with the service that it is of.
func TestCheckEnds(t *testing.T) {
	t.Parallel()
	s := oursAlone(t)
	s.script("s/run", forever)
	s.script("s/check", "echo $$ >>checks; "+forever)
	b := s.begin("supervise", "s")
	s.state("s", "up u")
	until(t, "it is checked", func() bool { return strings.HasSuffix(s.read("s/checks"), "\n") })
	s.run("svc", "-dx", "s")
	b.end()
	for _, text := range strings.Fields(s.read("s/checks")) {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the check has ended", func() bool { return !alive(pid) })
	}
}

// TestFIFOs: files that nobody writes to, or somebody does not, hold up nothing.
func TestFIFOs(t *testing.T) {
	t.Parallel()
	s := oursAlone(t)
	s.file("sv/b/supervise/x", "", 0o600)
	for _, name := range []string{"depends", "notification-fd", "supervise/status", "supervise/details", "log"} {
		s.fifo("sv/b/" + name) // and has it open for writing
	}
	for _, name := range []string{"a", "b", "c"} {
		s.script("sv/"+name+"/run", forever)
	}
	out, err := s.command(t.Context(), "svstat", "--json", "sv/b").Output()
	if err != nil || !strings.Contains(string(out), `"problem"`) {
		t.Errorf("%q, %v", out, err)
	}
	b := s.begin("svscan", "sv")
	for _, name := range []string{"a", "b", "c"} {
		s.state("sv/"+name, "up u")
	}
	out, err = s.command(t.Context(), "svstat", "--json", "sv/b").Output()
	if err != nil || !strings.Contains(string(out), `"up":true`) {
		t.Errorf("%q, %v", out, err)
	}
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.end()
}

// TestFolderClosed: a service whose folder may not be entered any more is not
// started, and nothing that is meant for it is done to another one.
func TestFolderClosed(t *testing.T) {
	t.Parallel()
	s := oursAlone(t)
	for _, name := range []string{"a", "b"} {
		s.script("sv/"+name+"/run", "echo $$ >>starts; "+forever)
	}
	b := s.beginAs(s.withoutRights(s.command(context.Background(), "svscan", "sv")))
	closed, open := s.state("sv/a", "up u"), s.state("sv/b", "up u")
	folder := filepath.Join(s.dir, "sv/a")
	if err := os.Chmod(folder, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(folder, 0o755) }) // or it could not be removed
	_ = syscall.Kill(int(open.PID), syscall.SIGKILL)
	open = s.another("sv/b", open.PID) // it is in that folder now
	_ = syscall.Kill(int(closed.PID), syscall.SIGKILL)
	b.says("supervise: warning: unable to open a/supervise/status.new: access denied")
	b.says("supervise: fatal: unable to start a/run: access denied")
	if got := s.state("sv/b", "up u"); got != open {
		t.Errorf("its neighbour's status is %+v, and was %+v", got, open)
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	s.another("sv/a", closed.PID)
	until(t, "its neighbour's second start", func() bool { return strings.Count(s.read("sv/b/starts"), "\n") >= 2 })
	if starts := s.read("sv/b/starts"); strings.Count(starts, "\n") != 2 {
		t.Errorf("its neighbour was started as %q", starts)
	}
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.end()
}

// TestAdoptedAsItWas: what is wanted of what is taken back is what was wanted, in
// spite of a file down and of a clock that was set meanwhile; unless it was to end
// with its supervision.
func TestAdoptedAsItWas(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		asked, want string
		original    bool // whose supervise has no details, and can go by the clock alone
	}{{"-o", "up", false}, {"-u", "up u", false}, {"-u", "up u", true}, {"-d", "up d", false}, {"-d", "up u", true}, {"-dx", "up u", false}} {
		t.Run(fmt.Sprint(test.asked, " ", test.original), func(t *testing.T) {
			t.Parallel()
			s := oursAlone(t)
			s.script("s/run", "trap '' TERM; echo there >>starts; while :; do sleep 0.02; done")
			b := s.begin("supervise", "s")
			s.holds("s/starts", "there")
			if test.asked == "-u" {
				s.file("s/down", "", 0o644)
			}
			st := s.state("s", "up u")
			s.run("svc", test.asked, "s")
			exiting := strings.Contains(test.asked, "x")
			until(t, "it is asked", func() bool {
				seen, _ := DecodeStatus([]byte(s.read("s/supervise/status")))
				return map[byte]byte{'o': 0, 'u': 'u', 'd': 'd'}[test.asked[1]] == seen.Want
			})
			until(t, "that is noted", func() bool {
				return exiting == strings.Contains(s.read("s/supervise/details"), `"exiting":true`)
			})
			if err := b.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-b.done
			// A clock that is set is, to the status, one that was wrong.
			old, _ := DecodeStatus([]byte(s.read("s/supervise/status")))
			was := old.stampText()
			old.Seconds -= 1000
			if test.original {
				if err := os.Remove(filepath.Join(s.dir, "s/supervise/details")); err != nil {
					t.Fatal(err)
				}
			} else {
				s.file("s/supervise/details", strings.ReplaceAll(s.read("s/supervise/details"), was, old.stampText()), 0o644)
				s.file("s/supervise/status", string(old.Encode()), 0o644)
			}
			b = s.begin("supervise", "s")
			b.says("s runs already, as process " + strconv.Itoa(int(st.PID)))
			if got := s.state("s", test.want); got.PID != st.PID {
				t.Errorf("%+v, and before %+v", got, st)
			}
			s.run("svc", "-dkx", "s")
			b.end()
			if starts := strings.Count(s.read("s/starts"), "\n"); starts != 1 {
				t.Errorf("%d starts", starts)
			}
		})
	}
}

// TestAdoptedFIFO: what a service prints into a FIFO of its own is not for its log
// when svscan begins anew.
func TestAdoptedFIFO(t *testing.T) {
	t.Parallel()
	s := oursAlone(t)
	s.fifo("sv/a/own")
	s.script("sv/a/run", "exec 3>&1 >own; "+forever)
	s.script("sv/a/log/run", "exec cat >>got")
	b := s.begin("svscan", "sv")
	s.state("sv/a", "up u")
	log := s.state("sv/a/log", "up u")
	stdin := func() string {
		target, err := os.Readlink("/proc/" + strconv.Itoa(int(log.PID)) + "/fd/0")
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	before := stdin()
	if err := b.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-b.done
	b = s.begin("svscan", "sv")
	b.says("a runs already")
	b.says("log runs already")
	s.run("svc", "-k", "sv/a/log")
	log = s.another("sv/a/log", log.PID)
	if after := stdin(); after != before || !strings.HasPrefix(after, "pipe:[") {
		t.Errorf("the log reads from %s, and from %s before", after, before)
	}
}

// TestCgroupLeft: what a supervisor that was killed has left in the group of a
// service is gone before that is started, groups within it too; also when the
// service itself was taken back, and ends later.
func TestCgroupLeft(t *testing.T) {
	t.Parallel()
	own := cgroupHere(t)
	s := oursAlone(t)
	s.script("s/run", `[ -e left ] && while read -r pid; do [ -e /proc/$pid ] && ! grep -q ') Z ' /proc/$pid/stat && echo $pid; done <left >>alive
mkdir -p "$GROUP/within"
setsid sh -c 'echo $$ >"$GROUP/within/cgroup.procs"; echo $$ >>left; exec sleep 1000' &
`+forever)
	s.file("s/cgroup", "", 0o644)
	var folder syscall.Stat_t
	if err := syscall.Stat(filepath.Join(s.dir, "s"), &folder); err != nil {
		t.Fatal(err)
	}
	group := filepath.Join(own, fmt.Sprintf("millrace-%x-%x", folder.Dev, folder.Ino))
	begin := func() *began {
		cmd := s.command(context.Background(), "supervise", "s")
		cmd.Env = append(cmd.Env, "GROUP="+group)
		return s.beginAs(cmd)
	}
	lines := func(n int) {
		until(t, "something is left", func() bool { return strings.Count(s.read("s/left"), "\n") == n })
	}
	kill := func(b *began) {
		if err := b.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-b.done
	}
	b := begin()
	st := s.state("s", "up u")
	lines(1)
	kill(b)
	b = begin() // takes it back
	b.says("s runs already")
	s.run("svc", "-k", "s")
	st = s.another("s", st.PID)
	lines(2)
	kill(b)
	_ = syscall.Kill(int(st.PID), syscall.SIGKILL)
	until(t, "it has ended", func() bool { return !alive(int(st.PID)) })
	b = begin() // finds nothing to take back
	s.another("s", st.PID)
	lines(3)
	s.run("svc", "-dx", "s")
	b.end()
	if got := strings.TrimSpace(s.read("s/alive")); got != "" {
		t.Errorf("at a start there were %q", got)
	}
	if _, err := os.Stat(group); err == nil {
		t.Error("the group is still there")
	}
}

// TestCgroupFrozen: a group that a kill of the supervisor has left to stand still
// is none in which nothing runs.
func TestCgroupFrozen(t *testing.T) {
	t.Parallel()
	own := cgroupHere(t)
	s := oursAlone(t)
	s.script("s/run", "echo there >>there; "+forever)
	s.file("s/cgroup", "", 0o644)
	var folder syscall.Stat_t
	if err := syscall.Stat(filepath.Join(s.dir, "s"), &folder); err != nil {
		t.Fatal(err)
	}
	group := filepath.Join(own, fmt.Sprintf("millrace-%x-%x", folder.Dev, folder.Ino))
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(group) })
	if err := os.WriteFile(filepath.Join(group, "cgroup.freeze"), []byte("1"), 0); err != nil {
		t.Skip(err) // before Linux 5.2
	}
	b := s.begin("supervise", "s")
	s.holds("s/there", "there")
	s.run("svc", "-dx", "s")
	b.end()
}

// alive is not true of a zombie.
func alive(pid int) bool { _, ok := ticksOf(pid); return ok }

// cgroupHere is the control group of the test, if others can be made below it.
func cgroupHere(t *testing.T) string {
	t.Helper()
	own, err := ownCgroup()
	if err == nil {
		var probe *cgroup
		if probe, err = openCgroup(fmt.Sprintf("millrace-test-%d-%s", os.Getpid(), t.Name())); err == nil {
			_ = syscall.Close(probe.fd)
			err = os.Remove(probe.path)
		}
	}
	if err != nil {
		t.Skipf("no control group can be made here: %v", err)
	}
	return own
}
