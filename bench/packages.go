package main

// The FastCGI packages beside net/http/fcgi: the benchmarks of fcgi, run by
// the Go toolchain.

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// packages runs the benchmarks of the server and of the client.
func packages(ctx context.Context, s *settings) error {
	const what = "^(BenchmarkServer|BenchmarkClient)$"
	args := []string{"test", "-run", "^$", "-bench", what, "-benchtime", "1s", "-count", strconv.Itoa(s.rounds), "./fcgi"}
	if _, err := exec.LookPath("go"); err != nil {
		s.out.add(packageSection(nil, "missing: go is not installed"))
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute+time.Duration(s.rounds)*30*time.Second)
	defer cancel()
	s.book.started("fcgi's benchmarks", ".", nil, "go", args)
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go test -bench: %w\n%s", err, out)
	}
	found := parseBenchmarks(string(out))
	if len(found) == 0 {
		return fmt.Errorf("go test -bench told of no benchmark:\n%s", out)
	}
	s.out.add(packageSection(found, ""))
	return nil
}

// benchmark is all runs of one: nanoseconds a request.
type benchmark struct {
	name string
	ns   []float64
}

// parseBenchmarks reads what go test -bench prints.
func parseBenchmarks(text string) []benchmark {
	var all []benchmark
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[3] != "ns/op" || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		ns, err := strconv.ParseFloat(fields[2], 64)
		if err != nil {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		if at := strings.LastIndexByte(name, '-'); at > 0 { // the number of processors
			if _, err := strconv.Atoi(name[at+1:]); err == nil {
				name = name[:at]
			}
		}
		if n := len(all) - 1; n >= 0 && all[n].name == name {
			all[n].ns = append(all[n].ns, ns)
			continue
		}
		all = append(all, benchmark{name, []float64{ns}})
	}
	return all
}

func packageSection(found []benchmark, missing string) *section {
	sec := &section{
		title: "FastCGI in Go: fcgi beside net/http/fcgi",
		note:  "A hello, client and server in one process. Server: one request at a time on a connection, or 64 (mpx64), which net/http/fcgi takes, too. Client: 64 requests at a time. net/http/fcgi has no client; that of the gateway is beside Caddy's and nginx's in `gateway-fastcgi`.",
		head:  []string{"benchmark", "time a request", "net/http/fcgi", "× its rate"},
	}
	if missing != "" {
		sec.row("fcgi", missing)
		return sec
	}
	middle := func(b benchmark) time.Duration {
		return time.Duration(median(b.ns, func(f float64) float64 { return f }))
	}
	for _, one := range found {
		if strings.HasSuffix(one.name, "/net-http-fcgi") {
			continue
		}
		row := []string{strings.TrimSuffix(one.name, "/ours"), show(middle(one))}
		for _, other := range found {
			if strings.HasSuffix(one.name, "/ours") && other.name == strings.TrimSuffix(one.name, "/ours")+"/net-http-fcgi" {
				row = append(row, show(middle(other)), fmt.Sprintf("%.2f", float64(middle(other))/float64(middle(one))))
			}
		}
		sec.row(row...)
	}
	return sec
}
