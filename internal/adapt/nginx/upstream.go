package nginx

// Groups of back ends.

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/adapt/document"
)

// backends is an upstream of the file.
type backends struct {
	name string
	d    *directive
}

// collectUpstreams reads the upstreams of http.
func (a *adapter) collectUpstreams(l *level) {
	for _, d := range l.own("upstream") {
		name := d.arg(0)
		if a.groups[name] != nil {
			a.problem(d.argAt(0), fmt.Sprintf("duplicate upstream %q", name), "leave one of them out")
			continue
		}
		if !slices.ContainsFunc(d.block, func(s *directive) bool { return s.name == "server" }) {
			a.problem(d.at, "no servers are inside upstream", "write server ADDRESS; in it")
			continue
		}
		a.groups[name] = &backends{name: name, d: d}
	}
}

// settings are what a location says of its back ends: keys and values, in order.
type settings struct{ keys []entry }

func (s *settings) set(name string, value any, at document.Place) {
	s.keys = append(s.keys, entry{name, value, at})
}

// upstream is the name of an [upstream] for an address, or a group, and how it is
// spoken to. Those that are alike are one.
func (a *adapter) upstream(address, protocol string, with settings, at document.Place) (string, bool) {
	group := a.groups[address]
	identity := protocol + " " + address
	for _, k := range with.keys {
		identity += fmt.Sprintf(" %s=%v", k.name, show(k.value))
	}
	if name := a.made[identity]; name != "" {
		return name, true
	}
	name := a.freeName(address, protocol)
	a.made[identity] = name
	t := a.doc.Table("upstream", at).Table(name, at)
	if group != nil {
		t = a.doc.Table("upstream", at).Table(name, group.d.at)
	}
	t.Set("protocol", protocol, at)
	if group == nil {
		t.Set("servers", []string{a.address(address, protocol)}, at)
	} else if !a.servers(t, group, protocol) {
		return name, false
	}
	for _, k := range with.keys {
		t.Set(k.name, k.value, k.at)
	}
	return name, true
}

// show is a value for the identity of an upstream.
func show(v any) string {
	if t, is := v.(*document.Table); is {
		return fmt.Sprint(t.Get("verify"), t.Get("ca"), t.Get("name"), t.Get("certificate"))
	}
	return fmt.Sprint(v)
}

// freeName is a name for an upstream that none has.
func (a *adapter) freeName(address, protocol string) string {
	name := strings.TrimPrefix(address, "unix:")
	if strings.HasPrefix(address, "unix:") {
		name = strings.TrimSuffix(name[strings.LastIndexByte(name, '/')+1:], ".sock")
	}
	name = strings.Trim(strings.Map(func(r rune) rune {
		if r < 0x80 && (isWord(byte(r)) || r == '-') {
			return r
		}
		return '-'
	}, name), "-")
	if name == "" {
		name = protocol
	}
	free := name
	for n := 2; a.names[free]; n++ {
		free = name + "-" + strconv.Itoa(n)
	}
	a.names[free] = true
	return free
}

// address is a back end's address with its port.
func (a *adapter) address(text, protocol string) string {
	if strings.HasPrefix(text, "unix:") {
		return text
	}
	if i := strings.LastIndexByte(text, ':'); i >= 0 && !strings.HasSuffix(text, "]") {
		return text
	}
	if protocol == "https" || protocol == "h2" {
		return text + ":443"
	}
	return text + ":80"
}

