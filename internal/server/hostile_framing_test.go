package server

// The cases of TestHostileBackEnds for AJP and HTTP.

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// packet is one of AJP, from a back end.
func packet(payload ...any) []byte {
	var b []byte
	for _, part := range payload {
		switch part := part.(type) {
		case int:
			b = append(b, byte(part))
		case string:
			b = binary.BigEndian.AppendUint16(b, uint16(len(part)))
			b = append(append(b, part...), 0)
		case []byte:
			b = append(b, part...)
		}
	}
	return append([]byte{'A', 'B', byte(len(b) >> 8), byte(len(b))}, b...)
}

// ajpHead is SEND_HEADERS.
func ajpHead(status int, headers ...string) []byte {
	payload := []any{4, status >> 8, status & 0xFF, "OK", 0, len(headers) / 2}
	for _, text := range headers {
		payload = append(payload, text)
	}
	return packet(payload...)
}

func ajpChunk(text string) []byte { return packet(3, text) }

func rawAJP() rawProtocol {
	join := func(parts ...[]byte) func(uint16) []byte {
		var b []byte
		for _, part := range parts {
			b = append(b, part...)
		}
		return func(uint16) []byte { return b }
	}
	end := packet(5, 1)
	hello := ajpHead(200, "Content-Type", "text/plain")
	p := rawProtocol{
		name: "ajp", protocol: "ajp", kept: true,
		next: func(in *bufio.Reader, reply func([]byte)) ([]byte, uint16, error) {
			for {
				head := make([]byte, 4)
				if _, err := io.ReadFull(in, head); err != nil {
					return nil, 0, err
				}
				b := make([]byte, binary.BigEndian.Uint16(head[2:]))
				if _, err := io.ReadFull(in, b); err != nil {
					return nil, 0, err
				}
				switch {
				case len(b) == 1 && b[0] == 10: // CPING
					reply(packet(9))
				case len(b) > 0 && b[0] == 2:
					return b, 0, nil
				}
			}
		},
		good: func(_ uint16, body string) []byte { return join(hello, ajpChunk(body), end)(0) },
		head: join(hello, ajpChunk(".")), piece: join(ajpChunk(".")), end: join(ajpChunk("end"), end),
	}
	bad := func(name string, parts ...[]byte) {
		p.cases = append(p.cases, hostileCase{name: name, answer: join(parts...), want: 502, framing: true})
	}
	bad("no AJP", []byte("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"))
	bad("the magic of a front", []byte{0x12, 0x34, 0, 1, 9})
	bad("a packet that is too large", []byte{'A', 'B', 0xFF, 0xFF, 4, 0, 200})
	bad("a packet of nothing", []byte{'A', 'B', 0, 0})
	bad("an unknown type", packet(77))
	bad("a front's type", packet(2, 2, "evil"))
	bad("a body before its head", ajpChunk("evil"), hello, end)
	bad("an end before a head", end)
	bad("status 99", ajpHead(99), ajpChunk("evil"), end)
	bad("status 100", ajpHead(100), ajpChunk("evil"), end)
	bad("status 1000", ajpHead(1000), ajpChunk("evil"), end)
	bad("a header that is longer than the packet", packet(4, 0, 200, "OK", 0, 1, []byte{0x0F, 0xFF, 'e', 'v', 'i', 'l'}))
	bad("more headers than there are", packet(4, 0, 200, "OK", 0xFF, 0xFF, "X-A", "evil"))
	bad("fewer headers than there are", packet(4, 0, 200, "OK", 0, 1, "X-A", "a", "X-B", "evil"))
	bad("a text without its NUL", packet(4, 0, 200, []byte{0, 2, 'O', 'K', 'x'}, 0, 0))
	bad("an unknown code of a header", packet(4, 0, 200, "OK", 0, 1, 0xA0, 0x77, "evil"))
	bad("LF in a value", ajpHead(200, "X-A", "a\nevil: b"), end)
	bad("CR in a value", ajpHead(200, "X-A", "a\revil: b"), end)
	bad("NUL in a value", ajpHead(200, "X-A", "a\x00evil"), end)
	bad("LF in a name", ajpHead(200, "X\nevil", "a"), end)
	bad("no name", ajpHead(200, "", "evil"), end)
	for _, length := range []string{"4x", "-4", "+4", "99999999999999999999", "4, 5"} {
		bad("length "+length, ajpHead(200, "Content-Length", length), ajpChunk("evil"), end)
	}
	bad("two lengths", ajpHead(200, "Content-Length", "4", "Content-Length", "5"), ajpChunk("evil"), end)
	bad("two statuses", ajpHead(200, "Status", "404"), ajpChunk("evil"), end)
	for _, status := range badStatuses {
		bad("Status "+status, ajpHead(200, "Status", status), ajpChunk("evil"), end)
	}
	chunk := ajpChunk("evil")
	chunk[6] = 200 // of 4 bytes
	p.cases = append(p.cases, []hostileCase{
		{name: "closed at once", answer: says(""), ends: true, want: 502, framing: true},
		{name: "closed inside a packet", answer: says(string(hello[:9])), ends: true, want: 502, framing: true},
		{name: "silence", answer: func(uint16) []byte { return nil }, want: 504, framing: true},
		{name: "silence inside a packet", answer: says(string(hello[:9])), want: 504, framing: true},
		{name: "silence inside a body", answer: join(hello, ajpChunk("short")), want: cutShort, framing: true},
		{name: "a body that is too short", answer: join(ajpHead(200, "Content-Length", "100"), ajpChunk("short"), end), want: cutShort, framing: true},
		{name: "a body that is too long", answer: join(ajpHead(200, "Content-Length", "5"), ajpChunk("right and evil"), end), want: tolerant},
		{name: "a length and a coding", answer: join(ajpHead(200, "Content-Length", "5", "Transfer-Encoding", "chunked"), ajpChunk("right"), end), want: 200, quiet: true},
		{name: "a body of a 304", answer: join(ajpHead(304), ajpChunk("evil"), end), want: 304, quiet: true},
		{name: "a chunk that is longer than its packet", answer: join(hello, chunk, end), want: cutShort, framing: true},
		{name: "two heads", answer: join(hello, ajpHead(200, "X-A", "evil"), end), want: cutShort, framing: true},
		{name: "closed before the end", answer: join(hello, ajpChunk("half")), ends: true, want: cutShort, framing: true},
		{name: "a question for a body that there is not", answer: join(packet(6, 0x1F, 0xFA), hello, ajpChunk("right"), end), want: tolerant},
		{name: "a pong that nobody asked for", answer: join(packet(9), hello, ajpChunk("right"), end), want: tolerant},
		{name: "an end that is no flag", answer: join(hello, ajpChunk("right"), packet(5, 77)), want: tolerant, framing: true},
		{name: "bytes behind the end", answer: join(hello, ajpChunk("right"), end, []byte("evil evil")), want: tolerant, framing: true},
		{name: "a response behind the end", answer: join(hello, ajpChunk("right"), end, hello, ajpChunk("evil"), end), want: tolerant, framing: true},
	}...)
	return p
}

