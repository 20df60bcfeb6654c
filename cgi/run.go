package cgi

// One run of a program: its pipes, its time, its end.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"millrace/gateway"
)

// run is one process and what belongs to it. live owns the process; the
// pipes' far ends are the process's alone.
type run struct {
	host   *Host
	cmd    *exec.Cmd
	proc   Process  // cmd, started
	exit   Exit     // its end, once exited is closed
	in     *os.File // our end of its standard input; nil: it has none, or a file
	out    *os.File // of its standard output
	errs   *os.File // of its standard error
	stderr *stderr

	stop   chan struct{} // closed: it must end
	left   chan struct{} // closed: its response is over, it may end by itself
	exited chan struct{} // closed: it is reaped
	said   chan struct{} // closed: its standard error has ended
	undo   []func() bool // what would end it later

	mu      sync.Mutex
	cause   error       // why stop was closed
	over    bool        // exited was closed: what still holds out has lingering to send a byte
	reading bool        // somebody waits for a byte of out
	feeding bool        // the request's body has been asked for: the program is not late
	expired bool        // nothing came within lingering: the response ends there
	idle    *time.Timer // fires when the program is late
	due     time.Time   // when that is
	let     bool        // the caller's things are its own again
	file    *os.File    // its standard input, if it is a file
	offset  int64       // of file, when it was looked at
}

// lingering is how long pipes are given after their program's end, when
// something else holds them open.
const lingering = 2 * time.Second

// settling is how long the end of a response waits for the program's, so that
// its status is known and its last words have come.
const settling = 250 * time.Millisecond

// start starts a process for a request.
func (h *Host) start(ctx context.Context, cmd *exec.Cmd, req *gateway.Request) (*run, error) {
	r := &run{
		host:   h,
		cmd:    cmd,
		stop:   make(chan struct{}),
		left:   make(chan struct{}),
		exited: make(chan struct{}),
		said:   make(chan struct{}),
	}
	r.stderr = &stderr{to: req.Stderr, log: h.logger(), program: cmd.Path, uri: req.Param("REQUEST_URI")}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cgi: %s is not started: %w", cmd.Path, context.Cause(ctx))
	}
	if err := h.add(r); err != nil {
		return nil, err
	}
	r.mu.Lock() // Close may call fail from now on
	err := r.spawn(req)
	r.mu.Unlock()
	if err != nil {
		r.closePipes()
		h.remove(r)
		return nil, err
	}
	r.idle = time.AfterFunc(time.Hour, r.late)
	r.idle.Stop()
	r.undo = append(r.undo, context.AfterFunc(ctx, func() {
		r.fail(fmt.Errorf("cgi: the request is given up: %w", context.Cause(ctx)))
	}))
	if h.MaxTime > 0 {
		r.undo = append(r.undo, time.AfterFunc(h.MaxTime, func() {
			r.fail(fmt.Errorf("cgi: %s has run for %v: %w", cmd.Path, h.MaxTime, gateway.ErrTimeout))
		}).Stop)
	}
	go r.reap()
	go r.live()
	go r.listen()
	if r.in != nil {
		go r.feed(req.Body, req.ContentLength)
	}
	return r, nil
}

// spawn makes the pipes and starts the process with their far ends.
func (r *run) spawn(req *gateway.Request) error {
	var far []*os.File
	defer func() {
		for _, f := range far {
			f.Close()
		}
	}()
	pipe := func(ours **os.File, toProgram bool) (*os.File, error) {
		pr, pw, err := os.Pipe()
		if err != nil {
			return nil, startError(r.cmd.Path, err)
		}
		theirs := pw
		*ours = pr
		if toProgram {
			theirs, *ours = pr, pw
		}
		far = append(far, theirs)
		return theirs, nil
	}
	switch {
	case req.Body == nil || req.ContentLength == 0: // the null device
	case exactFile(req.Body, req.ContentLength) != nil:
		r.file = exactFile(req.Body, req.ContentLength)
		r.cmd.Stdin = r.file
	default:
		in, err := pipe(&r.in, true)
		if err != nil {
			return err
		}
		r.cmd.Stdin = in
	}
	out, err := pipe(&r.out, false)
	if err != nil {
		return err
	}
	errs, err := pipe(&r.errs, false)
	if err != nil {
		return err
	}
	r.cmd.Stdout, r.cmd.Stderr = out, errs
	start := r.host.Start
	if start == nil {
		start = startChild
	}
	if r.proc, err = start(r.cmd); err != nil {
		return startError(r.cmd.Path, err)
	}
	return nil
}

