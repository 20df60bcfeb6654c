package pool

// The answers of one channel: a loop that reads frames from the stream and
// gives them to the calls they belong to.
//
// An answer that fits the buffer whole is copied out and its handler woken;
// the rest of the code in this file is for those that do not: they flow
// through a spool.Pipe, so that the worker is free at its own speed and
// nothing is allocated by a declared length.

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"millrace/internal/spool"
)

const (
	// pipeMemory is how much of a response that came in pieces is kept in
	// memory before it goes to a file.
	pipeMemory = 256 * 1024
	// pipeDisk is how much of one response may wait in a file for its client;
	// beyond it the worker waits.
	pipeDisk = 1 << 30
	// reportPatience is how long the end of a stream waits for the host to say
	// that the worker has died: it may have to wait for a processor.
	reportPatience = 500 * time.Millisecond
)

// reader is the state of a channel's read loop.
type reader struct {
	ch       *channel
	buf      [maxPacket]byte
	from, to int // the unread part of buf
	oob      [64]byte
	fds      []int // arrived, not yet claimed
	n        int
	err      error

	announced bool   // READY has come
	asked     uint64 // the last request that the worker asked about

	streaming *call  // the call whose body is flowing, nil between responses
	left      int    // bytes of its current frame still to come
	flags     uint32 // of that frame
	discard   bool   // the flowing body belongs to nobody
}

// read runs until the stream ends, then buries the channel.
func (ch *channel) read() { ch.run(&reader{ch: ch}) }

func (ch *channel) run(r *reader) {
	err := r.loop()
	if ch.parts(r, err) {
		return // its reader goes on in another pool, or later
	}
	for _, fd := range r.fds {
		closeFD(fd)
	}
	if c := r.streaming; c != nil && c.pipe != nil {
		c.pipe.CloseWrite(errWorkerLost)
		c.releaseStream()
	}
	p := ch.pool
	p.mu.Lock()
	ch.ended = true
	p.takeBackLocked(ch)
	p.dispatchLocked()
	p.unlock()
	// The stream's end is a hint, and the host's report, a millisecond later,
	// the truth: how the worker died, and that it runs nothing any more. None
	// comes when the worker lives on with its descriptors closed, or its host
	// is gone.
	late := time.NewTimer(reportPatience)
	defer late.Stop()
	select {
	case <-ch.process.reported:
	case <-late.C:
	}
	p.mu.Lock()
	p.startFailedLocked(ch)
	proc := ch.process
	if proc.killed == "" && proc.died == "" && ch.state != channelDraining && err != nil && !errors.Is(err, io.EOF) {
		p.log.Error("worker's channel failed; the worker is killed", "app", p.name, "pid", proc.pid.Load(), "error", err)
	}
	switch {
	case proc.died != "":
	case len(ch.held) == 0 && ch.state == channelDraining:
		// A worker that was told to leave may take its time over its exit
		// handlers.
		ch.clean = true
	case !ch.ready && proc.servesLocked():
		proc.full = true // it has no room for one more thread
		ch.clean = true
	default:
		p.giveUpLocked(ch, "its channel ended") // it may be alive with its descriptors closed
	}
	ch.state = channelDead
	p.buryLocked(ch)
	p.unlock()
}

// loop reads and handles frames.
func (r *reader) loop() error {
	receiveOnce := func(fd uintptr) bool {
		for {
			n, fds, err := receive(int(fd), r.buf[r.to:], r.oob[:])
			if interrupted(err) {
				continue
			}
			if wouldBlock(err) {
				return false
			}
			r.n, r.err = n, err
			r.fds = append(r.fds, fds...)
			return true
		}
	}
	for {
		if err := r.ch.raw.Read(receiveOnce); err != nil {
			return err
		}
		if r.err != nil {
			return r.err
		}
		if r.n == 0 {
			return io.EOF
		}
		r.to += r.n
		if err := r.frames(); err != nil {
			return err
		}
		if err := r.unclaimed(); err != nil {
			return err
		}
		switch {
		case r.from == r.to:
			r.from, r.to = 0, 0
		case r.from > 0:
			r.to = copy(r.buf[:], r.buf[r.from:r.to])
			r.from = 0
		}
	}
}

