//go:build linux

package daemontools

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// folderOf is what is in a folder of multilog: names without times in order of
// their times, modes, and contents without times. The parts of files that it
// cuts at may be others, so joined leaves them out.
func folderOf(t testing.TB, dir string) (text, joined string) {
	t.Helper()
	var b, all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		content := ""
		if info.Mode().IsRegular() {
			c, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = string(c)
		}
		if strings.HasPrefix(d.Name(), "@") || d.Name() == "current" {
			all.WriteString(content)
		}
		fmt.Fprintf(&b, "%s %v %q\n", stampsOut(name), info.Mode(), stampsOut(content))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), stampsOut(all.String())
}

// left is a folder as a multilog before may have left it.
type left map[string]struct {
	mode    fs.FileMode
	content string
}

func (l left) put(t testing.TB, dir string) {
	t.Helper()
	for name, f := range l {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(f.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, f.mode); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMultilog: the same script, the same input, the same folder as the
// original's.
func TestMultilog(t *testing.T) {
	t.Parallel()
	theirs, ours := theirPrograms(t), ourPrograms(t)
	long := strings.Repeat("0123456789", 150)
	old := func(n int) string { return fmt.Sprintf("d/@4000000%017x.s", n) }
	for _, c := range []struct {
		name, script, in string
		before           left
	}{
		{name: "nothing"},
		{name: "no actions", script: "xx q", in: "a\n"},
		{name: "a log", script: "./d", in: "a\nb\n"},
		{name: "an unfinished line", script: "./d", in: "a\nb"},
		{name: "empty input", script: "./d"},
		{name: "empty lines", script: "t ./d", in: "\n\n\n"},
		{name: "zeros", script: "./d", in: "a\x00\n\x00\x00\nb\x00"},
		{name: "times", script: "t ./d", in: "a\nb"},
		{name: "t that is not first", script: "./d t", in: "a\n"},
		{name: "t with more", script: "tx ./d", in: "a\n"},
		{name: "long lines", script: "./d", in: long + "\n" + long},
		{name: "long lines with times", script: "t ./d e", in: long + "\nx\n" + long + "\n"},
		{name: "lines about as long as a head", script: "t ./d", in: long[:973] + "\n" + long[:974] + "\n" + long[:975] + "\n"},
		{name: "lines about as long as a head, without", script: "=f ./d", in: long[:999] + "\n" + long[:1000] + "\n" + long[:1001] + "\n"},
		{name: "selection", script: "-* +a* +*z ./d", in: "abc\nbz\nb\na\nz\n"},
		{name: "selection in order", script: "./all -a* ./d +ab* ./e", in: "a\nab\nb\nabc\n"},
		{name: "brackets", script: "-named[*]:_* ./d", in: "named[135]: x\nnamed[135] x\nnamed[1]2]: x\nnamed[]: \n"},
		{name: "patterns of times", script: "t -* +*_fatal:_* ./d", in: "x fatal: 1\nfatal: 2\n"},
		{name: "two stars", script: "-a**b ./d", in: "a*b\nab\na**b\naxb\nax*b\nax*yb\na*\n"},
		{name: "an empty pattern", script: "- ./d", in: "a\n\nb\n"},
		{name: "a pattern beyond the head", script: "-*end ./d", in: long + "end\n" + long[:997] + "end\n" + long[:998] + "end\n"},
		{name: "alerts", script: "e -b* e", in: "a\nb\n" + long + "\n" + long[:200] + "\n" + long[:201] + "\nz"},
		{name: "alerts with times", script: "t ./d", in: "a\n"},
		{name: "the last line", script: "=f -a =g", in: "a\nb\n" + long + "\na\n"},
		{name: "the last line, short after long", script: "=f", in: long + "\na\n"},
		{name: "no folder for the last line", script: "=no/f ./d", in: "a\n"},
		{name: "no folder", script: "./no/d", in: "a\n"},
		{name: "a file", script: "./f", before: left{"f": {0o644, ""}}},
		{name: "a folder as current", script: "./d", before: left{"d/current/x": {0o644, ""}}},
		{name: "twice the same", script: "./d ./d", in: "a\n"},
		{name: "after a proper end", script: "./d", in: "b\n", before: left{"d/current": {0o744, "a\n"}, "d/state": {0o644, "s"}}},
		{name: "after an outage", script: "./d", in: "b\n", before: left{"d/current": {0o644, "a"}, "d/state": {0o644, "s"}}},
		{name: "before current had its mode", script: "./d", in: "b\n", before: left{"d/current": {0o600, ""}}},
		{name: "within a rotation", script: "./d", in: "b\n", before: left{"d/current": {0o644, ""}, "d/previous": {0o644, "a\n"}}},
		{name: "with a processor at work", script: "./d", in: "b\n", before: left{"d/current": {0o644, ""}, "d/previous": {0o744, "a\n"}, "d/processed": {0o644, "A"}, "d/newstate": {0o644, "n"}, "d/state": {0o644, "s"}}},
		{name: "with a processor done", script: "./d", in: "b\n", before: left{"d/current": {0o644, "x"}, "d/previous": {0o744, "a\n"}, "d/processed": {0o744, "A"}, "d/newstate": {0o644, "n"}, "d/state": {0o644, "s"}}},
		{name: "with a file that moved", script: "./d", in: "b\n", before: left{"d/current": {0o744, "x"}, "d/processed": {0o744, "A"}}},
		{name: "too many after an outage", script: "n2 ./d", in: "b\n", before: left{
			"d/current": {0o644, "x"}, old(3): {0o744, "3"}, old(1): {0o744, "1"}, old(2): {0o744, "2"}, "d/@short": {0o644, ""}, "d/@400000000000000000000000000x": {0o644, ""}}},
		{name: "few files, small", script: "s1 n0 ./d", in: "b\n", before: left{"d/current": {0o644, "x"}, old(3): {0o744, "3"}, old(1): {0o744, "1"}, old(2): {0o744, "2"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"multilog"}, strings.Fields(c.script)...)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "_", " ")
			}
			var texts [2]string
			for i, programs := range []string{theirs, ours} {
				dir := t.TempDir()
				c.before.put(t, dir)
				o := does(t, programs, dir, nil, c.in, args...)
				text, _ := folderOf(t, dir)
				texts[i] = fmt.Sprintf("%s, %s, status %d\n%s", o.stdout, stampsOut(o.stderr), o.status, text)
			}
			if texts[0] != texts[1] {
				t.Errorf("original:\n%s\nours:\n%s", texts[0], texts[1])
			}
		})
	}
}

