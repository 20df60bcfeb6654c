package upstream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// pairFor makes a certificate of its own root, for a name.
func pairFor(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// secure starts a TLS server for a name.
func secure(t *testing.T, name string, c *tls.Config, h http.HandlerFunc) (address string, roots *x509.CertPool) {
	t.Helper()
	pair, roots := pairFor(t, name)
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = quiet()
	c.Certificates = []tls.Certificate{pair}
	s.TLS = c
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), roots
}

// TestHTTPS: the name is looked at, kept connections and sessions are used
// again, and a client certificate is shown.
func TestHTTPS(t *testing.T) {
	client, clients := pairFor(t, "front.example")
	address, roots := secure(t, "app.example", &tls.Config{ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/close" {
			w.Header().Set("Connection", "close")
		}
		fmt.Fprintf(w, "%s %s %s %v %s %v %s", r.Proto, r.TLS.ServerName, r.TLS.PeerCertificates[0].Subject.CommonName, r.TLS.DidResume, r.Header.Get("X-Forwarded-Proto"), r.TLS.NegotiatedProtocol, b)
	})
	c := &tls.Config{RootCAs: roots, ServerName: "app.example", Certificates: []tls.Certificate{client}}
	f := serve(t, Config{TLS: c, Servers: []Server{{Address: address}}}, nil)
	f.want("/close", 200, "HTTP/1.1 app.example front.example false http http/1.1 ")
	for range 3 {
		f.want("/", 200, "HTTP/1.1 app.example front.example true http http/1.1 ")
	}
	if _, b := f.ask("POST", "/", strings.Repeat("x", 100<<10), nil); len(b) < 100<<10 {
		t.Errorf("%d bytes", len(b))
	}
}

// TestTLSRefused: what cannot be trusted is not talked to, and the reason is
// told.
func TestTLSRefused(t *testing.T) {
	hello := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "secret") }
	address, roots := secure(t, "app.example", &tls.Config{}, hello)
	_, others := pairFor(t, "app.example")
	plain := behind(t, hello)
	for why, test := range map[string]struct {
		address string
		c       *tls.Config
		http2   bool
	}{
		"certificate is valid for app.example":  {address, &tls.Config{RootCAs: roots, ServerName: "other.example"}, false},
		"unknown authority":                     {address, &tls.Config{RootCAs: others, ServerName: "app.example"}, false},
		"cannot validate certificate":           {address, &tls.Config{RootCAs: roots}, false}, // the name is the address
		"first record does not look like a TLS": {plain, &tls.Config{RootCAs: roots, ServerName: "app.example"}, false},
		"no application protocol":               {address, &tls.Config{RootCAs: roots, ServerName: "app.example"}, true},
	} {
		f := serve(t, Config{TLS: test.c, HTTP2: test.http2, Servers: []Server{{Address: test.address}}}, nil)
		f.want("/", 502, "Bad Gateway\n")
		if len(f.log.lines(why)) == 0 {
			t.Errorf("the log lacks %q:\n%s", why, f.log)
		}
	}
	f := serve(t, Config{TLS: &tls.Config{InsecureSkipVerify: true}, Servers: []Server{{Address: address}}}, nil)
	f.want("/", 200, "secret")
}

// TestTLSSilent: a handshake that goes nowhere ends in time.
func TestTLSSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := serve(t, Config{TLS: &tls.Config{}, ConnectTimeout: 50 * time.Millisecond, Servers: []Server{{Address: l.Addr().String()}}}, nil)
	res, _ := f.ask("GET", "/", "", nil)
	if res.StatusCode != 502 && res.StatusCode != 504 {
		t.Errorf("%d", res.StatusCode)
	}
}

// quiet is for servers whose clients hang up on purpose.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
