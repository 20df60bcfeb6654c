package e2e

// millrace as a service of systemd, with the test in systemd's place.

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// manager is systemd's end of a notify socket.
type manager struct {
	mu   sync.Mutex
	told []notification
}

// notification is a message and who sent it.
type notification struct {
	text string
	pid  int
}

func newManager(t *testing.T, name string) *manager {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) }); err != nil {
		t.Fatal(err)
	}
	m := &manager{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b, oob := make([]byte, 4096), make([]byte, 1024)
		for {
			n, oobn, _, _, err := c.ReadMsgUnix(b, oob)
			if err != nil {
				return
			}
			told := notification{text: string(b[:n])}
			if all, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil && len(all) == 1 {
				if cred, err := unix.ParseUnixCredentials(&all[0]); err == nil {
					told.pid = int(cred.Pid)
				}
			}
			m.mu.Lock()
			m.told = append(m.told, told)
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() { c.Close(); <-ended })
	return m
}

// count is how many messages match.
func (m *manager) count(re string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, one := range m.told {
		if regexp.MustCompile(re).MatchString(one.text) {
			n++
		}
	}
	return n
}

// service starts millrace in a folder as systemd starts a service: files are
// its sockets.
func service(t *testing.T, dir, notify, names string, files ...*os.File) *server {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=$$; export LISTEN_PID WATCHDOG_PID; exec "$0" serve`, binary)
	cmd.ExtraFiles = files
	cmd.Env = []string{"NOTIFY_SOCKET=" + notify, "WATCHDOG_USEC=200000",
		"LISTEN_FDS=" + strconv.Itoa(len(files)), "LISTEN_FDNAMES=" + names}
	return begin(t, dir, cmd)
}

const variablesApp = `
import json, os

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(sorted(os.environ)).encode()]
`

func TestSystemd(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("app.py", variablesApp)
	config := func(listen string) {
		put("millrace.toml", "[server]\ncontrol = \"control.sock\"\n[[site]]\nlisten = ["+listen+"]\n[[site.route]]\napp = \"main\"\n[app.main]\nwsgi = \"app:application\"\nworkers = 1\n")
	}
	config(`"systemd:web", "systemd:4"`)

	web, webFile := socket(t, "tcp", "127.0.0.1:0")
	_, localFile := socket(t, "unix", filepath.Join(dir, "local.sock"))
	late, lateFile := socket(t, "tcp", "127.0.0.1:0")
	m := newManager(t, filepath.Join(dir, "notify"))
	s := service(t, dir, filepath.Join(dir, "notify"), "web:local:late", webFile, localFile, lateFile)
	s.waitFor("ready", func() bool { return m.count(`^READY=1\nSTATUS=serving app main\n$`) == 1 })
	s.waitFor("the socket that nobody listens on is named", func() bool {
		return strings.Contains(s.log.String(), "systemd passed the socket systemd:late, and nothing listens on it")
	})

	// Over both sockets, and the app knows nothing of all that.
	variables := get(t, http.DefaultClient, "http://"+web+"/", 200).text
	for _, name := range []string{"LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_"} {
		if strings.Contains(variables, name) {
			t.Errorf("the app has %s: %s", name, variables)
		}
	}
	local := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "local.sock"))
	}}}
	get(t, local, "http://local/", 200)

	beats := func(what string) {
		t.Helper()
		before := m.count(`^WATCHDOG=1\n$`)
		s.waitFor("the watchdog hears of it "+what, func() bool { return m.count(`^WATCHDOG=1\n$`) >= before+3 })
	}
	beats("while it serves")

	s.run("reload")
	s.waitFor("a reload is told", func() bool {
		return m.count(`^RELOADING=1\nMONOTONIC_USEC=[0-9]+\nSTATUS=.`) == 1 && m.count(`^READY=1\n`) == 2
	})
	put("millrace.toml", "nothing = 1\n")
	if out, code := s.try("reload", "--control", "control.sock"); code == 0 {
		t.Errorf("a reload of nothing: %s", out)
	}
	s.waitFor("a reload that failed is told", func() bool {
		return m.count(`^READY=1\nSTATUS=serving app main; the last reload failed: .`) == 1
	})

	// The next program has the sockets and the watchdog.
	config(`"systemd:web", "systemd:4"`)
	s.run("upgrade")
	beats("after an upgrade")
	get(t, http.DefaultClient, "http://"+web+"/", 200)
	config(`"systemd:web", "systemd:4", "systemd:late"`)
	s.run("reload")
	get(t, http.DefaultClient, "http://"+late+"/", 200)

	// A front that is stuck is not alive, whatever its keeper is.
	front := s.front()
	if err := syscall.Kill(front, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	quiet := time.NewTimer(time.Second)
	before := m.count(`^WATCHDOG=1\n$`)
	<-quiet.C // five times what it has
	if after := m.count(`^WATCHDOG=1\n$`); after > before+1 {
		t.Errorf("stopped, it is alive %d times", after-before)
	}
	if err := syscall.Kill(front, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	beats("when it goes on")

	s.stop()
	if m.count(`^STOPPING=1\n`) != 1 {
		t.Error("its end is not told, or more than once")
	}
	m.mu.Lock()
	for _, one := range m.told {
		if one.pid != s.cmd.Process.Pid {
			t.Errorf("%q comes from process %d, and systemd started %d", one.text, one.pid, s.cmd.Process.Pid)
		}
	}
	m.mu.Unlock()

	// Between two services nobody is refused: who connects waits.
	waiting := make(chan error, 2)
	for client, url := range map[*http.Client]string{http.DefaultClient: "http://" + web + "/", local: "http://local/"} {
		go func() {
			resp, err := client.Get(url)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			waiting <- err
		}()
	}
	service(t, dir, "@millrace-test-"+strconv.Itoa(os.Getpid()), "web:local:late", webFile, localFile, lateFile)
	for range 2 {
		select {
		case err := <-waiting:
			if err != nil {
				t.Errorf("who connected between two services: %v", err)
			}
		case <-time.After(limit):
			t.Fatal("who connected between two services waits for ever")
		}
	}
}

// socket opens a listening socket, as systemd does, and returns its address.
func socket(t *testing.T, network, address string) (string, *os.File) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	t.Cleanup(func() { f.Close() })
	address = l.Addr().String()
	l.Close()
	return address, f
}

// Without the socket that the configuration names nothing is served, and the
// error says what there is.
func TestSystemdWithoutTheSocket(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"app.py":        variablesApp,
		"millrace.toml": "[server]\ncontrol = \"control.sock\"\n[[site]]\nlisten = \"systemd:web\"\n[[site.route]]\napp = \"main\"\n[app.main]\nwsgi = \"app:application\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, other := socket(t, "tcp", "127.0.0.1:0")
	s := service(t, dir, filepath.Join(dir, "none"), "other", other)
	select {
	case <-s.ended:
	case <-time.After(limit):
		t.Fatal("it serves")
	}
	if want := "cannot listen on systemd:web: systemd passed no socket of that name, but systemd:other"; !strings.Contains(s.log.String(), want) || s.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v: %s", s.cmd.ProcessState, s.log)
	}
}

// A socket that systemd has opened at an address of the configuration is taken,
// by a configuration that knows nothing of systemd, and stays for the next.
func TestSystemdByAddress(t *testing.T) {
	dir := t.TempDir()
	web, file := socket(t, "tcp", "127.0.0.1:0")
	for name, text := range map[string]string{
		"app.py":        variablesApp,
		"millrace.toml": "[server]\ncontrol = \"control.sock\"\n[[site]]\nlisten = \"" + web + "\"\n[[site.route]]\napp = \"main\"\n[app.main]\nwsgi = \"app:application\"\nworkers = 1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := newManager(t, filepath.Join(dir, "notify"))
	for n := 1; n <= 2; n++ {
		s := service(t, dir, filepath.Join(dir, "notify"), "my.socket", file)
		s.waitFor("ready", func() bool { return m.count(`^READY=1\nSTATUS=serving app main\n$`) == n })
		get(t, http.DefaultClient, "http://"+web+"/", 200)
		if strings.Contains(s.log.String(), "nothing listens on it") {
			t.Errorf("the socket is said to be unused: %s", s.log)
		}
		s.run("upgrade")
		get(t, http.DefaultClient, "http://"+web+"/", 200)
		http.DefaultClient.CloseIdleConnections()
		s.stop()
		// Who connects now waits for the next.
		c, err := net.Dial("tcp", web)
		if err != nil {
			t.Fatalf("nobody listens between two services: %v", err)
		}
		c.Close()
	}
}
