package server

// Certificates of clients: who must have one, and what apps are told of it.

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"millrace/gateway"
	"millrace/internal/certs"
	"millrace/internal/config"
	"millrace/internal/placeholder"
)

// withClients is c for a site that asks its clients for certificates. A session
// that is resumed may be of another site, or from before a reload: crypto/tls
// looks at its certificate by the present roots, since Go 1.25.7.
func withClients(c *tls.Config, site *certs.Site) *tls.Config {
	c = c.Clone()
	c.ClientCAs, c.ClientAuth = site.Clients, tls.RequireAndVerifyClientCert
	if site.Optional {
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return c
}

// layerClientCert refuses requests without a certificate where one is required:
// of connections that are older than the requirement.
func layerClientCert(_ *builder, at *place, next http.Handler) (http.Handler, error) {
	t := at.site.TLS
	if t == nil || len(t.ClientCA) == 0 || t.ClientAuth == "optional" {
		return next, nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
			http.Error(w, "421 misdirected request: this connection has no client certificate", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}

// tellsOfClients reports whether apps are told of clients' certificates.
func tellsOfClients(c *config.Site) bool { return c.TLS != nil && len(c.TLS.ClientCA) > 0 }

// maxAltNames is how many names of one kind an app is told of.
const maxAltNames = 8

// appendClient appends what an app is told of the client's certificate, in the
// names and forms of Apache's mod_ssl (SSLOptions +StdEnvVars).
func appendClient(params []gateway.Param, s *tls.ConnectionState) []gateway.Param {
	if s == nil {
		return append(params, gateway.Param{Name: "SSL_CLIENT_VERIFY", Value: "NONE"})
	}
	add := func(name, value string) {
		if value != "" {
			params = append(params, gateway.Param{Name: name, Value: placeholder.DN(value)})
		}
	}
	add("SSL_PROTOCOL", placeholder.TLSVersion(s))
	if s.CipherSuite != 0 {
		add("SSL_CIPHER", tls.CipherSuiteName(s.CipherSuite))
	}
	add("SSL_CLIENT_VERIFY", placeholder.ClientVerify(s))
	if len(s.PeerCertificates) == 0 {
		return params
	}
	c := s.PeerCertificates[0]
	add("SSL_CLIENT_M_SERIAL", placeholder.Serial(c))
	add("SSL_CLIENT_V_START", opensslTime(c.NotBefore))
	add("SSL_CLIENT_V_END", opensslTime(c.NotAfter))
	add("SSL_CLIENT_S_DN", c.Subject.String())
	add("SSL_CLIENT_S_DN_CN", c.Subject.CommonName)
	add("SSL_CLIENT_I_DN", c.Issuer.String())
	add("SSL_CLIENT_I_DN_CN", c.Issuer.CommonName)
	for i, mail := range c.EmailAddresses[:min(len(c.EmailAddresses), maxAltNames)] {
		add(fmt.Sprintf("SSL_CLIENT_SAN_Email_%d", i), mail)
	}
	for i, name := range c.DNSNames[:min(len(c.DNSNames), maxAltNames)] {
		add(fmt.Sprintf("SSL_CLIENT_SAN_DNS_%d", i), name)
	}
	return params
}

// opensslTime is a time as OpenSSL prints it.
func opensslTime(t time.Time) string { return t.UTC().Format("Jan _2 15:04:05 2006 GMT") }
