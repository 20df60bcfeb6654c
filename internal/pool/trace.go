package pool

// Tracebacks of a process, on request: worker/millrace_worker/overtime.py is the
// other side. A process writes them to a pipe of its own; nobody reads it
// until the keeper has asked for one.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// askWait is how long the interpreter may take for the first byte, before
	// faulthandler is asked: long enough for one that runs, also on a machine
	// that is busy, since faulthandler can crash one that runs.
	askWait = time.Second
	// traceWait is how long faulthandler may take for the first byte. It took at
	// most 10 ms, from C code that holds the interpreter's lock too.
	traceWait = 500 * time.Millisecond
	// traceSilence ends a traceback whose end does not show.
	traceSilence = 200 * time.Millisecond
	// traceLimit is how long the reading of one may take.
	traceLimit = 3 * time.Second
	// maxTrace is how much of one is logged.
	maxTrace = 256 * 1024 // bytes
	// maxTraceRead is how much a process may write before its pipe is closed:
	// more than faulthandler's 100 threads of 100 frames do.
	maxTraceRead = 32 << 20 // bytes
)

// traceEnd is the last frame of the main thread, which comes last: the
// interpreter's -c.
var traceEnd = []byte("  File \"<string>\", line 1 in <module>\n")

// wantedTrace is a request for whose sake a process is asked for tracebacks.
type wantedTrace struct {
	ch      *channel
	seq     uint64 // 0: no request in particular
	request string // the same as in other lines of the log
	method  string // and uri: "" where they are not known any more
	uri     string
	thread  uint64 // that runs it
	slow    bool   // the request goes on; else the process ends after this
	ran     time.Duration
}

// wantTraceLocked has the process's tracebacks logged, once for all that want
// it by the time that it is asked. Only the keeper calls it.
func (proc *process) wantTraceLocked(w wantedTrace) {
	p := proc.host.pool
	w.thread = atomic.LoadUint64(&w.ch.words.thread)
	if w.seq != 0 {
		w.request = w.ch.nameLocked(w.seq)
	}
	if !w.slow {
		proc.endBy = p.now() + 2*traceLimit // until the traceback is here
	}
	proc.wanted = append(proc.wanted, w)
	if proc.tracing {
		return
	}
	proc.tracing = true
	p.hosts.Go(proc.trace)
}

// trace serves the wants until there is none.
func (proc *process) trace() {
	p := proc.host.pool
	for {
		p.mu.Lock()
		batch := proc.wanted
		proc.wanted = nil
		proc.tracing = len(batch) > 0
		pipe := proc.traces
		p.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		threads := threadsOf(batch)
		text, err := proc.askForTrace(pipe)
		p.mu.Lock()
		proc.endLateLocked(batch)
		p.mu.Unlock()
		p.logTraces(proc, batch, threads, text, err)
	}
}

var errNoTraces = errors.New("the app is a program of its own")

// askForTrace returns one dump of all threads.
func (proc *process) askForTrace(pipe *os.File) ([]byte, error) {
	if pipe == nil {
		return nil, errNoTraces
	}
	var b [32 * 1024]byte
	// What came too late for the one who asked before.
	if err := pipe.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return nil, err
	}
	for read := 0; read < maxTraceRead; {
		n, err := pipe.Read(b[:])
		if err != nil {
			break // a deadline; or an end, which shows again
		}
		read += n
	}
	// The interpreter first: faulthandler can crash a process that runs Python.
	var text []byte
	var err error
	for _, way := range [...]struct {
		by   string
		wait time.Duration
	}{{"interpreter", askWait}, {"faulthandler", traceWait}} {
		if err := proc.host.send(map[string]any{"do": "trace", "process": proc.number, "by": way.by}); err != nil {
			return nil, fmt.Errorf("its host cannot be asked: %w", err)
		}
		text, err = readTrace(pipe, b[:], way.wait)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return text, err
		}
	}
	return nil, fmt.Errorf("it did not answer within %s: it is stopped, or waits for the disk", askWait+traceWait)
}

