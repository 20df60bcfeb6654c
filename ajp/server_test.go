package ajp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"millrace/gateway"
)

func TestServerAnswers(t *testing.T) {
	s := start(t, "tcp", &Server{Handler: echo})
	p := s.dial()
	p.send(request("GET", "/a%20b"))
	p.expect("04 00c8 0002 4f4b 00 0000", "03 000b 474554202f6125323062 20 00", "05 01")
	p.send(appendCPing(nil))
	p.expect("09")
	p.send(appendCPing(nil), request("GET", "/"))
	p.expect("09")
	if a := p.answer(); a.body != "GET / " || !a.reuse {
		t.Errorf("%+v", a)
	}
}

func TestServerBodyInParts(t *testing.T) {
	s := start(t, "tcp", &Server{Handler: echo})
	p := s.dial()
	for range 2 { // on one connection
		p.send(request("POST", "/", length(10000)), appendChunk(nil, bytes.Repeat([]byte("a"), 8000)))
		p.expect("06 07d0") // 2000 are missing
		p.send(appendChunk(nil, bytes.Repeat([]byte("b"), 1500)))
		p.expect("06 01f4") // 500
		p.send(appendChunk(nil, bytes.Repeat([]byte("c"), 500)))
		want := "POST / " + strings.Repeat("a", 8000) + strings.Repeat("b", 1500) + strings.Repeat("c", 500)
		if a := p.answer(); a.body != want || !a.reuse {
			t.Fatalf("%d bytes, reuse %v", len(a.body), a.reuse)
		}
	}
	p.send(request("POST", "/", field{"Transfer-Encoding", "chunked"}))
	p.expect("06 1ffa")
	p.send(appendChunk(nil, []byte("x")))
	p.expect("06 1ffa")
	p.send(unhex(t, "1234 0002 0000"))
	if a := p.answer(); a.body != "POST / x" || !a.reuse {
		t.Errorf("without a length: %+v", a)
	}
}

func TestServerBodyTooShort(t *testing.T) {
	s := start(t, "tcp", &Server{Handler: echo})
	p := s.dial()
	p.send(request("POST", "/", length(5)), appendChunk(nil, []byte("abc")))
	p.expect("06 0002")
	p.send(appendChunk(nil, nil))
	if a := p.answer(); a.Status != 400 || !strings.Contains(a.body, "2 bytes short") {
		t.Errorf("%+v", a)
	}
}

// A body that nobody reads is not asked for; its first part, which comes
// unasked, must have come before the connection can be used again.
func TestServerUnreadBody(t *testing.T) {
	first := make(chan struct{})
	s := start(t, "tcp", &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			_, _ = r.Body.Read(make([]byte, 1))
		}
		close(first)
	})})
	p := s.dial()
	p.send(request("POST", "/wait", length(10000)), appendChunk(nil, bytes.Repeat([]byte("a"), 8186)))
	if a := p.answer(); !a.reuse {
		t.Error("the first part was read, and the connection is closed")
	}
	first = make(chan struct{})
	p.send(request("POST", "/", length(10000)))
	<-first
	if a := p.answer(); !a.whole || a.reuse {
		t.Errorf("the first part is on its way, and the connection stays: %+v", a)
	}
	p.send(appendChunk(nil, bytes.Repeat([]byte("a"), 8186)))
	p.ended()
}

func TestServerRefusesToBeReached(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", "[::]:0", ":0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("%s: %v", address, err) // no IPv6 here
			continue
		}
		if err := (&Server{}).Serve(l); err == nil || !strings.Contains(err.Error(), "Secret") {
			t.Errorf("%s without a secret: %v", address, err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s is left open: %v", address, err)
		}
	}
	if private(nil) || private(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}) || private(&net.TCPAddr{}) || !private(&net.TCPAddr{IP: net.IPv6loopback}) || !private(&net.TCPAddr{IP: net.ParseIP("::ffff:127.0.0.2")}) {
		t.Error("what is private")
	}
	a, b := net.Pipe()
	log := &logged{}
	s := &Server{Log: newLog(log)}
	s.ServeConn(foreign{a})
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a foreign connection: %v", err)
	}
	if err := s.Shutdown(context.Background()); err != nil || !strings.Contains(log.String(), "a connection is refused") {
		t.Errorf("%v, %s", err, log)
	}
}

