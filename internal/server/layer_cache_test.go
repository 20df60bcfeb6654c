package server

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"millrace/internal/admin"
)

// cachedBackend counts its requests, and says what its query wants it to.
func cachedBackend(t *testing.T) (address string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		for name, values := range r.URL.Query() {
			w.Header()[http.CanonicalHeaderKey(name)] = values
		}
		if w.Header().Get("Content-Type") == "" {
			w.Header().Set("Content-Type", "text/plain")
		}
		fmt.Fprintf(w, "%d %s", n, strings.Repeat("x", 3000))
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), asked
}

const cached = `
[server.cache]
folder = "{dir}/cache"

[upstream.back]
protocol = "http"
servers = ["{address}"]

[[site]]
listen = "127.0.0.1:0"
access_log = "{dir}/access.log"
log_format = "{uri} {status} {upstream}"

[[site.route]]
path = "/plain/*"
upstream = "back"

[[site.route]]
path = "/keyed/*"
upstream = "back"
cache = { key = "{host}{path}", ttl = { 200 = "1m" }, bypass = ["{query.preview}"], private_cookies = ["session"], ignore_client = true }

[[site.route]]
upstream = "back"
cache = true
`

func TestCacheLayer(t *testing.T) {
	address, asked := cachedBackend(t)
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/cache", 0o700); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(cached, "{address}", address)
	s := launch(t, parse(t, dir, text), newFakeApps())
	url := s.url("127.0.0.1:0")
	n := int64(0)
	want := func(method, path, status string, fetches int64, headers ...string) *http.Response {
		t.Helper()
		eventually(t, "no fetch runs", func() bool { return s.cache.Status().Fetching == 0 })
		res, body := ask(t, method, url+path, append(headers, "Host: a.example")...) // without the port, which changes
		n += fetches
		if got := res.Header.Get("Cache-Status"); res.StatusCode != 200 || !strings.HasPrefix(got, status) || (status == "") != (got == "") || asked.Load() != n {
			t.Fatalf("%s %s: %d, Cache-Status %q, the back end was asked %d times; want %q, %d\n%.60s", method, path, res.StatusCode, got, asked.Load(), status, n, body)
		}
		return res
	}
	const hit, miss = "millrace; hit", "millrace; fwd=uri-miss"
	want("GET", "/a?cache-control=max-age=60", miss, 1)
	want("GET", "/a?cache-control=max-age=60", hit, 0)
	if res := want("GET", "/a?cache-control=max-age=60", hit, 0, "Accept-Encoding: gzip"); res.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("what is stored is not compressed: %v", res.Header)
	}
	want("GET", "/a?cache-control=max-age=60", "millrace; fwd=request", 1, "Cache-Control: no-cache")
	want("GET", "/nothing", miss, 1)
	want("GET", "/nothing", miss, 1)
	if res := want("GET", "/accel?x-accel-expires=60", miss, 1); res.Header.Get("X-Accel-Expires") != "" {
		t.Error("X-Accel-Expires reaches the client")
	}
	want("GET", "/accel?x-accel-expires=60", hit, 0)
	want("GET", "/plain/a?cache-control=max-age=60", "", 1)
	want("GET", "/plain/a?cache-control=max-age=60", "", 1)

	want("GET", "/keyed/a?x=1", miss, 1)
	want("GET", "/keyed/a?x=2", hit, 0, "Cache-Control: no-cache")
	want("GET", "/keyed/a?x=2", hit, 0, "Cookie: ads=1")
	want("GET", "/keyed/a?x=2", miss, 1, "Cookie: session=1")
	want("GET", "/keyed/a?x=2&preview=1", "millrace; fwd=bypass", 1)

	// What changes something removes what is stored, on a route without a cache
	// as well.
	want("POST", "/a?cache-control=max-age=60", "millrace; fwd=method", 1)
	want("GET", "/a?cache-control=max-age=60", miss, 1)
	want("POST", "/plain/x?location=/a?cache-control=max-age=60", "", 1)
	want("GET", "/a?cache-control=max-age=60", miss, 1)

	// A reload keeps what is stored; so does a restart, on disk.
	if err := s.reloadTo(parse(t, dir, text)); err != nil {
		t.Fatal(err)
	}
	want("GET", "/a?cache-control=max-age=60", hit, 0)
	eventually(t, "it is on disk", func() bool { return s.Snapshot().Cache.OnDisk >= 3 })
	st := s.Snapshot().Cache
	if st.Hits == 0 || st.Misses == 0 || st.Bypassed == 0 || st.Invalidated != 2 {
		t.Errorf("%+v", st)
	}
	<-s.Stop()
	s = launch(t, parse(t, dir, text), newFakeApps())
	url = s.url("127.0.0.1:0")
	eventually(t, "the folder is known", func() bool { return s.Snapshot().Cache.Scanned })
	want("GET", "/a?cache-control=max-age=60", hit, 0)

	if purged, err := s.Purge(admin.Purge{URLs: []string{"/a?cache-control=max-age=60"}}); err != nil || purged != 1 {
		t.Errorf("%d, %v", purged, err)
	}
	want("GET", "/a?cache-control=max-age=60", miss, 1)
	if err := s.ReopenLogs(); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(dir + "/access.log")
	if err != nil || !strings.Contains(string(log), "/nothing 200 back\n") || !strings.Contains(string(log), "/accel?x-accel-expires=60 200 -\n") {
		t.Errorf("%s, %v", log, err)
	}
}

