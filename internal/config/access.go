package config

// Who may, how much, and who it is: keys of [server], of sites and of routes.

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"millrace/internal/auth"
	"millrace/internal/limit"
)

// BasicAuth asks for a name and a password.
type BasicAuth struct {
	Off   bool              // basic_auth = false
	Realm string            // realm: what the browser shows; default "Restricted"
	Users map[string]string // users: names and hashes of passwords
	File  string            // file: names and hashes as htpasswd writes them; empty: none
}

// RateLimit bounds the requests of a route, or of a site's routes together, for
// each key.
type RateLimit struct {
	Off         bool   // limit = false
	Rate        string // rate: "10/s", "300/m"; empty: any
	Burst       int    // burst: requests that may come at once; default: as many as come in a second, at least 1
	By          string // by: text with placeholders, for each value of which the bounds are apart; default "{client}"
	Connections int    // connections: requests that are answered at a time; default 0: any
	Status      int    // status: of the answer to what is beyond; default 429
	SkipEmpty   bool   // skip_empty: a request for which By is empty is not bounded; default false
}

var basicAuthSection = &section{
	title:   "basic_auth of %s",
	example: "[[site.route]]",
	doc:     "Asks for a name and a password. Who has none, or a wrong one, is answered with 401 before a body is read. The app gets the name as REMOTE_USER. `basic_auth = false` in a route asks for none where the site does.",
	keys: []key{
		{name: "realm", field: "Realm", form: formRealm, def: `"Restricted"`, doc: "What the browser shows."},
		{name: "users", field: "Users", form: formUsers, doc: "Names and hashes of their passwords, as `htpasswd -nB NAME` writes them."},
		{name: "file", field: "File", form: formUsersFile, doc: "A file of them, as `htpasswd -B FILE NAME` writes it; read anew when it changes. Its users go before `users`."},
	},
}

var rateLimitSection = &section{
	title:   "limit of %s",
	example: "[[site.route]]",
	doc:     "Bounds the requests of a route, or of all routes of a site together that have no bounds of their own. `limit = false` in a route takes it out of the site's. What is beyond is answered with 429, or `status`, and Retry-After.",
	keys: []key{
		{name: "rate", field: "Rate", form: formRate, doc: "Requests that may come in a time: of a second, a minute, an hour or a day."},
		{name: "burst", field: "Burst", form: formCountOrZero, def: "0", doc: "Requests that may come at once, and count against the rate; 0: those of a second, at least 1."},
		{name: "by", field: "By", form: formLimitKey, def: `"{client}"`, doc: "Text with placeholders: for each of its values the bounds are apart. A client with IPv6 is its network of 64 bits."},
		{name: "connections", field: "Connections", form: formCountOrZero, def: "0", doc: "Requests that are answered at a time; 0: any number."},
		{name: "status", field: "Status", form: formLimitStatus, def: "429", doc: "The status that what is beyond is answered with."},
		{name: "skip_empty", field: "SkipEmpty", form: formBool, def: "false", doc: "Whether requests for which `by` is empty are not bounded; without it they share one bound. A header that clients send is no such key: they leave it out."},
	},
}

var (
	formClients     = form{takes: `addresses and networks: "192.0.2.1", "192.0.2.0/24", "2001:db8::/32", or "unix" for Unix sockets`, check: checkClients}
	formProxied     = form{takes: `names of headers: "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded"`, check: checkProxied}
	formRealm       = form{takes: "a text of printable ASCII without quotes", check: checkRealm}
	formUsers       = form{takes: `a table of names and hashes: { jo = "$2y$…" }`, hidden: true, check: checkHash, name: checkUserName}
	formUsersFile   = form{takes: "the path of a file that htpasswd has made", empty: true, check: checkUsersFile}
	formRate        = form{takes: `a number of requests and a time: "10/s", "300/m", "1000/h" or "5000/d"`, empty: true, check: checkRate}
	formLimitStatus = form{takes: "a status from 400 to 599", number: checkLimitStatus}
	formLimitKey    = form{takes: `a text with placeholders, like "{client}" or "{header.X-Api-Key}"`, texts: true}
)

func checkClients(dir, text string) (string, *refusal) {
	if text == "unix" {
		return text, nil
	}
	return checkAllow(dir, text)
}

