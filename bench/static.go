package main

// Files: millrace beside the web servers that people serve them with.

import (
	"context"
	"crypto/tls"
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
	title       string
	path        string
	size        int64
	connections int
	least       time.Duration // of one load: some answers must be whole by then
	secure      bool
	make        func(root string) error // beside the file
}

// hugeFolder is how many files lie in one folder of static-folder.
const hugeFolder = 100_000

func staticRows(s *settings) map[string]staticRow {
	return map[string]staticRow{
		"static-1k":     {title: "1 KB file", path: "1k.html", size: 1000, connections: s.connections},
		"static-120k":   {title: "120 KB file", path: "120k.jpg", size: 120_000, connections: s.connections},
		"static-100m":   {title: "100 MB file", path: "100m.bin", size: 100_000_000, connections: min(s.connections, 8), least: 3 * time.Second},
		"static-tls":    {title: "1 KB file, HTTPS (kept connections)", path: "1k.html", size: 1000, connections: s.connections, secure: true},
		"static-folder": {title: fmt.Sprintf("1 KB file in a folder of %d files", hugeFolder), path: "huge/f00077777.html", size: 1000, connections: s.connections, make: makeHuge},
	}
}

// static loads every server with one file in interleaved rounds.
func static(row staticRow) func(context.Context, *settings) error {
	return func(ctx context.Context, s *settings) error {
		at, err := makeSite(s, row)
		if err != nil {
			return err
		}
		results := make([]result, len(fileServers))
		stacks := make([]*stack, len(fileServers))
		defer func() {
			for _, st := range stacks {
				if st != nil {
					st.stop()
				}
			}
		}()
		var broken []error
		for i, p := range fileServers {
			results[i].name = p.name
			st, err := p.start(ctx, s, at, row)
			if err == nil {
				_, err = load(ctx, st.url, row.connections, s.warmUp)
			}
			var missing *missingError
			switch {
			case errors.As(err, &missing):
				results[i].missing = err.Error()
			case err != nil:
				results[i].missing = "broken, see below"
				broken = append(broken, err)
			default:
				stacks[i] = st
			}
		}
		for range s.rounds {
			for i, st := range stacks {
				if st == nil {
					continue
				}
				one, err := measureStatic(ctx, s, st, row)
				if err != nil {
					return err
				}
				results[i].samples = append(results[i].samples, one)
			}
		}
		printStatic(row, results)
		if row.make != nil {
			printListing(ctx, stacks)
		}
		return errors.Join(broken...)
	}
}

// measureStatic is one load, with all that the server's processes took.
func measureStatic(ctx context.Context, s *settings, st *stack, row staticRow) (sample, error) {
	before, err := st.cost()
	if err != nil {
		return sample{}, err
	}
	r, err := load(ctx, st.url, row.connections, max(s.duration, row.least))
	if err != nil {
		return sample{}, err
	}
	after, err := st.cost()
	if err != nil {
		return sample{}, err
	}
	if err := errors.Join(r.whole(), asks(ctx, st.url, row.size)); err != nil {
		return sample{}, fmt.Errorf("%s is broken: %w\n%s", st.name, err, st.log())
	}
	return sample{report: r, front: (after.front + after.worker - before.front - before.worker) / time.Duration(r.requests)}, nil
}

// asks checks that a URL answers with a file of that size.
func asks(ctx context.Context, url string, size int64) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	req.Close = true
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := insecure.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || size >= 0 && n != size {
		return fmt.Errorf("%s answers %s, %d bytes, want %d", url, resp.Status, n, size)
	}
	return nil
}

// insecure takes the certificate that the servers share.
var insecure = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}

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

func printStatic(row staticRow, results []result) {
	fmt.Printf("\n### %s, %d connections\n\n", row.title, row.connections)
	fmt.Println("| server | requests/s (min – max) | MB/s | p50 | p99 | CPU a request | × nginx |")
	fmt.Println("|---|---|---|---|---|---|---|")
	samples := map[string][]sample{}
	for _, r := range results {
		samples[r.name] = r.samples
	}
	for _, r := range results {
		if r.missing != "" {
			fmt.Printf("| %s | %s | | | | | |\n", r.name, r.missing)
			continue
		}
		ratio := "–"
		if len(samples["nginx"]) > 0 {
			ratio = fmt.Sprintf("%.2f", ratioOf(r.samples, samples["nginx"]))
		}
		fmt.Printf("| %s | %s | %.0f | %s | %s | %s | %s |\n", r.name, rates(r.samples), median(r.samples, rateOf)*float64(row.size)/1e6,
			show(median(r.samples, func(s sample) time.Duration { return s.p50 })),
			show(median(r.samples, func(s sample) time.Duration { return s.p99 })),
			show(median(r.samples, func(s sample) time.Duration { return s.front })), ratio)
	}
	ours, nginx, lighttpd := samples["millrace"], samples["nginx"], samples["lighttpd"]
	if len(ours) > 0 && len(nginx) > 0 {
		got := ratioOf(ours, nginx)
		goal(got >= 1, "%.2f × nginx; at least 1", got)
	}
	if len(ours) > 0 && len(lighttpd) > 0 && row.size <= 1000 && !row.secure {
		got := ratioOf(ours, lighttpd)
		goal(got >= 1, "%.2f × lighttpd; it is what is aimed at", got)
	}
}

// printListing shows what listing the huge folder costs.
func printListing(ctx context.Context, stacks []*stack) {
	fmt.Printf("\nThe listing of its folder, once:\n\n")
	fmt.Println("| server | time | bytes |")
	fmt.Println("|---|---|---|")
	for _, st := range stacks {
		if st == nil {
			continue
		}
		start := time.Now()
		req, err := http.NewRequestWithContext(ctx, "GET", st.url[:strings.LastIndexByte(st.url, '/')+1], nil)
		if err != nil {
			continue
		}
		resp, err := insecure.Do(req)
		if err != nil {
			fmt.Printf("| %s | %v | |\n", st.name, err)
			continue
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			fmt.Printf("| %s | %s %v | |\n", st.name, resp.Status, err)
			continue
		}
		fmt.Printf("| %s | %s | %d |\n", st.name, show(time.Since(start)), n)
	}
}
