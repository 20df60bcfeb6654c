package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority makes certificates.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	roots *x509.CertPool
	last  int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, roots: x509.NewCertPool(), last: 1}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.roots.AddCert(a.cert)
	return a
}

// issue writes DIR/NAME.pem and DIR/NAME.key, and returns the serial number.
func (a *authority) issue(t testing.TB, dir, name string, useRSA bool, hosts ...string) int64 {
	t.Helper()
	var key interface{ Public() any }
	if useRSA {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		key = rsaKey{k}
	} else {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key = ecKey{k}
	}
	a.last++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.last), Subject: pkix.Name{CommonName: hosts[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	var secret any
	switch k := key.(type) {
	case rsaKey:
		secret = k.PrivateKey
	case ecKey:
		secret = k.PrivateKey
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(dir, name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	replace(t, filepath.Join(dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	return a.last
}

type rsaKey struct{ *rsa.PrivateKey }
type ecKey struct{ *ecdsa.PrivateKey }

func (k rsaKey) Public() any { return &k.PublicKey }
func (k ecKey) Public() any  { return &k.PublicKey }

// replace puts a file in place as programs that renew certificates do.
func replace(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// client speaks TLS with whatever name to one address. h2 says whether it
// offers HTTP/2.
func (a *authority) client(address string, h2 bool) *http.Client {
	var p http.Protocols
	p.SetHTTP1(!h2)
	p.SetHTTP2(h2)
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       20 * time.Second,
		Transport: &http.Transport{
			Protocols:       &p,
			TLSClientConfig: &tls.Config{RootCAs: a.roots},
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", address)
			},
		},
	}
}

const secure = `
[[site]]
listen = ["127.0.0.1:0"]
hosts = ["one.test", "*.one.test"]
access_log = "{dir}/access.log"
[site.tls]
certificate = ["{dir}/one.pem", "{dir}/rsa.pem"]
key = ["{dir}/one.key", "{dir}/rsa.key"]
plain = ["unix:{dir}/plain.sock"]
hsts = "365d"
[[site.route]]
app = "main"

[[site]]
listen = ["127.0.0.1:0"]
hosts = ["two.test"]
root = "{dir}/two"
tls = { certificate = "{dir}/two.pem", key = "{dir}/two.key" }

[app.main]
wsgi = "one:app"
`

// secureSite is a folder with the certificates of secure, without HTTP/3.
func secureSite(t *testing.T) (*authority, string) {
	t.Helper()
	dir, a := t.TempDir(), newAuthority(t)
	a.issue(t, dir, "one", false, "one.test", "*.one.test")
	a.issue(t, dir, "rsa", true, "one.test", "*.one.test")
	a.issue(t, dir, "two", false, "two.test")
	write(t, dir+"/two/index.html", "second")
	return a, dir
}

func (s *serving) hostPort(given string) string {
	s.t.Helper()
	_, hostPort, _ := strings.Cut(s.url(given), "://")
	return strings.TrimSuffix(hostPort, "/")
}

func TestTLS(t *testing.T) {
	a, dir := secureSite(t)
	s := launch(t, parse(t, dir, secure), newFakeApps())
	if url := s.url("127.0.0.1:0"); !strings.HasPrefix(url, "https://") {
		t.Errorf("the address is %s", url)
	}
	at := s.hostPort("127.0.0.1:0")
	for _, h2 := range []bool{false, true} {
		for host, want := range map[string]string{"one.test": "main one:app / 0", "x.one.test": "main one:app / 0", "two.test": "second"} {
			c := a.client(at, h2)
			res, err := c.Get("https://" + host + "/")
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if got := strings.TrimSpace(string(b)); got != want || res.StatusCode != 200 || res.ProtoMajor != 1+btoi(h2) {
				t.Errorf("%s: %s %d %q, want %q", host, res.Proto, res.StatusCode, got, want)
			}
			wantHSTS := ""
			if strings.HasSuffix(host, "one.test") {
				wantHSTS = "max-age=31536000"
			}
			if got := res.Header.Get("Strict-Transport-Security"); got != wantHSTS {
				t.Errorf("%s: HSTS %q, want %q", host, got, wantHSTS)
			}
			c.CloseIdleConnections()
		}
	}
	eventually(t, "the access log names the protocols", func() bool {
		b, _ := os.ReadFile(dir + "/access.log")
		return strings.Contains(string(b), `"GET / HTTP/2.0" 200`) && strings.Contains(string(b), `"GET / HTTP/1.1" 200`)
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestTLSUnknownName: crypto/tls knows the alert by its text alone.
func TestTLSUnknownName(t *testing.T) {
	a, dir := secureSite(t)
	s := launch(t, parse(t, dir, secure), newFakeApps())
	cache := tls.NewLRUClientSessionCache(4)
	dial := func(name string) error {
		c, err := tls.Dial("tcp", s.hostPort("127.0.0.1:0"), &tls.Config{ServerName: name, RootCAs: a.roots, ClientSessionCache: oneSession{cache}, InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		defer c.Close()
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n")
		_, err = io.ReadAll(c) // with it the ticket
		return err
	}
	for range 2 { // the second time with a ticket
		if err := dial("one.test"); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"three.test", "a.b.two.test", ""} {
			if err := dial(name); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
}

// oneSession offers its session whatever the name.
type oneSession struct{ tls.ClientSessionCache }

func (s oneSession) Get(string) (*tls.ClientSessionState, bool) { return s.ClientSessionCache.Get("") }
func (s oneSession) Put(_ string, c *tls.ClientSessionState)    { s.ClientSessionCache.Put("", c) }

// TestTLSKeys: a client gets the certificate that it can use.
func TestTLSKeys(t *testing.T) {
	_, dir := secureSite(t)
	s := launch(t, parse(t, dir, secure), newFakeApps())
	for name, suite := range map[string]uint16{"ECDSA": tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "RSA": tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256} {
		c, err := tls.Dial("tcp", s.hostPort("127.0.0.1:0"), &tls.Config{ServerName: "one.test", InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().PeerCertificates[0].PublicKeyAlgorithm.String(); got != name {
			t.Errorf("a client of %s got a certificate of %s", name, got)
		}
		c.Close()
	}
}

// TestTLSPlainHTTP: who forgets the s is told so.
func TestTLSPlainHTTP(t *testing.T) {
	_, dir := secureSite(t)
	s := launch(t, parse(t, dir, secure), newFakeApps())
	c, err := net.Dial("tcp", s.hostPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: one.test\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Body); res.StatusCode != 400 || !strings.Contains(string(b), "https") || err != nil {
		t.Errorf("%d %q, %v", res.StatusCode, b, err)
	}
}

func TestTLSRedirect(t *testing.T) {
	a, dir := secureSite(t)
	s := launch(t, parse(t, dir, secure), newFakeApps())
	_, port, _ := net.SplitHostPort(s.hostPort("127.0.0.1:0"))
	c := a.client("", false)
	c.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", dir+"/plain.sock")
	}
	for url, want := range map[string]string{
		"http://one.test/a%20b?c=d":   "https://one.test:" + port + "/a%20b?c=d",
		"http://x.one.test:8080/":     "https://x.one.test:" + port + "/",
		"http://one.test//evil.test/": "https://one.test:" + port + "//evil.test/",
	} {
		res, err := c.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Location"); got != want || res.StatusCode != http.StatusPermanentRedirect || res.Header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: %d to %q, want %q", url, res.StatusCode, got, want)
		}
	}
}

// TestTLSRedirectNames: a name that is not the site's is not echoed.
func TestTLSRedirectNames(t *testing.T) {
	_, dir := secureSite(t)
	for _, test := range []struct{ site, host, want string }{
		{`hosts = ["one.test", "*.one.test", "~^r[0-9]\\.test$"]`, "one.test", "one.test"},
		{`hosts = ["one.test", "*.one.test", "~^r[0-9]\\.test$"]`, "A.One.Test.:80", "a.one.test"},
		{`hosts = ["one.test", "*.one.test", "~^r[0-9]\\.test$"]`, "r1.test", "r1.test"},
		{`hosts = ["one.test", "*.one.test", "~^r[0-9]\\.test$"]`, "evil.test", ""},
		{`hosts = ["one.test", "*.one.test", "~^r[0-9]\\.test$"]`, "one.test.evil.test", ""},
		{"hosts = [\"*.one.test\", \"one.test\"]\ndefault = true", "evil.test", "one.test"},
		{"hosts = [\"*.one.test\"]\ndefault = true", "evil.test", ""},
		{"", "any.test", "any.test"},
		{`hosts = ["[::1]"]`, "[::1]:80", "[::1]"},
	} {
		s := launch(t, parse(t, dir, "[[site]]\nlisten = \"127.0.0.1:0\"\n"+test.site+"\nroot = \"{dir}/two\"\ntls = { certificate = \"{dir}/two.pem\", key = \"{dir}/two.key\", http3 = false, plain = [\"unix:{dir}/plain.sock\"] }\n"), newFakeApps())
		_, port, _ := net.SplitHostPort(s.hostPort("127.0.0.1:0"))
		c, err := net.Dial("unix", dir+"/plain.sock")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET /a HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", test.host)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		wantStatus, want := http.StatusPermanentRedirect, "https://"+test.want+":"+port+"/a"
		if test.want == "" {
			wantStatus, want = http.StatusMisdirectedRequest, ""
		}
		if got := res.Header.Get("Location"); res.StatusCode != wantStatus || got != want {
			t.Errorf("%s for a site with %s: %d to %q, want %d, %q", test.host, test.site, res.StatusCode, got, wantStatus, want)
		}
		c.Close()
		s.cancel()
		<-s.ended
	}
}

// TestTLSChange: a certificate that changes is used without a reload; one that
// cannot be used is not, and the log says so.
func TestTLSChange(t *testing.T) {
	a, dir := secureSite(t)
	s := looking(t, dir)
	serial := func() int64 {
		c, err := tls.Dial("tcp", s.hostPort("127.0.0.1:0"), &tls.Config{ServerName: "two.test", RootCAs: a.roots})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	before := serial()
	next := a.issue(t, dir, "two", false, "two.test")
	eventually(t, "the new one is used", func() bool { return serial() == next })
	if before == next {
		t.Error("it was used before it was there")
	}
	old, _ := os.ReadFile(dir + "/one.key")
	replace(t, dir+"/two.key", old)
	eventually(t, "the log says that it does not fit", func() bool {
		return strings.Contains(s.log.String(), "cannot be used; the old one is kept") && strings.Contains(s.log.String(), "two.pem")
	})
	if got := serial(); got != next {
		t.Errorf("certificate %d serves", got)
	}
	if err := os.Remove(dir + "/two.pem"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log says that it is gone", func() bool { return strings.Contains(s.log.String(), "no such file") })
	next = a.issue(t, dir, "two", false, "two.test")
	eventually(t, "a good one is used again", func() bool { return serial() == next })
}

// TestTLSReload: an address begins and ends to speak TLS, and clients of both
// kinds are answered.
func TestTLSReload(t *testing.T) {
	a, dir := secureSite(t)
	const plain = "[[site]]\nlisten = \"127.0.0.1:0\"\nroot = \"{dir}/two\"\n"
	const withTLS = plain + "tls = { certificate = \"{dir}/two.pem\", key = \"{dir}/two.key\", http3 = false }\n"
	s := launch(t, parse(t, dir, plain), newFakeApps())
	at := s.hostPort("127.0.0.1:0")
	wantGet(t, "http://"+at, 200, "second")
	for range 3 {
		if err := s.reloadTo(parse(t, dir, withTLS)); err != nil {
			t.Fatal(err)
		}
		res, err := a.client(at, true).Get("https://two.test/")
		if err != nil || res.StatusCode != 200 {
			t.Fatal(res, err)
		}
		res.Body.Close()
		if err := s.reloadTo(parse(t, dir, plain)); err != nil {
			t.Fatal(err)
		}
		wantGet(t, "http://"+at, 200, "second")
	}
}

// TestTLSCurl and openssl: clients that are not Go's.
func TestTLSOtherClients(t *testing.T) {
	for _, program := range []string{"curl", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	a, dir := secureSite(t)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	write(t, dir+"/ca.pem", string(ca))
	s := launch(t, parse(t, dir, secure), newFakeApps())
	at := s.hostPort("127.0.0.1:0")
	_, port, _ := net.SplitHostPort(at)
	out, err := exec.Command("curl", "-sS", "--http2", "--cacert", dir+"/ca.pem", "--resolve", "one.test:"+port+":127.0.0.1",
		"-w", " %{http_version} %{http_code}", "https://one.test:"+port+"/").CombinedOutput()
	if got := string(out); err != nil || !strings.HasPrefix(got, "main one:app / 0") || !strings.HasSuffix(got, " 2 200") {
		t.Errorf("curl: %q, %v", got, err)
	}
	for _, test := range []struct{ args, want string }{
		{"-servername one.test -tls1_2", "Verify return code: 0"},
		{"-servername two.test -tls1_3 -alpn h2", "ALPN protocol: h2"},
		{"-servername two.test -tls1_3 -alpn http/1.1", "ALPN protocol: http/1.1"},
		{"-servername three.test", "unrecognized name"},
		{"-servername one.test -tls1_1 -cipher DEFAULT@SECLEVEL=0", "alert protocol version"},
	} {
		args := append([]string{"s_client", "-connect", at, "-CAfile", dir + "/ca.pem"}, strings.Fields(test.args)...)
		cmd := exec.Command("openssl", args...)
		cmd.Stdin = bytes.NewReader(nil)
		if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), test.want) {
			t.Errorf("openssl s_client %s: lacks %q:\n%s", test.args, test.want, out)
		}
	}
}
