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

func TestServerAcknowledgesHeaders(t *testing.T) {
	s := start(t, "tcp", &Server{Handler: echo})
	p := s.dial()
	began := time.Now()
	p.send(request("POST", "/", length(halvedPackets)))
	for i := range halvedPackets {
		halves(t, p.Conn, appendChunk(nil, []byte("x")))
		if i < halvedPackets-1 {
			p.next() // GET_BODY_CHUNK
		}
	}
	a := p.answer()
	if took := time.Since(began); a.body != "POST / "+strings.Repeat("x", halvedPackets) || took > halvedTime {
		t.Errorf("%d bytes in %v", len(a.body), took)
	}
}

func TestClientAcknowledgesHeaders(t *testing.T) {
	c := backEnd(t, func(n int, p *peer) {
		p.forward()
		p.next()
		for range halvedPackets {
			halves(t, p.Conn, appendGetBody(nil, 8186))
			p.next()
		}
		p.respond("ok", false)
	})
	began := time.Now()
	body, err := fetch(c, &gateway.Request{
		Params:        []gateway.Param{{Name: "REQUEST_METHOD", Value: "POST"}},
		Body:          io.NopCloser(bytes.NewReader(make([]byte, halvedPackets*8186))),
		ContentLength: halvedPackets * 8186,
	})
	if took := time.Since(began); body != "ok" || err != nil || took > halvedTime {
		t.Errorf("%q, %v in %v", body, err, took)
	}
}
