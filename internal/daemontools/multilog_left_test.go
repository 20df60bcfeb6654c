//go:build linux

package daemontools

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMultilogLeft: each moment at which it may have been killed, as the files
// that it leaves then. What was logged and not yet noted does not come twice.
func TestMultilogLeft(t *testing.T) {
	t.Parallel()
	ours := ourPrograms(t)
	for _, test := range []struct {
		name    string
		current string // what is in it; size of it is noted
		size    int64
		data    string
		state   progress // start, end, settled, within
		renamed bool     // current is previous already, and another is begun
		boot    bool     // the machine was started anew since
		want    string
	}{
		{name: "before it is written", current: "a\n", size: 2, data: "a\nb\n", state: progress{start: 2, end: 4}, want: "a\nb\nc\n"},
		{name: "before what was read is noted", current: "a\n", size: 2, data: "b\nb", want: "a\nb\nb\nc\n"},
		{name: "within the write", current: "a\nb", size: 2, data: "a\nbb\n", state: progress{start: 2, end: 5}, want: "a\nbb\nc\n"},
		{name: "after the write", current: "a\nb\n", size: 2, data: "a\nb\n", state: progress{start: 2, end: 4}, want: "a\nb\nc\n"},
		{name: "after it is noted", current: "a\nb\n", size: 4, data: "a\nb\n", state: progress{start: 4, end: 4, settled: true}, want: "a\nb\nc\n"},
		{name: "before the old data is zeroed", current: "a\nb\n", size: 4, data: "\x00\x00old\n", state: progress{settled: true}, want: "a\nb\nc\n"},
		{name: "within a long line", current: "a\nlong", size: 6, data: "er\nb\n", state: progress{end: 5, within: true}, want: "a\nlonger\nb\nc\n"},
		{name: "within a long line that goes on", current: "a\nlong", size: 6, data: "er", state: progress{end: 2, within: true}, want: "a\nlonger\nc\n"},
		{name: "within a rotation", current: "a\n", size: 2, data: "a\nb\n", state: progress{start: 2, end: 4}, renamed: true, want: "a\nb\nc\n"},
		{name: "within a rotation in a long line", current: "a\nlong", size: 6, data: "er\nb\n", state: progress{end: 5, within: true}, renamed: true, want: "a\nlonger\nb\nc\n"},
		{name: "before the machine went down", current: "a\nb\n", size: 2, data: "a\nb\n", state: progress{start: 2, end: 4}, boot: true, want: "a\nb\nc\n"},
		{name: "with a size beyond the file", current: "a\n", size: 1000, data: "b\n", want: "a\nb\nc\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "d")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			current := filepath.Join(dir, "current")
			if err := os.WriteFile(current, []byte(test.current), 0o644); err != nil {
				t.Fatal(err)
			}
			var st unix.Stat_t
			if err := unix.Stat(current, &st); err != nil {
				t.Fatal(err)
			}
			p := test.state
			p.sequence, p.boot = 7, bootID()
			if test.boot {
				p.boot[3]++
			}
			p.logs = []journaled{{idOf(&st), test.size, p.within}}
			mem := make([]byte, journalSize)
			copy(mem[slotSize:], p.appendSlot(nil))
			copy(mem[2*slotSize:], test.data)
			if err := os.WriteFile(filepath.Join(dir, "lock"), mem, 0o600); err != nil {
				t.Fatal(err)
			}
			if test.renamed {
				if err := os.Rename(current, filepath.Join(dir, "previous")); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(current, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := does(t, ours, filepath.Dir(dir), nil, "c\n", "multilog", "./d"); got != (outcome{}) {
				t.Errorf("%v", got)
			}
			if got := string(written(t, dir)); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			if n := size(filepath.Join(dir, "lock")); n != 0 {
				t.Errorf("the lock has %d bytes", n)
			}
			all, _ := filepath.Glob(filepath.Join(dir, "@*"))
			if want := 1; len(all) != want && !test.renamed {
				t.Error(fmt.Sprint(all))
			}
		})
	}
}

// TestMultilogCut: somebody cuts the file of the journal while a line is not
// finished. What was read of it is lost, which is said, and no more than that.
func TestMultilogCut(t *testing.T) {
	t.Parallel()
	for name, rest := range map[string]string{"more comes": "ished\nb\n", "the end comes": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r, w := newPipe(t)
			l := logs(t, ourPrograms(t), dir, r, "./d")
			fmt.Fprint(w, "a\nunfin")
			until(t, "all is read", func() bool { return size(filepath.Join(dir, "d/current")) == 2 && unread(t, r) == 0 })
			if err := os.Truncate(filepath.Join(dir, "d/lock"), 0); err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(w, rest)
			w.Close()
			if status := l.ends(); status != 0 {
				t.Errorf("status %d", status)
			}
			want, said := "a\n"+rest, "multilog: warning: the journal was cut: 5 bytes of ./d are lost\n"
			if got := string(written(t, filepath.Join(dir, "d"))); got != want || l.stderr.String() != said {
				t.Errorf("%q, and it says %.500s", got, l.stderr)
			}
		})
	}
}

// TestMultilogNobodyListens: it goes on when who reads its stderr is gone.
func TestMultilogNobodyListens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, w := newPipe(t)
	cmd := exec.Command(filepath.Join(ourPrograms(t), "multilog"), "e", "./d")
	read, write := newPipe(t)
	cmd.Dir, cmd.Stdin, cmd.Stderr = dir, r, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read.Close()
	write.Close()
	for _, line := range []string{"a\n", "b\n"} {
		fmt.Fprint(w, line)
	}
	w.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if got := string(written(t, filepath.Join(dir, "d"))); got != "a\nb\n" {
		t.Errorf("%q", got)
	}
}
