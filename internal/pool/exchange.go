package pool

// The wire between two pools, one of which gives its workers to the other:
// one JSON object a line over a Unix stream socket, with descriptors.
//
//	giver  {"do": "offer", "version": V, "fingerprint": F}
//	       {"do": "none", "reason": T}          nothing is given
//	taker  {"do": "accept"} or {"do": "refuse", "reason": T}
//	giver  {"do": "host", "host": {...}}        with control, page and output
//	taker  {"do": "taken"}
//	giver  {"do": "process", "process": {...}}  with lifeline, and control, output and tracebacks where there are such
//	       {"do": "channel", "channel": {...}}  for each of its channels, with packets, reading end, answers
//	taker  {"do": "taken"}                      after the last channel
//	taker  {"do": "refuse", "reason": T}        at any time: it takes no more, and keeps what it has
//	giver  {"do": "end"}                        no further process comes
//
// The taker uses what it was given only after its "taken" has left, and the
// giver until it has read that: what breaks in between leaves one owner.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// exchangeVersion changes with the messages, and with the meaning of what they
// describe. A taker refuses every other.
const exchangeVersion = 1

const (
	maxMessage  = 1 << 20 // bytes of one message
	maxRights   = 8       // descriptors of one message
	maxSlots    = 1 << 20
	maxChannels = 1 << 16 // of one process
)

// exchangePatience bounds each step of the exchange that waits for the other
// process alone.
const exchangePatience = 10 * time.Second

