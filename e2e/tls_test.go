package e2e

// TLS of the real program: keys that are root's alone, and requests over each
// protocol while the program reloads, is upgraded, and certificates change.

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// tlsDir is a folder with a site at 127.0.0.1:PORT and its plain address, and
// a key that is its owner's alone. As root the front is somebody else.
func tlsDir(t *testing.T, http3 bool) (dir, at string) {
	t.Helper()
	dir = plain(t, "")
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755), os.Mkdir(dir+"/tls", 0o700)); err != nil {
		t.Fatal(err)
	}
	selfSigned(t, dir+"/tls")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at = l.Addr().String()
	l.Close()
	user := ""
	if os.Geteuid() == 0 {
		user = "[server]\nuser = \"65534\"\ngroup = \"65534\"\n"
	}
	text := fmt.Sprintf(user+`
[[site]]
listen = [%q]
hosts = ["tls.test"]
[site.tls]
certificate = "tls/site.pem"
key = "tls/site.key"
plain = ["127.0.0.1:0"]
redirect = false
http3 = %v
[[site.route]]
app = "main"
[app.main]
wsgi = "app:application"
workers = 2
python = "/usr/bin/python3"
`, at, http3)
	if err := os.WriteFile(dir+"/millrace.toml", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, at
}

// selfSigned puts a new pair in place, as a program does that renews
// certificates.
func selfSigned(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "tls.test"}, DNSNames: []string{"tls.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"site.pem": {Type: "CERTIFICATE", Bytes: cert}, "site.key": {Type: "PRIVATE KEY", Bytes: secret}} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path+".new", pem.EncodeToMemory(b), 0o600), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
}

// secureClient speaks one version of HTTP to an address.
func secureClient(t *testing.T, at string, version int) *http.Client {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true} // its names and dates are other tests' matter
	if version == 3 {
		tr := &http3.Transport{TLSClientConfig: config, Dial: func(ctx context.Context, _ string, c *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return quic.DialAddrEarly(ctx, at, c, q)
		}}
		t.Cleanup(func() { tr.Close() })
		return &http.Client{Transport: tr, Timeout: limit}
	}
	var p http.Protocols
	p.SetHTTP1(version == 1)
	p.SetHTTP2(version == 2)
	tr := &http.Transport{TLSClientConfig: config, Protocols: &p, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", at)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: limit}
}

// TestTLSParameters: what an app learns of a request over TLS.
func TestTLSParameters(t *testing.T) {
	ownBinary(t) // in a folder that the front's user may enter
	dir, at := tlsDir(t, true)
	app := `
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    names = ["HTTPS", "wsgi.url_scheme", "REQUEST_SCHEME", "SERVER_PORT", "SERVER_NAME", "SERVER_PROTOCOL", "HTTP_HOST"]
    return [" ".join(str(environ.get(n)) for n in names).encode()]
`
	if err := os.WriteFile(dir+"/app.py", []byte(app), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, dir)
	_, port, _ := net.SplitHostPort(at)
	for version, protocol := range map[int]string{1: "HTTP/1.1", 2: "HTTP/2.0", 3: "HTTP/3.0"} {
		res, err := secureClient(t, at, version).Get("https://tls.test:" + port + "/")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		want := strings.Join([]string{"on https https", port, "tls.test", protocol, "tls.test:" + port}, " ")
		if got := string(b); got != want || err != nil {
			t.Errorf("HTTP/%d: %q, %v; want %q", version, got, err, want)
		}
	}
}

// TestUpgradesOverHTTP3: a front that waits for the socket of one that still
// drains gets it, though an upgrade lies between, which may come to nothing.
func TestUpgradesOverHTTP3(t *testing.T) {
	for _, succeeds := range []bool{false, true} {
		t.Run(fmt.Sprintf("succeeds is %v", succeeds), func(t *testing.T) { upgradesOverHTTP3(t, succeeds) })
	}
}

func upgradesOverHTTP3(t *testing.T, succeeds bool) {
	ownBinary(t)
	dir, at := tlsDir(t, true)
	s := start(t, dir)
	held := make(chan error, 1)
	go func() {
		res, err := secureClient(t, at, 3).Get("https://tls.test/sleep?10")
		if err == nil {
			res.Body.Close()
		}
		held <- err
	}()
	s.waitFor("the request that holds the first front", func() bool { return s.status().Active == 1 })
	first := s.front()
	s.run("upgrade")
	if succeeds {
		s.run("upgrade")
	} else {
		rewrite(t, dir+"/millrace.toml", "[[site]]", "nonsense = 1\n[[site]]")
		if out, code := s.try("upgrade"); code != 1 {
			t.Errorf("an upgrade with a broken configuration: status %d:\n%s", code, out)
		}
	}
	if err := syscall.Kill(first, 0); err != nil {
		t.Logf("the first front has ended too early to show anything: %v", err)
	}
	if err := <-held; err != nil {
		t.Errorf("the request that began before: %v", err)
	}
	s.waitFor("HTTP/3 of the second front", func() bool {
		c := secureClient(t, at, 3)
		c.Timeout = 2 * time.Second
		res, err := c.Get("https://tls.test/")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == 200
	})
}

// TestOverReload: requests over each protocol, on kept and on fresh
// connections, while the program reloads, is upgraded, and certificates
// change: none fails.
func TestOverReload(t *testing.T) {
	path := ownBinary(t)
	dir, at := tlsDir(t, true)
	s := start(t, dir)
	var counts [4]atomic.Int64
	var failed atomic.Bool
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for version := 1; version <= 3; version++ {
		for _, fresh := range []bool{false, true} {
			clients.Go(func() {
				c := secureClient(t, at, version)
				for {
					select {
					case <-stop:
						return
					default:
					}
					if fresh {
						c = secureClient(t, at, version)
					}
					res, err := c.Get("https://tls.test/")
					if err == nil {
						_, err = io.Copy(io.Discard, res.Body)
						res.Body.Close()
					}
					if err != nil || res.StatusCode != 200 {
						t.Errorf("HTTP/%d, fresh: %v: %v, %v", version, fresh, res, err)
						failed.Store(true)
						return
					}
					counts[version].Add(1)
					if fresh {
						c.CloseIdleConnections()
					}
				}
			})
		}
	}
	some := func() {
		t.Helper()
		before := [4]int64{0, counts[1].Load(), counts[2].Load(), counts[3].Load()}
		s.waitFor("requests over each protocol", func() bool {
			return failed.Load() || counts[1].Load() > before[1]+5 && counts[2].Load() > before[2]+5 && counts[3].Load() > before[3]+5
		})
	}
	for round := range 6 {
		some()
		selfSigned(t, dir+"/tls")
		switch round % 3 {
		case 0, 1:
			s.run("reload")
		case 2:
			front := s.front()
			copyFile(t, path, path)
			s.run("upgrade")
			s.waitFor("the old front to end", func() bool { return errors.Is(syscall.Kill(front, 0), syscall.ESRCH) })
		}
	}
	some()
	close(stop)
	clients.Wait()
	t.Logf("answers: HTTP/1.1 %d, HTTP/2 %d, HTTP/3 %d", counts[1].Load(), counts[2].Load(), counts[3].Load())
}
