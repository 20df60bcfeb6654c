package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// hosts refuses two sites that would answer for the same host of one address,
// or for all others: the second would never be reached.
func (k *checker) hosts() {
	type answer struct{ address, host string }
	taken := make(map[answer]bool)
	const others, byDefault = "", "default"
	for i, s := range k.c.Sites {
		path := element("site", i)
		if k.bad[path] || k.bad[join(path, "listen")] || k.bad[join(path, "hosts")] {
			continue
		}
		for _, address := range s.Addresses() {
			if len(s.Hosts) == 0 {
				if taken[answer{address, others}] {
					k.fail(join(path, "listen"), fmt.Sprintf("listen = %s in [[site]]: another site answers for every host of it", quote(address)), "give one of them hosts, or another address")
				}
				taken[answer{address, others}] = true
			}
			if s.Default {
				if taken[answer{address, byDefault}] {
					k.fail(join(path, "default"), fmt.Sprintf("default in [[site]]: another site of %s is its default", quote(address)), "leave it out in one of them")
				}
				taken[answer{address, byDefault}] = true
			}
			for j, host := range s.Hosts {
				if taken[answer{address, host}] {
					k.fail(element(join(path, "hosts"), j), fmt.Sprintf("hosts = %s in [[site]]: another site of %s answers for it", quote(host), quote(address)), "leave it out in one of them")
				}
				taken[answer{address, host}] = true
			}
		}
	}
	for i, s := range k.c.Sites {
		if len(s.Hosts) > 0 || s.Default || k.bad[element("site", i)] {
			continue
		}
		for _, address := range s.Addresses() {
			if taken[answer{address, byDefault}] {
				k.fail(join(element("site", i), "listen"), fmt.Sprintf("listen = %s in [[site]]: the site has no hosts, and another one is the default of the address: it would never be reached", quote(address)), "give it hosts, or leave out default = true of the other")
			}
		}
	}
}

// listener is one address that is to be opened.
type listener struct {
	path    string // of its key
	says    string // "listen = …  in [[site]]", for messages
	whose   string // the table that it stands in
	address string
	app     string // what a port of 0 is told from another by, which no other may share; "" for a site
}

// listeners are all addresses, those of sites first, each once however many
// sites have it.
func (k *checker) listeners() []listener {
	var all []listener
	seen := make(map[string]bool)
	site := func(l listener) {
		if !seen[l.address] {
			all, seen[l.address] = append(all, l), true
		}
	}
	for i, s := range k.c.Sites {
		path := join(element("site", i), "listen")
		if k.bad[element("site", i)] || k.bad[path] {
			continue
		}
		for j, address := range s.Listen {
			site(listener{element(path, j), fmt.Sprintf("listen = %s in [[site]]", quote(address)), "[[site]]", address, ""})
		}
		if s.TLS == nil || k.bad[join(element("site", i), "tls.plain")] {
			continue
		}
		for j, address := range s.TLS.Plain {
			at := element(join(element("site", i), "tls.plain"), j)
			site(listener{at, fmt.Sprintf("plain = %s in [site.tls]", quote(address)), "[site.tls]", address, ""})
		}
	}
	if a := k.c.Server.Status; a != "" && !k.bad["server.status"] {
		all = append(all, listener{"server.status", fmt.Sprintf("status = %s in [server]", quote(a)), "[server]", a, " status"})
	}
	for _, name := range slices.Sorted(maps.Keys(k.c.Apps)) {
		for i, l := range k.c.Apps[name].Listen {
			table := element(join(familyPath("app", name), "listen"), i)
			path, title := join(table, "address"), appListenSection.label("app."+name)
			if k.bad[table] || k.bad[path] || l.Address == "" {
				continue
			}
			all = append(all, listener{path, fmt.Sprintf("address = %s in %s", quote(l.Address), title), title, l.Address, name + " " + l.Protocol})
		}
	}
	return all
}

// PlaceOf is where an address of a site, or of an app unless app is "", was
// given: "millrace.toml:3:10"; "" if it was in no file.
func (c *Config) PlaceOf(address, app string) string {
	k := checker{c: c}
	for _, l := range k.listeners() {
		if l.address != address || app != "" && !strings.HasPrefix(l.app, app+" ") {
			continue
		}
		switch at := c.src.at(l.path); {
		case at.file == "" || at.line == 0:
			return at.file
		default:
			return fmt.Sprintf("%s:%d:%d", at.file, at.line, at.column)
		}
	}
	return ""
}

// hostAndPort parts an address; the port is "" of one that is not TCP's.
func (l *listener) hostAndPort() (host, port string) {
	if strings.HasPrefix(l.address, "unix:") || strings.HasPrefix(l.address, "fd:") || strings.HasPrefix(l.address, "systemd:") {
		return "", ""
	}
	colon := strings.LastIndexByte(l.address, ':')
	return l.address[:colon], l.address[colon+1:]
}

// addresses refuses an address that is taken already, by itself or because its
// port is taken for every address of the machine: only one of the two could be
// opened. Sites share addresses.
func (k *checker) addresses() {
	all := k.listeners()
	for i := range all {
		one := &all[i]
		host, port := one.hostAndPort()
		for j := range all {
			other := &all[j]
			otherHost, otherPort := other.hostAndPort()
			switch {
			case k.bad[one.path] || i == j:
			case one.address == other.address && j < i && one.app != "" && (port != "0" || one.app == other.app):
				k.fail(one.path, fmt.Sprintf("%s: %s listens there already", one.says, other.whose), "give each an address of its own")
			case port == "" || port == "0" || port != otherPort || host == otherHost || !covers(otherHost, host):
			case one.app == "" && other.app == "":
				k.fail(one.path, fmt.Sprintf("%s: %s takes this port of every address already", one.says, quote(other.address)), fmt.Sprintf("write %s here as well, or name each address", quote(other.address)))
			default:
				k.fail(one.path, fmt.Sprintf("%s: %s of %s takes this port of every address already", one.says, quote(other.address), other.whose), "take another port, or name each address")
			}
		}
	}
}

// covers reports whether listening on every takes one as well. Without a host,
// and as [::], Go listens on IPv4 and IPv6.
func covers(every, one string) bool {
	switch every {
	case "":
		return true
	case "[::]":
		return one != ""
	case "0.0.0.0":
		return one != "" && !strings.HasPrefix(one, "[")
	}
	return false
}
