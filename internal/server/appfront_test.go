package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/gateway"
	"millrace/internal/config"
	"millrace/internal/listen"
	"millrace/internal/pool"
)

// listening is an app at an address of each kind for every protocol.
func listening() string {
	var b strings.Builder
	b.WriteString("[server]\nbody_timeout = \"500ms\"\n[app.main]\nwsgi = \"one:app\"\n")
	for _, protocol := range config.Protocols() {
		fmt.Fprintf(&b, "[[app.main.listen]]\nprotocol = %q\naddress = \"127.0.0.1:0\"\n", protocol)
		fmt.Fprintf(&b, "[[app.main.listen]]\nprotocol = %q\naddress = \"unix:{dir}/%s.sock\"\nmode = \"0600\"\n", protocol, protocol)
	}
	return b.String()
}

// dialAddress is where an app answers over a protocol, as gateway.Dial takes
// it.
func (s *serving) dialAddress(app, protocol string, ofUnix bool) string {
	s.t.Helper()
	for _, a := range s.Snapshot().Listen {
		if a.App != app || a.Protocol != protocol {
			continue
		}
		if _, path, ok := strings.Cut(a.URL, "+unix:"); ok == ofUnix {
			if ofUnix {
				return "unix:" + path
			}
			_, host, _ := strings.Cut(a.URL, "://")
			return host
		}
	}
	s.t.Fatalf("app %s answers nowhere over %s", app, protocol)
	return ""
}

// client speaks a protocol to an address.
func client(t *testing.T, protocol, address string) *http.Client {
	t.Helper()
	u := &config.Upstream{Protocol: protocol, ConnectTimeout: 5 * time.Second, Timeout: 20 * time.Second}
	if tripper := newRoundTripper(address, u, 0); tripper != nil {
		if c, ok := tripper.(io.Closer); ok {
			t.Cleanup(func() { c.Close() })
		}
		return &http.Client{Transport: gateway.Transport{RoundTripper: tripper}}
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return gateway.Dial(ctx, address, 0)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func wantAnswer(t *testing.T, c *http.Client, path, body string, code int, want string) {
	t.Helper()
	var res *http.Response
	var err error
	if body == "" {
		res, err = c.Get("http://h.example" + path)
	} else {
		res, err = c.Post("http://h.example"+path, "a/b", strings.NewReader(body))
	}
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); err != nil || res.StatusCode != code || strings.TrimSpace(string(got)) != want {
		t.Errorf("%s: %d %q, %v; want %d %q", path, res.StatusCode, got, err, code, want)
	}
}

// everyWay runs a test for each protocol over TCP and Unix sockets.
func everyWay(t *testing.T, test func(t *testing.T, protocol string, ofUnix bool)) {
	for _, protocol := range config.Protocols() {
		for _, ofUnix := range []bool{false, true} {
			name := protocol + "/tcp"
			if ofUnix {
				name = protocol + "/unix"
			}
			t.Run(name, func(t *testing.T) { test(t, protocol, ofUnix) })
		}
	}
}

// TestAppListeners: one pool behind all protocols at once.
func TestAppListeners(t *testing.T) {
	dir := t.TempDir()
	s := launch(t, parse(t, dir, listening()), newFakeApps())
	everyWay(t, func(t *testing.T, protocol string, ofUnix bool) {
		c := client(t, protocol, s.dialAddress("main", protocol, ofUnix))
		for range 3 {
			wantAnswer(t, c, "/a%20b", "", 200, "main one:app /a b 0")
			wantAnswer(t, c, "/", strings.Repeat("x", 300<<10), 200, fmt.Sprintf("main one:app / %d", 300<<10))
		}
		wantAnswer(t, c, "/a/%2e%2e/b", "", 400, "400 bad request: dot segment in the path")
		if ofUnix {
			if fi, err := os.Lstat(dir + "/" + protocol + ".sock"); err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v", fi.Mode(), err)
			}
		}
	})
	if n := len(s.Snapshot().Listen); n != 2*len(config.Protocols()) {
		t.Errorf("%d addresses", n)
	}
}

