package main

// A page of an app that may be kept: as it is, from the cache in memory and on
// disk, and from nginx's, beside a file of the same length.

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// cacheGain is how much faster than uncached a cached page is to be.
const cacheGain = 10

// cachedPages are what is loaded. The first is the page as it is, the last a
// file.
var cachedPages = []struct {
	name, server, route string
}{
	{"millrace, as it is", "", ""},
	{"millrace, cached", "", "cache = true"},
	{"millrace, cached on disk", "memory = \"0B\"\nfolder = \"kept\"", "cache = true"},
	{"nginx, proxy_cache", "", ""},
	{"millrace, a file", "", ""},
}

func cachedPage(ctx context.Context, s *settings) error {
	row := staticRow{title: "a page of Django of 1 KB", path: "page", size: 1000, connections: s.connections}
	file := row
	file.path = "1k.html"
	at, err := makeSite(s, file)
	if err != nil {
		return err
	}
	results := make([]result, len(cachedPages))
	stacks := make([]*stack, len(cachedPages))
	defer func() {
		for _, st := range stacks {
			if st != nil {
				st.stop()
			}
		}
	}()
	var plain string // the address of the first
	for i, p := range cachedPages {
		results[i].name = p.name
		var st *stack
		var err error
		switch i {
		case 3:
			st, err = startFiles(ctx, s, row, "nginx-cache", "nginx", "nginx.conf", func(folder, address string) string {
				return nginxGateway(s, folder, fmt.Sprintf(nginxCache, folder, plain, address))
			}, nginxArgs)
		case 4:
			st, err = startMillraceFiles(ctx, s, at, file)
		default:
			st, err = startFiles(ctx, s, row, fmt.Sprint("cache-", i), s.millrace, "millrace.toml", func(folder, address string) string {
				if plain == "" {
					plain = address
				}
				store := ""
				if p.server != "" {
					store = "[server.cache]\n" + strings.Replace(p.server, `"kept"`, fmt.Sprintf("%q", folder), 1)
				}
				return fmt.Sprintf(cacheConfig, store, address, p.route, filepath.Join(s.work, "apps"), s.python, s.workers, s.site)
			}, serveArgs)
		}
		var missing *missingError
		if errors.As(err, &missing) {
			results[i].missing = err.Error()
			continue
		}
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
			if st == nil {
				continue
			}
			one, err := measureStatic(ctx, s, st, row)
			if err != nil {
				return errors.Join(fmt.Errorf("%s", results[i].name), err)
			}
			results[i].samples = append(results[i].samples, one)
		}
	}
	printCached(row, results)
	return nil
}

const cacheConfig = `
[server]
control = "control.sock"
%s
[[site]]
listen = [%q]
[[site.route]]
app = "main"
%s
[app.main]
wsgi = "page:application"
dir = %q
python = %q
workers = %d
env = { PYTHONPATH = %q }
`

const nginxCache = `proxy_cache_path %[1]s/kept keys_zone=kept:10m;
  upstream back { server %[2]s; keepalive 8; }
  server {
    listen %[3]s backlog=4096;
    location / {
      proxy_pass http://back;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache kept;
    }
  }`

func printCached(row staticRow, results []result) {
	fmt.Printf("\n### %s, %d connections\n\n", row.title, row.connections)
	fmt.Println("| what answers | requests/s (min – max) | p50 | p99 | CPU a request | × as it is |")
	fmt.Println("|---|---|---|---|---|---|")
	plain := results[0].samples
	for _, r := range results {
		if r.missing != "" {
			fmt.Printf("| %s | %s | | | | |\n", r.name, r.missing)
			continue
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %.2f |\n", r.name, rates(r.samples),
			show(median(r.samples, func(s sample) time.Duration { return s.p50 })), show(median(r.samples, func(s sample) time.Duration { return s.p99 })), show(median(r.samples, func(s sample) time.Duration { return s.front })), ratioOf(r.samples, plain))
	}
	for _, r := range results[1:3] {
		got := ratioOf(r.samples, plain)
		goal(got >= cacheGain, "%s: %.1f × as it is; at least %d", r.name, got, cacheGain)
	}
}
