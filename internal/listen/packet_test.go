package listen

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
)

func TestOpenPacket(t *testing.T) {
	l := open(t, "127.0.0.1:0", Options{})
	port := l.Addr().(*net.TCPAddr).Port
	c, err := OpenPacket("127.0.0.1:0", port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.LocalAddr().(*net.UDPAddr); got.Port != port || !got.IP.IsLoopback() {
		t.Errorf("it is %v, want port %d of the loopback", got, port)
	}
	_, err = OpenPacket("127.0.0.1:0", port)
	var why *Error
	if !errors.As(err, &why) || !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(why.Hint(), "http3 = false") || !strings.Contains(err.Error(), "UDP 127.0.0.1:0") {
		t.Errorf("a second one: %v", err)
	}
}

func TestGivenPacket(t *testing.T) {
	c, err := OpenPacket("127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	given, err := GivenPacket("127.0.0.1:0", f)
	if err != nil {
		t.Fatal(err)
	}
	defer given.Close()
	if given.LocalAddr().String() != c.LocalAddr().String() {
		t.Errorf("it is %v, want %v", given.LocalAddr(), c.LocalAddr())
	}
	l := open(t, "127.0.0.1:0", Options{})
	tcp, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	if given, err := GivenPacket("127.0.0.1:0", tcp); err == nil {
		given.Close()
		t.Error("TCP passes for UDP")
	}
}

func TestIsTCP(t *testing.T) {
	for address, want := range map[string]bool{":443": true, "127.0.0.1:443": true, "[::1]:443": true, "unix:/x": false, "systemd:web": false, "fd:0": false} {
		if got := IsTCP(address); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}
