package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// named is a certificate that stands for its name.
type named struct{ *tls.Certificate }

func (n named) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return n.Certificate, nil }

func TestTable(t *testing.T) {
	source := func() named { return named{&tls.Certificate{}} }
	a, wild, deep, re, other := source(), source(), source(), source(), source()
	sites := []Site{
		{Names: []string{"a.test", "k.test"}, Certificates: []Source{a}},
		{Names: []string{"*.a.test"}, Certificates: []Source{wild}},
		{Names: []string{"*.b.a.test", "192.0.2.1", "[2001:db8::1]"}, Certificates: []Source{deep}},
		{Names: []string{`~^r[0-9]+\.test$`}, Certificates: []Source{re}},
		{Names: []string{"a.test"}, Certificates: []Source{other}},
	}
	withDefault := append(sites[:len(sites):len(sites)], Site{Certificates: []Source{other}})
	for _, test := range []struct {
		name         string
		at           net.Addr
		want, orElse *tls.Certificate // without and with a default
	}{
		{"a.test", nil, a.Certificate, a.Certificate},
		{"A.Test.", nil, a.Certificate, a.Certificate},
		{"\u212a.test", nil, nil, other.Certificate}, // the Kelvin sign is no k
		{"x.a.test", nil, wild.Certificate, wild.Certificate},
		{"y.x.a.test", nil, wild.Certificate, wild.Certificate},
		{"x.b.a.test", nil, deep.Certificate, deep.Certificate},
		{"b.a.test", nil, wild.Certificate, wild.Certificate},
		{"r12.test", nil, re.Certificate, re.Certificate},
		{"rx.test", nil, nil, other.Certificate},
		{"test", nil, nil, other.Certificate},
		{"xa.test", nil, nil, other.Certificate},
		{strings.Repeat("a.", 127) + "c", nil, nil, other.Certificate},
		{"", nil, nil, other.Certificate},
		{"", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, deep.Certificate, deep.Certificate},
		{"", &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 443}, deep.Certificate, deep.Certificate},
		{"", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 443}, nil, other.Certificate},
	} {
		hello := &tls.ClientHelloInfo{ServerName: test.name}
		if test.at != nil {
			hello.Conn = at{addr: test.at}
		}
		for _, x := range []struct {
			sites []Site
			want  *tls.Certificate
		}{{sites, test.want}, {withDefault, test.orElse}} {
			table, err := NewTable(x.sites)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := table.Certificate(hello); got != x.want || err != nil {
				t.Errorf("%q at %v of %d sites: another certificate (%v)", test.name, test.at, len(x.sites), err)
			}
		}
	}
	if _, err := NewTable([]Site{{Names: []string{"~("}}}); err == nil {
		t.Error("a regular expression that is none")
	}
}

type at struct {
	net.Conn
	addr net.Addr
}

func (c at) LocalAddr() net.Addr { return c.addr }

// place writes a pair for a.test that is valid until a time.
func place(t *testing.T, p Pair, until time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(until.UnixNano()), DNSNames: []string{"a.test"}, NotAfter: until}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, b := range map[string]*pem.Block{p.Certificate: {Type: "CERTIFICATE", Bytes: cert}, p.Key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := errors.Join(os.WriteFile(path+".new", pem.EncodeToMemory(b), 0o600), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFiles follows a pair through what can happen to its files.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	p, other := Pair{filepath.Join(dir, "a.pem"), filepath.Join(dir, "a.key")}, Pair{filepath.Join(dir, "b.pem"), filepath.Join(dir, "b.key")}
	var log bytes.Buffer
	f := NewFiles(os.Open, slog.New(slog.NewTextHandler(&log, nil)))
	if _, err := f.Load(p); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), p.Certificate) {
		t.Errorf("Load of nothing: %v", err)
	}
	later := time.Now().Add(time.Hour)
	place(t, p, later)
	one, err := f.Load(p)
	if err != nil {
		t.Fatal(err)
	}
	step := func(what string, do func(), changes bool, says ...string) {
		t.Helper()
		before := one.current.Load()
		log.Reset()
		do()
		f.Refresh()
		if changed := one.current.Load() != before; changed != changes {
			t.Errorf("%s: changed is %v", what, changed)
		}
		if got := log.String(); len(says) == 0 && got != "" {
			t.Errorf("%s: it says %s", what, got)
		}
		for _, text := range says {
			if !strings.Contains(log.String(), text) {
				t.Errorf("%s: the log lacks %q: %s", what, text, log.String())
			}
		}
	}
	step("nothing", func() {}, false)
	step("a new pair", func() { place(t, p, later) }, true, "is used from now on", p.Certificate)
	place(t, other, later)
	foreign, _ := os.ReadFile(other.Key)
	step("another's key", func() { _ = os.WriteFile(p.Key, foreign, 0o600) }, false)
	step("and so it stays", func() {}, false, "the old one is kept", "does not match")
	step("which is said once", func() {}, false)
	step("garbage", func() { _ = os.WriteFile(p.Certificate, []byte("garbage"), 0o600) }, false)
	step("that stays too", func() {}, false, "the old one is kept")
	step("no file", func() { _ = os.Remove(p.Certificate) }, false)
	step("for long", func() {}, false, "no such file")
	step("one that has expired", func() { place(t, p, time.Now().Add(-time.Hour)) }, true, "browsers refuse a certificate", "has expired")
	step("which is said once, too", func() {}, false)
	step("a good one", func() { place(t, p, later) }, true, "is used from now on")
	f.Keep(nil)
	step("one that is forgotten", func() { place(t, p, later) }, false)
	huge := bytes.Repeat([]byte("x"), maxFile+1)
	if err := os.WriteFile(p.Certificate, huge, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(p); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("a huge file: %v", err)
	}
}
