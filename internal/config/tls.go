package config

import (
	"slices"
	"time"
)

// TLS is what a site speaks on its addresses, all of them.
type TLS struct {
	Certificate Strings       // certificate: files in PEM, each with its chain
	Key         Strings       // key: files in PEM, in the order of Certificate; empty: in those
	ACME        *ACME         // acme = {...}, in place of Certificate
	MinVersion  string        // min_version: "1.2" (default) or "1.3"
	HTTP3       bool          // http3: over UDP on the same port; default true
	Plain       []string      // plain: addresses without TLS, beside Site.Listen
	Redirect    bool          // redirect: those only redirect to https; default true
	ClientCA    Strings       // client_ca: files of roots in PEM that clients' certificates are of; empty: clients are asked for none
	ClientAuth  string        // client_auth: "require" (default) or "optional"
	HSTS        time.Duration // hsts: that browsers are to remember to use https; default 0: they are not told
}

// ACME is an authority that certificates come from.
type ACME struct {
	Email      string   // email: of who is responsible; empty: the authority is told none
	Directory  string   // directory: URL; default Let's Encrypt's
	CA         string   // ca: file of the roots that the authority's own certificate is of; empty: the system's
	Storage    string   // storage: folder; default "acme"
	Challenges []string // challenges: "http-01", "tls-alpn-01"; default both
}

// KeyOf is the file of the key of certificate i.
func (t *TLS) KeyOf(i int) string {
	if len(t.Key) == 0 {
		return t.Certificate[i]
	}
	return t.Key[i]
}

// Addresses are all of the site, those without TLS last.
func (s *Site) Addresses() []string {
	if s.TLS == nil {
		return s.Listen
	}
	return slices.Concat(s.Listen, s.TLS.Plain)
}

// Speaks reports what the site speaks on one of its addresses: nil is HTTP
// without TLS.
func (s *Site) Speaks(address string) *TLS {
	if s.TLS == nil || !slices.Contains(s.Listen, address) {
		return nil
	}
	return s.TLS
}
