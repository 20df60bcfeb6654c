package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"millrace/internal/attach"
	"millrace/internal/pool"
	"millrace/internal/upstream"
)

const withStatus = `
[server]
status = "127.0.0.1:0"

[[site]]
listen = ["127.0.0.1:0"]

[[site.route]]
path = "/-/status/*"
status = true

[[site.route]]
path = "/-/status"
status = true

[[site.route]]
regexp = "^/any/status(/.*)?$"
status = true

[[site.route]]
path = "/-/health"
health = true

[[site.route]]
app = "main"

[app.main]
wsgi = "one:app"
[app.other]
wsgi = "two:app"
`

// statusURL is the address of the status alone.
func (s *serving) statusURL() string {
	for _, a := range s.Snapshot().Listen {
		if a.Status {
			return a.URL
		}
	}
	s.t.Fatal("no address of the status")
	return ""
}

func fetch(t *testing.T, method, url, accept string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestStatusPages(t *testing.T) {
	s := launch(t, parse(t, t.TempDir(), withStatus), newFakeApps())
	own, site := s.statusURL(), s.url("127.0.0.1:0")
	if own == site {
		t.Fatalf("one address for both: %s", own)
	}
	const text, asJSON, metrics = "text/plain; charset=utf-8", "application/json", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
	for _, tt := range []struct {
		method, url, accept string
		code                int
		kind, begins        string
	}{
		{"GET", own + "/", "", 200, text, "millrace test, pid "},
		{"GET", own + "/", "text/html, application/json;q=0.9", 200, asJSON, "{\n"},
		{"GET", own + "/", "text/html, */*", 200, text, "millrace test, pid "},
		{"GET", own + "/json", "", 200, asJSON, "{\n"},
		{"GET", own + "/metrics", "", 200, metrics, "# HELP go_"},
		{"GET", own + "/other", "", 404, text, ""},
		{"HEAD", own + "/json", "", 200, asJSON, ""},
		{"POST", own + "/", "", 405, text, ""},
		{"GET", site + "/-/status/", "", 200, text, "millrace test, pid "},
		{"GET", site + "/-/status", "", 200, text, "millrace test, pid "},
		{"GET", site + "/-/status/json", "", 200, asJSON, "{\n"},
		{"GET", site + "/-/status/metrics", "", 200, metrics, "# HELP go_"},
		{"GET", site + "/-/status/metrics/x", "", 404, text, ""},
		{"GET", site + "/any/status", "", 200, text, "millrace test, pid "},
		{"GET", site + "/any/status/json", "", 200, asJSON, "{\n"},
		{"GET", site + "/any/status/metrics", "", 200, metrics, "# HELP go_"},
		{"GET", site + "/json", "", 200, "", "main one:app /json"},
	} {
		res, body := fetch(t, tt.method, tt.url, tt.accept)
		if res.StatusCode != tt.code || tt.kind != "" && res.Header.Get("Content-Type") != tt.kind || !strings.HasPrefix(body, tt.begins) {
			t.Errorf("%s %s: %d %q\n%.200s", tt.method, tt.url, res.StatusCode, res.Header.Get("Content-Type"), body)
		}
		if tt.kind != "" && res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s may be cached", tt.method, tt.url)
		}
	}
	_, body := fetch(t, "GET", own+"/json", "")
	var st Status
	if err := json.Unmarshal([]byte(body), &st); err != nil || st.PID != os.Getpid() || len(st.Apps) != 2 || st.Apps[1].Name != "other" {
		t.Errorf("%v, %+v", err, st)
	}
}

// TestStatusAddress: a reload opens, moves and closes the address of the
// status.
func TestStatusAddress(t *testing.T) {
	dir := t.TempDir()
	without := strings.Replace(withStatus, `status = "127.0.0.1:0"`, "", 1)
	unix := strings.Replace(withStatus, `status = "127.0.0.1:0"`, `status = "unix:{dir}/status.sock"`, 1)
	s := launch(t, parse(t, dir, without), newFakeApps())
	if n := len(s.Snapshot().Listen); n != 1 {
		t.Fatalf("%d addresses", n)
	}
	if err := s.reloadTo(parse(t, dir, withStatus)); err != nil {
		t.Fatal(err)
	}
	own := s.statusURL()
	if res, _ := fetch(t, "GET", own, ""); res.StatusCode != 200 {
		t.Errorf("opened: %d", res.StatusCode)
	}
	if err := s.reloadTo(parse(t, dir, unix)); err != nil {
		t.Fatal(err)
	}
	if url := s.statusURL(); url != "unix:"+dir+"/status.sock" {
		t.Errorf("moved to %s", url)
	}
	if c, err := http.Get(own); err == nil {
		c.Body.Close()
		t.Error("the old address is still there")
	}
	if err := s.reloadTo(parse(t, dir, without)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir + "/status.sock"); !errors.Is(err, os.ErrNotExist) || len(s.Snapshot().Listen) != 1 {
		t.Errorf("closed: %v, %+v", err, s.Snapshot().Listen)
	}
}

