package pool

import (
	"context"
	"errors"
	"sync"
	"time"

	"millrace/gateway"
	"millrace/internal/spool"
)

// callState says who holds a call.
type callState uint8

const (
	callNew      callState = iota // its handler
	callQueued                    // the pool's queue
	callLent                      // a channel
	callAnswered                  // its handler again: done is signalled, or about to be
)

// Why a call ends without an answer.
var (
	errWorkerLost   = errors.New("the worker died while it ran the request")
	errTimeout      = errors.New("the request ran longer than request_timeout")
	errStopped      = errors.New("the app stopped before the request was started")
	errFailing      = errors.New("the app cannot be imported")
	errClientLeft   = errors.New("the client left")
	errBroken       = errors.New("the app broke off its response")
	errOtherKind    = errors.New("the app was reloaded from Python to a program, or back")
	errQueueTimeout = errors.New("the request waited longer than queue_timeout")
)

// call is one request on its way through the pool.
//
// The first group belongs to the handler. The second is guarded by Pool.mu.
// The third is written by a channel's reader before it signals done, and is
// the handler's from then on.
type call struct {
	params []gateway.Param
	frame  []byte // the packet, with room for its number in front
	rest   []byte // the environ, when it does not fit a packet
	body   *spool.Buffer
	data   *spool.Buffer // of a filter; all of it in a file
	id     string        // of the request, as its headers have it; "" for one that has none
	method string
	uri    string
	peer   string          // who asked
	shows  bool            // its client may see a traceback
	client context.Context // the request's: done when the client has left
	came   time.Duration   // Pool.now when all of it was here

	program *programCall // for an app that is a program; nil: for Python

	state      callState
	abandoned  bool // the client left, and so does the handler; the channel releases the call
	counted    bool // by ranLocked
	prev, next *call
	channel    *channel
	seq        uint64
	retried    bool // its worker died once

	done     chan struct{}
	err      error  // why there is no answer
	buf      []byte // holds head and body
	head     []byte
	whole    []byte      // the body, when it came in one piece
	pipe     *spool.Pipe // the body, when it did not
	length   int64       // of the pipe's body; negative: not known yet
	file     *fileBody   // the body, when it is a file
	appError bool        // the app raised: the answer is the worker's error page
}

var calls = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}

// newCall returns an empty call.
func newCall() *call { return calls.Get().(*call) }

// keepBuffer bounds what a pooled call may hold on to.
const keepBuffer = 64 * 1024

// release gives everything of a call back. Nobody else may use it any more,
// but for the handler of an abandoned call, which may be about to see that it
// is: such a call is not used again.
func (c *call) release() {
	c.closeInput()
	if c.file != nil {
		c.file.close()
	}
	if c.pipe != nil {
		c.pipe.CloseRead()
	}
	if c.abandoned || c.program != nil {
		return
	}
	clear(c.params)
	fresh := call{done: c.done, params: c.params[:0]}
	if cap(c.frame) <= keepBuffer {
		fresh.frame = c.frame[:0]
	}
	if cap(c.buf) <= keepBuffer {
		fresh.buf = c.buf[:0]
	}
	*c = fresh
	calls.Put(c)
}

// releaseStream gives back what a call whose response streamed has of the
// request, once its channel is done with it. The handler may still be reading
// the pipe, so the call is not used again.
func (c *call) releaseStream() { c.closeInput() }

func (c *call) closeInput() {
	if c.program != nil {
		c.program.close()
	}
	if c.body != nil {
		c.body.Close()
	}
	if c.data != nil {
		c.data.Close()
	}
}

// fail gives a call that no channel holds any more back to its handler.
func (c *call) fail(err error) {
	c.state, c.err = callAnswered, err
	c.done <- struct{}{}
}

// bodyBytes returns the body of a request that is in memory.
func (c *call) bodyBytes() []byte {
	if c.body == nil {
		return nil
	}
	return c.body.Bytes()
}

// callQueue is a list of calls, first in first out, that a call can leave
// from the middle.
type callQueue struct {
	first, last *call
	len         int
	longest     int // len ever
}

func (q *callQueue) pushBack(c *call) {
	c.state, c.prev, c.next = callQueued, q.last, nil
	if q.last == nil {
		q.first = c
	} else {
		q.last.next = c
	}
	q.last = c
	q.len++
	q.longest = max(q.longest, q.len)
}

func (q *callQueue) pushFront(c *call) {
	c.state, c.prev, c.next = callQueued, nil, q.first
	if q.first == nil {
		q.last = c
	} else {
		q.first.prev = c
	}
	q.first = c
	q.len++
	q.longest = max(q.longest, q.len)
}

func (q *callQueue) remove(c *call) {
	if c.prev == nil {
		q.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		q.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
	q.len--
}

func (q *callQueue) popFront() *call {
	c := q.first
	if c != nil {
		q.remove(c)
	}
	return c
}
