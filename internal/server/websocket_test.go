//lint:file-ignore SA1019 http2.Transport is the one client that has extended CONNECT; that of net/http refuses its header.

package server

import (
	"bufio"
	"context"

	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// Frames of WebSocket (RFC 6455, section 5.2) that are whole messages.
const (
	wsText  = 1
	wsClose = 8
)

func writeFrame(w io.Writer, op byte, payload []byte, masked bool) error {
	b := []byte{0x80 | op}
	mask := byte(0)
	if masked {
		mask = 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b = append(b, mask|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(n))
	}
	if masked {
		key := make([]byte, 4)
		rand.Read(key)
		b = append(b, key...)
		at := len(b)
		b = append(b, payload...)
		for i := range payload {
			b[at+i] ^= key[i%4]
		}
	} else {
		b = append(b, payload...)
	}
	_, err := w.Write(b)
	return err
}

func readFrame(r *bufio.Reader) (op byte, payload []byte, err error) {
	var head [2]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1] & 0x7f)
	switch n {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(r, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(r, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	var key [4]byte
	if head[1]&0x80 != 0 && err == nil {
		_, err = io.ReadFull(r, key[:])
	}
	payload = make([]byte, n)
	if err == nil {
		_, err = io.ReadFull(r, payload)
	}
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	return head[0] & 0xf, payload, err
}

// webSocketEcho is a back end that sends messages back; it says a request's
// method and the number of bytes of any other.
func webSocketEcho(t *testing.T) (address string, ended chan struct{}) {
	ended = make(chan struct{}, 100)
	return behind(t, "http", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" {
			fmt.Fprintf(w, "%s %s", r.Method, r.URL)
			return
		}
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		h := w.Header()
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", "websocket")
		h.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
		w.WriteHeader(101)
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { ended <- struct{}{} }()
		defer c.Close()
		for {
			op, b, err := readFrame(rw.Reader)
			if err != nil || writeFrame(c, op, b, false) != nil || op == wsClose {
				return
			}
		}
	}), ended
}

const sockets = `
[server]
shutdown_timeout = "%s"
[[site]]
listen = ["127.0.0.1:0"]
access_log = "{dir}/access.log"
headers = { set = { X-Site = "1" } }
%s
[[site.route]]
path = "/app"
app = "main"
[[site.route]]
upstream = "ws"
[upstream.ws]
protocol = "http"
servers = ["%s"]
[app.main]
wsgi = "one:app"
`

const wsHello = "GET /chat HTTP/1.1\r\nHost: one.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

// webSocket is a client's.
type webSocket struct {
	io.ReadWriteCloser
	in *bufio.Reader
	t  *testing.T
}

func openWebSocket(t *testing.T, c net.Conn) *webSocket {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, wsHello)
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 101 || res.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || res.Header.Get("X-Site") != "1" {
		t.Fatalf("%v, %v", res, err)
	}
	return &webSocket{c, in, t}
}

func (c *webSocket) echo(text string) {
	c.t.Helper()
	go writeFrame(c, wsText, []byte(text), true)
	if op, b, err := readFrame(c.in); err != nil || op != wsText || string(b) != text {
		c.t.Fatalf("%d: %.40q, %v; want %.40q", op, b, err, text)
	}
}

// ends wants the connection's end.
func (c *webSocket) ends() {
	c.t.Helper()
	if n, err := c.in.Read(make([]byte, 1)); n != 0 || err == nil || strings.Contains(err.Error(), "timeout") {
		c.t.Fatalf("%d bytes, %v; want the end", n, err)
	}
}