// TestMultilogRotation: what is logged is the same, in as many files, of which
// each is as large as it may be and ends with a line.
func TestMultilogRotation(t *testing.T) {
	t.Parallel()
	theirs, ours := theirPrograms(t), ourPrograms(t)
	var lines, long strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&lines, "line %d %s\n", i, strings.Repeat("x", i%50))
	}
	for i := range 15 {
		fmt.Fprintf(&long, "long %d %s\n", i, strings.Repeat("y", 100*i*i))
	}
	const upper = `!tr a-z A-Z; cat <&4 >&5; echo x >&5`
	for _, c := range []struct {
		name, in string
		script   []string
		keeps    bool // all of it
	}{
		{"small", lines.String(), []string{"s4096", "n1000", "./d"}, true},
		{"with times", lines.String(), []string{"t", "s10000", "n1000", "./d"}, true},
		{"long lines", long.String(), []string{"s5000", "n1000", "./d"}, true},
		{"long lines with times, two logs", long.String(), []string{"t", "s6000", "n1000", "./d", "s50000", "-*[02468] *", "./e"}, true},
		{"few", lines.String(), []string{"s4096", "n3", "./d"}, false},
		{"processor", lines.String(), []string{"s4096", "n1000", upper, "./d"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var joined, states [2]string
			for i, programs := range []string{theirs, ours} {
				dir := t.TempDir()
				if o := does(t, programs, dir, nil, c.in, append([]string{"multilog"}, c.script...)...); o != (outcome{}) {
					t.Errorf("%v", o)
				}
				var text string
				text, joined[i] = folderOf(t, dir)
				state, _ := os.ReadFile(filepath.Join(dir, "d/state"))
				states[i] = fmt.Sprint(len(state) / (len("x\n") * max(1, strings.Count(text, ".s "))))
				for _, line := range strings.Split(text, "\n") {
					if strings.Contains(line, ".s ") && !strings.Contains(line, "-rwxr--r--") {
						t.Errorf("the mode of a finished file: %.60s", line)
					}
				}
				if files, _ := filepath.Glob(filepath.Join(dir, "d/@*")); !c.keeps && len(files) != 2 {
					t.Errorf("%d files are kept", len(files))
				}
				if programs == ours {
					finishedWell(t, dir, c.script)
				}
			}
			// The processor works on what was finished, which is not the same.
			if strings.HasPrefix(c.name, "processor") {
				joined[0], joined[1] = strings.ToUpper(joined[0]), strings.ToUpper(joined[1])
			}
			if c.keeps && joined[0] != joined[1] || states[0] != states[1] {
				t.Errorf("%d bytes and %d are not the same; states %q", len(joined[0]), len(joined[1]), states)
			}
		})
	}
}

