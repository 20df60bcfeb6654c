package systemd

import (
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const pid = 1234

func TestTaken(t *testing.T) {
	for _, test := range []struct {
		name     string
		vars     map[string]string
		sockets  []string
		watchdog time.Duration
	}{
		{name: "not started by systemd"},
		{name: "sockets", vars: map[string]string{"LISTEN_PID": "1234", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "web:admin:x.socket"}, sockets: []string{"systemd:web", "systemd:admin", "systemd:x.socket"}},
		{name: "without names", vars: map[string]string{"LISTEN_PID": "1234", "LISTEN_FDS": "2"}, sockets: []string{"systemd:3", "systemd:4"}},
		{name: "a name twice", vars: map[string]string{"LISTEN_PID": "1234", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "web:web:admin"}, sockets: []string{"systemd:3", "systemd:4", "systemd:admin"}},
		{name: "fewer names", vars: map[string]string{"LISTEN_PID": "1234", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web"}, sockets: []string{"systemd:web", "systemd:4"}},
		{name: "for another process", vars: map[string]string{"LISTEN_PID": "1233", "LISTEN_FDS": "2", "NOTIFY_SOCKET": "/x", "WATCHDOG_PID": "1233", "WATCHDOG_USEC": "1000"}},
		{name: "no number", vars: map[string]string{"LISTEN_PID": "1234", "LISTEN_FDS": "two"}},
		{name: "too many", vars: map[string]string{"LISTEN_PID": "1234", "LISTEN_FDS": "1000000000"}},
		{name: "a negative one", vars: map[string]string{"LISTEN_PID": "1234", "LISTEN_FDS": "-1"}},
		{name: "watchdog", vars: map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_PID": "1234", "WATCHDOG_USEC": "30000000"}, watchdog: 30 * time.Second},
		{name: "watchdog of anybody", vars: map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "30000000"}, watchdog: 30 * time.Second},
		{name: "watchdog that nobody is told of", vars: map[string]string{"WATCHDOG_USEC": "30000000"}},
		{name: "watchdog beyond all time", vars: map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "9223372036854775807"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := taken(test.vars, pid)
			if got := s.Sockets(); !slices.Equal(got, test.sockets) {
				t.Errorf("sockets %q, want %q", got, test.sockets)
			}
			if len(s.Descriptors()) != len(test.sockets) {
				t.Errorf("descriptors %d", s.Descriptors())
			}
			if s.Watchdog() != test.watchdog {
				t.Errorf("watchdog %v, want %v", s.Watchdog(), test.watchdog)
			}
		})
	}
}

func TestSocket(t *testing.T) {
	s := taken(map[string]string{"LISTEN_PID": "1234", "LISTEN_FDS": "4", "LISTEN_FDNAMES": "web:two:two:7"}, pid)
	for name, want := range map[string]int{"web": 3, "3": 3, "4": 4, "5": 5, "7": 6} {
		if fd, err := s.Socket(name); err != nil || fd != want {
			t.Errorf("%s is %d, %v; want %d", name, fd, err, want)
		}
	}
	for name, want := range map[string]string{
		"two":   "systemd passed 2 sockets of that name: write systemd:4 or systemd:5",
		"other": "systemd passed no socket of that name, but systemd:web, systemd:4, systemd:5, systemd:7",
		"2":     "systemd passed no socket of that name, but ",
		"8":     "systemd passed no socket of that name, but ",
	} {
		if fd, err := s.Socket(name); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s is %d, %v; want %s", name, fd, err, want)
		}
	}
	if got, want := s.Unused([]string{"systemd:web", "systemd:5", "systemd:none", ":80"}), []string{"systemd:4", "systemd:7"}; !slices.Equal(got, want) {
		t.Errorf("unused: %q, want %q", got, want)
	}
	if _, err := new(Service).Socket("web"); err == nil || err.Error() != "systemd passed no sockets" {
		t.Errorf("without any: %v", err)
	}
}

// What is taken is not there any more, and can be handed on.
func TestTake(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	env := map[string]string{
		"LISTEN_PID": self, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "LISTEN_PIDFDID": "1",
		"NOTIFY_SOCKET": "@x", "WATCHDOG_PID": self, "WATCHDOG_USEC": "2000000",
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	s := Take()
	for name := range env {
		if value, ok := os.LookupEnv(name); ok {
			t.Errorf("%s=%s is left", name, value)
		}
	}
	vars := map[string]string{}
	for _, v := range s.Environ() {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	if again := taken(vars, os.Getpid()); !reflect.DeepEqual(again, s) || s.notify != "@x" || len(s.names) != 2 || s.watchdog != 2*time.Second {
		t.Errorf("handed on as %q it is %+v, was %+v", vars, again, s)
	}
	if env := new(Service).Environ(); len(env) != 0 {
		t.Errorf("of nothing: %q", env)
	}
}

// fake is systemd's end of a notify socket.
func fake(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func told(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestNotify(t *testing.T) {
	names := []string{filepath.Join(t.TempDir(), "notify")}
	if runtime.GOOS == "linux" {
		names = append(names, "@millrace-test-"+strconv.Itoa(os.Getpid()))
	}
	for _, name := range names {
		c := fake(t, name)
		s := taken(map[string]string{"NOTIFY_SOCKET": name}, pid)
		for _, test := range []struct{ what, status, want string }{
			{Ready, "2 apps serve", `^READY=1\nSTATUS=2 apps serve\n$`},
			{Reloading, "", `^RELOADING=1\nMONOTONIC_USEC=[0-9]+\n$`},
			{Stopping, "", `^STOPPING=1\n$`},
			{Alive, "", `^WATCHDOG=1\n$`},
			{Status, "a\nMAINPID=1\x00", `^STATUS=a MAINPID=1 \n$`},
			{Status, strings.Repeat("é", 1000), `^STATUS=(é){250}…\n$`},
		} {
			if err := s.Notify(test.what, test.status); err != nil {
				t.Fatal(err)
			}
			if got := told(t, c); !regexp.MustCompile(test.want).MatchString(got) {
				t.Errorf("%s: got %q, want %s", test.what, got, test.want)
			}
		}
		if err := s.Notify("READY=1\nMAINPID", ""); err == nil {
			t.Error("it tells what it does not know")
		}
	}
}

// The clock is that of systemd, which compares.
func TestMonotonic(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("systemd is Linux's")
	}
	text, err := os.ReadFile("/proc/uptime") // CLOCK_BOOTTIME, which is not less
	if err != nil {
		t.Fatal(err)
	}
	up, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	one := monotonic()
	if two := monotonic(); one <= 0 || two < one || one.Seconds() > up+1 {
		t.Errorf("%v, then %v, %v s after the start", one, two, up)
	}
}

// systemd may open its socket anew under the same name.
func TestNotifyAgain(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	c := fake(t, name)
	s := taken(map[string]string{"NOTIFY_SOCKET": name}, pid)
	if err := s.Notify(Ready, ""); err != nil {
		t.Fatal(err)
	}
	told(t, c)
	c.Close()
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := s.Notify(Alive, ""); err == nil {
		t.Error("nobody is told, and it is no error")
	}
	c = fake(t, name)
	if err := s.Notify(Alive, ""); err != nil {
		t.Fatal(err)
	}
	if got := told(t, c); got != "WATCHDOG=1\n" {
		t.Errorf("got %q", got)
	}
	if err := new(Service).Notify(Ready, "x"); err != nil {
		t.Errorf("where nobody is to be told: %v", err)
	}
}

// A socket is also found by where it listens, among those that are passed from a
// descriptor on that a test can have.
func TestBoundTo(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no sockets are passed there")
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("%s: %v", address, err) // no IPv6 here
			continue
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		at, ok := boundTo(int(f.Fd()))
		if want := l.Addr().(*net.TCPAddr).AddrPort(); !ok || at.Port() != want.Port() || at.Addr().Unmap() != want.Addr().Unmap() {
			t.Errorf("%s is bound to %v, %v", want, at, ok)
		}
		f.Close()
		l.Close()
	}
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	f, err := u.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if at, ok := boundTo(int(f.Fd())); ok {
		t.Errorf("a socket of datagrams listens on %v", at)
	}
}
