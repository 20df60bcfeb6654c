package main

// A private file: what it costs to ask first, beside the same file without.

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
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
	row := staticRow{title: "private file of 1 KB", path: "1k.html", size: 1000, connections: s.connections}
	at, err := makeSite(s, row)
	if err != nil {
		return err
	}
	results := make([]result, len(privateServers))
	stacks := make([]*stack, len(privateServers))
	defer func() {
		for _, st := range stacks {
			if st != nil {
				st.stop()
			}
		}
	}()
	for i, p := range privateServers {
		results[i].name = p.name
		st, err := startFiles(ctx, s, row, fmt.Sprint("private-", i), s.millrace, "millrace.toml", func(_, address string) string {
			return fmt.Sprintf(privateConfig, address, at.root, p.auth, filepath.Join(s.work, "apps"), s.python, s.workers)
		}, func(path string) []string { return []string{"serve", path} })
		if err != nil {
			return err
		}
		stacks[i] = st
		if _, err := load(ctx, st.url, row.connections, s.warmUp); err != nil {
			return err
		}
	}
	for range s.rounds {
		for i, st := range stacks {
			one, err := measureStatic(ctx, s, st, row)
			if err != nil {
				return errors.Join(fmt.Errorf("%s", results[i].name), err)
			}
			results[i].samples = append(results[i].samples, one)
		}
	}
	printPrivate(row, results)
	return nil
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

func printPrivate(row staticRow, results []result) {
	fmt.Printf("\n### %s, %d connections\n\n", row.title, row.connections)
	fmt.Println("| who is asked | requests/s (min – max) | p50 | p99 | CPU a request | × plain |")
	fmt.Println("|---|---|---|---|---|---|")
	plain := results[0].samples
	for _, r := range results {
		fmt.Printf("| %s | %s | %s | %s | %s | %.2f |\n", r.name, rates(r.samples),
			show(median(r.samples, func(s sample) time.Duration { return s.p50 })), show(median(r.samples, func(s sample) time.Duration { return s.p99 })), show(median(r.samples, func(s sample) time.Duration { return s.front })), ratioOf(r.samples, plain))
	}
	for _, r := range results[1:3] {
		rate := median(r.samples, rateOf)
		goal(rate >= privateRate || ratioOf(r.samples, plain) >= 0.8, "%s: %.0f requests/s; at least %d, or what the machine gives", r.name, rate, privateRate)
	}
}
