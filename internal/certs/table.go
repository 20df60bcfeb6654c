package certs

// This file: from the name that a client asks for to a certificate.

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"regexp"
	"strings"
)

// Source is a certificate that may change.
type Source interface {
	// Get returns it; nil if there is none for this client (yet).
	Get(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

var _ Source = (*File)(nil)

// Site is the names of a site and its certificates.
type Site struct {
	// Names are "www.example.com", "*.example.com", which is every name below
	// it, and "~" with a regular expression behind; in lower case. None: it is
	// the default, for names that no other site has and for clients that say
	// none.
	Names   []string
	Default bool // it is, and has Names as well

	// Certificates are tried in order: the first that is for the name, and
	// that the client can use; else the first.
	Certificates []Source

	// Clients are the roots that clients' certificates must be of; nil: they are
	// asked for none.
	Clients  *x509.CertPool
	Optional bool // a client need not have one

	// Challenges says that one of them may answer an authority by tls-alpn-01.
	Challenges bool
}

// Table is the sites of one address.
type Table struct {
	exact    map[string]*Site
	wild     map[string]*Site // by what is behind the "*."
	regexps  []pattern
	fallback *Site
}

type pattern struct {
	*regexp.Regexp
	site *Site
}

// NewTable makes a table. Of two sites with one name the first has it. The
// error is a regular expression's.
func NewTable(sites []Site) (*Table, error) {
	t := &Table{exact: map[string]*Site{}, wild: map[string]*Site{}}
	for i := range sites {
		s := &sites[i]
		if (s.Default || len(s.Names) == 0) && t.fallback == nil {
			t.fallback = s
		}
		for _, name := range s.Names {
			if text, ok := strings.CutPrefix(name, "~"); ok {
				re, err := regexp.Compile(text)
				if err != nil {
					return nil, fmt.Errorf("cannot compile %q: %w", text, err)
				}
				t.regexps = append(t.regexps, pattern{re, s})
				continue
			}
			names := t.exact
			if behind, ok := strings.CutPrefix(name, "*."); ok {
				names, name = t.wild, behind
			}
			if names[name] == nil {
				names[name] = s
			}
		}
	}
	return t, nil
}

// site is whose name it is: an exact one goes before a wildcard, of those the
// longest, and that before a regular expression; nil: nobody's.
func (t *Table) site(name string) *Site {
	if s := t.exact[name]; s != nil {
		return s
	}
	if len(t.wild) > 0 {
		for behind := name; ; {
			_, rest, ok := strings.Cut(behind, ".")
			if !ok {
				break
			}
			if s := t.wild[rest]; s != nil {
				return s
			}
			behind = rest
		}
	}
	for _, p := range t.regexps {
		if p.MatchString(name) {
			return p.site
		}
	}
	return t.fallback
}

// Site is whose name a client wants; nil: nobody's.
func (t *Table) Site(hello *tls.ClientHelloInfo) *Site {
	var local net.Addr
	if hello.Conn != nil {
		local = hello.Conn.LocalAddr()
	}
	return t.site(Asked(hello.ServerName, local))
}

// Asked is the name that a client has asked for in its handshake, as hosts are
// written. One that says none has connected to an address, which may be a
// site's name.
func Asked(name string, local net.Addr) string {
	if name = lower(strings.TrimSuffix(name, ".")); name != "" || local == nil {
		return name
	}
	host, _, err := net.SplitHostPort(local.String())
	if err != nil {
		return ""
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// Has reports whether a name, as Asked returns them, is a site's.
func (t *Table) Has(name string) bool { return t.site(name) != nil }

// Serves reports whether a request for host may come on a connection whose
// client has asked for another name: of the same site, or one that a
// certificate of that name's site is for, so that a browser uses its connection
// for both (RFC 9113, section 9.1.1); but not if either site asks clients for
// certificates. host is as Asked returns names. A trusted client, which is a
// proxy, need not care for certificates of sites.
func (t *Table) Serves(asked, host string, trusted bool) bool {
	of, wanted := t.site(asked), t.site(host)
	switch {
	case of == wanted:
		return of != nil || trusted
	case of != nil && of.Clients != nil || wanted != nil && wanted.Clients != nil:
		return false
	case trusted:
		return true
	case of == nil || wanted == nil:
		return false
	}
	for _, source := range of.Certificates {
		if f, ok := source.(*File); ok && f.current.Load().Leaf.VerifyHostname(host) == nil {
			return true
		}
	}
	return false
}

// lower is a name in lower case, as ASCII has it: strings.ToLower would make
// one name of two, where a letter beyond ASCII has an ASCII one in lower case.
func lower(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, name)
}

// Certificate is the one for a client; nil: it is to be refused, as one that
// wants a name that is not here (crypto/tls says unrecognized_name).
func (t *Table) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s := t.Site(hello)
	if s == nil {
		return nil, nil
	}
	var first *tls.Certificate
	for _, source := range s.Certificates {
		c, err := source.Get(hello)
		switch {
		case err != nil:
			return nil, err
		case c == nil:
		case len(s.Certificates) == 1 || hello.SupportsCertificate(c) == nil:
			return c, nil
		case first == nil:
			first = c
		}
	}
	return first, nil
}
