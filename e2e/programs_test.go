package e2e

// Programs that are not Python, kept by command: killed, recycled and reloaded
// under load, and what goes wrong with them.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/fcgi"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/internal/testkit"
)

// actsAsProgram is in the environment of this test binary when it is to be a
// FastCGI program.
const actsAsProgram = "MILLRACE_TEST_PROGRAM"

// beProgram serves FastCGI on descriptor 0, by Go's own package, if this
// process is a program.
func beProgram() {
	if os.Getenv(actsAsProgram) == "" {
		return
	}
	err := fcgi.Serve(nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.FormValue("do") {
		case "pid":
			fmt.Fprint(w, os.Getpid())
		case "sleep":
			ms, _ := strconv.Atoi(r.FormValue("ms"))
			time.Sleep(time.Duration(ms) * time.Millisecond)
			fmt.Fprintln(w, "slept")
		case "hang":
			select {}
		case "cut":
			fmt.Fprintln(w, "the beginning")
			w.(http.Flusher).Flush()
			os.Exit(1)
		case "say":
			fmt.Fprintln(os.Stderr, "a line of the program")
			fmt.Fprintln(w, "said")
		default:
			// By its Read alone: the bodies of requests without one share a
			// reader, whose WriteTo is no two goroutines'.
			n, _ := io.Copy(io.Discard, struct{ io.Reader }{r.Body})
			fmt.Fprintln(w, r.Method, r.URL.RequestURI(), fcgi.ProcessEnv(r)["SCRIPT_FILENAME"], n)
		}
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// keptProgram is a program of the tests; all answer alike.
type keptProgram struct {
	name   string
	needs  string // to be installed
	config string // {dir} is the program's folder
	script string // what it says SCRIPT_FILENAME is
	stands bool   // one process answers several requests at a time
}

var keptPrograms = []keptProgram{
	{"php-cgi", "php-cgi", `command = ["php-cgi"]
params = { SCRIPT_FILENAME = "{dir}/index.php", DOCUMENT_ROOT = "{dir}", REDIRECT_STATUS = "200" }`, "{dir}/index.php", false},
	{"perl", "perl", `command = ["perl", "app.pl"]`, "", false},
	{"go", "", `command = ["{self}"]
params = { SCRIPT_FILENAME = "some" }
env = { ` + actsAsProgram + ` = "1" }
concurrency = 4`, "some", true},
	{"node", "node", `command = ["node", "app.js", "fd"]
protocol = "http"
concurrency = 4`, "", true},
	{"node, its own socket", "node", `command = ["node", "app.js", "{socket}"]
protocol = "http"
concurrency = 4`, "", true},
	{"node, its own port", "node", `command = ["node", "app.js", "{port}"]
protocol = "http"`, "", false},
}

// keep starts millrace with a program.
func keep(t *testing.T, k keptProgram, more string) *server {
	t.Helper()
	if k.needs != "" {
		testkit.Need(t, k.needs)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/programs")); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("{dir}", dir, "{self}", self).Replace(`
[[site]]
listen = ["127.0.0.1:0"]
[[site.route]]
app = "main"
[app.main]
` + k.config + "\n" + more)
	if err := os.WriteFile(filepath.Join(dir, "millrace.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return startWith(t, dir, 3) // keeper, front, a process
}

// TestPrograms: each program gets the whole of a request, its output is in the
// log, and it is killed when it hangs.
func TestPrograms(t *testing.T) {
	for _, k := range keptPrograms {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := keep(t, k, "workers = 1\nrequest_timeout = \"3s\"\nstop_timeout = \"5s\"\n")
			c := client(t)
			script := strings.ReplaceAll(k.script, "{dir}", s.dir)
			for range 3 {
				if got, want := get(t, c, s.url+"/some/path?x=1", 200).text, "GET /some/path?x=1 "+script+" 0\n"; got != want {
					t.Errorf("GET: %q, want %q", got, want)
				}
				for _, size := range []int{0, 10, 100_000, 3_000_000} {
					resp, err := c.Post(s.url+"/other", "text/plain", strings.NewReader(strings.Repeat("b", size)))
					if got, want := read(t, resp, err, 200).text, fmt.Sprintf("POST /other %s %d\n", script, size); got != want {
						t.Errorf("POST: %q, want %q", got, want)
					}
				}
			}
			resp, err := c.Head(s.url + "/head")
			read(t, resp, err, 200)
			get(t, c, s.url+"/?do=say", 200)
			line := regexp.MustCompile(`(?m)msg="a line of the program" app=main pid=` + get(t, c, s.url+"/?do=pid", 200).text + `( |$)`)
			s.waitFor("the program's line in the log", func() bool { return s.log.Has(line) })

			before := get(t, c, s.url+"/?do=pid", 200).text
			get(t, c, s.url+"/?do=hang", 504)
			if after := get(t, c, s.url+"/?do=pid", 200).text; after == before {
				t.Errorf("process %s answers though its request was late", after)
			}
		})
	}
}

// TestProgramsDieWithMillrace: however it goes, its programs go too.
func TestProgramsDieWithMillrace(t *testing.T) {
	s := keep(t, keptPrograms[2], "workers = 3\n") // go
	s.waitFor("three processes", func() bool { return len(s.processes()) == 5 })
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(limit)
	for len(s.processes()) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("processes are left: %v", s.processes())
		}
		testkit.Pause()
	}
}

// TestProgramsUnderLoad: reloads and recycling lose no request, and kills none
// but those that ran in the killed process.
func TestProgramsUnderLoad(t *testing.T) {
	for _, k := range keptPrograms {
		t.Run(k.name, func(t *testing.T) {
			s := keep(t, k, "workers = 2\nmax_requests = 40\n")
			l := startLoad(s.url+"/?do=sleep&ms=1", 8)
			more := func(n int) {
				before := l.answered()
				s.waitFor("some requests in between", func() bool { return l.answered() > before+n })
			}
			const reloads, kills = 5, 10
			for range reloads {
				s.run("reload")
				more(100)
			}
			codes := l.stop()
			t.Logf("%d reloads, recycling at 40 requests: answers by status %v", reloads, codes)
			if codes[200] < 100*reloads || len(codes) != 1 {
				t.Errorf("answers by status: %v (%v); want 200 alone", codes, l.first)
			}

			l = startLoad(s.url+"/?do=sleep&ms=1", 8)
			for range kills {
				more(50)
				victim, err := strconv.Atoi(get(t, client(t), s.url+"/?do=pid", 200).text)
				if err != nil {
					t.Fatal(err)
				}
				if err := syscall.Kill(victim, syscall.SIGKILL); err != nil && err != syscall.ESRCH { // recycled meanwhile
					t.Fatal(err)
				}
			}
			codes = l.stop()
			most := kills
			if k.stands {
				most *= 4
			}
			t.Logf("%d kills, recycling at 40 requests: answers by status %v", kills, codes)
			// One that was killed between its response and its end has answered:
			// the client sees that it was cut. See TestProgramCutShort.
			lost := codes[502] + codes[-1]
			if codes[200] < 50*kills-most || lost > most || codes[200]+lost != l.answered() || l.first != nil && !errors.Is(l.first, io.ErrUnexpectedEOF) {
				t.Errorf("answers by status: %v (%v); want 200s, and at most %d times 502 or cut short", codes, l.first, most)
			}
		})
	}
}

// TestProgramCutShort: a response that the program has begun and not ended does
// not look whole.
func TestProgramCutShort(t *testing.T) {
	s := keep(t, keptPrograms[2], "workers = 1\n") // go
	resp, err := client(t).Get(s.url + "/?do=cut")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || string(text) != "the beginning\n" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d %q, %v; want a 200 that is cut", resp.StatusCode, text, err)
	}
}

// TestCGIProgram: a process a request, no more than max_children at a time,
// and nothing of a request gets into it but what may.
func TestCGIProgram(t *testing.T) {
	testkit.Need(t, "perl")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/programs")); err != nil {
		t.Fatal(err)
	}
	text := `
[[site]]
listen = ["127.0.0.1:0"]
[[site.route]]
app = "main"
[app.main]
command = ["perl", "cgi.pl", "own"]
method = "cgi"
max_children = 3
request_timeout = "5s"
env = { MINE = "yes", REMOTE_USER = "ours" }
`
	if err := os.WriteFile(filepath.Join(dir, "millrace.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startWith(t, dir, 2) // keeper, front
	c := client(t)
	r, err := http.NewRequest("POST", s.url+"/some/path?word+-e", strings.NewReader(strings.Repeat("b", 300_000)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Any", "some")
	resp, err := c.Do(r)
	if got, want := read(t, resp, err, 200).text, "POST /some/path?word+-e 300000 [own] yes ours some\n"; got != want {
		t.Errorf("POST: %q, want %q", got, want)
	}
	if got, want := get(t, c, s.url+"/?a+b", 200).text, "GET /?a+b 0 [own a b] yes ours \n"; got != want {
		t.Errorf("an indexed query: %q, want %q", got, want)
	}
	get(t, c, s.url+"/?do=die", 502)
	get(t, c, s.url+"/?do=say", 200)
	line := regexp.MustCompile(`msg="a line of the program" app=main request=`)
	s.waitFor("the program's line in the log", func() bool { return s.log.Has(line) })

	get(t, c, s.url+"/?do=hang", 504)
	notes, err := os.ReadFile(filepath.Join(dir, "notes"))
	var hung int
	if _, scan := fmt.Sscanf(string(notes), "hang %d", &hung); err != nil || scan != nil {
		t.Fatal(err, scan)
	}
	s.waitFor("the end of the process that hung", func() bool { return syscall.Kill(hung, 0) == syscall.ESRCH })

	l := startLoad(s.url+"/?do=note", 8)
	s.waitFor("some requests", func() bool { return l.answered() > 40 })
	if codes := l.stop(); len(codes) > 2 || codes[200] < 40 || codes[200]+codes[-1] != l.answered() {
		t.Errorf("answers by status: %v (%v), want 200s", codes, l.first)
	}
	if notes, err = os.ReadFile(filepath.Join(dir, "notes")); err != nil {
		t.Fatal(err)
	}
	now, most := 0, 0
	for line := range strings.Lines(string(notes)) {
		switch line {
		case "+\n":
			now++
		case "-\n":
			now--
		}
		most = max(most, now)
	}
	if most != 3 {
		t.Errorf("%d ran at a time; want max_children, 3", most)
	}
}
