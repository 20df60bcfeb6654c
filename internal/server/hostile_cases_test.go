package server

// The cases of TestHostileBackEnds: heads for the protocols that have CGI's,
// and each protocol's own framing. "evil" in an answer must not reach a client.

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"millrace/fcgi"
)

// badHeads are heads that no front server may pass on, whether CGI's or HTTP's.
var badHeads = []struct{ name, lines string }{
	{"CR in a value", "X-A: a\revil: b\r\n"},
	{"NUL in a value", "X-A: a\x00evil\r\n"},
	{"control character in a value", "X-A: a\x1bevil\r\n"},
	{"a name with a space", "X A: evil\r\n"},
	{spaceBeforeColon, "X-A : evil\r\n"},
	{"a NUL in a name", "X\x00A: evil\r\n"},
	{"no name", ": evil\r\n"},
	{"no colon", "evil\r\n"},
	{"a length that is no number", "Content-Length: 4x\r\nX-A: evil\r\n"},
	{"a length below 0", "Content-Length: -4\r\nX-A: evil\r\n"},
	{"a length with a sign", "Content-Length: +4\r\nX-A: evil\r\n"},
	{"a length that is too long for a number", "Content-Length: 99999999999999999999\r\nX-A: evil\r\n"},
	{"two lengths in one", "Content-Length: 4, 5\r\nX-A: evil\r\n"},
	{"two lengths", "Content-Length: 4\r\nContent-Length: 5\r\nX-A: evil\r\n"},
	{"a head without end", "X-A: " + strings.Repeat("evil", 200_000) + "\r\n"},
	{"headers without end", strings.Repeat("X-A: evil\r\n", 60_000)},
}

const spaceBeforeColon = "a space before the colon"

// badStatuses are of CGI's Status.
var badStatuses = []string{"20", "abc evil", "2000 evil", "099", "100 Continue", "199", "-20", "2 00", "200evil"}

// cgiCases are answers whose head is CGI's. whole frames a text as a response
// that the protocol has nothing against, part as one that goes on.
func cgiCases(whole, part func(id uint16, text string) []byte) []hostileCase {
	in := func(text string) func(uint16) []byte { return func(id uint16) []byte { return whole(id, text) } }
	cases := []hostileCase{
		{name: "nothing", answer: in(""), ends: true, want: 502},
		{name: "a head without headers", answer: in("\r\nevil"), ends: true, want: 502},
		{name: "a head that ends too soon", answer: in("Content-Type: text/plain\r\nX-A: evil"), ends: true, want: 502},
		{name: "two statuses", answer: in("Status: 200 OK\r\nStatus: 404 Not Found\r\n\r\nevil"), ends: true, want: 502},
		{name: "two locations", answer: in("Location: /media/a.txt\r\nLocation: /evil\r\n\r\n"), ends: true, want: 502},
		{name: "a folded line", answer: in("X-A: a\r\n evil\r\n\r\n"), ends: true, want: 502},
		{name: "a body that is too short", answer: in("Content-Length: 100\r\n\r\nshort"), ends: true, want: cutShort},
		{name: "a body that is too long", answer: in("Content-Length: 5\r\n\r\nright and evil"), ends: true, want: tolerant},
		{name: "a length and a coding", answer: in("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nright"), ends: true, want: 200, quiet: true},
		{name: "what belongs to the connection", answer: in("Connection: evil\r\nKeep-Alive: evil\r\nUpgrade: evil\r\nTrailer: evil\r\nX: y\r\n\r\nright"), ends: true, want: 200, quiet: true},
		{name: "a body of a 304", answer: in("Status: 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil"), ends: true, want: 304, quiet: true},
		{name: "a body of a 204", answer: in("Status: 204 No Content\r\n\r\nevil"), ends: true, want: 204, quiet: true},
		{name: "silence", answer: func(uint16) []byte { return nil }, want: 504},
		{name: "silence inside a head", answer: func(id uint16) []byte { return part(id, "X-A: evil\r\n") }, want: 504},
		{name: "silence inside a body", answer: func(id uint16) []byte { return part(id, "Content-Length: 100\r\n\r\nshort") }, want: cutShort},
	}
	for _, h := range badHeads {
		cases = append(cases, hostileCase{name: h.name, answer: in("Content-Type: text/plain\r\n" + h.lines + "\r\nevil"), ends: true, want: 502})
	}
	for _, status := range badStatuses {
		cases = append(cases, hostileCase{name: "status " + status, answer: in("Status: " + status + "\r\nContent-Type: text/plain\r\n\r\nevil"), ends: true, want: 502})
	}
	return cases
}