// ProxyHeaders are the headers by which a proxy tells whose request it is.
func ProxyHeaders() []string {
	return []string{"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded"}
}

func checkProxied(_, text string) (string, *refusal) {
	return oneOf(strings.ToLower(text), "is not a header that is read", ProxyHeaders()...)
}

func checkRealm(_, text string) (string, *refusal) {
	if !auth.ValidRealm(text) {
		return "", refuse("holds what no browser shows alike")
	}
	return text, nil
}

func refusalOf(err error) *refusal {
	bad := &refusal{reason: err.Error()}
	var hint interface{ Hint() string }
	if errors.As(err, &hint) {
		bad.hint = hint.Hint()
	}
	return bad
}

func checkHash(_, text string) (string, *refusal) {
	if err := auth.CheckHash(text); err != nil {
		return "", refusalOf(err)
	}
	return text, nil
}

func checkUserName(text string) (string, *refusal) {
	if err := auth.CheckUser(text); err != nil {
		return "", refusalOf(err)
	}
	return text, nil
}

func checkUsersFile(dir, text string) (string, *refusal) {
	path := absolute(dir, text)
	if err := auth.CheckFile(path); err != nil {
		bad := refusalOf(err)
		if bad.hint == "" {
			bad.hint = "make one: htpasswd -cB " + short(path) + " NAME"
		}
		return "", bad
	}
	return path, nil
}

func checkLimitStatus(n int) *refusal {
	if n < 400 || n > 599 {
		return refuse("is not the status of an error")
	}
	return nil
}

func checkRate(_, text string) (string, *refusal) {
	if _, err := limit.ParseRate(text); err != nil {
		return "", refuse(err.Error())
	}
	return text, nil
}

// access checks how the keys of a site, or a route, about who may and how much
// go together.
func (k *checker) access(path, where string, b *BasicAuth, l *RateLimit) {
	if at := join(path, "basic_auth"); b != nil && !b.Off && !k.bad[at] && len(b.Users) == 0 && b.File == "" && !k.bad[join(at, "users")] && !k.bad[join(at, "file")] {
		k.fail(at, "basic_auth of "+where+" has neither users nor a file: nobody could pass", `write users = { NAME = "HASH" } or file = "PATH"; htpasswd -nB NAME makes a hash`)
	}
	at := join(path, "limit")
	if l == nil || l.Off || k.bad[at] {
		return
	}
	switch {
	case l.Rate == "" && l.Connections == 0 && !k.bad[join(at, "rate")] && !k.bad[join(at, "connections")]:
		k.fail(at, "limit of "+where+" bounds nothing: it has neither a rate nor connections", `write rate = "10/s" or connections = 10`)
	case l.Rate == "" && l.Burst != 0 && !k.bad[join(at, "rate")]:
		k.fail(join(at, "burst"), "limit of "+where+" has a burst without a rate", `write rate = "10/s"`)
	}
}

// proxies checks the keys about those who tell who the client is.
func (k *checker) proxies() {
	c := &k.c.Server
	if at := "server.proxy_headers"; k.given(at) && len(c.TrustedProxies) == 0 && !k.bad["server.trusted_proxies"] {
		k.warn(at, "proxy_headers in [server] has no effect without trusted_proxies", "name the addresses of the proxies")
	}
	if i := slices.IndexFunc(c.TrustedProxies, func(p string) bool { return p == "0.0.0.0/0" || p == "::/0" }); i >= 0 {
		k.warn(element("server.trusted_proxies", i), fmt.Sprintf("trusted_proxies = %s in [server]: every client may then say that it is another", quote(c.TrustedProxies[i])), "name the addresses of the proxies")
	}
	said := make(map[string]bool) // by address
	for i := range k.c.Sites {
		path, s := element("site", i), &k.c.Sites[i]
		if k.bad[path] || k.bad[join(path, "listen")] {
			continue
		}
		for _, address := range s.Addresses() {
			if before, ok := said[address]; ok && before != s.ProxyProtocol {
				k.fail(join(path, "proxy_protocol"), fmt.Sprintf("proxy_protocol in [[site]] differs from that of another site of %s", quote(address)), "a connection begins with a header, or it does not, before anyone knows its site: write the same in each")
			}
			said[address] = s.ProxyProtocol
		}
	}
}
