package server

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestMisdirected: a request is answered on a connection that is for its name,
// or whose certificate is, over each protocol.
func TestMisdirected(t *testing.T) {
	a, dir := secureSite(t)
	a.issue(t, dir, "both", false, "both.test", "two.test")
	const more = `
[[site]]
listen = ["127.0.0.1:0"]
hosts = ["both.test"]
respond = "both"
[site.tls]
certificate = "{dir}/both.pem"
key = "{dir}/both.key"
`
	text := secure + strings.Replace(more, `respond = "both"`, `access_log = "{dir}/access.log"`, 1) + "[[site.route]]\nrespond = \"both\"\n"
	s := launch(t, parse(t, dir, text), newFakeApps())
	at := s.hostPort("127.0.0.1:0")
	for _, test := range []struct {
		asked, host string
		status      int
	}{
		{"two.test", "two.test", 200},
		{"two.test", "two.test:8443", 200},
		{"two.test", "TWO.test.", 200},
		{"two.test", "one.test", 421},
		{"two.test", "a.one.test", 421},
		{"two.test", "two.test.evil.test", 421},
		{"two.test", "nobody.test", 421},
		{"two.test", "both.test", 421},
		{"one.test", "a.one.test", 200},
		{"a.one.test", "b.one.test", 200},
		{"both.test", "two.test", 200}, // its certificate is for it
		{"both.test", "one.test", 421},
	} {
		for name, c := range map[string]*http.Client{"HTTP/1.1": a.client(at, false), "HTTP/2.0": a.client(at, true), "HTTP/3.0": a.client3(t, at)} {
			req, _ := http.NewRequest("GET", "https://"+test.asked+"/", nil)
			req.Host = test.host
			res, err := c.Do(req)
			if err != nil {
				t.Fatalf("%s, %v: %v", name, test, err)
			}
			res.Body.Close()
			if res.StatusCode != test.status || res.Proto != name {
				t.Errorf("%s: on a connection for %s, %s has %d, want %d", res.Proto, test.asked, test.host, res.StatusCode, test.status)
			}
			c.CloseIdleConnections()
		}
	}
	// HTTP/1.0 need not name a host: then it is the handshake's.
	c, err := tls.Dial("tcp", at, &tls.Config{ServerName: "two.test", RootCAs: a.roots})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(res.Body); res.StatusCode != 200 || string(b) != "second" {
		t.Errorf("without a host: %d %q", res.StatusCode, b)
	}
	eventually(t, "the log of the site that was named has it", func() bool {
		b, _ := os.ReadFile(dir + "/access.log")
		return strings.Contains(string(b), `"GET / HTTP/3.0" 421`)
	})
}

// TestMisdirectedByProxy: a proxy that is trusted need not say the name in its
// handshake.
func TestMisdirectedByProxy(t *testing.T) {
	a, dir := secureSite(t)
	s := launch(t, parse(t, dir, "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n"+secure), newFakeApps())
	req, _ := http.NewRequest("GET", "https://two.test/", nil)
	req.Host = "one.test"
	res, err := a.client(s.hostPort("127.0.0.1:0"), false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Errorf("%d", res.StatusCode)
	}
}

// TestOptionsOfTheServer: OPTIONS * is answered over each protocol, and logged.
func TestOptionsOfTheServer(t *testing.T) {
	a, dir := secureSite(t)
	s := launch(t, parse(t, dir, secure), newFakeApps())
	at := s.hostPort("127.0.0.1:0")
	c, err := tls.Dial("tcp", at, &tls.Config{ServerName: "one.test", RootCAs: a.roots})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "OPTIONS * HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") || !strings.Contains(string(answer), "\r\nContent-Length: 0\r\n") {
		t.Errorf("%q, %v", answer, err)
	}
	req, _ := http.NewRequest("OPTIONS", "https://one.test/", nil)
	req.URL.Opaque = "*"
	h2 := a.client(at, true)
	res, err := h2.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 || res.ContentLength != 0 {
		t.Errorf("%s: %d, %d bytes", res.Proto, res.StatusCode, res.ContentLength)
	}
	h2.CloseIdleConnections()
	eventually(t, "the log has it", func() bool {
		b, _ := os.ReadFile(dir + "/access.log")
		return strings.Contains(string(b), `"OPTIONS * HTTP/1.1" 200`) && strings.Contains(string(b), `"OPTIONS * HTTP/2.0" 200`)
	})
}
