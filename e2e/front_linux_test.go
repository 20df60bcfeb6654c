package e2e

// The front server whole: one file that configures what people assemble of
// several servers, asked over HTTP/1.1, HTTP/2 and HTTP/3.

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"millrace/internal/testkit"
)

// certify makes a certificate for names, in site.pem and site.key of a folder,
// and returns who trusts it.
func certify(t *testing.T, dir string, names ...string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"site.pem": {Type: "CERTIFICATE", Bytes: der}, "site.key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return pool
}

// transports are the ways to a server at two addresses, whatever the host of a
// request, by the protocol that its answers must have.
func transports(t *testing.T, plain, secure string, trusted *x509.CertPool) map[string]http.RoundTripper {
	to := func(address string) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	h1 := &http.Transport{DialContext: to(plain)}
	h1s := &http.Transport{DialContext: to(secure), TLSClientConfig: &tls.Config{RootCAs: trusted}}
	h2 := &http.Transport{DialContext: to(secure), TLSClientConfig: &tls.Config{RootCAs: trusted}, ForceAttemptHTTP2: true}
	h3 := &http3.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trusted},
		Dial: func(ctx context.Context, _ string, c *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return quic.DialAddrEarly(ctx, secure, c, q)
		},
	}
	t.Cleanup(func() {
		h1.CloseIdleConnections()
		h1s.CloseIdleConnections()
		h2.CloseIdleConnections()
		h3.Close()
	})
	return map[string]http.RoundTripper{"HTTP/1.1": h1, "HTTP/1.1 over TLS": h1s, "HTTP/2.0": h2, "HTTP/3.0": h3}
}

// newFrontSite is a folder with all that testdata/front/millrace.toml names, and
// the home of ann.
func newFrontSite(t *testing.T) *ownedTree {
	t.Helper()
	o := newOwnedTree(t)
	given := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("testdata/front", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, text := range map[string]string{
		"millrace.toml":             given("millrace.toml"),
		"web/page.php":              given("page.php"),
		"web/about.html":            "about",
		"web/image.png.php.txt":     "no script",
		"fallback/missing.py":       given("missing.py"),
		"second/index.html":         "second",
		"media/song.ogg":            "0123456789",
		"media/films/a & b.mp4":     "film",
		"home/ann/public_html/a.gz": "of ann",
	} {
		owner := 0
		if strings.HasPrefix(name, "home/ann/") {
			owner = annUser
		}
		o.put(name, text, 0o644, owner)
	}
	o.put("home/ann/public_html/who.cgi", given("who.cgi"), 0o755, annUser)

	project := newSite(t)
	o.link(project, "project", 0)
	o.link(venv, "venv", 0)
	const settings = "\nfrom .settings import *\nALLOWED_HOSTS = [\"front.test\", \"www.front.test\"]\nROOT_URLCONF = %q\n"
	o.put("project/mysite/only_admin.py", fmt.Sprintf(settings, "mysite.urls"), 0o644, 0)
	o.put("project/mysite/only_polls.py", fmt.Sprintf(settings, "polls.urls"), 0o644, 0)
	return o
}

var (
	secureURL = regexp.MustCompile(`https://(127\.0\.0\.2:[0-9]+)\b`)
	plainURL  = regexp.MustCompile(`http://(127\.0\.0\.1:[0-9]+)\b`)
)

// TestFrontServer is the classic stack in one file.
func TestFrontServer(t *testing.T) {
	testkit.Need(t, "php-cgi")
	dir := newFrontSite(t).dir
	trusted := certify(t, dir, "front.test", "*.front.test", "second.test")
	s := asUsers(t, dir)
	secure, plain := secureURL.FindStringSubmatch(s.log.String()), plainURL.FindStringSubmatch(s.log.String())
	if secure == nil || plain == nil {
		t.Fatalf("no address in the banner:\n%s", s.log)
	}
	for proto, transport := range transports(t, plain[1], secure[1], trusted) {
		t.Run(proto, func(t *testing.T) {
			scheme, https := "https", "on"
			if proto == "HTTP/1.1" {
				scheme, https = "http", ""
			}
			c := &http.Client{Transport: transport, Timeout: limit, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			for _, test := range []struct {
				host, path string
				status     int
				text       string // that the answer has
			}{
				{"front.test", "/media/", 200, "song.ogg"},
				{"front.test", "/media/films/", 200, "a%20&amp;%20b.mp4"},
				{"front.test", "/media/song.ogg", 200, "0123456789"},
				{"front.test", "/admin/", 302, ""},
				{"www.front.test", "/admin/login/?next=/admin/", 200, "csrfmiddlewaretoken"},
				{"front.test", "/static/admin/css/base.css", 200, "--primary"},
				{"front.test", "/polls/", 200, `"questions": []`},
				{"front.test", "/polls/admin/", 404, "Not Found"}, // of the other app's settings
				{"front.test", "/page.php", 200, "php /page.php [] " + https + "\n"},
				{"front.test", "/page.php/more/path", 200, "php /page.php [/more/path]"},
				{"front.test", "/missing.php", 404, ""},
				{"front.test", "/about.html", 200, "about"},
				{"front.test", "/image.png.php.txt", 200, "no script"},
				{"front.test", "/nowhere", 404, "nobody has /nowhere"},
				{"front.test", "/~ann/a.gz", 200, "of ann"},
				{"front.test", "/~ann/who.cgi/more", 200, fmt.Sprintf("cgi %d /~ann/who.cgi [/more] %s\n", annUser, https)},
				{"front.test", "/~ann/none", 404, ""},
				{"front.test", "/~nobody-of-that-name/", 404, ""},
				{"second.test", "/", 200, "second"},
				{"second.test", "/admin/", 404, ""},
			} {
				resp, err := c.Get(scheme + "://" + test.host + test.path)
				got := read(t, resp, err, test.status)
				if !strings.Contains(got.text, test.text) {
					t.Errorf("%s%s: %.500q, want %q", test.host, test.path, got.text, test.text)
				}
				if want, _, _ := strings.Cut(proto, " "); got.Proto != want {
					t.Errorf("%s%s: the answer is %s", test.host, test.path, got.Proto)
				}
			}
			// A part of a file, and one that the client has.
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://front.test/media/song.ogg", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Range", "bytes=2-4")
			resp, err := c.Do(r)
			part := read(t, resp, err, http.StatusPartialContent)
			if part.text != "234" || part.Header.Get("Content-Range") != "bytes 2-4/10" {
				t.Errorf("%q, %v", part.text, part.Header)
			}
			r.Header.Del("Range")
			r.Header.Set("If-None-Match", part.Header.Get("Etag"))
			resp, err = c.Do(r)
			read(t, resp, err, http.StatusNotModified)
		})
	}
}
