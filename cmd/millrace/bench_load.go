package main

// This file makes the load: workers that send a request, wait for the whole
// response, and send the next. bench_conn.go, bench_http.go and
// bench_fcgi.go are leaner ways than the protocols' clients to do that;
// bench_report.go is what is said of it.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"millrace/gateway"
)

// load is one run.
type load struct {
	e *endpoint
	o *outgoing
	m *message

	connections int
	mpx         int // requests that share a connection
	fresh       bool
	requests    int64 // 0: no limit
	duration    time.Duration
	rate        float64 // 0: each worker sends when it has its answer

	begun   atomic.Int64 // requests
	dialled atomic.Int64
	stats   stats
	clients []client
	start   time.Time
	over    chan struct{} // closed: no request begins any more
	once    sync.Once
}

// stats are what the workers count.
type stats struct {
	latency  histogram          // of whole responses, whatever their status
	bytes    atomic.Int64       // of their bodies
	statuses [1000]atomic.Int64 // of whole responses
	failed   [failures]atomic.Int64

	mu    sync.Mutex
	first [failures]error
}

// failureKind is why there is no whole response.
type failureKind int

const (
	failConnect failureKind = iota
	failTimeout
	failCut
	failUnfinished
	failOther
	failures
)

func (k failureKind) String() string {
	return [...]string{"connect", "timeout", "cut", "unfinished", "other"}[k]
}

// sender sends one request after the other, for one worker.
type sender interface {
	send(ctx context.Context) (status int, bytes int64, err error)
	close()
}

// connectPause follows a connection that could not be opened: that error comes
// at once, and the next one would too.
const connectPause = 10 * time.Millisecond

// run makes the load until it is over: by time, by number, or by ctx.
func (l *load) run(ctx context.Context) (elapsed time.Duration) {
	l.over = make(chan struct{})
	work, cut := context.WithCancel(context.Background())
	defer cut()
	senders := l.senders()
	var running sync.WaitGroup
	ended := make(chan struct{})
	l.start = time.Now()
	for _, s := range senders {
		running.Go(func() { l.work(work, s) })
	}
	go func() { running.Wait(); close(ended) }()
	if l.duration > 0 {
		timer := time.AfterFunc(l.duration, l.end)
		defer timer.Stop()
	}
	select {
	case <-ended:
	case <-ctx.Done():
		l.end()
	case <-l.over:
		// A request that runs may take its time: cut off, the slowest would
		// be missing.
		grace := time.NewTimer(l.o.timeout)
		defer grace.Stop()
		select {
		case <-ended:
		case <-ctx.Done():
		case <-grace.C:
		}
	}
	elapsed = time.Since(l.start)
	cut()
	<-ended
	for _, c := range l.clients {
		_ = c.Close() // nothing is under way
	}
	return elapsed
}

// end lets no request begin any more.
func (l *load) end() { l.once.Do(func() { close(l.over) }) }

// work is one worker. It has a context of its own: clients watch it, and all
// would queue for the lock of one.
func (l *load) work(ctx context.Context, s sender) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer s.close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		from, ok := l.next(timer)
		if !ok {
			return
		}
		status, bytes, err := s.send(ctx)
		if err == nil {
			l.stats.latency.add(time.Since(from))
			l.stats.bytes.Add(bytes)
			l.stats.statuses[status].Add(1)
			continue
		}
		kind := l.stats.fail(ctx, err)
		if kind == failConnect {
			timer.Reset(connectPause)
			select {
			case <-timer.C:
			case <-l.over:
			}
		}
	}
}

// next waits for the time of the next request and returns it; false: there is
// none. With a rate it is when the request is due, whether a worker was free
// or not: else a server that stands still would slow the load down and hide
// what its clients would have waited.
func (l *load) next(timer *time.Timer) (time.Time, bool) {
	select {
	case <-l.over:
		return time.Time{}, false
	default:
	}
	n := l.begun.Add(1)
	if l.requests > 0 && n > l.requests {
		l.begun.Add(-1)
		return time.Time{}, false
	}
	if l.rate == 0 {
		return time.Now(), true
	}
	due := l.start.Add(time.Duration(float64(n-1) / l.rate * float64(time.Second)))
	if wait := time.Until(due); wait > 0 {
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-l.over:
			l.begun.Add(-1)
			return time.Time{}, false
		}
	}
	return due, true
}