// finishedWell looks at the sizes and the ends of finished files.
func finishedWell(t *testing.T, dir string, script []string) {
	t.Helper()
	s := parseScript(script)
	for _, f := range s.folders {
		all, _ := filepath.Glob(filepath.Join(dir, f.path, "@*"))
		for _, path := range all {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			n := int64(len(b))
			if f.processor == "" && (n > f.size || n < f.size-nearEnd-lineHead-1 || n != f.size && b[n-1] != '\n') {
				t.Errorf("%s has %d bytes of %d", filepath.Base(path), n, f.size)
			}
		}
	}
}

// logger is a multilog at work.
type logger struct {
	t      testing.TB
	cmd    *exec.Cmd
	stderr *syncBuffer
}

// logs starts one on a pipe's end.
func logs(t testing.TB, programs, dir string, stdin *os.File, script ...string) *logger {
	t.Helper()
	l := &logger{t, exec.Command(filepath.Join(programs, "multilog"), script...), &syncBuffer{}}
	l.cmd.Args[0], l.cmd.Dir, l.cmd.Stdin, l.cmd.Stderr = "multilog", dir, stdin, l.stderr
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *logger) signal(s syscall.Signal) {
	l.t.Helper()
	if err := l.cmd.Process.Signal(s); err != nil {
		l.t.Fatal(err)
	}
}

// ends waits for the end, and returns the exit status.
func (l *logger) ends() int {
	l.t.Helper()
	timer := time.AfterFunc(busy, func() { _ = l.cmd.Process.Kill() })
	defer timer.Stop()
	_ = l.cmd.Wait()
	return l.cmd.ProcessState.ExitCode()
}

func newPipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	return info.Size()
}

