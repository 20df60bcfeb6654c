package server

import (
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"millrace/gateway"
	"millrace/internal/certs"
	"millrace/internal/config"
	"millrace/internal/placeholder"
	"millrace/internal/spool"
	"millrace/internal/upstream"
)

// backends is a group of back ends, which outlives the trees that name it as
// long as its configuration stays.
type backends struct {
	*upstream.Group
	cfg *config.Upstream
}

func newBackends(name string, u *config.Upstream, spool *spool.Spool, files *certs.Files, log *slog.Logger) (*backends, error) {
	c := upstream.Config{
		Name:     name,
		Protocol: u.Protocol,

		MaxConns:     u.MaxConns,
		Queue:        u.Queue,
		QueueTimeout: u.QueueTimeout,
		MaxFails:     u.MaxFails,
		FailTimeout:  u.FailTimeout,
		SlowStart:    u.SlowStart,
		Resolve:      u.Resolve,
		Retries:      u.Retries,
		RetryTimeout: u.RetryTimeout,
		RetryUnsafe:  u.RetryUnsafe,

		ConnectTimeout: u.ConnectTimeout,
		Timeout:        u.Timeout,
		MaxBody:        int64(u.MaxBody),
		StreamResponse: !u.Buffering,
		StreamRequest:  !u.RequestBuffering,
		Upgrade:        u.Upgrade && (u.Protocol == "http" || u.Protocol == "https"),
		UpgradeTimeout: u.UpgradeTimeout,
		Spool:          spool,
		Log:            log,
	}
	c.HTTP2 = u.Protocol == "h2" || u.Protocol == "h2c"
	if u.SpeaksTLS() {
		var err error
		if c.TLS, err = backendTLS(u.TLS, files); err != nil {
			return nil, err
		}
	}
	if err := balance(&c, u); err != nil {
		return nil, err
	}
	if u.Protocol == "fastcgi" {
		c.MaxConns = 0 // its client counts: a connection may have many requests
	}
	for _, name := range slices.Sorted(maps.Keys(u.Params)) {
		c.Params = append(c.Params, gateway.Param{Name: name, Value: u.Params[name]})
	}
	for _, s := range u.Servers {
		one := upstream.Server{Address: s.Address, Weight: s.Weight, Backup: s.Backup, Drain: s.Drain, MaxConns: s.MaxConns}
		most := u.MaxConns
		if s.MaxConns > 0 {
			most = s.MaxConns
		}
		if u.Protocol == "fastcgi" {
			one.MaxConns = 0
		}
		one.RoundTripper = newRoundTripper(s.Address, u, most)
		one.Resolved = func(address string) gateway.RoundTripper { return newRoundTripper(address, u, most) }
		c.Servers = append(c.Servers, one)
	}
	return &backends{upstream.New(c), u}, nil
}

// balance translates how requests are spread over the servers.
func balance(c *upstream.Config, u *config.Upstream) error {
	c.Balance = map[string]upstream.Balance{"round-robin": upstream.RoundRobin, "hash": upstream.Hash, "random-two": upstream.RandomTwo}[u.Balance]
	if u.Hash != "" {
		text, err := placeholder.Parse(u.Hash, placeholder.Scope{})
		if err != nil {
			return err
		}
		c.Key = func(dst []byte, r *http.Request) []byte { return text.Append(dst, r) }
	}
	if s := u.Sticky; s != nil {
		c.Sticky = upstream.Sticky{Cookie: s.Cookie, Secret: s.Secret, Path: s.Path, MaxAge: s.MaxAge}
	}
	if h := u.Health; h != nil && !h.Off {
		c.Health = upstream.Health{Interval: h.Interval, Timeout: h.Timeout, Passes: h.Passes, Fails: h.Fails, Connect: h.Connect, Path: h.Path, Host: h.Host, Status: statuses(h.Status)}
	}
	for _, cause := range u.RetryOn {
		c.RetryOn |= map[string]upstream.Causes{
			"connect": upstream.Connect, "error": upstream.Failure, "timeout": upstream.Timeout,
			"502": upstream.Status502, "503": upstream.Status503, "504": upstream.Status504,
		}[cause]
	}
	return nil
}

// statuses tells those that "200" and "2xx" name; nil if none are named.
func statuses(all []string) func(int) bool {
	if len(all) == 0 {
		return nil
	}
	return func(status int) bool {
		text := strconv.Itoa(status)
		return slices.ContainsFunc(all, func(of string) bool {
			kind, family := strings.CutSuffix(of, "xx")
			return of == text || family && strings.HasPrefix(text, kind)
		})
	}
}
