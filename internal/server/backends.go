package server

import (
	"log/slog"
	"maps"
	"slices"

	"millrace/gateway"
	"millrace/internal/config"
	"millrace/internal/spool"
	"millrace/internal/upstream"
)

// backends is a group of back ends, which outlives the trees that name it as
// long as its configuration stays.
type backends struct {
	*upstream.Group
	cfg *config.Upstream
}

func newBackends(name string, u *config.Upstream, spool *spool.Spool, log *slog.Logger) *backends {
	c := upstream.Config{
		Name:           name,
		Protocol:       u.Protocol,
		MaxConns:       u.MaxConns,
		ConnectTimeout: u.ConnectTimeout,
		Timeout:        u.Timeout,
		MaxBody:        int64(u.MaxBody),
		Spool:          spool,
		Log:            log,
	}
	if u.Protocol == "fastcgi" {
		c.MaxConns = 0 // its client counts: a connection may have many requests
	}
	for _, name := range slices.Sorted(maps.Keys(u.Params)) {
		c.Params = append(c.Params, gateway.Param{Name: name, Value: u.Params[name]})
	}
	for _, address := range u.Servers {
		c.Servers = append(c.Servers, upstream.Server{Address: address, RoundTripper: newRoundTripper(address, u)})
	}
	return &backends{upstream.New(c), u}
}
