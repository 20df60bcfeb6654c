package pool

import (
	"encoding/binary"
	"errors"
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
	channelStarting channelState = iota // asked for; has not said that it is ready
	channelServing
	channelDraining // takes no more requests; ends when those it has are done
	channelDead     // its answers ended
)

func (s channelState) String() string {
	return [...]string{"starting", "serving", "draining", "dead"}[s]
}

// slotSize is the part of the shared page that one channel has.
const slotSize = 64

// slotWords are the words of a slot. The worker writes the first two, and thread.
type slotWords struct {
	started   uint64 // the request that runs, or ran last
	finished  uint64 // the request whose close() has returned
	cancelled uint64 // the request whose client is gone
	ended     uint64 // the request that a SIGTERM is to end
	thread    uint64 // which answers the requests; the worker writes it
	_         [3]uint64
}

// channel is one serial executor of requests: a worker process, or one of the
// threads of a worker process.
//
// Requests go out as packets; the answers come back on a stream that one
// goroutine, read, owns. The other fields are guarded by Pool.mu unless they
// say otherwise.
type channel struct {
	pool    *Pool
	host    *host
	process *process
	id      uint64 // never used twice
	slot    int

	packets int      // our end of the packet pair
	readEnd int      // a duplicate of the worker's end, to take back from
	answers *os.File // our end of the stream; read's
	raw     syscall.RawConn
	words   *slotWords
	link    *link // to a program; nil: its worker is Python

	state     channelState
	since     time.Duration // that it was asked for
	ready     bool          // it has said so once
	drainBy   time.Duration
	held      []*call // lent, not answered, in the order of their packets; the first runs
	unsent    []*call // the last of held: not written yet
	spare     []*call // the slice that unsent swaps with
	writing   bool    // somebody is in flushLocked
	sender    packetSender
	seq       uint64
	ping      uint64        // the packet that a stalled worker has to read first
	ran       string        // the id of the last answered
	headSince time.Duration // since when held[0] is first
	listed    bool          // in Pool.idle
	streaming bool          // held[0] has answered in part
	full      bool          // the socket took no more
	lingering bool          // nothing held, but close() of the last one has not returned
	slow      uint64        // the request that was last found slow
	overdue   bool          // it did not end within stop_timeout
	givenUp   bool          // its worker does not come back: giveUpLocked
	ended     bool          // the answers did: nothing more is lent
	served    uint64
	clean     bool // ended, and its worker writes to its slot no more
	buried    bool

	handing bool         // is about to be another pool's: nothing is lent to it
	parting chan *reader // where run leaves its reader, nil at the stream's end; nil: it reads on

	progress atomic.Int64 // Pool.now of the last sign of a streaming response
	blocked  atomic.Bool  // read waits for a slow client
}

// idleLocked reports whether a request would run at once.
func (ch *channel) idleLocked() bool {
	return len(ch.held) == 0 && ch.lendableLocked()
}

// lendableLocked reports whether the channel takes requests at all.
func (ch *channel) lendableLocked() bool {
	return ch.state == channelServing && !ch.streaming && !ch.lingering && !ch.givenUp && !ch.ended && !ch.handing
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
	ch.process.shutLocked()
	p.dispatchLocked()
}

// drainedLocked closes the way in of a draining channel that holds nothing:
// its worker reads the end and leaves.
func (p *Pool) drainedLocked(ch *channel) {
	if ch.link != nil {
		if len(ch.held) == 0 {
			p.endProgramChannelLocked(ch)
		}
		return
	}
	if len(ch.held) == 0 && ch.packets >= 0 && !ch.writing {
		closeFD(ch.packets)
		ch.packets = -1
	}
}

