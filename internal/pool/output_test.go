package pool

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"millrace/internal/requestid"
)

// ask requests a path under an id; the answer is 200 "ok".
func ask(t testing.TB, url, id string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Request-ID", id)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("GET %s: %s", url, resp.Status)
	}
}

// TestLinesHaveTheirRequest: whatever way a line is printed, it has the app,
// the process and the id of the request that runs.
func TestLinesHaveTheirRequest(t *testing.T) {
	for version, python := range ends(t) {
		t.Run(version, func(t *testing.T) {
			cfg := testConfig(t, "talking:application")
			cfg.Python, cfg.Host.Path, cfg.Host.Args[0] = python, python, python
			log := logged(&cfg)
			p, server := startPool(t, cfg)
			file := filepath.Join(t.TempDir(), "go")
			ask(t, server.URL+"/everywhere?abc", "id-1")
			for _, text := range []string{
				"printed abc", "to stderr abc", "in pieces abc", "errors abc", "more errors abc", "INFO first line abc", "second line abc",
				"ERROR caught abc", "Traceback (most recent call last):", "in everywhere", "ValueError: abc",
			} {
				log.wait(t, text, " app=test pid=", " request=id-1\n")
			}
			ask(t, server.URL+"/thread?abc", "id-2")
			log.wait(t, "from a thread abc", " pid=", " request=id-2\n")

			done := make(chan struct{})
			go func() { defer close(done); ask(t, server.URL+"/raw?"+file, "id-3") }()
			log.wait(t, "raw word", " pid=", " request=id-3\n")
			create(t, file)
			<-done
			ask(t, server.URL+"/closing?"+file+"2", "id-4")
			log.wait(t, "closing word", " pid=", " request=id-4\n")
			create(t, file+"2")

			ask(t, server.URL+"/later?"+file+"3", "id-5")
			p.waitAtRest(t, 1)
			create(t, file+"3")
			log.wait(t, "idle word", " pid=")
			if strings.Contains(log.String(), "request=id-5") {
				t.Errorf("what a thread says between two requests is taken for one's:\n%s", log)
			}
		})
	}
}

func create(t testing.TB, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// longLine is a record of one piece of a long line.
var longLine = regexp.MustCompile(`msg=([a-z]+) app=test pid=[0-9]+ request=id-([a-z])\n`)

// longLines sums up the letters of the log's records by their request; each
// record has letters of one alone.
func longLines(t testing.TB, log *logBuffer) map[string]int {
	found := map[string]int{}
	for line := range strings.Lines(log.String()) {
		m := longLine.FindStringSubmatch(line)
		switch {
		case m == nil:
			if strings.Contains(line, "aaaa") || strings.Contains(line, "bbbb") {
				t.Fatalf("a piece without its request: %.100s … %s", line, line[max(0, len(line)-80):])
			}
		case strings.Trim(m[1], m[2]) != "":
			t.Fatalf("the lines of two requests mix: %s", line)
		default:
			found[m[2]] += len(m[1])
		}
	}
	return found
}

// TestLongLines: each piece of a line that is too long for a record has its
// request, and nothing of it is lost.
func TestLongLines(t *testing.T) {
	cfg := testConfig(t, "talking:application")
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	eventually(t, func() error { // a worker may serve before its host has said which process it is
		if s := p.Status(); len(s.Workers) == 0 || s.Workers[0].PID == 0 {
			return errors.New("no process is known")
		}
		return nil
	})
	ask(t, server.URL+"/long?a", "id-a")
	waitLetters(t, log, 1)
}

// TestLongLinesOfThreads: those of several threads do not mix.
func TestLongLinesOfThreads(t *testing.T) {
	const n = 4
	cfg := threadedConfig(t, n, n)
	cfg.WSGI = "talking:application"
	cfg.Host.Env = append(cfg.Host.Env, "BARRIER="+strconv.Itoa(n))
	log := logged(&cfg)
	p, server := startPool(t, cfg)
	p.waitAtRest(t, n)
	var wg sync.WaitGroup
	for _, letter := range "abcd" {
		wg.Go(func() { ask(t, server.URL+"/long?"+string(letter), "id-"+string(letter)) })
	}
	wg.Wait()
	waitLetters(t, log, n)
}

func waitLetters(t testing.TB, log *logBuffer, requests int) {
	t.Helper()
	eventually(t, func() error {
		found := longLines(t, log)
		for _, n := range found {
			if n != 90000 || len(found) != requests {
				return errNotYet(found)
			}
		}
		if len(found) == 0 {
			return errNotYet(found)
		}
		return nil
	})
}

type errNotYet map[string]int

func (e errNotYet) Error() string {
	text := "letters by request:"
	for name, n := range e {
		text += " " + name + " " + strconv.Itoa(n)
	}
	return text + ", want 90000 each"
}

// TestReadPieces: the mark at a line's beginning is that of all its pieces, and
// of nothing behind them.
func TestReadPieces(t *testing.T) {
	o := newOutput(&Pool{})
	o.read(strings.NewReader("\x1e1-2 abc\x1f"+strings.Repeat("x", 2*maxLine)+"\r\n\n\x1e1-3 def\x1fnext\nunmarked\nno end"), nil)
	close(o.lines)
	var requests, texts []string
	letters := 0
	for l := range o.lines {
		if strings.Trim(l.text, "x") == "" && l.text != "" {
			letters += len(l.text)
			if l.request != "abc" {
				t.Errorf("%d letters have request %q", len(l.text), l.request)
			}
			continue
		}
		requests, texts = append(requests, l.request), append(texts, l.text)
	}
	if letters != 2*maxLine {
		t.Errorf("%d letters, want %d", letters, 2*maxLine)
	}
	if !slices.Equal(texts, []string{"", "next", "unmarked", "no end"}) || !slices.Equal(requests, []string{"", "def", "", ""}) {
		t.Errorf("lines %q of requests %q", texts, requests)
	}
}

// Whatever an app prints, a line's request is nothing, two numbers, or an id
// that a front could have given.
func FuzzCutMark(f *testing.F) {
	for _, line := range []string{"", "\x1e1-2\x1ftext", "\x1e1-2 abc\x1ftext", "\x1e1-0 abc\x1f", "\x1e1-2 a b\x1f", "\x1e-\x1f", "\x1e1-2"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		request, rest, ok := cutMark([]byte(line))
		switch {
		case !ok && (request != "" || rest != nil):
			t.Errorf("%q: no mark, but %q and %q", line, request, rest)
		case ok && (!strings.HasSuffix(line, "\x1f"+string(rest)) || request != "" && !requestid.WellFormed(request)):
			t.Errorf("%q: %q and %q", line, request, rest)
		}
	})
}
