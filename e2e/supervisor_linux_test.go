package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/internal/testkit"
)

// TestSupervisedSite: a Django site under svscan is killed again and again, as
// soon as it answers or a while later. It is always back, and never there twice. How soon is
// said, and held to 1.2 s where the machine does nothing else. MILLRACE_KILLS
// says how often.
func TestSupervisedSite(t *testing.T) {
	kills, soon := 5, 1200*time.Millisecond
	if text := os.Getenv("MILLRACE_KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil || kills < 1 {
			t.Fatalf("MILLRACE_KILLS is %q", text)
		}
	}
	site, services := newSite(t), filepath.Join(t.TempDir(), "service")
	address := fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(t))
	programs := filepath.Join(t.TempDir(), "bin")
	if out, err := exec.Command(binary, "install-links", programs).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	scripts := map[string]string{
		"site/run":     fmt.Sprintf("exec 2>&1\ncd '%s'\nexec envuidgid root millrace serve --venv '%s' --listen %s\n", site, venv, address),
		"site/log/run": "exec multilog t ./main\n",
	}
	for name, text := range scripts {
		path := filepath.Join(services, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(programs, "svscan"), services)
	cmd.Env = []string{"PATH=" + programs + ":" + filepath.Dir(binary) + ":/usr/bin:/bin"}
	s := begin(t, services, cmd)

	c := &http.Client{Timeout: limit, Transport: &http.Transport{DisableKeepAlives: true}}
	old := 0
	back := func() {
		s.waitFor("the site is back", func() bool {
			pid := statusPID(filepath.Join(services, "site"))
			if pid == 0 || pid == old {
				return false
			}
			resp, err := c.Get("http://" + address + "/")
			if err != nil {
				return false
			}
			resp.Body.Close()
			if n := copies(s.cmd.Process.Pid, address); n != 1 {
				t.Errorf("there are %d of it", n)
			}
			old = pid
			return resp.StatusCode == http.StatusOK
		})
	}
	back()
	took := make([]time.Duration, kills)
	log := filepath.Join(services, "site/log/main/current")
	for i := range took {
		if i%2 == 1 { // it has run for longer than the pause between starts, as a site has
			s.waitFor("it has run for a while", func() bool { return statusAge(filepath.Join(services, "site")) > 1200*time.Millisecond })
		}
		before, _ := os.Stat(log)
		began := time.Now()
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		back()
		if took[i] = time.Since(began); took[i] > soon {
			if text, err := os.ReadFile(log); err == nil && before != nil && int64(len(text)) > before.Size() {
				t.Logf("back after %v, with the log\n%s", took[i], text[before.Size():])
			}
		}
	}
	slices.Sort(took)
	t.Logf("killed %d times, back after %v at the least, %v in the middle, %v at the most", kills, took[0], took[kills/2], took[kills-1])
	if worst := took[kills-1]; quiet() && worst > soon {
		t.Errorf("back after %v", worst)
	}
	if out := s.log.String(); out != "" {
		t.Errorf("svscan says:\n%s", out)
	}
	if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), address) {
		t.Errorf("the log has %q, %v", text, err)
	}
}

// statusPID is the process that a service runs as; 0: none.
func statusPID(service string) int {
	text, err := os.ReadFile(filepath.Join(service, "supervise/status"))
	if err != nil || len(text) != 18 {
		return 0
	}
	return int(text[12]) | int(text[13])<<8 | int(text[14])<<16 | int(text[15])<<24
}

// statusAge is how long ago a service was started, or ended.
func statusAge(service string) time.Duration {
	info, err := os.Stat(filepath.Join(service, "supervise/status"))
	if err != nil {
		return 0
	}
	return time.Since(info.ModTime())
}

// copies counts a process's children that have a word among their arguments.
func copies(pid int, word string) int {
	n := 0
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // a pattern of ours
	for _, list := range lists {
		text, _ := os.ReadFile(list) // a thread that is gone has none
		for child := range strings.FieldsSeq(string(text)) {
			line, _ := os.ReadFile("/proc/" + child + "/cmdline") // too
			if strings.Contains(string(line), word) {
				n++
			}
		}
	}
	return n
}
