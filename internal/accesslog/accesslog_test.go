package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"millrace/internal/placeholder"
)

// sink is a writer that can be made to fail, to take less, or to hang.
type sink struct {
	mu     sync.Mutex
	b      bytes.Buffer
	writes int
	fail   error
	take   int           // bytes that a failing write takes
	hang   chan struct{} // a write waits for it
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	hang := s.hang
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.fail != nil {
		n := min(s.take, len(p))
		s.b.Write(p[:n])
		return n, s.fail
	}
	return s.b.Write(p)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

func (s *sink) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// counted returns a logger and what it has been told.
func counted() (*slog.Logger, *sink) {
	s := new(sink)
	return slog.New(slog.NewTextHandler(s, nil)), s
}

func TestWrittenWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := new(sink)
		l := New(out)
		for round := 1; round <= 3; round++ {
			l.add([]byte("one\n"))
			time.Sleep(999 * time.Millisecond)
			l.add([]byte("two\n"))
			synctest.Wait()
			if out.count() != round-1 {
				t.Fatalf("round %d: written too early", round)
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if out.count() != round || out.String() != strings.Repeat("one\ntwo\n", round) {
				t.Fatalf("round %d: %d writes: %q", round, out.count(), out)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if out.count() != round {
				t.Fatal("something was written without a line")
			}
		}
	})
}

func TestWrittenWhenGrown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := new(sink)
		l := New(out)
		line := []byte(strings.Repeat("x", 999) + "\n")
		start := time.Now()
		for range flushAt/1000 + 1 {
			l.add(line)
		}
		time.Sleep(time.Nanosecond) // the clock stands until all wait
		synctest.Wait()
		if out.count() != 1 || time.Since(start) > time.Millisecond {
			t.Errorf("%d writes", out.count())
		}
		for range flushAt/1000 + 1 {
			l.add(line)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if out.count() != 2 {
			t.Errorf("%d writes when it has grown again", out.count())
		}
		l.add(line)
		time.Sleep(time.Second)
		synctest.Wait()
		if out.count() != 3 {
			t.Errorf("%d writes after a further second", out.count())
		}
	})
}

// Flush returns when the lines before it are written, by whomever.
func TestFlushWaitsForAWriteUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{hang: make(chan struct{})}
		l := New(out)
		l.add([]byte("one\n"))
		time.Sleep(time.Second)
		synctest.Wait() // the timer's write hangs
		l.add([]byte("two\n"))
		done := make(chan error, 1)
		go func() { done <- l.Flush() }()
		synctest.Wait()
		if len(done) != 0 {
			t.Error("Flush did not wait")
		}
		l.mu.Lock()
		pending := string(l.pending)
		l.mu.Unlock()
		if pending != "two\n" {
			t.Errorf("pending is %q: two write at once", pending)
		}
		close(out.hang)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if out.String() != "one\ntwo\n" {
			t.Errorf("wrote %q", out)
		}
	})
}

// A writer that hangs stops no request; what cannot be kept is counted.
func TestWriterThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{hang: make(chan struct{})}
		logger, told := counted()
		l := New(out)
		l.ErrorLog = logger
		line := []byte(strings.Repeat("x", 999) + "\n")
		l.add(line)
		time.Sleep(time.Second)
		synctest.Wait() // the first line is on its way, for ever
		const more = maxPending/1000 + 100
		for range more {
			l.add(line)
		}
		close(out.hang)
		out.set(func() { out.hang = nil })
		synctest.Wait()
		l.Flush()
		lines := strings.Count(out.String(), "\n")
		if lines != 1+maxPending/1000 {
			t.Errorf("%d lines arrived, want %d", lines, 1+maxPending/1000)
		}
		if want := fmt.Sprintf("lines_lost=%d", 1+more-lines); strings.Count(told.String(), want) != 1 {
			t.Errorf("told %q, want %s once", told, want)
		}
		if cap(l.pending) > maxPending/2 && cap(l.spare) > maxPending/2 {
			t.Error("the large buffers are kept")
		}
	})
}