// TestCacheBehindAuth: what is behind a guard is kept only if it says that it is
// for all, and who gets it from the cache has passed the same guard.
func TestCacheBehindAuth(t *testing.T) {
	address, asked := cachedBackend(t)
	dir := t.TempDir()
	s := launch(t, parse(t, dir, strings.ReplaceAll(`
[upstream.back]
protocol = "http"
servers = ["{address}"]

[[site]]
listen = "127.0.0.1:0"

[[site.route]]
path = "/may"
respond = ""

[[site.route]]
path = "/auth/*"
upstream = "back"
cache = true
auth = "/may"

[[site.route]]
upstream = "back"
cache = true
basic_auth = { users = { jo = "{SHA}bVpFkgoVreoEnI8i1Wn/IJYlpDs=" } }
`, "{address}", address)), newFakeApps())
	url := s.url("127.0.0.1:0")
	jo := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("jo:water"))
	for _, tt := range []struct {
		path, header string
		status       int
		asked        int64
	}{
		{"/a?cache-control=max-age=60", jo, 200, 1},
		{"/a?cache-control=max-age=60", jo, 200, 2},
		{"/a?cache-control=public,max-age=60", jo, 200, 3},
		{"/a?cache-control=public,max-age=60", jo, 200, 3},
		{"/a?cache-control=public,max-age=60", "X-A: b", 401, 3},
		{"/auth/a?cache-control=max-age=60", "X-A: b", 200, 4},
		{"/auth/a?cache-control=max-age=60", "X-A: b", 200, 4}, // nobody has said whose it is
		{"/auth/a?cache-control=public,max-age=60", "X-A: b", 200, 5},
		{"/auth/a?cache-control=public,max-age=60", "X-A: b", 200, 5},
	} {
		eventually(t, "no fetch runs", func() bool { return s.cache.Status().Fetching == 0 })
		res, _ := ask(t, "GET", url+tt.path, tt.header)
		if res.StatusCode != tt.status || asked.Load() != tt.asked {
			t.Errorf("%s, %s: %d, asked %d times; want %d, %d", tt.path, tt.header, res.StatusCode, asked.Load(), tt.status, tt.asked)
		}
	}
}

// TestCacheOfWhatIsToldOtherwise: Vary speaks of what the app is told. Where that
// is not what the client has sent, its header tells no two requests apart: what
// was made for one client's address was another's answer.
func TestCacheOfWhatIsToldOtherwise(t *testing.T) {
	address, _ := cachedBackend(t)
	s := launch(t, parse(t, t.TempDir(), strings.ReplaceAll(`
[upstream.back]
protocol = "http"
servers = ["{address}"]

[[site]]
listen = "127.0.0.1:0"

[[site.route]]
path = "/keyed/*"
upstream = "back"
cache = { key = "{path}{query}" }

[[site.route]]
path = "/told/*"
upstream = "back"
cache = true
request_headers = { set = { X-Tier = "{client}", X-Place = "here" }, add = { X-More = "{client}" }, remove = ["Cookie"] }

[[site.route]]
upstream = "back"
cache = true
`, "{address}", address)), newFakeApps())
	url := s.url("127.0.0.1:0")
	for _, tt := range []struct {
		path, vary string
		others     bool // who sends another value gets the same
		kept       bool
	}{
		{"/a", "X-Forwarded-For", false, false},
		{"/b", "x-real-ip", false, false},
		{"/c", "X-Request-Id, Accept", false, false},
		{"/d", "X-Forwarded-Host", true, true},
		{"/e", "X-Forwarded-Proto", true, true},
		{"/f", "X-Tier", false, true},
		{"/keyed/d", "Host", false, false},
		{"/keyed/e", "X-Forwarded-Proto", false, false},
		{"/told/a", "X-Tier", false, false},
		{"/told/b", "X-More", false, false},
		{"/told/c", "X-Place", true, true},
		{"/told/d", "Cookie", true, true},
	} {
		path := tt.path + "?cache-control=public,max-age=60&vary=" + strings.ReplaceAll(tt.vary, " ", "")
		name, _, _ := strings.Cut(tt.vary, ",")
		for i, value := range []string{"1.2.3.4", "1.2.3.4", "9.9.9.9"} {
			eventually(t, "no fetch runs", func() bool { return s.cache.Status().Fetching == 0 })
			header := name + ": " + value
			if name == "Host" {
				header = "X-A: b"
			}
			res, _ := ask(t, "GET", url+path, header)
			got := res.Header.Get("Cache-Status")
			want := map[bool]string{true: "millrace; hit", false: "millrace; fwd="}[i == 1 && tt.kept || i == 2 && tt.others]
			if res.StatusCode != 200 || !strings.HasPrefix(got, want) || !tt.kept && !strings.Contains(got, "detail=vary") {
				t.Errorf("%s, Vary: %s, request %d: %d, Cache-Status: %s; want %q", tt.path, tt.vary, i+1, res.StatusCode, got, want)
			}
		}
	}
}

