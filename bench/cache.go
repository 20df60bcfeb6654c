package main

// A page of an app that may be kept: as it is, from the cache in memory and on
// disk, and from nginx's, beside a file of the same length.

import (
	"context"
	"fmt"
	"strings"
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
	row := staticRow{path: "page", size: 1000}
	file := staticRow{path: "1k.html", size: 1000}
	at, err := makeSite(s, file)
	if err != nil {
		return err
	}
	var plain string // the address of the first
	var entrants []entrant
	for i, p := range cachedPages {
		start := func(ctx context.Context, s *settings) (*stack, error) {
			return startFiles(ctx, s, row, fmt.Sprint("cache-", i), s.millrace, "millrace.toml", func(folder, address string) string {
				if plain == "" {
					plain = address
				}
				store := ""
				if p.server != "" {
					store = "[server.cache]\n" + strings.Replace(p.server, `"kept"`, fmt.Sprintf("%q", folder), 1)
				}
				return fmt.Sprintf(cacheConfig, store, address, p.route, s.apps(), s.python, s.workers, s.site)
			}, serveArgs)
		}
		switch p.name {
		case "nginx, proxy_cache":
			start = func(ctx context.Context, s *settings) (*stack, error) {
				return startFiles(ctx, s, row, "nginx-cache", "nginx", "nginx.conf", func(folder, address string) string {
					return nginxGateway(s, folder, fmt.Sprintf(nginxCache, folder, plain, address))
				}, nginxArgs)
			}
		case "millrace, a file":
			start = func(ctx context.Context, s *settings) (*stack, error) {
				return startMillraceFiles(ctx, s, at, file)
			}
		}
		entrants = append(entrants, entrant{p.name, func(ctx context.Context, s *settings) (loaded, error) { return entire(start(ctx, s)) }})
	}
	results, err := interleave(ctx, s, entrants, nil)
	if results == nil {
		return err
	}
	sec := halfTable(fmt.Sprintf("a page of Django of 1 KB, %d connections", s.connections), "what answers", cachedPages[0].name, row.size, results)
	for _, r := range results[1:3] {
		if len(r.samples) == 0 || len(results[0].samples) == 0 {
			continue
		}
		got := ratioOf(r.samples, results[0].samples)
		sec.goal(got >= cacheGain, "%s: %.1f × as it is; at least %d", r.name, got, cacheGain)
	}
	s.out.add(sec)
	return err
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
