package server

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"millrace/internal/config"
)

const pidfileVariable = "MILLRACE_TEST_PIDFILE"

// another starts a process, and returns its id when it runs. It ends with the
// test, or when end is called.
func another(t *testing.T, name string, args ...string) (pid int, end func()) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), pidfileVariable+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if !ended {
			ended = true
			in.Close()
			_ = cmd.Wait() // how it ended is of no matter
		}
	}
	t.Cleanup(end)
	fmt.Fprintln(in, "up")
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
		t.Fatalf("%s said %q, %v", name, line, err)
	}
	return cmd.Process.Pid, end
}

// TestPidfileProcess is the process of TestPidfile that runs our program.
func TestPidfileProcess(t *testing.T) {
	if os.Getenv(pidfileVariable) == "" {
		t.Skip("for TestPidfile")
	}
	in := bufio.NewReader(os.Stdin)
	line, _ := in.ReadString('\n')
	fmt.Print(line)
	_, _ = in.ReadString('\n') // until the pipe is closed
}

func TestPidfile(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const run = "-test.run=^TestPidfileProcess$"
	same, _ := another(t, self, run)
	gone, end := another(t, self, run)
	end()
	program, _ := another(t, "cat")

	// A millrace whose file was replaced, as by an upgrade.
	replaced := filepath.Join(t.TempDir(), filepath.Base(self))
	text, err := os.ReadFile(self)
	if err == nil {
		err = os.WriteFile(replaced, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	deleted, _ := another(t, replaced, run)
	if err := os.Remove(replaced); err != nil {
		t.Fatal(err)
	}

	const none = "is there and is no pidfile"
	running := func(pid int) string { return fmt.Sprintf("belongs to the running pid %d", pid) }
	other := ""
	if runtime.GOOS != "linux" {
		other = running(program)
	}
	for name, tt := range map[string]struct {
		text string
		want string // in the error; empty: it is replaced
	}{
		"another millrace":   {fmt.Sprintln(same), running(same)},
		"with blanks":        {fmt.Sprintf(" \n%d\r\n\n", same), running(same)},
		"a replaced program": {fmt.Sprint(deleted), running(deleted)},
		"ended":              {fmt.Sprintln(gone), ""},
		"another program":    {fmt.Sprintln(program), other},
		"the parent":         {fmt.Sprintln(os.Getppid()), ""},
		"ourselves":          {fmt.Sprintln(os.Getpid()), ""},
		"zero":               {"0\n", ""},
		"too large":          {"99999999999999999999\n", ""},
		"negative":           {"-1\n", none},
		"empty":              {"", none},
		"two numbers":        {"1 2\n", none},
		"a source file":      {"import os\n", none},
		"large":              {strings.Repeat(" ", maxPIDFile) + "1", none},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir() + "/m.pid"
			write(t, path, tt.text)
			s := New(Options{Plan: &Plan{Config: &config.Config{Server: config.Server{PIDFile: path}}}, Log: slog.New(slog.DiscardHandler)})
			err := s.keeper.WritePID()
			text, _ := os.ReadFile(path)
			if tt.want == "" {
				if err != nil || string(text) != fmt.Sprintln(os.Getpid()) {
					t.Errorf("%v; the file holds %q", err, text)
				}
				s.keeper.RemovePID()
				if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("it is still there: %v", err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) || e.Hint() == "" || string(text) != tt.text {
				t.Errorf("%v, want %q; the file holds %q", err, tt.want, text)
			}
			left, _ := filepath.Glob(filepath.Dir(path) + "/.*")
			if len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}

	t.Run("no file", func(t *testing.T) {
		if err := claimPID(os.DevNull, false); err == nil || !strings.Contains(err.Error(), none) {
			t.Errorf("a device: %v", err)
		}
		if err := claimPID(t.TempDir(), false); err == nil || !strings.Contains(err.Error(), none) {
			t.Errorf("a folder: %v", err)
		}
	})
	t.Run("inherited", func(t *testing.T) {
		path := t.TempDir() + "/m.pid"
		write(t, path, fmt.Sprintln(same))
		plan := parse(t, t.TempDir(), "[app.main]\nwsgi = \"one:app\"\n[[app.main.listen]]\nprotocol = \"fastcgi\"\naddress = \"fd:0\"\n")
		plan.Config.Server.PIDFile = path
		s := New(Options{Plan: plan, Log: slog.New(slog.DiscardHandler)})
		if err := s.keeper.WritePID(); err != nil {
			t.Error(err)
		}
	})
}
