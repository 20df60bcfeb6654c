package config

// How the keys of addresses for other front servers, and of back ends, go
// together.

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

func (k *checker) appListen(path, where string, l *AppListen) {
	if k.bad[path] {
		return
	}
	k.required(path, where, "protocol", l.Protocol, `write protocol = "fastcgi", "scgi", "uwsgi", "ajp" or "http"`)
	k.required(path, where, "address", l.Address, `write address = "127.0.0.1:PORT", "unix:/PATH" or "fd:0"`)
	k.ajpAlone(path, where, l.Protocol, "secret", "packet_size", "attributes", "lighttpd")
	k.packetSize(path, where, l.PacketSize)
	isUnix := strings.HasPrefix(l.Address, "unix:")
	if k.bad[join(path, "address")] || l.Address == "" {
		return
	}
	if at := join(path, "mode"); k.given(at) && !isUnix {
		k.warn(at, fmt.Sprintf("mode in %s has no effect: %s is not the path of a Unix socket", where, quote(l.Address)), "leave it out")
	}
	if at := join(path, "allow"); len(l.Allow) > 0 && isUnix {
		k.fail(at, fmt.Sprintf("allow in %s: who connects to a Unix socket has no address", where), `leave allow out; mode, like "0660", says who may connect`)
	}
	if l.Protocol == "ajp" && l.Secret == "" && !k.bad[join(path, "secret")] && !ownMachine(l.Address) {
		k.fail(join(path, "address"), fmt.Sprintf("address = %s in %s: whoever reaches it could pass for any user, as AJP without a secret believes everyone", quote(l.Address), where),
			`add secret = "…", the same as the front server's, or listen on 127.0.0.1 or a Unix socket`)
	}
}

// ownMachine reports whether an address cannot be reached from outside; what
// is behind a descriptor is seen when it is opened.
func ownMachine(address string) bool {
	if strings.HasPrefix(address, "unix:") || strings.HasPrefix(address, "fd:") {
		return true
	}
	host := strings.Trim(address[:strings.LastIndexByte(address, ':')], "[]")
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (k *checker) upstreams() {
	for _, name := range slices.Sorted(maps.Keys(k.c.Upstreams)) {
		path, where, u := familyPath("upstream", name), upstreamSection.label(name), k.c.Upstreams[name]
		if k.bad[path] {
			continue
		}
		k.required(path, where, "protocol", u.Protocol, `write protocol = "fastcgi", "scgi", "uwsgi", "ajp", "http", "https", "h2" or "h2c"`)
		k.upstreamTLS(path, where, u)
		k.balance(path, where, u)
		k.ajpAlone(path, where, u.Protocol, "secret", "packet_size", "attributes")
		k.packetSize(path, where, u.PacketSize)
		k.upgrades(path, where, u)
		if at := join(path, "params"); u.SpeaksHTTP() && len(u.Params) > 0 && !k.bad[at] {
			k.fail(at, fmt.Sprintf("params in %s: HTTP has no parameters", where), "leave them out, or take another protocol")
		}
	}
}

// upgrades warns of keys without an effect: only HTTP/1.1 has upgrades.
func (k *checker) upgrades(path, where string, u *Upstream) {
	for _, name := range []string{"upgrade", "upgrade_timeout"} {
		if at := join(path, name); k.given(at) && u.Protocol != "http" && u.Protocol != "https" && !k.bad[join(path, "protocol")] {
			k.warn(at, fmt.Sprintf("%s in %s has no effect: only http has upgrades", name, where), "leave it out")
		}
	}
}

func (k *checker) required(path, where, name, value, hint string) {
	if at := join(path, name); value == "" && !k.bad[at] {
		k.fail(at, name+" is missing in "+where, hint)
	}
}

// ajpAlone refuses keys that no other protocol has.
func (k *checker) ajpAlone(path, where, protocol string, names ...string) {
	if protocol == "ajp" || protocol == "" || k.bad[join(path, "protocol")] {
		return
	}
	for _, name := range names {
		if at := join(path, name); k.given(at) && !k.bad[at] {
			k.fail(at, fmt.Sprintf("%s in %s: %s has none", name, where, protocol), "leave it out; it is for ajp")
		}
	}
}

// packetSize holds to what an AJP packet's length can say.
func (k *checker) packetSize(path, where string, size Size) {
	if at := join(path, "packet_size"); k.given(at) && !k.bad[at] && (size < 8<<10 || size > 64<<10) {
		k.fail(at, fmt.Sprintf("packet_size in %s: AJP's packets have 8KiB to 64KiB", where), `write "8KiB", or what the other side has`)
	}
}
