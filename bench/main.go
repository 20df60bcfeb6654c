// Command bench runs millrace beside the servers that people use for the same
// work, on the same cores with the same load, and prints Markdown tables.
//
//	make bench
//	make bench BENCH="-only hello,static -rounds 5 -duration 10s"
//	make bench BENCH="-report docs/bench"
//
// The stacks of a scenario are all up while each is loaded in turn, round after
// round, so that what else the machine does falls on all of them alike.
// Figures of different runs are not to be compared.
//
// Files: rounds.go has the rounds, ask.go the request, load.go wrk, openload.go
// a load that waits for nobody, procs.go what processes cost; peers.go,
// python_peers.go, static_peers.go and gateway_peers.go how each stack is
// started; section.go, table.go, chart.go, goals.go, machine.go, book.go and
// results.go how it is told. The others are a scenario each, or a kind of
// scenarios; catalogue.go lists them.
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
	room        int // connections that a front must have room for; 0: its usual number
	millrace    string
	python      string // the interpreter of every stack
	site        string // folder with Django for it
	servers     string // folder with the servers that are Python packages
	prototype   string // source of the prototype; may be empty
	work        string // temporary folder: apps, sockets, logs
	book        *book
	out         *results
}

// apps is the folder of the apps.
func (s *settings) apps() string { return filepath.Join(s.work, "apps") }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx))
}

func run(ctx context.Context) int {
	var s settings
	flag.IntVar(&s.rounds, "rounds", 3, "rounds; the median is shown")
	flag.DurationVar(&s.duration, "duration", 3*time.Second, "length of one load")
	flag.DurationVar(&s.warmUp, "warm-up", time.Second, "load on each stack before the first round")
	flag.IntVar(&s.connections, "connections", 64, "connections of the load")
	flag.IntVar(&s.workers, "workers", 2, "worker processes of each stack")
	flag.StringVar(&s.millrace, "millrace", "bin/millrace", "the binary")
	flag.StringVar(&s.python, "python", "/usr/bin/python3", "interpreter of every stack: the one that uWSGI's plugin carries")
	flag.StringVar(&s.site, "site", ".cache/bench-site", "folder that holds Django for that interpreter")
	flag.StringVar(&s.servers, "servers", ".cache/bench-peers", "folder that holds granian, gunicorn and flup for that interpreter")
	flag.StringVar(&s.prototype, "prototype", os.Getenv("MILLRACE_PROTOTYPE"), "source folder of the design's prototype; default $MILLRACE_PROTOTYPE")
	only := flag.String("only", "", "what to measure, as hello,static,gateway-http; a name stands for all that begin with it and a hyphen; default: everything")
	report := flag.String("report", "", "folder for the tables, the plots and the commands, as docs/bench; default: none")
	limit := flag.Duration("limit", 0, "begin no scenario after this time; default: none")
	list := flag.Bool("list", false, "list what can be measured")
	flag.Parse()
	if flag.NArg() > 0 || s.rounds < 1 || s.duration < time.Second || s.warmUp < time.Second || s.connections < 1 || s.workers < 1 {
		fmt.Fprintln(os.Stderr, "bench: at least 1 round of 1s, 1s of warm-up, 1 connection and 1 worker, and no arguments")
		return 2
	}
	if *list {
		for _, one := range catalogue() {
			fmt.Printf("%-18s%s\n", one.name, one.what)
		}
		return 0
	}
	chosen, err := choose(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 2
	}
	if err := s.prepare(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	defer os.RemoveAll(s.work)
	s.out = &results{
		print:    os.Stdout,
		conduct:  fmt.Sprintf("%d CPUs (the load runs on them too), %d connections, %d workers, %d rounds of %v", runtime.NumCPU(), s.connections, s.workers, s.rounds, s.duration),
		machine:  describeMachine(ctx),
		versions: versions(ctx, &s),
		command:  "make bench BENCH=\"" + commandLineOf(os.Args[1:]) + "\"",
		begun:    time.Now(),
	}
	fmt.Println(s.out.conduct)
	status := 0
	for _, one := range chosen {
		if *limit > 0 && time.Since(s.out.begun) > *limit {
			s.out.skipped = append(s.out.skipped, one.name)
			fmt.Fprintf(os.Stderr, "bench: %s: not begun, %v are over\n", one.name, *limit)
			continue
		}
		begun := time.Now()
		s.out.scenario = one.name
		err := one.run(ctx, &s)
		s.out.spent = append(s.out.spent, spent{one.name, time.Since(begun)})
		if err != nil {
			s.out.broken = append(s.out.broken, one.name)
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", one.name, err)
			status = 1
		}
		if ctx.Err() != nil {
			return 1
		}
	}
	s.out.ended = time.Now()
	fmt.Printf("\n## Goals\n\n")
	goalTables(os.Stdout, s.out.sections)
	fmt.Printf("\nIt took %v.\n", s.out.ended.Sub(s.out.begun).Round(time.Second))
	if *report != "" {
		if err := s.out.write(*report, s.book); err != nil {
			fmt.Fprintln(os.Stderr, "bench: cannot write the report:", err)
			return 1
		}
	}
	return status
}

// prepare makes paths absolute and lays out the apps.
func (s *settings) prepare(ctx context.Context) (err error) {
	for _, path := range []*string{&s.millrace, &s.site, &s.servers, &s.prototype} {
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
	if err := manyFiles(); err != nil {
		return err
	}
	if s.work, err = os.MkdirTemp("", "millrace-bench-"); err != nil {
		return err
	}
	if err := os.Chmod(s.work, 0o755); err != nil { // nginx's workers may run as somebody else
		return err
	}
	tree, err := os.Getwd()
	if err != nil {
		return err
	}
	s.book = &book{work: s.work, tree: tree}
	sources, err := fs.Sub(apps, "apps")
	if err != nil {
		return err
	}
	return os.CopyFS(s.apps(), sources)
}

// manyFiles lets every process that is started here have as many descriptors
// as 10,000 connections need, where the machine allows it.
func manyFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = max(limit.Cur, min(limit.Max, 65536))
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) // Go no longer gives children the limit of before
}