// TestMultilogSignals: TERM waits for the end of a line and leaves what comes
// after it in the pipe; ALRM begins another file.
func TestMultilogSignals(t *testing.T) {
	t.Parallel()
	for name, programs := range map[string]string{"theirs": theirPrograms(t), "ours": ourPrograms(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r, w := newPipe(t)
			current := filepath.Join(dir, "d/current")
			finished := func() int { all, _ := filepath.Glob(filepath.Join(dir, "d/@*.s")); return len(all) }
			l := logs(t, programs, dir, r, "./d")
			until(t, "current is there", func() bool { return size(current) == 0 })
			fmt.Fprint(w, "a\n")
			until(t, "a line", func() bool { return size(current) == 2 })
			l.signal(syscall.SIGALRM)
			until(t, "a rotation", func() bool { return finished() == 1 && size(current) == 0 })
			fmt.Fprint(w, "b\nunfin")
			until(t, "a second line", func() bool { return size(current) == 2 })
			// It has read the line that is not finished when the pipe is empty.
			until(t, "all is read", func() bool { return unread(t, r) == 0 })
			before := reads(t, l.cmd.Process.Pid)
			l.signal(syscall.SIGTERM)
			// It has heard it when it reads anew.
			until(t, "the signal is heard", func() bool { return reads(t, l.cmd.Process.Pid) > before })
			fmt.Fprint(w, "ished\nfor the next\n")
			if status := l.ends(); status != 0 {
				t.Errorf("status %d", status)
			}
			if b, _ := os.ReadFile(current); string(b) != "b\nunfinished\n" {
				t.Errorf("current: %q", b)
			}
			if mode := modeOf(t, current); mode != 0o744 {
				t.Errorf("mode %v", mode)
			}
			rest := make([]byte, 100)
			if n, err := r.Read(rest); err != nil || string(rest[:n]) != "for the next\n" {
				t.Errorf("left in the pipe: %q, %v", rest[:n], err)
			}
			if l.stderr.String() != "" || size(filepath.Join(dir, "d/lock")) != 0 {
				t.Errorf("said %q; the lock has %d bytes", l.stderr, size(filepath.Join(dir, "d/lock")))
			}
		})
	}
}

func modeOf(t testing.TB, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// TestMultilogLocked: a second one on the same log ends at once, in the
// original's words, in each mix.
func TestMultilogLocked(t *testing.T) {
	t.Parallel()
	theirs, ours := theirPrograms(t), ourPrograms(t)
	for _, mix := range [][2]string{{theirs, theirs}, {theirs, ours}, {ours, theirs}, {ours, ours}} {
		dir := t.TempDir()
		r, w := newPipe(t)
		l := logs(t, mix[0], dir, r, "./d")
		until(t, "the first one is there", func() bool { return size(filepath.Join(dir, "d/current")) == 0 })
		want := outcome{"", "multilog: fatal: unable to lock directory ./d: temporary failure\n", exitFault}
		if got := does(t, mix[1], dir, nil, "x\n", "multilog", "./d"); got != want {
			t.Errorf("%v", got)
		}
		w.Close()
		if status := l.ends(); status != 0 {
			t.Errorf("status %d", status)
		}
	}
}

// TestMultilogProcessor: one that fails is run again, with all of its input.
func TestMultilogProcessor(t *testing.T) {
	t.Parallel()
	for name, programs := range map[string]string{"theirs": theirPrograms(t), "ours": ourPrograms(t)} {
		for how, want := range map[string]string{"exit 3": "processor failed in", "kill -9 $$": "processor crashed in"} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				in := strings.Repeat("a line of it\n", 400)
				got := does(t, programs, dir, []string{"PATH=/usr/bin:/bin"}, in, "multilog", "s4096", "!cat; if test -e ../once; then exit 0; fi; echo >../once; "+how, "./d")
				// Of a crash the original says an error that is none, and that it is a failure too.
				if got.status != 0 || got.stdout != "" || !strings.HasPrefix(got.stderr, "multilog: warning: "+want+" ./d, pausing") {
					t.Errorf("%v", got)
				}
				if _, joined := folderOf(t, filepath.Join(dir, "d")); joined != in {
					t.Errorf("%d bytes became %d", len(in), len(joined))
				}
			})
		}
	}
}

// written is all that was logged, in the order of its files.
func written(t testing.TB, dir string) []byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "@*"))
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(names)
	var all []byte
	for _, name := range append(names, filepath.Join(dir, "current")) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".s") && modeOf(t, name) != 0o744 {
			t.Errorf("%s is finished and has the mode %v", filepath.Base(name), modeOf(t, name))
		}
		all = append(all, b...)
	}
	return all
}