// exactFile is the file that a body is, if it has n bytes from its offset on.
func exactFile(body io.Reader, n int64) *os.File {
	f, ok := body.(*os.File)
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	offset, err := f.Seek(0, io.SeekCurrent)
	if err != nil || info.Size()-offset != n {
		return nil
	}
	return f
}

// fail ends the run before its time; the first reason counts. Whoever waits
// for a pipe is woken.
func (r *run) fail(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cause != nil {
		return
	}
	r.cause = cause
	close(r.stop)
	r.out.Close()
	if r.in != nil {
		r.in.Close()
	}
}

// why is the reason of fail; nil: it was not called.
func (r *run) why() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause
}

// release lets go of the caller's things: nothing that it gave is used after.
func (r *run) release() {
	for _, undo := range r.undo {
		undo()
	}
	r.mu.Lock()
	r.let = true
	r.idle.Stop()
	r.mu.Unlock()
	r.stderr.detach()
	if r.in != nil {
		r.in.Close()
	}
}

// reap waits for the process.
func (r *run) reap() {
	r.exit = r.proc.Wait()
	r.mu.Lock()
	r.over = true
	if r.reading {
		r.expectLocked()
	}
	r.mu.Unlock()
	close(r.exited)
}

// live sees to it that the process ends, and that nothing is left of it.
func (r *run) live() {
	defer r.host.remove(r)
	select {
	case <-r.exited:
		within(r.left, r.stop, 0)
	case <-r.stop:
		r.end()
	case <-r.left:
		if !within(r.exited, r.stop, r.host.grace()) {
			r.host.logger().Warn("a CGI program does not end after its response and is ended", "program", r.cmd.Path, "pid", r.proc.PID())
			r.end()
		}
	}
	within(r.said, nil, lingering)
	r.closePipes()
	<-r.said
}

// end makes the process end, and what it started with it.
func (r *run) end() {
	r.proc.Terminate()
	within(r.exited, nil, r.host.grace())
	r.proc.Kill()
	<-r.exited
}

// within waits for done or instead, for d at most (0: for ever), and reports
// whether done came.
func within(done, instead <-chan struct{}, d time.Duration) bool {
	var timeout <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-done:
		return true
	case <-instead:
	case <-timeout:
	}
	return false
}

// closePipes closes our ends; a second time does no harm.
func (r *run) closePipes() {
	for _, f := range []*os.File{r.in, r.out, r.errs} {
		if f != nil {
			f.Close()
		}
	}
}

// listen passes the standard error on.
func (r *run) listen() {
	defer close(r.said)
	b := make([]byte, 4<<10)
	for {
		n, err := r.errs.Read(b)
		r.stderr.write(b[:n])
		if err != nil {
			r.stderr.end()
			return
		}
	}
}

// feed writes the request's body to the program, which need not take it. The
// last part is given only when the body has ended with it: a program must not
// take a body that goes on for a whole one.
func (r *run) feed(from io.Reader, left int64) {
	defer r.in.Close()
	b := make([]byte, min(left, 32<<10))
	for left > 0 && r.wait(true) {
		n, err := from.Read(b[:min(left, int64(len(b)))])
		if left -= int64(n); left == 0 {
			if err = atEnd(from, err); err == nil {
				err = fmt.Errorf("cgi: the request's body is longer than its length says: %w", gateway.ErrBody)
			}
		}
		switch {
		case errors.Is(err, io.EOF) && left > 0:
			err = fmt.Errorf("cgi: the request's body ends %d bytes before its length: %w", left, gateway.ErrBody)
		case errors.Is(err, io.EOF):
			err = nil
		case err != nil && !errors.Is(err, gateway.ErrBody):
			err = fmt.Errorf("cgi: %w: %w", gateway.ErrBody, err)
		}
		if err != nil {
			r.fail(err)
			return
		}
		r.wait(false)
		if _, err := r.in.Write(b[:n]); err != nil {
			return // it has closed its input, or the run is over
		}
	}
}

// atEnd is the error of a Read at the end of a body, whose last Read gave err;
// nil if there is more.
func atEnd(from io.Reader, err error) error {
	var more [1]byte
	for n := 0; err == nil; {
		if n, err = from.Read(more[:]); n > 0 {
			return nil
		}
	}
	return err
}

// wait says whether the program waits for the request's body, and gives it its
// time anew. False: the body must not be read any more.
func (r *run) wait(forBody bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.feeding = forBody
	if r.reading && !r.over {
		r.expectLocked()
	}
	return r.cause == nil && !r.let
}