// foreign is a connection that came from elsewhere.
type foreign struct{ net.Conn }

func (foreign) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 8009} }

func TestServerSecret(t *testing.T) {
	secret := func(s string) []byte { return withAttributes(attribute{code: attrSecret, value: s}) }
	for _, test := range []struct {
		name    string
		request []byte
		status  int
		log     string
	}{
		{"right", secret("abc"), 200, ""},
		{"none", withAttributes(), 403, "the request has no secret"},
		{"wrong", secret("abd"), 403, "the request's secret is wrong"},
		{"a part", secret("ab"), 403, "the request's secret is wrong"},
		{"empty", secret(""), 403, "the request's secret is wrong"},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := false
			s := start(t, "tcp", &Server{Secret: "abc", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = true
				for _, param := range gateway.FrontOf(r.Context()).Params {
					if strings.Contains(param.Value, "abc") {
						t.Errorf("the secret is told: %v", param)
					}
				}
			})})
			p := s.dial()
			p.send(test.request)
			a := p.answer()
			if a.Head == nil || a.Status != test.status || asked != (test.status == 200) || a.reuse != asked {
				t.Errorf("%+v; the handler was asked: %v", a, asked)
			}
			if test.log != "" {
				p.ended()
				s.logsOnce(p, test.log)
			}
		})
	}
}

func TestServerAllow(t *testing.T) {
	s := start(t, "tcp", &Server{Handler: echo, Allow: func(net.Addr) bool { return false }})
	p := s.dial()
	p.ended()
	s.logsOnce(p, "this peer may not connect")
}

// What breaks the protocol ends the connection without an answer, or with one
// that says no, and is logged once.
func TestServerRefuses(t *testing.T) {
	tests := []struct {
		name   string
		packet []byte
		status int // 0: no answer
		log    string
	}{
		{"magic", unhex(t, "4142 0001 0a"), 0, "a packet begins with 0x4142"},
		{"large", unhex(t, "1234 1ffd 02"), 0, "PacketSize is 8192"},
		{"shutdown", unhex(t, "1234 0001 07"), 0, "SHUTDOWN is not obeyed"},
		{"ping", unhex(t, "1234 0001 08"), 0, "PING"},
		{"type", unhex(t, "1234 0001 03"), 0, "unknown message type 3"},
		{"cping with more", unhex(t, "1234 0002 0a00"), 0, "CPING of 2 bytes"},
		{"empty packets", unhex(t, "1234 0000 1234 0000"), 0, "empty packets"},
		{"malformed", unhex(t, "1234 0002 0202"), 400, "the packet ends"},
		{"both lengths", request("POST", "/", length(1), field{"Transfer-Encoding", "chunked"}), 400, "both Content-Length and Transfer-Encoding"},
		{"two lengths", request("POST", "/", length(1), length(2)), 400, "two lengths of the body"},
		{"two lengths, one uncoded", request("POST", "/", length(1), field{"content-length", "2"}), 400, "two lengths of the body"},
		{"bad length", request("POST", "/", field{"Content-Length", "+1"}), 400, "bad length"},
		{"other coding", request("POST", "/", field{"Transfer-Encoding", "gzip, chunked"}), 400, "Transfer-Encoding"},
		{"bad method", request("G T", "/"), 400, "REQUEST_METHOD"},
		{"control in the path", request("GET", "/a%0ab"), 400, "control character"},
		{"line break in a header", request("GET", "/", field{"X-A", "b\r\nc"}), 400, "control character"},
		{"ghostcat", withAttributes(attribute{code: attrRequest, name: "javax.servlet.include.path_info", value: "/WEB-INF/web.xml"}), 403, "javax.servlet.include.path_info"},
		{"attribute", withAttributes(attribute{code: attrRequest, name: "OTHER", value: "x"}), 403, "OTHER"},
		{"header by attribute", withAttributes(attribute{code: attrRequest, name: "HTTP_X", value: "x"}), 403, "HTTP_X"},
		{"computed by attribute", withAttributes(attribute{code: attrRequest, name: "REMOTE_USER", value: "x"}), 403, "REMOTE_USER"},
		{"port", withAttributes(attribute{code: attrRequest, name: "AJP_REMOTE_PORT", value: "1/2"}), 400, "is no port"},
		{"many bytes", request("GET", "/"+strings.Repeat("a", 5000)), 431, "MaxParams is 4096"},
		{"unasked body", append(request("GET", "/"), appendChunk(nil, []byte("x"))...), -1, "that were not asked for"},
		{"unasked body without a length", append(request("POST", "/", field{"Transfer-Encoding", "chunked"}), appendChunk(nil, []byte("x"))...), -1, "not asked for"},
		{"body of more than its length", append(request("POST", "/", length(1)), appendChunk(nil, []byte("xy"))...), -1, "not asked for"},
		{"malformed chunk", append(request("POST", "/", length(1)), unhex(t, "1234 0003 0002 68")...), -1, "announces 2 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			allow := []string{"javax.servlet.include.path_info", "HTTP_X", "REMOTE_USER"}
			s := start(t, "tcp", &Server{MaxParams: 4096, AllowAttributes: allow, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if test.status >= 0 {
					t.Error("the handler is asked")
				}
				<-r.Context().Done()
			})})
			other := s.dial()
			p := s.dial()
			p.send(test.packet)
			a := p.answer()
			switch {
			case test.status > 0 && (a.Head == nil || a.Status != test.status || a.reuse):
				t.Errorf("%+v; want %d", a, test.status)
			case test.status <= 0 && a.whole:
				t.Errorf("answered: %+v", a)
			}
			p.ended()
			s.logsOnce(p, test.log)
			other.send(appendCPing(nil)) // is untouched
			other.expect("09")
		})
	}
}

