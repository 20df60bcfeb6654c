package h1

// This file: connections that speak TLS.

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// h1conn is conn where a variable has its name.
type h1conn = conn

// secure wraps a listener, as whoever does TLS does.
type secure struct {
	net.Listener
	config *tls.Config
}

func (l secure) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(c, l.config), nil
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	c, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"h"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// TestTLS: requests of a *tls.Conn say so, and such connections are parked
// too, without losing what was decrypted.
func TestTLS(t *testing.T) {
	noLeaks(t)
	left := make(chan struct{}, 1)
	s := &Server{ParkAfter: time.Millisecond, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-r.Context().Done()
			left <- struct{}{}
			return
		}
		fmt.Fprint(w, r.TLS != nil && r.TLS.HandshakeComplete)
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(secure{l, &tls.Config{Certificates: []tls.Certificate{certificate(t)}}})
	defer s.Close()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	r := &running{s, t, l.Addr().String(), nil}
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	c := &client{conn, t, bufio.NewReader(conn)}
	for range 3 {
		if got := c.get("/"); got != "true" {
			t.Errorf("%q", got)
		}
		eventually(t, "it is parked", func() bool { return r.count(func(c *h1conn) bool { return c.phase.Load() == parked }) == 1 })
		// Two requests in one record: the second is decrypted with the first.
		c.send(strings.Repeat("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 2))
		for range 2 {
			if _, body := c.answer("GET"); body != "true" {
				t.Errorf("%q", body)
			}
		}
	}
	c.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
	c.Close()
	select {
	case <-left:
	case <-time.After(limit):
		t.Error("nobody hears that the client has left")
	}
	plain := r.dial()
	plain.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if got := plain.rest(); !strings.HasPrefix(got, "HTTP/1.0 400 ") {
		t.Errorf("plain HTTP: %q", got)
	}
}
