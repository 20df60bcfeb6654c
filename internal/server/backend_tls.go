package server

// TLS to back ends.

import (
	"crypto/tls"

	"millrace/internal/certs"
	"millrace/internal/config"
)

// backendTLS is how TLS is spoken to a group of back ends; t may be nil.
func backendTLS(t *config.UpstreamTLS, files *certs.Files) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t == nil {
		return c, nil
	}
	c.ServerName = t.Name
	c.InsecureSkipVerify = !t.Verify //nolint:gosec // it is asked for, and warned of
	if len(t.CA) > 0 {
		var err error
		if c.RootCAs, err = files.Roots(t.CA); err != nil {
			return nil, &Error{Problem: err.Error(), Fix: "check the file and its rights; millrace check says more"}
		}
	}
	if t.Certificate != "" {
		pair, err := files.Load(upstreamPair(t))
		if err != nil {
			return nil, &Error{Problem: err.Error(), Fix: "check the file and its rights; millrace check says more"}
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair.Get(nil) }
	}
	return c, nil
}

// upstreamPair is the certificate that back ends are shown.
func upstreamPair(t *config.UpstreamTLS) certs.Pair {
	return certs.Pair{Certificate: t.Certificate, Key: t.KeyFile()}
}
