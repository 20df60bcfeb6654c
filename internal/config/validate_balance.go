package config

// How the keys of balancing go together.

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"millrace/internal/placeholder"
)

// balance checks a group of back ends.
func (k *checker) balance(path, where string, u *Upstream) {
	k.servers(path, where, u)
	k.policy(path, where, u)
	if u.Health != nil && !u.Health.Off && !k.bad[join(path, "health")] {
		k.health(join(path, "health"), healthSection.label(where), u)
	}
	given := func(name string) bool { return k.given(join(path, name)) && !k.bad[join(path, name)] }
	limited := u.MaxConns > 0 || u.Protocol == "fastcgi" || slices.ContainsFunc(u.Servers, func(s UpstreamServer) bool { return s.MaxConns > 0 })
	for _, name := range []string{"queue", "queue_timeout"} {
		if given(name) && !limited {
			k.warn(join(path, name), fmt.Sprintf("%s in %s has no effect: no server has a limit, so that nothing waits", name, where), "add max_conns = N")
		}
	}
	if given("retry_unsafe") && u.RetryUnsafe && u.Retries == 0 && !k.bad[join(path, "retries")] {
		k.fail(join(path, "retry_unsafe"), fmt.Sprintf("retry_unsafe in %s: retries = 0 says that nothing is sent again", where), "leave one of the two out")
	}
	if given("fail_timeout") && u.MaxFails == 0 && !k.bad[join(path, "max_fails")] {
		k.fail(join(path, "fail_timeout"), fmt.Sprintf("fail_timeout in %s: max_fails = 0 says that no server is passed over", where), "leave one of the two out")
	}
	if given("resolve") && u.Resolve > 0 {
		if !slices.ContainsFunc(u.Servers, UpstreamServer.named) {
			k.warn(join(path, "resolve"), fmt.Sprintf("resolve in %s has no effect: none of its servers is given by a name", where), "leave it out")
		}
		if u.Resolve < minResolve {
			k.fail(join(path, "resolve"), fmt.Sprintf("resolve = %q in %s: is more often than once in %s", u.Resolve, where, minResolve), "take a longer time: each lookup is a question to the resolver")
		}
	}
}

// minResolve is the most often that names are looked up.
const minResolve = time.Second

// named reports whether a server is given by a name.
func (s UpstreamServer) named() bool {
	host, _, err := net.SplitHostPort(s.Address)
	if strings.HasPrefix(s.Address, "unix:") || err != nil {
		return false
	}
	_, err = netip.ParseAddr(host)
	return err != nil
}

// servers checks that there are some that can be used.
func (k *checker) servers(path, where string, u *Upstream) {
	at := join(path, "servers")
	if k.bad[at] {
		return
	}
	if len(u.Servers) == 0 {
		problem := "servers is missing in " + where
		if k.given(at) {
			problem = "servers = [] in " + where + ": is empty"
		}
		k.fail(at, problem, `write servers = ["127.0.0.1:PORT"]`)
		return
	}
	seen := map[string]bool{}
	backups, drained := 0, 0
	for i, s := range u.Servers {
		of := element(at, i)
		if k.bad[of] {
			continue
		}
		title := upstreamServerSection.listLabel(where)
		if s.Address == "" {
			k.required(of, title, "address", s.Address, `write address = "127.0.0.1:PORT"`)
			continue
		}
		if seen[s.Address] {
			k.refuse(spot{path: of, name: "address", where: title, form: &form{}}, quote(s.Address), &refusal{"is there twice", "leave one of them out; weight gives one a larger share"})
		}
		seen[s.Address] = true
		if s.Backup {
			backups++
		}
		if s.Drain {
			drained++
		}
	}
	switch {
	case backups == len(u.Servers):
		k.fail(at, fmt.Sprintf("servers in %s are all backups, and there is none that they stand in for", where), "leave out backup = true for at least one")
	case drained == len(u.Servers):
		k.warn(at, fmt.Sprintf("servers in %s are all drained: its requests are answered with 503", where), "leave out drain = true for at least one")
	}
}

// policy checks what the policy needs, and that nothing else is said.
func (k *checker) policy(path, where string, u *Upstream) {
	hash, balance := join(path, "hash"), join(path, "balance")
	if u.Hash != "" && !k.bad[hash] {
		k.placeholders(spot{path: hash, name: "hash", where: where, form: &formHash}, u.Hash, placeholder.Scope{})
	}
	if !k.bad[hash] && !k.bad[balance] {
		text, err := placeholder.Parse(u.Hash, placeholder.Scope{})
		switch {
		case u.Balance == "hash" && u.Hash == "":
			k.fail(balance, fmt.Sprintf("balance = \"hash\" in %s: hash is missing, what the server is chosen by", where), `add hash = "{path}", "{header.NAME}", "{cookie.NAME}" or "{client}"`)
		case u.Balance != "hash" && u.Hash != "":
			k.fail(hash, fmt.Sprintf("hash in %s: balance = %q does not go by it", where, u.Balance), `write balance = "hash", or leave hash out`)
		case u.Hash != "" && err == nil:
			if _, constant := text.Constant(); constant {
				k.fail(hash, fmt.Sprintf("hash = %s in %s: is the same for every request, so that one server would get them all", quote(u.Hash), where), `name something of the request, like "{path}" or "{client}"`)
			}
		}
	}
	sticky := join(path, "sticky")
	if u.Sticky == nil || k.bad[sticky] {
		return
	}
	k.required(sticky, stickySection.label(where), "cookie", u.Sticky.Cookie, `write cookie = "NAME"`)
	if u.Balance == "hash" && !k.bad[balance] {
		k.fail(sticky, fmt.Sprintf("sticky in %s: balance = \"hash\" chooses the server already", where), "leave one of the two out")
	}
}

// health checks that a check can work.
func (k *checker) health(path, where string, u *Upstream) {
	h := u.Health
	http := u.Protocol != "" && !slices.Contains([]string{"fastcgi", "scgi", "uwsgi", "ajp"}, u.Protocol)
	if !k.bad[join(path, "timeout")] && !k.bad[join(path, "interval")] && h.Timeout >= h.Interval {
		at := join(path, "timeout")
		if !k.given(at) {
			at = join(path, "interval")
		}
		k.fail(at, fmt.Sprintf("timeout = %q in %s: is not shorter than interval = %q, when the next check begins", h.Timeout, where, h.Interval), "take a shorter timeout, or a longer interval")
	}
	for name, given := range map[string]bool{"path": h.Path != "", "host": h.Host != "", "status": len(h.Status) > 0} {
		at := join(path, name)
		switch {
		case !given || k.bad[at] || u.Protocol == "":
		case !http:
			k.fail(at, fmt.Sprintf("%s in %s: %s is asked without one", name, where, u.Protocol), "leave it out; it is for http")
		case h.Connect:
			k.fail(at, fmt.Sprintf("%s in %s: connect = true says that nothing is asked", name, where), "leave one of the two out")
		}
	}
	if http && h.Path == "" && !h.Connect && !k.bad[join(path, "path")] {
		k.fail(path, fmt.Sprintf("path is missing in %s: what is %s to be asked for?", where, u.Protocol), `write path = "/health", or connect = true to ask nothing`)
	}
}
