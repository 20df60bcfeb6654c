package cache

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// files are the paths of all entries in a folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "v1", "??", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// scanned waits until all that is on disk is known.
func (g *rig) scanned() {
	<-g.c.scanned
}

// TestRestart: what is on disk answers after a restart, with its age.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Memory: 1 << 20, MemoryEntry: 1000, Folder: dir}
	g := newRig(t, cfg, Rules{})
	long := strings.Repeat("0123456789", 1000)
	g.replies(func(w http.ResponseWriter, r *http.Request) {
		set(w.Header(), []string{"Cache-Control: max-age=60", "Vary: X-Kind", `Etag: "v"`, "X-Bytes: \xff\xfe"})
		if r.Header["If-None-Match"] != nil {
			w.WriteHeader(304)
			return
		}
		body := "short"
		if r.URL.Path == "/long" {
			body = long
		}
		_, _ = io.WriteString(w, body+r.Header.Get("X-Kind"))
	})
	for _, kind := range []string{"a", "b"} {
		g.get("/short", "X-Kind: "+kind)
		g.get("/long", "X-Kind: "+kind)
	}
	g.want(g.get("/long", "X-Kind: b"), 200, long+"b", 4)
	if n := len(files(t, dir)); n != 4 {
		t.Fatalf("%d files", n)
	}
	g.c.Close()

	g2 := newRig(t, cfg, Rules{})
	g2.reply = g.reply
	g2.wait(10 * time.Second)
	g2.scanned()
	for range 2 {
		w := g2.get("/short", "X-Kind: a")
		g2.want(w, 200, "shorta", 0)
		if w.Header().Get("Age") != "10" || w.Header().Get("X-Bytes") != "\xff\xfe" {
			t.Errorf("%v", w.Header())
		}
		g2.want(g2.get("/long", "X-Kind: a"), 200, long+"a", 0)
		g2.want(g2.get("/long", "X-Kind: b", "Range: bytes=9998-10000"), 206, "89b", 0)
	}
	if s := g2.c.Status(); s.InMemory != 1 || s.OnDisk != 4 {
		t.Errorf("%+v", s)
	}

	// What is confirmed is good for longer, on disk as well.
	g2.wait(60 * time.Second)
	g2.want(g2.get("/short", "X-Kind: a"), 200, "shorta", 1)
	g2.want(g2.get("/long", "X-Kind: a"), 200, long+"a", 2)
	g2.want(g2.get("/long", "X-Kind: a"), 200, long+"a", 2)
	g2.c.Close()
	g3 := newRig(t, cfg, Rules{})
	g3.reply = g.reply
	g3.wait(71 * time.Second)
	g3.scanned()
	g3.want(g3.get("/short", "X-Kind: a"), 200, "shorta", 0)
	g3.want(g3.get("/long", "X-Kind: a"), 200, long+"a", 0)
	g3.want(g3.get("/long", "X-Kind: b"), 200, long+"b", 1)
}

// TestDamage: a file that is not what it was is never served, whichever byte of
// it is another one, and wherever it ends.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Memory: 1 << 20, MemoryEntry: 100, Folder: dir}
	for _, size := range []int{50, 5000} {
		body := strings.Repeat("x", size)
		g := newRig(t, cfg, Rules{})
		g.says(200, body, "Cache-Control: max-age=60")
		g.get("/a")
		g.c.Close()
		name := files(t, dir)[0]
		good, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		check := func(what string, content []byte) {
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
			g := newRig(t, cfg, Rules{})
			g.scanned()
			g.says(200, "anew")
			w := g.get("/a")
			if got := w.Body.String(); got != "anew" && got != body {
				t.Errorf("%d bytes, %s: %.20q is served", size, what, got)
			} else if got == body && !bytes.Equal(content, good) {
				t.Errorf("%d bytes, %s: it is not noticed", size, what)
			}
			g.c.Close()
		}
		for range 60 {
			i := rand.IntN(len(good))
			bad := bytes.Clone(good)
			bad[i] ^= 1 << rand.IntN(8)
			check("byte "+strconv.Itoa(i)+" of "+strconv.Itoa(len(good)), bad)
			check("cut at "+strconv.Itoa(i), good[:i])
		}
		check("good", good)
		check("longer", append(bytes.Clone(good), 0))
		check("twice", append(bytes.Clone(good), good...))
		check("empty", nil)
		os.Remove(name)
	}
}