// readTrace reads one dump, whose first byte may take wait; then it is
// os.ErrDeadlineExceeded. The process waits while the pipe is full, so all of
// it is read, however little is kept.
func readTrace(pipe *os.File, b []byte, wait time.Duration) ([]byte, error) {
	var text []byte
	end := time.Now().Add(traceLimit)
	for read := 0; ; wait = traceSilence {
		if err := pipe.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return text, err
		}
		n, err := pipe.Read(b)
		read += n
		text = append(text, b[:min(n, maxTrace-len(text))]...)
		switch {
		case n > 0 && bytes.HasSuffix(b[:n], traceEnd), errors.Is(err, os.ErrDeadlineExceeded) && read > 0, errors.Is(err, io.EOF) && read > 0:
			if read > len(text) {
				text = append(text, fmt.Sprintf("... and %d bytes more\n", read-len(text))...)
			}
			return text, nil
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrClosed):
			return nil, errors.New("it has ended, or has closed its descriptors")
		case err != nil:
			return text, err
		case read > maxTraceRead || time.Now().After(end):
			_ = pipe.Close() // nobody may make us read for ever
			return text, nil
		}
	}
}

// threadsOf names the requests of a batch by the headings of their threads.
func threadsOf(batch []wantedTrace) map[string]string {
	threads := map[string]string{}
	for _, w := range batch {
		if w.thread != 0 && w.seq != 0 {
			threads[fmt.Sprintf("hread 0x%016x ", w.thread)] = w.request
		}
	}
	return threads
}

// logTraces logs a dump: for slow requests in the slow log if there is one,
// else in the error log, where requests over their limit have been named.
func (p *Pool) logTraces(proc *process, batch []wantedTrace, threads map[string]string, text []byte, err error) {
	slowLog, late := p.config.Load().SlowLog, false
	for _, w := range batch {
		late = late || !w.slow
	}
	pid := proc.pid.Load()
	if slowLog != nil {
		if entry := slowEntry(p.name, pid, batch, text, err, threads); entry != nil {
			if _, writeErr := slowLog.Write(entry); writeErr != nil {
				p.log.Error("cannot write the slow log; its entry is in this log", "app", p.name, "error", writeErr)
				slowLog = nil
			}
		}
	}
	for _, w := range batch {
		if w.slow && slowLog == nil {
			p.log.Warn("request is slow", "app", p.name, "pid", pid, "request", w.request,
				"ran", w.ran.Round(time.Millisecond), "method", w.method, "uri", w.uri)
		}
	}
	if !late && slowLog != nil {
		return
	}
	attrs := []any{"app", p.name, "pid", pid}
	if len(batch) == 1 && batch[0].request != "" {
		attrs = append(attrs, "request", batch[0].request)
	}
	switch {
	case errors.Is(err, errNoTraces):
		return
	case err != nil:
		p.log.Error("worker gave no traceback", append(attrs, "why", err)...)
		return
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			p.log.Error(markThread(line, threads), attrs...)
		}
	}
}

// slowEntry is what the slow log gets: a line for each slow request, the
// tracebacks, an empty line. nil: none of the batch is slow.
func slowEntry(app string, pid int64, batch []wantedTrace, text []byte, err error, threads map[string]string) []byte {
	var b bytes.Buffer
	for _, w := range batch {
		if w.slow {
			fmt.Fprintf(&b, "%s app=%s pid=%d request=%s ran=%s %s %q\n", time.Now().Format("2006-01-02T15:04:05.000Z07:00"),
				app, pid, w.request, w.ran.Round(time.Millisecond), w.method, w.uri)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	if err != nil {
		fmt.Fprintf(&b, "no traceback: %v\n", err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			b.WriteString(printable(markThread(line, threads)) + "\n")
		}
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// markThread says whose thread a heading's is.
func markThread(line string, threads map[string]string) string {
	for heading, request := range threads {
		if strings.Contains(line, heading) {
			return strings.TrimSuffix(line, ":") + ", runs request " + request + ":"
		}
	}
	return line
}

// printable replaces what could move a terminal's cursor: the text is the
// process's, and the process may be anybody's by now.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, line)
}
