package e2e

// Hostile input: malformed requests, slow and vanishing clients, a full disk.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func dial(t *testing.T, s *server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestMalformedRequests: each is refused, its connection closed, and no worker
// sees any of them.
func TestMalformedRequests(t *testing.T) {
	s := start(t, plain(t, `
[[site.route]]
app = "main"

[server]
max_header = "16KiB"

[app.main]
wsgi = "app:application"
workers = 1
max_body = "1MiB"
`))
	host := "Host: x\r\n"
	for _, tt := range []struct{ name, request, want string }{
		{"no request line", "\r\n\r\n\r\n\r\n\r\n", "400"},
		{"garbage", "\x16\x03\x01\x02\x00garbage\r\n\r\n", "400"},
		{"no version", "GET /\r\n\r\n", "400"},
		{"bad version", "GET / HTTP/9.9\r\n" + host + "\r\n", "505"},
		{"bad method", "G\x00T / HTTP/1.1\r\n" + host + "\r\n", "400"},
		{"no host", "GET / HTTP/1.1\r\n\r\n", "400"},
		{"two hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", "400"},
		{"space in the target", "GET /a b HTTP/1.1\r\n" + host + "\r\n", "400"},
		{"NUL in a header", "GET / HTTP/1.1\r\n" + host + "X: a\x00b\r\n\r\n", "400"},
		{"space before the colon", "GET / HTTP/1.1\r\n" + host + "X : a\r\n\r\n", "400"},
		{"header without a colon", "GET / HTTP/1.1\r\n" + host + "nonsense\r\n\r\n", "400"},
		{"large header", "GET / HTTP/1.1\r\n" + host + "X: " + strings.Repeat("a", 40000) + "\r\n\r\n", "431"},
		{"large request line", "GET /" + strings.Repeat("a", 40000) + " HTTP/1.1\r\n" + host + "\r\n", "414"},
		{"bad length", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1x\r\n\r\n", "400"},
		{"negative length", "POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", "400"},
		{"two lengths", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "400"},
		{"length too long for a number", "POST / HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999\r\n\r\n", "400"},
		{"unknown transfer coding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"},
		{"bad chunk size", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "400"},
		{"chunk size too large", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", "400"},
		{"chunk without its end", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n", "400"},
		{"body beyond the limit", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1048577\r\n\r\n", "413"},
		{"chunked body beyond the limit", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n200000\r\n" + strings.Repeat("x", 0x200000) + "\r\n0\r\n\r\n", "413"},
		{"NUL in the path", "GET /a%00b HTTP/1.1\r\n" + host + "\r\n", "400"},
		{"line feed in the path", "GET /a%0ab HTTP/1.1\r\n" + host + "\r\n", "400"},
		{"encoded traversal", "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n" + host + "\r\n", "400"},
		{"bad escape", "GET /%zz HTTP/1.1\r\n" + host + "\r\n", "400"},
	} {
		conn := dial(t, s)
		if strings.Contains(tt.name, "path") || strings.Contains(tt.name, "traversal") {
			// Well-formed; such a connection may be kept.
			tt.request = strings.Replace(tt.request, host, host+"Connection: close\r\n", 1)
		}
		go func() { _, _ = io.WriteString(conn, tt.request) }() // a refusal may come before it is all written
		answer, err := io.ReadAll(conn)
		if err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: the connection is not closed: %v", tt.name, err)
		}
		if status, _, _ := strings.Cut(strings.TrimPrefix(string(answer), "HTTP/1.1 "), " "); status != tt.want {
			t.Errorf("%s: answer %.60q, want %s", tt.name, answer, tt.want)
		}
		conn.Close()
	}
	if st := s.status(); st.Accepted != 0 {
		t.Errorf("%d requests reached the pool", st.Accepted)
	}
	get(t, client(t), s.url+"/", 200)
}

// TestSlowClientsHoldNoWorker: 200 of them, half sending a body and half taking
// a response byte by byte, and the two workers are idle.
func TestSlowClientsHoldNoWorker(t *testing.T) {
	s := start(t, plain(t, "[[site.route]]\napp = \"main\"\n[app.main]\nwsgi = \"app:application\"\nworkers = 2\n"))
	const slow = 200
	for i := range slow {
		conn := dial(t, s)
		if i%2 == 0 {
			fmt.Fprintf(conn, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx")
			continue
		}
		if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /large?1000000 HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := bufio.NewReaderSize(conn, 16).ReadByte(); err != nil {
			t.Fatal(err)
		}
	}
	s.waitFor("all downloads leave the workers", func() bool { st := s.status(); return st.Answered == slow/2 && st.Idle == 2 })
	c := client(t)
	for range 200 {
		get(t, c, s.url+"/", 200)
	}
	if st := s.status(); st.Idle != 2 || st.Queue != 0 {
		t.Errorf("%d workers idle, %d requests queued; want 2 and 0", st.Idle, st.Queue)
	}
}

// TestClientsThatLeave: at every stage, and the server is as before.
func TestClientsThatLeave(t *testing.T) {
	s := start(t, plain(t, "[[site.route]]\napp = \"main\"\n[app.main]\nwsgi = \"app:application\"\nworkers = 2\n"))
	for _, request := range []string{
		"",
		"GET / HT",
		"GET / HTTP/1.1\r\nHost: x\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nxx",
		"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nxx",
		"GET /sleep?0.2 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /large?5000000 HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		for range 20 {
			conn := dial(t, s)
			fmt.Fprint(conn, request)
			conn.Close()
		}
	}
	s.waitFor("everything is at rest", func() bool { st := s.status(); return st.Idle == 2 && st.Queue == 0 && st.Active == 0 })
	for range 10 {
		get(t, client(t), s.url+"/", 200)
	}
}

// TestFullDisk: a body that the spool's disk has no room for is refused, said
// in the log, and leaves nothing behind. As root the disk is a real one;
// otherwise the spool's own cap has to do.
func TestFullDisk(t *testing.T) {
	spool := t.TempDir()
	want, why := http.StatusServiceUnavailable, "spool_max is reached"
	config := fmt.Sprintf("spool = %q\nspool_max = \"1MiB\"\n", spool)
	if smallDisk(t, spool) {
		want, why = http.StatusInsufficientStorage, "cannot spool a request's body"
		config = fmt.Sprintf("spool = %q\n", spool)
	}
	s := start(t, plain(t, "[[site.route]]\napp = \"main\"\n[server]\n"+config+"[app.main]\nwsgi = \"app:application\"\nworkers = 1\n"))
	post := func(size int64) *http.Response {
		t.Helper()
		resp, err := http.Post(s.url+"/echo", "application/octet-stream", io.LimitReader(random(1, size), size))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp
	}
	for range 3 {
		if resp := post(5 << 20); resp.StatusCode != want {
			t.Errorf("a body larger than the disk: %s, want %d", resp.Status, want)
		}
		if resp := post(500 << 10); resp.StatusCode != http.StatusOK {
			t.Errorf("a body that fits, after one that did not: %s", resp.Status)
		}
	}
	if !strings.Contains(s.log.String(), why) {
		t.Errorf("the log does not say %q:\n%s", why, s.log)
	}
	if left, err := filepath.Glob(filepath.Join(spool, "*")); err != nil || len(left) > 0 {
		t.Errorf("left in the spool's folder: %q, %v", left, err)
	}
}
