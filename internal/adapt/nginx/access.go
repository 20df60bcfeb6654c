package nginx

// Who may: addresses, passwords, somebody else; and how much.

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// access is what a route asks of a client, for some requests.
type access struct {
	state   state
	refuses bool // whoever gets here is refused
	at      document.Place
	keys    []entry
}

func (a *access) apply(r *route) {
	for _, k := range a.keys {
		r.set(k.name, k.value, k.at)
	}
}

func (a *access) set(name string, value any, at document.Place) {
	a.keys = append(a.keys, entry{name, value, at})
}

// access parts the requests of a state by who may answer them.
func (s *site) access(st state) []access {
	l := st.scope.level
	all := access{state: st, at: l.at}
	password := s.password(l, &st.scope)
	asks := s.asks(l, &st.scope)
	rules := l.find("allow", "deny")
	if st.loc != nil && s.asked(st.loc) { // nginx lets pass what auth_request asks, whatever stands here
		if l.internal() != nil {
			return []access{all}
		}
		if asks != nil && s.resolve(l.last("auth_request").arg(0)) == st.loc {
			asks = nil // whoever comes by itself gets the answer that decides
		}
		if password != nil || asks != nil || len(rules) > 0 {
			s.a.problem(l.at, "location "+st.loc.name+" is what auth_request asks, and asks clients itself, which nginx does only where they come there by themselves", `write "internal" in it: then none does`)
		}
	}
	s.limits(&all, l)
	satisfyAny := false
	if d := l.last("satisfy"); d != nil {
		switch d.arg(0) {
		case "any":
			satisfyAny = true
		case "all":
		default:
			s.a.problem(d.argAt(0), fmt.Sprintf("invalid value %q", d.arg(0)), `it is "all" or "any"`)
		}
	}
	if len(rules) > 0 {
		allow, deny, others := s.addresses_(rules)
		if satisfyAny && (password != nil || asks != nil) {
			in := all // who need not say more
			switch {
			case others == welcome && len(deny) == 0:
				return []access{in}
			case others == welcome:
				in.state.when = st.when.with(atom{op: 'c', nets: deny, not: true})
			case len(allow) == 0: // nobody by an address
				s.secrets(&all, password, asks, true, l)
				return []access{all}
			default:
				in.state.when = st.when.with(atom{op: 'c', nets: allow})
			}
			s.secrets(&all, password, asks, true, l)
			return []access{in, all}
		}
		switch {
		case others == refused_ && len(allow) == 0:
			return []access{{state: st, refuses: true, at: rules[0].at}}
		case others == refused_:
			all.set("allow", allow, rules[0].at)
		case len(deny) > 0:
			all.set("deny", deny, rules[0].at)
		}
	}
	s.secrets(&all, password, asks, satisfyAny, l)
	return []access{all}
}

// secrets sets what asks for a password, and who else is asked.
func (s *site) secrets(a *access, password, asks *document.Table, satisfyAny bool, l *level) {
	if password != nil {
		a.set("basic_auth", password, l.at)
	}
	if asks == nil {
		return
	}
	if satisfyAny && password != nil {
		asks.Set("satisfy", "any", l.at)
	}
	for _, d := range l.find("error_page") {
		if words := d.words(); slices.Contains(words, "401") || slices.Contains(words, "403") {
			asks.Set("error_pages", true, d.at) // a refusal is nginx's own error
		}
	}
	if path, alone := asks.Get("path").(string); alone && asks.Get("headers") == nil && asks.Get("satisfy") == nil && asks.Get("error_pages") == nil {
		a.set("auth", path, l.at)
		return
	}
	a.set("auth", asks, l.at)
}

// asked reports whether an auth_request of the server asks a location.
func (s *site) asked(l *location) bool {
	if s.askedFor == nil {
		s.askedFor = map[*location]bool{}
		var walk func(list []*directive)
		walk = func(list []*directive) {
			for _, d := range list {
				if d.name == "auth_request" && d.arg(0) != "off" && !strings.Contains(d.arg(0), "$") {
					s.askedFor[s.resolve(d.arg(0))] = true
				}
				walk(d.block)
			}
		}
		walk(s.level.list)
		walk(s.level.find("auth_request"))
	}
	return s.askedFor[l]
}

// password is who may by a password; nil: nobody is asked.
func (s *site) password(l *level, sc *scope) *document.Table {
	d := l.last("auth_basic")
	if d == nil || d.arg(0) == "off" {
		return nil
	}
	realm, ok := sc.fixed(d.args[0], "the realm of auth_basic")
	file := l.last("auth_basic_user_file")
	if file == nil {
		s.a.problem(d.at, "auth_basic without auth_basic_user_file lets nobody in", "name the file of users")
		return nil
	}
	path, fine := sc.fixed(file.args[0], "the file of users")
	if !ok || !fine {
		return nil
	}
	t := document.Inline()
	t.Set("realm", realm, d.at)
	t.Set("file", s.a.beside(path), file.at)
	return t
}

