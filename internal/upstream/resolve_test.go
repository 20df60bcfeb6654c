package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"millrace/gateway"
)

// names is a Resolver that a test decides.
type names struct {
	mu  sync.Mutex
	ips []string
	err error
	n   int
}

func (r *names) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	if network != "ip" || host != "api.example" {
		return nil, fmt.Errorf("%s %s", network, host)
	}
	var all []netip.Addr
	for _, ip := range r.ips {
		all = append(all, netip.MustParseAddr(ip))
	}
	return all, r.err
}

func (r *names) set(err error, ips ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.ips = err, ips
}

// closing is a back end that knows when it was closed.
type closing struct {
	named
	closed atomic.Bool
}

func (c *closing) Close() error                { c.closed.Store(true); return nil }
func (c *closing) Check(context.Context) error { return nil }

func addressesOf(g *Group) string {
	var all []string
	for _, s := range g.Status().Servers {
		text := s.Address
		if s.State != Up {
			text += " " + string(s.State)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// TestResolve: a name's addresses become servers, new ones are used, old ones
// drain, and a resolver that fails changes nothing.
func TestResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver := &names{ips: []string{"10.0.0.2", "::ffff:10.0.0.1", "2001:db8::1", "10.0.0.2"}}
		made := map[string]*closing{}
		log := &logBuffer{}
		g := group(log, Config{Balance: RoundRobin, Resolve: 30 * time.Second, Resolver: resolver, Health: everySecond, Servers: []Server{
			{Address: "api.example:80", RoundTripper: &closing{named: named{name: "by name"}}, Weight: 2, Resolved: func(address string) gateway.RoundTripper {
				made[address] = &closing{}
				made[address].name = address
				return made[address]
			}},
			{Address: "10.9.9.9:80", RoundTripper: &closing{named: named{name: "fixed"}}},
		}})
		if got := answerOf(t, g, "GET"); got != "by name" {
			t.Errorf("before the first lookup: %s", got)
		}
		g.Start()
		defer g.Close()
		synctest.Wait()
		if got := addressesOf(g); got != "10.9.9.9:80, 10.0.0.1:80, 10.0.0.2:80, [2001:db8::1]:80" {
			t.Errorf("got %s", got)
		}
		if st := g.Status(); st.Servers[1].Name != "api.example:80" || st.Servers[1].Weight != 2 || st.Servers[0].Name != "" || len(st.Names) != 1 || !st.Names[0].Found {
			t.Errorf("%+v", st)
		}
		round := func() { time.Sleep(34 * time.Second) }

		// One of them answers while its name comes to stand for others.
		var held *server
		for held == nil {
			if s := g.lendNow(&want{}); s.address == "10.0.0.1:80" {
				held = s
			} else {
				g.release(s)
			}
		}
		resolver.set(nil, "10.0.0.2", "10.0.0.3")
		round()
		if got := addressesOf(g); got != "10.9.9.9:80, 10.0.0.1:80 leaving, 10.0.0.2:80, 10.0.0.3:80" {
			t.Errorf("got %s", got)
		}
		for range 20 {
			if s := g.lendNow(&want{}); s == held {
				t.Error("what leaves gets requests")
			} else {
				g.release(s)
			}
		}
		if made["10.0.0.1:80"].closed.Load() || !made["[2001:db8::1]:80"].closed.Load() {
			t.Error("the idle one is to be closed, the other not yet")
		}
		g.done(held, nil)
		if got := addressesOf(g); got != "10.9.9.9:80, 10.0.0.2:80, 10.0.0.3:80" || !made["10.0.0.1:80"].closed.Load() {
			t.Errorf("got %s", got)
		}

		for range 3 {
			resolver.set(errors.New("no such host"))
			round()
			resolver.set(nil) // no address is no answer
			round()
		}
		if got := addressesOf(g); got != "10.9.9.9:80, 10.0.0.2:80, 10.0.0.3:80" {
			t.Errorf("got %s", got)
		}
		if st := g.Status(); st.Names[0].Error == "" {
			t.Errorf("%+v", st.Names)
		}
		if n := len(log.lines("cannot look up", "server=api.example:80", "servers=2")); n != 1 {
			t.Errorf("said %d times:\n%s", n, log)
		}

		// Drained by its name: those that come are, too.
		g.DrainServer("api.example:80", true)
		resolver.set(nil, "10.0.0.3", "10.0.0.4")
		round()
		if got := addressesOf(g); got != "10.9.9.9:80, 10.0.0.3:80 drained, 10.0.0.4:80 drained" {
			t.Errorf("got %s", got)
		}
		g.DrainServer("10.0.0.4:80", false)
		if got := addressesOf(g); got != "10.9.9.9:80, 10.0.0.3:80 drained, 10.0.0.4:80" {
			t.Errorf("got %s", got)
		}
		if len(log.lines("can be looked up again")) != 1 {
			t.Errorf("the log:\n%s", log)
		}

		// A group that is made anew need not look the name up first.
		next := group(log, Config{Resolve: 30 * time.Second, Resolver: resolver, Servers: g.cfg.Servers})
		next.Inherit(g)
		if got := addressesOf(next); got != "10.9.9.9:80, 10.0.0.3:80 drained, 10.0.0.4:80" {
			t.Errorf("got %s", got)
		}

		resolver.mu.Lock()
		n := resolver.n
		resolver.mu.Unlock()
		g.Close()
		time.Sleep(10 * time.Minute)
		if resolver.n != n {
			t.Error("it is looked up after the end")
		}
	})
}

