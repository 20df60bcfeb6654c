package fcgi

import (
	"io"
	"net"
	"net/http"
	stdfcgi "net/http/fcgi"
	"testing"

	"millrace/gateway"
)

// typical are the parameters that nginx sends for a browser's request.
var typical = []gateway.Param{
	{Name: "QUERY_STRING", Value: "x=1"}, {Name: "REQUEST_METHOD", Value: "GET"}, {Name: "CONTENT_TYPE"}, {Name: "CONTENT_LENGTH"},
	{Name: "SCRIPT_NAME", Value: "/hello"}, {Name: "REQUEST_URI", Value: "/hello?x=1"}, {Name: "DOCUMENT_URI", Value: "/hello"},
	{Name: "DOCUMENT_ROOT", Value: "/var/www/html"}, {Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"}, {Name: "REQUEST_SCHEME", Value: "http"},
	{Name: "GATEWAY_INTERFACE", Value: "CGI/1.1"}, {Name: "SERVER_SOFTWARE", Value: "nginx/1.22.1"}, {Name: "REMOTE_ADDR", Value: "127.0.0.1"},
	{Name: "REMOTE_PORT", Value: "53764"}, {Name: "SERVER_ADDR", Value: "127.0.0.1"}, {Name: "SERVER_PORT", Value: "8080"},
	{Name: "SERVER_NAME", Value: "example.org"}, {Name: "REDIRECT_STATUS", Value: "200"}, {Name: "HTTP_HOST", Value: "example.org"},
	{Name: "HTTP_USER_AGENT", Value: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
	{Name: "HTTP_ACCEPT", Value: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
	{Name: "HTTP_ACCEPT_LANGUAGE", Value: "en-US,en;q=0.5"}, {Name: "HTTP_ACCEPT_ENCODING", Value: "gzip, deflate, br, zstd"},
	{Name: "HTTP_COOKIE", Value: "sessionid=abcdefghijklmnop; csrftoken=0123456789"}, {Name: "HTTP_CONNECTION", Value: "keep-alive"},
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	_, _ = io.WriteString(w, "hello, world\n")
})

// rawRequest is a whole request on the wire.
func rawRequest(id uint16) []byte {
	b := appendBegin(nil, id, gateway.Responder, true)
	var p []byte
	for _, x := range typical {
		p = AppendPair(p, x.Name, x.Value)
	}
	b = append(AppendHeader(b, Header{Type: Params, ID: id, Length: len(p)}), p...)
	b = AppendHeader(b, Header{Type: Params, ID: id})
	return AppendHeader(b, Header{Type: Stdin, ID: id})
}

// benchServer drives a server over one kept connection with streams requests
// under way at a time, all of the client's work being prepared bytes.
func benchServer(b *testing.B, streams int, serve func(net.Listener)) {
	l, err := net.Listen("unix", b.TempDir()+"/s")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go serve(l)
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	requests := make([][]byte, streams+1)
	var batch []byte
	for i := 1; i <= streams; i++ {
		requests[i] = rawRequest(uint16(i))
	}
	in := newReader(c)
	b.ReportAllocs()
	b.ResetTimer()
	sent, ended := 0, 0
	for i := 1; i <= streams && sent < b.N; i++ {
		batch = append(batch, requests[i]...)
		sent++
	}
	for ended < b.N {
		if len(batch) > 0 && (sent == b.N || !in.buffered()) {
			if _, err := c.Write(batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
		h, err := in.next()
		if err != nil {
			b.Fatal(err)
		}
		if h.Type != EndRequest {
			continue
		}
		ended++
		if _, err := in.whole(nil); err != nil {
			b.Fatal(err)
		}
		if sent < b.N {
			batch = append(batch, requests[h.ID]...)
			sent++
		}
	}
}

func BenchmarkServer(b *testing.B) {
	ours := func(l net.Listener) {
		_ = (&Server{Handler: hello}).Serve(l)
	}
	theirs := func(l net.Listener) { _ = stdfcgi.Serve(l, hello) }
	b.Run("kept/ours", func(b *testing.B) { benchServer(b, 1, ours) })
	b.Run("kept/net-http-fcgi", func(b *testing.B) { benchServer(b, 1, theirs) })
	b.Run("mpx64/ours", func(b *testing.B) { benchServer(b, 64, ours) })
	b.Run("mpx64/net-http-fcgi", func(b *testing.B) { benchServer(b, 64, theirs) })
}
