package daemontools

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/testkit"
)

// syncBuffer is a buffer that is read while it is written to.
type syncBuffer struct{ testkit.Output }

// unread is how many bytes wait in a pipe.
func unread(t testing.TB, f *os.File) int {
	t.Helper()
	n, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCINQ)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// reads is how many times a process has read.
func reads(t testing.TB, pid int) (n int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "syscr: ")
	if _, err := fmt.Sscan(after, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestMultilogFullDisk: on a full disk it says so, waits, and loses nothing, as
// the original does.
func TestMultilogFullDisk(t *testing.T) {
	t.Parallel()
	line := strings.Repeat("x", 99) + "\n"
	const want = "multilog: warning: unable to write to ./d/current, pausing: out of disk space\n"
	for name, programs := range map[string]string{"theirs": theirPrograms(t), "ours": ourPrograms(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A disk of its own, in a space of names of its own, which is a small
			// system whose user is root.
			dir := t.TempDir()
			script := `mount -t tmpfs -o size=800k disk . && cd "$PWD" || exit
dd if=/dev/zero of=filler bs=1024 count=500 2>/dev/null || exit
"$1" s16777215 ./d <"$0/in" 2>"$0/err" &
read go
rm filler
wait $!
echo $?
cat d/current | cmp - "$0/in" && echo same`
			out := t.TempDir()
			in := strings.Repeat(line, 3500)
			if err := os.WriteFile(filepath.Join(out, "in"), []byte(in), 0o644); err != nil {
				t.Fatal(err)
			}
			args := []string{"-m"}
			if os.Geteuid() != 0 {
				args = []string{"-rm"}
			}
			cmd := exec.Command("unshare", append(args, "sh", "-c", script, out, filepath.Join(programs, "multilog"))...)
			cmd.Dir = dir
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			var stdout syncBuffer
			cmd.Stdout, cmd.Stderr = &stdout, &stdout
			// A test that fails must not leave it there, waiting.
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			stuck := time.AfterFunc(busy, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
			defer stuck.Stop()
			said := func() string { b, _ := os.ReadFile(filepath.Join(out, "err")); return string(b) }
			until(t, "it says that the disk is full", func() bool { return said() != "" })
			fmt.Fprintln(stdin, "go")
			if err := cmd.Wait(); err != nil || stdout.String() != "0\nsame\n" {
				t.Errorf("%v: %s%s", err, &stdout, said())
			}
			if got := said(); got != want {
				t.Errorf("it says %q", got)
			}
		})
	}
}

// BenchmarkMultilog is a log of lines of 100 bytes, beside the original's. With
// MILLRACE_LOGS it is in that folder, which may be on another disk.
func BenchmarkMultilog(b *testing.B) {
	lines := bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), 10000)
	theirs, ours := theirPrograms(b), ourPrograms(b)
	for _, script := range [][]string{{"s16777215", "n3", "./d"}, {"t", "s16777215", "n3", "./d"}, {"s999999", "n3", "./d"}} {
		for _, who := range []struct{ name, programs string }{{"ours", ours}, {"original", theirs}} {
			b.Run(strings.Join(script[:len(script)-1], ",")+"/"+who.name, func(b *testing.B) {
				dir, err := os.MkdirTemp(os.Getenv("MILLRACE_LOGS"), "multilog")
				if err != nil {
					b.Fatal(err)
				}
				defer os.RemoveAll(dir)
				r, w := newPipe(b)
				b.SetBytes(int64(len(lines)))
				b.ResetTimer()
				start := time.Now()
				l := logs(b, who.programs, dir, r, script...)
				for b.Loop() {
					if _, err := w.Write(lines); err != nil {
						b.Fatal(err)
					}
				}
				w.Close()
				if status := l.ends(); status != 0 {
					b.Fatalf("status %d: %s", status, l.stderr)
				}
				b.ReportMetric(float64(len(lines))*float64(b.N)/1e6/time.Since(start).Seconds(), "MB/s-written")
			})
		}
	}
}