func TestHealth(t *testing.T) {
	apps := newFakeApps()
	s := launch(t, parse(t, t.TempDir(), withStatus), apps)
	url := s.url("127.0.0.1:0") + "/-/health"
	wantGet(t, url, 200, "ok")
	other := apps.get("other")
	other.mu.Lock()
	other.failure = "Traceback: postgres://user:password@db"
	other.mu.Unlock()
	wantGet(t, url, 503, "app other: failing")
	if res, body := fetch(t, "GET", s.statusURL()+"/json", ""); strings.Contains(body, "password") || !strings.Contains(body, hidden) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if text, err := json.Marshal(s.Status()); err != nil || !strings.Contains(string(text), "password") {
		t.Errorf("the control socket does not tell: %s, %v", text, err)
	}
	other.mu.Lock()
	other.failure = ""
	other.mu.Unlock()
	wantGet(t, url, 200, "ok")

	// While a stopping server still answers, it is not healthy.
	release := apps.hold("main")
	defer release()
	go http.Get(s.url("127.0.0.1:0") + "/hold")
	<-apps.get("main").inside
	h := &health{stopping: s.isStopping, apps: s.Server.apps}
	s.Stop()
	w := &answer{header: http.Header{}}
	h.ServeHTTP(w, nil)
	if w.code != 503 || w.body != "stopping\n" || w.header.Get("Retry-After") == "" {
		t.Errorf("stopping: %+v", w)
	}
}