func TestServerParams(t *testing.T) {
	var front *gateway.Front
	var got *http.Request
	s := start(t, "tcp", &Server{AllowAttributes: []string{"MY_THING", "SSL_CLIENT_S_DN"}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		front, got = gateway.FrontOf(r.Context()), r
	})})
	f := &forward{method: "GET", protocol: "HTTP/1.1", uri: "/a%2Fb%C3%A9", remoteAddr: "192.0.2.7", remoteHost: "client", serverName: "example.org", serverPort: 443, ssl: true,
		headers: []field{{"Host", "example.org"}, {"X-A", "1"}, {"x-a", "2"}, {"Remote_User", "forged"}, {"Proxy", "evil"}, {"Connection", "X-A"}, {"content-type", "t"}},
		attributes: []attribute{
			{code: attrRemoteUser, value: "joe"}, {code: attrAuthType, value: "Basic"}, {code: attrQueryString, value: "x=%20"}, {code: attrRoute, value: "r"},
			{code: attrSSLCert, value: "C"}, {code: attrSSLCipher, value: "H"}, {code: attrSSLSession, value: "S"}, {code: attrSSLKeySize, size: 256},
			{code: attrRequest, name: "AJP_REMOTE_PORT", value: "4711"}, {code: attrRequest, name: "AJP_LOCAL_ADDR", value: "192.0.2.1"},
			{code: attrRequest, name: "AJP_SSL_PROTOCOL", value: "TLSv1.3"}, {code: attrRequest, name: "MY_THING", value: "a b"}, {code: attrRequest, name: "SSL_CLIENT_S_DN", value: "CN=x"},
		}}
	b, _ := f.append(nil, DefaultPacketSize)
	p := s.dial()
	p.send(b)
	if a := p.answer(); a.Head == nil || a.Status != 200 {
		t.Fatalf("%+v\n%s", a, s.log)
	}
	want := map[string]string{
		"REQUEST_METHOD": "GET", "REQUEST_URI": "/a%2Fb%C3%A9?x=%20", "QUERY_STRING": "x=%20", "SERVER_PROTOCOL": "HTTP/1.1",
		"SERVER_NAME": "example.org", "SERVER_PORT": "443", "REMOTE_ADDR": "192.0.2.7", "REMOTE_HOST": "client", "REMOTE_PORT": "4711",
		"SERVER_ADDR": "192.0.2.1", "REQUEST_SCHEME": "https", "HTTPS": "on", "HTTP_HOST": "example.org", "CONTENT_TYPE": "t",
		"REMOTE_USER": "joe", "AUTH_TYPE": "Basic", "JVM_ROUTE": "r", "SSL_CLIENT_CERT": "C", "SSL_CIPHER": "H", "SSL_SESSION_ID": "S",
		"SSL_CIPHER_USEKEYSIZE": "256", "SSL_PROTOCOL": "TLSv1.3", "MY_THING": "a b", "SSL_CLIENT_S_DN": "CN=x", "HTTP_X_A": "2",
	}
	for _, param := range front.Params {
		if value, ok := want[param.Name]; !ok {
			t.Errorf("%s = %q is there, too", param.Name, param.Value)
		} else if value != param.Value && param.Name != "HTTP_X_A" {
			t.Errorf("%s = %q; want %q", param.Name, param.Value, value)
		}
	}
	for name := range want {
		if _, ok := gateway.Lookup(front.Params, name); !ok {
			t.Errorf("%s is missing", name)
		}
	}
	if front.Protocol != "ajp" || front.PathInfo != "/a/bé" || front.HasPathInfo || got.URL.RawPath != "/a%2Fb%C3%A9" || got.RemoteAddr != "192.0.2.7:4711" ||
		got.TLS == nil || got.Header.Get("X-A") != "1, 2" || len(got.Header) != 2 {
		t.Errorf("%+v\n%+v", front, got)
	}
}

