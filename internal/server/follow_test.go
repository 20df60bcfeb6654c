package server

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"millrace/internal/listen"
)

// sharing is a keeper whose sockets another server serves too.
type sharing struct {
	itself
	sockets map[string]*listen.Listener // by address
	taken   chan struct{}               // closed by Take
}

func (k *sharing) Listen(address string, o listen.Options) (*listen.Listener, error) {
	l := k.sockets[address]
	if l == nil {
		return k.itself.Listen(address, o)
	}
	f, err := l.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return listen.Given(address, f, sharedOwner{}, o)
}

func (k *sharing) Take() error { close(k.taken); return nil }

// sharedOwner keeps its socket, which somebody serves, whoever releases it.
type sharedOwner struct{ listen.Owner }

func (sharedOwner) Release() (bool, error) { return false, nil }

const followed = `
[server]
control = "{dir}/c.sock"
[[site]]
listen = ["unix:{dir}/s.sock"]
[[site.route]]
path = "/other"
app = "other"
[[site.route]]
app = "main"
[app.main]
wsgi = "one:app"
[app.other]
wsgi = "two:app"
`

// follower is a server that follows another at the same addresses. Its app
// "other" is late.
func follower(t *testing.T) (s *serving, k *sharing, old *listen.Listener, late chan struct{}) {
	t.Helper()
	dir := t.TempDir()
	old, err := listen.Open("unix:"+dir+"/s.sock", listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { old.Close() })
	control, err := listen.Open("unix:"+dir+"/c.sock", listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { control.Close() })
	apps := newFakeApps()
	late = make(chan struct{})
	apps.late = map[string]chan struct{}{"other": late}
	k = &sharing{taken: make(chan struct{}), sockets: map[string]*listen.Listener{old.Address(): old, control.Address(): control}}
	s = unlaunched(t, Options{Plan: parse(t, dir, followed), Keeper: k, Handed: map[string]*os.File{}}, apps)
	k.server = s.Server
	return s, k, old, late
}

// wantAccepted looks at what the client sent whom the old server accepts next.
func wantAccepted(t *testing.T, l *listen.Listener, said string) {
	t.Helper()
	accepted := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, len(said))
		n, _ := c.Read(b)
		accepted <- string(b[:n])
	}()
	select {
	case got := <-accepted:
		if got != said {
			t.Errorf("the old server read %q, want %q", got, said)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("the old server accepts nobody any more; want who said %q", said)
	}
}

func connect(t *testing.T, address, say string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", strings.TrimPrefix(address, "unix:"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write([]byte(say)); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestFollowFails: an app that fails beside the server that serves: nothing was
// accepted meanwhile, who waits is that server's, and the error has it all.
func TestFollowFails(t *testing.T) {
	s, k, old, late := follower(t)
	s.apps.fail["two:app"] = errors.New("Traceback (most recent call last)\nSyntaxError")
	s.launch()
	<-k.taken
	<-s.apps.get("main").ready
	connect(t, old.Address(), "early")
	if n := len(s.Snapshot().Listen); n != 0 {
		t.Errorf("it serves %d addresses although an app is not ready", n)
	}
	connect(t, "unix:"+s.opt.Plan.control(), "x") // whoever asks asks the old one
	close(late)
	var err error
	select {
	case err = <-s.ended:
	case <-time.After(10 * time.Second):
		t.Fatal("it serves without an app")
	}
	var failed *FollowError
	if !errors.As(err, &failed) || failed.App != "other" || !strings.Contains(err.Error(), "app other") || !strings.Contains(err.Error(), "SyntaxError") || failed.Hint() == "" {
		t.Errorf("Run: %v", err)
	}
	wantAccepted(t, old, "early")
	connect(t, old.Address(), "after") // the socket lives, and so does its file
	wantAccepted(t, old, "after")
	wantAccepted(t, k.sockets["unix:"+s.opt.Plan.control()], "x")
	select {
	case <-s.Started():
		t.Error("it has started")
	default:
	}
	select {
	case <-s.apps.get("main").done:
	default:
		t.Error("the app that did not fail runs on")
	}
}

// TestFollow: once all apps serve, it accepts.
func TestFollow(t *testing.T) {
	s, k, old, late := follower(t)
	s.launch()
	<-k.taken
	c := connect(t, old.Address(), "GET /other HTTP/1.0\r\n\r\n")
	<-s.apps.get("main").ready
	close(late)
	select {
	case <-s.Started():
	case err := <-s.ended:
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 12)
	if _, err := c.Read(b); err != nil || string(b) != "HTTP/1.0 200" {
		t.Errorf("%q, %v", b, err)
	}
	s.cancel()
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

// TestFollowStopped: a stop before it serves is no failure.
func TestFollowStopped(t *testing.T) {
	s, k, _, late := follower(t)
	s.launch()
	<-k.taken
	s.cancel()
	close(late)
	if err := <-s.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}