// unclaimed checks the descriptors that no frame has claimed. One may belong to
// a frame that is not whole yet; more would fill our table.
func (r *reader) unclaimed() error {
	most := 0
	if r.from < r.to {
		most = 1
	}
	if n := len(r.fds); n > most {
		return fmt.Errorf("%w: %d descriptors that no answer has use for", errFrame, n)
	}
	return nil
}

// frames handles what the buffer holds of whole frames, and of bodies that flow.
func (r *reader) frames() error {
	for r.from < r.to {
		if r.left > 0 {
			n := min(r.left, r.to-r.from)
			r.flow(r.buf[r.from : r.from+n])
			r.from += n
			r.left -= n
			if r.left == 0 {
				if err := r.endOfFrame(); err != nil {
					return err
				}
			}
			continue
		}
		have := r.to - r.from
		if have < answerHead {
			return nil
		}
		a, err := parseAnswer(r.buf[r.from:r.to])
		if err != nil {
			return err
		}
		total := answerHead + a.headLen + a.bodyLen
		if have < total && (total <= len(r.buf) || have < answerHead+a.headLen) {
			return nil // the rest of it comes
		}
		head := r.buf[r.from+answerHead:][:a.headLen]
		body := r.buf[r.from+answerHead+a.headLen : min(r.from+total, r.to)]
		r.from += answerHead + a.headLen + len(body)
		if err := r.frame(a, head, body); err != nil {
			return err
		}
	}
	return nil
}

// frame handles one frame, of which body is what has arrived.
func (r *reader) frame(a answer, head, body []byte) error {
	ch, p := r.ch, r.ch.pool
	if a.flags&(answerReady|answerBroken) != 0 {
		return r.started(a, body)
	}
	if r.streaming != nil {
		if a.seq != r.streaming.seq || a.headLen != 0 {
			return fmt.Errorf("%w: request %d while %d is not complete", errFrame, a.seq, r.streaming.seq)
		}
		return r.stream(a, body)
	}
	p.mu.Lock()
	if len(ch.held) == 0 || ch.held[0].seq != a.seq {
		p.mu.Unlock()
		return fmt.Errorf("%w: request %d, which this worker does not hold", errFrame, a.seq)
	}
	c := ch.held[0]
	if a.flags&answerAsk != 0 {
		p.mu.Unlock()
		if r.asked == a.seq {
			return fmt.Errorf("%w: request %d asked about again", errFrame, a.seq)
		}
		r.asked = a.seq
		return r.reply(c)
	}
	if a.headLen == 0 {
		p.mu.Unlock()
		return fmt.Errorf("%w: request %d answered without a head", errFrame, a.seq)
	}
	if a.flags&answerEnd == 0 || len(body) < a.bodyLen {
		r.beginStreamLocked(c, a, head)
		p.unlock()
		if !c.abandoned {
			c.done <- struct{}{}
		}
		return r.stream(a, body)
	}
	abandoned := c.abandoned
	if !abandoned {
		c.state = callAnswered
	}
	p.answeredLocked(ch)
	p.unlock()
	var err error
	if a.flags&answerFile != 0 {
		err = r.file(c, body)
		body = nil
	}
	if abandoned {
		c.release()
		return err
	}
	c.err = err
	c.appError = a.flags&answerFail != 0
	c.buf = append(append(c.buf[:0], head...), body...)
	c.head, c.whole = c.buf[:len(head)], c.buf[len(head):]
	c.done <- struct{}{}
	return err
}

