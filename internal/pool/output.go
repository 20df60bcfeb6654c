package pool

// What the app prints: lines with the worker and the request they came from.

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	maxLine     = 8 * 1024 // bytes; a longer line is logged in pieces
	lineBacklog = 1024     // lines that may wait for the log
)

// line is one line that a process of the app printed.
type line struct {
	text    string
	pid     int
	request string // "" for none
}

// output reads the processes' pipes and logs their lines. A log that cannot
// be written fast enough loses lines, and says how many; it never makes a
// worker wait.
type output struct {
	pool    *Pool
	lines   chan line
	lost    atomic.Uint64
	readers sync.WaitGroup
	logged  chan struct{}

	mu    sync.Mutex
	pipes map[*os.File]bool
}

func newOutput(p *Pool) *output {
	return &output{pool: p, lines: make(chan line, lineBacklog), logged: make(chan struct{}), pipes: map[*os.File]bool{}}
}

// follow logs what comes from a pipe until its end, and closes it. proc is the
// worker's process, nil for a host.
func (o *output) follow(pipe *os.File, proc *process) {
	o.mu.Lock()
	o.pipes[pipe] = true
	o.mu.Unlock()
	o.readers.Add(1)
	go func() {
		defer o.readers.Done()
		o.read(pipe, proc)
		o.mu.Lock()
		delete(o.pipes, pipe)
		o.mu.Unlock()
		pipe.Close()
	}()
}

// close ends everything. A process that lives on holds a pipe open; nobody
// reads it any more.
func (o *output) close() {
	o.mu.Lock()
	for pipe := range o.pipes {
		pipe.Close()
	}
	o.mu.Unlock()
	o.readers.Wait()
	close(o.lines)
	<-o.logged
}

// read splits what comes into lines.
func (o *output) read(pipe io.Reader, proc *process) {
	b := bufio.NewReaderSize(pipe, maxLine)
	for {
		text, err := b.ReadSlice('\n')
		if len(text) > 0 {
			o.line(bytes.TrimRight(text, "\r\n"), proc)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// line hands one line to the log. A mark (see output.py) names its request;
// for a line without one, that is the one that runs now, if only one does.
func (o *output) line(text []byte, proc *process) {
	l := line{}
	if proc != nil {
		l.pid = int(proc.pid.Load())
	}
	if request, rest, ok := cutMark(text); ok {
		l.request, text = request, rest
	} else if proc != nil {
		l.request = o.pool.running(proc)
	}
	l.text = string(text)
	select {
	case o.lines <- l:
	default:
		o.lost.Add(1)
	}
}

// log writes the lines.
func (o *output) log() {
	defer close(o.logged)
	for l := range o.lines {
		attrs := []any{"app", o.pool.name}
		if l.pid > 0 {
			attrs = append(attrs, "pid", l.pid)
		}
		if l.request != "" {
			attrs = append(attrs, "request", l.request)
		}
		o.pool.log.Info(l.text, attrs...)
		if n := o.lost.Swap(0); n > 0 {
			o.pool.log.Warn("lines of the app are lost: the log is slower than the app prints", "app", o.pool.name, "lines", n)
		}
	}
}

// cutMark parts a line from the mark before it: a record separator, the
// numbers of a channel and of its request, a unit separator. A request 0 is
// none.
func cutMark(text []byte) (request string, rest []byte, ok bool) {
	marked, ok := bytes.CutPrefix(text, []byte{0x1e})
	if !ok {
		return "", nil, false
	}
	mark, rest, ok := bytes.Cut(marked, []byte{0x1f})
	channel, seq, two := strings.Cut(string(mark), "-")
	if !ok || !two || !isNumber(channel) || !isNumber(seq) {
		return "", nil, false
	}
	if seq != "0" {
		request = string(mark)
	}
	return request, rest, true
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}

// running names the one request that a process runs; "" for none, or several.
func (p *Pool) running(proc *process) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	request := ""
	for _, ch := range proc.channels {
		seq := atomic.LoadUint64(&ch.words.started)
		if seq <= atomic.LoadUint64(&ch.words.finished) {
			continue
		}
		if request != "" {
			return ""
		}
		request = ch.requestID(seq)
	}
	return request
}
