//go:build unix

package keeper

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/internal/listen"
	"millrace/internal/supervise"
)

// fake is a front's process, which ends when it is told to.
type fake struct {
	signals chan syscall.Signal
	end     chan supervise.Exit
}

func (p *fake) PID() int                      { return 1 << 30 }
func (p *fake) Wait() supervise.Exit          { return <-p.end }
func (p *fake) Signal(s syscall.Signal) error { p.signals <- s; return nil }
func (p *fake) Kill() error {
	select {
	case p.end <- supervise.Exit{Signal: syscall.SIGKILL}:
	default:
	}
	return nil
}

// kept is a keeper with a front in this process.
type kept struct {
	*Keeper
	client *Client
	front  *fake
	status chan int // of Run
	dir    string
}

func startKept(t *testing.T, loaded *Loaded) *kept {
	t.Helper()
	dir := t.TempDir()
	x := &kept{front: &fake{make(chan syscall.Signal, 8), make(chan supervise.Exit, 1)}, status: make(chan int, 1), dir: dir}
	x.Keeper = New(Options{
		Load: func(context.Context) (*Loaded, error) { return nil, &Failure{Problem: "it is broken", Fix: "mend it"} },
		Log:  slog.New(slog.DiscardHandler), WritePID: func() error { return nil }, RemovePID: func() {},
		Serving: func(json.RawMessage) error { return nil },
		Program: "/bin/false", Args: []string{"false"},
	})
	for i, address := range loaded.Addresses {
		loaded.Addresses[i] = strings.ReplaceAll(address, "DIR", dir)
	}
	for address, mode := range loaded.Modes {
		loaded.Modes[strings.ReplaceAll(address, "DIR", dir)] = mode
	}
	for i, path := range loaded.Logs {
		loaded.Logs[i] = strings.ReplaceAll(path, "DIR", dir)
	}
	x.number, x.plans[1] = 1, loaded
	ours, theirs, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWire(ours)
	if err != nil {
		t.Fatal(err)
	}
	x.lastFront = 1
	x.current = &front{number: 1, plan: 1, process: x.front, wire: w, born: time.Now()}
	if err := w.send(&message{Do: "begin", Plan: 1, Body: json.RawMessage(`{}`), PID: os.Getpid()}); err != nil {
		t.Fatal(err)
	}
	x.watch(x.current)
	go func() {
		for x.ended == nil {
			(<-x.do)()
		}
		x.end()
		close(x.done)
		x.status <- *x.ended
	}()
	if x.client, err = Connect(theirs); err != nil {
		t.Fatal(err)
	}
	go x.client.Run(Events{HandOver: func(map[string]*os.File) {}, Resume: func() {}, Retire: func() {}, Gone: func() {}})
	t.Cleanup(func() {
		select {
		case x.front.end <- supervise.Exit{}:
		default:
		}
		<-x.done
	})
	return x
}

func command(name string, args ...string) map[string]*supervise.Command {
	return map[string]*supervise.Command{name: {Name: name, Path: args[0], Args: args, Env: []string{"SECRET=42"}}}
}

// TestStart: a front starts what the plan names, with its own descriptors and
// the keeper's environment, and hears of its end.
func TestStart(t *testing.T) {
	x := startKept(t, &Loaded{Commands: command("app main", "/bin/sh", "-c", "echo $SECRET {port}; exit 7")})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := x.client.Start(supervise.Start{
		Command: &supervise.Command{Name: "app main", Plan: 1, Path: "/bin/evil"},
		Files:   []*os.File{nil, w, nil}, Replace: map[string]string{"port": "123"},
	})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(r)
	if err != nil || string(said) != "42 123\n" {
		t.Errorf("%q, %v", said, err)
	}
	if e := p.Wait(); e.Code != 7 || e.Signal != 0 || e.Err != nil {
		t.Errorf("it ended: %v", e)
	}
	if err := p.Kill(); err != nil { // nobody's any more
		t.Error(err)
	}
}

