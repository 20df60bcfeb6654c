package daemontools

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
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
	own, err := ownCgroup()
	if err == nil {
		var probe *cgroup
		if probe, err = openCgroup("millrace-test-" + strconv.Itoa(os.Getpid())); err == nil {
			_ = syscall.Close(probe.fd)
			err = os.Remove(probe.path)
		}
	}
	if err != nil {
		t.Skipf("no control group can be made here: %v", err)
	}
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
	s.state("sv/a", "down d")
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