// newChannel opens a channel and asks for a worker on it: a thread of a
// process that has room, else a process.
func (h *host) newChannel() (*channel, error) {
	if h.cfg.Program != nil {
		return h.newProgramChannel()
	}
	p := h.pool
	ch := &channel{pool: p, host: h, id: p.channelIDs.Add(1), packets: -1, readEnd: -1}
	theirs, err := ch.openSockets()
	defer func() {
		for _, fd := range theirs {
			closeFD(fd)
		}
	}()
	if err == nil {
		p.mu.Lock()
		proc := h.roomLocked()
		if proc != nil {
			err = proc.openLocked(ch, theirs)
		}
		p.mu.Unlock()
		if proc == nil {
			err = h.fork(ch, theirs)
		}
	}
	if err != nil {
		ch.closeFDs()
		return nil, fmt.Errorf("cannot open a channel for a worker of app %s: %w", h.cfg.Name, err)
	}
	return ch, nil
}

// openSockets makes the two pairs of a channel and returns the worker's ends:
// requests, answers.
func (ch *channel) openSockets() (theirs []int, err error) {
	ours, their, err := packetPair()
	if err != nil {
		return nil, err
	}
	ch.packets, theirs = ours, append(theirs, their)
	if ch.readEnd, err = duplicate(their); err != nil {
		ch.readEnd = -1
		return theirs, err
	}
	if ours, their, err = streamPair(); err != nil {
		return theirs, err
	}
	theirs = append(theirs, their)
	ch.answers = os.NewFile(uintptr(ours), "answers")
	ch.raw, err = ch.answers.SyscallConn()
	return theirs, err
}

// enterLocked puts a channel, with a slot of its own, among those of a process
// and of the pool.
func (h *host) enterLocked(ch *channel, proc *process) error {
	if len(h.free) == 0 {
		return errors.New("no free slot for another worker")
	}
	ch.slot = h.free[len(h.free)-1]
	h.free = h.free[:len(h.free)-1]
	ch.process = proc
	ch.words = (*slotWords)(unsafe.Pointer(&h.page.bytes[ch.slot*slotSize]))
	*ch.words = slotWords{}
	ch.since = h.pool.now()
	proc.channels = append(proc.channels, ch)
	h.pool.channels = append(h.pool.channels, ch)
	return nil
}

// closeFDs closes what the channel has open, but for what its goroutines own.
func (ch *channel) closeFDs() {
	for _, fd := range []*int{&ch.packets, &ch.readEnd} {
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
	if len(ch.held) > 0 && ch.process.died != "" && ch.held[0].seq > atomic.LoadUint64(&ch.words.started) {
		p.requeueLocked(ch.held[:1]) // read, but never started
		ch.held = ch.held[:0]
		p.runningLocked(p.now(), -1)
	}
	if len(ch.held) > 0 {
		p.ranLocked(ch, p.now())
	}
	for _, c := range ch.held { // one at most: a worker reads one packet at a time
		switch {
		case c.abandoned:
			c.release()
		case c.state == callLent && p.retryLocked(ch, c): // else it streams, and read has broken it off
		case c.state == callLent:
			p.stats.lost++
			p.log.Error("worker died while it ran a request", "app", p.name, "pid", ch.process.pid.Load(),
				"request", c.requestID(), "method", c.method, "uri", c.uri, "how", ch.process.howItDied())
			c.fail(errWorkerLost)
		}
	}
	if len(ch.held) > 0 {
		ch.held = nil
		p.runningLocked(p.now(), -1)
	}
	ch.closeFDs()
	p.recycledLocked(ch)
	p.leaveProcessLocked(ch, ch.clean)
	p.dispatchLocked()
	p.kickKeeper()
}

// place decodes the body of a file's answer.
func place(b []byte) (offset, size int64, err error) {
	offset, size = int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))
	if offset < 0 || size < 0 || offset+size < 0 {
		return 0, 0, fmt.Errorf("%w: a file's place at %d, %d bytes", errFrame, offset, size)
	}
	return offset, size, nil
}

// readyLocked makes a new channel one that can be lent.
func (p *Pool) readyLocked(ch *channel) {
	if ch.state != channelStarting {
		return
	}
	ch.state, ch.ready, ch.headSince = channelServing, true, p.now()
	ch.host.wasReady = true
	ch.host.startFailures = 0
	p.idleListLocked(ch)
	p.dispatchLocked()
	p.kickKeeper()
}
