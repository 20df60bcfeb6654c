package e2e

// What many reloads and upgrades leave: nothing. The tests compare what the
// system says of every process of the server before and after.

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/internal/testkit"
)

// cycles is how many there are: 20, or what `make leaks` says.
func cycles(t *testing.T) int {
	t.Helper()
	text := os.Getenv("MILLRACE_CYCLES")
	if text == "" {
		return 20
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("MILLRACE_CYCLES=%q is no number of cycles", text)
	}
	return n
}

// memoryBound is how much more memory of its own a process may have after any
// number of cycles: what its collector leaves lying about. A keeper has little
// to collect.
var memoryBound = map[string]int64{"keeper": 8 << 20, "front": 48 << 20}

func TestReloadsLeakNothing(t *testing.T) { leakNothing(t, "reload") }

func TestUpgradesLeakNothing(t *testing.T) { leakNothing(t, "upgrade") }

// leakNothing: after many cycles under load there are as many processes,
// descriptors and files as before, no zombie, and hardly more memory; every
// request was a 200; and an upgrade keeps the workers.
func leakNothing(t *testing.T, command string) {
	dir := plain(t, `access_log = "access.log"
[[site.route]]
path = "/echo"
app = "threads"

[[site.route]]
app = "main"

[server]
spool = "spool"
pidfile = "millrace.pid"
control = "control.sock"

[app.main]
wsgi = "app:application"
workers = 2

[app.threads]
wsgi = "app:application"
method = "threaded"
threads = 2
workers = 4
`)
	for _, folder := range []string{"tmp", "spool"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TMPDIR", filepath.Join(dir, "tmp")) // what anything makes there is seen
	s := start(t, dir)
	transport := &http.Transport{MaxIdleConnsPerHost: 2}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: limit}
	requests := 0
	cycle := func(n int) {
		for range n {
			requests += s.during(c, func() { s.run(command, "--control", filepath.Join(dir, "control.sock")) })
		}
	}

	// rest leaves a front that has answered, and has no connection: what it
	// opens once, it has then.
	rest := func() {
		transport.CloseIdleConnections() // which may be those of the front before
		get(t, c, s.url+"/pid", 200)
		transport.CloseIdleConnections()
	}

	cycle(3)
	rest()
	before := s.settle(nil)
	workers := s.workers()
	n := cycles(t)
	begin := time.Now()
	cycle(n)
	took := time.Since(begin)
	rest()
	after := s.settle(before)
	t.Logf("%d times %s in %v, %d requests meanwhile", n, command, took.Round(time.Second), requests)
	for _, role := range slices.Sorted(maps.Keys(after.roles)) {
		was, is := before.roles[role], after.roles[role]
		t.Logf("%-12s processes %d, now %d; descriptors %d, now %d; memory of its own %d KiB, now %d",
			role, was.processes, is.processes, was.descriptors, is.descriptors, was.memory>>10, is.memory>>10)
	}
	if lost := after.more(*before); lost != "" {
		t.Errorf("there is more than before:\n%s", lost)
	}
	for role, bound := range memoryBound {
		if grown := after.roles[role].memory - before.roles[role].memory; grown > bound {
			t.Errorf("the %s has %d KiB of memory more than before", role, grown>>10)
		}
	}
	if now := s.workers(); command == "upgrade" && !slices.Equal(now, workers) {
		t.Errorf("the workers were %v, and are %v after %d upgrades", workers, now, n)
	}
}

// during runs f while requests come, and returns how many those were.
func (s *server) during(c *http.Client, f func()) int {
	s.t.Helper()
	body := bytes.Repeat([]byte("spooled "), 50_000)
	stop, ended := make(chan struct{}), make(chan error, 1)
	requests := 0
	go func() {
		for {
			for path, body := range map[string][]byte{"/echo": body, "/large?400000": nil} {
				resp, err := c.Post(s.url+path, "text/plain", bytes.NewReader(body))
				if err == nil {
					var n int64
					n, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if err == nil && (resp.StatusCode != 200 || n != 400_000) {
						err = fmt.Errorf("%s: %s, %d bytes", path, resp.Status, n)
					}
				}
				if err != nil {
					ended <- err
					return
				}
				requests++
			}
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
		}
	}()
	f()
	close(stop)
	if err := <-ended; err != nil {
		s.t.Errorf("a request in a reload or an upgrade: %v", err)
	}
	return requests
}

