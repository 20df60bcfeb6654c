package fcgi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"millrace/gateway"
)

// memoryConn is a connection whose other side has said everything that it has
// to say.
type memoryConn struct {
	in  io.Reader
	out bytes.Buffer
}

func (c *memoryConn) Read(b []byte) (int, error)       { return c.in.Read(b) }
func (c *memoryConn) Write(b []byte) (int, error)      { return c.out.Write(b) }
func (c *memoryConn) Close() error                     { return nil }
func (c *memoryConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *memoryConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }

// serveBytes gives a server all that a peer sends and returns what it answered
// and logged.
func serveBytes(h http.Handler, b []byte) (out []byte, log string) {
	var text logged
	s := &Server{Handler: h, Log: slog.New(slog.NewTextHandler(&text, nil))}
	c := &memoryConn{in: bytes.NewReader(b)}
	ended := make(chan struct{})
	s.conns.ServeConn(c, func(gc *gateway.Conn) { s.serve(gc); close(ended) })
	<-ended
	return c.out.Bytes(), text.String()
}

func TestServerFiles(t *testing.T) {
	for _, file := range wireFiles(t, "valid/server_*.hex") {
		seen := make(chan string, 1)
		_, log := serveBytes(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen <- r.Method + " " + r.RequestURI }), file.bytes)
		select {
		case got := <-seen:
			if got != file.says || log != "" {
				t.Errorf("%s: %q, want %q; log %q", file.name, got, file.says, log)
			}
		default:
			t.Errorf("%s: no request; log %q", file.name, log)
		}
	}
	for _, file := range wireFiles(t, "invalid/server_*.hex") {
		_, log := serveBytes(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Errorf("%s: is a request", file.name) }), file.bytes)
		if strings.Count(log, "\n") != 1 || !strings.Contains(log, file.says) || !strings.Contains(log, "peer=192.0.2.1:1") {
			t.Errorf("%s: log %q, want %q, once, and the peer", file.name, log, file.says)
		}
	}
}

// roundTripBytes gives a client all that a program answers.
func roundTripBytes(t testing.TB, b []byte) (status int, body string, err error) {
	c := scripted(bytes.NewReader(b))
	defer c.Close()
	resp, err := c.RoundTrip(t.Context(), get())
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return resp.Status, string(all), err
}

func TestClientFiles(t *testing.T) {
	for _, file := range wireFiles(t, "valid/client_*.hex") {
		status, body, err := roundTripBytes(t, file.bytes)
		if got := fmt.Sprintf("%d %q", status, body); got != file.says || err != nil {
			t.Errorf("%s: %s, %v, want %s", file.name, got, err, file.says)
		}
	}
	for _, file := range wireFiles(t, "invalid/client_*.hex") {
		_, _, err := roundTripBytes(t, file.bytes)
		switch {
		case err == nil || !strings.Contains(err.Error(), file.says):
			t.Errorf("%s: %v, want %q", file.name, err, file.says)
		case errors.Is(err, io.EOF):
			t.Errorf("%s: %v passes for a proper end", file.name, err)
		}
	}
}
