package server

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"millrace/internal/h3"
)

// client3 speaks HTTP/3 with whatever name to one address, until the test's
// end.
func (a *authority) client3(t *testing.T, address string) *http.Client {
	t.Helper()
	tr := &http3.Transport{
		TLSClientConfig: &tls.Config{RootCAs: a.roots},
		Dial: func(ctx context.Context, _ string, c *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return quic.DialAddrEarly(ctx, address, c, q)
		},
	}
	t.Cleanup(func() { tr.Close() })
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func TestHTTP3(t *testing.T) {
	a, dir := secureSite(t)
	s := launch(t, parse(t, dir, secure), newFakeApps())
	at := s.hostPort("127.0.0.1:0")

	res, err := a.client(at, true).Get("https://two.test/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	port := at[strings.LastIndexByte(at, ':'):]
	if got, want := res.Header.Get("Alt-Svc"), `h3="`+port+`"; ma=86400`; got != want {
		t.Errorf("Alt-Svc is %q, want %q", got, want)
	}
	c := a.client3(t, at)
	for host, want := range map[string]string{"one.test": "main one:app / 0", "two.test": "second"} {
		res, err := c.Get("https://" + host + "/")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if got := strings.TrimSpace(string(b)); err != nil || got != want || res.ProtoMajor != 3 || res.Header.Get("Alt-Svc") != "" {
			t.Errorf("%s: %s %q, %v; want %q", host, res.Proto, got, err, want)
		}
	}
	if _, err := c.Get("https://three.test/"); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("a name that nobody has: %v", err)
	}
	eventually(t, "the access log names the protocol", func() bool {
		b, _ := os.ReadFile(dir + "/access.log")
		return strings.Contains(string(b), `"GET / HTTP/3.0" 200`)
	})
	if n := s.Snapshot().Connections; n < 2 {
		t.Errorf("%d connections are counted", n)
	}
}

// TestHTTP3Off: without the key there is neither a socket nor a word of it.
func TestHTTP3Off(t *testing.T) {
	a, dir := secureSite(t)
	const on = "[[site]]\nlisten = \"127.0.0.1:0\"\nroot = \"{dir}/two\"\ntls = { certificate = \"{dir}/two.pem\", key = \"{dir}/two.key\" }\n"
	off := strings.ReplaceAll(on, ".key\"", ".key\", http3 = false")
	s := launch(t, parse(t, dir, off), newFakeApps())
	at := s.hostPort("127.0.0.1:0")
	alt := func() string {
		c := a.client(at, true)
		defer c.CloseIdleConnections()
		res, err := c.Get("https://two.test/")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.Header.Get("Alt-Svc")
	}
	before := descriptors(t)
	if got := alt(); got != "" {
		t.Errorf("Alt-Svc is %q", got)
	}
	if err := s.reloadTo(parse(t, dir, on)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "HTTP/3 is offered", func() bool { return alt() != "" })
	c := a.client3(t, at)
	res, err := c.Get("https://two.test/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if err := s.reloadTo(parse(t, dir, off)); err != nil {
		t.Fatal(err)
	}
	if got := alt(); got != "" {
		t.Errorf("Alt-Svc is %q", got)
	}
	c.Transport.(*http3.Transport).Close()
	wantDescriptors(t, before)
}

// TestHTTP3Drain: an answer that has begun is whole after the end has, and
// the client of a connection that is idle does not hold the end up.
func TestHTTP3Drain(t *testing.T) {
	a, dir := secureSite(t)
	apps := newFakeApps()
	release := apps.hold("main")
	defer release()
	s := launch(t, parse(t, dir, secure), apps)
	at := s.hostPort("127.0.0.1:0")
	idle := a.client3(t, at)
	res, err := idle.Get("https://two.test/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		res, err := a.client3(t, at).Get("https://one.test/hold")
		if err != nil {
			got <- answer{"", err}
			return
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		got <- answer{string(b), err}
	}()
	<-apps.get("main").inside
	stopped := s.Stop()
	select {
	case <-stopped:
		t.Fatal("it ended with a request inside")
	case <-time.After(h3.Linger + 200*time.Millisecond): // longer than an idle connection lingers
	}
	release()
	if x := <-got; x.err != nil || !strings.Contains(x.text, "one:app") {
		t.Errorf("%q, %v", x.text, x.err)
	}
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
}