func TestSignal(t *testing.T) {
	x := startKept(t, &Loaded{Commands: command("app main", "/bin/sleep", "600")})
	p, err := x.client.Start(supervise.Start{Command: &supervise.Command{Name: "app main", Plan: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if e := p.Wait(); e.Signal != syscall.SIGTERM {
		t.Errorf("it ended: %v", e)
	}
}

// TestFrontMayNot: a front that is somebody else's by now gets nothing that the
// plan does not name.
func TestFrontMayNot(t *testing.T) {
	x := startKept(t, &Loaded{
		Commands:  command("app main", "/bin/sh", "-c", "exit"),
		Addresses: []string{"unix:DIR/a.sock"}, Logs: []string{"DIR/a.log"}, Rotated: map[string]int{},
	})
	start := func(name string, plan int, replace map[string]string) error {
		_, err := x.client.Start(supervise.Start{Command: &supervise.Command{Name: name, Plan: plan, Path: "/bin/sh"}, Replace: replace})
		return err
	}
	for name, err := range map[string]error{
		"another command":  start("app other", 1, nil),
		"another plan":     start("app main", 2, nil),
		"a port of words":  start("app main", 1, map[string]string{"port": "1; rm"}),
		"a relative path":  start("app main", 1, map[string]string{"socket": "x"}),
		"another argument": start("app main", 1, map[string]string{"user": "root"}),
		"another log":      func() error { _, err := x.client.OpenLog(x.dir + "/b.log"); return err }(),
		"a log that stays": x.client.RotateLog(x.dir+"/a.log", 7),
		"another address":  func() error { _, err := x.client.Listen("127.0.0.1:0", listen.Options{}); return err }(),
		"another process":  func() error { _, err := x.client.Adopt(1); return err }(),
		"another request":  func() error { _, err := x.client.ask(t.Context(), &message{Do: "format"}); return err }(),
		"another mode":     (&owner{x.client, "unix:/etc/passwd"}).SetMode(0o777),
	} {
		var f *Failure
		if !errors.As(err, &f) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Signals to what is not its own go nowhere; this process lives on.
	_ = (&process{client: x.client, pid: os.Getpid()}).Kill()
	if _, err := x.client.OpenLog(x.dir + "/a.log"); err != nil {
		t.Errorf("its own log: %v", err)
	}
	x.post(func() { x.plans[1].Rotated[x.dir+"/a.log"] = 2 })
	if err := x.client.RotateLog(x.dir+"/a.log", 0); err != nil {
		t.Errorf("its own log's rotation: %v", err)
	}
	if _, err := os.Stat(x.dir + "/a.log.1"); err != nil {
		t.Error(err)
	}
}

// TestListen: the keeper's socket is served by the front, and gone with its
// release.
func TestListen(t *testing.T) {
	x := startKept(t, &Loaded{Addresses: []string{"unix:DIR/a.sock", "127.0.0.1:0"}, Modes: map[string]fs.FileMode{"unix:DIR/a.sock": 0o600}})
	path := filepath.Join(x.dir, "a.sock")
	x.post(func() { x.plans[2] = &Loaded{Modes: map[string]fs.FileMode{"unix:" + path: 0o660}} })
	l, err := x.client.Listen("unix:"+path, listen.Options{Mode: 0o600})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := l.SetMode(0o660); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}

	a, err := x.client.Listen("127.0.0.1:0", listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := x.client.Listen("127.0.0.1:0", listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if a.Addr().String() == b.Addr().String() {
		t.Errorf("both are %v", a.Addr())
	}
	server := &http.Server{Handler: http.NotFoundHandler()}
	go server.Serve(b)
	resp, err := http.Get("http://" + b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if err := errors.Join(a.Close(), server.Close()); err != nil {
		t.Error(err)
	}
	if _, err := http.Get("http://" + b.Addr().String()); err == nil {
		t.Error("it answers still")
	}
}

func TestListenInUse(t *testing.T) {
	x := startKept(t, &Loaded{Addresses: []string{"unix:DIR/a.sock"}})
	path := filepath.Join(x.dir, "a.sock")
	l, err := listen.Open("unix:"+path, listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = x.client.Listen("unix:"+path, listen.Options{})
	var f *Failure
	if !errors.Is(err, syscall.EADDRINUSE) || !errors.As(err, &f) || f.Hint() == "" {
		t.Errorf("%#v", err)
	}
}

func TestLoadFails(t *testing.T) {
	x := startKept(t, &Loaded{})
	_, _, err := x.client.Load(t.Context())
	var f *Failure
	if !errors.As(err, &f) || f.Problem != "it is broken" || f.Fix != "mend it" {
		t.Errorf("%v", err)
	}
}

// TestEnd: what the front ends with is what the keeper ends with, and its
// processes go with it.
func TestEnd(t *testing.T) {
	x := startKept(t, &Loaded{Commands: command("app main", "/bin/sleep", "600")})
	p, err := x.client.Start(supervise.Start{Command: &supervise.Command{Name: "app main", Plan: 1}})
	if err != nil {
		t.Fatal(err)
	}
	x.Signal(syscall.SIGTERM)
	if s := <-x.front.signals; s != syscall.SIGTERM {
		t.Errorf("the front got %v", s)
	}
	x.front.end <- supervise.Exit{Code: 5}
	if status := <-x.status; status != 5 {
		t.Errorf("status %d", status)
	}
	for deadline := time.Now().Add(10 * time.Second); syscall.Kill(p.PID(), 0) == nil; {
		if time.Now().After(deadline) {
			t.Fatal("its process lives on")
		}
		time.Sleep(time.Millisecond)
	}
}

// frame is a message as it is sent.
func frame(size, files uint32, text string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, size)
	b = binary.LittleEndian.AppendUint32(b, files)
	return append(b, text...)
}

// TestReceiveInvalid: what is no message is an error, and allocates nothing by
// what it declares.
func TestReceiveInvalid(t *testing.T) {
	for name, b := range map[string][]byte{
		"half a head": frame(1, 0, "")[:5],
		"too large":   frame(maxMessage+1, 0, "{}"),
		"cut short":   frame(100, 0, "{}"),
		"no files":    frame(2, 3, "{}"),
		"not JSON":    frame(2, 0, "{{"),
	} {
		if _, err := receiveFrom(t, b); err == nil || errors.Is(err, io.EOF) && name != "half a head" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m, err := receiveFrom(t, frame(13, 0, `{"do":"start"}`)); err == nil {
		t.Errorf("one byte short: %+v", m)
	}
}

func receiveFrom(t testing.TB, b []byte) (*message, error) {
	t.Helper()
	ours, theirs, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWire(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer w.conn.Close()
	go func() {
		defer ours.Close()
		_, _ = ours.Write(b)
	}()
	return w.receive()
}

// FuzzReceive: what is received is sent again as it was.
func FuzzReceive(f *testing.F) {
	f.Add(frame(14, 0, `{"do":"start"}`))
	f.Add(frame(30, 0, `{"id":1,"do":"reply","pid":99}`))
	f.Add(frame(2, 1, `{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := receiveFrom(t, b)
		if err != nil {
			return
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		again, err := receiveFrom(t, frame(uint32(len(text)), 0, string(text)))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		twice, err := json.Marshal(again)
		if err != nil || !bytes.Equal(text, twice) {
			t.Errorf("%s, then %s, %v", text, twice, err)
		}
	})
}

// TestStartOfRequest: a program that is started for each request gets of it
// what may be, and any other program nothing.
func TestStartOfRequest(t *testing.T) {
	commands := command("app cgi", "/bin/sh", "-c", `echo "$SECRET $HTTP_X $1"; exit`, "sh")
	commands["app cgi"].PerRequest = true
	commands["app main"] = command("app main", "/bin/sh", "-c", "exit")["app main"]
	x := startKept(t, &Loaded{Commands: commands})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := x.client.Start(supervise.Start{
		Command: &supervise.Command{Name: "app cgi", Plan: 1}, Files: []*os.File{nil, w},
		Env: []string{"HTTP_X=\xffx"}, Args: []string{"word"},
	})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(r); err != nil || string(said) != "42 \xffx word\n" {
		t.Errorf("%q, %v", said, err)
	}
	p.Wait()
	for what, s := range map[string]supervise.Start{
		"a variable of the loader":       {Command: &supervise.Command{Name: "app cgi", Plan: 1}, Env: []string{"LD_PRELOAD=/tmp/x"}},
		"an option":                      {Command: &supervise.Command{Name: "app cgi", Plan: 1}, Args: []string{"-e"}},
		"a variable for another program": {Command: &supervise.Command{Name: "app main", Plan: 1}, Env: []string{"HTTP_X=1"}},
		"an argument of another program": {Command: &supervise.Command{Name: "app main", Plan: 1}, Args: []string{"word"}},
	} {
		var f *Failure
		if _, err := x.client.Start(s); !errors.As(err, &f) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
