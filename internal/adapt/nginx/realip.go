package nginx

// Whose address a request is of, behind proxies.

import (
	"fmt"
	"slices"
	"strings"
)

// realAddress is set_real_ip_from. It is of the whole process here, so it must be of
// all servers there.
func (a *adapter) realAddress(http *level) {
	levels := []*level{http}
	for _, d := range http.own("server") {
		levels = append(levels, http.within(d, 'S'))
	}
	var trusted []string
	for _, l := range levels {
		for _, d := range l.own("set_real_ip_from") {
			text := d.arg(0)
			if text == "unix:" {
				text = "unix"
			} else if p, err := network(text); err != nil {
				a.problem(d.argAt(0), fmt.Sprintf("host not found in set_real_ip_from %q", text), `write an address, or a network like "10.0.0.0/8"`)
				continue
			} else {
				text = netText(p)
				if p.Bits() < p.Addr().BitLen() && !l.recursive(http) {
					a.problem(d.at, "set_real_ip_from of a network is not carried over without real_ip_recursive: nginx takes the last address of X-Forwarded-For, whoever has it, and here one that is trusted is passed over", "write real_ip_recursive on, or the addresses of the proxies alone")
				}
			}
			trusted = append(trusted, text)
			a.doc.Table("server", d.at).Set("trusted_proxies", unique(trusted), d.at)
		}
		if d := l.last("real_ip_header"); d != nil && len(l.own("real_ip_header")) > 0 {
			switch strings.ToLower(d.arg(0)) {
			case "x-forwarded-for":
			case "proxy_protocol":
				a.note(d, "proxy_protocol of the addresses says it")
			default:
				a.problem(d.argAt(0), fmt.Sprintf("real_ip_header %s is not carried over", d.arg(0)), "have the proxy set X-Forwarded-For, and write real_ip_header X-Forwarded-For")
			}
		} else if len(l.own("set_real_ip_from")) > 0 && l.last("real_ip_header") == nil {
			a.problem(l.own("set_real_ip_from")[0].at, "set_real_ip_from takes the address of X-Real-IP, which is not believed here", "have the proxy set X-Forwarded-For, and write real_ip_header X-Forwarded-For")
		}
	}
	a.oneTrust(levels[1:])
}

// recursive reports whether addresses that are trusted are passed over: at a server, or
// in all of http.
func (l *level) recursive(http *level) bool {
	if l != http {
		return l.on("real_ip_recursive", false)
	}
	return l.on("real_ip_recursive", false) && !slices.ContainsFunc(l.own("server"), func(d *directive) bool {
		return !l.within(d, 'S').on("real_ip_recursive", false)
	})
}

// oneTrust refuses that some servers believe proxies which others do not: whoever is
// let in by an address could say that it is his.
func (a *adapter) oneTrust(servers []*level) {
	for _, l := range servers {
		for _, d := range l.within_("set_real_ip_from", "real_ip_header", "real_ip_recursive") {
			a.problem(d.at, d.name+" of a location is not carried over: whom a request comes from is known before its location", "write it in http")
		}
	}
	text := func(l *level) string {
		var all []string
		for _, d := range l.find("set_real_ip_from") {
			all = append(all, d.arg(0))
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	for _, l := range servers {
		own := l.own("set_real_ip_from")
		if len(own) == 0 {
			continue
		}
		for _, other := range servers {
			if text(other) != text(l) && len(other.own("return")) == 0 { // which asks nobody who he is
				a.problem(own[0].at, fmt.Sprintf("set_real_ip_from of one server is not carried over: the one of line %d would believe the same proxies", other.at.Line), "write it in http")
				return
			}
		}
	}
}

// within_ are the directives of some names in the blocks of a level.
func (l *level) within_(names ...string) []*directive {
	var all []*directive
	for _, d := range l.list {
		if d.block != nil {
			in := &level{list: d.block}
			all = append(append(all, in.own(names...)...), in.within_(names...)...)
		}
	}
	return all
}