// started handles a worker's word that it can be lent, or never will be. It
// comes once.
func (r *reader) started(a answer, body []byte) error {
	ch, p := r.ch, r.ch.pool
	p.mu.Lock()
	again := ch.ready || r.announced
	r.announced = true
	if !again && a.flags&answerReady != 0 {
		p.readyLocked(ch)
	}
	p.unlock()
	switch {
	case again:
		return fmt.Errorf("%w: flags %#x of a worker that has started", errFrame, a.flags)
	case a.flags&answerBroken != 0:
		p.broken(ch, string(body))
	}
	return nil
}

// beginStreamLocked turns the answer of c into a pipe, and takes the channel
// out of dispatch: what waits behind a generator might wait for long.
func (r *reader) beginStreamLocked(c *call, a answer, head []byte) {
	ch, p := r.ch, r.ch.pool
	r.streaming, r.discard = c, c.abandoned
	ch.streaming = true
	ch.progress.Store(int64(p.now()))
	p.takeBackLocked(ch)
	p.dispatchLocked()
	if c.abandoned {
		atomic.StoreUint64(&ch.words.cancelled, c.seq)
		return
	}
	c.state = callAnswered
	c.head = append([]byte(nil), head...)
	c.length = -1
	if a.flags&answerEnd != 0 {
		c.length = int64(a.bodyLen)
	}
	options := spool.PipeOptions{Memory: pipeMemory, Disk: pipeDisk, OnDegrade: func(err error) {
		p.log.Warn("cannot spool a response; its worker waits for the client", "app", p.name, "request", c.requestID(), "error", err)
	}}
	if isEventStream(head) {
		options.Disk = 0
	}
	c.pipe = ch.host.cfg.Spool.NewPipe(options)
}

// stream handles a frame of the response that flows, of whose body this much
// has arrived.
func (r *reader) stream(a answer, body []byte) error {
	r.flags = a.flags
	r.left = a.bodyLen - len(body)
	if len(body) > 0 {
		r.flow(body)
	}
	if r.left == 0 {
		return r.endOfFrame()
	}
	return nil
}

// flow passes a piece of the body on; it blocks while the client is too far
// behind.
func (r *reader) flow(b []byte) {
	if r.discard {
		return
	}
	ch := r.ch
	ch.blocked.Store(true)
	_, err := r.streaming.pipe.Write(b)
	if err != nil {
		// The client is gone, and the worker was told: the rest is discarded,
		// and is no sign of life.
		r.discard = true
	} else {
		ch.progress.Store(int64(ch.pool.now()))
	}
	ch.blocked.Store(false)
}

// endOfFrame ends the response if the frame that has now arrived was its last.
func (r *reader) endOfFrame() error {
	if r.flags&answerEnd == 0 {
		return nil
	}
	ch, p, c := r.ch, r.ch.pool, r.streaming
	r.streaming = nil
	if c.pipe != nil {
		var err error
		if r.flags&answerFail != 0 {
			err = errBroken
		}
		c.pipe.CloseWrite(err)
	}
	p.mu.Lock()
	p.answeredLocked(ch)
	p.unlock()
	c.releaseStream()
	return nil
}

// file takes the descriptor that came with an answer.
func (r *reader) file(c *call, body []byte) error {
	if len(r.fds) == 0 {
		return fmt.Errorf("%w: a file's answer without a descriptor", errFrame)
	}
	fd := r.fds[0]
	r.fds = r.fds[:copy(r.fds, r.fds[1:])]
	offset, size, err := place(body)
	if err != nil {
		closeFD(fd)
		return err
	}
	c.file, err = newFileBody(fd, offset, size)
	return err
}

// stopStream is a handler's word that nobody reads the response any more.
func (p *Pool) stopStream(c *call) {
	c.pipe.CloseRead()
	if c.program != nil {
		c.program.cancel()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if ch := c.channel; ch.state != channelDead && len(ch.held) > 0 && ch.held[0] == c {
		atomic.StoreUint64(&ch.words.cancelled, c.seq)
	}
}
