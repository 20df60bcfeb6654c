package config

// What [site.tls] demands: that certificates and keys go together and can be
// served, and that the sites of one address agree.

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"
)

// maxPEM bounds a file of certificates or keys.
const maxPEM = 1 << 20

func (k *checker) tls() {
	for i := range k.c.Sites {
		path, s := element("site", i), &k.c.Sites[i]
		if s.TLS == nil || k.bad[path] || k.bad[join(path, "tls")] {
			continue
		}
		k.siteTLS(path, s)
	}
	k.sharedTLS()
}

func (k *checker) siteTLS(path string, s *Site) {
	at, t := join(path, "tls"), s.TLS
	for i, address := range s.Listen {
		if strings.HasPrefix(address, "unix:") {
			k.fail(element(join(path, "listen"), i), fmt.Sprintf("listen = %s in [[site]]: TLS is not spoken over a Unix socket", quote(address)),
				"write the socket as plain under [site.tls], with redirect = false, or in a site of its own")
		}
	}
	certificate := len(t.Certificate) > 0 || k.given(join(at, "certificate"))
	switch {
	case certificate && t.ACME != nil:
		k.fail(join(at, "acme"), "[site.tls] has both certificate and acme", "leave one of the two out")
	case t.ACME != nil:
		k.acme(path, s)
	case !certificate:
		k.fail(at, "[site.tls] has neither certificate nor acme", `write certificate = "FILE" and key = "FILE", or acme = { email = "YOU@EXAMPLE.COM" }`)
	case !k.bad[join(at, "certificate")] && !k.bad[join(at, "key")]:
		k.certificates(path, s)
	}
	k.clientCerts(at, t)
	if k.given(join(at, "redirect")) && t.Redirect && len(t.Plain) == 0 {
		k.fail(join(at, "redirect"), "redirect = true in [site.tls]: there is no address to redirect from", `add plain = [":80"]`)
	}
}

// clientCerts checks what clients are asked for.
func (k *checker) clientCerts(at string, t *TLS) {
	if len(t.ClientCA) == 0 {
		if k.given(join(at, "client_auth")) && !k.bad[join(at, "client_ca")] {
			k.fail(join(at, "client_auth"), "client_auth in [site.tls]: there is no client_ca that certificates could be of", `add client_ca = "FILE"`)
		}
		return
	}
	for i, file := range t.ClientCA {
		text, err := readPEM(file)
		var why *refusal
		if err != nil {
			why = &refusal{"cannot read it: " + cause(err), "check the rights of the file"}
		} else if why = lacks(text, "CERTIFICATE"); why == nil && !x509.NewCertPool().AppendCertsFromPEM(text) {
			why = &refusal{"no certificate in it can be read", "it takes certificates in PEM"}
		}
		if why != nil {
			k.refuse(spot{path: k.elementOf(join(at, "client_ca"), i), name: "client_ca", where: "[site.tls]", form: &form{}}, quote(file), why)
		}
	}
	if t.ClientAuth == "require" && len(t.Plain) > 0 && !t.Redirect {
		k.fail(join(at, "redirect"), "redirect = false in [site.tls]: clients come to plain without a certificate, which client_ca requires", `leave redirect out, or write client_auth = "optional"`)
	}
}

// acme checks what an authority could not give certificates for.
func (k *checker) acme(path string, s *Site) {
	at, a := join(path, "tls.acme"), s.TLS.ACME
	if len(s.Hosts) == 0 && !k.bad[join(path, "hosts")] {
		k.fail(at, "acme in [site.tls]: the site has no hosts to have certificates for", `name them: hosts = ["www.example.com"]`)
	}
	for i, host := range s.Hosts {
		_, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if err == nil || strings.ContainsAny(host, "*~") {
			k.fail(element(join(path, "hosts"), i), fmt.Sprintf("hosts = %s in [[site]]: acme has certificates for exact names alone", quote(host)), "name each host, or write certificate in place of acme")
		}
	}
	if len(a.Challenges) == 1 && a.Challenges[0] == "http-01" && len(s.TLS.Plain) == 0 && !k.bad[join(path, "tls.plain")] {
		k.fail(join(at, "challenges"), "challenges of acme in [site.tls]: http-01 needs an address without TLS", `add plain = [":80"] under [site.tls]`)
	}
}

// certificates loads each pair, as the server will.
func (k *checker) certificates(path string, s *Site) {
	at, t := join(path, "tls"), s.TLS
	if len(t.Key) > 0 && len(t.Key) != len(t.Certificate) {
		k.fail(join(at, "key"), fmt.Sprintf("[site.tls] has %d of certificate, and %d of key", len(t.Certificate), len(t.Key)), "give each certificate its key, in the same order")
		return
	}
	var leaves []*x509.Certificate
	for i, file := range t.Certificate {
		pair, which, why := loadPair(file, t.KeyOf(i))
		if why != nil {
			if which == "key" && len(t.Key) == 0 {
				which, why.hint = "certificate", `name the file of the key: key = "FILE"`
			}
			k.refuse(spot{path: k.elementOf(join(at, which), i), name: which, where: "[site.tls]", form: &form{}}, quote(map[string]string{"certificate": file, "key": t.KeyOf(i)}[which]), why)
			continue
		}
		leaves = append(leaves, pair.Leaf)
		switch now := time.Now(); {
		case now.After(pair.Leaf.NotAfter):
			k.warn(k.elementOf(join(at, "certificate"), i), fmt.Sprintf("the certificate %s has expired on %s: browsers refuse it", short(file), pair.Leaf.NotAfter.UTC().Format(time.DateOnly)), "renew it; it is read anew by itself")
		case now.Before(pair.Leaf.NotBefore):
			k.warn(k.elementOf(join(at, "certificate"), i), fmt.Sprintf("the certificate %s is not valid before %s: browsers refuse it", short(file), pair.Leaf.NotBefore.UTC().Format(time.DateOnly)), "check the clock of this machine")
		}
	}
	if len(leaves) == len(t.Certificate) {
		k.covered(path, s, leaves)
	}
}

