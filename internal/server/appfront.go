package server

// Addresses at which an app answers other front servers.

import (
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"millrace/gateway"
	"millrace/internal/certs"
	"millrace/internal/config"
	"millrace/internal/forwarded"
	"millrace/internal/limit"
	"millrace/internal/listen"
	"millrace/internal/route"
)

// mount is what a front needs of a configuration beside its spec.
type mount struct {
	handler http.Handler
	allow   []netip.Prefix // empty: everyone
	mode    fs.FileMode    // of a Unix socket; 0: the default
	certs   *certs.Table   // nil: no TLS

	trust *forwarded.Trust // whom requests over HTTP believe; nil: nobody
}

// frontSpecs are the fronts of a configuration, in its order.
func frontSpecs(c *config.Config) []frontSpec {
	var all []frontSpec
	for _, s := range c.Sites {
		for _, a := range s.Addresses() {
			spec := frontSpec{key: a, address: a, protocol: "http", tls: tlsSpecOf(s.Speaks(a), a), proxied: s.ProxyProtocol}
			if !slices.Contains(all, spec) {
				all = append(all, spec)
			}
		}
	}
	if a := c.Server.Status; a != "" {
		all = append(all, frontSpec{key: statusKey(a), address: a, protocol: "http", status: true})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		for i := range c.Apps[name].Listen {
			l := &c.Apps[name].Listen[i]
			all = append(all, frontSpec{key: appKey(name, l), address: l.Address, protocol: l.Protocol, app: name, ajp: ajpOptions{
				secret: l.Secret, packetSize: int(l.PacketSize), attributes: strings.Join(l.Attributes, "\n"), lighttpd: l.Lighttpd,
			}})
		}
	}
	return all
}

// appKey is the address, which nobody else has, unless its port is any free
// one.
func appKey(app string, l *config.AppListen) string {
	if !strings.HasPrefix(l.Address, "unix:") && strings.HasSuffix(l.Address, ":0") && !strings.HasPrefix(l.Address, "fd:") {
		return l.Address + " " + l.Protocol + " " + app
	}
	return l.Address
}

// statusKey is the address of the status, as appKey is an app's.
func statusKey(address string) string {
	if !strings.HasPrefix(address, "unix:") && strings.HasSuffix(address, ":0") {
		return address + " status"
	}
	return address
}

// appMount makes what one address of an app serves.
func (b *builder) appMount(name string, l *config.AppListen) (mount, error) {
	m := mount{mode: fileMode(l.Mode)}
	var err error
	if m.allow, err = prefixes(l.Allow); err != nil {
		return m, err
	}
	app := limit.Body(&gate{b.server, nil, name, plainPage, b.apps[name].Handler(l.Mount)}, b.limits())
	table, err := route.New([]route.Site{{Routes: []route.Route{{Handler: app}}}})
	if err != nil {
		return m, err
	}
	m.handler = asScript(b.plan.Script, &appEntry{table, app})
	if l.Protocol == "http" {
		m.handler, m.trust = serverWide(b.behindProxies(m.handler)), b.trust
	}
	return m, nil
}

// prefixes are addresses and networks that package config has checked.
func prefixes(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		if ip, err := netip.ParseAddr(text); err == nil {
			all = append(all, netip.PrefixFrom(ip, ip.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// appEntry makes the checks of a site's paths for an app. That a path may be
// empty is a matter of the gateway protocols: SCRIPT_NAME and PATH_INFO of an
// app at the root are, for some front servers.
type appEntry struct{ checked, app http.Handler }

func (e *appEntry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "" && gateway.FrontOf(r.Context()) != nil {
		e.app.ServeHTTP(w, r)
		return
	}
	e.checked.ServeHTTP(w, r)
}

// fileMode is an octal text that package config has checked.
func fileMode(octal string) fs.FileMode {
	n, err := strconv.ParseUint(octal, 8, 32)
	if err != nil {
		return 0
	}
	return fs.FileMode(n)
}

// allows reports whether the peer may connect. Who connects to a Unix socket
// has passed its mode.
func (f *front) allows(a net.Addr) bool {
	return permitted(f.mounted.Load().allow, a)
}

func permitted(allow []netip.Prefix, a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	if len(allow) == 0 || !ok {
		return true
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	return slices.ContainsFunc(allow, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// ownMachine reports whether a listener's address is this machine's alone.
func ownMachine(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// allowing accepts those that a front allows.
type allowing struct {
	net.Listener
	front *front
}

func (l *allowing) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || l.front.allows(c.RemoteAddr()) {
			return c, err
		}
		l.front.says().Warn("a connection is refused: its address is not among those allowed", "peer", c.RemoteAddr().String())
		_ = c.Close()
	}
}

// setMode gives a Unix socket its mode, if that has changed.
func (f *front) setMode(m fs.FileMode) {
	if m == f.mode {
		return
	}
	if err := f.listener.SetMode(m); err != nil {
		f.says().Error("cannot change the mode of a socket", "mode", m, "error", err)
		return
	}
	f.mode = m
}

func listenOptions(c *config.Server, mode fs.FileMode) listen.Options {
	return listen.Options{WriteTimeout: c.WriteTimeout, MinWriteRate: int64(c.MinWriteRate), Mode: mode}
}
