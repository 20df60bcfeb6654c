package server

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const streaming = `
[[site]]
listen = ["127.0.0.1:0"]
compress = { encodings = ["gzip"] }
[[site.route]]
path = "/cached/*"
cache = true
upstream = "web"
[[site.route]]
path = "/up"
upstream = "up"
[[site.route]]
upstream = "web"
[upstream.web]
protocol = %q
servers = [%q]
[upstream.up]
protocol = %q
servers = [%q]
request_buffering = false
max_body = "100B"
`

// TestEventStream: each event is there when it is sent, also compressed and
// through a cache, and over every protocol.
func TestEventStream(t *testing.T) {
	for _, protocol := range []string{"http", "fastcgi", "scgi", "uwsgi", "ajp"} {
		next := make(chan struct{})
		address := behind(t, protocol, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			switch r.URL.Query().Get("kind") {
			case "events":
				h.Set("Content-Type", "text/event-stream")
			case "accel":
				h.Set("Content-Type", "text/plain")
				h.Set("X-Accel-Buffering", "no")
			default:
				h.Set("Content-Type", "text/plain")
			}
			h.Set("Cache-Control", "max-age=100")
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				http.NewResponseController(w).Flush()
				<-next
			}
		})
		s := launch(t, parse(t, t.TempDir(), fmt.Sprintf(streaming, protocol, address, protocol, address)), newFakeApps())
		for _, path := range []string{"/", "/cached/x"} {
			for _, kind := range []string{"events", "accel", "plain"} {
				for _, coding := range []string{"identity", "gzip"} {
					name := protocol + " " + path + kind + " " + coding
					req, _ := http.NewRequest("GET", s.url("127.0.0.1:0")+path+"?kind="+kind+"&for="+coding, nil)
					req.Header.Set("Accept-Encoding", coding)
					client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
					res, err := client.Do(req)
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					body := io.Reader(res.Body)
					if got := res.Header.Get("Content-Encoding"); got == "gzip" {
						if body, err = gzip.NewReader(body); err != nil {
							t.Fatalf("%s: %v", name, err)
						}
					} else if coding == "gzip" && kind != "events" { // which are not among the types that are compressed
						t.Errorf("%s: the coding is %q", name, got)
					}
					in := bufio.NewReader(body)
					for i := range 3 {
						want := fmt.Sprintf("data: %d\n\n", i)
						b := make([]byte, len(want))
						if _, err := io.ReadFull(in, b); err != nil || string(b) != want {
							t.Fatalf("%s: event %d: %q, %v", name, i, b, err)
						}
						next <- struct{}{}
					}
					if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
						t.Errorf("%s: at the end %q, %v", name, rest, err)
					}
					res.Body.Close()
				}
			}
		}
	}
}

// TestStreamedBody: a body that goes up as it comes, and fails on its way, is
// answered, and the connection ends; one that does not is kept.
func TestStreamedBody(t *testing.T) {
	got := make(chan string, 10)
	address := behind(t, "http", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/up" {
			return
		}
		b := make([]byte, 5)
		io.ReadFull(r.Body, b)
		got <- string(b)
		rest, err := io.ReadAll(r.Body)
		if err == nil {
			fmt.Fprintf(w, "%s%s", b, rest)
		}
	})
	s := launch(t, parse(t, t.TempDir(), fmt.Sprintf(streaming, "http", address, "http", address)), newFakeApps())
	open := func(head string) (net.Conn, *bufio.Reader) {
		t.Helper()
		c, err := net.Dial("tcp", s.hostPort("127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, "POST /up HTTP/1.1\r\nHost: a\r\n"+head)
		return c, bufio.NewReader(c)
	}
	answer := func(in *bufio.Reader) (int, string) {
		t.Helper()
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	for _, form := range []string{"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n|5\r\nagain\r\n0\r\n\r\n", "Content-Length: 10\r\n\r\nfirst|again", "Expect: 100-continue\r\nContent-Length: 10\r\n\r\n|firstagain"} {
		begin, rest, _ := strings.Cut(form, "|")
		c, in := open(begin)
		if strings.HasPrefix(form, "Expect") {
			if line, _ := in.ReadString('\n'); !strings.Contains(line, "100") {
				t.Fatalf("%q", line)
			}
			in.ReadString('\n')
		} else if b := <-got; b != "first" {
			t.Fatalf("the back end has %q", b)
		}
		io.WriteString(c, rest)
		if status, b := answer(in); status != 200 || b != "firstagain" {
			t.Errorf("%q: %d %q", form, status, b)
		}
		if strings.HasPrefix(form, "Expect") {
			<-got
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if status, _ := answer(in); status != 200 {
			t.Errorf("%q, the next request: %d", form, status)
		}
	}
	for form, want := range map[string]int{
		"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\nbroken\r\n":                            400,
		"Transfer-Encoding: chunked\r\n\r\n65\r\n" + strings.Repeat("x", 101) + "\r\n0\r\n\r\n": 413,
		"Content-Length: 101\r\n\r\n":                                                           413,
	} {
		_, in := open(form)
		if status, _ := answer(in); status != want {
			t.Errorf("%.60q: %d, want %d", form, status, want)
		}
		if _, err := in.ReadByte(); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%.60q: %v; want the connection's end", form, err)
		}
	}
	if strings.Contains(s.log.String(), "level=ERROR") {
		t.Errorf("the log has\n%s", s.log)
	}
}
