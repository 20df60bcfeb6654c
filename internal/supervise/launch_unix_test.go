//go:build unix

package supervise

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if os.Args[0] == "report" {
		report() // before Launch, which seals what it looks at
	}
	Launch()
	if os.Args[0] == "parent" {
		parent()
	}
	os.Exit(m.Run())
}

// state is what a started program finds itself as.
type state struct {
	UID, EUID, GID int
	Groups         []int
	Umask          int
	Dir            string
	Args, Env      []string
	Limits         map[string][2]uint64
	Descriptors    map[int]string // that an exec would pass on
	Stdin          string
	Status         map[string]string // lines of /proc/self/status
}

// report writes the state to descriptor 1.
func report() {
	s := state{UID: os.Getuid(), EUID: os.Geteuid(), GID: os.Getgid(), Args: os.Args, Env: os.Environ(), Limits: map[string][2]uint64{}, Status: map[string]string{}}
	s.Groups, _ = os.Getgroups()
	s.Umask = unix.Umask(0)
	s.Dir, _ = os.Getwd()
	for name, number := range resources() {
		var r unix.Rlimit
		if unix.Getrlimit(number, &r) == nil {
			s.Limits[name] = [2]uint64{uint64(r.Cur), uint64(r.Max)}
		}
	}
	s.Descriptors = map[int]string{}
	for fd := range 64 {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			s.Descriptors[fd], _ = os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		}
	}
	stdin, _ := io.ReadAll(os.Stdin)
	s.Stdin = string(stdin)
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		s.Status[name] = strings.TrimSpace(value)
	}
	_ = json.NewEncoder(os.Stdout).Encode(s)
	os.Exit(7)
}

// reporter is a command whose program is this test as report, in a place where
// any user may run it.
func reporter(t testing.TB, rights Rights) *Command {
	t.Helper()
	dir, err := os.MkdirTemp("", "millrace-launch-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "report")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, program, 0o755), os.Chmod(path, 0o755)); err != nil {
		t.Fatal(err)
	}
	return &Command{Name: "app blog", Path: path, Args: []string{"report"}, Env: []string{"A=\xff b"}, Dir: dir, Rights: rights}
}

// run starts a command whose program is report.
func run(t testing.TB, c *Command, more ...*os.File) state {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	p, err := Local{}.Start(Start{Command: c, Files: append([]*os.File{nil, write, os.Stderr}, more...)})
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	if exit := p.Wait(); exit.Code != 7 {
		t.Errorf("the program %v, want status 7", exit)
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return s
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may become somebody else")
	}
}

func TestRights(t *testing.T) {
	needRoot(t)
	mask := 0o27
	c := reporter(t, Rights{
		User: &User{UID: 61001, GID: 61002, Groups: []uint32{61002, 61003}}, Umask: &mask,
		Limits: []Limit{{"nofile", 222}, {"core", 0}, {"cpu", 1000}},
	})
	c.Args = []string{"report", "{port}", "\xfe"}
	c.Stdin = []byte("what it reads")
	extra, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	leak, err := unix.Open("/", unix.O_RDONLY, 0) // not close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	s := run(t, c, extra)

	if s.UID != 61001 || s.EUID != 61001 || s.GID != 61002 || !slices.Equal(s.Groups, []int{61002, 61003}) {
		t.Errorf("uid %d, effective %d, gid %d, groups %v", s.UID, s.EUID, s.GID, s.Groups)
	}
	if s.Umask != mask {
		t.Errorf("umask %o", s.Umask)
	}
	for name, want := range map[string]uint64{"nofile": 222, "core": 0, "cpu": 1000} {
		if s.Limits[name] != [2]uint64{want, want} {
			t.Errorf("limit %s %v, want %d", name, s.Limits[name], want)
		}
	}
	if s.Dir != c.Dir || s.Stdin != "what it reads" || !slices.Equal(s.Args[1:], []string{"{port}", "\ufffd"}) || !slices.Equal(s.Env, []string{"A=\ufffd b"}) {
		t.Errorf("folder %s, stdin %q, arguments %q, environment %q", s.Dir, s.Stdin, s.Args, s.Env) // JSON's way with bytes that are no UTF-8
	}
	if runtime.GOOS == "linux" {
		if len(s.Descriptors) != 4 || s.Descriptors[3] != os.DevNull {
			t.Errorf("descriptors %v, want 0 to 3", s.Descriptors)
		}
		if s.Status["CapEff"] != "0000000000000000" || s.Status["CapPrm"] != "0000000000000000" || s.Status["Uid"] != "61001\t61001\t61001\t61001" {
			t.Errorf("capabilities %s, %s, ids %s", s.Status["CapEff"], s.Status["CapPrm"], s.Status["Uid"])
		}
	}
}