// begin says that somebody waits for output; done says that nobody does.
func (r *run) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading = true
	r.expectLocked()
}

func (r *run) done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading = false
	r.idle.Stop()
}

// timeout is Host.Timeout; negative: none.
func (r *run) timeout() time.Duration {
	if r.host.Timeout == 0 {
		return gateway.DefaultTimeout
	}
	return r.host.Timeout
}

func (r *run) expectLocked() {
	wait := r.timeout()
	switch {
	case r.over:
		wait = lingering
	case r.feeding || wait < 0:
		r.idle.Stop()
		r.due = time.Time{}
		return
	}
	r.due = time.Now().Add(wait)
	r.idle.Reset(wait)
}

// late is called when nothing came in time.
func (r *run) late() {
	if r.isLate() {
		r.fail(fmt.Errorf("cgi: %s neither read nor wrote for %v: %w", r.cmd.Path, r.timeout(), gateway.ErrTimeout))
	}
}

// isLate reports whether the run has failed.
func (r *run) isLate() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.reading || r.due.IsZero() || time.Now().Before(r.due) { // the timer fired while it was set anew
		return false
	}
	if r.over {
		r.expired = true
		r.out.Close()
		return false
	}
	if r.file != nil {
		if offset, err := r.file.Seek(0, io.SeekCurrent); err == nil && offset != r.offset { // the program shares it, and reads
			r.offset = offset
			r.expectLocked()
			return false
		}
	}
	return true
}

// read is a Read of the program's output, with its end put into words: io.EOF
// only for a response that is whole as far as one can know. A program that a
// signal ended has not finished; one with another status than 0 may have, since
// many a script ends with whatever its last command returned.
func (r *run) read(b []byte) (int, error) {
	n, err := r.out.Read(b)
	if err == nil {
		return n, nil
	}
	if cause := r.why(); cause != nil {
		return n, cause
	}
	r.mu.Lock()
	expired := r.expired
	r.mu.Unlock()
	if !errors.Is(err, io.EOF) && !expired {
		return n, fmt.Errorf("cgi: cannot read the output of %s: %w", r.cmd.Path, err)
	}
	if within(r.exited, r.stop, settling) && r.exit.Code < 0 {
		return n, fmt.Errorf("cgi: %s ended within its response: %s: %w", r.cmd.Path, r.exit.Status, gateway.ErrBadResponse)
	}
	return n, io.EOF
}

// readHead reads the head, and returns what came behind it.
func (r *run) readHead(limit int) (head *gateway.Head, rest []byte, err error) {
	if limit == 0 {
		limit = gateway.DefaultMaxHead
	}
	r.begin()
	defer r.done()
	b := make([]byte, 0, 4<<10)
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		from := len(b)
		n, err := r.read(b[from:max(from, min(cap(b), limit))])
		b = b[:from+n]
		if headEnds(b, from) {
			head, size, err := gateway.ParseHead(b)
			if err != nil {
				return nil, nil, fmt.Errorf("cgi: %s: %w", r.cmd.Path, err)
			}
			return head, b[size:], nil
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, gateway.ErrBadResponse):
			return nil, nil, r.headless(len(b))
		case err != nil:
			return nil, nil, err
		case len(b) >= limit:
			return nil, nil, fmt.Errorf("cgi: the head of %s has more than %d bytes: %w", r.cmd.Path, limit, gateway.ErrBadResponse)
		}
	}
}

// headless is the error for a program whose output ended after n bytes of a
// head.
func (r *run) headless(n int) error {
	how := "closed its output"
	if within(r.exited, r.stop, settling) {
		how = "ended: " + r.exit.Status
	}
	within(r.said, r.stop, settling)
	said := ""
	if text := r.stderr.last(); text != "" {
		said = fmt.Sprintf("; it said %q", text)
	}
	if n == 0 {
		return fmt.Errorf("cgi: %s %s without a response%s: %w", r.cmd.Path, how, said, gateway.ErrBadResponse)
	}
	return fmt.Errorf("cgi: %s %s within its head, after %d bytes%s: %w", r.cmd.Path, how, n, said, gateway.ErrBadResponse)
}

// ended is called when the response is over, and waits a moment for the rest.
func (r *run) ended() {
	close(r.left)
	if within(r.exited, r.stop, settling) {
		within(r.said, r.stop, settling)
		if r.exit.Code != 0 {
			r.host.logger().Warn("a CGI program ended badly, after its response", "program", r.cmd.Path, "status", r.exit.Status)
		}
	}
}