// TestAppConnections: the status tells who is connected.
func TestAppConnections(t *testing.T) {
	s := launch(t, parse(t, t.TempDir(), listening()), newFakeApps())
	everyWay(t, func(t *testing.T, protocol string, ofUnix bool) {
		address := s.dialAddress("main", protocol, ofUnix)
		connected := func() (n int) {
			for _, a := range s.Snapshot().Listen {
				if strings.HasSuffix(a.URL, strings.TrimPrefix(address, "unix:")) && a.Protocol == protocol {
					n += a.Connections
				}
			}
			return n
		}
		before := connected()
		var conns []net.Conn
		for range 3 {
			conn, err := gateway.Dial(t.Context(), address, 0)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
		eventually(t, "three more are connected", func() bool { return connected() == before+3 })
		for _, conn := range conns {
			conn.Close()
		}
		eventually(t, "they are gone", func() bool { return connected() == before })
	})
}

// TestAppBodyTimeout: a front server that stops in the middle of a body is
// not waited for.
func TestAppBodyTimeout(t *testing.T) {
	s := launch(t, parse(t, t.TempDir(), listening()), newFakeApps())
	everyWay(t, func(t *testing.T, protocol string, ofUnix bool) {
		stuck, end := io.Pipe()
		c := client(t, protocol, s.dialAddress("main", protocol, ofUnix))
		req, err := http.NewRequest("POST", "http://h/", io.MultiReader(strings.NewReader(strings.Repeat("x", 100<<10)), stuck))
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = 200 << 10 // more than any client sends in one piece
		go func() {
			defer end.Close() // a client need not look at an answer before it has sent all
			if err := <-s.apps.get("main").broken; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the body: %v", err)
			}
		}()
		res, err := c.Do(req)
		if err != nil {
			return
		}
		defer res.Body.Close()
		if res.StatusCode != 408 {
			t.Errorf("status %d", res.StatusCode)
		}
	})
}

