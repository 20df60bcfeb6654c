package main

// Files: millrace beside the web servers that people serve them with.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// site is the folder that every server serves, and the certificate that they
// share.
type site struct {
	root, certificate, key string
}

// staticRow is one file and how it is asked for.
type staticRow struct {
	name, title string
	path        string
	size        int64
	connections int           // at most; 0: any number
	least       time.Duration // of one load: some answers must be whole by then
	secure      bool
	make        func(root string) error // beside the file
}

// hugeFolder is how many files lie in one folder of static-folder.
const hugeFolder = 100_000

var staticRows = []staticRow{
	{name: "static-1k", title: "1 KB file", path: "1k.html", size: 1000},
	{name: "static-120k", title: "120 KB file", path: "120k.jpg", size: 120_000},
	{name: "static-100m", title: "100 MB file", path: "100m.bin", size: 100_000_000, connections: 8, least: 5 * time.Second},
	{name: "static-tls", title: "1 KB file, HTTPS (kept connections)", path: "1k.html", size: 1000, secure: true},
	{name: "static-folder", title: fmt.Sprintf("1 KB file in a folder of %d files", hugeFolder), path: "huge/f00077777.html", size: 1000, make: makeHuge},
}

// whole is a stack whose processes are one half: the front.
type whole struct{ *stack }

func (w whole) cost() (cost, error) {
	c, err := w.stack.cost()
	return cost{front: c.front + c.worker}, err
}

func (w whole) held() (held, error) {
	h, err := w.stack.held()
	return held{front: h.front + h.worker}, err
}

// entire is a whole stack, as interleave takes it.
func entire(st *stack, err error) (loaded, error) {
	if err != nil {
		return nil, err
	}
	return whole{st}, nil
}

// static loads every server with one file in interleaved rounds.
func static(row staticRow) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		with := *s
		with.duration = max(s.duration, row.least)
		if row.connections > 0 {
			with.connections = min(s.connections, row.connections)
		}
		at, err := makeSite(s, row)
		if err != nil {
			return err
		}
		var entrants []entrant
		stacks := make([]*stack, len(fileServers))
		for i, p := range fileServers {
			entrants = append(entrants, entrant{p.name, func(ctx context.Context, s *settings) (loaded, error) {
				var err error
				stacks[i], err = p.start(ctx, s, at, row)
				return entire(stacks[i], err)
			}})
		}
		var listing *section
		round := 0
		results, err := interleave(ctx, &with, entrants, func() error {
			if round++; row.make != nil && round == s.rounds {
				listing = listings(ctx, stacks)
			}
			return nil
		})
		if results == nil {
			return err
		}
		s.out.add(staticSection(row, with.connections, results))
		if listing != nil {
			s.out.add(listing)
		}
		return err
	}
}

// makeSite lays the files out, once for all rows.
func makeSite(s *settings, row staticRow) (site, error) {
	at := site{filepath.Join(s.work, "site"), filepath.Join(s.work, "site.crt"), filepath.Join(s.work, "site.key")}
	file := filepath.Join(at.root, row.path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return at, err
	}
	if row.make != nil {
		if err := row.make(at.root); err != nil {
			return at, err
		}
	}
	if _, err := os.Stat(at.key); err != nil {
		if err := makeCertificate(at.certificate, at.key); err != nil {
			return at, err
		}
	}
	return at, writeFile(file, row.size)
}

// writeFile writes a file of that size, which is not so new that a server
// might look at it again each time.
func writeFile(name string, size int64) error {
	if info, err := os.Stat(name); err == nil && info.Size() == size {
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	block := []byte(strings.Repeat("<p>Lorem ipsum dolor sit amet.\n", 4096))
	for left := size; left > 0 && err == nil; {
		var n int
		n, err = f.Write(block[:min(left, int64(len(block)))])
		left -= int64(n)
	}
	old := time.Now().Add(-time.Hour)
	return errors.Join(err, f.Close(), os.Chtimes(name, old, old))
}

func makeHuge(root string) error {
	for i := range hugeFolder {
		if err := writeFile(filepath.Join(root, "huge", fmt.Sprintf("f%08d.html", i)), 10); err != nil {
			return err
		}
	}
	return nil
}

// halfTable is a section for stacks that are one half, beside the one named.
func halfTable(title, first, base string, size int64, results []result) *section {
	sec := &section{title: title, chart: rateChart(title, results), head: []string{first, "requests/s (min – max)", "MB/s", "p50", "p99", "CPU a request", "PSS", "× " + base}}
	samples := bySample(results)
	for _, r := range results {
		if r.missing != "" {
			sec.row(r.name, r.missing)
			continue
		}
		sec.row(r.name, rates(r.samples), fmt.Sprintf("%.0f", median(r.samples, rateOf)*float64(size)/1e6),
			showOf(r.samples, p50Of), showOf(r.samples, p99Of), showOf(r.samples, frontOfSample),
			megabytes(r.samples, func(s sample) int64 { return s.held.front }), ratioText(r.samples, samples[base]))
	}
	return sec
}

func staticSection(row staticRow, connections int, results []result) *section {
	sec := halfTable(fmt.Sprintf("%s, %d connections", row.title, connections), "server", "nginx", row.size, results)
	samples := bySample(results)
	ours, nginx, lighttpd := samples["millrace"], samples["nginx"], samples["lighttpd"]
	if len(ours) > 0 && len(nginx) > 0 {
		got := ratioOf(ours, nginx)
		sec.goal(got >= 1, "%.2f × nginx; at least 1", got)
	}
	if len(ours) > 0 && len(lighttpd) > 0 && row.size <= 1000 && !row.secure {
		got := ratioOf(ours, lighttpd)
		sec.goal(got >= 1, "%.2f × lighttpd; it is what is aimed at", got)
	}
	return sec
}

// listings shows what listing the huge folder costs.
func listings(ctx context.Context, stacks []*stack) *section {
	sec := &section{title: "The listing of its folder, once", head: []string{"server", "time", "bytes"}}
	for _, st := range stacks {
		if st == nil {
			continue
		}
		start := time.Now()
		req, err := http.NewRequestWithContext(ctx, "GET", st.ask.url[:strings.LastIndexByte(st.ask.url, '/')+1], nil)
		if err != nil {
			continue
		}
		resp, err := insecure.Do(req)
		if err != nil {
			sec.row(st.name, err.Error())
			continue
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			sec.row(st.name, fmt.Sprintf("%s %v", resp.Status, err))
			continue
		}
		sec.row(st.name, show(time.Since(start)), fmt.Sprint(n))
	}
	return sec
}