// TestMovedFile: an entry under another one's name is not what it is asked for.
func TestMovedFile(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Memory: 1 << 20, Folder: dir}
	g := newRig(t, cfg, Rules{})
	g.says(200, "a", "Cache-Control: max-age=60")
	g.get("/a")
	a := files(t, dir)[0]
	g.says(200, "b", "Cache-Control: max-age=60")
	g.get("/b")
	g.c.Close()
	for _, name := range files(t, dir) {
		if name != a {
			if err := os.Rename(name, a); err != nil {
				t.Fatal(err)
			}
		}
	}
	g = newRig(t, cfg, Rules{})
	g.scanned()
	g.says(200, "new")
	g.want(g.get("/a"), 200, "new", 1)
	g.want(g.get("/b"), 200, "new", 2)
}

const writerVariable = "MILLRACE_TEST_CACHE_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerVariable); dir != "" {
		writeForEver(dir)
		return
	}
	os.Exit(m.Run())
}

// bodyOf is what belongs under a path in TestKilled, and nothing else.
func bodyOf(path string, version int) string {
	line := path + " " + strconv.Itoa(version) + "\n"
	n := 10
	if strings.HasSuffix(path, "7") || strings.HasSuffix(path, "3") {
		n = 20000 // on disk alone
	}
	return strings.Repeat(line, n)
}

// writeForEver stores, replaces, freshens and evicts entries until it is killed.
func writeForEver(dir string) {
	c := New(slog.New(slog.DiscardHandler))
	if err := c.Configure(Config{Memory: 1 << 20, MemoryEntry: 100 << 10, Folder: dir, Disk: 8 << 20, MaxEntry: 4 << 20}); err != nil {
		panic(err)
	}
	version := 0
	h := c.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		set(w.Header(), []string{"Cache-Control: max-age=1000", `Etag: "v"`})
		if r.Header["If-None-Match"] != nil && rand.IntN(2) == 0 {
			w.WriteHeader(304)
			return
		}
		_, _ = io.WriteString(w, bodyOf(r.URL.Path, version))
	}), Rules{})
	for ; ; version++ {
		r := httptest.NewRequest("GET", "/"+strconv.Itoa(rand.IntN(100)), nil)
		r.Header.Set("Cache-Control", "no-cache")
		h.ServeHTTP(httptest.NewRecorder(), r)
		if version == 20 {
			os.Stdout.WriteString("writing\n")
		}
	}
}

// TestKilled: a process that writes entries is killed at any moment, again and
// again; every entry that is found afterwards is whole, and what is not is gone.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("it kills for seconds")
	}
	dir := t.TempDir()
	found := 0
	for round := range 25 {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), writerVariable+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, len("writing\n"))); err != nil {
			t.Fatalf("the writer has not begun: %v", err)
		}
		// At any moment, and not when something in particular is so.
		timer := time.NewTimer(time.Duration(rand.IntN(30_000)) * time.Microsecond)
		<-timer.C
		_ = cmd.Process.Kill()
		_ = cmd.Wait()

		g := newRig(t, Config{Memory: 1 << 20, MemoryEntry: 100 << 10, Folder: dir, Disk: 8 << 20, MaxEntry: 4 << 20}, Rules{})
		g.scanned()
		g.now = time.Now()
		g.says(200, "absent")
		for i := range 100 {
			path := "/" + strconv.Itoa(i)
			w := g.get(path)
			body := w.Body.String()
			if body == "absent" {
				continue
			}
			found++
			line, _, _ := strings.Cut(body, "\n")
			name, text, _ := strings.Cut(line, " ")
			version, err := strconv.Atoi(text)
			if err != nil || name != path || body != bodyOf(path, version) {
				t.Fatalf("round %d: %s is answered by %d bytes: %.40q", round, path, len(body), body)
			}
		}
		s := g.c.Status()
		if s.Corrupt > 0 {
			t.Errorf("round %d: %d files are not whole", round, s.Corrupt)
		}
		if tmp, _ := os.ReadDir(filepath.Join(dir, "v1", "tmp")); len(tmp) > 0 {
			t.Errorf("round %d: %d files are left that nobody writes", round, len(tmp))
		}
		g.c.Close()
	}
	if found < 100 {
		t.Errorf("%d entries were found in all", found)
	}
	t.Logf("%d entries, all whole", found)
}

