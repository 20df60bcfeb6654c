//go:build unix

package keeper

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"millrace/internal/listen"
)

// TestPacket: UDP is opened beside a listener that is the front's, where the
// plan says so, and nowhere else; and one alone has it.
func TestPacket(t *testing.T) {
	x := startKept(t, &Loaded{Addresses: []string{"127.0.0.1:0", "localhost:0", "unix:DIR/s.sock"}, Packets: []string{"127.0.0.1:0", "unix:DIR/s.sock"}})
	l, err := x.client.Listen("127.0.0.1:0", listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, owner, err := x.client.ListenPacket(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.LocalAddr().(*net.UDPAddr).Port, l.Addr().(*net.TCPAddr).Port; got != want {
		t.Errorf("UDP has port %d, TCP %d", got, want)
	}
	peer, err := net.Dial("udp", c.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	_, _ = peer.Write([]byte("x"))
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, _, err := c.ReadFrom(make([]byte, 8)); n != 1 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	// A second one waits for the first, however long that takes.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := x.client.ListenPacket(ctx, l); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second one: %v", err)
	}
	if err := x.client.WritePID(); err != nil { // by its reply the keeper knows that it was given up
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		again, _, err := x.client.ListenPacket(t.Context(), l)
		if err == nil {
			again.Close()
		}
		got <- err
	}()
	waits := make(chan int, 1)
	for n := 0; n == 0; {
		x.post(func() { waits <- len(x.held[packetKey("127.0.0.1:0")].waiting) })
		n = <-waits
	}
	c.Close()
	if last, err := owner.Release(); last || err != nil {
		t.Errorf("released: last is %v, %v", last, err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// TestPacketMayNot: what a front may not have.
func TestPacketMayNot(t *testing.T) {
	x := startKept(t, &Loaded{Addresses: []string{"127.0.0.1:0", "localhost:0", "unix:DIR/s.sock"}, Packets: []string{"127.0.0.1:0", "unix:DIR/s.sock"}})
	for name, address := range map[string]string{"an address without UDP": "localhost:0", "a Unix socket": "unix:" + x.dir + "/s.sock"} {
		l, err := x.client.Listen(address, listen.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, _, err := x.client.ListenPacket(t.Context(), l); err == nil {
			t.Errorf("%s: it was opened", name)
		}
	}
	for name, m := range map[string]*message{
		"a listener that is not there": {Do: "packet", Address: "127.0.0.1:0", Text: "127.0.0.1:0"},
		"another's key":                {Do: "packet", Address: "127.0.0.1:0", Text: "localhost:0"},
		"no key":                       {Do: "packet", Address: "127.0.0.1:0"},
	} {
		if _, err := x.client.ask(t.Context(), m); err == nil {
			t.Errorf("%s: it was opened", name)
		}
	}
}

// TestOpenFile: a front reads what the plan names.
func TestOpenFile(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.key", "b.key"} {
		if err := os.WriteFile(dir+"/"+name, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	x := startKept(t, &Loaded{Files: []string{dir + "/a.key"}})
	f, err := x.client.OpenFile(dir + "/a.key")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(f); string(b) != "a.key" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := f.Write([]byte("x")); err == nil {
		t.Error("it can be written")
	}
	for _, path := range []string{dir + "/b.key", dir + "/../" + dir + "/a.key", "", "/etc/shadow"} {
		if f, err := x.client.OpenFile(path); err == nil {
			f.Close()
			t.Errorf("%s was opened", path)
		}
	}
}