// TestCacheOfWhatAnswersInstead: what an app has another path answer is kept only
// as the app says. What that path says of itself may hold for all who may have it;
// who may is what the app is asked for.
func TestCacheOfWhatAnswersInstead(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/private/a.txt", "secret")
	address := behindRaw(t, func(r *http.Request) string {
		q := r.URL.Query()
		head := "Location: /open/a.txt\n"
		if r.URL.Path != "/cgi" {
			head = "X-Accel-Redirect: /protected/a.txt\n"
		}
		for name := range q {
			head += name + ": " + q.Get(name) + "\n"
		}
		return head + "\n"
	})
	s := launch(t, parse(t, dir, strings.ReplaceAll(`
[upstream.back]
protocol = "scgi"
servers = ["{address}"]

[[site]]
listen = "127.0.0.1:0"

[[site.route]]
path = "/protected/*"
internal = true
files = { root = "{dir}/private", strip = "/protected", cache_control = "public, max-age=3600" }

[[site.route]]
path = "/open/*"
files = { root = "{dir}/private", strip = "/open", cache_control = "public, max-age=3600" }

[[site.route]]
path = "/ignoring"
upstream = "back"
cache = { ignore = ["x-accel-expires"] }
x_sendfile = []

[[site.route]]
upstream = "back"
cache = true
x_sendfile = []
`, "{address}", address)), newFakeApps())
	url := s.url("127.0.0.1:0")
	for path, kept := range map[string]bool{
		"/x": false, "/cgi": false, "/ignoring": false, "/x?Expires=0": false, "/x?Cache-Control=private": false, "/x?X-Accel-Expires=0": false,
		"/ignoring?X-Accel-Expires=60": false,
		"/x?X-Accel-Expires=60":        true, "/x?Cache-Control=max-age=60": true,
	} {
		for i := range 2 {
			eventually(t, "no fetch runs", func() bool { return s.cache.Status().Fetching == 0 })
			res, body := ask(t, "GET", url+path)
			hit := strings.HasPrefix(res.Header.Get("Cache-Status"), "millrace; hit")
			if res.StatusCode != 200 || body != "secret" || hit != (kept && i == 1) {
				t.Errorf("%s, request %d: %d %q, Cache-Status: %s", path, i+1, res.StatusCode, body, res.Header.Get("Cache-Status"))
			}
		}
	}
}

// TestCacheOfFailedReload: what serves on keeps its bounds, and what is stored.
func TestCacheOfFailedReload(t *testing.T) {
	address, _ := cachedBackend(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	plan := func(memory, listen string) *Plan {
		return parse(t, dir, fmt.Sprintf(`
[server.cache]
memory = %q
[upstream.back]
protocol = "http"
servers = [%q]
[[site]]
listen = ["127.0.0.1:0"%s]
[[site.route]]
upstream = "back"
cache = true
`, memory, address, listen))
	}
	s := launch(t, plan("1MiB", ""), newFakeApps())
	url := s.url("127.0.0.1:0")
	ask(t, "GET", url+"/a?cache-control=max-age=60")
	eventually(t, "it is stored", func() bool { return s.cache.Status().InMemory == 1 })
	if err := s.reloadTo(plan("16KiB", fmt.Sprintf(", %q", taken.Addr()))); err == nil {
		t.Fatal("an address that is taken is served")
	}
	if st := s.cache.Status(); st.MemoryLimit != 1<<20 || st.InMemory != 1 {
		t.Errorf("after a reload that failed: %+v", st)
	}
	if err := s.reloadTo(plan("2MiB", "")); err != nil {
		t.Fatal(err)
	}
	if st := s.cache.Status(); st.MemoryLimit != 2<<20 || st.InMemory != 1 {
		t.Errorf("after a reload: %+v", st)
	}
}