func rawProtocols() []rawProtocol {
	return []rawProtocol{rawFastCGI(false), rawFastCGI(true), rawSCGI(), rawUWSGI(), rawAJP(), rawHTTP()}
}

// plainText is a response over a connection of its own.
func plainText(p rawProtocol) rawProtocol {
	p.good = func(_ uint16, body string) []byte { return []byte("Content-Type: text/plain\r\n\r\n" + body) }
	p.head = says("Content-Type: text/plain\r\n\r\n.")
	p.piece, p.end = says("."), says("end")
	text := func(_ uint16, text string) []byte { return []byte(text) }
	p.cases = cgiCases(text, text)
	return p
}

func rawSCGI() rawProtocol {
	return plainText(rawProtocol{name: "scgi", protocol: "scgi", next: func(in *bufio.Reader, _ func([]byte)) ([]byte, uint16, error) {
		var n int
		if _, err := fmt.Fscanf(in, "%d:", &n); err != nil || n < 0 || n > 1<<20 {
			return nil, 0, errors.Join(err, io.ErrUnexpectedEOF)
		}
		b := make([]byte, n+1)
		_, err := io.ReadFull(in, b)
		return b, 0, err
	}})
}

func rawUWSGI() rawProtocol {
	return plainText(rawProtocol{name: "uwsgi", protocol: "uwsgi", next: func(in *bufio.Reader, _ func([]byte)) ([]byte, uint16, error) {
		head := make([]byte, 4)
		if _, err := io.ReadFull(in, head); err != nil {
			return nil, 0, err
		}
		b := make([]byte, binary.LittleEndian.Uint16(head[1:]))
		_, err := io.ReadFull(in, b)
		return b, 0, err
	}})
}

// record is one of FastCGI.
func record(kind fcgi.Type, id uint16, content string) []byte {
	return append(fcgi.AppendHeader(nil, fcgi.Header{Type: kind, ID: id, Length: len(content)}), content...)
}

// records are a text as STDOUT.
func records(id uint16, text string) (b []byte) {
	for len(text) > 0 {
		n := min(len(text), 60_000)
		b = append(b, record(fcgi.Stdout, id, text[:n])...)
		text = text[n:]
	}
	return b
}

// endOf is END_REQUEST with a status of the app and one of the protocol.
func endOf(id uint16, app byte, protocol fcgi.Status) []byte {
	return record(fcgi.EndRequest, id, string([]byte{0, 0, 0, app, byte(protocol), 0, 0, 0}))
}