func TestServerPaths(t *testing.T) {
	tests := []struct {
		uri      string
		lighttpd bool
		path     string
	}{
		{"/a%20b", false, "/a b"},
		{"/a b", false, "/a b"},     // no encoded path has a space
		{"/100%", false, "/100%"},   // nor this
		{"/a?b", false, "/a?b"},     // nor this
		{"/a%2541", false, "/a%41"}, // decoded once
		{"/a%41", true, "/a%41"},
		{"/a%20b?", true, "/a%20b?"},
		{"/é", false, "/é"},
		{"*", false, "*"},
	}
	for _, test := range tests {
		path := ""
		s := start(t, "tcp", &Server{Lighttpd: test.lighttpd, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			path = gateway.FrontOf(r.Context()).PathInfo
		})})
		p := s.dial()
		p.send(request("OPTIONS", test.uri))
		if a := p.answer(); a.Head == nil || a.Status != 200 || path != test.path {
			t.Errorf("%q: %q; want %q (%+v)", test.uri, path, test.path, a)
		}
	}
}

// lighttpd sends an empty packet after a request without a body, and the parts
// of a body without their inner length.
func TestServerLighttpd(t *testing.T) {
	for _, said := range []bool{false, true} {
		s := start(t, "tcp", &Server{Lighttpd: said, Handler: echo})
		p := s.dial()
		for range 3 {
			p.send(request("GET", "/", length(0)), unhex(t, "1234 0000"))
			if a := p.answer(); a.body != "GET / " {
				t.Errorf("%+v", a)
			}
		}
		p.send(request("POST", "/", length(10000)), patch(append(beginPacket(nil, toBackEnd), bytes.Repeat([]byte("a"), 8188)...)))
		p.expect("06 0714")
		p.send(patch(append(beginPacket(nil, toBackEnd), bytes.Repeat([]byte("b"), 1000)...)))
		p.expect("06 032c")
		p.send(patch(append(beginPacket(nil, toBackEnd), bytes.Repeat([]byte("c"), 812)...)))
		if a := p.answer(); a.body != "POST / "+strings.Repeat("a", 8188)+strings.Repeat("b", 1000)+strings.Repeat("c", 812) {
			t.Errorf("%d bytes of body", len(a.body))
		}
		if told := strings.Count(s.log.String(), "Server.Lighttpd"); told != 1 && !said || told != 0 && said {
			t.Errorf("told %d times:\n%s", told, s.log)
		}
	}
	s := start(t, "tcp", &Server{Lighttpd: true, Handler: echo})
	p := s.dial()
	p.send(request("POST", "/", length(2)), unhex(t, "1234 0002 0000")) // two NULs
	if a := p.answer(); a.body != "POST / \x00\x00" {
		t.Errorf("%+v", a)
	}
	p.send(request("POST", "/", field{"Transfer-Encoding", "chunked"})) // Apache, all the same
	p.expect("06 1ffa")
	p.send(unhex(t, "1234 0002 0000"))
	if a := p.answer(); a.body != "POST / " {
		t.Errorf("%+v", a)
	}
}