// asks is who else is asked; nil: nobody.
func (s *site) asks(l *level, sc *scope) *document.Table {
	d := l.last("auth_request")
	if d == nil || d.arg(0) == "off" {
		return nil
	}
	path, ok := sc.expand(d.args[0], forURL)
	if !ok {
		return nil
	}
	t := document.Inline()
	t.Set("path", path, d.at)
	var headers []string
	for _, set := range l.find("auth_request_set") {
		name, is := strings.CutPrefix(set.arg(1), "$upstream_http_")
		if !is {
			s.a.problem(set.argAt(1), fmt.Sprintf("auth_request_set of %q is not carried over", set.arg(1)), "headers of the answer are known: $upstream_http_NAME")
			continue
		}
		headers = append(headers, headerName(name))
	}
	if len(headers) > 0 {
		t.Set("headers", headers, d.at)
	}
	return t
}

// authVariables are the variables that auth_request_set makes of a level.
func (s *site) authVariables(l *level) map[string]string {
	all := map[string]string{}
	for _, set := range l.find("auth_request_set") {
		if name, is := strings.CutPrefix(set.arg(1), "$upstream_http_"); is {
			all[strings.TrimPrefix(set.arg(0), "$")] = "{auth." + headerName(name) + "}"
		}
	}
	return all
}

// others are the clients that no address of a list of rules has.
type others uint8

const (
	unnamed  others = iota // the rules say nothing of them: with "satisfy any" that lets nobody in
	welcome                // allow all
	refused_               // deny all
)

// addresses_ are the clients that rules let in, those that they keep out, and what
// becomes of all others.
func (s *site) addresses_(rules []*directive) (allow, deny []string, rest others) {
	var in, out []netip.Prefix // of those that the rules so far decide
	unixIn, unixOut := false, false
	for _, d := range slices.Backward(rules) {
		text := d.arg(0)
		into, from := &in, &out
		if d.name == "deny" {
			into, from = &out, &in
		}
		switch text {
		case "all":
			*into, *from = nil, nil
			unixIn, unixOut = false, false
			if rest = welcome; d.name == "deny" {
				rest = refused_
			}
			continue
		case "unix:":
			unixIn, unixOut = d.name == "allow", d.name == "deny"
			continue
		}
		p, err := network(text)
		if err != nil {
			s.a.problem(d.argAt(0), fmt.Sprintf("invalid parameter %q", text), `write an address, a network like "10.0.0.0/8", or "all"`)
			continue
		}
		*from = without(*from, p)
		*into = append([]netip.Prefix{p}, *into...)
	}
	for _, p := range in {
		allow = append(allow, netText(p))
	}
	for _, p := range out {
		deny = append(deny, netText(p))
	}
	allow, deny = unique(allow), unique(deny)
	if unixIn {
		allow = append(allow, "unix")
	}
	if unixOut {
		deny = append(deny, "unix")
	}
	return allow, deny, rest
}

func network(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

func netText(p netip.Prefix) string {
	if p.Bits() == p.Addr().BitLen() {
		return p.Addr().String()
	}
	return p.String()
}

// without is networks without the addresses of one.
func without(list []netip.Prefix, cut netip.Prefix) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range list {
		switch {
		case !p.Overlaps(cut):
			all = append(all, p)
		case cut.Bits() <= p.Bits(): // all of it is gone
		default:
			for p.Bits() < cut.Bits() { // the halves that do not have it
				lower := netip.PrefixFrom(p.Addr(), p.Bits()+1)
				upper := netip.PrefixFrom(setBit(p.Addr(), p.Bits()), p.Bits()+1)
				if lower.Contains(cut.Addr()) {
					all, p = append(all, upper), lower
				} else {
					all, p = append(all, lower), upper
				}
			}
		}
	}
	return all
}

func setBit(ip netip.Addr, bit int) netip.Addr {
	b := ip.AsSlice()
	b[bit/8] |= 0x80 >> (bit % 8)
	made, _ := netip.AddrFromSlice(b)
	return made
}

// zone notes a zone of limits.
func (a *adapter) zone(d *directive) {
	for _, w := range d.args[1:] {
		if spec, is := strings.CutPrefix(w.text, "zone="); is {
			name, _, _ := strings.Cut(spec, ":")
			a.zones[d.name+" "+name] = d
		}
	}
}

// limits sets the limits of a location that has some of its own.
func (s *site) limits(a *access, l *level) {
	loc := l.location()
	if own := append(l.own("limit_req", "limit_conn"), loc.own("limit_req", "limit_conn")...); len(own) > 0 && loc.context == 'L' {
		if t := s.limit(l.find("limit_req"), l.find("limit_conn"), l); t != nil {
			a.set("limit", t, own[0].at)
		}
	}
}

