//go:build unix

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
)

// outcome is what a program did.
type outcome struct {
	stdout, stderr string
	status         int
}

func (o outcome) String() string {
	return fmt.Sprintf("%.2000q, %.2000q, status %d", o.stdout, o.stderr, o.status)
}

// does runs a program of a folder, in a folder.
func does(t testing.TB, programs, dir string, env []string, stdin string, args ...string) outcome {
	t.Helper()
	cmd := exec.Command(filepath.Join(programs, args[0]), args[1:]...)
	cmd.Args[0] = args[0]
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, env, strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// TestChain: what changes as what another program runs does the same as the
// original: output, words, exit status, the order of the environment.
func TestChain(t *testing.T) {
	t.Parallel()
	theirs, ours := theirPrograms(t), ourPrograms(t)
	dir := t.TempDir()
	for name, content := range map[string]string{
		"env/A": "v1 \t \nrest", "env/B": "", "env/C": "a\x00b\x00", "env/D": " \t\n", "env/E": "\n", "env/F=G": "x", "env/.h": "hidden",
		"path/PATH": "/nowhere\n", "plain": "", "noexec": "#!/bin/sh\n", "long/L": strings.Repeat("x", 100000),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "envwithfifo"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "envwithfifo/A"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "envwithlink"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "envwithlink/A")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"envwithdir/sub", "empty"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const environment = `/usr/bin/env`
	std := []string{"PATH=/usr/bin:/bin", "B=1", "Z=2", "A=0", "D=4", "Y=5"}
	cases := []struct {
		env  []string // nil: std
		root bool     // needs root
		args string
	}{
		{args: "envdir"}, {args: "envdir env"}, {args: "envdir nosuch x"}, {args: "envdir plain x"},
		{args: "envdir env " + environment}, {args: "envdir env nosuch"}, {args: "envdir env ./noexec"}, {args: "envdir env ./env"},
		{args: "envdir empty " + environment}, {args: "envdir envwithdir " + environment}, {args: "envdir envwithfifo " + environment}, {args: "envdir envwithlink " + environment},
		{args: "envdir path env"},
		{args: "envdir env env", env: []string{"PATH="}}, {args: "envdir env env", env: []string{}},
		{args: "envdir env env", env: []string{"A=1", "A=2", "AA=3", "PATH=/bin:/usr/bin"}}, {args: "envdir long sh -c echo"},
		{args: "envuidgid"}, {args: "envuidgid root"}, {args: "envuidgid nosuchaccount x"}, {args: "envuidgid nobody " + environment},
		{args: "envuidgid root " + environment, env: []string{"UID=1", "X=2", "GID=3"}}, {args: "envuidgid nobody nosuch"},
		{args: "setuidgid"}, {args: "setuidgid root"}, {args: "setuidgid nosuchaccount x"},
		{args: "setuidgid nobody id", root: true}, {args: "setuidgid nobody nosuch", root: true}, {args: "setuidgid nobody /nosuch", root: true},
		{args: "setuidgid daemon sh -c exit", root: true}, {args: "setuidgid nobody setuidgid root id", root: true},
		{args: "setuidgid nobody /etc", root: true}, {args: "setuidgid nobody ls", root: true, env: []string{"PATH=/nosuch:/root"}},
		{args: "softlimit"}, {args: "softlimit -x"}, {args: "softlimit -a"}, {args: "softlimit -o 5"}, {args: "softlimit -"}, {args: "softlimit - -o 1"},
		{args: "softlimit -o 12x true"}, {args: "softlimit -o x true"}, {args: "softlimit -o -1 true"}, {args: "softlimit -o 1 -- nosuch"},
		{args: "softlimit -- true"}, {args: "softlimit -t= true"}, {args: "softlimit -ot true"}, {args: "softlimit -z -o 1 true"},
		{args: "softlimit -o 50 sh -c ulimit_-Sn;ulimit_-Hn"}, {args: "softlimit -o = sh -c ulimit_-Sn"}, {args: "softlimit -o99999999999999 sh -c ulimit_-Sn"},
		{args: "softlimit -o 18446744073709551626 -o 60 sh -c ulimit_-Sn"}, {args: "softlimit sh -c ulimit_-Sn"},
		{args: "softlimit -m 30000000 sh -c ulimit_-a"}, {args: "softlimit -d 20000000 -a 40000000 -l 1024 sh -c ulimit_-a"},
		{args: "softlimit -c 1024 -f 10240 -p 100 -r 102400 -t 5 -s 1000000 sh -c ulimit_-a"}, {args: "softlimit -a 5000000 -d 1000000 nosuch"},
		{args: "softlimit -s 4096 nosuch"}, {args: "softlimit -f 0 -c 0 sh -c ulimit_-Sf"},
	}
	for _, c := range cases {
		t.Run(c.args, func(t *testing.T) {
			if c.root && os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			env := c.env
			if env == nil {
				env = std
			}
			args := strings.Fields(c.args)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "_", " ")
			}
			// A program that this one runs by name is the original in both.
			want, got := does(t, theirs, dir, env, "", args...), does(t, ours, dir, env, "", args...)
			if got != want {
				t.Errorf("ours:     %v\noriginal: %v", got, want)
			}
		})
	}
}

