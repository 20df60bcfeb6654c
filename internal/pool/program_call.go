package pool

// A request that is lent to a program: sent by the channel's client, its
// response carried into a pipe.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace/gateway"
	"millrace/internal/requestid"
	"millrace/internal/spool"
)

const (
	// programPiece is what is read of a response at a time.
	programPiece = 32 * 1024
	// headWait is how long a head waits for the first bytes of its body, or
	// its end, so that all leaves together and a short body gets a length.
	headWait = 5 * time.Millisecond
	// deathPatience is how long the end of a connection waits for the news that
	// the process has died.
	deathPatience = 250 * time.Millisecond
	// maxRequeues bounds how often a request is queued again because no
	// process took it.
	maxRequeues = 10
)

// pieces are buffers to read into.
var pieces = sync.Pool{New: func() any { return new([programPiece]byte) }}

// programCall is what a call has that is for a program.
type programCall struct {
	request *gateway.Request // without its body
	head    *gateway.Head    // of the response
	cancel  func()           // ends the exchange; set with the call's pipe
	requeue int              // how often it was queued again
	repeat  bool             // it may have been seen by a process that left by itself

	mu   sync.Mutex // a client may still read the body when it has returned
	over bool       // the body is not to be read any more
}

// encodeProgram makes the request for a program, whose body is here.
func (c *call) encodeProgram(r *http.Request, front *gateway.Front, target gateway.Target) error {
	req, err := gateway.FromHTTP(r, target)
	if err != nil {
		return err
	}
	if front != nil {
		req.Params = appendFront(req.Params, r, front)
	}
	c.id, c.method, c.uri, c.peer = requestid.Of(r), r.Method, r.RequestURI, r.RemoteAddr
	c.program = &programCall{request: req}
	return nil
}

// forProgram is the request as it is sent to a program: its parameters are the
// call's own.
func (c *call) forProgram(params []gateway.Param) *gateway.Request {
	req := *c.program.request
	req.Params = slices.Clone(req.Params)
	for _, p := range params {
		req.Params = gateway.Set(req.Params, p.Name, p.Value)
	}
	req.Body, req.GetBody, req.Data = nil, nil, nil
	if c.body != nil && c.body.Len() > 0 {
		req.Body = c.program.reader(c.body)
		req.GetBody = func() (io.Reader, error) { return c.program.reader(c.body), nil }
	}
	if c.data != nil {
		req.Data = c.program.reader(c.data)
	}
	return &req
}

// reader reads a body from its start.
func (pc *programCall) reader(b *spool.Buffer) io.Reader {
	if f := b.File(); f != nil {
		return &programBody{pc, io.NewSectionReader(f, 0, b.Len())}
	}
	return &programBody{pc, strings.NewReader(string(b.Bytes()))}
}

// close ends all reading of the bodies.
func (pc *programCall) close() {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	pc.over = true
}

// programBody reads a body until its call is over: the file or the memory is
// somebody else's then.
type programBody struct {
	call *programCall
	io.Reader
}

func (b *programBody) Read(p []byte) (int, error) {
	b.call.mu.Lock()
	defer b.call.mu.Unlock()
	if b.call.over {
		return 0, os.ErrClosed
	}
	return b.Reader.Read(p)
}

// lendProgramLocked gives a call to a channel of a program.
func (p *Pool) lendProgramLocked(ch *channel, c *call) {
	ch.seq++
	c.seq, c.channel, c.state = ch.seq, ch, callLent
	ch.held = append(ch.held, c)
	ch.headSince = p.now()
	p.runningLocked(ch.headSince, 1)
	atomic.StoreUint64(&ch.words.started, c.seq)
	go ch.serve(c)
}

// serve has the program answer a call.
func (ch *channel) serve(c *call) {
	ctx, cancel := context.WithCancel(ch.link.program.alive)
	defer cancel()
	ch.link.begin(c.seq)
	req := c.forProgram(ch.link.program.cfg.Params)
	said := &programSays{channel: ch, request: c.requestID()}
	req.Stderr = said
	resp, err := ch.link.client.RoundTrip(ctx, req)
	if err != nil {
		said.flush()
		ch.unanswered(c, err)
		return
	}
	ch.carry(c, resp, cancel)
	said.flush()
	p := ch.pool
	p.mu.Lock()
	defer p.unlock()
	p.servedLocked(ch, true)
}

