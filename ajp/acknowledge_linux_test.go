package ajp

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"millrace/gateway"
)

// halves writes a packet's header and the rest one after the other, with
// Nagle's algorithm, as lighttpd and flup do.
func halves(t *testing.T, c net.Conn, packet []byte) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(false)
	}
	for _, part := range [][]byte{packet[:headerSize], packet[headerSize:]} {
		if _, err := c.Write(part); err != nil {
			t.Error(err)
		}
	}
}

// Without an acknowledgement of the header each packet takes 40 ms more.
const (
	halvedPackets = 100
	halvedTime    = 2 * time.Second
)

// soon has an exchange take less than halvedTime, once of a few times: the
// machine may be busy.
func soon(t *testing.T, exchange func(t *testing.T)) {
	best := time.Hour
	for n := 0; n < 5 && best > halvedTime; n++ {
		began := time.Now()
		exchange(t)
		best = min(best, time.Since(began))
	}
	if best > halvedTime {
		t.Errorf("%d packets take %v", halvedPackets, best)
	}
}

func TestServerAcknowledgesHeaders(t *testing.T) {
	soon(t, serverAcknowledgesHeaders)
}

func serverAcknowledgesHeaders(t *testing.T) {
	s := start(t, "tcp", &Server{Handler: echo})
	p := s.dial()
	p.send(request("POST", "/", length(halvedPackets)))
	for i := range halvedPackets {
		halves(t, p.Conn, appendChunk(nil, []byte("x")))
		if i < halvedPackets-1 {
			p.next() // GET_BODY_CHUNK
		}
	}
	a := p.answer()
	if a.body != "POST / "+strings.Repeat("x", halvedPackets) {
		t.Errorf("%d bytes", len(a.body))
	}
}

func TestClientAcknowledgesHeaders(t *testing.T) {
	soon(t, clientAcknowledgesHeaders)
}

func clientAcknowledgesHeaders(t *testing.T) {
	c := backEnd(t, func(n int, p *peer) {
		p.forward()
		p.next()
		for range halvedPackets {
			halves(t, p.Conn, appendGetBody(nil, 8186))
			p.next()
		}
		p.respond("ok", false)
	})
	body, err := fetch(c, &gateway.Request{
		Params:        []gateway.Param{{Name: "REQUEST_METHOD", Value: "POST"}},
		Body:          io.NopCloser(bytes.NewReader(make([]byte, halvedPackets*8186))),
		ContentLength: halvedPackets * 8186,
	})
	if body != "ok" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
}
