package server

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// When there is no room for anybody, the connection that has been idle for the
// longest time is closed for a new one; one that is not idle is not.
func TestIdleMakesRoom(t *testing.T) {
	a, dir := secureSite(t)
	text := strings.Replace(secure, `[app.main]`, "[[site]]\nlisten = \"127.0.0.2:0\"\nroot = \"{dir}/two\"\n[app.main]", 1)
	s := launch(t, parse(t, dir, "[server]\nmax_connections = 3\n"+text), newFakeApps())
	plain, secured := strings.TrimPrefix(s.url("127.0.0.2:0"), "http://"), s.hostPort("127.0.0.1:0")
	open := func(tlsToo bool) (net.Conn, *bufio.Reader) {
		t.Helper()
		var c net.Conn
		var err error
		if tlsToo {
			c, err = tls.Dial("tcp", secured, &tls.Config{ServerName: "two.test", RootCAs: a.roots})
		} else {
			c, err = net.Dial("tcp", plain)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		return c, bufio.NewReader(c)
	}
	get := func(c net.Conn, r *bufio.Reader) (status int) {
		t.Helper()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: two.test\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode
	}
	idle := func(n int) {
		t.Helper()
		eventually(t, "connections are parked", func() bool {
			var parked int
			s.mu.Lock()
			for _, f := range s.fronts {
				if f.http1 != nil && !f.http1.IdleSince().IsZero() {
					parked++
				}
			}
			s.mu.Unlock()
			return parked == n
		})
	}
	ended := func(c net.Conn) bool {
		_, err := c.Read(make([]byte, 1))
		return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
	}
	first, r1 := open(true)
	get(first, r1)
	idle(1)
	second, r2 := open(false)
	get(second, r2)
	busy, r3 := open(false)
	if _, err := io.WriteString(busy, "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	idle(2)
	third, r4 := open(false)
	if got := get(third, r4); got != 200 {
		t.Errorf("a fourth connection, while others are idle: %d", got)
	}
	if !ended(first) {
		t.Error("the oldest idle connection is open still")
	}
	fourth, r5 := open(false)
	if got := get(fourth, r5); got != 200 || !ended(second) {
		t.Errorf("one more: %d", got)
	}
	for _, c := range []net.Conn{third, fourth} {
		if _, err := io.WriteString(c, "G"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "there is no room while all are busy", func() bool {
		c, r := open(false)
		return get(c, r) == 503
	})
	if _, err := io.WriteString(busy, "Host: two.test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if res, err := http.ReadResponse(r3, nil); err != nil || res.StatusCode != 200 {
		t.Errorf("the one that was busy: %v, %v", res, err)
	}
}
