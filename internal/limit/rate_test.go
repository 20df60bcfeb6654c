package limit

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]Rate{
		"10/s": {10, time.Second}, "300/m": {300, time.Minute}, "1/h": {1, time.Hour}, "5000/d": {5000, 24 * time.Hour},
		"": {}, "10": {}, "/s": {}, "0/s": {}, "-1/s": {}, "+1/s": {}, "10/x": {}, "10/ s": {}, "1.5/s": {}, "10/s/s": {}, "9999999999/s": {}, "2000000000/s": {},
	} {
		got, err := ParseRate(text)
		if got != want || (err == nil) != (want != Rate{}) {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]int{"10/s": 10, "300/m": 5, "30/m": 1, "1/d": 1} {
		if r, _ := ParseRate(text); r.Burst() != want {
			t.Errorf("of %s %d may come at once, want %d", text, r.Burst(), want)
		}
	}
}

// What may pass, in fake time: bursts, the rate, and how long to wait.
func TestTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBuckets()
		rate := Rate{10, time.Second}
		for i, step := range []struct {
			after time.Duration
			key   string
			wait  time.Duration
		}{
			{0, "a", 0}, {0, "a", 0}, {0, "a", 0}, // a burst of 3
			{0, "a", 100 * time.Millisecond},
			{0, "a", 100 * time.Millisecond}, // what is refused counts for nothing
			{0, "b", 0},                      // another key
			{40 * time.Millisecond, "a", 60 * time.Millisecond},
			{60 * time.Millisecond, "a", 0},
			{0, "a", 100 * time.Millisecond},
			{time.Hour, "a", 0}, {0, "a", 0}, {0, "a", 0}, {0, "a", 100 * time.Millisecond},
		} {
			time.Sleep(step.after)
			if wait := b.Take([]byte(step.key), rate, 3); wait != step.wait {
				t.Errorf("step %d: wait %v, want %v", i, wait, step.wait)
			}
		}
		// Another rate: nobody owes more than its burst.
		if wait := b.Take([]byte("a"), Rate{1000, time.Second}, 1); wait != time.Millisecond {
			t.Errorf("after the rate has changed: wait %v", wait)
		}
		// In the long run the rate is kept.
		passed := 0
		for range 10_000 {
			if b.Take([]byte("long"), rate, 3) == 0 {
				passed++
			}
			time.Sleep(time.Millisecond)
		}
		if passed < 100 || passed > 103 {
			t.Errorf("%d passed in 10 s at 10/s", passed)
		}
	})
}

// Memory is bounded, and who is being refused is not forgotten, however many
// others come.
func TestBucketsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBuckets()
		rate := Rate{1, time.Hour}
		for range 10 {
			b.Take([]byte("greedy"), rate, 10)
		}
		for i := range 3 * shards * keysPerShard {
			b.Take(fmt.Append(nil, i), rate, 10)
		}
		if n := b.len(); n > shards*keysPerShard {
			t.Errorf("%d keys are kept, at most %d may be", n, shards*keysPerShard)
		}
		if b.Take([]byte("greedy"), rate, 10) == 0 {
			t.Error("a key that is used up was forgotten for keys that are not")
		}
		time.Sleep(10 * time.Hour) // all is paid back: there is room for everyone
		for i := range shards * keysPerShard / 2 {
			b.Take(fmt.Append(nil, "new", i), rate, 10)
		}
		if n := b.len(); n > shards*keysPerShard {
			t.Errorf("%d keys are kept, at most %d may be", n, shards*keysPerShard)
		}
	})
}

func TestTakeAtOnce(t *testing.T) {
	b := NewBuckets()
	now := time.Now()
	b.now = func() time.Time { return now }
	var group sync.WaitGroup
	passed := make(chan bool, 400)
	for range 4 {
		group.Go(func() {
			for range 100 {
				passed <- b.Take([]byte("a"), Rate{10, time.Second}, 50) == 0
			}
		})
	}
	group.Wait()
	close(passed)
	n := 0
	for ok := range passed {
		if ok {
			n++
		}
	}
	if n != 50 {
		t.Errorf("%d passed at once of a burst of 50", n)
	}
}

func byHeader(dst []byte, r *http.Request) []byte { return append(dst, r.Header.Get("Key")...) }