// TestResolveNot: what is no name is not looked up, nor is any without being
// told.
func TestResolveNot(t *testing.T) {
	resolver := &names{}
	for _, tt := range []struct {
		address string
		every   time.Duration
		name    string
	}{{"10.0.0.1:80", time.Minute, ""}, {"[::1]:80", time.Minute, ""}, {"unix:/run/x:80", time.Minute, ""}, {"api.example:80", 0, ""}, {"api.example:80", time.Minute, "api.example"}} {
		g := group(&logBuffer{}, Config{Resolve: tt.every, Resolver: resolver, Servers: []Server{{Address: tt.address, RoundTripper: &named{}}}})
		if got := g.entries[0].name; got != tt.name {
			t.Errorf("%s: %q", tt.address, got)
		}
	}
	ips := make([]string, 300)
	for i := range ips {
		ips[i] = fmt.Sprintf("10.0.%d.%d", i/256, i%256)
	}
	g := group(&logBuffer{}, Config{Resolve: time.Minute, Resolver: &names{ips: ips}, Servers: []Server{{Address: "api.example:80", RoundTripper: &named{}}}})
	if all, err := g.lookUp(t.Context(), g.entries[0]); len(all) != maxAddresses || err != nil {
		t.Errorf("%d addresses, %v", len(all), err)
	}
}

// TestResolvedCertificate: what a name stands for is to have the certificate of
// the name, unless another is named.
func TestResolvedCertificate(t *testing.T) {
	for _, tt := range []struct {
		config  *tls.Config
		address string
		want    string
	}{
		{&tls.Config{}, "api.example:443", "api.example"},
		{&tls.Config{ServerName: "other.example"}, "api.example:443", "other.example"},
		{&tls.Config{}, "10.0.0.1:443", ""}, // the backend's own matter
	} {
		g := group(&logBuffer{}, Config{Resolve: time.Minute, TLS: tt.config, Servers: []Server{{Address: tt.address}}})
		if got := g.httpConfig(g.entries[0]).TLS.ServerName; got != tt.want {
			t.Errorf("%s: %q, want %q", tt.address, got, tt.want)
		}
		if tt.config.ServerName == "api.example" {
			t.Error("the configuration was changed")
		}
	}
}
