package main

// The load: wrk, one thread, bounded in time, its report parsed.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// report is what one run of wrk saw.
type report struct {
	rate     float64 // answers a second, of any status
	requests int64
	p50, p99 time.Duration
	errors   string // sockets' errors; empty: none
	refused  int64  // answers other than 2xx and 3xx
}

// load runs wrk with a request.
func load(ctx context.Context, a ask, connections int, length time.Duration) (report, error) {
	ctx, cancel := context.WithTimeout(ctx, length+20*time.Second)
	defer cancel()
	seconds := max(1, int(length.Round(time.Second)/time.Second)) // wrk counts whole seconds
	cmd := exec.CommandContext(ctx, "wrk", wrkArgs(connections, seconds)...)
	if a.post > 0 {
		script, err := os.CreateTemp("", "millrace-bench-*.lua")
		if err != nil {
			return report{}, err
		}
		defer os.Remove(script.Name())
		_, err = fmt.Fprintf(script, "wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", %d)\nwrk.headers[\"Content-Type\"] = \"application/octet-stream\"\n", a.post)
		if err := errors.Join(err, script.Close()); err != nil {
			return report{}, err
		}
		cmd.Args = append(cmd.Args, "-s", script.Name())
	}
	cmd.Args = append(cmd.Args, a.url)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return report{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	return parseReport(string(out))
}

func wrkArgs(connections, seconds int) []string {
	return []string{"-t1", "-c" + strconv.Itoa(connections), "-d" + strconv.Itoa(seconds) + "s", "--timeout", "10s", "--latency"}
}

var (
	rateLine    = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	countLine   = regexp.MustCompile(`([0-9]+) requests in`)
	latencyLine = regexp.MustCompile(`(?m)^\s+(50|99)%\s+([0-9.]+)(us|ms|s|m)\s*$`)
	errorsLine  = regexp.MustCompile(`Socket errors: (.*)`)
	refusedLine = regexp.MustCompile(`Non-2xx or 3xx responses: ([0-9]+)`)
)

func parseReport(text string) (report, error) {
	var r report
	bad := func() (report, error) { return report{}, fmt.Errorf("cannot read wrk's report:\n%s", text) }
	rate, count := rateLine.FindStringSubmatch(text), countLine.FindStringSubmatch(text)
	if rate == nil || count == nil {
		return bad()
	}
	var err error
	if r.rate, err = strconv.ParseFloat(rate[1], 64); err != nil {
		return bad()
	}
	if r.requests, err = strconv.ParseInt(count[1], 10, 64); err != nil {
		return bad()
	}
	seen := 0
	for _, m := range latencyLine.FindAllStringSubmatch(text, -1) {
		latency, err := time.ParseDuration(m[2] + m[3])
		if err != nil {
			return bad()
		}
		if m[1] == "50" {
			r.p50 = latency
		} else {
			r.p99 = latency
		}
		seen++
	}
	if seen != 2 {
		return bad()
	}
	if m := errorsLine.FindStringSubmatch(text); m != nil {
		r.errors = strings.TrimSpace(m[1])
	}
	if m := refusedLine.FindStringSubmatch(text); m != nil {
		if r.refused, err = strconv.ParseInt(m[1], 10, 64); err != nil {
			return bad()
		}
	}
	return r, nil
}

// whole is an error if a request of the load was not answered with success.
func (r report) whole() error {
	switch {
	case r.errors != "":
		return fmt.Errorf("socket errors: %s", r.errors)
	case r.refused > 0:
		return fmt.Errorf("%d of %d answers were not 2xx", r.refused, r.requests)
	case r.requests == 0:
		return fmt.Errorf("no answer at all")
	}
	return nil
}
