package e2e

// What lives beside an app: attached programs, cron jobs.

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// besideStatus is what the tests read of `millrace status --json`.
type besideStatus struct {
	Attached []struct {
		App      string
		Name     string
		PID      int
		State    string
		Restarts int
		LastExit string `json:"last_exit"`
	}
	Cron []struct {
		Line    string
		Next    time.Time
		Skipped int
		Last    *struct {
			OK  bool
			How string
		}
	}
}

func (s *server) beside() besideStatus {
	s.t.Helper()
	var all besideStatus
	text := s.run("status", "--json")
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		s.t.Fatalf("%v in %s", err, text)
	}
	return all
}

// running are the process ids of the attached programs that run, by name.
func (b *besideStatus) running() map[string][]int {
	all := map[string][]int{}
	for _, p := range b.Attached {
		if p.State == "running" {
			all[p.Name] = append(all[p.Name], p.PID)
		}
	}
	return all
}

// besideDir is a folder with testdata/beside's app and a configuration.
func besideDir(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/beside")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "millrace.toml"), "[[site]]\nlisten = [\"127.0.0.1:0\"]\n"+config)
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

const besideApp = `
[[site.route]]
app = "main"

[app.main]
wsgi = "app:application"
workers = 1
venv = "VENV"
env = { QUEUE = "all" }

[app.main.attached.jobs]
command = ["python", "jobs.py"]
count = 2
stop_signal = "USR1"
stop_timeout = "20s"

[app.main.attached.mail]
command = ["python", "jobs.py"]
env = { QUEUE = "mail" }
stop_signal = "USR1"
`

// TestAttachedPrograms: they start with the app, are kept up, are replaced at
// a reload that succeeds and by no other, and end with millrace. (start's end
// looks for processes that are left; each of these leaves one of its own.)
func TestAttachedPrograms(t *testing.T) {
	dir := besideDir(t, strings.Replace(besideApp, "VENV", venv, 1))
	s := start(t, dir)
	var first map[string][]int
	all := func() bool {
		b := s.beside()
		first = b.running()
		return len(first["jobs"]) == 2 && len(first["mail"]) == 1
	}
	s.waitFor("the programs run", all)
	s.waitFor("what they print is in the log", func() bool {
		return s.log.Has(regexp.MustCompile(`msg="works in ` + regexp.QuoteMeta(dir) + ` for mail" app=main program=mail pid=` + fmt.Sprint(first["mail"][0]) + "\n"))
	})

	victim := first["mail"][0]
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.waitFor("it is started again", func() bool { return all() && first["mail"][0] != victim })
	for _, p := range s.beside().Attached {
		if p.Name == "mail" && (p.Restarts != 1 || p.LastExit != "killed by SIGKILL") {
			t.Errorf("%+v", p)
		}
	}
	if !s.log.Has(regexp.MustCompile(`msg="an attached program has ended; it is started again" app=main program=mail how="killed by SIGKILL"`)) {
		t.Error("the log does not say that it has ended")
	}

	before := maps.Clone(first)
	write(t, dir+"/app.py", "raise OSError('broken')\n")
	if out, code := s.try("reload"); code != 1 || !strings.Contains(out, "broken") {
		t.Errorf("reload: %d %s", code, out)
	}
	b := s.beside()
	if now := b.running(); !slices.Equal(now["jobs"], before["jobs"]) || !slices.Equal(now["mail"], before["mail"]) {
		t.Errorf("a reload that failed: %v became %v", before, now)
	}

	if err := os.CopyFS(dir+"/again", os.DirFS("testdata/beside")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+"/again/app.py", dir+"/app.py"); err != nil {
		t.Fatal(err)
	}
	s.run("reload")
	s.waitFor("others took their places", func() bool {
		return all() && !slices.Contains(before["jobs"], first["jobs"][0]) && !slices.Contains(before["jobs"], first["jobs"][1]) && first["mail"][0] != before["mail"][0]
	})
	if n := strings.Count(s.log.String(), `msg="asked to end"`); n != 3 {
		t.Errorf("%d were asked to end, want 3", n)
	}
	if text := s.run("status"); !regexp.MustCompile(`(?m)^ATTACHED +APP +STATE +PID`).MatchString(text) || !strings.Contains(text, fmt.Sprint(first["mail"][0])) {
		t.Errorf("status:\n%s", text)
	}
}

// TestAttachedProgramsDieWithMillrace: also when it is killed, and cannot ask
// them to end.
func TestAttachedProgramsDieWithMillrace(t *testing.T) {
	s := start(t, besideDir(t, strings.Replace(besideApp, "VENV", venv, 1)))
	s.waitFor("the programs print", func() bool { return strings.Count(s.log.String(), "works in") == 3 })
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.ended
	// The cleanup of start looks for what is left.
}

// TestCron: the next minute's jobs, of the generation that serves then.
func TestCron(t *testing.T) {
	t.Parallel() // it waits for a minute
	s := start(t, besideDir(t, `
[[site.route]]
app = "main"
[app.main]
wsgi = "app:application"
workers = 1
env = { WHO = "first" }
cron = ['* * * * * echo "$WHO in $(pwd) at $(date +\%S)"', "* * * * * exit 7", "0 0 30 2 * never"]
`))
	path := filepath.Join(s.dir, "millrace.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.Replace(string(text), "first", "second", 1))
	b := s.beside()
	if len(b.Cron) != 3 || b.Cron[0].Next.Second() != 0 || time.Until(b.Cron[0].Next) > time.Minute || !b.Cron[2].Next.IsZero() {
		t.Fatalf("%+v", b.Cron)
	}
	s.run("reload")
	deadline := time.After(limit + 15*time.Second)
	done := regexp.MustCompile(`level=INFO msg="(first|second) in ` + regexp.QuoteMeta(s.dir) + ` at 0[0-9]" app=main cron=`)
	for b = s.beside(); !s.log.Has(done) || b.Cron[0].Last == nil || b.Cron[1].Last == nil; b = s.beside() {
		select {
		case <-deadline:
			t.Fatalf("the jobs did not run: %+v", b.Cron)
		case <-time.After(100 * time.Millisecond):
		}
	}
	if first, second := b.Cron[0].Last, b.Cron[1].Last; !first.OK || second.OK || second.How != "exited with status 7" {
		t.Errorf("%+v %+v", first, second)
	}
	if !s.log.Has(regexp.MustCompile(`level=ERROR msg="a cron job has failed" app=main cron="\* \* \* \* \* exit 7" how="exited with status 7"`)) {
		t.Error("the log does not say that one has failed")
	}
}
