package main

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"millrace/internal/supervise"
)

func TestMain(m *testing.M) {
	supervise.Launch()
	testscript.Main(m, map[string]func(){"millrace": main, "backend": backend})
}

// TestScripts runs testdata/*.txt. Beside testscript's own commands there are
//
//	status N COMMAND...     runs a command and checks its exit status
//	start NAME COMMAND...   runs one in the background; it writes to NAME.out and NAME.err
//	serving NAME            waits until its banner has ended; sets $URL
//	signal NAME SIGNAL      sends it HUP, INT, QUIT, TERM or USR1
//	ended NAME STATUS       waits for its end
//	eventually FILE REGEXP  waits until a file matches
//	get PATH STATUS [TEXT]  a request to $URL; its body must hold TEXT
//	asking PATH             a request to $URL in the background, whatever comes of it
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_RUNTIME_DIR", filepath.Join(e.WorkDir, "run"))
			for _, name := range []string{"PYENV_ROOT", "PYENV_VERSION"} { // a python3 that is pyenv's asks for them
				e.Setenv(name, os.Getenv(name))
			}
			e.Values[processesKey{}] = processes{}
			return os.Mkdir(filepath.Join(e.WorkDir, "run"), 0o700)
		},
		Cmds: commands(),
	})
}

// commands are those above, and those of script_runfcgi_test.go.
func commands() map[string]func(*testscript.TestScript, bool, []string) {
	all := map[string]func(*testscript.TestScript, bool, []string){
		"status":     status,
		"start":      start,
		"serving":    serving,
		"signal":     sendSignal,
		"ended":      ended,
		"eventually": eventually,
		"get":        get,
		"asking":     asking,
	}
	maps.Copy(all, runfcgiCommands)
	return all
}

// poll reads a file until match returns true.
func poll(ts *testscript.TestScript, file, what string, match func(text string) bool) {
	deadline := time.Now().Add(busy)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(ts.MkAbs(file))
		if err == nil && match(string(text)) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("never: %s\n%s", what, text)
		}
		<-tick.C
	}
}

var (
	bannerURL = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+`)
	bannerEnd = regexp.MustCompile(`(?m)^(ready$|not ready: .*$)`)
)

// processes are the background commands of one script, by name.
type processes map[string]*exec.Cmd

type processesKey struct{}

func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME COMMAND...")
	}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR", "PYENV_ROOT", "PYENV_VERSION"} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	stdout, err := os.Create(ts.MkAbs(args[0] + ".out"))
	ts.Check(err)
	defer stdout.Close()
	stderr, err := os.Create(ts.MkAbs(args[0] + ".err"))
	ts.Check(err)
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	ts.Check(cmd.Start())
	ts.Value(processesKey{}).(processes)[args[0]] = cmd
	ts.Defer(func() {
		if cmd.ProcessState == nil { // the script failed before it ended
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
}

func process(ts *testscript.TestScript, name string) *exec.Cmd {
	cmd := ts.Value(processesKey{}).(processes)[name]
	if cmd == nil {
		ts.Fatalf("no %s was started", name)
	}
	return cmd
}

func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: signal NAME SIGNAL")
	}
	sig, ok := map[string]os.Signal{"HUP": syscall.SIGHUP, "INT": os.Interrupt, "QUIT": syscall.SIGQUIT, "TERM": syscall.SIGTERM, "USR1": reopenSignal}[args[1]]
	if !ok {
		ts.Fatalf("unknown signal %s", args[1])
	}
	ts.Check(process(ts, args[0]).Process.Signal(sig))
}

func ended(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ended NAME STATUS")
	}
	cmd := process(ts, args[0])
	timer := time.AfterFunc(busy, func() { cmd.Process.Kill() })
	defer timer.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		ts.Check(err)
	}
	if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != args[1] {
		ts.Fatalf("%s ended with status %s, want %s\n%s", args[0], got, args[1], ts.ReadFile(args[0]+".err"))
	}
}

func serving(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serving NAME")
	}
	log := args[0] + ".out"
	poll(ts, log, "the banner", bannerEnd.MatchString)
	ts.Setenv("URL", bannerURL.FindString(ts.ReadFile(log)))
}

func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: eventually FILE REGEXP")
	}
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	poll(ts, args[0], args[1], re.MatchString)
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: get PATH STATUS [TEXT]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), busy)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", ts.Getenv("URL")+args[0], nil)
	ts.Check(err)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	if !strings.HasPrefix(res.Status, args[1]) || len(args) > 2 && !strings.Contains(string(body), args[2]) {
		ts.Fatalf("GET %s: %s\n%s", args[0], res.Status, body)
	}
}

func asking(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: asking PATH")
	}
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", ts.Getenv("URL")+args[0], nil)
	ts.Check(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		if res, err := c.Do(req); err == nil {
			res.Body.Close()
		}
	}()
	ts.Defer(func() { cancel(); <-done })
}