// answer is a ResponseWriter that keeps what it is given.
type answer struct {
	header http.Header
	code   int
	body   string
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(code int) { a.code = code }

func (a *answer) Write(b []byte) (int, error) { a.body += string(b); return len(b), nil }

// TestStatusOfTheStuck: figures of the system that never come keep nobody,
// nor does a reload that is under way.
func TestStatusOfTheStuck(t *testing.T) {
	apps := newFakeApps()
	s := launch(t, parse(t, t.TempDir(), withStatus), apps)
	for _, name := range []string{"main", "other"} {
		apps.get(name).stuck.Store(true)
	}
	s.reloading <- struct{}{} // a reload that does not end
	defer func() { <-s.reloading }()
	begin := time.Now()
	res, _ := fetch(t, "GET", s.statusURL()+"/json", "")
	if took := time.Since(begin); res.StatusCode != 200 || took > measurePatience+time.Second || took < measurePatience {
		t.Errorf("%d after %s", res.StatusCode, took)
	}
	wantGet(t, s.url("127.0.0.1:0")+"/-/health", 200, "ok")
}

// histogramOf makes one of a few durations, given as counts of the buckets.
func histogramOf(sum float64, counts map[float64]uint64) pool.Histogram {
	h := pool.Histogram{Sum: sum, P50: 4, P90: 32, P99: 1024}
	for bound := 62.5e-6; bound < 132; bound *= 2 {
		h.Buckets = append(h.Buckets, pool.Bucket{UpTo: bound, Count: counts[bound]})
		h.Count += counts[bound]
	}
	h.Buckets = append(h.Buckets, pool.Bucket{Count: counts[0]})
	h.Count += counts[0]
	return h
}

// madeUp is a status in which no two figures are alike.
func madeUp() *Status {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	next := at.Add(time.Hour)
	return &Status{
		Version: "0.1", PID: 4711, State: "serving", Source: "/home/mysite/millrace.toml", Control: "run/c.sock",
		Began: at, Uptime: 93784, Connections: 17, Reloads: 3,
		LastReload: &Outcome{At: at, Took: 2, Error: "cannot reload: no\nreally"},
		Listen: []Address{
			{Given: ":80", URL: "http://localhost:80", Protocol: "http", Connections: 14},
			{Given: "127.0.0.1:9100", URL: "http://127.0.0.1:9100", Protocol: "http", Status: true, Connections: 1},
			{Given: "127.0.0.1:0", URL: "scgi://127.0.0.1:4712", Protocol: "scgi", App: "main", Connections: 2},
		},
		Spool: Spool{Folder: "/var/tmp", Used: 18, Max: 1 << 30},
		Apps: []pool.Status{{
			Name: "main", Method: "prefork", Generation: 4, Since: at.Add(time.Minute), Uptime: 93724, State: "serving",
			MinSpare: 2, MaxSpare: 5, MaxChildren: 20, Idle: 2, Active: 2, Total: 5, MaxActive: 19, Reached: 6,
			QueueLen: 7, QueueMax: 1024, QueueSeen: 88, Accepted: 123456, Answered: 123400, TakenBack: 9, Lost: 11, Timeouts: 12,
			Started: 31, Recycled: 21, Slow: 8, Retried: 13, QueueTimeouts: 14, RecycledBy: map[string]uint64{"requests": 21, "died": 15}, ServiceMS: 3.4, Refused: pool.Refused{Count: 33, P50: 0.1, P99: 0.4},
			QueueTime:   histogramOf(12.5, map[float64]uint64{62.5e-6: 100000, 0.016: 23400}),
			ServiceTime: histogramOf(700.25, map[float64]uint64{0.002: 60000, 0.032: 63000, 1.024: 390, 0: 10}),
			Memory:      &pool.Memory{Processes: 6, RSS: 276 << 20, PSS: 118 << 20, Shared: 180 << 20, SharedShare: 0.652, Age: 0.5},
			Workers: []pool.Worker{
				{PID: 5001, Channel: 1, Generation: 4, State: "idle", Since: 0.25, Age: 3600, Requests: 61000, Process: &pool.Process{CPU: 612.5, RSS: 46 << 20, PSS: 19 << 20, LastCPU: 3.25}},
				{PID: 5002, Channel: 2, Generation: 4, State: "busy", Since: 1.52, Age: 3600, Requests: 62000, Running: "GET /admin/reports/2026/march/by-customer-and-region/export.csv", RunningFor: 1.52, Request: "q1", Client: "192.0.2.1:4713", Process: &pool.Process{CPU: 700, RSS: 51 << 20, PSS: 22 << 20, LastCPU: 120}},
				{PID: 5003, Channel: 3, Generation: 4, State: "busy", Since: 0.002, Age: 60, Requests: 400, Running: "GET /\x1b[2Jevil", RunningFor: 0.002},
				{PID: 5004, Channel: 4, Generation: 3, State: "draining", Since: 12.5, Age: 7200, Requests: 0},
				{PID: 0, Channel: 5, Generation: 4, State: "starting", Since: 0.001, Age: 0.001},
			},
		}, {
			Name: "admin", State: "failing", MaxChildren: 1, QueueMax: 10, Failure: "Traceback:\n  ImportError: no\n", Workers: []pool.Worker{},
		}},
		Upstreams: []upstream.Status{{Name: "api", Protocol: "fastcgi", Waiting: 8, Upgraded: 3, Refused: 5, Late: 3, Retried: 9, Servers: []upstream.ServerStatus{
			{Address: "10.0.0.1:9000", State: upstream.Up, Reached: true, Healthy: true, Active: 5, Answered: 777, Failed: 4},
			{Address: "10.0.0.2:9000", State: upstream.Passed, Answered: 10, Failed: 99},
		}}},
		Attached: []attach.ProgramStatus{{App: "main", Name: "mail", PID: 5100, State: "running", Since: 3600, Restarts: 2, LastExit: "exited with status 1"}},
		Cron:     []attach.JobStatus{{App: "main", Line: "0 * * * * TOKEN=secret curl http://x", Next: &next}},
	}
}

// TestStatusText: the table is as in testdata/status.txt, and no line of it is
// too long.
func TestStatusText(t *testing.T) {
	var b strings.Builder
	if err := madeUp().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/status.txt")
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the status is\n%s\nand not, as in testdata/status.txt,\n%s", b.String(), want)
	}
	for line := range strings.Lines(b.String()) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > textWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestPublic(t *testing.T) {
	s := madeUp().public()
	text, err := json.Marshal(s)
	if err != nil || strings.Contains(string(text), "secret") || strings.Contains(string(text), "ImportError") || strings.Contains(string(text), "really") {
		t.Errorf("%s, %v", text, err)
	}
	for line, want := range map[string]string{"0 1 * * * cmd x": "0 1 * * *", "@daily PASSWORD=x cmd": "@daily", "": ""} {
		if got := times(line); got != want {
			t.Errorf("%q: %q", line, got)
		}
	}
}

// scrape parses the metrics as Prometheus does.
func scrape(t *testing.T, s *Status) map[string]*dto.MetricFamily {
	t.Helper()
	h := metricsHandler(func() *Status { return s }, newLogger(&logBuffer{}))
	w := &answer{header: http.Header{}}
	req, err := http.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	h.ServeHTTP(w, req)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(w.body))
	if err != nil {
		t.Fatalf("%v in\n%s", err, w.body)
	}
	problems, err := promlint.New(strings.NewReader(w.body)).Lint()
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "millrace_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	if err != nil {
		t.Error(err)
	}
	return all
}