// TestMultilogKilled: it is killed at any moment under load, many times, and the
// next one goes on from the same pipe. Every line is there once, whole and in
// order: not even the unfinished one is lost.
func TestMultilogKilled(t *testing.T) {
	t.Parallel()
	const kills = 25
	for name, script := range map[string][]string{
		"plain":     {"s20000", "n100000", "./d"},
		"times":     {"t", "s9000", "n100000", "./d"},
		"two logs":  {"s7000", "n100000", "./d", "s50000", "./e"},
		"processor": {"s60000", "n100000", "!cat", "./d"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, dir := ourPrograms(t), t.TempDir()
			r, w := newPipe(t)
			stop, sent := make(chan struct{}), make(chan int, 1)
			go func() {
				n := 0
				var b bytes.Buffer
				for ; ; n++ {
					select {
					case <-stop:
						_, _ = w.Write(b.Bytes())
						w.Close()
						sent <- n
						return
					default:
					}
					length := n * 7 % 120
					if n%997 == 0 {
						length = 3000 + n%5000
					}
					fmt.Fprintf(&b, "%d %s\n", n, strings.Repeat("x", length))
					if b.Len() > n%4000 { // lines are cut by writes
						_, _ = w.Write(b.Next(b.Len() - n%5))
					}
				}
			}()
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			current := filepath.Join(dir, "d/current")
			for range kills {
				before := size(current)
				l := logs(t, ours, dir, r, script...)
				until(t, "it is at work", func() bool { now := size(current); return now >= 0 && now != before })
				seed = seed*6364136223846793005 + 1442695040888963407
				timer := time.NewTimer(time.Duration(seed>>33%8000) * time.Microsecond)
				<-timer.C
				l.signal(syscall.SIGKILL)
				if l.ends() == 0 || l.stderr.String() != "" {
					t.Fatalf("it ended by itself: %s", l.stderr)
				}
			}
			close(stop)
			l := logs(t, ours, dir, r, script...)
			if status := l.ends(); status != 0 {
				t.Fatalf("status %d: %s", status, l.stderr)
			}
			n := <-sent
			folders := []string{"d"}
			if name == "two logs" {
				folders = append(folders, "e")
			}
			for _, folder := range folders {
				all := written(t, filepath.Join(dir, folder))
				checkNumbered(t, all, n, name == "times")
				t.Logf("%s: %d lines, %d bytes, %d kills", folder, n, len(all), kills)
			}
		})
	}
}

// checkNumbered looks for lines 0 to n-1, each once and whole.
func checkNumbered(t *testing.T, all []byte, n int, stamped bool) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(string(all), "\n"), "\n")
	next := 0
	for _, line := range lines {
		if stamped {
			at := stamp.FindStringIndex(line)
			if at == nil || at[0] != 0 || len(line) < stampLength+1 {
				t.Fatalf("after line %d there is no time: %.80q", next-1, line)
			}
			line = line[stampLength+1:]
		}
		number, rest, _ := strings.Cut(line, " ")
		length := next * 7 % 120
		if next%997 == 0 {
			length = 3000 + next%5000
		}
		if number != strconv.Itoa(next) || len(rest) != length || strings.Trim(rest, "x") != "" {
			t.Fatalf("after line %d comes %.80q (%d)", next-1, line, len(rest))
		}
		next++
	}
	if next != n {
		t.Errorf("%d lines of %d", next, n)
	}
}

// TestMultilogAnotherPipe: an unfinished line whose rest will not come is a
// line; and what the original finds of ours is nothing to it.
func TestMultilogAnotherPipe(t *testing.T) {
	t.Parallel()
	theirs, ours := theirPrograms(t), ourPrograms(t)
	dir := t.TempDir()
	r, w := newPipe(t)
	l := logs(t, ours, dir, r, "./d")
	fmt.Fprint(w, "a\nb")
	until(t, "all is read", func() bool { return size(filepath.Join(dir, "d/current")) == 2 && unread(t, r) == 0 })
	l.signal(syscall.SIGKILL)
	l.ends()
	if got := does(t, theirs, dir, nil, "original\n", "multilog", "./d"); got != (outcome{}) {
		t.Errorf("%v", got)
	}
	if got := does(t, ours, dir, nil, "c\n", "multilog", "./d"); got != (outcome{}) {
		t.Errorf("%v", got)
	}
	if got := string(written(t, filepath.Join(dir, "d"))); got != "a\noriginal\nb\nc\n" {
		t.Errorf("%q", got)
	}
}
