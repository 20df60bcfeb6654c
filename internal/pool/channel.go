package pool

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

type channelState uint8

const (
	channelStarting channelState = iota // forked; has not said that it is ready
	channelServing
	channelDraining // takes no more requests; ends when those it has are done
	channelDead     // its answers ended
)

func (s channelState) String() string {
	return [...]string{"starting", "serving", "draining", "dead"}[s]
}

// slotSize is the part of the shared page that one channel has.
const slotSize = 64

// slotWords are the words of a slot. The worker writes the first two.
type slotWords struct {
	started   uint64 // the request that runs, or ran last
	finished  uint64 // the request whose close() has returned
	cancelled uint64 // the request whose client is gone
	_         [5]uint64
}

// channel is one serial executor of requests: here, a worker process.
//
// Requests go out as packets; the answers come back on a stream that one
// goroutine, read, owns. The other fields are guarded by Pool.mu unless they
// say otherwise.
type channel struct {
	pool *Pool
	host *host
	id   uint64 // never used twice
	slot int

	packets  int      // our end of the packet pair
	readEnd  int      // a duplicate of the worker's end, to take back from
	answers  *os.File // our end of the stream; read's
	raw      syscall.RawConn
	lifeline int // closing it kills the worker; -1 once closed
	words    *slotWords

	state     channelState
	pid       atomic.Int64  // 0 until the host has told; not guarded
	since     time.Duration // of the fork
	died      string        // the host's report
	reported  chan struct{} // closed with it
	killed    string        // why we killed it
	drainBy   time.Duration
	held      []*call // lent, not answered, in the order of their packets; the first runs
	unsent    []*call // the last of held: not written yet
	spare     []*call // the slice that unsent swaps with
	writing   bool    // somebody is in flushLocked
	sender    packetSender
	seq       uint64
	ping      uint64        // the packet that a stalled worker has to read first
	headSince time.Duration // since when held[0] is first
	listed    bool          // in Pool.idle
	streaming bool          // held[0] has answered in part
	full      bool          // the socket took no more
	lingering bool          // nothing held, but close() of the last one has not returned
	retiring  bool          // a replacement is on its way
	timedOut  bool
	ended     bool // the answers did: nothing more is lent
	served    uint64
	limit     uint64 // served at which it is recycled; 0: never
	buried    bool

	progress atomic.Int64 // Pool.now of the last sign of a streaming response
	blocked  atomic.Bool  // read waits for a slow client
}

// idleLocked reports whether a request would run at once.
func (ch *channel) idleLocked() bool {
	return len(ch.held) == 0 && ch.lendableLocked()
}

// lendableLocked reports whether the channel takes requests at all.
func (ch *channel) lendableLocked() bool {
	return ch.state == channelServing && !ch.streaming && !ch.lingering && !ch.timedOut && !ch.ended
}

// closing reports whether the worker is still busy with what is answered: its
// close() runs, or a ping is unread.
func (ch *channel) closing() bool {
	return atomic.LoadUint64(&ch.words.finished) < max(atomic.LoadUint64(&ch.words.started), ch.ping)
}

// requestID names a request in logs.
func (ch *channel) requestID(seq uint64) string {
	return strconv.FormatUint(ch.id, 10) + "-" + strconv.FormatUint(seq, 10)
}

// kill ends the worker's process, whatever it is doing. The lifeline is the
// kernel's own means; the host's is for a worker that has closed it.
func (ch *channel) kill(why string) {
	if ch.killed == "" {
		ch.killed = why
	}
	if ch.lifeline >= 0 {
		closeFD(ch.lifeline)
		ch.lifeline = -1
	}
	ch.host.kill(ch.slot)
}

// drainLocked takes the channel out of dispatch; it ends when it holds
// nothing any more.
func (p *Pool) drainLocked(ch *channel) {
	if ch.state == channelDead || ch.state == channelDraining {
		return
	}
	ch.state = channelDraining
	ch.drainBy = p.now() + ch.host.cfg.StopTimeout
	p.takeBackLocked(ch)
	p.drainedLocked(ch)
	p.dispatchLocked()
}

// drainedLocked closes the way in of a draining channel that holds nothing:
// its worker reads the end and leaves.
func (p *Pool) drainedLocked(ch *channel) {
	if len(ch.held) == 0 && ch.packets >= 0 && !ch.writing {
		closeFD(ch.packets)
		ch.packets = -1
	}
}

