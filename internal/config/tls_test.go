package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// pems are the pairs of the world: keys take their time, so once.
var pems = sync.OnceValue(func() map[string][]byte {
	all := map[string][]byte{}
	add := func(name string, until time.Time, hosts ...string) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts,
			NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: until,
		}
		cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			panic(err)
		}
		secret, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			panic(err)
		}
		all[name+".pem"] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
		all[name+".key"] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	}
	later := time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC)
	add("site", later, "mysite.com", "www.mysite.com", "secure.mysite.com", "*.example.com")
	add("other", later, "other.com")
	add("expired", time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC), "mysite.com")
	all["both.pem"] = append(append([]byte{}, all["site.pem"]...), all["site.key"]...)
	all["locked.key"] = pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("secret")})
	all["garbage.pem"] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("garbage")})
	all["empty.pem"] = nil
	return all
})

// writePEMs puts the pairs into the folder tls of a world.
func writePEMs(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "tls"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range pems() {
		if err := os.WriteFile(filepath.Join(dir, "tls", name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
