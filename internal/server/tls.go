package server

// TLS: the certificates of a configuration, and the servers behind the
// handshakes of an address.

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"millrace/internal/certs"
	"millrace/internal/config"
	"millrace/internal/handshake"
	"millrace/internal/listen"
)

// tlsSpec is what an address speaks below HTTP. The zero value is plain TCP.
type tlsSpec struct {
	on         bool
	minVersion string // "1.3"; else 1.2
	http3      bool
}

func tlsSpecOf(t *config.TLS, address string) tlsSpec {
	if t == nil {
		return tlsSpec{}
	}
	return tlsSpec{on: true, minVersion: t.MinVersion, http3: t.HTTP3 && listen.IsTCP(address)}
}

// certificateLook is how often the files of certificates are looked at.
const certificateLook = 10 * time.Second

// lookAtCertificates reads certificates whose files have changed, until ctx is
// done. Of ten thousand files, each opened by the keeper, one look takes a
// second: it takes a fiftieth of the time at most.
func (s *Server) lookAtCertificates(ctx context.Context) {
	next := time.NewTimer(s.look)
	defer next.Stop()
	for {
		select {
		case <-next.C:
			began := time.Now()
			s.certs.Refresh()
			next.Reset(max(s.look, 50*time.Since(began)))
		case <-ctx.Done():
			return
		}
	}
}

// pairsOf are the pairs in files that a configuration names.
func pairsOf(c *config.Config) []certs.Pair {
	var all []certs.Pair
	for i := range c.Sites {
		if t := c.Sites[i].TLS; t != nil {
			all = append(all, sitePairs(t)...)
		}
	}
	for _, u := range c.Upstreams {
		if t := u.TLS; t != nil && t.Certificate != "" {
			all = append(all, upstreamPair(t))
		}
	}
	return all
}

func sitePairs(t *config.TLS) []certs.Pair {
	var all []certs.Pair
	for i, file := range t.Certificate {
		all = append(all, certs.Pair{Certificate: file, Key: t.KeyOf(i)})
	}
	return all
}

// Files are the paths of all files of a plan that may be others' than the
// front's.
func (p *Plan) Files() []string {
	var all []string
	for _, pair := range pairsOf(p.Config) {
		all = append(all, pair.Certificate, pair.Key)
	}
	for i := range p.Config.Sites {
		t := p.Config.Sites[i].TLS
		if t == nil {
			continue
		}
		all = append(all, t.ClientCA...)
		if t.ACME != nil && t.ACME.CA != "" {
			all = append(all, t.ACME.CA)
		}
	}
	for _, u := range p.Config.Upstreams {
		if u.TLS != nil {
			all = append(all, u.TLS.CA...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// certificates makes the table of an address.
func (b *builder) certificates(address string) (*certs.Table, error) {
	var sites []certs.Site
	for i := range b.plan.Config.Sites {
		c := &b.plan.Config.Sites[i]
		t := c.Speaks(address)
		if t == nil {
			continue
		}
		site := certs.Site{Names: c.Hosts, Default: c.Default, Optional: t.ClientAuth == "optional"}
		if len(t.ClientCA) > 0 {
			var err error
			if site.Clients, err = b.server.certs.Roots(t.ClientCA); err != nil {
				return nil, &Error{Problem: err.Error(), Fix: "check the file and its rights; millrace check says more"}
			}
		}
		if t.ACME != nil {
			m, err := b.server.acme.Manager(authorityOf(t.ACME))
			if err != nil {
				return nil, err
			}
			site.Certificates, site.Challenges = append(site.Certificates, m), m.TLSALPN
		}
		for _, pair := range sitePairs(t) {
			one, err := b.server.certs.Load(pair)
			if err != nil {
				return nil, &Error{Problem: err.Error(), Fix: "check the file and its rights; millrace check says more"}
			}
			site.Certificates = append(site.Certificates, one)
		}
		sites = append(sites, site)
	}
	if len(sites) == 0 {
		return nil, nil
	}
	return certs.NewTable(sites)
}

// certificate is the one for a client of the front.
func (f *front) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	m := f.mounted.Load()
	if m == nil || m.certs == nil {
		return nil, nil
	}
	return m.certs.Certificate(hello)
}

// tlsConfig is a front's, for as long as it is there: so the keys of session
// tickets, which crypto/tls changes each day, outlive reloads. of returns the
// front, which may be another one by and by.
func tlsConfig(of func() *front, spec tlsSpec) *tls.Config {
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return of().certificate(hello) },
		NextProtos:     []string{"h2", "http/1.1"},
	}
	if spec.minVersion == "1.3" {
		c.MinVersion = tls.VersionTLS13
	}
	nobody := c.Clone() // without a certificate crypto/tls says unrecognized_name
	nobody.GetCertificate, nobody.SessionTicketsDisabled = nil, true
	challenge := c.Clone()
	challenge.NextProtos, challenge.SessionTicketsDisabled = []string{acmeProtocol}, true
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		var site *certs.Site
		if m := of().mounted.Load(); m != nil && m.certs != nil {
			site = m.certs.Site(hello)
		}
		isChallenge := len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmeProtocol
		switch {
		case site == nil: // nobody's name; also of a client that resumes, who is shown no certificate
			return nobody, nil
		case isChallenge && site.Challenges:
			return challenge, nil
		case site.Clients != nil:
			return withClients(c, site), nil
		}
		return nil, nil
	}
	return c
}

// acmeProtocol is what an authority negotiates for tls-alpn-01 (RFC 8737).
const acmeProtocol = "acme-tls/1"

func authorityOf(c *config.ACME) certs.Authority {
	return certs.Authority{
		Directory: c.Directory, Email: c.Email, Roots: c.CA, Storage: c.Storage,
		HTTP: slices.Contains(c.Challenges, "http-01"), TLSALPN: slices.Contains(c.Challenges, "tls-alpn-01"),
	}
}

// managed are the names that a configuration wants certificates of.
func (s *Server) managed(c *config.Config) map[*certs.Manager][]string {
	all := map[*certs.Manager][]string{}
	for i := range c.Sites {
		t := c.Sites[i].TLS
		if t == nil || t.ACME == nil {
			continue
		}
		m, err := s.acme.Manager(authorityOf(t.ACME)) // which build has made
		if err != nil {
			s.log.Error("cannot look after certificates", "hosts", c.Sites[i].Hosts, "error", err)
			continue
		}
		for _, host := range c.Sites[i].Hosts {
			if !slices.Contains(all[m], host) {
				all[m] = append(all[m], host)
			}
		}
	}
	return all
}

// maxStreams is how many requests of one connection may run at a time.
const maxStreams = 128

// secured is the server of an address with TLS: http1 serves what is HTTP/1.1
// in it, net/http what is HTTP/2.
func (f *front) secured(http1 protocolServer, c *config.Server, log *slog.Logger) protocolServer {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	return &handshake.Server{
		Config: tlsConfig(func() *front { return f }, f.tls),
		HTTP1:  http1,
		HTTP2: &http.Server{
			Handler:                      f,
			Protocols:                    &protocols,
			DisableGeneralOptionsHandler: true, // layerServerWide's, which the log sees
			HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
			ReadHeaderTimeout:            c.HeaderTimeout,
			IdleTimeout:                  c.IdleTimeout,
			MaxHeaderBytes:               int(c.MaxHeader),
			ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelError),
		},
		Timeout: min(c.HeaderTimeout, handshake.DefaultTimeout),
		Log:     log,
	}
}

// port is the port that a front listens on; 0: none.
func (f *front) port() int {
	if f.listener == nil {
		return 0
	}
	if a, ok := f.listener.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}