// newChannel opens a channel in a free slot of the host and asks for a worker
// on it.
func (h *host) newChannel() (*channel, error) {
	slot, ok := h.takeSlot()
	if !ok {
		return nil, fmt.Errorf("no free slot for another worker of app %s", h.cfg.Name)
	}
	ch := &channel{pool: h.pool, host: h, id: h.pool.channelIDs.Add(1), slot: slot, packets: -1, readEnd: -1, lifeline: -1, reported: make(chan struct{})}
	ch.words = (*slotWords)(unsafe.Pointer(&h.page.bytes[slot*slotSize]))
	*ch.words = slotWords{}
	if limit := h.cfg.MaxRequests; limit > 0 {
		ch.limit = uint64(jitter(limit))
	}
	var theirs []int
	defer func() {
		for _, fd := range theirs {
			closeFD(fd)
		}
	}()
	fail := func(err error) (*channel, error) {
		h.freeSlot(slot)
		ch.closeFDs()
		return nil, fmt.Errorf("cannot open a channel for a worker of app %s: %w", h.cfg.Name, err)
	}
	ours, their, err := packetPair()
	if err != nil {
		return fail(err)
	}
	ch.packets, theirs = ours, append(theirs, their)
	if ch.readEnd, err = duplicate(their); err != nil {
		ch.readEnd = -1
		return fail(err)
	}
	if ours, their, err = streamPair(); err != nil {
		return fail(err)
	}
	theirs = append(theirs, their)
	ch.answers = os.NewFile(uintptr(ours), "answers")
	if ch.raw, err = ch.answers.SyscallConn(); err != nil {
		return fail(err)
	}
	outRead, outWrite, err := outputPipe()
	if err != nil {
		return fail(err)
	}
	defer outWrite.Close()
	lifeRead, lifeWrite, err := os.Pipe()
	if err != nil {
		outRead.Close()
		return fail(err)
	}
	defer lifeRead.Close()
	ch.lifeline, err = duplicate(int(lifeWrite.Fd()))
	lifeWrite.Close()
	if err != nil {
		ch.lifeline = -1
		outRead.Close()
		return fail(err)
	}
	h.adopt(ch)
	// Requests, answers, output, lifeline: the order that host.py takes them in.
	err = h.send(map[string]any{"do": "fork", "slot": slot}, theirs[0], theirs[1], int(outWrite.Fd()), int(lifeRead.Fd()))
	if err != nil {
		outRead.Close()
		h.disown(ch)
		return fail(err)
	}
	h.pool.output.follow(outRead, ch)
	return ch, nil
}

// closeFDs closes what the channel has open, but for what its goroutines own.
func (ch *channel) closeFDs() {
	for _, fd := range []*int{&ch.packets, &ch.readEnd, &ch.lifeline} {
		if *fd >= 0 {
			closeFD(*fd)
			*fd = -1
		}
	}
	if ch.answers != nil {
		ch.answers.Close()
	}
}

// buryLocked ends a dead channel: what ran is lost, what did not is queued
// again. The last of read and flushLocked calls it.
func (p *Pool) buryLocked(ch *channel) {
	if ch.buried || ch.writing {
		return
	}
	ch.buried = true
	p.takeBackLocked(ch)
	if n := len(ch.unsent); n > 0 {
		p.unsentLocked(ch, ch.unsent[:n:n])
	}
	if len(ch.held) > 0 && ch.died != "" && ch.held[0].seq > atomic.LoadUint64(&ch.words.started) {
		p.requeueLocked(ch.held[:1]) // read, but never started
		ch.held = ch.held[:0]
		p.runningLocked(p.now(), -1)
	}
	for _, c := range ch.held { // one at most: a worker reads one packet at a time
		switch {
		case c.abandoned:
			c.release()
		case c.state == callLent: // else it streams, and read has broken it off
			p.stats.lost++
			p.log.Error("worker died while it ran a request", "app", p.name, "pid", ch.pid.Load(),
				"request", ch.requestID(c.seq), "method", c.method, "uri", c.uri, "how", ch.howItDied())
			c.fail(errWorkerLost)
		}
	}
	if len(ch.held) > 0 {
		ch.held = nil
		p.runningLocked(p.now(), -1)
	}
	ch.closeFDs()
	p.unlistLocked(ch)
	ch.host.letGo(ch.slot)
	p.dispatchLocked()
	p.kickKeeper()
}

func (ch *channel) howItDied() string {
	switch {
	case ch.killed != "":
		return "killed: " + ch.killed
	case ch.died != "":
		return ch.died
	}
	return "it closed its channel"
}

// place decodes the body of a file's answer.
func place(b []byte) (offset, size int64, err error) {
	offset, size = int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))
	if offset < 0 || size < 0 || offset+size < 0 {
		return 0, 0, fmt.Errorf("%w: a file's place at %d, %d bytes", errFrame, offset, size)
	}
	return offset, size, nil
}
