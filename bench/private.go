package main

// A private file: what it costs to ask first, beside the same file without.

import (
	"context"
	"fmt"
)

// privateRate is what a private file whose answer is kept must reach, unless
// the machine sends no plain file as fast.
const privateRate = 10_000

// privateServers are a plain file, and the same behind an app that is asked.
var privateServers = []struct {
	name, auth string
}{
	{"plain file", ""},
	{"authorizer, answer kept", `auth = { app = "gate", cache = "1h" }`},
	{"subrequest, answer kept", `auth = { path = "/may-i", user = "X-User", cache = "1h" }`},
	{"authorizer, asked each time", `auth = { app = "gate" }`},
	{"subrequest, asked each time", `auth = { path = "/may-i", user = "X-User" }`},
}

// privateFile loads each of them in interleaved rounds.
func privateFile(ctx context.Context, s *settings) error {
	row := staticRow{path: "1k.html", size: 1000}
	at, err := makeSite(s, row)
	if err != nil {
		return err
	}
	var entrants []entrant
	for i, p := range privateServers {
		entrants = append(entrants, entrant{p.name, func(ctx context.Context, s *settings) (loaded, error) {
			return entire(startFiles(ctx, s, row, fmt.Sprint("private-", i), s.millrace, "millrace.toml", func(_, address string) string {
				return fmt.Sprintf(privateConfig, address, at.root, p.auth, s.apps(), s.python, s.workers)
			}, serveArgs))
		}})
	}
	results, err := interleave(ctx, s, entrants, nil)
	if results == nil {
		return err
	}
	sec := halfTable(fmt.Sprintf("private file of 1 KB, %d connections", s.connections), "who is asked", privateServers[0].name, row.size, results)
	plain := results[0].samples
	for _, r := range results[1:3] {
		if len(r.samples) == 0 || len(plain) == 0 {
			continue
		}
		rate := median(r.samples, rateOf)
		sec.goal(rate >= privateRate || ratioOf(r.samples, plain) >= 0.8, "%s: %.0f requests/s; at least %d, or what the machine gives", r.name, rate, privateRate)
	}
	s.out.add(sec)
	return err
}

const privateConfig = `
[server]
control = "control.sock"
[[site]]
listen = [%q]
[[site.route]]
path = "/may-i"
internal = true
app = "gate"
[[site.route]]
files = { root = %q }
%s
[app.gate]
wsgi = "gate:application"
dir = %q
python = %q
workers = %d
`
