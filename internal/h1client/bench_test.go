package h1client

import (
	"context"
	"io"
	"net"
	"testing"
)

// endless answers every write with the same.
type endless struct {
	recording
	answer []byte
}

func (e *endless) Write(b []byte) (int, error) {
	e.text = e.answer
	return len(b), nil
}

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.text)
	e.text = e.text[n:]
	return n, nil
}

// BenchmarkRoundTrip is what a request costs beside its system calls.
func BenchmarkRoundTrip(b *testing.B) {
	answer := []byte("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 30 Nov 2026 03:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 14\r\nConnection: keep-alive\r\n\r\nHello, World!\n")
	c := &Client{Dial: func(context.Context) (net.Conn, error) { return &endless{answer: answer}, nil }}
	defer c.Close()
	fields := func(f *Fields) {
		f.Add("Accept", "*/*")
		f.Add("X-Forwarded-For", "192.0.2.1")
		f.Add("X-Forwarded-Host", "www.example.com")
		f.Add("X-Forwarded-Proto", "http")
	}
	ctx := context.Background()
	room := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := c.RoundTrip(ctx, &Request{Method: "GET", Target: "/", Host: "www.example.com", Fields: fields})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := resp.Body.Read(room); err != io.EOF {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}
