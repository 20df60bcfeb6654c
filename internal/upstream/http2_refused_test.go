package upstream

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// Frames of HTTP/2 (RFC 9113, section 6).
const (
	frameData     = 0
	frameHeaders  = 1
	frameReset    = 3
	frameSettings = 4
	frameGoAway   = 7

	endStream  = 1
	endHeaders = 4
)

func frame(kind, flags byte, stream uint32, payload string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = append(b, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return string(b) + payload
}

// speaks2 is a server of HTTP/2 that answers the first request by what refuse
// makes of its stream, and any other with a 204.
func speaks2(t *testing.T, refuse func(stream uint32) string) (address string, seen *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	seen = new(atomic.Int32)
	serve := func(c net.Conn) {
		defer c.Close()
		if _, err := io.ReadFull(c, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
			return
		}
		_, _ = io.WriteString(c, frame(frameSettings, 0, 0, ""))
		head := make([]byte, 9)
		for {
			if _, err := io.ReadFull(c, head); err != nil {
				return
			}
			size := int64(binary.BigEndian.Uint32(head) >> 8)
			kind, flags, stream := head[3], head[4], binary.BigEndian.Uint32(head[5:])
			if _, err := io.CopyN(io.Discard, c, size); err != nil {
				return
			}
			switch {
			case kind == frameSettings && flags == 0:
				_, _ = io.WriteString(c, frame(frameSettings, 1, 0, ""))
			case kind == frameHeaders && seen.Add(1) == 1:
				text := refuse(stream)
				_, _ = io.WriteString(c, text)
				if text[3] == frameGoAway {
					_ = c.(*net.TCPConn).CloseWrite() // as servers do that mean it
				}
			case (kind == frameHeaders || kind == frameData) && flags&endStream != 0 && seen.Load() > 1:
				_, _ = io.WriteString(c, frame(frameHeaders, endHeaders|endStream, stream, "\x89")) // :status 204
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String(), seen
}

// TestHTTP2Refused: what a server has not looked at, by its own word, is sent
// again, also a POST; what it may have looked at is not, nor is a body that
// cannot be had again.
func TestHTTP2Refused(t *testing.T) {
	reset := func(code string) func(uint32) string {
		return func(stream uint32) string { return frame(frameReset, 0, stream, "\x00\x00\x00"+code) }
	}
	goAway := func(last string) func(uint32) string {
		return func(uint32) string {
			return frame(frameGoAway, 0, 0, "\x00\x00\x00"+last+"\x00\x00\x00\x00")
		}
	}
	for name, test := range map[string]struct {
		refuse  func(uint32) string
		streams bool
		status  int
		seen    int32
	}{
		"REFUSED_STREAM":                   {reset("\x07"), false, 204, 2},
		"GOAWAY before it":                 {goAway("\x00"), false, 204, 2},
		"INTERNAL_ERROR":                   {reset("\x02"), false, 502, 1},
		"REFUSED_STREAM, a body that runs": {reset("\x07"), true, 502, 1},
	} {
		t.Run(name, func(t *testing.T) {
			address, seen := speaks2(t, test.refuse)
			f := serve(t, Config{HTTP2: true, StreamRequest: test.streams, Servers: []Server{{Address: address}}}, nil)
			res, b := f.ask("POST", "/", strings.Repeat("x", 20<<10), nil) // within the first window
			if res.StatusCode != test.status || seen.Load() != test.seen {
				t.Errorf("%d %q, seen %d times\n%s", res.StatusCode, b, seen.Load(), f.log)
			}
		})
	}
}
