package config

import (
	"fmt"
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

// addresses refuses an address whose port is already taken for every address
// of the machine: only one of the two could be opened.
func (k *checker) addresses() {
	type listener struct{ path, address, host, port string }
	var all []listener
	for i, s := range k.c.Sites {
		path := join(element("site", i), "listen")
		if k.bad[element("site", i)] || k.bad[path] {
			continue
		}
		for j, address := range s.Listen {
			if colon := strings.LastIndexByte(address, ':'); !strings.HasPrefix(address, "unix:") && address[colon+1:] != "0" {
				all = append(all, listener{element(path, j), address, address[:colon], address[colon+1:]})
			}
		}
	}
	for _, one := range all {
		for _, every := range all {
			if one.port == every.port && one.host != every.host && covers(every.host, one.host) && !k.bad[one.path] {
				k.fail(one.path, fmt.Sprintf("listen = %s in [[site]]: %s takes this port of every address already", quote(one.address), quote(every.address)), fmt.Sprintf("write %s here as well, or name each address", quote(every.address)))
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
