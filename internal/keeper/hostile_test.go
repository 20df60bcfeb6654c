//go:build unix

package keeper

// What a front that is somebody else's, or an app's user, may try with files
// and processes.

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"millrace/internal/listen"
	"millrace/internal/supervise"
)

// TestModeOfTheSocketAlone: what was put in a socket's place keeps its mode,
// and no mode is given that the plan does not have.
func TestModeOfTheSocketAlone(t *testing.T) {
	x := startKept(t, &Loaded{Addresses: []string{"unix:DIR/a.sock"}, Modes: map[string]fs.FileMode{"unix:DIR/a.sock": 0o660}})
	path, target := filepath.Join(x.dir, "a.sock"), filepath.Join(x.dir, "target")
	var f *Failure
	if _, err := x.client.Listen("unix:"+path, listen.Options{Mode: 0o666}); !errors.As(err, &f) {
		t.Errorf("another mode than the plan's: %v", err)
	}
	l, err := x.client.Listen("unix:"+path, listen.Options{Mode: 0o660})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SetMode(0o600); !errors.As(err, &f) {
		t.Errorf("another mode than the plan's: %v", err)
	}
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(path, path+".old"), os.Symlink(target, path)); err != nil {
		t.Fatal(err)
	}
	if err := l.SetMode(0o660); !errors.As(err, &f) {
		t.Errorf("a symbolic link in its place: %v", err)
	}
	if info, err := os.Stat(target); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the target's mode is %v, %v", info.Mode(), err)
	}
}

// TestLogIsNoPipe: a named pipe that nobody reads, in a log's place, does not
// hold the keeper up.
func TestLogIsNoPipe(t *testing.T) {
	x := startKept(t, &Loaded{Logs: []string{"DIR/a.log"}})
	path := filepath.Join(x.dir, "a.log")
	if err := syscall.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		_, err := x.client.OpenLog(path)
		opened <- err
	}()
	select {
	case err := <-opened:
		var f *Failure
		if !errors.As(err, &f) || f.Hint() == "" {
			t.Errorf("%v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the keeper waits for a reader")
		r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		<-opened
		r.Close()
	}
}

func TestCheckReplacement(t *testing.T) {
	for value, ok := range map[string]bool{
		"/tmp/millrace-12/socket": true, "/run/user/1000/a_b.c-d/s": true,
		"": false, "tmp/x": false, "/tmp/../etc/x": false, "/tmp/a b": false, "/tmp/$(id)": false, "/tmp/a,chmod=777": false,
		"/tmp/a\n": false, "/tmp/é": false, "/" + string(make([]byte, 200)): false,
	} {
		if err := checkReplacement("socket", value); (err == nil) != ok {
			t.Errorf("socket %q: %v", value, err)
		}
	}
	for value, ok := range map[string]bool{"1": true, "65535": true, "": false, "123456": false, "-1": false, "8x": false} {
		if err := checkReplacement("port", value); (err == nil) != ok {
			t.Errorf("port %q: %v", value, err)
		}
	}
}

// slow starts processes when it is let.
type slow struct {
	asked, let chan struct{}
	process    chan supervise.Process
}

func (s *slow) Start(start supervise.Start) (supervise.Process, error) {
	s.asked <- struct{}{}
	<-s.let
	p, err := supervise.Local{}.Start(start)
	if err == nil {
		s.process <- p
	}
	return p, err
}

// startSlow is startKept with a command that is slow to start.
func startSlow(t *testing.T) (*kept, *slow) {
	x := startKept(t, &Loaded{Commands: command("app main", "/bin/sleep", "600"), Addresses: []string{"127.0.0.1:0"}})
	s := &slow{make(chan struct{}, maxStarts+1), make(chan struct{}), make(chan supervise.Process, maxStarts)}
	x.post(func() { x.starter = s })
	return x, s
}

func (x *kept) startMain() (supervise.Process, error) {
	return x.client.Start(supervise.Start{Command: &supervise.Command{Name: "app main", Plan: 1}})
}

// gone waits for the end of a process.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil; {
		if time.Now().After(deadline) {
			t.Fatal("the process lives on, or nobody has reaped it")
		}
		time.Sleep(time.Millisecond)
	}
}

// TestSlowStart: while a process starts the keeper does what else is asked.
func TestSlowStart(t *testing.T) {
	x, s := startSlow(t)
	started := make(chan error, 1)
	go func() {
		p, err := x.startMain()
		if err == nil {
			err = p.Kill()
		}
		started <- err
	}()
	<-s.asked
	l, err := x.client.Listen("127.0.0.1:0", listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	x.Signal(syscall.SIGHUP)
	if sig := <-x.front.signals; sig != syscall.SIGHUP {
		t.Errorf("the front got %v", sig)
	}
	x.post(func() {
		if x.starting != 1 {
			t.Errorf("%d starts are under way", x.starting)
		}
	})
	close(s.let)
	if err := <-started; err != nil {
		t.Error(err)
	}
	gone(t, (<-s.process).PID())
	x.post(func() {
		if x.starting != 0 {
			t.Errorf("%d starts are under way", x.starting)
		}
	})
}

// TestSlowStartOfTheDead: a process that starts after its front's end is
// killed and reaped, and the keeper's end waits for it.
func TestSlowStartOfTheDead(t *testing.T) {
	x, s := startSlow(t)
	go x.startMain()
	<-s.asked
	x.front.end <- supervise.Exit{Code: 5}
	for dead := false; !dead; {
		looked := make(chan bool, 1)
		if !x.post(func() { looked <- x.current == nil }) {
			t.Fatal("the keeper has ended before its process")
		}
		dead = <-looked
	}
	close(s.let)
	gone(t, (<-s.process).PID())
	if status := <-x.status; status != 5 {
		t.Errorf("status %d", status)
	}
}

// TestBounds: a front may have so much and no more.
func TestBounds(t *testing.T) {
	x, s := startSlow(t)
	results := make(chan error, maxStarts)
	for range maxStarts {
		go func() {
			_, err := x.startMain()
			results <- err
		}()
		<-s.asked
	}
	var f *Failure
	if _, err := x.startMain(); !errors.As(err, &f) || f.Hint() == "" {
		t.Errorf("one start more: %v", err)
	}
	x.post(func() {
		x.current.starting -= maxStarts
		for i := range maxProcesses {
			x.procs[-i-2] = &owned{process: x.front, front: x.current}
		}
	})
	if _, err := x.startMain(); !errors.As(err, &f) || f.Hint() == "" {
		t.Errorf("one process more: %v", err)
	}
	x.post(func() {
		x.current.starting += maxStarts
		clear(x.procs)
	})
	go func() {
		for range maxStarts {
			(<-s.process).Kill()
		}
	}()
	close(s.let)
	for range maxStarts {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	for range maxAnyPort {
		if _, err := x.client.Listen("127.0.0.1:0", listen.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := x.client.Listen("127.0.0.1:0", listen.Options{}); !errors.As(err, &f) {
		t.Errorf("one socket more: %v", err)
	}
}

// TestNeedlessDescriptors: a front that sends descriptors where none belong is
// killed, and the keeper goes on: their close, which may take long, is not its
// loop's.
func TestNeedlessDescriptors(t *testing.T) {
	x := startKept(t, &Loaded{})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := x.client.wire.send(&message{Do: "notify", Text: "READY=1"}, w); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := r.Read(make([]byte, 1)); err == nil {
		t.Error("the descriptor was not closed")
	}
	if status := <-x.status; status == 0 {
		t.Error("the front was not killed")
	}
}