// value is that of the metric whose labels are given, "name=value".
func value(all map[string]*dto.MetricFamily, name string, labels ...string) *dto.Metric {
	for _, m := range all["millrace_"+name].GetMetric() {
		var have []string
		for _, l := range m.GetLabel() {
			have = append(have, l.GetName()+"="+l.GetValue())
		}
		if slices.Equal(have, labels) {
			return m
		}
	}
	return nil
}

// TestMetrics: they say what the JSON says.
func TestMetrics(t *testing.T) {
	s := madeUp()
	all := scrape(t, s)
	a := &s.Apps[0]
	seen := map[string]bool{}
	for _, tt := range []struct {
		name   string
		want   float64
		labels []string
	}{
		{"info", 1, []string{"version=0.1"}},
		{"start_time_seconds", float64(s.Began.Unix()), nil},
		{"stopping", 0, nil},
		{"connections", 14, []string{"address=http://localhost:80"}},
		{"connections", 2, []string{"address=scgi://127.0.0.1:4712"}},
		{"reloads_total", 3, nil},
		{"last_reload_successful", 0, nil},
		{"spool_used_bytes", 18, nil},
		{"spool_limit_bytes", 1 << 30, nil},
		{"requests_total", float64(a.Accepted), []string{"app=main"}},
		{"requests_answered_total", float64(a.Answered), []string{"app=main"}},
		{"requests_refused_total", 33, []string{"app=main"}},
		{"requests_lost_total", 11, []string{"app=main"}},
		{"requests_timed_out_total", 12, []string{"app=main"}},
		{"requests_taken_back_total", 9, []string{"app=main"}},
		{"queue_length", 7, []string{"app=main"}},
		{"queue_length_max", 88, []string{"app=main"}},
		{"queue_limit", 1024, []string{"app=main"}},
		{"app_up", 1, []string{"app=main"}},
		{"app_up", 0, []string{"app=admin"}},
		{"app_generation", 4, []string{"app=main"}},
		{"app_generation_start_time_seconds", float64(a.Since.Unix()), []string{"app=main"}},
		{"workers", 1, []string{"app=main", "state=idle"}},
		{"workers", 2, []string{"app=main", "state=busy"}},
		{"workers", 1, []string{"app=main", "state=starting"}},
		{"workers", 1, []string{"app=main", "state=draining"}},
		{"workers", 0, []string{"app=admin", "state=idle"}},
		{"workers_active_max", 19, []string{"app=main"}},
		{"workers_limit", 20, []string{"app=main"}},
		{"max_children_reached_total", 6, []string{"app=main"}},
		{"workers_started_total", 31, []string{"app=main"}},
		{"workers_recycled_total", 21, []string{"app=main", "reason=requests"}},
		{"workers_recycled_total", 15, []string{"app=main", "reason=died"}},
		{"requests_queue_timed_out_total", 14, []string{"app=main"}},
		{"requests_slow_total", 8, []string{"app=main"}},
		{"requests_retried_total", 13, []string{"app=main"}},
		{"processes", 6, []string{"app=main"}},
		{"memory_rss_bytes", 276 << 20, []string{"app=main"}},
		{"memory_pss_bytes", 118 << 20, []string{"app=main"}},
		{"memory_shared_ratio", 0.652, []string{"app=main"}},
		{"upstream_requests_waiting", 8, []string{"upstream=api"}},
		{"upstream_upgraded", 3, []string{"upstream=api"}},
		{"upstream_requests_refused_total", 5, []string{"upstream=api"}},
		{"upstream_requests_queue_timed_out_total", 3, []string{"upstream=api"}},
		{"upstream_requests_retried_total", 9, []string{"upstream=api"}},
		{"upstream_healthy", 1, []string{"server=10.0.0.1:9000", "upstream=api"}},
		{"upstream_drained", 0, []string{"server=10.0.0.1:9000", "upstream=api"}},
		{"upstream_reached", 1, []string{"server=10.0.0.1:9000", "upstream=api"}},
		{"upstream_reached", 0, []string{"server=10.0.0.2:9000", "upstream=api"}},
		{"upstream_requests_active", 5, []string{"server=10.0.0.1:9000", "upstream=api"}},
		{"upstream_requests_answered_total", 777, []string{"server=10.0.0.1:9000", "upstream=api"}},
		{"upstream_requests_failed_total", 99, []string{"server=10.0.0.2:9000", "upstream=api"}},
	} {
		m := value(all, tt.name, tt.labels...)
		got := m.GetGauge().GetValue() + m.GetCounter().GetValue()
		if m == nil || got != tt.want || (m.GetCounter() != nil) != strings.HasSuffix(tt.name, "_total") {
			t.Errorf("%s%v: %v, want %v", tt.name, tt.labels, m, tt.want)
		}
		seen["millrace_"+tt.name] = true
	}
	for name, h := range map[string]*pool.Histogram{"request_queue_seconds": &a.QueueTime, "request_duration_seconds": &a.ServiceTime} {
		got := value(all, name, "app=main").GetHistogram()
		if got.GetSampleCount() != h.Count || got.GetSampleSum() != h.Sum || len(got.GetBucket()) != len(h.Buckets) {
			t.Errorf("%s: %v, want %+v", name, got, h)
			continue
		}
		sum := uint64(0)
		for i, b := range h.Buckets {
			sum += b.Count
			k := got.GetBucket()[i]
			if k.GetCumulativeCount() != sum || b.UpTo > 0 && k.GetUpperBound() != b.UpTo {
				t.Errorf("%s, bucket %d: %v, want %d up to %v", name, i, k, sum, b.UpTo)
			}
		}
		seen["millrace_"+name] = true
	}
	for name := range all {
		if strings.HasPrefix(name, "millrace_") && !seen[name] {
			t.Errorf("%s is not looked at", name)
		}
	}
	if all["go_goroutines"] == nil || all["process_start_time_seconds"] == nil {
		t.Error("the metrics of any Go program are missing")
	}
	docs, err := os.ReadFile("../../docs/status.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range seen {
		if !strings.Contains(string(docs), "`"+name) {
			t.Errorf("docs/status.md does not explain %s", name)
		}
	}
}

