//go:build unix

package daemontools

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPrograms runs lines of shell with the original programs first on the
// PATH, and with ours: output and exit status must be the same.
func TestPrograms(t *testing.T) {
	theirs, ours := theirPrograms(t), ourPrograms(t)
	for _, line := range []string{
		"fghack", "fghack ./nowhere", "fghack nowhere", "fghack sh -c 'echo hi &'",
		"fghack sh -c '(sleep 0.2; echo late) & echo soon'",
		"fghack sh -c 'exit 7'", "fghack sh -c 'kill -9 $$'", "fghack sh -c 'exec 3>&-; exit 3'", "fghack -x",
		"pgrphack", "pgrphack ./nowhere", "pgrphack nowhere", "pgrphack echo ok", "pgrphack sh -c 'exit 9'",
		`pgrphack sh -c 'test $(ps -o sid= -p $$) = $$ && echo its own session'`,
		"readproctitle", "readproctitle </dev/null", "readproctitle .......... four </dev/null", "readproctitle x ..... </dev/null",
		"echo abc | readproctitle x .....",
		"setlock", "setlock whatever", "setlock -z lock true", "setlock -", "setlock nowhere/lock echo wrong", "setlock -x nowhere/lock echo wrong",
		"setlock -X nowhere/lock echo wrong", "setlock lock echo ok", "echo ok >lock; setlock lock cat lock",
		"setlock lock sh -c 'setlock -n lock echo one && echo two'", "setlock lock sh -c 'setlock -nx lock echo one && echo two'",
		"setlock lock sh -c 'setlock -nxX lock echo one && echo two'", "setlock -nN -- lock echo one",
		"setlock lock ./nowhere", "setlock lock nowhere", "setlock lock .", "setlock dir/lock true", "touch f; setlock lock ./f",
		"PATH= setlock lock true", "setlock . true", "mkdir d; setlock -x d echo x",
		"(exec 9>inherited; pgrphack sh -c 'echo there >&9'); cat inherited", "setlock lock sh -c 'ls -l /proc/$$/fd | grep -c lock'",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			want, got := shell(t, theirs, line), shell(t, ours, line)
			if got != want {
				t.Errorf("ours:\n%s\ntheirs:\n%s", got, want)
			}
		})
	}
}

// shell runs a line in a folder of its own, with programs first on the PATH.
func shell(t *testing.T, programs, line string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", line)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PATH="+programs+":/usr/bin:/bin")
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal("not run")
	}
	text := out.String() + errs.String() + cmd.ProcessState.String()
	return strings.ReplaceAll(text, cmd.Dir, "")
}

// TestReadproctitle: what is read is to be seen among the arguments.
func TestReadproctitle(t *testing.T) {
	for name, programs := range map[string]string{"theirs": theirPrograms(t), "ours": ourPrograms(t)} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(programs, "readproctitle"), "service", "errors:", "............")
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := stdin.Write([]byte("one\x00 two\nthree\n")); err != nil {
			t.Fatal(err)
		}
		until(t, name+" shows it", func() bool {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
			return strings.HasSuffix(string(text), "\x00errors:\x00...wo\nthree\n\x00")
		})
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInstallLinks: each program gets a link; what is there by its name and is
// none is kept, and nothing is done then.
func TestInstallLinks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "bin")
	links, err := InstallLinks(dir, "/opt/millrace")
	if err != nil || len(links) != len(Programs()) {
		t.Fatalf("%d links, %v", len(links), err)
	}
	for _, p := range Programs() {
		if target, err := os.Readlink(filepath.Join(dir, p.Name)); err != nil || target != "/opt/millrace" {
			t.Errorf("%s leads to %q, %v", p.Name, target, err)
		}
	}
	if links, err = InstallLinks(dir, "/opt/millrace"); err != nil || len(links) != 0 {
		t.Errorf("again: %q, %v", links, err)
	}
	for _, name := range []string{"svc", "supervise"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "svc"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if links, err = InstallLinks(dir, "/opt/millrace"); err == nil || len(links) != 0 {
		t.Errorf("over a file: %q, %v", links, err)
	}
}
