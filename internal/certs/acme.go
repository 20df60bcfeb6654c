package certs

// This file: certificates from ACME authorities, by certmagic.
//
// A manager is one authority with one folder, where the account, certificates
// and keys are kept over restarts. It asks for the certificates of the names
// that it is given, renews each when a third of its life is left, and tries
// again when that fails, ever more seldom: a minute after the first time, six
// hours apart at last.
//
// Challenges are answered by the listeners that serve the sites anyway:
// Challenges for http-01, Get for tls-alpn-01. What is to be answered is in the
// folder too, so that during an upgrade it does not matter which of two
// processes the authority meets.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// Authority is an ACME authority, and where what comes from it is kept.
type Authority struct {
	Directory string // its URL
	Email     string // of who is responsible; may be empty
	Roots     string // a file of roots that it is known by; "": the system's
	Storage   string // folder

	HTTP, TLSALPN bool // the challenges that may be answered
}

// ACME keeps managers over reloads. Its methods may be called from any
// goroutine.
type ACME struct {
	// Look is how often certificates are looked at, whether one is to be
	// renewed; 0: each ten minutes.
	Look time.Duration

	open func(path string) (*os.File, error)
	log  *slog.Logger
	zap  *zap.Logger

	mu       sync.Mutex
	managers map[Authority]*Manager
	answers  net.Listener // see placeholder
}

// NewACME returns an ACME without any manager. open opens files of roots.
func NewACME(open func(path string) (*os.File, error), log *slog.Logger) *ACME {
	return &ACME{open: open, log: log, zap: zapLogger(log), managers: map[Authority]*Manager{}}
}

// Manager gets certificates from one authority.
type Manager struct {
	Authority

	ctx    context.Context
	cancel context.CancelFunc
	cache  *certmagic.Cache
	config *certmagic.Config
	issuer *certmagic.ACMEIssuer
	names  []string
}

var _ Source = (*Manager)(nil)

// Manager returns the one of an authority, which does nothing until Manage. The
// error says why its folder or its roots cannot be used.
func (a *ACME) Manager(of Authority) (*Manager, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m := a.managers[of]; m != nil {
		return m, nil
	}
	if err := usable(of.Storage); err != nil {
		return nil, err
	}
	roots, err := a.roots(of.Roots)
	if err != nil {
		return nil, err
	}
	port, err := a.placeholderLocked()
	if err != nil {
		return nil, err
	}
	m := &Manager{Authority: of}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return m.config, nil },
		RenewCheckInterval: a.Look,
		Logger:             a.zap,
	})
	m.config = certmagic.New(m.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: of.Storage},
		OnEvent: a.event,
		ShouldEmitFunc: func(event string) bool {
			return event == "cert_obtaining" || event == "cert_obtained" || event == "cert_failed"
		},
		Logger: a.zap,
	})
	m.issuer = certmagic.NewACMEIssuer(m.config, certmagic.ACMEIssuer{
		CA: of.Directory, Email: of.Email, Agreed: true, TrustedRoots: roots,
		DisableHTTPChallenge: !of.HTTP, DisableTLSALPNChallenge: !of.TLSALPN,
		ListenHost: "127.0.0.1", AltHTTPPort: port, AltTLSALPNPort: port,
		Logger: a.zap,
	})
	m.config.Issuers = []certmagic.Issuer{m.issuer}
	a.managers[of] = m
	return m, nil
}

// usable makes the folder, if that is possible, and looks whether it can be
// written in.
func usable(folder string) error {
	err := os.MkdirAll(folder, 0o700)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(folder, "try-"); err == nil {
			err = errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}
	if err != nil {
		return &StorageError{folder, bare(err)}
	}
	return nil
}

// StorageError says that a folder for certificates cannot be used.
type StorageError struct {
	Folder string
	Err    error
}

func (e *StorageError) Error() string {
	return fmt.Sprintf("cannot keep certificates in %s: %v", e.Folder, e.Err)
}

// Hint says what to do.
func (e *StorageError) Hint() string {
	return fmt.Sprintf("give it to the user of [server]: install -d -m 0700 -o USER %s", e.Folder)
}

func (e *StorageError) Unwrap() error { return e.Err }

// roots reads a file of roots; nil: those of the system.
func (a *ACME) roots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	f, err := a.open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", path, bare(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, bare(err))
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("cannot use %s: there is no certificate in it", path)
	}
	return pool, nil
}

// placeholderLocked opens a port that says to certmagic, which would open one
// of its own to answer challenges at, that somebody answers there already.
// That somebody are the listeners of the sites, whose ports it need not know.
func (a *ACME) placeholderLocked() (port int, err error) {
	if a.answers == nil {
		if a.answers, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return 0, fmt.Errorf("cannot open a port for certmagic: %w", err)
		}
		go func(l net.Listener) {
			for {
				c, err := l.Accept()
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					_ = c.Close()
				}
			}
		}(a.answers)
	}
	return a.answers.Addr().(*net.TCPAddr).Port, nil
}

// Manage says which names each manager is to have certificates of. It returns
// at once; managers without names end.
func (a *ACME) Manage(names map[*Manager][]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for of, m := range a.managers {
		if len(names[m]) == 0 {
			m.end()
			delete(a.managers, of)
			continue
		}
		var gone []certmagic.SubjectIssuer
		for _, name := range m.names {
			if !slices.Contains(names[m], name) {
				gone = append(gone, certmagic.SubjectIssuer{Subject: name})
			}
		}
		m.cache.RemoveManaged(gone)
		m.names = names[m]
		if err := m.config.ManageAsync(m.ctx, m.names); err != nil {
			a.log.Error("cannot look after certificates", "hosts", m.names, "error", err)
		}
	}
	if len(a.managers) == 0 && a.answers != nil {
		_ = a.answers.Close()
		a.answers = nil
	}
}

func (m *Manager) end() {
	m.cancel()
	m.cache.Stop()
}

// Close ends all managers.
func (a *ACME) Close() { a.Manage(nil) }

// Get is the certificate for a client, or what answers the challenge of an
// authority.
func (m *Manager) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, err := m.config.GetCertificate(hello)
	if err != nil || c == nil || len(c.Certificate) == 0 { // there is none yet
		return nil, nil
	}
	return c, nil
}

// Challenges answers what an authority asks by http-01, and leaves the rest to
// next.
func (m *Manager) Challenges(next http.Handler) http.Handler {
	if !m.HTTP {
		return next
	}
	return m.issuer.HTTPChallengeHandler(next)
}

// Managers are the authorities that there are.
func (a *ACME) Managers() []Authority {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.managers))
}