// TestStatusDocs: docs/status.md has every field of the JSON.
func TestStatusDocs(t *testing.T) {
	docs, err := os.ReadFile("../../docs/status.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range jsonFields(*madeUp()) {
		if !strings.Contains(string(docs), "`"+field+"`") {
			t.Errorf("docs/status.md does not explain %q", field)
		}
	}
}

func TestShortened(t *testing.T) {
	for _, tt := range []struct {
		text  string
		width int
		want  string
	}{{"short", 5, "short"}, {"longer", 5, "lo…er"}, {"longest", 4, "lo…t"}, {"äöüäöü", 3, "ä…ü"}} {
		if got := shortened(tt.text, tt.width); got != tt.want {
			t.Errorf("%q in %d: %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}

func TestDurations(t *testing.T) {
	for s, want := range map[float64]string{
		0: "0s", 62.5e-6: "62.5µs", 0.001: "1ms", 0.0034: "3.4ms", 0.128: "128ms", 1.52: "1.5s", 61: "1m1s", 3660: "1h1m", 93784: "1d2h",
	} {
		if got := duration(s); got != want {
			t.Errorf("%v: %s, want %s", s, got, want)
		}
	}
	for n, want := range map[int64]string{12: "12B", 2048: "2K", 46 << 20: "46.0M", 3 << 29: "1.50G"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// jsonFields are the names of all fields of a struct and of those in it.
func jsonFields(v any) []string {
	var all []string
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() || seen[t] {
			return
		}
		seen[t] = true
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			all = append(all, name)
			walk(f.Type)
		}
	}
	walk(reflect.TypeOf(v))
	return all
}