// TestWebSocket: messages of any size pass both ways, over TCP and TLS; the
// access log tells of the connection when it has ended.
func TestWebSocket(t *testing.T) {
	for _, secure := range []bool{false, true} {
		address, ended := webSocketEcho(t)
		a, dir := secureSite(t)
		layers, dial := "", func(at string) (net.Conn, error) { return net.Dial("tcp", at) }
		if secure {
			layers = "tls = { certificate = \"{dir}/one.pem\", key = \"{dir}/one.key\", protocols = [\"http/1.1\"] }"
			dial = func(at string) (net.Conn, error) {
				return tls.Dial("tcp", at, &tls.Config{RootCAs: a.roots, ServerName: "one.test"})
			}
			layers = strings.Replace(layers, `, protocols = ["http/1.1"]`, "", 1)
		}
		s := launch(t, parse(t, dir, fmt.Sprintf(sockets, "30s", layers, address)), newFakeApps())
		c, err := dial(s.hostPort("127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		ws := openWebSocket(t, c)
		for _, text := range []string{"hello", strings.Repeat("x", 1000), strings.Repeat("y", 3<<20), ""} {
			ws.echo(text)
		}
		if st := s.Snapshot().Upstreams[0]; st.Upgraded != 1 {
			t.Errorf("the status says %+v", st)
		}
		if b, _ := os.ReadFile(dir + "/access.log"); strings.Contains(string(b), "/chat") {
			t.Errorf("logged before its end: %s", b)
		}
		writeFrame(ws, wsClose, nil, true)
		if op, _, err := readFrame(ws.in); op != wsClose || err != nil {
			t.Errorf("%d, %v; want a close", op, err)
		}
		ws.ends()
		<-ended
		ws.Close()
		eventually(t, "it is logged, with what was sent", func() bool {
			b, _ := os.ReadFile(dir + "/access.log")
			return strings.Contains(string(b), `"GET /chat HTTP/1.1" 101 3146753`)
		})

	}
}

// TestWebSocketStop: a stop lets a WebSocket go on for shutdown_timeout, and
// then cuts it; that is no failure, and the access log has it.
func TestWebSocketStop(t *testing.T) {
	address, ended := webSocketEcho(t)
	dir := t.TempDir()
	s := launch(t, parse(t, dir, fmt.Sprintf(sockets, "1s", "", address)), newFakeApps())
	c, err := net.Dial("tcp", s.hostPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	ws := openWebSocket(t, c)
	ws.echo("before")
	stopped := s.Stop()
	eventually(t, "the server drains", func() bool {
		c, err := net.Dial("tcp", c.RemoteAddr().String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	ws.echo("while it drains")
	ws.ends()
	<-ended
	<-stopped
	if err := <-s.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if b, _ := os.ReadFile(dir + "/access.log"); !strings.Contains(string(b), `"GET /chat HTTP/1.1" 101 `) {
		t.Errorf("the access log has %q", b)
	}
}

// TestWebSocketReload: a reload leaves it alone, unless its back ends have
// changed: then it has shutdown_timeout.
func TestWebSocketReload(t *testing.T) {
	address, ended := webSocketEcho(t)
	dir := t.TempDir()
	s := launch(t, parse(t, dir, fmt.Sprintf(sockets, "500ms", "", address)), newFakeApps())
	c, err := net.Dial("tcp", s.hostPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	ws := openWebSocket(t, c)
	if err := s.reloadTo(parse(t, dir, fmt.Sprintf(sockets, "500ms", "", address))); err != nil {
		t.Fatal(err)
	}
	ws.echo("as before")
	other, _ := webSocketEcho(t)
	if err := s.reloadTo(parse(t, dir, fmt.Sprintf(sockets, "500ms", "", other))); err != nil {
		t.Fatal(err)
	}
	ws.echo("still")
	ws.ends()
	<-ended
}

// TestWebSocketHTTP2: a WebSocket over a stream of HTTP/2, beside requests; and
// a route that has none never seems to have one.
func TestWebSocketHTTP2(t *testing.T) {
	address, ended := webSocketEcho(t)
	a, dir := secureSite(t)
	s := launch(t, parse(t, dir, fmt.Sprintf(sockets, "30s", "tls = { certificate = \"{dir}/one.pem\", key = \"{dir}/one.key\" }", address)), newFakeApps())
	at := s.hostPort("127.0.0.1:0")
	transport := &http2.Transport{DialTLSContext: func(ctx context.Context, _, _ string, _ *tls.Config) (net.Conn, error) {
		return (&tls.Dialer{Config: &tls.Config{RootCAs: a.roots, ServerName: "one.test", NextProtos: []string{"h2"}}}).DialContext(ctx, "tcp", at)
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	connect := func(path, protocol string) (*http.Response, *io.PipeWriter) {
		t.Helper()
		pr, pw := io.Pipe()
		req, _ := http.NewRequest(http.MethodConnect, "https://one.test"+path, pr)
		req.Header[":protocol"] = []string{protocol}
		req.Header.Set("Sec-WebSocket-Version", "13")
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pw.Close(); res.Body.Close() })
		return res, pw
	}
	if res, err := client.Get("https://one.test/x"); err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	res, to := connect("/chat", "websocket")
	if res.StatusCode != 200 || res.ProtoMajor != 2 || res.Header["Sec-Websocket-Accept"] != nil || res.Header["Upgrade"] != nil || res.Header.Get("X-Site") != "1" {
		t.Fatalf("%s %d %v", res.Proto, res.StatusCode, res.Header)
	}
	ws := &webSocket{struct {
		io.Reader
		io.WriteCloser
	}{res.Body, to}, bufio.NewReader(res.Body), t}
	for _, text := range []string{"hello", strings.Repeat("y", 3<<20), ""} {
		ws.echo(text)
	}
	writeFrame(ws, wsClose, nil, true)
	if op, _, err := readFrame(ws.in); op != wsClose || err != nil {
		t.Errorf("%d, %v; want a close", op, err)
	}
	if _, err := ws.in.ReadByte(); err != io.EOF {
		t.Errorf("%v; want the end", err)
	}
	<-ended
	eventually(t, "it is logged", func() bool {
		b, _ := os.ReadFile(dir + "/access.log")
		return strings.Contains(string(b), `"GET /chat HTTP/2.0" 101 3`)
	})

	res, to = connect("/chat", "websocket") // the client leaves
	to.CloseWithError(io.ErrUnexpectedEOF)
	res.Body.Close()
	<-ended

	if res, _ := connect("/app", "websocket"); res.StatusCode != 501 {
		t.Errorf("a route without WebSockets: %d", res.StatusCode)
	}
	if res, _ := connect("/chat", "connect-udp"); res.StatusCode != 400 {
		t.Errorf("another protocol: %d", res.StatusCode)
	}
	if os.Getenv("GODEBUG") != "" && strings.Contains(os.Getenv("GODEBUG"), "http2xconnect") {
		t.Errorf("programs would see GODEBUG=%s", os.Getenv("GODEBUG"))
	}
}

// TestWebSocketChromium: a browser's, over HTTP/1.1 and over HTTP/2.
func TestWebSocketChromium(t *testing.T) {
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: scripts/setup.sh bench installs it")
	}
	for _, secure := range []bool{false, true} {
		address, _ := webSocketEcho(t)
		_, dir := secureSite(t)
		layers, flags := "", []string{"--ignore-certificate-errors"}
		if secure {
			layers = "tls = { certificate = \"{dir}/one.pem\", key = \"{dir}/one.key\", http3 = false }"
		}
		script := "const long = 'z'.repeat(100000); const ws = new WebSocket(location.href.replace('http', 'ws').replace('/page', '/chat'));" +
			"ws.onopen = () => { ws.send('one'); ws.send(long) };" +
			"let got = ''; ws.onmessage = m => { got += m.data; if (got == 'one' + long) ws.close() };" +
			"ws.onclose = e => fetch('/result?clean=' + e.wasClean + '&got=' + got.length)"
		script = strings.ReplaceAll(script, "{", "{{")
		page := "[[site.route]]\npath = \"/page\"\nrespond = { status = 200, type = \"text/html\", body = \"\"\"<script>" + script + "</script>\"\"\" }\n"
		text := strings.Replace(fmt.Sprintf(sockets, "30s", layers, address), "[[site.route]]", page+"[[site.route]]", 1)
		s := launch(t, parse(t, dir, text), newFakeApps())
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		cmd := exec.CommandContext(ctx, program, append(flags, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
			"--disable-extensions", "--disable-background-networking", "--user-data-dir="+t.TempDir()+"/profile", "--remote-debugging-pipe",
			s.url("127.0.0.1:0")+"/page")...)
		pipe, end, err := os.Pipe() // the browser lives until its end is closed
		if err != nil {
			t.Fatal(err)
		}
		cmd.ExtraFiles = []*os.File{pipe, pipe}
		cmd.WaitDelay = 10 * time.Second
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		proto := "HTTP/1.1"
		if secure {
			proto = "HTTP/2.0"
		}
		eventuallyWithin(t, 60*time.Second, "the browser's WebSocket echoes over "+proto, func() bool {
			b, _ := os.ReadFile(dir + "/access.log")
			return strings.Contains(string(b), "/result?clean=true&got=100003") && strings.Contains(string(b), `"GET /chat `+proto+`" 101`)
		})
		end.Close()
		cancel()
		cmd.Wait()
		pipe.Close()
	}
}

// eventuallyWithin is eventually for what takes longer: a browser starts.
func eventuallyWithin(t *testing.T, most time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(most)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Errorf("never: %s", what)
			return
		}
		<-tick.C
	}
}
