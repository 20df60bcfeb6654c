package pool

// The layouts of a channel; worker/millrace_worker/channel.py is the other
// side and has the same. All numbers are little-endian.
//
//	request packet  seq u64 | bytes of environ u32 | flags u32 | environ | body
//	answer frame    seq u64 | flags u32 | bytes of head u32 | bytes of body u32 | head | body
//	reply to ASK    bytes of environ u32 | bytes of body u32 | which descriptors u32 | environ | body
//
// A head is the status, then for each header a line feed, the name, a NUL and
// the value.

import (
	"encoding/binary"
	"errors"
	"fmt"

	"millrace/gateway"
)

const (
	maxPacket  = 65536     // bytes of a request packet
	maxHead    = 48 * 1024 // bytes of an answer's head
	packetHead = 16        // bytes before a request packet's environ
	answerHead = 20        // bytes before an answer frame's head
	askHead    = 12        // bytes before the environ of a reply to ASK
)

// Flags of a request packet.
const (
	environByStream = 1 << iota // the environ comes in the reply to ASK
	bodyByStream                // so does the body
	bodyByFile                  // the body is a descriptor that comes with the reply
	ping                        // no request: the worker says that it has read it, no more
	dataByFile                  // a filter's data comes with the reply, as a descriptor unless it is empty
	showTraceback               // if the app raises, the answer's body is the traceback
)

// The descriptors that a reply to ASK brings, in this order.
const (
	replyBody = 1 << iota
	replyData
)

// Flags of an answer frame.
const (
	answerHasHead = 1 << iota
	answerEnd     // the response is complete
	answerFile    // the body is offset u64 | bytes u64 of a descriptor that comes along
	answerFail    // with answerEnd: the response broke off
	answerAsk     // send what the packet did not hold
	answerReady   // the worker can be lent
	answerBroken  // the worker cannot start: the body says why

	answerFlags = 1<<iota - 1
)

// answer is the prefix of an answer frame.
type answer struct {
	seq              uint64
	flags            uint32
	headLen, bodyLen int
}

var errFrame = errors.New("a malformed answer")

// parseAnswer reads a frame's prefix from b, which holds at least answerHead
// bytes. The lengths are checked against what their kind allows, and nothing
// is allocated by them.
func parseAnswer(b []byte) (answer, error) {
	a := answer{
		seq:     binary.LittleEndian.Uint64(b),
		flags:   binary.LittleEndian.Uint32(b[8:]),
		headLen: int(binary.LittleEndian.Uint32(b[12:])),
		bodyLen: int(binary.LittleEndian.Uint32(b[16:])),
	}
	switch {
	case a.flags&^answerFlags != 0:
		return a, fmt.Errorf("%w: unknown flags %#x", errFrame, a.flags)
	case a.headLen > maxHead:
		return a, fmt.Errorf("%w: a head of %d bytes; at most %d are taken", errFrame, a.headLen, maxHead)
	case (a.flags&answerHasHead != 0) != (a.headLen > 0):
		return a, fmt.Errorf("%w: flags %#x with a head of %d bytes", errFrame, a.flags, a.headLen)
	case a.flags&answerFile != 0 && (a.bodyLen != 16 || a.flags&answerEnd == 0 || a.headLen == 0):
		return a, fmt.Errorf("%w: a file's place of %d bytes", errFrame, a.bodyLen)
	case a.flags&(answerAsk|answerReady|answerBroken) != 0 && (a.headLen != 0 || a.bodyLen > maxHead):
		return a, fmt.Errorf("%w: flags %#x with %d bytes", errFrame, a.flags, a.bodyLen)
	}
	return a, nil
}

// appendEnviron appends the parameters as a marshalled dict.
func appendEnviron(b []byte, params []gateway.Param) []byte {
	b = append(b, marshalDict)
	for _, p := range params {
		b = appendMarshalString(b, p.Name)
		b = appendMarshalString(b, p.Value)
	}
	return append(b, marshalNull)
}

// finishPacket fills in a packet's prefix, whose bytes b already has room
// for, but for the number: that is known when a worker is. When the parts do
// not fit a packet they stay in rest, for the reply to ASK. file says that the
// body is in a file, data that there is a filter's data.
func finishPacket(b []byte, body []byte, file, data bool) (packet, rest []byte) {
	environ := len(b) - packetHead
	flags := uint32(0)
	switch {
	case file:
		flags = bodyByFile
	case len(b)+len(body) <= maxPacket && !data: // a worker that has to ask asks for all
		b = append(b, body...)
	default:
		flags = bodyByStream
	}
	if data {
		flags |= dataByFile
	}
	if len(b) > maxPacket {
		flags |= environByStream
		rest = append(rest, b[packetHead:]...)
		b = b[:packetHead]
	}
	binary.LittleEndian.PutUint32(b[8:], uint32(environ))
	binary.LittleEndian.PutUint32(b[12:], flags)
	return b, rest
}

// wantsTraceback has the worker send the traceback if the app raises.
func (c *call) wantsTraceback() {
	flags := binary.LittleEndian.Uint32(c.frame[12:])
	binary.LittleEndian.PutUint32(c.frame[12:], flags|showTraceback)
	c.shows = true
}

// pingPacket is a packet that asks for nothing.
func pingPacket(seq uint64) []byte {
	b := make([]byte, packetHead)
	setSeq(b, seq)
	binary.LittleEndian.PutUint32(b[12:], ping)
	return b
}

func setSeq(packet []byte, seq uint64) { binary.LittleEndian.PutUint64(packet, seq) }
func packetSeq(packet []byte) uint64   { return binary.LittleEndian.Uint64(packet) }