func TestWriteErrorIsToldOnce(t *testing.T) {
	full := errors.New("no space left on device")
	out := &sink{fail: full, take: 6} // a line and a half
	logger, told := counted()
	l := New(out)
	l.ErrorLog = logger
	for range 3 {
		l.add([]byte("one\n"))
		l.add([]byte("two\n"))
		if err := l.Flush(); err != full {
			t.Errorf("Flush says %v", err)
		}
	}
	if n := strings.Count(told.String(), "no space left"); n != 1 {
		t.Errorf("told %d times: %s", n, told)
	}
	out.set(func() { out.fail = nil; out.b.Reset() })
	l.add([]byte("three\n"))
	if err := l.Flush(); err != nil {
		t.Error(err)
	}
	if got := out.String(); got != "\nthree\n" {
		t.Errorf("wrote %q after half a line", got)
	}
	if !strings.Contains(told.String(), "lines_lost=5") {
		t.Errorf("told %s, want 5 lines lost: one of six arrived", told)
	}
	out.set(func() { out.fail = full })
	l.add([]byte("four\n"))
	l.Flush()
	if n := strings.Count(told.String(), "no space left"); n != 2 {
		t.Errorf("a second failure is told %d times in all", n)
	}
	// Nobody to tell: no trouble.
	quiet := New(&sink{fail: full})
	quiet.add([]byte("x\n"))
	if err := quiet.Close(); err != full {
		t.Errorf("Close says %v", err)
	}
}

func TestShortWriteWithoutError(t *testing.T) {
	l := New(writerFunc(func(b []byte) (int, error) { return len(b) - 1, nil }))
	l.add([]byte("one\n"))
	if err := l.Flush(); err != io.ErrShortWrite {
		t.Errorf("Flush says %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(path, []byte("zero\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	l.add([]byte("one\n"))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.add([]byte("two\n"))
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.add([]byte("three\n"))
	// A place that cannot be opened: the log goes on in the old file.
	if err := os.Rename(path, path+".2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err == nil {
		t.Error("a folder was opened as a log")
	}
	l.add([]byte("four\n"))
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := read(t, path+".1"); got != "zero\none\ntwo\n" {
		t.Errorf("the old file has %q", got)
	}
	if got := read(t, path+".2"); got != "three\nfour\n" {
		t.Errorf("the new file has %q", got)
	}
	if err := l.Reopen(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Reopen after Close says %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "missing", "access.log")); err == nil || !strings.Contains(err.Error(), "cannot open access log") {
		t.Errorf("Open says %v", err)
	}
}

func TestReopenWhileLogging(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	const writers, lines = 4, 2000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range lines {
				l.add(fmt.Appendf(nil, "%d %d %s\n", w, i, strings.Repeat("x", i%300)))
			}
		})
	}
	for i := range 50 {
		if err := os.Rename(path, fmt.Sprint(path, ".", i)); err != nil {
			t.Fatal(err)
		}
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(path + "*")
	seen := map[string]bool{}
	for _, f := range files {
		for line := range strings.Lines(read(t, f)) {
			var w, i int
			var x string
			fmt.Sscanf(line, "%d %d %s", &w, &i, &x)
			if want := fmt.Sprintf("%d %d %s\n", w, i, strings.Repeat("x", i%300)); line != want {
				t.Fatalf("a torn line: %q", line)
			}
			seen[fmt.Sprint(w, i)] = true
		}
	}
	if len(seen) != writers*lines {
		t.Errorf("%d lines of %d arrived", len(seen), writers*lines)
	}
}

func TestStandardOutput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	old := os.Stdout
	os.Stdout = w
	l, err := Open("-")
	os.Stdout = old
	if err != nil {
		t.Fatal(err)
	}
	l.add([]byte("one\n"))
	if err := l.Reopen(); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte("still open")); err != nil {
		t.Errorf("the standard output was closed: %v", err)
	}
	w.Close()
	if got, _ := io.ReadAll(r); string(got) != "one\nstill open" {
		t.Errorf("wrote %q", got)
	}
}