// A hard limit that is higher than ours takes root, which the program is not.
func TestLimitsAreRaised(t *testing.T) {
	needRoot(t)
	const sysResource = 24 // CAP_SYS_RESOURCE; root of a container may be without it
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("this system does not say what root may do")
	}
	_, after, _ := strings.Cut(string(status), "CapEff:\t")
	if caps, err := strconv.ParseUint(after[:min(16, len(after))], 16, 64); err != nil || caps>>sysResource&1 == 0 {
		t.Skip("this root may not raise limits")
	}
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &was); err != nil {
		t.Fatal(err)
	}
	low := was
	put(&low.Cur, 64<<10)
	put(&low.Max, 64<<10)
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &low); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &was); err != nil {
			t.Error(err)
		}
	}()
	s := run(t, reporter(t, Rights{User: &User{UID: 61001, GID: 61001}, Limits: []Limit{{"memlock", 128 << 10}, {"core", Unlimited}, {"data", 1 << 30}}}))
	if s.Limits["memlock"] != [2]uint64{128 << 10, 128 << 10} {
		t.Errorf("memlock %v, want 128 KiB", s.Limits["memlock"])
	}
	if s.Limits["core"] != [2]uint64{valueFor(new(uint64), Unlimited), valueFor(new(uint64), Unlimited)} {
		t.Errorf("core %v, want no limit", s.Limits["core"])
	}
}

// Limits below what the launcher itself takes are the program's alone: here it
// is one that needs little.
func TestTightLimits(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	c := &Command{Name: "small", Path: "/bin/sh", Args: []string{"sh", "-c", "ulimit -v; ulimit -n"}, Rights: Rights{Limits: []Limit{{"as", 64 << 20}, {"nofile", 5}}}}
	p, err := Local{}.Start(Start{Command: c, Files: []*os.File{nil, write, os.Stderr}})
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(read)
	if exit := p.Wait(); err != nil || !exit.OK() || string(text) != "65536\n5\n" {
		t.Errorf("%v, %v: %q", err, exit, text)
	}
}

func TestChroot(t *testing.T) {
	needRoot(t)
	if _, err := os.Stat("/usr/bin/sh"); err != nil {
		t.Skip("/usr is no root of its own here")
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	c := &Command{
		Name: "app blog", Path: "sh", Args: []string{"sh", "-c", "pwd; ls -d /usr /bin/sh; ls -a .."}, Env: []string{"PATH=/nowhere:/bin"}, Dir: "/bin",
		Rights: Rights{Chroot: "/usr", User: &User{UID: 61001, GID: 61001}},
	}
	p, err := Local{}.Start(Start{Command: c, Files: []*os.File{nil, write, write}})
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	p.Wait()
	if !bytes.HasPrefix(text, []byte("/bin\n")) || !bytes.Contains(text, []byte("\n/bin/sh\n")) || bytes.Contains(text, []byte("\n/usr\n")) || bytes.Contains(text, []byte("\nproc\n")) {
		t.Errorf("in the chroot: %s", text)
	}
}

func TestLaunchFails(t *testing.T) {
	needRoot(t)
	user := &User{UID: 61001, GID: 61001, Name: "blog"}
	private := t.TempDir()
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(c *Command)
		want   string
		is     error
	}{
		{"chroot", func(c *Command) { c.Rights.Chroot = "/no/such/folder" }, "cannot start app blog as user blog: chroot /no/such/folder: no such file or directory", fs.ErrNotExist},
		{"chdir", func(c *Command) { c.Dir = "/no/such/folder" }, "cannot start app blog as user blog: chdir /no/such/folder: no such file or directory", fs.ErrNotExist},
		{"chdir of another's", func(c *Command) { c.Dir = private }, "cannot start app blog as user blog: chdir " + private + ": permission denied", fs.ErrPermission},
		{"a limit", func(c *Command) { c.Rights.Limits = []Limit{{"nofile", 1 << 60}} }, "cannot start app blog as user blog: setrlimit nofile: operation not permitted", syscall.EPERM},
		{"an unknown limit", func(c *Command) { c.Rights.Limits = []Limit{{"patience", 1}} }, "cannot start app blog as user blog: setrlimit patience: this system does not know the limit", nil},
		{"no program", func(c *Command) { c.Path = "/no/such/program" }, "cannot start app blog as user blog: exec /no/such/program: no such file or directory", fs.ErrNotExist},
		{"not on the PATH", func(c *Command) { c.Path, c.Env = "no-such-program", []string{"PATH=/bin:/usr/bin"} }, "cannot start app blog as user blog: exec no-such-program: executable file not found in $PATH", exec.ErrNotFound},
		{"not executable", func(c *Command) { c.Path = "/etc/passwd" }, "cannot start app blog as user blog: exec /etc/passwd: permission denied", fs.ErrPermission},
		{"a NUL", func(c *Command) { c.Args = []string{"report", "a\x00b"} }, "cannot start app blog as user blog: exec ", syscall.EINVAL},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := reporter(t, Rights{User: user})
			test.change(c)
			p, err := Local{}.Start(Start{Command: c})
			if err == nil {
				_ = p.Kill()
				p.Wait()
				t.Fatal("it starts")
			}
			if !strings.HasPrefix(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("got:  %v\nwant: %s", err, test.want)
			}
		})
	}
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		t.Errorf("a launcher that failed is left: pid %d, %v", pid, err)
	}
}