// elementOf is the place of one of a list, which may be a single string.
func (k *checker) elementOf(path string, i int) string {
	if one := element(path, i); k.given(one) {
		return one
	}
	return path
}

// covered warns of hosts that no certificate is for.
func (k *checker) covered(path string, s *Site, leaves []*x509.Certificate) {
hosts:
	for i, host := range s.Hosts {
		if strings.HasPrefix(host, "~") {
			continue
		}
		name := strings.Replace(host, "*", "x", 1) // a wildcard is covered if one of its names is
		for _, leaf := range leaves {
			if leaf.VerifyHostname(name) == nil {
				continue hosts
			}
		}
		k.warn(k.elementOf(join(path, "hosts"), i), fmt.Sprintf("no certificate of the site is for %s: browsers refuse it", quote(host)), "add a certificate that names it")
	}
}

// loadPair loads a certificate and its key. which says whose fault it is.
func loadPair(certificate, key string) (pair tls.Certificate, which string, why *refusal) {
	cert, err := readPEM(certificate)
	if err != nil {
		return pair, "certificate", &refusal{"cannot read it: " + cause(err), "check the rights of the file"}
	}
	secret := cert
	if key != certificate {
		if secret, err = readPEM(key); err != nil {
			return pair, "key", &refusal{"cannot read it: " + cause(err), "check the rights of the file; started as root, millrace reads keys that are root's alone"}
		}
	}
	if bad := lacks(cert, "CERTIFICATE"); bad != nil {
		if lacks(cert, "PRIVATE KEY") == nil && lacks(secret, "CERTIFICATE") == nil {
			bad.hint = "certificate and key are the wrong way round"
		}
		return pair, "certificate", bad
	}
	if bad := lacks(secret, "PRIVATE KEY"); bad != nil {
		return pair, "key", bad
	}
	pair, err = tls.X509KeyPair(cert, secret)
	switch {
	case err == nil:
		return pair, "", nil
	case strings.Contains(string(secret), "ENCRYPTED"):
		return pair, "key", &refusal{"it is protected by a password", "take the password off: openssl pkey -in KEY -out NEWKEY"}
	case strings.Contains(err.Error(), "does not match"): // which has no other mark
		return pair, "key", &refusal{"it is not the key of the certificate " + short(certificate), "name the key that was made with the certificate, in the same order"}
	}
	return pair, "certificate", &refusal{strings.TrimPrefix(err.Error(), "tls: "), "it takes certificate and key in PEM"}
}

// lacks says that a text holds no block of a kind.
func lacks(text []byte, kind string) *refusal {
	if strings.Contains(string(text), kind+"-----") {
		return nil
	}
	return &refusal{"there is no " + strings.ToLower(kind) + " in it", `a file in PEM has lines like "-----BEGIN ` + kind + `-----"`}
}

func readPEM(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err == nil && len(text) > maxPEM {
		err = errors.New("it is larger than 1 MiB")
	}
	return text, err
}

// sharedTLS refuses sites of one address that cannot share it: whether there
// is TLS, and by which rules, is settled before a site is known.
func (k *checker) sharedTLS() {
	type first struct {
		tls  *TLS
		path string
	}
	seen := map[string]first{}
	for i := range k.c.Sites {
		path, s := element("site", i), &k.c.Sites[i]
		if k.bad[path] || k.bad[join(path, "listen")] || k.bad[join(path, "tls")] {
			continue
		}
		for _, address := range s.Addresses() {
			t := s.Speaks(address)
			before, shared := seen[address]
			if !shared {
				seen[address] = first{t, path}
				continue
			}
			switch at := join(path, "tls"); {
			case before.tls == nil && t == nil:
			case before.tls == nil:
				k.fail(at, fmt.Sprintf("another site of %s has no [site.tls]: an address speaks TLS, or it does not", quote(address)), "give both TLS, or an address of its own to each")
			case t == nil && s.TLS != nil:
				k.fail(join(at, "plain"), fmt.Sprintf("plain = %s in [site.tls]: there is TLS on it", quote(address)), "leave it out, or name another address")
			case t == nil:
				k.fail(path, fmt.Sprintf("another site of %s has [site.tls]: an address speaks TLS, or it does not", quote(address)), "add [site.tls], or give the site an address of its own")
			case before.tls.MinVersion != t.MinVersion:
				k.fail(join(at, "min_version"), fmt.Sprintf("min_version in [site.tls]: another site of %s has %s", quote(address), quote(before.tls.MinVersion)), "write the same in both, or give each site an address of its own")
			case before.tls.HTTP3 != t.HTTP3:
				k.fail(join(at, "http3"), fmt.Sprintf("http3 in [site.tls]: another site of %s has %v", quote(address), before.tls.HTTP3), "write the same in both, or give each site an address of its own")
			}
		}
	}
}