// servedLocked takes the call that ran from the channel, which gets the next.
func (p *Pool) servedLocked(ch *channel, answered bool) {
	atomic.StoreUint64(&ch.words.finished, ch.seq)
	if answered {
		p.answeredLocked(ch)
	} else {
		clear(ch.held)
		ch.held = ch.held[:0]
		ch.streaming = false
		p.runningLocked(p.now(), -1)
		if ch.state == channelDraining {
			p.drainedLocked(ch)
		} else {
			p.idleListLocked(ch)
		}
	}
	if ch.ended || ch.givenUp {
		p.endProgramChannelLocked(ch)
	}
	p.dispatchLocked()
}

// unanswered handles a call that brought no response.
func (ch *channel) unanswered(c *call, err error) {
	p, proc := ch.pool, ch.process
	ch.awaitReport()
	p.mu.Lock()
	defer p.unlock()
	defer p.servedLocked(ch, false)
	dead := proc.died != ""
	seen, kept := ch.link.seen(dead)
	if !seen && !dead && errors.Is(err, gateway.ErrUnreachable) {
		p.giveUpLocked(ch, "it takes no connection")
	}
	switch {
	case len(ch.held) == 0 || ch.held[0] != c: // a stand-in has taken its place
	case c.abandoned:
		c.release()
	case !seen && errors.Is(err, gateway.ErrUnreachable) || !seen && dead:
		p.requeueProgramLocked(c, err)
	case dead && kept && !c.program.repeat && proc.killed == "" && ch.link.program.exit.Signal == 0 && gateway.Idempotent(c.method):
		// The process left by itself, and may have closed a kept connection
		// before it read the request (RFC 9112, section 9.3.1).
		c.program.repeat = true
		p.requeueProgramLocked(c, err)
	case (dead || proc.killed != "") && p.retryLocked(ch, c):
	case dead || proc.killed != "":
		p.ranLocked(ch, p.now())
		p.stats.lost++
		p.log.Error("worker died while it ran a request", "app", p.name, "pid", proc.pid.Load(),
			"request", c.requestID(), "method", c.method, "uri", c.uri, "how", proc.howItDied())
		c.fail(errWorkerLost)
	default:
		p.ranLocked(ch, p.now())
		p.log.Error("the program did not answer a request", "app", p.name, "pid", proc.pid.Load(),
			"request", c.requestID(), "method", c.method, "uri", c.uri, "error", err)
		c.fail(err)
	}
}

// awaitReport waits for the news of the process's death, after a connection's
// end that may have been that of the process; false: there is none.
func (ch *channel) awaitReport() bool {
	if ch.link.program.cfg.PerRequest {
		return false // it is the request's own process that matters
	}
	late := time.NewTimer(deathPatience)
	defer late.Stop()
	select {
	case <-ch.process.reported:
		return true
	case <-late.C:
	}
	if !ch.link.program.socket.ended() {
		return false
	}
	<-ch.process.reported // it is about to come
	return true
}

// requeueProgramLocked queues a call again that no process has run.
func (p *Pool) requeueProgramLocked(c *call, err error) {
	if c.program.requeue++; c.program.requeue > maxRequeues {
		p.log.Error("no process of the program takes a request", "app", p.name, "request", c.requestID(), "method", c.method, "uri", c.uri, "error", err)
		c.fail(err)
		return
	}
	p.requeueLocked([]*call{c})
}