// exchangeMessage is one line. What a kind does not need is absent.
type exchangeMessage struct {
	Do          string `json:"do"`
	Rights      int    `json:"rights,omitempty"` // descriptors that come along
	Version     int    `json:"version,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
	Reason      string `json:"reason,omitempty"`

	Host    *hostState    `json:"host,omitempty"`
	Process *processState `json:"process,omitempty"`
	Channel *channelWords `json:"channel,omitempty"`
}

// hostState is what a host's taker needs to know.
type hostState struct {
	PID         int    `json:"pid"`
	Generation  int    `json:"generation"`
	Preload     bool   `json:"preload"`
	Slots       int    `json:"slots"`
	LastProcess int    `json:"last_process"`
	ChannelIDs  uint64 `json:"channel_ids"` // the last that was used
	About       about  `json:"about"`
	Unread      []byte `json:"unread,omitempty"`  // the beginning of a line of the control socket
	Printed     []byte `json:"printed,omitempty"` // of one that the host prints

	Away []awayState `json:"away"` // its processes, all with the giver still
}

// awayState is a process that the giver still has.
type awayState struct {
	Number   int   `json:"number"`
	PID      int   `json:"pid"`      // 0: the host has not told
	Slots    []int `json:"slots"`    // that it may write to
	Channels int   `json:"channels"` // that serve, or will
}

// processState is a process whose channels follow.
type processState struct {
	Number   int    `json:"number"`
	PID      int    `json:"pid"`
	Served   uint64 `json:"served"`
	Limit    uint64 `json:"limit"`
	Full     bool   `json:"full"`
	Orphaned []int  `json:"orphaned,omitempty"`
	Channels int    `json:"channels"`
	Output   bool   `json:"output"`  // its pipe comes along
	Control  bool   `json:"control"` // so does its control socket
	Traces   bool   `json:"traces"`  // and the pipe of its tracebacks
	Printed  []byte `json:"printed,omitempty"`

	Left time.Duration `json:"left,omitempty"` // of its max_lifetime; 0: that is none
}

// channelWords is a channel at rest.
type channelWords struct {
	ID     uint64 `json:"id"`
	Slot   int    `json:"slot"`
	Seq    uint64 `json:"seq"`
	Ping   uint64 `json:"ping"`
	Served uint64 `json:"served"`

	Age  time.Duration `json:"age"`
	Idle time.Duration `json:"idle"` // since its last request, or since it was ready
}

var errExchange = errors.New("a malformed message of the handover")

// parseMessage decodes and checks one line.
func parseMessage(line []byte) (exchangeMessage, error) {
	var m exchangeMessage
	if err := json.Unmarshal(line, &m); err != nil {
		return m, fmt.Errorf("%w: %v", errExchange, err)
	}
	if m.Rights < 0 || m.Rights > maxRights {
		return m, fmt.Errorf("%w: %d descriptors", errExchange, m.Rights)
	}
	want := 0
	var err error
	switch m.Do {
	case "offer", "none", "accept", "refuse", "taken", "end":
	case "host":
		want, err = 3, m.Host.check()
	case "process":
		want, err = m.Process.check()
	case "channel":
		want, err = 3, m.Channel.check()
	default:
		err = fmt.Errorf("an unknown kind %.40q", m.Do)
	}
	if err == nil && m.Rights != want {
		err = fmt.Errorf("%q with %d descriptors, not %d", m.Do, m.Rights, want)
	}
	if err != nil {
		return m, fmt.Errorf("%w: %w", errExchange, err)
	}
	return m, nil
}

func (h *hostState) check() error {
	switch {
	case h == nil:
		return errors.New("no host")
	case h.PID <= 0 || h.Generation <= 0 || h.LastProcess < 0:
		return fmt.Errorf("host %d of generation %d", h.PID, h.Generation)
	case h.Slots <= 0 || h.Slots > maxSlots:
		return fmt.Errorf("%d slots", h.Slots)
	}
	taken := map[int]bool{}
	numbers := map[int]bool{}
	for _, a := range h.Away {
		if numbers[a.Number] || a.Number <= 0 || a.Number > h.LastProcess || a.PID < 0 || a.Channels < 0 || a.Channels > maxChannels {
			return fmt.Errorf("process %d of %d", a.Number, h.LastProcess)
		}
		numbers[a.Number] = true
		for _, slot := range a.Slots {
			if slot < 0 || slot >= h.Slots || taken[slot] {
				return fmt.Errorf("slot %d of process %d", slot, a.Number)
			}
			taken[slot] = true
		}
	}
	return nil
}

// check returns how many descriptors come along.
func (s *processState) check() (rights int, err error) {
	switch {
	case s == nil:
		return 0, errors.New("no process")
	case s.Number <= 0 || s.PID < 0 || s.Channels <= 0 || s.Channels > maxChannels:
		return 0, fmt.Errorf("process %d with %d channels", s.Number, s.Channels)
	}
	rights = 1
	for _, more := range []bool{s.Output, s.Control, s.Traces} {
		if more {
			rights++
		}
	}
	return rights, nil
}

func (c *channelWords) check() error {
	switch {
	case c == nil:
		return errors.New("no channel")
	case c.Slot < 0 || c.Slot >= maxSlots || c.Ping > c.Seq || c.Idle < 0 || c.Age < c.Idle:
		return fmt.Errorf("channel %d at slot %d, ping %d after %d", c.ID, c.Slot, c.Ping, c.Seq)
	}
	return nil
}

// exchange is one end of the wire, for one sender and one receiver.
type exchange struct {
	conn   *net.UnixConn
	unread []byte
	fds    []int // arrived, not yet claimed
	buf    [16 << 10]byte
	oob    []byte
}

// newExchange takes f over.
func newExchange(f *os.File) (*exchange, error) {
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("cannot hand workers over: %w", err)
	}
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("cannot hand workers over: %s is no Unix socket", f.Name())
	}
	return &exchange{conn: uc, oob: make([]byte, unix.CmsgSpace(4*maxRights))}, nil
}

// close ends the wire, and lets go of descriptors that nobody has claimed.
func (x *exchange) close() {
	x.conn.Close()
	for _, fd := range x.fds {
		closeFD(fd)
	}
	x.fds = nil
}

// send writes one message. The descriptors stay the caller's.
func (x *exchange) send(m exchangeMessage, fds ...int) error {
	m.Rights = len(fds)
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if b = append(b, '\n'); len(b) > maxMessage {
		return fmt.Errorf("cannot hand workers over: a message of %d bytes", len(b))
	}
	_ = x.conn.SetWriteDeadline(time.Now().Add(exchangePatience))
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	n, _, err := x.conn.WriteMsgUnix(b, oob, nil)
	if err == nil && n < len(b) {
		_, err = x.conn.Write(b[n:])
	}
	return err
}

// receive returns the next message, and its descriptors, which are the
// caller's. It waits no longer than patience, with 0 for as long as it takes.
func (x *exchange) receive(ctx context.Context, patience time.Duration) (exchangeMessage, []int, error) {
	deadline := time.Time{}
	if patience > 0 {
		deadline = time.Now().Add(patience)
	}
	_ = x.conn.SetReadDeadline(deadline)
	defer context.AfterFunc(ctx, func() { _ = x.conn.SetReadDeadline(time.Unix(1, 0)) })()
	for {
		if line, rest, ok := bytes.Cut(x.unread, []byte{'\n'}); ok {
			m, err := parseMessage(line)
			x.unread = slices.Clone(rest)
			if err == nil && m.Rights > len(x.fds) {
				err = fmt.Errorf("%w: %q came without its descriptors", errExchange, m.Do)
			}
			if err != nil {
				return m, nil, err
			}
			fds := slices.Clone(x.fds[:m.Rights])
			x.fds = slices.Delete(x.fds, 0, m.Rights)
			return m, fds, nil
		}
		if len(x.unread) >= maxMessage || len(x.fds) > 2*maxRights {
			return exchangeMessage{}, nil, fmt.Errorf("%w: it has no end", errExchange)
		}
		n, oobn, flags, _, err := x.conn.ReadMsgUnix(x.buf[:], x.oob)
		if oobn > 0 {
			fds, rightsErr := rights(x.oob[:oobn])
			x.fds = append(x.fds, fds...)
			if flags&unix.MSG_CTRUNC != 0 {
				rightsErr = errors.Join(rightsErr, fmt.Errorf("%w: descriptors were lost", errExchange))
			}
			err = errors.Join(err, rightsErr)
		}
		if err == nil && n == 0 {
			err = io.EOF
		}
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return exchangeMessage{}, nil, err
		}
		x.unread = append(x.unread, x.buf[:n]...)
	}
}

// expect receives a message of one kind; a refusal is an error with its reason.
func (x *exchange) expect(ctx context.Context, kind string) (exchangeMessage, []int, error) {
	m, fds, err := x.receive(ctx, exchangePatience)
	if err == nil && m.Do != kind {
		for _, fd := range fds {
			closeFD(fd)
		}
		if m.Reason != "" {
			return m, nil, errors.New(m.Reason)
		}
		return m, nil, fmt.Errorf("%w: %q, not %q", errExchange, m.Do, kind)
	}
	return m, fds, err
}

// taken waits for the word that what was sent is the other side's. On an error
// it is not, and never will be: nothing can be sent to us any more, and what
// had been is read.
func (x *exchange) taken() error {
	_, _, err := x.expect(context.Background(), "taken")
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = x.conn.CloseRead()
		if _, _, again := x.expect(context.Background(), "taken"); again == nil {
			return nil
		}
	}
	return err
}

// takerGone reports whether an error of the wire is the end of the process at
// its other end, and the error that says most. A taker that lives says that it
// takes no more before it closes.
func (x *exchange) takerGone(err error) (bool, error) {
	if !errors.Is(err, io.EOF) && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		return false, err
	}
	m, fds, none := x.receive(context.Background(), exchangePatience)
	for _, fd := range fds {
		closeFD(fd)
	}
	if none != nil || m.Do != "refuse" {
		return true, err
	}
	return false, errors.New(m.Reason)
}

// alive looks, without waiting, for the end of the wire, or a word on it that
// nobody waits for: either is an error.
func (x *exchange) alive(ctx context.Context) error {
	conn, err := x.conn.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var peekErr error
	err = conn.Control(func(fd uintptr) {
		n, _, peekErr = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	switch {
	case err != nil:
		return err
	case peekErr != nil && !wouldBlock(peekErr) && !interrupted(peekErr):
		return os.NewSyscallError("recvmsg", peekErr)
	case peekErr == nil && n == 0:
		return io.EOF
	case peekErr == nil:
		_, _, err := x.expect(ctx, "nothing")
		return err
	}
	return nil
}