// missed is how many requests were due after a time and were not begun.
func (l *load) missed(after time.Duration) int64 {
	if l.rate == 0 {
		return 0
	}
	if l.duration > 0 {
		after = min(after, l.duration)
	}
	due := int64(after.Seconds() * l.rate)
	if l.requests > 0 {
		due = min(due, l.requests)
	}
	return max(due-l.begun.Load(), 0)
}

// fail counts a request without a whole response.
func (s *stats) fail(ctx context.Context, err error) failureKind {
	kind := failOther
	switch {
	case ctx.Err() != nil:
		kind = failUnfinished
	case errors.Is(err, gateway.ErrUnreachable):
		kind = failConnect
	case errors.Is(err, gateway.ErrTimeout), errors.Is(err, os.ErrDeadlineExceeded):
		kind = failTimeout
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, gateway.ErrNotAnswered):
		kind = failCut
	}
	if s.failed[kind].Add(1) == 1 {
		s.mu.Lock()
		s.first[kind] = err
		s.mu.Unlock()
	}
	return kind
}

// dial opens a connection and counts it.
func (l *load) dial(ctx context.Context) (net.Conn, error) {
	c, err := l.e.dial(ctx, l.o.connectTimeout, l.o.insecure)
	if err == nil {
		l.dialled.Add(1)
	}
	return c, err
}

// keeps reports whether the protocol has kept connections at all.
func (p protocol) keeps() bool { return p != protoSCGI && p != protoUWSGI }

// senders makes one for each worker.
func (l *load) senders() []sender {
	var all []sender
	for range l.connections {
		switch {
		case l.e.protocol == protoHTTP:
			all = append(all, newHTTPSender(l))
		case l.mpx > 1: // a client for each connection, so that each carries its share
			c := l.o.sharedClient(l.e, l.dial, l.mpx)
			l.clients = append(l.clients, c)
			for range l.mpx {
				all = append(all, newGatewaySender(c, l.m))
			}
		case l.e.protocol == protoFastCGI:
			all = append(all, newFCGISender(l))
		default:
			kept := 1
			if l.fresh {
				kept = 0
			}
			c := l.o.client(l.e, l.dial, kept)
			l.clients = append(l.clients, c)
			all = append(all, newGatewaySender(c, l.m))
		}
	}
	return all
}

// gatewaySender sends by a gateway protocol's client.
type gatewaySender struct {
	client client
	req    gateway.Request
	body   []byte
	buf    []byte
}

func newGatewaySender(c client, m *message) *gatewaySender {
	s := &gatewaySender{client: c, req: *m.cgi, buf: make([]byte, 16<<10)}
	if m.body != nil {
		s.body, _ = io.ReadAll(m.body.reader()) // it is in memory
		s.req.ContentLength = m.body.size
		s.req.GetBody = func() (io.Reader, error) { return bytes.NewReader(s.body), nil }
	}
	return s
}

func (s *gatewaySender) send(ctx context.Context) (status int, size int64, err error) {
	req := s.req
	if req.GetBody != nil {
		req.Body = bytes.NewReader(s.body)
	}
	resp, err := s.client.RoundTrip(ctx, &req)
	if err != nil {
		return 0, 0, err
	}
	for {
		n, err := resp.Body.Read(s.buf)
		size += int64(n)
		switch {
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return resp.Status, size, resp.Body.Close()
		case err != nil:
			resp.Body.Close()
			return 0, size, fmt.Errorf("after %d bytes of its body: %w", size, err)
		}
	}
}

func (s *gatewaySender) close() {}