// carry brings a response into the call's pipe.
func (ch *channel) carry(c *call, resp *gateway.Response, cancel context.CancelFunc) {
	p := ch.pool
	p.mu.Lock()
	mine := len(ch.held) > 0 && ch.held[0] == c
	switch {
	case !mine, c.abandoned:
		p.mu.Unlock()
		cancel() // nobody wants it
		_ = resp.Body.Close()
		if mine {
			c.release()
		}
		ch.settle()
		return
	case c.method == http.MethodHead, resp.Status == http.StatusNoContent, resp.Status == http.StatusNotModified:
		c.program.head = &resp.Head
		ch.failFirstLocked(nil) // which answers it
		p.mu.Unlock()
		_, err := io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			ch.settle()
		}
		return
	}
	c.program.head, c.program.cancel = &resp.Head, cancel
	c.state = callAnswered
	c.length = -1
	options := spool.PipeOptions{Memory: pipeMemory, Disk: pipeDisk, OnDegrade: func(err error) {
		p.log.Warn("cannot spool a response; its worker waits for the client", "app", p.name, "request", c.requestID(), "error", err)
	}}
	events := strings.HasPrefix(strings.ToLower(resp.Header.Get("Content-Type")), "text/event-stream")
	if events {
		options.Disk = 0
	}
	c.pipe = ch.host.cfg.Spool.NewPipe(options)
	ch.progress.Store(int64(p.now()))
	p.mu.Unlock()

	whole, err := ch.pump(c, resp, resp.ContentLength >= 0 || events)
	if !whole {
		cancel()
	}
	_ = resp.Body.Close()
	if err != nil {
		err = ch.cutShort(err)
	}
	c.closeInput()
	c.pipe.CloseWrite(err)
	if !whole {
		ch.settle()
	}
}

// pump copies the body; whole says that it came to its end. The handler is
// told once there is something of it, or its end, or after a while.
func (ch *channel) pump(c *call, resp *gateway.Response, hurry bool) (whole bool, err error) {
	tell := sync.OnceFunc(func() { c.done <- struct{}{} })
	begin := func() {
		ch.streams(c)
		tell()
	}
	timer := time.AfterFunc(headWait, begin)
	piece := pieces.Get().(*[programPiece]byte)
	defer pieces.Put(piece)
	for total := int64(0); ; {
		n, err := resp.Body.Read(piece[:])
		more := total > 0 || hurry && n > 0
		total += int64(n)
		if (err != nil || more) && timer.Stop() {
			if err == io.EOF {
				c.length = total // all of it is here before the handler looks
				defer tell()
			} else {
				begin()
			}
		}
		if n > 0 {
			ch.blocked.Store(true)
			_, full := c.pipe.Write(piece[:n])
			ch.blocked.Store(false)
			ch.progress.Store(int64(ch.pool.now()))
			if full != nil {
				return false, nil // nobody reads it any more
			}
		}
		switch {
		case err == io.EOF:
			return true, nil
		case err != nil:
			return false, err
		}
	}
}

// streams takes note that the response of a call has begun and goes on.
func (ch *channel) streams(c *call) {
	p := ch.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(ch.held) > 0 && ch.held[0] == c {
		ch.streaming = true
	}
}

// cutShort is why a response did not come to its end.
func (ch *channel) cutShort(err error) error {
	if ch.awaitReport() {
		return errWorkerLost
	}
	return fmt.Errorf("%w: %w", errBroken, err)
}

// settle waits until a process whose request was broken off takes connections
// again: until then it is at work. The keeper ends that after request_timeout.
func (ch *channel) settle() {
	if pr := ch.link.program; pr.socket.inherited() && !pr.cfg.PerRequest {
		_ = pr.socket.accepts(pr.alive) // an error: it is dead, or about to be
	}
}

// anew is the same request, to be encoded again.
func (c *call) anew() *call {
	n := newCall()
	n.body, n.data, n.came = c.body, c.data, c.came
	return n
}

// readHead puts the response's headers into h; see parseHead.
func (c *call) readHead(ctx context.Context, h http.Header) (res responseHead, dropped []string, err error) {
	if c.program == nil {
		return parseHead(c.head, h)
	}
	head := c.program.head
	for name, values := range head.Header {
		h[name] = values
	}
	head.ShowVariables(ctx, h)
	if head.LocalRedirect != "" {
		h.Set("Location", head.LocalRedirect) // for the client to follow
		return responseHead{http.StatusFound, head.ContentLength}, head.Dropped, nil
	}
	return responseHead{head.Status, head.ContentLength}, head.Dropped, nil
}