// Instructions beyond what a socket holds at a time.
func TestLaunchLargeEnvironment(t *testing.T) {
	mask := 0o22
	c := reporter(t, Rights{Umask: &mask})
	c.Env = []string{"A=" + strings.Repeat("x", 100_000), "B=" + strings.Repeat("y", 120_000)}
	for i := range 100 {
		c.Env = append(c.Env, "V"+strconv.Itoa(i)+"="+strings.Repeat("z", 10_000))
	}
	if s := run(t, c); !slices.Equal(s.Env, c.Env) {
		t.Errorf("%d variables of %d arrive", len(s.Env), len(c.Env))
	}
}

// parent starts a program with a lifeline, and says its process id.
func parent() {
	read, _, _ := os.Pipe()
	c := &Command{Name: "child", Path: "/bin/sh", Args: []string{"sh", "-c", "trap '' TERM HUP INT; sleep 1000 & echo $$ $!; wait"}, Lifeline: true}
	p, err := Local{}.Start(Start{Command: c, Files: []*os.File{read, os.Stdout, os.Stderr}})
	if err != nil {
		panic(err)
	}
	p.Wait()
	os.Exit(0)
}

// A process and its own child end with the one that started it, however that
// ended.
func TestLifeline(t *testing.T) {
	if !lifelines {
		t.Skip("this system has no lifelines")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: self, Args: []string{"parent"}, Stderr: os.Stderr}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 100)
	n, err := out.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for word := range strings.FieldsSeq(string(text[:n])) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if len(pids) != 2 {
		t.Fatalf("got %q", text[:n])
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err != nil {
			t.Fatalf("%d does not run: %v", pid, err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	deadline := time.Now().Add(busy)
	for _, pid := range pids {
		for alive(pid) {
			if time.Now().After(deadline) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
				t.Fatalf("%d outlives who started it", pid)
			}
			runtime.Gosched()
		}
	}
}

// alive is not true of a zombie that nobody reaps.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := bytes.Cut(stat, []byte(") "))
	return len(after) > 0 && after[0] != 'Z'
}

// The lifeline is closed with the process, and Kill ends the whole group.
func TestLifelineOfTheLiving(t *testing.T) {
	if !lifelines {
		t.Skip("this system has no lifelines")
	}
	before := descriptors(t)
	c := &Command{Name: "child", Path: "/bin/sh", Args: []string{"sh", "-c", "kill -STOP $$"}, Lifeline: true}
	for range 3 {
		p, err := Local{}.Start(Start{Command: c})
		if err != nil {
			t.Fatal(err)
		}
		if p.(*child).Lifeline() == nil {
			t.Error("there is no lifeline")
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		if exit := p.Wait(); exit.Signal != syscall.SIGKILL {
			t.Errorf("it %v", exit)
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, before it %d", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// BenchmarkStart is what the launcher costs.
func BenchmarkStart(b *testing.B) {
	mask := 0o22
	for name, rights := range map[string]Rights{"plain": {}, "launched": {Umask: &mask}} {
		b.Run(name, func(b *testing.B) {
			c := &Command{Name: "true", Path: "/bin/true", Args: []string{"true"}, Rights: rights}
			for b.Loop() {
				p, err := Local{}.Start(Start{Command: c})
				if err != nil {
					b.Fatal(err)
				}
				p.Wait()
			}
		})
	}
}
