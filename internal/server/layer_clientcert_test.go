package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// certificate is one for a client, signed by the authority.
func (a *authority) certificate(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.last++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0xab00 + a.last), Subject: pkix.Name{CommonName: name, Organization: []string{"Example, Inc."}},
		EmailAddresses: []string{name + "@example.com"},
		NotBefore:      time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// pem writes the authority's own certificate.
func (a *authority) pem(t *testing.T, path string) {
	t.Helper()
	write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})))
}

const asksClients = `
[[site]]
listen = ["127.0.0.1:0"]
hosts = ["one.test"]
access_log = "{dir}/access.log"
log_format = "{tls.version} {tls.client.verify} {tls.client.cn} {tls.client.serial} {status}"
[site.tls]
certificate = "{dir}/both.pem"
key = "{dir}/both.key"
client_ca = "{dir}/staff.pem"
client_auth = "%s"
[[site.route]]
app = "main"

[[site]]
listen = ["127.0.0.1:0"]
hosts = ["two.test"]
root = "{dir}/two"
[site.tls]
certificate = "{dir}/both.pem"
key = "{dir}/both.key"

[[site]]
listen = ["127.0.0.1:0"]
hosts = ["three.test"]
root = "{dir}/two"
[site.tls]
certificate = "{dir}/both.pem"
key = "{dir}/both.key"
client_ca = "{dir}/others.pem"

[app.main]
wsgi = "one:app"
`

// askingSite is a site that asks its clients, beside one that does not and one
// that has other clients.
func askingSite(t *testing.T) (a, staff, others *authority, dir string) {
	t.Helper()
	dir, a, staff, others = t.TempDir(), newAuthority(t), newAuthority(t), newAuthority(t)
	a.issue(t, dir, "both", false, "one.test", "two.test", "three.test")
	staff.pem(t, dir+"/staff.pem")
	others.pem(t, dir+"/others.pem")
	write(t, dir+"/two/index.html", "second")
	return a, staff, others, dir
}

// as gives a client a certificate.
func as(c *http.Client, cert *tls.Certificate) *http.Client {
	with := func(t *tls.Config) {
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if cert == nil {
				return &tls.Certificate{}, nil
			}
			return cert, nil
		}
	}
	switch t := c.Transport.(type) {
	case *http.Transport:
		with(t.TLSClientConfig)
	case *http3.Transport:
		with(t.TLSClientConfig)
	}
	return c
}

// TestClientCertificates over each protocol: who has one of the right root gets
// in, and the app is told who it is.
func TestClientCertificates(t *testing.T) {
	a, staff, others, dir := askingSite(t)
	anna, eve := staff.certificate(t, "anna"), others.certificate(t, "eve")
	for _, auth := range []string{"require", "optional"} {
		s := launch(t, parse(t, dir, fmt.Sprintf(asksClients, auth)), newFakeApps())
		at := s.hostPort("127.0.0.1:0")
		for proto, client := range map[string]func() *http.Client{
			"HTTP/1.1": func() *http.Client { return a.client(at, false) },
			"HTTP/2.0": func() *http.Client { return a.client(at, true) },
			"HTTP/3.0": func() *http.Client { return a.client3(t, at) },
		} {
			for _, test := range []struct {
				who, host string
				cert      *tls.Certificate
				in        bool
				told      string
			}{
				{"anna", "one.test", anna, true, `{SSL_CLIENT_S_DN CN=anna,O=Example\, Inc.}`},
				{"anna", "one.test", anna, true, "{SSL_CLIENT_SAN_Email_0 anna@example.com}"},
				{"anna", "one.test", anna, true, "{SSL_CLIENT_VERIFY SUCCESS}"},
				{"nobody", "one.test", nil, auth == "optional", "{SSL_CLIENT_VERIFY NONE}]"},
				{"eve", "one.test", eve, false, ""},
				{"anna", "three.test", anna, false, ""},
				{"eve", "three.test", eve, true, ""},
				{"nobody", "two.test", nil, true, ""},
			} {
				c := as(client(), test.cert)
				res, err := c.Get("https://" + test.host + "/")
				if err != nil {
					if test.in {
						t.Errorf("%s, %s, %s to %s: %v", auth, proto, test.who, test.host, err)
					}
					continue
				}
				res.Body.Close()
				if !test.in || res.StatusCode != 200 || res.Proto != proto || !strings.Contains(res.Header.Get("X-Params"), test.told) {
					t.Errorf("%s, %s, %s to %s: %s %d, the app is told %s", auth, proto, test.who, test.host, res.Proto, res.StatusCode, res.Header.Get("X-Params"))
				}
				c.CloseIdleConnections()
			}
			// A connection is never for a site that asks and another, though the
			// certificate is for both.
			for asked, host := range map[string]string{"two.test": "one.test", "one.test": "two.test", "three.test": "one.test"} {
				cert := anna
				if asked == "three.test" {
					cert = eve
				}
				c := as(client(), cert)
				req, _ := http.NewRequest("GET", "https://"+asked+"/", nil)
				req.Host = host
				res, err := c.Do(req)
				if err != nil {
					t.Errorf("%s, %s: %v", proto, asked, err)
					continue
				}
				res.Body.Close()
				if res.StatusCode != http.StatusMisdirectedRequest {
					t.Errorf("%s: on a connection for %s, %s has %d", proto, asked, host, res.StatusCode)
				}
				c.CloseIdleConnections()
			}
		}
		eventually(t, "the log says who it was", func() bool {
			b, _ := os.ReadFile(dir + "/access.log")
			return strings.Contains(string(b), "TLSv1.3 SUCCESS anna AB02 200")
		})
		s.cancel()
		<-s.ended
	}
}

