package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// hosts refuses two sites that would answer for the same host of one address:
// the second would never be reached.
func (k *checker) hosts() {
	type answer struct{ address, host string }
	taken := make(map[answer]bool)
	for i, s := range k.c.Sites {
		path := element("site", i)
		if k.bad[path] || k.bad[join(path, "listen")] || k.bad[join(path, "hosts")] {
			continue
		}
		for _, address := range s.Listen {
			if len(s.Hosts) == 0 && taken[answer{address, ""}] {
				k.fail(join(path, "listen"), fmt.Sprintf("listen = %s in [[site]]: another site answers for every host of it", quote(address)), "give one of them hosts, or another address")
			}
			if len(s.Hosts) == 0 {
				taken[answer{address, ""}] = true
			}
			for j, host := range s.Hosts {
				if taken[answer{address, host}] {
					k.fail(element(join(path, "hosts"), j), fmt.Sprintf("hosts = %s in [[site]]: another site of %s answers for it", quote(host), quote(address)), "leave it out in one of them")
				}
				taken[answer{address, host}] = true
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
	app     string // what a port of 0 is told from another by; "" for a site
}

// listeners are all addresses, those of sites first.
func (k *checker) listeners() []listener {
	var all []listener
	for i, s := range k.c.Sites {
		path := join(element("site", i), "listen")
		if k.bad[element("site", i)] || k.bad[path] {
			continue
		}
		for j, address := range s.Listen {
			all = append(all, listener{element(path, j), fmt.Sprintf("listen = %s in [[site]]", quote(address)), "[[site]]", address, ""})
		}
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

// hostAndPort parts an address; the port is "" of one that is not TCP's.
func (l *listener) hostAndPort() (host, port string) {
	if strings.HasPrefix(l.address, "unix:") || strings.HasPrefix(l.address, "fd:") {
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