// servers writes the servers of a group and how one is chosen.
func (a *adapter) servers(t *document.Table, g *backends, protocol string) bool {
	var plain []string
	var tables []*document.Table
	fails, timeouts := map[string]bool{}, map[string]bool{}
	simple := true
	for _, d := range g.d.block {
		if d.name != "server" {
			continue
		}
		address := a.address(d.arg(0), protocol)
		plain = append(plain, address)
		one := document.Inline()
		one.Set("address", address, d.at)
		fail, timeout := "1", "10s"
		for _, w := range d.args[1:] {
			key, value, _ := strings.Cut(w.text, "=")
			n, err := strconv.Atoi(value)
			switch key {
			case "weight", "max_conns":
				if err != nil || n < 1 {
					a.problem(w.at, fmt.Sprintf("invalid parameter %q", w.text), "")
					return false
				}
				one.Set(key, n, w.at)
				simple = false
			case "backup":
				one.Set("backup", true, w.at)
				simple = false
			case "down":
				one.Set("drain", true, w.at)
				simple = false
			case "max_fails":
				fail = value
			case "fail_timeout":
				if timeout = value; value == "0" || value == "0s" { // no failure is remembered
					fail, timeout = "0", "10s"
				}
			case "resolve":
				t.Set("resolve", "30s", w.at)
			case "slow_start":
				if d, ok := nginxTime(value); ok {
					t.Set("slow_start", duration(d), w.at)
				}
			default:
				a.problem(w.at, fmt.Sprintf("invalid parameter %q", w.text), "")
				return false
			}
		}
		fails[fail], timeouts[timeout] = true, true
		tables = append(tables, one)
	}
	if simple {
		t.Set("servers", plain, g.d.at)
	} else {
		t.Set("servers", tables, g.d.at)
	}
	a.failures(t, g, fails, timeouts)
	a.balance(t, g)
	return true
}

// failures are what nginx counts of each server, and a group counts for all alike.
func (a *adapter) failures(t *document.Table, g *backends, fails, timeouts map[string]bool) {
	if len(fails) > 1 || len(timeouts) > 1 {
		a.problem(g.d.at, fmt.Sprintf("the servers of upstream %q have different max_fails or fail_timeout, and a group has one", g.name), "write the same for each")
		return
	}
	for text := range fails {
		if n, err := strconv.Atoi(text); err != nil || n < 0 || n > 1000 {
			a.problem(g.d.at, fmt.Sprintf("invalid parameter \"max_fails=%s\"", text), "")
		} else if n != 1 {
			t.Set("max_fails", n, g.d.at)
		}
	}
	for text := range timeouts {
		switch d, ok := nginxTime(text); {
		case ok && d == 0: // a failure is forgotten at once
			t.Set("max_fails", 0, g.d.at)
		case !ok:
			a.problem(g.d.at, fmt.Sprintf("invalid parameter \"fail_timeout=%s\"", text), "")
		case duration(d) != "10s":
			t.Set("fail_timeout", duration(d), g.d.at)
		}
	}
}

// balance is how a server is chosen.
func (a *adapter) balance(t *document.Table, g *backends) {
	by := "round-robin"
	at := g.d.at
	for _, d := range g.d.block {
		switch d.name {
		case "least_conn":
			by, at = "least-busy", d.at
		case "least_time":
			a.refuse(d, "times of back ends are not compared", "write least_conn")
		case "ip_hash":
			by, at = "hash", d.at
			t.Set("hash", "{client}", d.at)
		case "hash":
			by, at = "hash", d.at
			s := &site{a: a, level: &level{context: 'U', at: d.at}, maps: map[string]bool{}, ofResponse: map[string]bool{}, table: document.Inline()}
			sc := scope{site: s, level: s.level}
			if text, ok := sc.expand(d.args[0], forText); ok {
				if strings.Contains(text, "{map.") {
					a.problem(d.argAt(0), "hash by a table is not carried over: tables are of sites", "hash by what the table looks up")
				}
				t.Set("hash", text, d.at)
			}
		case "random":
			by, at = "random-two", d.at
			if d.arg(0) != "two" {
				t.Comment("random: of two at random the less busy.")
			}
		}
	}
	n := 0
	for _, d := range g.d.block {
		if d.name == "server" {
			n++
		}
	}
	if n > 1 {
		t.Set("balance", by, at)
	}
}