// TestBounds: neither memory nor disk takes more than it may, and what was used
// stays.
func TestBounds(t *testing.T) {
	dir := t.TempDir()
	const memory, disk = 256 << 10, 512 << 10
	g := newRig(t, Config{Memory: memory, Folder: dir, Disk: disk}, Rules{})
	g.says(200, strings.Repeat("x", 8<<10), "Cache-Control: max-age=60")
	g.get("/kept")
	g.get("/kept")
	for i := range 200 {
		g.get("/" + strconv.Itoa(i))
		if i%16 == 0 {
			g.get("/kept")
		}
		s := g.c.Status()
		if s.MemoryUsed > memory || s.DiskUsed > disk {
			t.Fatalf("%+v", s)
		}
	}
	before := g.asked.Load()
	g.get("/kept")
	if g.asked.Load() != before {
		t.Error("what is used is pushed out by what is not")
	}
	total := int64(0)
	for _, name := range files(t, dir) {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if s := g.c.Status(); total != s.DiskUsed || s.EvictedDisk == 0 || s.EvictedMemory == 0 || s.InMemory < 20 {
		t.Errorf("%d bytes on disk, %+v", total, s)
	}
}

// TestDiskFails: a folder that cannot be written to costs nobody an answer.
func TestDiskFails(t *testing.T) {
	dir := t.TempDir()
	g := newRig(t, Config{Memory: 1 << 20, MemoryEntry: 1000, Folder: dir}, Rules{})
	if err := os.RemoveAll(filepath.Join(dir, "v1")); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 100_000)
	g.says(200, long, "Cache-Control: max-age=60")
	g.want(g.get("/a"), 200, long, 1)
	g.want(g.get("/a"), 200, long, 2)
	g.says(200, "short", "Cache-Control: max-age=60")
	g.want(g.get("/b"), 200, "short", 3)
	g.want(g.get("/b"), 200, "short", 3)
	if s := g.c.Status(); s.DiskErrors == 0 {
		t.Errorf("%+v", s)
	}
	c := New(slog.New(slog.DiscardHandler))
	defer c.Close()
	if err := c.Configure(Config{Folder: "/dev/null/x"}); err == nil || !strings.Contains(err.Error(), "/dev/null/x") || errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
}

// TestRecency: in memory, what is asked for stays, and what came last goes
// before it.
func TestRecency(t *testing.T) {
	g := newRig(t, Config{Memory: 256 << 10}, Rules{})
	g.says(200, strings.Repeat("x", 8<<10), "Cache-Control: max-age=60")
	g.get("/kept")
	g.get("/kept")
	for i := range 100 {
		g.get("/" + strconv.Itoa(i))
	}
	before := g.asked.Load()
	g.get("/kept")
	if g.asked.Load() != before {
		t.Error("what was asked for twice went before what was asked for once")
	}
	g.get("/99")
	if g.asked.Load() != before {
		t.Error("what came last is gone")
	}
	g.get("/0")
	if g.asked.Load() != before+1 {
		t.Error("what came first is there yet")
	}
}

// TestReplacedFile: an entry that another process has put under the name of one
// that is known is not taken for it.
func TestReplacedFile(t *testing.T) {
	dir := t.TempDir()
	g := newRig(t, Config{Memory: 1 << 20, MemoryEntry: 10, Folder: dir}, Rules{})
	g.says(200, strings.Repeat("a", 100), "Cache-Control: max-age=60")
	g.get("/a")
	a := files(t, dir)[0]
	g.says(200, strings.Repeat("b", 100), "Cache-Control: max-age=60")
	g.get("/b")
	for _, name := range files(t, dir) {
		if name != a {
			if err := os.Rename(name, a); err != nil {
				t.Fatal(err)
			}
		}
	}
	g.says(200, "new")
	g.want(g.get("/a"), 200, "new", 3)
	g.want(g.get("/b"), 200, "new", 4)
	if s := g.c.Status(); s.Corrupt != 1 || s.OnDisk != 0 {
		t.Errorf("%+v", s)
	}
}
