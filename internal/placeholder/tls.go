package placeholder

// What a connection's TLS, and the client's certificate, say.

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"
)

// tlsValues are the names behind "tls.". Those of the client are empty where
// it has shown no certificate, but for client.verify.
var tlsValues = map[string]func(*tls.ConnectionState) string{
	"version":            TLSVersion,                                                                        // "TLSv1.3"
	"cipher":             func(s *tls.ConnectionState) string { return tls.CipherSuiteName(s.CipherSuite) }, // "TLS_AES_128_GCM_SHA256"
	"client.verify":      ClientVerify,                                                                      // "SUCCESS" or "NONE"
	"client.subject":     ofClient(func(c *x509.Certificate) string { return DN(c.Subject.String()) }),
	"client.issuer":      ofClient(func(c *x509.Certificate) string { return DN(c.Issuer.String()) }),
	"client.cn":          ofClient(func(c *x509.Certificate) string { return DN(c.Subject.CommonName) }),
	"client.serial":      ofClient(Serial),
	"client.fingerprint": ofClient(fingerprint),
	"client.cert":        ofClient(escapedPEM),
}

func ofClient(value func(*x509.Certificate) string) func(*tls.ConnectionState) string {
	return func(s *tls.ConnectionState) string {
		if len(s.PeerCertificates) == 0 {
			return ""
		}
		return value(s.PeerCertificates[0])
	}
}

// TLSVersion is a connection's, as other servers write it: "TLSv1.3"; "" if a
// proxy has it and not we.
func TLSVersion(s *tls.ConnectionState) string {
	if s.Version == 0 {
		return ""
	}
	return strings.Replace(tls.VersionName(s.Version), "TLS ", "TLSv", 1)
}

// ClientVerify is what has become of the client's certificate: "SUCCESS", or
// "NONE" where it has shown none. With one that does not hold it is not let in.
func ClientVerify(s *tls.ConnectionState) string {
	if len(s.PeerCertificates) == 0 {
		return "NONE"
	}
	return "SUCCESS"
}

// DN is a name of a certificate in which no control character is left: those
// who sign are believed, but not with the ends of lines.
func DN(name string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, name)
}

// Serial is a certificate's number, in hexadecimal as other servers write it.
func Serial(c *x509.Certificate) string { return fmt.Sprintf("%02X", c.SerialNumber) }

// fingerprint is the SHA-256 of a certificate, in hexadecimal.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// escapedPEM is a certificate in PEM, encoded as a part of a URL is, so that it
// fits a header.
func escapedPEM(c *x509.Certificate) string {
	return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
}
