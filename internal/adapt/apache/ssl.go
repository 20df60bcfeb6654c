package apache

// SSLEngine and its kin.

import (
	"fmt"
	"strings"
)

// tls is SSLEngine and its kin.
func (l *lowering) tls(s *site) {
	engine := s.last("sslengine")
	if engine == nil || !strings.EqualFold(engine.arg(0), "on") {
		return
	}
	s.tls = true
	t := s.table.Table("tls", engine.place)
	var certificates, keys []string
	at := engine.place
	for _, d := range s.both() {
		switch d.name {
		case "sslcertificatefile":
			certificates, at = append(certificates, l.path(d.arg(0))), d.place
		case "sslcertificatekeyfile":
			keys = append(keys, l.path(d.arg(0)))
		case "sslcertificatechainfile":
			l.refuse(d, "SSLCertificateChainFile: the chain stands in the file of the certificate, behind it", fmt.Sprintf("cat CERTIFICATE %s > FULLCHAIN, and name that with SSLCertificateFile", l.path(d.arg(0))))
		}
	}
	if len(certificates) == 0 {
		l.refuse(engine, "SSLEngine On, and no SSLCertificateFile", "write SSLCertificateFile and SSLCertificateKeyFile")
		return
	}
	one := func(key string, list []string) {
		if len(list) == 1 {
			t.Set(key, list[0], at)
		} else if len(list) > 1 {
			t.Set(key, list, at)
		}
	}
	one("certificate", certificates)
	one("key", keys)
	if d := s.last("sslprotocol"); d != nil && !l.allows12(d) {
		t.Set("min_version", "1.3", d.place)
	}
	t.Set("http3", false, engine.place) // which Apache does not speak
	verify := s.last("sslverifyclient")
	if verify == nil || strings.EqualFold(verify.arg(0), "none") {
		return
	}
	ca := s.last("sslcacertificatefile")
	if ca == nil {
		l.refuse(verify, "SSLVerifyClient without SSLCACertificateFile", "write SSLCACertificateFile with the roots of the clients' certificates")
		return
	}
	t.Set("client_ca", l.path(ca.arg(0)), ca.place)
	switch strings.ToLower(verify.arg(0)) {
	case "require":
	case "optional":
		t.Set("client_auth", "optional", verify.place)
	default:
		l.refuse(verify, "SSLVerifyClient "+verify.arg(0), "write require, optional or none")
	}
}

// allows12 reports whether TLS 1.2 is spoken.
func (l *lowering) allows12(d *directive) bool {
	on := true
	for i, w := range d.texts() {
		name := strings.ToLower(strings.TrimLeft(w, "+-"))
		is := name == "all" || name == "tlsv1.2"
		switch {
		case strings.HasPrefix(w, "-") && is:
			on = false
		case strings.HasPrefix(w, "-"):
		case strings.HasPrefix(w, "+"):
			on = on || is
		case i == 0:
			on = is
		default:
			on = on || is
		}
	}
	return on
}
