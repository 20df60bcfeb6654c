package main

// This file is how a load reads responses: every form of them, right and wrong.

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"millrace/fcgi"
	"millrace/gateway"
)

// TestHTTPResponses reads responses of every form, each behind another one on
// the same connection.
func TestHTTPResponses(t *testing.T) {
	tests := []struct {
		name     string
		response string
		ends     bool // the server ends the connection behind it
		status   int
		size     int64
		err      error
		kept     bool // the connection serves the next request
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, 200, 5, nil, true},
		{"no reason", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", false, 200, 5, nil, true},
		{"bare line feeds", "HTTP/1.1 200 OK\ncontent-length:5\n\nhello", false, 200, 5, nil, true},
		{"empty", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false, 404, 0, nil, true},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", false, 204, 0, nil, true},
		{"not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, 304, 0, nil, true},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nA: b\r\n\r\n", false, 200, 15, nil, true},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false, 200, 1, nil, true},
		{"close", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", false, 200, 5, nil, false},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, 200, 5, nil, false},
		{"HTTP/1.0 kept", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", false, 200, 5, nil, true},
		{"until the end", "HTTP/1.1 200 OK\r\n\r\nhello", true, 200, 5, nil, false},
		{"large", "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300000), false, 200, 300000, nil, true},
		{"surplus", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello there", false, 200, 5, nil, false},

		{"cut body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", true, 0, 0, io.ErrUnexpectedEOF, false},
		{"cut head", "HTTP/1.1 200 OK\r\nContent-", true, 0, 0, io.ErrUnexpectedEOF, false},
		{"cut chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", true, 0, 0, io.ErrUnexpectedEOF, false},
		{"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true, 0, 0, io.ErrUnexpectedEOF, false},
		{"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", true, 0, 0, gateway.ErrBadResponse, false},
		{"no status", "HTTP/1.1 OK of sorts\r\n\r\n", true, 0, 0, gateway.ErrBadResponse, false},
		{"negative status", "HTTP/1.1 -20 x\r\n\r\n", true, 0, 0, gateway.ErrBadResponse, false},
		{"bad length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", true, 0, 0, gateway.ErrBadResponse, false},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", true, 0, 0, gateway.ErrBadResponse, false},
		{"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\nhello\r\n", true, 0, 0, gateway.ErrBadResponse, false},
		{"huge chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", true, 0, 0, gateway.ErrBadResponse, false},
		{"chunk without end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello there\r\n0\r\n\r\n", true, 0, 0, gateway.ErrBadResponse, false},
		{"coded", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", true, 0, 0, gateway.ErrBadResponse, false},
		{"long line", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", loadBuffer) + "\r\n\r\n", true, 0, 0, gateway.ErrBadResponse, false},
		{"endless head", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: 0123456789012345678901234567890123456789\r\n", 10000), true, 0, 0, gateway.ErrBadResponse, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, url := listenBackend(t, "http", "unix")
			defer l.Close()
			const before = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					answerAll(c, before, test.response, test.ends)
				}
			}()
			e, err := parseEndpoint(at(url, "/"))
			if err != nil {
				t.Fatal(err)
			}
			o := &outgoing{timeout: 10 * time.Second, connectTimeout: time.Second}
			m, err := o.message(e, nil)
			if err != nil {
				t.Fatal(err)
			}
			ld := &load{e: e, o: o, m: m}
			s := newHTTPSender(ld)
			if status, _, err := s.send(t.Context()); status != 200 || err != nil {
				t.Fatalf("the one before: %d, %v", status, err)
			}
			status, size, err := s.send(t.Context())
			if status != test.status || !errors.Is(err, test.err) || err == nil && size != test.size {
				t.Errorf("%d, %d bytes, %v; want %d, %d, %v", status, size, err, test.status, test.size, test.err)
			}
			if kept := s.conn != nil; kept != test.kept || ld.dialled.Load() != 1 {
				t.Errorf("kept %v, want %v; %d connections", kept, test.kept, ld.dialled.Load())
			}
			s.close()
			l.Close()
			<-done
		})
	}
}

// TestFCGIResponses reads responses of every form, each behind another one on
// the same connection.
func TestFCGIResponses(t *testing.T) {
	record := func(kind fcgi.Type, id uint16, content string, padding int) string {
		return string(fcgi.AppendHeader(nil, fcgi.Header{Type: kind, ID: id, Length: len(content), Padding: padding})) + content + strings.Repeat("\x00", padding)
	}
	out := func(content string) string { return record(fcgi.Stdout, 1, content, 0) }
	end := func(status fcgi.Status) string {
		return record(fcgi.EndRequest, 1, "\x00\x00\x00\x00"+string([]byte{byte(status)})+"\x00\x00\x00", 0)
	}
	complete := end(fcgi.RequestComplete)
	tests := []struct {
		name     string
		response string
		status   int
		size     int64
		err      error
	}{
		{"whole", out("Status: 404 Not Found\r\nContent-Length: 5\r\n\r\nhello") + out("") + complete, 404, 5, nil},
		{"in parts", out("Content-Ty") + out("pe: text/plain\n") + out("\nhel") + out("lo") + complete, 200, 5, nil},
		{"padded", record(fcgi.Stdout, 1, "A: b\n\nhello", 7) + record(fcgi.Stderr, 1, "oh", 6) + record(fcgi.Stdout, 1, " there", 255) + record(fcgi.EndRequest, 1, "\x00\x00\x00\x00\x00\x00\x00\x00", 8), 200, 11, nil},
		{"large", out("A: b\n\n") + strings.Repeat(out(strings.Repeat("x", 65535)), 4) + complete, 200, 4 * 65535, nil},
		{"no content", out("Status: 204\nContent-Length: 5\n\n") + complete, 204, 0, nil},
		{"longer than its length", out("Content-Length: 2\n\nhello") + complete, 200, 5, nil},

		{"shorter than its length", out("Content-Length: 9\n\nhello") + complete, 0, 0, io.ErrUnexpectedEOF},
		{"cut", out("A: b\n\nhello"), 0, 0, io.ErrUnexpectedEOF},
		{"cut record", out("A: b\n\nhello")[:12], 0, 0, io.ErrUnexpectedEOF},
		{"cut end", out("A: b\n\nhello") + complete[:11], 0, 0, io.ErrUnexpectedEOF},
		{"overloaded", end(fcgi.Overloaded), 0, 0, gateway.ErrOverloaded},
		{"unknown role", end(fcgi.UnknownRole), 0, 0, gateway.ErrBadResponse},
		{"no head", out("hello") + complete, 0, 0, gateway.ErrBadResponse},
		{"nothing", complete, 0, 0, gateway.ErrBadResponse},
		{"bad head", out("no header\n\nhello") + complete, 0, 0, gateway.ErrBadResponse},
		{"endless head", strings.Repeat(out(strings.Repeat("A: 0123456789\n", 4000)), 5), 0, 0, gateway.ErrBadResponse},
		{"no record", "HTTP/1.1 400 Bad Request\r\n\r\n", 0, 0, gateway.ErrBadResponse},
		{"another request", record(fcgi.Stdout, 2, "A: b\n\n", 0), 0, 0, gateway.ErrBadResponse},
		{"a record of the other side", record(fcgi.Stdin, 1, "A: b\n\n", 0), 0, 0, gateway.ErrBadResponse},
		{"a short end", record(fcgi.EndRequest, 1, "\x00\x00\x00\x00", 0), 0, 0, gateway.ErrBadResponse},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, url := listenBackend(t, "fcgi", "unix")
			defer l.Close()
			e, err := parseEndpoint(url)
			if err != nil {
				t.Fatal(err)
			}
			o := &outgoing{timeout: 10 * time.Second, connectTimeout: time.Second}
			m, err := o.message(e, nil)
			if err != nil {
				t.Fatal(err)
			}
			ld := &load{e: e, o: o, m: m}
			s := newFCGISender(ld)
			done := make(chan struct{})
			go func() {
				defer close(done)
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				request := make([]byte, len(s.request))
				for _, response := range []string{out("A: b\n\nbefore") + complete, test.response} {
					if _, err := io.ReadFull(c, request); err != nil || !bytes.Equal(request, s.request) {
						t.Errorf("the request is %q, %v", request, err)
					}
					_, _ = io.WriteString(c, response) // who refuses it may have hung up
				}
			}()
			if status, size, err := s.send(t.Context()); status != 200 || size != 6 || err != nil {
				t.Fatalf("the one before: %d, %d bytes, %v", status, size, err)
			}
			status, size, err := s.send(t.Context())
			if status != test.status || !errors.Is(err, test.err) || err == nil && size != test.size {
				t.Errorf("%d, %d bytes, %v; want %d, %d, %v", status, size, err, test.status, test.size, test.err)
			}
			if kept := s.conn != nil; kept != (test.err == nil) || ld.dialled.Load() != 1 {
				t.Errorf("kept %v; %d connections", kept, ld.dialled.Load())
			}
			s.close()
			<-done
		})
	}
}

// answerAll answers the two requests of a connection, and waits for its end.
func answerAll(c net.Conn, responses ...any) {
	defer c.Close()
	in := bufio.NewReader(c)
	for _, response := range responses {
		switch response := response.(type) {
		case string:
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			if _, err := io.WriteString(c, response); err != nil {
				return
			}
		case bool:
			if !response {
				_, _ = io.Copy(io.Discard, in)
			}
		}
	}
}

// TestHTTPStale has a server that ends kept connections without a word: that
// is no error, and a request that was answered by nothing is.
func TestHTTPStale(t *testing.T) {
	l, url := listenBackend(t, "http", "unix")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answerAll(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true)
		}
	}()
	defer l.Close()
	r, status, stderr := bench(t, url, "-c", "2", "-n", "40")
	if status != 0 || r.Requests != 40 || r.Opened != 40 || len(r.First) > 0 {
		t.Errorf("status %d, %s%+v", status, stderr, r)
	}
	mute, muteURL := listenBackend(t, "http", "unix")
	go func() {
		for {
			c, err := mute.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	defer mute.Close()
	if _, status, stderr := bench(t, muteURL, "-n", "4"); status != 1 || !strings.Contains(stderr, "hung up") {
		t.Errorf("status %d, %s", status, stderr)
	}
}