func TestAfterClose(t *testing.T) {
	out := new(sink)
	logger, told := counted()
	l := New(out)
	l.ErrorLog = logger
	l.add([]byte("one\n"))
	l.Close()
	l.add([]byte("two\n"))
	l.add([]byte("three\n"))
	if err := l.Flush(); err != nil {
		t.Error(err)
	}
	if out.String() != "one\n" {
		t.Errorf("wrote %q", out)
	}
	if n := strings.Count(told.String(), "closed"); n != 1 {
		t.Errorf("told %d times: %s", n, told)
	}
}

func TestLine(t *testing.T) {
	l := New(io.Discard)
	at := time.Date(2020, 2, 3, 4, 5, 6, 999, time.FixedZone("", 5400))
	base := func() *http.Request {
		r, err := http.NewRequest("GET", "http://example.com/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.RequestURI, r.RemoteAddr = "/x?a=1", "192.0.2.1:1234"
		return r
	}
	const front, back = `192.0.2.1 - - [03/Feb/2020:04:05:06 +0130] "GET /x?a=1 HTTP/1.1" 200 12 `, `"-" "-" "-"`
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   string
	}{
		"plain":          {func(r *http.Request) {}, front + back},
		"referer, agent": {func(r *http.Request) { r.Header.Set("Referer", "http://r/"); r.Header.Set("User-Agent", "curl/8") }, front + `"http://r/" "curl/8" "-"`},
		"empty agent":    {func(r *http.Request) { r.Header.Set("User-Agent", "") }, front + `"-" "" "-"`},
		"hostile agent": {func(r *http.Request) {
			r.Header["User-Agent"] = []string{"a\"b\\c\nd\re\tf\vg\bh\x00i\x1bj\x7fk\xc3\xa4"}
		},
			front + `"-" "a\"b\\c\nd\re\tf\vg\bh\x00i\x1bj\x7fk\xc3\xa4" "-"`},
		"id":           {func(r *http.Request) { r.Header["X-Request-Id"] = []string{"abc-1"} }, front + `"-" "-" "abc-1"`},
		"IPv6":         {func(r *http.Request) { r.RemoteAddr = "[2001:db8::1]:80" }, strings.Replace(front, "192.0.2.1", "2001:db8::1", 1) + back},
		"IPv6 zone":    {func(r *http.Request) { r.RemoteAddr = "[fe80::1%eth0]:80" }, strings.Replace(front, "192.0.2.1", "fe80::1%eth0", 1) + back},
		"no port":      {func(r *http.Request) { r.RemoteAddr = "192.0.2.1" }, front + back},
		"no port IPv6": {func(r *http.Request) { r.RemoteAddr = "[::1]" }, strings.Replace(front, "192.0.2.1", "::1", 1) + back},
		"Unix socket":  {func(r *http.Request) { r.RemoteAddr = "@" }, strings.Replace(front, "192.0.2.1", "-", 1) + back},
		"no address":   {func(r *http.Request) { r.RemoteAddr = "" }, strings.Replace(front, "192.0.2.1", "-", 1) + back},
		"host forged":  {func(r *http.Request) { r.RemoteAddr = "a b\n:1" }, strings.Replace(front, "192.0.2.1", `a\x20b\n`, 1) + back},
		"user":         {func(r *http.Request) { prove(r, "joe") }, strings.Replace(front, "- -", "- joe", 1) + back},
		"user forged":  {func(r *http.Request) { prove(r, "joe [x] \"") }, strings.Replace(front, "- -", `- joe\x20[x]\x20\"`, 1) + back},
		"user named":   {func(r *http.Request) { r.SetBasicAuth("joe", "p") }, front + back},
		"user in URL":  {func(r *http.Request) { r.URL, _ = r.URL.Parse("http://jill@example.com/") }, front + back},
		"no user":      {func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, front + back},
		"no RequestURI": {func(r *http.Request) { r.RequestURI = "" },
			strings.Replace(front, "/x?a=1", "/x", 1) + back},
		"hostile URI": {func(r *http.Request) { r.RequestURI = "/\" 200 5 \"x\n" },
			strings.Replace(front, "/x?a=1", `/\" 200 5 \"x\n`, 1) + back},
		"hostile method": {func(r *http.Request) { r.Method = "G\"" },
			strings.Replace(front, "GET", `G\"`, 1) + back},
	} {
		r := base()
		c.change(r)
		if got := string(l.appendLine(nil, r, at, 200, 12)); got != c.want+"\n" {
			t.Errorf("%s:\n got %s want %s", name, got, c.want)
		}
	}
	if got := string(l.appendLine(nil, base(), at, 0, 0)); !strings.Contains(got, `" - - "`) {
		t.Errorf("without status and body: %s", got)
	}
}