// TestChainPassesDescriptors: what is open stays open.
func TestChainPassesDescriptors(t *testing.T) {
	t.Parallel()
	ours, dir := ourPrograms(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".f"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"envdir .", "envuidgid nobody", "softlimit -o 100"} {
		args := append(strings.Fields(command), "sh", "-c", "cat <&7")
		cmd := exec.Command("/bin/sh", append([]string{"-c", `exec 7<.f; exec "$@"`, "sh", filepath.Join(ours, args[0])}, args[1:]...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "hello" {
			t.Errorf("%s: %q, %v", command, out, err)
		}
	}
}

// TestTai64n: labels in and out, side by side.
func TestTai64n(t *testing.T) {
	t.Parallel()
	theirs, ours := theirPrograms(t), ourPrograms(t)
	inputs := []string{
		"@400000003b4a39c23294b13c fatal: out\n", "@400000003b4a39c23294b13c x", "@400000003b4a39c23294b13c", " @400000003b4a39c23294b13c x\n",
		"abc", "\n\n", "", "@400000003b4a39c2ffffffff x\n", "@400000003b4a39c23294b13c@400000003b4a39c23294b13c\n@400000003b4a39c23294b13c\n",
		"@3fffff0000000000ffffffff x\n", "@400000ffffffffff00000000 x\n", "@1400000003b4a39c23294b13c longer\n", "@40000000000000000000000a x\n",
		"@40000000000000090000000a x\n", "@400000003b4a39c23294b13cG\n", "a\x00b\n@400000003b4a39c23294b13c\x00\n",
		strings.Repeat("y", 200000) + "@400000003b4a39c23294b13c\n@400000006b4a39c23294b13c " + strings.Repeat("z", 100000),
		fmt.Sprintf("@%024x last\n@%024x first\n", hexOf(mostUnix), hexOf(leastUnix)),
	}
	for i, in := range inputs {
		env := []string{"TZ=UTC"}
		if want, got := does(t, theirs, "", env, in, "tai64nlocal"), does(t, ours, "", env, in, "tai64nlocal"); got != want {
			t.Errorf("%d, %.60q: ours %v, original %v", i, in, got, want)
		}
	}
	// What the rules of a zone come to in other ages is nobody's, nor what "CET-1CEST" without rules does.
	var days strings.Builder
	for day := range int64(800) {
		fmt.Fprintf(&days, "@%024x %d\n", hexOf(1e9+day*86400+day*977), day)
	}
	for _, zone := range []string{
		"", "America/New_York", ":Asia/Kathmandu", "EST5EDT4,M3.2.0,M11.1.0", "<+0330>-3:30", "JST-9",
		"AAA-5BBB,J60/2,300/2:30", "Nowhere/Bad", ":CET-1CEST,M3.5.0,M10.5.0/3",
	} {
		env := []string{"TZ=" + zone}
		want, got := does(t, theirs, "", env, days.String(), "tai64nlocal"), does(t, ours, "", env, days.String(), "tai64nlocal")
		if got != want {
			t.Errorf("%s: ours %v, original %v", zone, got, want)
		}
	}
	// The original crashes.
	for _, in := range []string{"@\n", "@zz\n", "@4 x\n", "@ffffffffffffffffffffffff x\n", "@400000003B4A39C23294B13C x\n"} {
		if got := does(t, ours, "", nil, in, "tai64nlocal"); got != (outcome{in, "", 0}) {
			t.Errorf("%q: %v", in, got)
		}
	}
	for _, in := range []string{"", "a\nb", "a\n\nb\n", strings.Repeat("x", 200000) + "\ny", "\x00\n"} {
		want, got := does(t, theirs, "", nil, in, "tai64n"), does(t, ours, "", nil, in, "tai64n")
		if want.stdout, got.stdout = stampsOut(want.stdout), stampsOut(got.stdout); got != want {
			t.Errorf("%.60q: ours %v, original %v", in, got, want)
		}
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		return // not on this system
	}
	defer full.Close()
	for _, name := range []string{"tai64n", "tai64nlocal"} {
		for _, dir := range []string{theirs, ours} {
			cmd := exec.Command(filepath.Join(dir, name))
			cmd.Stdin, cmd.Stdout = strings.NewReader("x\n"), full
			_ = cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != exitFault {
				t.Errorf("%s of %s on a full disk: %d", name, dir, got)
			}
		}
	}
}
