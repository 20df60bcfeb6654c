package apache

// Who may: Require, the older Order, Allow and Deny, and passwords.

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// gate is one way in: all that it asks for must hold.
type gate struct {
	shut    bool     // nobody
	clients []string // one of these; nil: any
	not     []string // none of these
	users   []string // one of these; nil: anybody with a password
	named   bool     // a password is asked for
	at      *directive
}

func (g gate) open() bool { return !g.shut && g.clients == nil && g.not == nil && !g.named }

// entry is how a request may come in: by one of some gates.
type entry []gate

// both is what two entries ask for together.
func both(a, b entry) entry {
	var all entry
	for _, x := range a {
		for _, y := range b {
			g := gate{shut: x.shut || y.shut, not: append(slices.Clone(x.not), y.not...), named: x.named || y.named, users: x.users, clients: x.clients, at: x.at}
			if x.clients != nil && y.clients != nil {
				g.clients = overlap(x.clients, y.clients)
				g.shut = g.shut || len(g.clients) == 0
			} else if x.clients == nil {
				g.clients = y.clients
			}
			switch {
			case x.users == nil:
				g.users = y.users
			case y.users != nil:
				g.users = slices.DeleteFunc(slices.Clone(x.users), func(u string) bool { return !slices.Contains(y.users, u) })
				g.shut = g.shut || len(g.users) == 0
			}
			all = append(all, g)
		}
	}
	return all
}

// overlap are the networks that are in both lists.
func overlap(a, b []string) []string {
	var all []string
	for _, x := range a {
		for _, y := range b {
			px, py := prefixOf(x), prefixOf(y)
			if !px.Overlaps(py) {
				continue
			}
			if px.Bits() >= py.Bits() {
				all = append(all, x)
			} else {
				all = append(all, y)
			}
		}
	}
	return all
}

func prefixOf(text string) netip.Prefix {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{} // which overlaps nothing
	}
	return p
}

// requires is a list of Require, of which all or one must hold.
func (l *lowering) requires(c *conf, list []*directive, how string) entry {
	var all entry
	negatives := 0
	if how == "requireall" {
		all = entry{{}}
	}
	for _, d := range list {
		var e entry
		words := d.texts()
		negated := d.name == "require" && len(words) > 0 && strings.EqualFold(words[0], "not")
		switch {
		case d.name == "requireall" || d.name == "requireany":
			e = l.requires(c, d.within, d.name)
		case d.name == "requirenone" && how == "requireany":
			l.refuse(d, "<RequireNone> directive has no effect in <RequireAny> directive", "put it into <RequireAll>, beside Require all granted")
			continue
		case d.name == "requirenone":
			negatives++
			e = l.not(d, l.requires(c, d.within, "requireany"))
		case d.name == "limit" || d.name == "limitexcept":
			l.refuse(d, "<"+d.known.name+"> beside AuthMerging", "write all that holds in one section")
			continue
		case d.name != "require":
			continue
		case negated:
			negatives++
			e = l.not(d, l.require(c, d, words[1:]))
		default:
			e = l.require(c, d, words)
		}
		if how == "requireall" {
			all = both(all, e)
			continue
		}
		if negated {
			l.refuse(d, "negative Require directive has no effect in <RequireAny> directive", "put it into <RequireAll>, beside Require all granted")
			continue
		}
		all = append(all, e...)
	}
	if how == "requireall" && negatives > 0 && negatives == len(list) {
		l.refuse(list[0], "<RequireAll> directive contains only negative authorization directives", "put Require all granted beside them")
	}
	return all.simple()
}

// not is who an entry does not let in.
func (l *lowering) not(d *directive, e entry) entry {
	var out gate
	out.at = d
	for _, g := range e {
		switch {
		case g.shut:
		case g.named || g.not != nil:
			l.refuse(d, "Require not, of users: who is not let in by a name is not known before he gives it", "name those who may")
		case g.clients == nil:
			return entry{{shut: true, at: d}}
		default:
			out.not = append(out.not, g.clients...)
		}
	}
	return entry{out}
}

// require is one Require.
func (l *lowering) require(c *conf, d *directive, words []string) entry {
	g := gate{at: d}
	kind := ""
	if len(words) > 0 {
		kind = strings.ToLower(words[0])
		words = words[1:]
	}
	switch kind {
	case "all":
		if len(words) != 1 || !strings.EqualFold(words[0], "granted") && !strings.EqualFold(words[0], "denied") {
			l.refuse(d, "Require all: it takes granted or denied", "write Require all granted, or Require all denied")
		}
		g.shut = len(words) > 0 && strings.EqualFold(words[0], "denied")
	case "ip":
		g.clients = l.networks(d, words)
	case "local":
		g.clients = []string{"127.0.0.0/8", "::1"}
	case "valid-user":
		g.named = true
	case "user":
		if len(words) == 0 {
			l.refuse(d, "Require user: it names nobody", "write the names of users behind it")
		}
		g.named, g.users = true, words
	case "group", "file-group":
		g.named, g.users = true, l.members(c, d, words)
	case "host", "forward-dns":
		l.refuse(d, fmt.Sprintf("Require %s: who a client is is known by its address alone, no name is looked up", kind), "write Require ip with the addresses")
	case "ssl":
		g.shut = !l.site.tls
	case "method", "env", "expr", "ssl-verify-client", "valid-group", "ldap-user", "ldap-group", "ldap-dn", "ldap-attribute", "file-owner", "not":
		l.refuse(d, fmt.Sprintf("Require %s is not carried over", kind), "take <LimitExcept> for methods, SetEnvIf and RewriteRule … [F] for others")
	default:
		l.refuse(d, "Unknown Authz provider: "+kind, "it takes all, ip, local, valid-user, user or group")
	}
	return entry{g}
}