func TestTimestamp(t *testing.T) {
	l := New(io.Discard)
	at := time.Date(2020, 12, 31, 23, 59, 59, 0, time.UTC)
	for _, c := range []struct {
		t    time.Time
		want string
	}{
		{at, "[31/Dec/2020:23:59:59 +0000]"},
		{at.Add(999 * time.Millisecond), "[31/Dec/2020:23:59:59 +0000]"},
		{at.Add(time.Second), "[01/Jan/2021:00:00:00 +0000]"},
		{at, "[31/Dec/2020:23:59:59 +0000]"}, // an older request than the last
	} {
		if got := l.timestamp(c.t); got != c.want {
			t.Errorf("%v is %s, want %s", c.t, got, c.want)
		}
	}
	if a, b := l.timestamp(at), l.timestamp(at.Add(1)); a != b || l.stamp.Load().second != at.Unix() {
		t.Error("the second is not kept")
	}
}

// Whatever a client sends, a request is one line of printable ASCII whose
// quotes are ours alone.
func FuzzLine(f *testing.F) {
	f.Add("GET", "/x", "agent", "referer", "1.2.3.4:5", "user", "id")
	f.Add("G\n", "/\"\\", "\\\"", "\x00\xff", "[::1]:\n", "a b", "\"\n")
	f.Fuzz(func(t *testing.T, method, uri, agent, referer, addr, user, id string) {
		r, _ := http.NewRequest("GET", "/", nil)
		r.Method, r.RequestURI, r.RemoteAddr = method, uri, addr
		r.Header["User-Agent"], r.Header["Referer"] = []string{agent}, []string{referer}
		r.Header["X-Request-Id"] = []string{id}
		prove(r, user)
		line := string(New(io.Discard).appendLine(nil, r, time.Now(), 200, 1))
		for i, c := range []byte(line) {
			if c >= 0x7f || c < ' ' && i != len(line)-1 {
				t.Fatalf("byte %#x in %q", c, line)
			}
		}
		quotes := 0
		for i := 0; i < len(line); i++ {
			if line[i] == '\\' {
				i++
			} else if line[i] == '"' {
				quotes++
			}
		}
		if quotes != 8 || !strings.HasSuffix(line, "\"\n") {
			t.Fatalf("%d quotes in %q", quotes, line)
		}
	})
}

// TestWrite: an entry of another kind is in its place among the lines; a log
// that is closed does not take it.
func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	l.add([]byte("before\n"))
	if n, err := l.Write([]byte("a\nb\n\n")); n != 5 || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
	l.add([]byte("behind\n"))
	if n, err := l.Write(make([]byte, maxPending)); n != 0 || !errors.Is(err, ErrNotWritten) {
		t.Errorf("more than is kept: %d, %v", n, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Write([]byte("late\n")); n != 0 || !errors.Is(err, ErrNotWritten) {
		t.Errorf("after Close: %d, %v", n, err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "before\na\nb\n\nbehind\n" {
		t.Errorf("the log: %q, %v", b, err)
	}
}

// prove has a request's client be a user.
func prove(r *http.Request, user string) {
	kept, found := placeholder.Keep(r)
	found.User = user
	*r = *kept
}