func rawHTTP() rawProtocol {
	const ok, chunked = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	p := rawProtocol{
		name: "http", protocol: "http", kept: true,
		next: func(in *bufio.Reader, _ func([]byte)) ([]byte, uint16, error) {
			var b []byte
			for {
				line, err := in.ReadBytes('\n')
				if b = append(b, line...); err != nil || len(line) <= 2 {
					return b, 0, err
				}
			}
		},
		good: func(_ uint16, body string) []byte {
			return fmt.Appendf(nil, ok+"Content-Length: %d\r\n\r\n%s", len(body), body)
		},
		head: says(chunked + "1\r\n.\r\n"), piece: says("1\r\n.\r\n"), end: says("3\r\nend\r\n0\r\n\r\n"),
	}
	bad := func(name, text string) {
		p.cases = append(p.cases, hostileCase{name: name, answer: says(text), want: 502, framing: true})
	}
	for _, status := range []string{
		"evil", "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 abc OK", "HTTP/1.1 099 OK", "HTTP/1.1 200evil", "HTTP/2.0 200 OK", "HTTP/1.x 200 OK", "HTTP/11 200 OK", "http/1.1 200 OK",
		" HTTP/1.1 200 OK", "HTTP/1.1 -20 OK", "HTTP/1.1 200 O\x00K", "HTTP/1.1",
	} {
		bad(fmt.Sprintf("first line %q", status), status+"\r\nContent-Length: 4\r\n\r\nevil")
	}
	for _, h := range badHeads {
		if h.name == spaceBeforeColon { // RFC 9112, section 5.1: a proxy takes it off
			continue
		}
		bad(h.name, ok+h.lines+"\r\nevil")
	}
	bad("a folded line", ok+"X-A: a\r\n evil\r\nContent-Length: 4\r\n\r\nevil")
	bad("a length and a coding", ok+"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n")
	bad("an unknown coding", ok+"Transfer-Encoding: evil\r\n\r\n4\r\nevil\r\n0\r\n\r\n")
	bad("a coding twice", ok+"Transfer-Encoding: chunked, chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n")
	bad("two codings", ok+"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n4\r\nevil\r\n0\r\n\r\n")
	bad("an upgrade that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: evil\r\nConnection: upgrade\r\n\r\nevil")
	bad("interim responses without end", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: evil\r\n\r\n", 20_000))
	for name, text := range map[string]string{
		"a chunk's size that is no number":   "4x\r\nevil\r\n0\r\n\r\n",
		"a chunk's size that is too long":    "fffffffffffffffff\r\nevil",
		"a chunk's size below 0":             "-4\r\nevil\r\n0\r\n\r\n",
		"a chunk's size with 0x":             "0x4\r\nevil\r\n0\r\n\r\n",
		"a chunk without its end":            "4\r\ngoodevil\r\n0\r\n\r\n",
		"a chunk's size that ends in LF":     "4\nevil\r\n0\r\n\r\n",
		"a chunk that ends in LF":            "4\r\ngood\n0\r\n\r\n",
		"a chunk's extension without end":    "4;" + strings.Repeat("evil", 100_000) + "\r\nevil\r\n0\r\n\r\n",
		"a bad trailer":                      "0\r\nevil\r\n\r\n",
		"trailers without end":               "0\r\n" + strings.Repeat("X-A: evil\r\n", 200_000),
		"a chunk's size that is a lot of 0s": strings.Repeat("0", 10_000) + "4\r\nevil\r\n0\r\n\r\n",
	} {
		p.cases = append(p.cases, hostileCase{name: name, answer: says(chunked + text), want: cutShort, framing: true})
	}
	p.cases = append(p.cases, []hostileCase{
		{name: "closed at once", answer: says(""), ends: true, want: 502, framing: true},
		{name: "closed inside the head", answer: says(ok + "X-A: evil"), ends: true, want: 502, framing: true},
		{name: "silence", answer: func(uint16) []byte { return nil }, want: 504, framing: true},
		{name: "silence inside a head", answer: says(ok + "X-A: evil"), want: 504, framing: true},
		{name: "silence inside a body", answer: says(ok + "Content-Length: 100\r\n\r\nshort"), want: cutShort, framing: true},
		{name: "a body that is too short", answer: says(ok + "Content-Length: 100\r\n\r\nshort"), ends: true, want: cutShort, framing: true},
		{name: "chunks without their end", answer: says(chunked + "5\r\nshort\r\n"), ends: true, want: cutShort, framing: true},
		{name: "bytes behind the end", answer: says(ok + "Content-Length: 5\r\n\r\nrightevil"), want: tolerant, framing: true},
		{name: "a response behind the end", answer: says(ok + "Content-Length: 5\r\n\r\nright" + ok + "Content-Length: 4\r\n\r\nevil"), want: tolerant, framing: true},
		{name: "bytes behind a response without a body", answer: says("HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil"), want: tolerant, framing: true},
		{name: "bytes behind a 304", answer: says("HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil"), want: tolerant, framing: true},
		{name: spaceBeforeColon, answer: says(ok + "X-A : b\r\nContent-Length: 5\r\n\r\nright"), want: 200, quiet: true},
		{name: "what belongs to the connection", answer: says(ok + "Connection: evil, x-a\r\nKeep-Alive: evil\r\nUpgrade: evil\r\nX-A: evil\r\nContent-Length: 5\r\n\r\nright"), want: 200, quiet: true},
	}...)
	return p
}
