//go:build unix

package fcgi

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func init() {
	// What a front server starts: it serves descriptor 0.
	children["serve"] = func() error {
		l, err := Inherited()
		if err != nil {
			return err
		}
		allow, err := AllowFromEnviron()
		if err != nil {
			return err
		}
		return (&Server{Allow: allow, Handler: http.HandlerFunc(echo)}).Serve(l)
	}
}

// child starts the test binary with stdin as its descriptor 0.
func child(t *testing.T, stdin *os.File, environ ...string) (cmd *exec.Cmd, out *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd, out = exec.Command(self), &bytes.Buffer{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, out, out
	cmd.Env = append(os.Environ(), "FCGI_TEST_CHILD=serve")
	cmd.Env = append(cmd.Env, environ...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// listener is a socket as a front server opens it, and its address.
func listener(t *testing.T, network, address string) (*os.File, string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	file, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if network == "unix" {
		return file, "unix:" + address
	}
	return file, l.Addr().String()
}

func TestInherited(t *testing.T) {
	for network, address := range map[string]string{"unix": t.TempDir() + "/s", "tcp": "127.0.0.1:0"} {
		t.Run(network, func(t *testing.T) {
			file, address := listener(t, network, address)
			cmd, _ := child(t, file)
			c := &Client{Address: address}
			defer c.Close()
			resp, err := c.RoundTrip(t.Context(), post("from the front"))
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(resp.Body); string(b) != "from the front" || err != nil {
				t.Errorf("%q, %v", b, err)
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
}

func TestPlainCGI(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	connected, other := os.NewFile(uintptr(pair[0]), "connected"), os.NewFile(uintptr(pair[1]), "other")
	defer connected.Close()
	defer other.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	socket, _ := listener(t, "tcp", "127.0.0.1:0")
	for name, test := range map[string]struct {
		stdin *os.File
		env   string
	}{
		"a file":                {null, ""},
		"a connected socket":    {connected, ""},
		"a socket, but told so": {socket, "FCGI_FORCE_CGI=Y"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, out := child(t, test.stdin, test.env)
			if err := cmd.Wait(); err == nil || !strings.Contains(out.String(), "this is plain CGI") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	if _, err := Inherited(); !errors.Is(err, ErrPlainCGI) { // go test gives us no socket
		t.Error(err)
	}
}

func TestAllowFromEnviron(t *testing.T) {
	t.Setenv("FCGI_WEB_SERVER_ADDRS", "")
	if allow, err := AllowFromEnviron(); allow != nil || err != nil {
		t.Errorf("an empty list: %v", err)
	}
	for _, bad := range []string{"localhost", "127.0.0.1,", "127.0.0.1 10.0.0.1", "127.0.0.1:9000", "10.0.0.0/8"} {
		t.Setenv("FCGI_WEB_SERVER_ADDRS", bad)
		if _, err := AllowFromEnviron(); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	t.Setenv("FCGI_WEB_SERVER_ADDRS", "10.1.2.3, ::1")
	allow, err := AllowFromEnviron()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		addr net.Addr
		want bool
	}{
		{&net.TCPAddr{IP: net.ParseIP("10.1.2.3"), Port: 5}, true}, // in 16 bytes
		{&net.TCPAddr{IP: net.IPv4(10, 1, 2, 3).To4()}, true},
		{&net.TCPAddr{IP: net.IPv6loopback}, true},
		{&net.TCPAddr{IP: net.ParseIP("10.1.2.4")}, false},
		{&net.UnixAddr{Name: "/s", Net: "unix"}, true},
	} {
		if allow(test.addr) != test.want {
			t.Errorf("%v: %v", test.addr, !test.want)
		}
	}
	dial, log := serve(t, &Server{Allow: allow, Handler: http.HandlerFunc(ok)})
	dial().closed()
	log.once(t, "its address is not among those allowed")
}