// networks are addresses as Apache takes them: whole, the first numbers of one,
// with a length or a mask.
func (l *lowering) networks(d *directive, words []string) []string {
	all := []string{}
	if len(words) == 0 {
		l.refuse(d, d.known.name+": it names no address", "write addresses behind it")
	}
	for _, w := range words {
		p, ok := network(w)
		if !ok {
			l.refuse(d, fmt.Sprintf("ip address '%s' appears to be invalid", w), "write an address, its first numbers, or one with /LENGTH")
			continue
		}
		all = append(all, p)
	}
	return all
}

func network(text string) (string, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.String(), true
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked().String(), true
	}
	if ip, mask, ok := strings.Cut(text, "/"); ok {
		a, err1 := netip.ParseAddr(ip)
		m, err2 := netip.ParseAddr(mask)
		if err1 != nil || err2 != nil || !a.Is4() || !m.Is4() {
			return "", false
		}
		bits, rest := 0, false
		for _, b := range m.As4() {
			for i := 7; i >= 0; i-- {
				set := b>>i&1 == 1
				if set && rest {
					return "", false
				}
				rest = rest || !set
				if set {
					bits++
				}
			}
		}
		return netip.PrefixFrom(a, bits).Masked().String(), true
	}
	parts := strings.Split(strings.TrimSuffix(text, "."), ".")
	if len(parts) >= 4 {
		return "", false
	}
	full := strings.Join(append(slices.Clone(parts), slices.Repeat([]string{"0"}, 4-len(parts))...), ".")
	a, err := netip.ParseAddr(full)
	if err != nil || !a.Is4() {
		return "", false
	}
	return netip.PrefixFrom(a, 8*len(parts)).String(), true
}

// older is Order, Allow and Deny.
func (l *lowering) older(list []*directive, at *directive) entry {
	denyFirst := true
	var allow, deny []string
	allowAll, denyAll := false, false
	for _, d := range list {
		words := d.texts()
		if d.name == "satisfy" {
			continue
		}
		if d.name == "order" {
			switch strings.ToLower(strings.Join(words, "")) {
			case "deny,allow":
				denyFirst = true
			case "allow,deny", "mutual-failure":
				denyFirst = false
			default:
				l.refuse(d, "unknown order", "write Order Allow,Deny or Order Deny,Allow")
			}
			continue
		}
		if len(words) < 2 || !strings.EqualFold(words[0], "from") {
			l.refuse(d, "allow and deny must be followed by 'from'", "write "+d.known.name+" from …")
			continue
		}
		for _, w := range words[1:] {
			switch p, ok := network(w); {
			case strings.EqualFold(w, "all"):
				allowAll, denyAll = allowAll || d.name == "allow", denyAll || d.name == "deny"
			case ok && d.name == "allow":
				allow = append(allow, p)
			case ok:
				deny = append(deny, p)
			case strings.HasPrefix(strings.ToLower(w), "env="):
				l.refuse(d, fmt.Sprintf("%s from %s: what was found out of a request lets nobody in here", d.known.name, w), "write a RewriteRule with [F] in its place")
			default:
				l.refuse(d, fmt.Sprintf("%s from %s: who a client is is known by its address alone, no name is looked up", d.known.name, w), "write the addresses")
			}
		}
	}
	switch {
	case denyFirst && allowAll || denyFirst && !denyAll && len(deny) == 0:
		return entry{{at: at}}
	case denyFirst && denyAll:
		if allow == nil {
			return entry{{shut: true, at: at}}
		}
		return entry{{clients: allow, at: at}}
	case denyFirst && allow == nil:
		return entry{{not: deny, at: at}}
	case denyFirst: // allowed, or not denied
		return entry{{clients: allow, at: at}, {not: deny, at: at}}
	case denyAll || !allowAll && allow == nil:
		return entry{{shut: true, at: at}}
	case allowAll:
		return entry{{not: deny, at: at}}
	}
	return entry{{clients: allow, not: deny, at: at}}
}

// members are the users of groups of AuthGroupFile.
func (l *lowering) members(c *conf, d *directive, groups []string) []string {
	users := []string{}
	file := c.get("authgroupfile")
	if file == nil {
		l.refuse(d, "Require group without AuthGroupFile", "write AuthGroupFile FILE beside it")
		return users
	}
	text, err := os.ReadFile(l.path(file.arg(0)))
	if err != nil {
		l.refuse(file, fmt.Sprintf("AuthGroupFile: cannot read the groups: %v", err), "check the path and its rights")
		return users
	}
	for line := range strings.Lines(string(text)) {
		name, members, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok && slices.Contains(groups, name) {
			users = append(users, strings.Fields(members)...)
		}
	}
	return users
}
