package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/fcgi"
	"millrace/internal/admin"
	"millrace/internal/upstream"
)

// moody is a FastCGI server that can be well, hang, answer garbage and die.
type moody struct {
	t       *testing.T
	name    string
	address string

	mu    sync.Mutex
	mood  string
	l     net.Listener
	conns map[net.Conn]bool
	sick  chan struct{} // closed when it is well again
	srv   *fcgi.Server
}

func newMoody(t *testing.T, name string) *moody {
	m := &moody{t: t, name: name, address: "127.0.0.1:0", conns: map[net.Conn]bool{}, sick: make(chan struct{})}
	m.srv = &fcgi.Server{Log: newLogger(&logBuffer{}), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mood, sick := m.is(); mood == "hangs" {
			select {
			case <-sick:
			case <-r.Context().Done():
			}
			return
		}
		io.WriteString(w, name)
	})}
	m.be("well")
	t.Cleanup(func() {
		m.be("dead")
		_ = m.srv.Close()
	})
	return m
}

func (m *moody) is() (string, chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mood, m.sick
}

// be changes the mood; connections of before are cut, unless it hangs.
func (m *moody) be(mood string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mood = mood
	if mood == "dead" && m.l != nil {
		m.l.Close()
		m.l = nil
	}
	if mood != "hangs" {
		for c := range m.conns { // first: what hung does not answer after all
			c.Close()
		}
		clear(m.conns)
		close(m.sick)
		m.sick = make(chan struct{})
	}
	if mood == "dead" || m.l != nil {
		return
	}
	l, err := net.Listen("tcp", m.address)
	if err != nil {
		m.t.Error(err)
		return
	}
	m.l, m.address = l, l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			m.mu.Lock()
			mood := m.mood
			m.conns[c] = true
			m.mu.Unlock()
			switch mood {
			case "well":
				m.srv.ServeConn(c)
			case "garbage":
				go func() {
					_, _ = c.Read(make([]byte, 4096))
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
					c.Close()
				}()
			}
		}
	}()
}

const four = `
[[site]]
listen = "127.0.0.1:0"
[[site.route]]
upstream = "api"
[upstream.api]
protocol = "fastcgi"
balance = "%s"
servers = ["%s", "%s", "%s", "%s"]
timeout = "2s"
fail_timeout = "1s"
health = { interval = "1s", timeout = "900ms" }
`

// TestFourServers, under load: one dies, one hangs, one answers garbage, and all
// come back. No client sees any of it, and who is well has the load.
func TestFourServers(t *testing.T) {
	var all []*moody
	for _, name := range []string{"a", "b", "c", "d"} {
		all = append(all, newMoody(t, name))
	}
	s := launch(t, parse(t, wholeSite(t), fmt.Sprintf(four, "least-busy", all[0].address, all[1].address, all[2].address, all[3].address)), newFakeApps())
	url := s.url("127.0.0.1:0")

	var done atomic.Bool
	var answers [4]atomic.Int64
	var clients sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, Timeout: time.Minute}
	for i := range 6 {
		clients.Go(func() {
			for n := 0; !done.Load(); n++ {
				method := http.MethodGet
				if (i+n)%5 == 0 {
					method = http.MethodPut
				}
				req, err := http.NewRequest(method, url+"/x", nil)
				if err != nil {
					t.Error(err)
					return
				}
				res, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || res.StatusCode != 200 || len(b) != 1 || b[0] < 'a' || b[0] > 'd' {
					t.Errorf("%s: %d %q, %v", method, res.StatusCode, b, err)
					return
				}
				answers[b[0]-'a'].Add(1)
			}
		})
	}
	t.Cleanup(func() {
		done.Store(true)
		clients.Wait()
		client.CloseIdleConnections()
	})
	states := func(want ...upstream.State) bool {
		for i, k := range s.Snapshot().Upstreams[0].Servers {
			if k.State != want[i] && !(want[i] == "" && k.State != upstream.Up) {
				return false
			}
		}
		return true
	}
	// more waits for answers of each of some servers.
	more := func(what string, of ...int) {
		t.Helper()
		var before [4]int64
		for i := range answers {
			before[i] = answers[i].Load()
		}
		eventually(t, what, func() bool {
			for _, i := range of {
				if answers[i].Load() < before[i]+30 {
					return false
				}
			}
			return true
		})
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log:\n%s", s.log)
		}
	})
	more("all answer", 0, 1, 2, 3)
	all[0].be("dead")
	eventually(t, "a is found dead", func() bool { return states("", upstream.Up, upstream.Up, upstream.Up) })
	all[1].be("hangs")
	all[2].be("garbage")
	eventually(t, "only d is left", func() bool { return states("", "", "", upstream.Up) })
	a, b, c := answers[0].Load(), answers[1].Load(), answers[2].Load()
	more("d answers", 3)
	if answers[0].Load() != a || answers[1].Load() != b || answers[2].Load() != c {
		t.Error("somebody answers who cannot")
	}
	all[0].be("well")
	more("a is back", 0, 3)
	all[1].be("well")
	all[2].be("well")
	eventually(t, "all are back", func() bool { return states(upstream.Up, upstream.Up, upstream.Up, upstream.Up) })
	more("all answer again", 0, 1, 2, 3)

	done.Store(true)
	clients.Wait()
	count := map[string]int{}
	for range 80 { // one after the other
		_, body := get(t, url+"/x")
		count[body]++
	}
	for _, m := range all {
		if n := count[m.name]; n < 10 || n > 30 { // turns, but for one that is busy a moment longer than its client
			t.Errorf("one after the other they answered %v", count)
		}
	}
}

// TestDrainedIsRemembered: by a reload of another group, and by the server that
// follows.
func TestDrainedIsRemembered(t *testing.T) {
	a, b := newMoody(t, "a"), newMoody(t, "b")
	dir := wholeSite(t)
	text := fmt.Sprintf(four, "round-robin", a.address, b.address, "127.0.0.1:1", "127.0.0.1:2")
	s := launch(t, parse(t, dir, text), newFakeApps())
	for _, address := range []string{a.address, "127.0.0.1:1"} {
		if _, err := s.DrainServer(admin.Drain{Upstream: "api", Address: address, On: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.reloadTo(parse(t, dir, fmt.Sprintf(four, "least-busy", a.address, b.address, "127.0.0.1:1", "127.0.0.1:2"))); err != nil {
		t.Fatal(err)
	}
	drained := func(s *Server) string {
		text := ""
		for _, k := range s.Snapshot().Upstreams[0].Servers {
			text += fmt.Sprint(k.Drained, " ")
		}
		return text
	}
	if got := drained(s.Server); got != "true false true false " {
		t.Errorf("after a reload: %s", got)
	}
	for _, bad := range []admin.Drain{{Upstream: "none", Address: a.address}, {Upstream: "api", Address: "127.0.0.1:9"}} {
		if _, err := s.DrainServer(bad); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
	next := New(Options{Plan: parse(t, dir, text), Log: newLogger(&logBuffer{}), Memory: []byte(`{"drained":{"api":{"` + a.address + `":true,"127.0.0.1:1":false,"127.0.0.1:7":true},"gone":{"x:1":true}}}`)})
	u, err := newBackends("api", next.plan.Config.Upstreams["api"], next.spool, next.certs, next.log)
	if err != nil {
		t.Fatal(err)
	}
	next.redrain("api", u)
	next.upstreams["api"] = u
	if got := drained(next); got != "true false false false " {
		t.Errorf("what follows: %s", got)
	}
}