func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		l := &Requests{Key: byHeader, Rate: Rate{30, time.Minute}, Burst: 2, AtOnce: 1, State: NewState()}
		h := l.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hold" {
				<-hold
			}
		}))
		get := func(path, key string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("Key", key)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
		check := func(what string, w *httptest.ResponseRecorder, status int, after string) {
			t.Helper()
			if w.Code != status || w.Header().Get("Retry-After") != after {
				t.Errorf("%s: %d, Retry-After %q; want %d, %q", what, w.Code, w.Header().Get("Retry-After"), status, after)
			}
		}
		go get("/hold", "a")
		synctest.Wait()
		check("while one runs", get("/", "a"), 429, "1")
		check("another key", get("/", "b"), 200, "")
		hold <- struct{}{}
		synctest.Wait()
		check("after it", get("/", "a"), 200, "") // what was refused for want of room has not counted
		check("beyond the burst", get("/", "a"), 429, "2")
		if l.State.Running.len() != 0 {
			t.Error("one that was refused by its rate is still counted")
		}
		time.Sleep(2 * time.Second)
		check("2 s later", get("/", "a"), 200, "")

		// Another handler with the same state, as after a reload.
		l.Burst = 1
		h = l.Wrap(http.NotFoundHandler())
		check("after a reload", get("/", "a"), 429, "2")
	})
}

func TestStatusAndSkipEmpty(t *testing.T) {
	l := &Requests{Key: byHeader, Rate: Rate{1, time.Hour}, Burst: 1, Status: 503, SkipEmpty: true, State: NewState()}
	h := l.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for i, want := range []struct {
		key    string
		status int
	}{{"a", 200}, {"a", 503}, {"", 200}, {"", 200}} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Key", want.key)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want.status {
			t.Errorf("request %d: %d, want %d", i, w.Code, want.status)
		}
	}
}

func TestAppendClient(t *testing.T) {
	same := map[string]string{}
	for _, remote := range []string{
		"192.0.2.1:1", "192.0.2.1:2", "[::ffff:192.0.2.1]:3", // one
		"192.0.2.2:1",
		"[2001:db8::1]:1", "[2001:db8::ffff:1:2:3]:1", // one
		"[2001:db8:0:1::1]:1",
		"@", "", // one
	} {
		key := string(AppendClient(nil, remote))
		same[key] += remote + " "
	}
	if len(same) != 5 {
		t.Errorf("clients are told apart as %q", same)
	}
}

func TestConnections(t *testing.T) {
	tcp := func(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	c := &Connections{}
	c.SetLimits(4, 2, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	var leave []func()
	for _, step := range []struct {
		client net.Addr
		ok     bool
	}{
		{tcp("192.0.2.1:1"), true}, {tcp("[::ffff:192.0.2.1]:2"), true}, {tcp("192.0.2.1:3"), false},
		{tcp("10.0.0.1:1"), true}, // a proxy
		{&net.UnixAddr{Name: "@", Net: "unix"}, true},
		{tcp("192.0.2.2:1"), false}, // too many in all
	} {
		l := c.Enter(step.client)
		if (l != nil) != step.ok {
			t.Errorf("%v enters: %v, want %v", step.client, l != nil, step.ok)
		}
		if l != nil {
			leave = append(leave, l)
		}
	}
	leave[2]()
	leave[0]()
	if l := c.Enter(tcp("192.0.2.1:4")); l == nil {
		t.Error("there is no room after one has left")
	}
	c.SetLimits(100, 2, nil)
	for i := range 3 { // one network
		l := c.Enter(tcp(fmt.Sprintf("[2001:db8::%d]:1", i+1)))
		if (l != nil) != (i < 2) {
			t.Errorf("IPv6, %d: %v", i, l != nil)
		}
	}
	c.SetLimits(0, 0, nil)
	for range 10 {
		if c.Enter(tcp("192.0.2.1:5")) == nil {
			t.Fatal("without limits there is no room")
		}
	}
}

func BenchmarkTake(b *testing.B) {
	buckets := NewBuckets()
	key := []byte("4\x7f\x00\x00\x01")
	b.ReportAllocs()
	for b.Loop() {
		buckets.Take(key, Rate{1_000_000_000, time.Second}, 1000)
	}
}

func BenchmarkRequests(b *testing.B) {
	l := &Requests{
		Key:  func(dst []byte, r *http.Request) []byte { return AppendClient(dst, r.RemoteAddr) },
		Rate: Rate{1_000_000_000, time.Second}, Burst: 1000, AtOnce: 10, State: NewState(),
	}
	h := l.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("GET", "/", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(nil, r)
	}
}
