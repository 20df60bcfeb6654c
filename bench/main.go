// Command bench runs millrace beside nginx with uWSGI, and beside the
// prototype of the design, its files beside those of nginx, lighttpd and
// Caddy, and its gateway beside theirs and HAProxy's, on the same cores with
// the same load, and prints Markdown tables.
//
//	make bench
//	go run ./bench -rounds 5 -duration 10s
//
// Files: peers.go, static_peers.go and gateway_peers.go (how each stack is
// started), procs.go (what its processes cost), load.go (wrk), scenarios.go,
// static.go, private.go, cache.go, gateway.go, gateway_slow.go, fairness.go, slow.go and footprint.go
// (what is measured), table.go (how it is shown). The stacks of a scenario are all up while each is loaded in turn,
// round after round, so that what else the machine does falls on all of them
// alike. Figures of different runs are not to be compared.
//
// A stack that is not installed has a row that says so. The exit status is 1
// if a stack gave a wrong answer or an error, and 2 for wrong usage; goals
// that are missed are shown and do not fail the run.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

//go:embed apps/*.py
var apps embed.FS

// settings of one run.
type settings struct {
	rounds      int
	duration    time.Duration // of one load
	warmUp      time.Duration // before the first round, for each stack
	connections int
	workers     int // processes of each stack
	millrace    string
	python      string // the interpreter of every stack
	site        string // folder with Django for it
	prototype   string // source of the prototype; may be empty
	work        string // temporary folder: apps, sockets, logs
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx))
}

func run(ctx context.Context) int {
	var s settings
	flag.IntVar(&s.rounds, "rounds", 3, "rounds; the median is shown")
	flag.DurationVar(&s.duration, "duration", 5*time.Second, "length of one load")
	flag.DurationVar(&s.warmUp, "warm-up", 2*time.Second, "load on each stack before the first round")
	flag.IntVar(&s.connections, "connections", 64, "connections of the load")
	flag.IntVar(&s.workers, "workers", 2, "worker processes of each stack")
	flag.StringVar(&s.millrace, "millrace", "bin/millrace", "the binary")
	flag.StringVar(&s.python, "python", "/usr/bin/python3", "interpreter of every stack: the one that uWSGI's plugin carries")
	flag.StringVar(&s.site, "site", ".cache/bench-site", "folder that holds Django for that interpreter")
	flag.StringVar(&s.prototype, "prototype", os.Getenv("MILLRACE_PROTOTYPE"), "source folder of the design's prototype; default $MILLRACE_PROTOTYPE")
	only := flag.String("only", "hello,django,kept,overload,fairness,slow,memory,static-1k,static-120k,static-100m,static-tls,static-folder,private-file,cached-page,gateway-fastcgi,gateway-http,gateway-slow", "what to measure")
	flag.Parse()
	if flag.NArg() > 0 || s.rounds < 1 || s.duration < time.Second || s.connections < 1 || s.workers < 1 {
		fmt.Fprintln(os.Stderr, "bench: at least 1 round of 1s, 1 connection and 1 worker, and no arguments")
		return 2
	}
	if err := s.prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	defer os.RemoveAll(s.work)
	fmt.Printf("%d CPUs (the load runs on them too), %d connections, %d workers, %d rounds of %v\n",
		runtime.NumCPU(), s.connections, s.workers, s.rounds, s.duration)

	scenarios := map[string]func(context.Context, *settings) error{
		"hello": func(ctx context.Context, s *settings) error {
			return compare(ctx, s, "WSGI hello", "hello:application")
		},
		"django": func(ctx context.Context, s *settings) error {
			return compare(ctx, s, "Django hello", "django_hello:application")
		},
		"kept":     keptConnections,
		"overload": overload,
		"fairness": fairness,
		"slow":     slow,
		"memory":   footprint,

		"private-file": privateFile,
		"cached-page":  cachedPage,

		"gateway-slow": gatewaySlow,
	}
	for name, row := range staticRows(&s) {
		scenarios[name] = static(row)
	}
	for name, row := range gatewayRows() {
		scenarios[name] = gateway(row)
	}
	status := 0
	for _, name := range strings.Split(*only, ",") {
		scenario, ok := scenarios[name]
		if !ok {
			fmt.Fprintf(os.Stderr, "bench: nothing is called %q in -only\n", name)
			return 2
		}
		if err := scenario(ctx, &s); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", name, err)
			status = 1
		}
		if ctx.Err() != nil {
			return 1
		}
	}
	return status
}

// prepare makes paths absolute and lays out the apps.
func (s *settings) prepare() (err error) {
	for _, path := range []*string{&s.millrace, &s.site, &s.prototype} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if _, err := os.Stat(s.millrace); err != nil {
		return fmt.Errorf("%w: run make build", err)
	}
	if _, err := exec.LookPath("wrk"); err != nil {
		return errors.New("the load generator wrk is missing: run scripts/setup.sh bench")
	}
	if s.work, err = os.MkdirTemp("", "millrace-bench-"); err != nil {
		return err
	}
	if err := os.Chmod(s.work, 0o755); err != nil { // nginx's workers may run as somebody else
		return err
	}
	sources, err := fs.Sub(apps, "apps")
	if err != nil {
		return err
	}
	return os.CopyFS(filepath.Join(s.work, "apps"), sources)
}
