package e2e

// Upgrades: the program is replaced under load, and nobody notices.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const twoWorkers = `
[[site.route]]
app = "main"

[app.main]
wsgi = "app:application"
workers = 3
`

// ownBinary gives the server of a test a binary of its own, which it may
// replace.
func ownBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "millrace")
	copyFile(t, binary, path)
	shared := binary
	binary = path
	t.Cleanup(func() { binary = shared })
	return path
}

// copyFile puts a copy in place in one step, as an installer does.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to+".new", text, 0o755)
	}
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestUpgradeUnderLoad: the process id, the addresses and the workers stay, and
// every request is answered.
func TestUpgradeUnderLoad(t *testing.T) {
	path := ownBinary(t)
	s := start(t, plain(t, twoWorkers))
	l := startLoad(s.url+"/sleep?0.001", 16)
	const rounds = 10
	for round := range rounds {
		front, workers := s.front(), workerPIDs(s)
		copyFile(t, path, path)
		s.run("upgrade")
		s.waitFor("the old front to end", func() bool {
			return errors.Is(syscall.Kill(front, 0), syscall.ESRCH)
		})
		s.waitFor("three workers", func() bool { return len(workerPIDs(s)) == 3 })
		if now := workerPIDs(s); now != workers {
			t.Errorf("round %d: the workers are %v, and were %v", round, now, workers)
		}
		before := l.answered()
		s.waitFor("some requests in between", func() bool { return l.answered() > before+100 })
	}
	codes := l.stop()
	t.Logf("%d upgrades: answers by status %v", rounds, codes)
	if codes[200] < 1000 || len(codes) != 1 {
		t.Errorf("answers by status: %v (%v); want 200s", codes, l.first)
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.cmd.Process.Pid))
	if err != nil || exe != path {
		t.Errorf("the process runs %s (%v), want the newest %s", exe, err, path)
	}
}

// workerPIDs are the processes of the workers that serve, in order.
func workerPIDs(s *server) [3]int {
	var pids [3]int
	n := 0
	for _, w := range s.status().Workers {
		if n < len(pids) && w.State != "starting" && w.State != "draining" {
			pids[n] = w.PID
			n++
		}
	}
	for i := range pids { // by hand: it is three
		for j := i + 1; j < len(pids); j++ {
			if pids[j] < pids[i] {
				pids[i], pids[j] = pids[j], pids[i]
			}
		}
	}
	return pids
}

// TestUpgradeToNothing: what does not start leaves the old program serving, and
// says why.
func TestUpgradeToNothing(t *testing.T) {
	path := ownBinary(t)
	s := start(t, plain(t, twoWorkers))
	good := path + ".good"
	copyFile(t, path, good)
	front, workers := s.front(), workerPIDs(s)
	for name, text := range map[string]string{
		"no program":    "nothing that runs\n",
		"another":       "#!/bin/sh\necho other 1.0\n",
		"one that ends": "#!/bin/sh\necho broken >&2\nexit 3\n",
	} {
		if err := os.WriteFile(path+".new", []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(good, "upgrade")
		cmd.Dir = s.dir
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "hint: ") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		get(t, client(t), s.url+"/pid", 200)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(good, "upgrade", "--control", controlOf(s, good)).CombinedOutput(); err == nil {
		t.Errorf("without any program: %s", out)
	}
	copyFile(t, good, path)
	if s.front() != front || workerPIDs(s) != workers {
		t.Error("the front or the workers are others")
	}
	get(t, client(t), s.url+"/pid", 200)
}

// controlOf is the server's control socket.
func controlOf(s *server, program string) string {
	s.t.Helper()
	cmd := exec.Command(program, "status", "--json")
	cmd.Dir = s.dir
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(out), `"control": "`)
	path, _, _ := strings.Cut(rest, `"`)
	return path
}

// TestUpgradeWithABrokenConfiguration: the old front serves on, and the next
// upgrade finds it mended.
func TestUpgradeWithABrokenConfiguration(t *testing.T) {
	s := start(t, plain(t, twoWorkers))
	path := filepath.Join(s.dir, "millrace.toml")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	control := controlOf(s, binary)
	if err := os.WriteFile(path, append(good, "nonsense = 1\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary, "upgrade", "--control", control).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "configuration") {
		t.Errorf("%v\n%s", err, out)
	}
	get(t, client(t), s.url+"/pid", 200)
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	s.run("upgrade")
	get(t, client(t), s.url+"/pid", 200)
}

// TestFrontDies: another one takes its place on the same address.
func TestFrontDies(t *testing.T) {
	s := start(t, plain(t, twoWorkers))
	for range 3 {
		front := s.front()
		if err := syscall.Kill(front, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		s.waitFor("the front's end", func() bool {
			_, err := os.Stat(fmt.Sprintf("/proc/%d/fd/0", front))
			return errors.Is(err, fs.ErrNotExist)
		})
		get(t, client(t), s.url+"/pid", 200) // it waits in the backlog
		if s.front() == front {
			t.Error("it is the same")
		}
	}
}

// TestKeeperDies: nothing of it lives on.
func TestKeeperDies(t *testing.T) {
	s := start(t, plain(t, twoWorkers))
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.ended // stop looks for what is left
}