func TestServerBodyless(t *testing.T) {
	s := start(t, "tcp", &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(http.StatusNoContent)
		case "/304":
			w.Header().Set("Etag", "e")
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Header().Set("Content-Length", "5")
		}
		_, _ = io.WriteString(w, "12345")
	})})
	p := s.dial()
	p.send(request("HEAD", "/"))
	if a := p.answer(); a.Status != 200 || a.ContentLength != 5 || a.body != "" || !a.reuse {
		t.Errorf("HEAD: %+v", a)
	}
	for path, status := range map[string]int{"/204": 204, "/304": 304} {
		p.send(request("GET", path))
		if a := p.answer(); a.Status != status || a.body != "" || !a.reuse {
			t.Errorf("%s: %+v", path, a)
		}
	}
}

// A flush sends what is there, and tells Apache to pass it on.
func TestServerFlush(t *testing.T) {
	on := make(chan struct{})
	s := start(t, "tcp", &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_, _ = io.WriteString(w, "a")
		_ = rc.Flush()
		_ = rc.Flush() // says nothing new
		<-on
		_, _ = io.WriteString(w, "b")
		_ = rc.Flush()
	})})
	p := s.dial()
	p.send(request("GET", "/"))
	p.expect("04 00c8 0002 4f4b 00 0000", "03 0001 61 00", "03 0000 00")
	close(on)
	p.expect("03 0001 62 00", "03 0000 00", "05 01")
}

func TestServerLargePackets(t *testing.T) {
	body := strings.Repeat("0123456789", 20000)
	s := start(t, "tcp", &Server{PacketSize: MaxPacketSize, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Large", strings.Repeat("h", 60000))
		_, _ = w.Write(b)
	})})
	p := s.dial()
	p.send(request("POST", "/"+strings.Repeat("a", 60000), length(len(body))), appendChunk(nil, []byte(body[:65530])))
	for at := 65530; at < len(body); {
		n := min(65530, len(body)-at)
		if ask, err := parseGetBody(p.next()); err != nil || ask != n {
			t.Fatalf("asked for %d, %v; want %d", ask, err, n)
		}
		p.send(appendChunk(nil, []byte(body[at:at+n])))
		at += n
	}
	if a := p.answer(); a.body != body || len(a.Header.Get("X-Large")) != 60000 {
		t.Errorf("%d bytes of body, %d of header", len(a.body), len(a.Header.Get("X-Large")))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := (&Server{PacketSize: 1000}).Serve(l); err == nil || !strings.Contains(err.Error(), "PacketSize 1000") {
		t.Errorf("a small one: %v", err)
	}
}

func TestServerHeadTooLarge(t *testing.T) {
	s := start(t, "tcp", &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Large", strings.Repeat("h", 8200))
		if _, err := io.WriteString(w, "body"); err == nil {
			t.Error("the handler does not learn of it")
		}
	})})
	p := s.dial()
	p.send(request("GET", "/x"))
	if a := p.answer(); a.Status != 500 || a.body != "" || a.reuse || !a.whole {
		t.Errorf("%+v", a)
	}
	p.ended()
	s.logsOnce(p, "raise PacketSize")
}

func TestServerPanicAndAbort(t *testing.T) {
	s := start(t, "tcp", &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/panic":
			panic("boo")
		case "/short":
			w.Header().Set("Content-Length", "5")
			_, _ = io.WriteString(w, "1234")
		default:
			_, _ = io.WriteString(w, "part")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})})
	p := s.dial()
	p.send(request("GET", "/panic"))
	if a := p.answer(); a.Status != 500 || !a.reuse || !strings.Contains(s.log.String(), "boo") {
		t.Errorf("%+v, log %s", a, s.log)
	}
	p.send(request("GET", "/abort"))
	if a := p.answer(); a.body != "part" || a.whole {
		t.Errorf("cut short: %+v", a)
	}
	p = s.dial()
	p.send(request("GET", "/short"))
	if a := p.answer(); a.whole {
		t.Errorf("shorter than announced: %+v", a)
	}
}