// workers are the process ids of the app main's.
func (s *server) workers() []int {
	var pids []int
	for _, w := range s.status().Workers {
		pids = append(pids, w.PID)
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

// holdings is what a server has.
type holdings struct {
	roles   map[string]role
	zombies []string
	files   map[string]int // by folder and the name's beginning
}

// role is what the processes of one kind have together.
type role struct {
	processes, descriptors int
	memory                 int64          // anonymous, resident, in bytes
	kinds                  map[string]int // of descriptors
}

// more describes what there is more of than before, but for memory.
func (h holdings) more(before holdings) string {
	var text strings.Builder
	for name, is := range h.roles {
		was := before.roles[name]
		if is.processes > was.processes || is.descriptors > was.descriptors {
			fmt.Fprintf(&text, "%s: %d processes with %d descriptors, were %d with %d\n%v\n%v\n", name, is.processes, is.descriptors, was.processes, was.descriptors, is.kinds, was.kinds)
		}
	}
	for name, is := range h.files {
		if was := before.files[name]; is > was {
			fmt.Fprintf(&text, "%d files %s, were %d\n", is, name, was)
		}
	}
	for _, z := range h.zombies {
		fmt.Fprintf(&text, "zombie: %s\n", z)
	}
	return text.String()
}

// settle waits until nothing changes any more, or, given what was there
// before, until there is no more than that, as long as anything is waited for.
func (s *server) settle(before *holdings) *holdings {
	s.t.Helper()
	deadline := time.Now().Add(limit)
	var last string
	for same := 0; ; {
		h := s.holds()
		if before != nil && h.more(*before) == "" || time.Now().After(deadline) {
			return h
		}
		if now := fmt.Sprint(h.zombies, h.files, h.counts()); now != last {
			last, same = now, 0
		} else if same++; before == nil && same > 100 { // half a second of pauses
			return h
		}
		testkit.Pause()
	}
}

func (h holdings) counts() string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h.roles)) {
		fmt.Fprintln(&text, name, h.roles[name].processes, h.roles[name].descriptors)
	}
	return text.String()
}

// holds looks at every process of the server, and at its folder.
func (s *server) holds() *holdings {
	s.t.Helper()
	h := &holdings{roles: map[string]role{}, files: map[string]int{}}
	ours := s.processes()
	for pid, line := range ours {
		name := "other: " + line
		switch {
		case pid == s.cmd.Process.Pid:
			name = "keeper"
		case strings.HasSuffix(line, " front"):
			name = "front"
		case strings.Contains(line, "millrace:"):
			name = line[strings.Index(line, "millrace:"):]
			if _, child := ours[parentOf(pid)]; child && parentOf(pid) != s.cmd.Process.Pid {
				name = "worker of " + name
			}
		}
		r := h.roles[name]
		r.processes++
		if r.kinds == nil {
			r.kinds = map[string]int{}
		}
		folder := fmt.Sprintf("/proc/%d/fd", pid)
		for _, fd := range namesIn(folder) {
			r.descriptors++
			what, _ := os.Readlink(filepath.Join(folder, fd.Name())) // an error: it is closed by now
			kind, _, _ := strings.Cut(what, ":[")
			r.kinds[kind]++
		}
		r.memory += anonymous(pid)
		h.roles[name] = r
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it is gone
		}
		_, rest, _ := bytes.Cut(text, []byte(") "))
		var state string
		var parent int
		if _, err := fmt.Sscan(string(rest), &state, &parent); err != nil {
			s.t.Fatal(err)
		}
		if _, child := ours[parent]; child && state == "Z" {
			h.zombies = append(h.zombies, string(text))
		}
	}
	err = filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			h.files[strings.TrimRight(strings.TrimPrefix(path, s.dir), "0123456789")]++
		}
		return nil // it is gone meanwhile
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

func namesIn(folder string) []os.DirEntry {
	names, err := os.ReadDir(folder)
	if err != nil {
		return nil // the process is gone
	}
	return names
}

func parentOf(pid int) int { return int(ofStatus(pid, "PPid:")) }

func anonymous(pid int) int64 { return ofStatus(pid, "RssAnon:") << 10 }

// ofStatus is a number of /proc/PID/status, 0 when the process is gone.
func ofStatus(pid int, key string) (n int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "\n"+key)
	_, _ = fmt.Sscan(rest, &n)
	return n
}