// rawFastCGI is a program that keeps connections, shared or one request after
// the other.
func rawFastCGI(shared bool) rawProtocol {
	whole := func(id uint16, text string) []byte {
		return append(records(id, text), endOf(id, 0, fcgi.RequestComplete)...)
	}
	const hello = "Content-Type: text/plain\r\n\r\n"
	p := rawProtocol{
		name: "fastcgi", protocol: "fastcgi", shared: shared, kept: true,
		next: func(in *bufio.Reader, reply func([]byte)) ([]byte, uint16, error) {
			params := map[uint16][]byte{}
			for {
				head := make([]byte, fcgi.HeaderLen)
				if _, err := io.ReadFull(in, head); err != nil {
					return nil, 0, err
				}
				h, err := fcgi.ParseHeader(head)
				if err != nil {
					return nil, 0, err
				}
				content := make([]byte, h.Length+h.Padding)
				if _, err := io.ReadFull(in, content); err != nil {
					return nil, 0, err
				}
				switch {
				case h.Type == fcgi.GetValues:
					pairs := fcgi.AppendPair(fcgi.AppendPair(nil, "FCGI_MAX_CONNS", "8"), "FCGI_MPXS_CONNS", map[bool]string{true: "1", false: "0"}[shared])
					reply(record(fcgi.GetValuesResult, 0, string(pairs)))
				case h.Type == fcgi.Params && h.Length > 0:
					params[h.ID] = append(params[h.ID], content...)
				case h.Type == fcgi.Params:
					return params[h.ID], h.ID, nil
				}
			}
		},
		good:  func(id uint16, body string) []byte { return whole(id, hello+body) },
		head:  func(id uint16) []byte { return records(id, hello+".") },
		piece: func(id uint16) []byte { return records(id, ".") },
		end:   func(id uint16) []byte { return whole(id, "end") },
	}
	p.cases = cgiCases(whole, records)
	for i := range p.cases { // the connection stays: nothing but a response is wrong
		p.cases[i].ends = false
	}
	if shared {
		p.name = "fastcgi, shared connections"
	}
	join := func(parts ...[]byte) (b []byte) {
		for _, part := range parts {
			b = append(b, part...)
		}
		return b
	}
	spoilt := func(at int, value byte) func(uint16) []byte {
		return func(id uint16) []byte {
			b := whole(id, hello+"evil")
			b[at] = value
			return b
		}
	}
	p.cases = append(p.cases, []hostileCase{
		{name: "closed at once", answer: says(""), ends: true, want: 502, framing: true},
		{name: "no FastCGI", answer: says("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"), want: 502, framing: true},
		{name: "version 2", answer: spoilt(0, 2), want: 502, framing: true},
		{name: "version 0", answer: spoilt(0, 0), want: 502, framing: true},
		{name: "reserved byte of a header", answer: spoilt(7, 1), want: 502, framing: true},
		{name: "an unknown type", answer: spoilt(1, 99), want: 502, framing: true},
		{name: "a client's type", answer: spoilt(1, byte(fcgi.BeginRequest)), want: 502, framing: true},
		{name: "the id of nobody", answer: func(id uint16) []byte { return whole(id+1000, hello+"evil") }, want: 502, framing: true},
		{name: "id 0", answer: func(id uint16) []byte { return join(whole(0, hello+"evil"), whole(id, "X: y\r\n\r\nright")) }, want: tolerant},
		{name: "a record that is cut", answer: func(id uint16) []byte { return records(id, hello+"evil")[:20] }, ends: true, want: 502, framing: true},
		{name: "a record longer than it says", answer: func(id uint16) []byte {
			return join(record(fcgi.Stdout, id, hello), []byte("evil and more"), whole(id, "evil"))
		}, want: cutShort, framing: true},
		{name: "an end that is too short", answer: func(id uint16) []byte {
			return join(records(id, "Content-Length: 100\r\n\r\nshort"), record(fcgi.EndRequest, id, "\x00\x00\x00\x00"))
		}, want: cutShort, framing: true},
		{name: "closed before the end", answer: func(id uint16) []byte { return records(id, hello+"half") }, ends: true, want: cutShort, framing: true},
		{name: "bytes behind the end", answer: func(id uint16) []byte { return join(whole(id, hello+"right"), []byte("evil evil evil")) }, want: tolerant, framing: true},
		{name: "a response behind the end", answer: func(id uint16) []byte { return join(whole(id, hello+"right"), whole(id, hello+"evil")) }, want: tolerant, framing: true},
		{name: "overloaded", answer: func(id uint16) []byte { return endOf(id, 0, fcgi.Overloaded) }, want: 503},
		{name: "an unknown role", answer: func(id uint16) []byte { return endOf(id, 0, fcgi.UnknownRole) }, want: 502},
		{name: "an unknown verdict", answer: func(id uint16) []byte { return endOf(id, 0, 77) }, want: 502},
		{name: "an end and no response", answer: func(id uint16) []byte { return endOf(id, 1, fcgi.RequestComplete) }, want: 502},
	}...)
	return p
}
