package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func benchCommand() *cobra.Command {
	f := &benchFlags{}
	cmd := &cobra.Command{
		Use:   "bench URL",
		Short: "Measure a back end or web server under load",
		Long: `Send the same request again and again over several connections at a time, and
tell how many were answered, how fast, and what failed. One request goes before:
if it is not answered, nothing is measured.

` + urlForms + `

Connections are kept, where the protocol has kept ones; SCGI and uwsgi have not.
With --rate requests are sent at their times whether others were answered or
not, and their latency counts from then. The load ends after -t, after -n
requests, or at an interrupt: requests that run then are waited for, but not at
an interrupt.

Latencies are of whole responses, whatever their status, from a histogram that
tells a value at most 0.8% too large. The exit status is 0 when there was one, 1
when there was none, 2 for a mistake in the command line.`,
		Example: `  millrace bench fcgi://127.0.0.1:9000/ -c 32
  millrace bench http://127.0.0.1:8000/ --fresh -n 10000
  millrace bench fcgi+unix:/run/app.sock//search -c 2 --mpx 16 -t 30s
  millrace bench scgi://127.0.0.1/ --rate 500 -c 64 --json`,
		Args: oneURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.stdin, f.stdout, f.stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			f.durationSet = cmd.Flags().Changed("duration")
			f.requestsSet, f.rateSet = cmd.Flags().Changed("requests"), cmd.Flags().Changed("rate")
			return f.run(cmd.Context(), args[0])
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVarP(&f.connections, "connections", "c", 16, "`N` connections at a time")
	flags.Int64VarP(&f.requests, "requests", "n", 0, "end after `N` requests")
	flags.DurationVarP(&f.duration, "duration", "t", defaultBench, "end after this `TIME`; with -n: no limit unless it is given")
	flags.BoolVar(&f.fresh, "fresh", false, "a new connection for each request")
	flags.IntVar(&f.mpx, "mpx", 1, "FastCGI: `N` requests share each connection")
	flags.Float64Var(&f.rate, "rate", 0, "send `N` requests a second (default: each connection sends when it has its answer)")
	f.register(flags)
	flags.BoolVar(&f.json, "json", false, "the result as JSON, for programs")
	return cmd
}

const (
	defaultBench   = 10 * time.Second
	maxConnections = 65535
	maxBenchBody   = 64 << 20 // a body is held in memory
	maxFirst       = 64 << 20 // what is read of the body of the first response
)

// benchFlags is the command line of bench.
type benchFlags struct {
	outgoing
	connections int
	requests    int64
	duration    time.Duration
	durationSet bool
	requestsSet bool
	fresh       bool
	mpx         int
	rate        float64
	rateSet     bool
	json        bool

	stdin          io.Reader
	stdout, stderr io.Writer
}

// check refuses what cannot be measured.
func (f *benchFlags) check(e *endpoint) error {
	switch {
	case f.connections < 1 || f.connections > maxConnections:
		return &usageError{fmt.Sprintf("-c %d is no number of connections", f.connections), fmt.Sprintf("want 1 to %d", maxConnections)}
	case f.requests < 0, f.requests == 0 && f.requestsSet:
		return &usageError{fmt.Sprintf("-n %d is no number of requests", f.requests), "want 1 or more"}
	case f.duration <= 0:
		return &usageError{fmt.Sprintf("-t %v is no time to measure", f.duration), "as -t 30s"}
	case !(f.rate >= 0 && f.rate <= 1e7), f.rate == 0 && f.rateSet: // nor NaN
		return &usageError{fmt.Sprintf("--rate %v is no number of requests a second", f.rate), "want more than 0, at most 10000000"}
	case f.mpx < 1 || f.mpx > 65535:
		return &usageError{fmt.Sprintf("--mpx %d is no number of requests", f.mpx), "want 1 to 65535"}
	case f.mpx > 1 && e.protocol != protoFastCGI:
		return &usageError{fmt.Sprintf("--mpx is for FastCGI, and the URL is one of %s", e.protocol), "leave it out: requests of no other protocol share a connection"}
	case f.mpx > 1 && f.fresh:
		return &usageError{"--mpx and --fresh are both given", "a connection is shared, or new for each request: give one of them"}
	case f.connections*f.mpx > maxConnections:
		return &usageError{fmt.Sprintf("-c %d and --mpx %d are %d requests at a time", f.connections, f.mpx, f.connections*f.mpx), fmt.Sprintf("at most %d", maxConnections)}
	}
	return nil
}

func (f *benchFlags) run(ctx context.Context, url string) error {
	e, err := parseEndpoint(url)
	if err != nil {
		return err
	}
	if err := f.check(e); err != nil {
		return err
	}
	m, err := f.message(e, f.stdin)
	if err != nil {
		return err
	}
	defer m.close()
	if err := m.inMemory(); err != nil {
		return err
	}
	tuneMemory()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	l := &load{
		e: e, o: &f.outgoing, m: m,
		connections: f.connections, mpx: f.mpx, fresh: f.fresh,
		requests: f.requests, duration: f.duration, rate: f.rate,
	}
	if f.requests > 0 && !f.durationSet {
		l.duration = 0
	}
	if err := l.first(ctx); err != nil {
		return explain(e, err)
	}
	elapsed := f.measure(ctx, l)
	r := l.result(elapsed)
	r.Interrupted = ctx.Err() != nil
	if f.json {
		enc := json.NewEncoder(f.stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		err = enc.Encode(r)
	} else {
		err = r.print(f.stdout)
	}
	if err == nil && r.Requests == 0 && !r.Interrupted {
		err = &failure{e.given + ": no request got a whole response", "the errors are above"}
	}
	return err
}

// measure runs the load, with a line each second where somebody looks.
func (f *benchFlags) measure(ctx context.Context, l *load) time.Duration {
	if isTerminal(f.stderr) {
		watch, stop := context.WithCancel(ctx)
		defer stop()
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		go l.progress(watch, f.stderr, ticker.C)
	}
	return l.run(ctx)
}

// first sends one request before the load: what cannot be asked once cannot
// be measured. It takes no longer than the load is to take, and reads no more
// than maxFirst of a response, which may have no end.
func (l *load) first(ctx context.Context) error {
	within := l.duration
	if within == 0 { // by number alone
		within = max(defaultBench, l.o.timeout)
	}
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	read, err := l.firstResponse(bounded)
	if err != nil && ctx.Err() == nil && errors.Is(bounded.Err(), context.DeadlineExceeded) {
		return &failure{
			fmt.Sprintf("%s: one request goes before the load, and its response is not whole after %v; %d bytes of its body came", l.e.given, within, read),
			"-t gives it longer; a response without an end cannot be measured",
		}
	}
	return err
}

// firstResponse reads at most maxFirst bytes of a body, and returns how many.
func (l *load) firstResponse(ctx context.Context) (int64, error) {
	if l.mpx > 1 {
		if err := l.askShared(ctx); err != nil {
			return 0, err
		}
	}
	a, err := l.o.send(ctx, l.e, l.m, func(ctx context.Context) (net.Conn, error) {
		return l.e.dial(ctx, l.o.connectTimeout, l.o.insecure)
	}, nil)
	if err != nil {
		return 0, err
	}
	defer a.body.Close()
	n, err := io.Copy(io.Discard, io.LimitReader(a.body, maxFirst))
	switch {
	case err != nil:
		return n, fmt.Errorf("the response is cut short after %d bytes of its body: %w", n, err)
	case n == maxFirst && l.duration == 0 && a.ContentLength < 0:
		// Nothing says that it ends, and nothing would end the load.
		return n, &failure{
			fmt.Sprintf("%s: one request goes before the load, and its response has no length and %d MiB or more", l.e.given, maxFirst>>20),
			"add -t TIME, which ends the load even if the response has no end",
		}
	}
	return n, nil
}

// inMemory reads the body once for all.
func (m *message) inMemory() error {
	if m.body == nil || m.body.file == nil {
		return nil
	}
	if m.body.size > maxBenchBody {
		return &usageError{fmt.Sprintf("a body of %d bytes", m.body.size), fmt.Sprintf("at most %d are sent again and again", maxBenchBody)}
	}
	b, err := io.ReadAll(m.body.reader())
	if err != nil {
		return err
	}
	m.body.close()
	m.body = &payload{ReaderAt: bytes.NewReader(b), size: int64(len(b))}
	return nil
}
