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

	"millrace/internal/requestid"
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

// printer is a pipe that is followed.
type printer struct {
	output *output
	file   *os.File
	proc   *process
	parked chan []byte // what was read of a line when park interrupted; closed at the pipe's end
}

// follow logs what comes from a pipe until its end, and closes it. proc is the
// worker's process, nil for a host; printed is the beginning of the first line.
func (o *output) follow(pipe *os.File, proc *process, printed []byte) *printer {
	f := &printer{output: o, file: pipe, proc: proc, parked: make(chan []byte, 1)}
	f.follow(printed)
	return f
}

func (f *printer) follow(printed []byte) {
	o := f.output
	o.mu.Lock()
	o.pipes[f.file] = true
	o.mu.Unlock()
	o.readers.Add(1)
	go func() {
		defer o.readers.Done()
		rest, err := o.read(io.MultiReader(bytes.NewReader(printed), f.file), f.proc)
		o.mu.Lock()
		delete(o.pipes, f.file)
		o.mu.Unlock()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			f.parked <- rest
			return
		}
		if f.proc != nil && f.proc.program != nil {
			close(f.proc.program.silent)
		}
		f.file.Close()
		close(f.parked)
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

// read splits what comes into lines. When it is interrupted by a deadline it
// returns the line that it has begun.
func (o *output) read(pipe io.Reader, proc *process) (rest []byte, err error) {
	b := bufio.NewReaderSize(pipe, maxLine)
	request, inside := "", false // of a line whose beginning is logged
	for {
		text, err := b.ReadSlice('\n')
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return bytes.Clone(text), err
		}
		ended := len(text) > 0 && text[len(text)-1] == '\n'
		text = bytes.TrimRight(text, "\r\n")
		if (ended || len(text) > 0) && proc != nil && proc.program != nil {
			proc.program.heard(text)
		}
		switch {
		case inside && len(text) > 0:
			o.put(text, request, proc)
		case !inside && (ended || len(text) > 0):
			request = o.line(text, proc)
		}
		inside = !ended
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// line hands one line to the log, and returns its request. A mark (see
// output.py) names that; for a line without one it is the one that runs now, if
// only one does.
func (o *output) line(text []byte, proc *process) string {
	request, rest, ok := cutMark(text)
	switch {
	case ok:
		text = rest
	case proc != nil:
		request = o.pool.running(proc)
	}
	o.put(text, request, proc)
	return request
}

// put hands a line of a request to the log.
func (o *output) put(text []byte, request string, proc *process) {
	l := line{text: string(text), request: request}
	if proc != nil {
		l.pid = int(proc.pid.Load())
	}
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
// numbers of a channel and of its request, a blank and the request's id if it
// has one, a unit separator. A request 0 is none.
func cutMark(text []byte) (request string, rest []byte, ok bool) {
	marked, ok := bytes.CutPrefix(text, []byte{0x1e})
	if !ok {
		return "", nil, false
	}
	mark, rest, ok := bytes.Cut(marked, []byte{0x1f})
	numbers, id, named := strings.Cut(string(mark), " ")
	channel, seq, two := strings.Cut(numbers, "-")
	if !ok || !two || !isNumber(channel) || !isNumber(seq) {
		return "", nil, false
	}
	switch {
	case seq == "0":
		return "", rest, true
	case named && requestid.WellFormed(id):
		return id, rest, true
	}
	return numbers, rest, true
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}

// nameLocked names a request that the channel runs, or ran last.
func (ch *channel) nameLocked(seq uint64) string {
	switch {
	case len(ch.held) > 0 && ch.held[0].seq == seq:
		if id := ch.held[0].id; id != "" {
			return id
		}
	case len(ch.held) == 0 || ch.held[0].seq > seq: // it is answered, and in its close()
		if ch.ran != "" {
			return ch.ran
		}
	}
	return ch.requestID(seq)
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
		request = ch.nameLocked(seq)
	}
	return request
}