// TestAppStopDrains: what runs is answered, over every protocol.
func TestAppStopDrains(t *testing.T) {
	everyWay(t, func(t *testing.T, protocol string, ofUnix bool) {
		apps := newFakeApps()
		release := apps.hold("main")
		defer release()
		s := launch(t, parse(t, t.TempDir(), listening()), apps)
		address := s.dialAddress("main", protocol, ofUnix)
		c := client(t, protocol, address)
		done := make(chan struct{})
		go func() {
			defer close(done)
			wantAnswer(t, c, "/hold", "", 200, "main one:app /hold 0")
		}()
		<-apps.get("main").inside
		stopped := s.Stop()
		eventually(t, "nobody can connect", func() bool {
			conn, err := gateway.Dial(t.Context(), address, 0)
			if err == nil {
				conn.Close()
			}
			return err != nil
		})
		select {
		case <-stopped:
			t.Fatal("stopped while a request runs")
		default:
		}
		release()
		<-done
		if err := <-s.ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestAppStopCuts: what does not end in time is cut, over every protocol, and
// the stop does not wait for a handler that does not look.
func TestAppStopCuts(t *testing.T) {
	everyWay(t, func(t *testing.T, protocol string, ofUnix bool) {
		t.Parallel()
		apps := newFakeApps()
		release := apps.hold("main")
		plan := parse(t, t.TempDir(), listening())
		plan.Config.Server.ShutdownTimeout = 100 * time.Millisecond
		s := launch(t, plan, apps)
		c := client(t, protocol, s.dialAddress("main", protocol, ofUnix))
		got := make(chan error, 1)
		go func() {
			res, err := c.Get("http://h/hold")
			if err == nil {
				res.Body.Close()
				err = fmt.Errorf("status %d", res.StatusCode)
			}
			got <- err
		}()
		<-apps.get("main").inside
		s.Stop()
		if err := <-got; strings.HasPrefix(err.Error(), "status") {
			t.Errorf("answered: %v", err)
		}
		eventually(t, "the app is stopped", func() bool {
			select {
			case <-apps.get("main").done:
				return true
			default:
				return false
			}
		})
		release()
		if err := <-s.ended; err == nil || !strings.Contains(err.Error(), "cut off") {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestAppAllow: who is not allowed is refused, and that is logged once.
func TestAppAllow(t *testing.T) {
	for _, protocol := range config.Protocols() {
		t.Run(protocol, func(t *testing.T) {
			text := "[app.main]\nwsgi = \"one:app\"\n[[app.main.listen]]\nprotocol = \"" + protocol + "\"\naddress = \"127.0.0.1:0\"\nallow = \"192.0.2.0/24\"\n"
			s := launch(t, parse(t, t.TempDir(), text), newFakeApps())
			address := s.dialAddress("main", protocol, false)
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("got %d bytes, %v", n, err)
			}
			peer := c.LocalAddr().String()
			eventually(t, "it is logged", func() bool { return strings.Contains(s.log.String(), "peer="+peer) })
			if n := strings.Count(s.log.String(), peer); n != 1 {
				t.Errorf("the log:\n%s", s.log)
			}
			// A reload lets it in; the address stays open meanwhile.
			plan := parse(t, t.TempDir(), strings.Replace(text, "192.0.2.0/24", "127.0.0.1", 1))
			if err := s.reloadTo(plan); err != nil {
				t.Fatal(err)
			}
			if now := s.dialAddress("main", protocol, false); now != address {
				t.Errorf("moved from %s to %s", address, now)
			}
			wantAnswer(t, client(t, protocol, address), "/", "", 200, "main one:app / 0")
		})
	}
}

func TestPermitted(t *testing.T) {
	allow := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("fe80::1/128")}
	for address, want := range map[string]bool{
		"192.0.2.7:1": true, "192.0.3.1:1": false, "[::ffff:192.0.2.7]:1": true, "[2001:db8::9]:1": true, "[2001:db9::9]:1": false, "[fe80::1%eth0]:1": true,
	} {
		a := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
		if permitted(allow, a) != want || !permitted(nil, a) {
			t.Errorf("%s: want %v", address, want)
		}
	}
	if !permitted(allow, &net.UnixAddr{Name: "@"}) {
		t.Error("a Unix socket's client has no address to be refused for")
	}
}

// TestAppPaths: the mount, and what front servers say of the path.
func TestAppPaths(t *testing.T) {
	app := func(mount string) http.Handler {
		b := &builder{server: &Server{}, plan: &Plan{Config: &config.Config{}}, apps: map[string]*running{"main": {app: newFakeApps().new(pool.Config{Name: "main"})}}}
		m, err := b.appMount("main", &config.AppListen{Protocol: "scgi", Mount: mount})
		if err != nil {
			t.Fatal(err)
		}
		return m.handler
	}
	for name, tt := range map[string]struct {
		params []gateway.Param
		status int
	}{
		"empty path": {[]gateway.Param{{Name: "SCRIPT_NAME", Value: ""}, {Name: "PATH_INFO", Value: ""}}, 200},
		"no slash":   {[]gateway.Param{{Name: "PATH_INFO", Value: "x"}}, 400},
		"dots":       {[]gateway.Param{{Name: "SCRIPT_NAME", Value: "/a"}, {Name: "PATH_INFO", Value: "/../b"}}, 400},
		"asterisk":   {[]gateway.Param{{Name: "REQUEST_URI", Value: "*"}}, 400},
	} {
		params := append([]gateway.Param{{Name: "REQUEST_METHOD", Value: "GET"}}, tt.params...)
		r, err := gateway.ToHTTP(t.Context(), gateway.Incoming{Protocol: "scgi", Params: params})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		app("").ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("%s: %d, want %d", name, w.Code, tt.status)
		}
	}
	w := httptest.NewRecorder()
	app("/shop").ServeHTTP(w, httptest.NewRequest("GET", "/shop/x", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), " /shop/shop/x ") { // the fake says both
		t.Errorf("%d %q", w.Code, w.Body)
	}
	for _, bad := range []*http.Request{httptest.NewRequest("CONNECT", "x:1", nil), httptest.NewRequest("OPTIONS", "*", nil)} {
		w := httptest.NewRecorder()
		app("").ServeHTTP(w, bad)
		if w.Code < 400 {
			t.Errorf("%s: %d", bad.Method, w.Code)
		}
	}
}

// TestReloadAppListeners: new ones are opened before anything changes, those
// that are the same stay, removed ones drain, and a socket that changes its
// protocol, its app or its mode is never closed.
func TestReloadAppListeners(t *testing.T) {
	dir := t.TempDir()
	text := func(listens ...string) string {
		return "[app.main]\nwsgi = \"one:app\"\n[app.other]\nwsgi = \"two:app\"\n" + strings.Join(listens, "")
	}
	at := func(app, protocol, address, more string) string {
		return fmt.Sprintf("[[app.%s.listen]]\nprotocol = %q\naddress = %q\n%s\n", app, protocol, address, more)
	}
	a, b, c := "unix:"+dir+"/a.sock", "unix:"+dir+"/b.sock", "unix:"+dir+"/c.sock"
	apps := newFakeApps()
	release := apps.hold("main")
	defer release()
	s := launch(t, parse(t, dir, text(at("main", "scgi", a, `mode = "0600"`), at("main", "http", b, ""), at("main", "uwsgi", c, ""))), apps)
	kept := s.fronts[a]
	was, err := os.Lstat(dir + "/b.sock")
	if err != nil {
		t.Fatal(err)
	}
	held := make(chan struct{})
	go func() {
		defer close(held)
		wantAnswer(t, client(t, "uwsgi", c), "/hold", "", 200, "main one:app /hold 0")
	}()
	<-apps.get("main").inside

	d := "unix:" + dir + "/d.sock"
	if err := s.reloadTo(parse(t, dir, text(at("main", "scgi", a, `mode = "0660"`), at("other", "scgi", b, ""), at("other", "http", d, "")))); err != nil {
		t.Fatal(err)
	}
	if s.fronts[a] != kept {
		t.Error("an address that is the same has another front")
	}
	if fi, err := os.Lstat(dir + "/a.sock"); err != nil || fi.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if now, err := os.Lstat(dir + "/b.sock"); err != nil || !os.SameFile(was, now) {
		t.Errorf("the socket was made anew: %v", err)
	}
	wantAnswer(t, client(t, "scgi", a), "/x", "", 200, "main one:app /x 0")
	wantAnswer(t, client(t, "scgi", b), "/x", "", 200, "other two:app /x 0")
	wantAnswer(t, client(t, "http", d), "/x", "", 200, "other two:app /x 0")
	if _, err := os.Lstat(dir + "/c.sock"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the removed one: %v", err)
	}
	release()
	<-held

	// A reload that fails changes nothing.
	broken := parse(t, dir, text(at("main", "uwsgi", a, ""), at("other", "http", b, ""), at("other", "http", "unix:"+dir+"/missing.sock", "")))
	broken.Config.Apps["other"].Listen[1].Address = "unix:" + dir + "/missing/x.sock"
	if err := s.reloadTo(broken); err == nil || !strings.Contains(err.Error(), "missing/x.sock") {
		t.Errorf("reload: %v", err)
	}
	wantAnswer(t, client(t, "scgi", a), "/x", "", 200, "main one:app /x 0")
	wantAnswer(t, client(t, "scgi", b), "/x", "", 200, "other two:app /x 0")
}

// TestManyAppReloads: an address goes from app to app many times under
// requests; none is lost, and nothing leaks. On a kept connection a request may
// cross with the server's close: it is for its client to send again, which it
// does only with one that may be repeated.
func TestManyAppReloads(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // as in TestManyReloads
	for _, protocol := range config.Protocols() {
		t.Run(protocol, func(t *testing.T) {
			dir := t.TempDir()
			text := "[app.one]\nwsgi = \"x:app\"\n[app.two]\nwsgi = \"x:app\"\n[[app.one.listen]]\nprotocol = \"" + protocol + "\"\naddress = \"unix:{dir}/s.sock\"\n"
			plans := []*Plan{parse(t, dir, text), parse(t, dir, strings.Replace(text, "app.one.listen", "app.two.listen", 1))}
			s := launch(t, plans[0], newFakeApps())
			address := "unix:" + dir + "/s.sock"
			eventually(t, "it answers", func() bool { return len(s.Snapshot().Listen) == 1 })
			before := descriptors(t)
			var answered atomic.Int64
			stop := make(chan struct{})
			var group sync.WaitGroup
			var clients []*http.Client
			for i := range 2 {
				c := client(t, protocol, address)
				if transport, ok := c.Transport.(*http.Transport); ok {
					transport.DisableKeepAlives = i == 0
				}
				clients = append(clients, c)
				method, size := "POST", 5
				if protocol == "fastcgi" || protocol == "ajp" || protocol == "http" && i > 0 {
					method, size = "GET", 0
				}
				group.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						req, err := http.NewRequest(method, "http://h/p", strings.NewReader("12345"[:size]))
						if err != nil {
							t.Error(err)
							return
						}
						res, err := c.Do(req)
						if err != nil {
							t.Errorf("client %d: %v", i, err)
							return
						}
						b, err := io.ReadAll(res.Body)
						res.Body.Close()
						if res.StatusCode != 200 || err != nil || !bytes.HasSuffix(b, fmt.Appendf(nil, " x:app /p %d", size)) {
							t.Errorf("%d %q, %v", res.StatusCode, b, err)
							return
						}
						answered.Add(1)
					}
				})
			}
			for i := range 30 {
				had := answered.Load()
				if err := s.reloadTo(plans[(i+1)%2]); err != nil {
					t.Errorf("reload %d: %v", i, err)
				}
				eventually(t, "requests are answered", func() bool { return answered.Load() > had+2 || t.Failed() })
			}
			close(stop)
			group.Wait()
			for _, c := range clients {
				c.CloseIdleConnections()
				if tripper, ok := c.Transport.(gateway.Transport); ok {
					if closer, ok := tripper.RoundTripper.(io.Closer); ok {
						closer.Close()
					}
				}
			}
			wantDescriptors(t, before)
		})
	}
}

// TestInheritedAJP: what the configuration could not see is refused when it is
// opened.
func TestInheritedAJP(t *testing.T) {
	every, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer every.Close()
	raw, err := every.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd := -1
	if err := raw.Control(func(n uintptr) { fd, err = unix.FcntlInt(n, unix.F_DUPFD_CLOEXEC, 3) }); err != nil || fd < 0 {
		t.Fatalf("descriptor %d, %v", fd, err)
	}
	defer unix.Close(fd)
	plan := func(protocol, more string) *Plan {
		return parse(t, t.TempDir(), fmt.Sprintf("[app.main]\nwsgi = \"one:app\"\n[[app.main.listen]]\nprotocol = %q\naddress = \"fd:%d\"\n%s\n", protocol, fd, more))
	}
	log := &logBuffer{}
	s := New(Options{Plan: plan("ajp", ""), Log: newLogger(log)})
	s.newApp = newFakeApps().new
	var hint interface{ Hint() string }
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "without a secret") || !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "secret") {
		t.Errorf("Run: %v", err)
	}
	_, port, _ := net.SplitHostPort(every.Addr().String())
	served := launch(t, plan("scgi", ""), newFakeApps())
	wantAnswer(t, client(t, "scgi", "127.0.0.1:"+port), "/", "", 200, "main one:app / 0")
	if a := served.Snapshot().Listen[0]; a.Given != fmt.Sprintf("fd:%d", fd) || a.URL != "scgi://localhost:"+port {
		t.Errorf("%+v", a)
	}
	if err := served.reloadTo(plan("ajp", "")); err == nil || !strings.Contains(err.Error(), "without a secret") {
		t.Errorf("reload: %v", err)
	}
	if err := served.reloadTo(plan("ajp", `secret = "x"`)); err != nil {
		t.Errorf("reload: %v", err)
	}
}

// TestListenerFailure: an address that cannot be opened fails the start.
func TestListenerFailure(t *testing.T) {
	dir := t.TempDir()
	busy, err := listen.Open("unix:"+dir+"/s.sock", listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	before := descriptors(t)
	s := New(Options{Plan: parse(t, dir, "[app.main]\nwsgi = \"one:app\"\n[[app.main.listen]]\nprotocol = \"http\"\naddress = \"127.0.0.1:0\"\n[[app.main.listen]]\nprotocol = \"scgi\"\naddress = \"unix:{dir}/s.sock\"\n"), Log: newLogger(&logBuffer{})})
	s.newApp = newFakeApps().new
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "s.sock") {
		t.Errorf("Run: %v", err)
	}
	wantDescriptors(t, before)
}