// A front server that hangs up cancels the handler's context, in the middle of
// a response, and while a part of the body waits for a reader.
func TestServerAbort(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		began, ended := make(chan struct{}), make(chan error)
		s := start(t, network, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/read" {
				_, _ = r.Body.Read(make([]byte, 1))
			}
			began <- struct{}{}
			<-r.Context().Done()
			_, err := io.ReadAll(r.Body)
			ended <- err
		})})
		for _, path := range []string{"/", "/read"} {
			p := s.dial()
			p.send(request("POST", path, length(10000)), appendChunk(nil, bytes.Repeat([]byte("a"), 8186)))
			<-began
			p.Close()
			if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the body ends with %v", err)
			}
		}
	}
}

func TestServerTimeouts(t *testing.T) {
	s := start(t, "tcp", &Server{Handler: echo, IdleTimeout: 500 * time.Millisecond, HeadTimeout: 500 * time.Millisecond})
	p := s.dial()
	p.ended() // without a request
	if s.log.String() != "" {
		t.Errorf("an idle connection is logged: %s", s.log)
	}
	p = s.dial()
	p.send(request("GET", "/"))
	p.answer()
	p.ended() // after one
	s = start(t, "tcp", &Server{HeadTimeout: 30 * time.Millisecond})
	p = s.dial()
	p.send(request("GET", "/")[:20])
	p.ended()
	s.logsOnce(p, "not complete in time")
	if s.Handler = nil; s.handler() != http.DefaultServeMux {
		t.Error("no handler is not the default one")
	}
}

// While a handler runs no time limit of ours holds; its own does.
func TestServerReadDeadline(t *testing.T) {
	s := start(t, "tcp", &Server{HeadTimeout: time.Nanosecond, IdleTimeout: time.Hour, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		_, err := io.ReadAll(r.Body)
		if !errors.Is(err, os.ErrDeadlineExceeded) || r.Context().Err() != nil {
			t.Errorf("%v; the context: %v", err, r.Context().Err())
		}
		_, _ = io.WriteString(w, "late")
	})})
	p := s.dial()
	p.send(request("POST", "/", length(3)))
	if a := p.answer(); a.body != "late" || a.reuse {
		t.Errorf("%+v", a)
	}
	p.ended()
}

func TestServerShutdown(t *testing.T) {
	began, on := make(chan struct{}), make(chan struct{})
	s := start(t, "tcp", &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-on
		_, _ = io.WriteString(w, "done")
	})})
	idle, p := s.dial(), s.dial()
	idle.send(appendCPing(nil))
	idle.expect("09")
	p.send(request("GET", "/"))
	<-began
	down := make(chan error)
	go func() { down <- s.Shutdown(context.Background()) }()
	eventually(t, "draining", func() bool { _, err := net.Dial("tcp", s.address); return err != nil })
	idle.send(appendCPing(nil)) // gets no answer: the front server goes elsewhere
	idle.ended()
	close(on)
	if a := p.answer(); a.body != "done" || a.reuse {
		t.Errorf("%+v", a)
	}
	p.Close()
	if err := <-down; err != nil {
		t.Error(err)
	}
}

// A body read after the handler's return fails, and asks for nothing.
func TestServerBodyAfterReturn(t *testing.T) {
	var body io.Reader
	s := start(t, "tcp", &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 10))
		body = r.Body
	})})
	p := s.dial()
	p.send(request("POST", "/", length(100)), appendChunk(nil, []byte("0123456789")))
	p.answer()
	if _, err := body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Error(err)
	}
	p.send(appendCPing(nil))
	p.expect("09")
}

// A reader that outlives its handler is woken, and asks for nothing.
func TestServerReaderLeftBehind(t *testing.T) {
	left := make(chan error, 1)
	s := start(t, "tcp", &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 1))
		body := r.Body
		go func() {
			_, err := body.Read(make([]byte, 1))
			left <- err
		}()
		_ = http.NewResponseController(w).Flush()
	})})
	p := s.dial()
	p.send(request("POST", "/", length(100)), appendChunk(nil, []byte("0")))
	for {
		payload := p.next()
		if payload[0] == typeEndResponse {
			break
		}
	}
	if err := <-left; !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Error(err)
	}
	c := &serverConn{server: s.Server, chunk: -1}
	if err := c.ask(&requestBody{}, 1); !errors.Is(err, http.ErrBodyReadAfterClose) || len(c.out) > 0 {
		t.Errorf("%v, % x", err, c.out)
	}
}