// TestClientCertificateResumed: a session of one site says nothing to another
// that has other clients, nor to one that has changed them.
func TestClientCertificateResumed(t *testing.T) {
	a, staff, others, dir := askingSite(t)
	text := fmt.Sprintf(asksClients, "optional")
	s := launch(t, parse(t, dir, text), newFakeApps())
	at := s.hostPort("127.0.0.1:0")
	cache := oneSession{tls.NewLRUClientSessionCache(4)}
	visit := func(host string, cert *tls.Certificate, version uint16) (resumed bool, err error) {
		c, err := tls.Dial("tcp", at, &tls.Config{
			ServerName: host, RootCAs: a.roots, ClientSessionCache: cache, MaxVersion: version,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil },
		})
		if err != nil {
			return false, err
		}
		defer c.Close()
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
		b, err := io.ReadAll(c)
		if err == nil && !strings.HasPrefix(string(b), "HTTP/1.1 200 ") {
			err = fmt.Errorf("%.60q", b)
		}
		return c.ConnectionState().DidResume, err
	}
	anna := staff.certificate(t, "anna")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cache.Put("", nil)
		for i := range 2 {
			if resumed, err := visit("one.test", anna, version); err != nil || resumed != (i == 1) {
				t.Fatalf("%x, visit %d: resumed %v, %v", version, i, resumed, err)
			}
		}
		if _, err := visit("three.test", anna, version); err == nil {
			t.Errorf("%x: the session of one site opens another", version)
		}
		cache.Put("", nil)
		if _, err := visit("one.test", anna, version); err != nil {
			t.Fatal(err)
		}
		others.pem(t, dir+"/staff.pem")
		if err := s.reloadTo(parse(t, dir, text)); err != nil {
			t.Fatal(err)
		}
		if _, err := visit("one.test", anna, version); err == nil {
			t.Errorf("%x: the session outlives its root", version)
		}
		staff.pem(t, dir+"/staff.pem")
		if err := s.reloadTo(parse(t, dir, text)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClientCertificateBecomesRequired: a connection from before is not let in.
func TestClientCertificateBecomesRequired(t *testing.T) {
	a, _, _, dir := askingSite(t)
	s := launch(t, parse(t, dir, fmt.Sprintf(asksClients, "optional")), newFakeApps())
	c := as(a.client(s.hostPort("127.0.0.1:0"), true), nil)
	for i, want := range []int{200, http.StatusMisdirectedRequest} {
		res, err := c.Get("https://one.test/")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("request %d: %d, want %d", i, res.StatusCode, want)
		}
		if err := s.reloadTo(parse(t, dir, fmt.Sprintf(asksClients, "require"))); err != nil {
			t.Fatal(err)
		}
	}
}