// siteLimit is the limit that all locations without their own share.
func (s *site) siteLimit() {
	if t := s.limit(s.level.find("limit_req"), s.level.find("limit_conn"), s.level); t != nil {
		s.table.Set("limit", t, s.level.at)
	}
}

func (s *site) limit(requests, connections []*directive, l *level) *document.Table {
	if len(requests)+len(connections) == 0 {
		return nil
	}
	t := document.Inline()
	by := ""
	sc := scope{site: s, level: s.level, names: s.names}
	key := func(zone *directive, at document.Place) {
		text, ok := sc.expand(zone.args[0], forText)
		if !ok {
			return
		}
		if by != "" && by != text {
			s.a.problem(at, "limits by different keys in one place are not carried over: a route has one", "leave one of them out")
		}
		if by = text; text != "{client}" {
			t.Set("by", text, zone.at)
			t.Set("skip_empty", true, zone.at)
		}
	}
	for i, d := range requests {
		zone := s.zoneOf(d, "limit_req_zone")
		if zone == nil {
			continue
		}
		if i > 0 {
			s.a.problem(d.at, "a second limit_req in one place is not carried over: a route has one rate", "leave the weaker one out")
			continue
		}
		s.rate(t, d, zone)
		key(zone, d.at)
	}
	for i, d := range connections {
		zone := s.a.zones["limit_conn_zone "+d.arg(0)]
		n, err := strconv.Atoi(d.arg(1))
		switch {
		case zone == nil:
			s.a.problem(d.argAt(0), fmt.Sprintf("unknown limit_conn_zone %q", d.arg(0)), "write limit_conn_zone in http")
		case err != nil || n < 1:
			s.a.problem(d.argAt(1), fmt.Sprintf("invalid number of connections %q", d.arg(1)), "")
		case i > 0:
			s.a.problem(d.at, "a second limit_conn in one place is not carried over: a route has one number", "leave the weaker one out")
		default:
			t.Set("connections", n, d.at)
			s.a.shared(zone, d)
			key(zone, d.at)
		}
	}
	status := "503"
	if d := l.last("limit_req_status", "limit_conn_status"); d != nil {
		status = d.arg(0)
	}
	if n, err := strconv.Atoi(status); err != nil || n < 400 || n > 599 {
		s.a.problem(l.at, fmt.Sprintf("value %q must be between 400 and 599", status), "")
	} else if n != 429 {
		t.Set("status", n, l.at)
	}
	if l.on("limit_req_dry_run", false) || l.on("limit_conn_dry_run", false) {
		s.a.problem(l.at, "dry runs of limits are not carried over", "leave the limit out")
	}
	return t
}

// shared notes that a zone counts in each of its places apart.
func (a *adapter) shared(zone, d *directive) {
	if at, is := a.zoneAt[zone]; is && at != d {
		a.note(zone, "each place that has the zone counts for itself; in nginx they count together")
	}
	a.zoneAt[zone] = d
}

func (s *site) zoneOf(d *directive, kind string) *directive {
	for _, w := range d.args {
		if name, is := strings.CutPrefix(w.text, "zone="); is {
			if zone := s.a.zones[kind+" "+name]; zone != nil {
				return zone
			}
			s.a.problem(w.at, fmt.Sprintf("zero size shared memory zone %q", name), "write "+kind+" in http")
			return nil
		}
	}
	s.a.problem(d.at, fmt.Sprintf("%q must have \"zone\" parameter", d.name), "")
	return nil
}

// rate is the rate of a limit_req.
func (s *site) rate(t *document.Table, d, zone *directive) {
	burst, nodelay := 0, false
	for _, w := range d.args {
		switch name, value, _ := strings.Cut(w.text, "="); name {
		case "nodelay":
			nodelay = true
		case "zone", "delay":
		case "burst":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				s.a.problem(w.at, fmt.Sprintf("invalid burst rate %q", w.text), "")
			}
			burst = n
		default:
			s.a.problem(w.at, fmt.Sprintf("invalid parameter %q", w.text), "")
		}
	}
	for _, w := range zone.args {
		if rate, is := strings.CutPrefix(w.text, "rate="); is {
			n, per, _ := strings.Cut(rate, "r/")
			if number, err := strconv.Atoi(n); err != nil || number < 1 || per != "s" && per != "m" {
				s.a.problem(w.at, fmt.Sprintf("invalid rate %q", w.text), `write one like "rate=10r/s"`)
				return
			}
			t.Set("rate", n+"/"+per, zone.at)
			t.Set("burst", burst+1, d.at)
			if burst > 0 && !nodelay {
				s.a.note(d, "what is within burst passes at once; nginx has it wait for its turn")
			}
			s.a.shared(zone, d)
			return
		}
	}
}
