package server

// The status for Prometheus. The names follow its conventions: base units, and
// _total for what only grows.

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"millrace/internal/cache"
	"millrace/internal/pool"
	"millrace/internal/upstream"
)

// metricsHandler answers with the metrics of a status, and those of this
// process that any Go program has.
func metricsHandler(status func() *Status, log *slog.Logger) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector(status), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError)})
}

// collector collects what it returns.
type collector func() *Status

// Describe tells nothing beforehand: which metrics there are depends on the
// apps, and those may change at each reload.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends all of a status.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c()
	m := metrics{out: out}
	m.server(s)
	for i := range s.Apps {
		app := metrics{out, []string{"app"}, []string{s.Apps[i].Name}}
		app.requests(&s.Apps[i])
		app.workers(&s.Apps[i])
	}
	if s.Cache != nil {
		m.cache(s.Cache)
	}
	for i := range s.Upstreams {
		m.upstream(&s.Upstreams[i])
	}
}

// metrics sends metrics that have some labels alike.
type metrics struct {
	out           chan<- prometheus.Metric
	names, values []string
}

// with adds a label.
func (m metrics) with(name, value string) metrics {
	return metrics{m.out, append(m.names[:len(m.names):len(m.names)], name), append(m.values[:len(m.values):len(m.values)], value)}
}

func (m metrics) desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("millrace_"+name, help, m.names, nil)
}

func (m metrics) gauge(name, help string, value float64) {
	m.out <- prometheus.MustNewConstMetric(m.desc(name, help), prometheus.GaugeValue, value, m.values...)
}

func (m metrics) count(name, help string, value uint64) {
	m.out <- prometheus.MustNewConstMetric(m.desc(name, help), prometheus.CounterValue, float64(value), m.values...)
}

// histogram sends the buckets as Prometheus has them: each with all below it.
func (m metrics) histogram(name, help string, h *pool.Histogram) {
	upTo, sum := map[float64]uint64{}, uint64(0)
	for _, b := range h.Buckets {
		sum += b.Count
		if b.UpTo > 0 {
			upTo[b.UpTo] = sum
		}
	}
	m.out <- prometheus.MustNewConstHistogram(m.desc(name, help), h.Count, h.Sum, upTo, m.values...)
}

func (m metrics) server(s *Status) {
	m.with("version", s.Version).gauge("info", "Always 1; the version is a label.", 1)
	m.gauge("start_time_seconds", "When the server was started, in Unix time.", float64(s.Began.UnixMilli())/1e3)
	m.gauge("stopping", "Whether the server is stopping.", truth(s.State == "stopping"))
	for _, a := range s.Listen {
		m.with("address", a.URL).gauge("connections", "Open connections of a listening address.", float64(a.Connections))
	}
	m.count("reloads_total", "Reloads that succeeded.", uint64(s.Reloads))
	m.gauge("last_reload_successful", "Whether the last reload succeeded; 1 also if there was none.", truth(s.LastReload == nil || s.LastReload.Error == ""))
	m.gauge("spool_used_bytes", "Bodies in files.", float64(s.Spool.Used))
	m.gauge("spool_limit_bytes", "Most that bodies in files may take.", float64(s.Spool.Max))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (m metrics) requests(a *pool.Status) {
	m.count("requests_total", "Requests handed to the app's pool.", a.Accepted)
	m.count("requests_answered_total", "Requests that a worker answered.", a.Answered)
	m.count("requests_refused_total", "Requests answered with 503 because the queue was full.", a.Refused.Count)
	m.count("requests_queue_timed_out_total", "Requests answered with 503 because they waited longer than queue_timeout.", a.QueueTimeouts)
	m.count("requests_slow_total", "Requests that ran longer than slow_request.", a.Slow)
	m.count("requests_retried_total", "Requests run once more, as their worker died while it ran them.", a.Retried)
	m.count("requests_lost_total", "Requests answered with 502 because their worker died.", a.Lost)
	m.count("requests_timed_out_total", "Requests answered with 504 at request_timeout.", a.Timeouts)
	m.count("requests_taken_back_total", "Requests moved from behind a slow one to another worker.", a.TakenBack)
	m.gauge("queue_length", "Requests that wait for a worker.", float64(a.QueueLen))
	m.gauge("queue_length_max", "Most requests that ever waited at one time.", float64(a.QueueSeen))
	m.gauge("queue_limit", "Requests that may wait.", float64(a.QueueMax))
	m.histogram("request_queue_seconds", "From a request's last byte to its start in a worker.", &a.QueueTime)
	m.histogram("request_duration_seconds", "From a request's start in a worker to the last byte of the worker's answer.", &a.ServiceTime)
}

func (m metrics) workers(a *pool.Status) {
	m.gauge("app_up", "Whether the app serves.", truth(a.State == stateServing))
	m.gauge("app_generation", "Number of the generation that serves: 1 after the start, and one more with each reload.", float64(a.Generation))
	if !a.Since.IsZero() {
		m.gauge("app_generation_start_time_seconds", "When that generation began to serve, in Unix time.", float64(a.Since.UnixMilli())/1e3)
	}
	states := map[string]int{"starting": 0, "idle": 0, "busy": 0, "draining": 0}
	for i := range a.Workers {
		states[a.Workers[i].State]++
	}
	for state, n := range states {
		m.with("state", state).gauge("workers", "Workers by state.", float64(n))
	}
	m.gauge("workers_active_max", "Most workers that ever ran a request at one time.", float64(a.MaxActive))
	m.gauge("workers_limit", "Workers at most: max_children.", float64(a.MaxChildren))
	m.count("max_children_reached_total", "Times that requests waited while all max_children were busy.", a.Reached)
	m.count("workers_started_total", "Workers started.", a.Started)
	for reason, n := range a.RecycledBy {
		m.with("reason", reason).count("workers_recycled_total", "Workers that went for a reason: a limit, a time-out, a death.", n)
	}
	if mem := a.Memory; mem != nil {
		m.gauge("processes", "Processes of the app, its host among them.", float64(mem.Processes))
		m.gauge("memory_rss_bytes", "Resident memory of the app's processes; what they share is counted in each.", float64(mem.RSS))
		if mem.PSS > 0 {
			m.gauge("memory_pss_bytes", "Memory of the app's processes; what they share is counted once.", float64(mem.PSS))
		}
		if mem.SharedShare > 0 {
			m.gauge("memory_shared_ratio", "Part of the resident memory that the processes share with others.", mem.SharedShare)
		}
	}
}

func (m metrics) cache(c *cache.Status) {
	for result, n := range map[string]uint64{
		"hit": c.Hits, "stale": c.Stale, "miss": c.Misses, "revalidated": c.Revalidated, "collapsed": c.Collapsed, "bypass": c.Bypassed,
	} {
		m.with("result", result).count("cache_requests_total", "Requests of routes with a cache, by what became of them.", n)
	}
	m.count("cache_fetches_total", "Requests that the cache has made of its own.", c.Fetches)
	m.count("cache_confirmed_total", "Stored responses that a 304 has confirmed.", c.Confirmed)
	m.count("cache_hidden_errors_total", "Errors of back ends in whose place a stored response went out.", c.Hidden)
	m.count("cache_stored_total", "Responses stored.", c.Stored)
	m.count("cache_purged_total", "Stored responses that were purged.", c.Purged)
	m.count("cache_invalidated_total", "Stored responses that requests have removed, which changed something.", c.Invalidated)
	m.count("cache_corrupt_total", "Files that were not what they should be, and were not served.", c.Corrupt)
	m.count("cache_disk_errors_total", "Files that could not be written, read or removed.", c.DiskErrors)
	for where, of := range map[string]struct {
		used, limit int64
		entries     int
		evicted     uint64
	}{"memory": {c.MemoryUsed, c.MemoryLimit, c.InMemory, c.EvictedMemory}, "disk": {c.DiskUsed, c.DiskLimit, c.OnDisk, c.EvictedDisk}} {
		m := m.with("where", where)
		m.gauge("cache_used_bytes", "What stored responses take.", float64(of.used))
		m.gauge("cache_limit_bytes", "What they may take.", float64(of.limit))
		m.gauge("cache_entries", "Stored responses.", float64(of.entries))
		m.count("cache_evicted_total", "Stored responses that had to make room.", of.evicted)
	}
}

func (m metrics) upstream(u *upstream.Status) {
	m = m.with("upstream", u.Name)
	m.gauge("upstream_requests_waiting", "Requests that wait for a free back end.", float64(u.Waiting))
	m.gauge("upstream_upgraded", "Connections that speak another protocol now, like WebSocket.", float64(u.Upgraded))
	m.count("upstream_requests_refused_total", "Requests that were answered with 503, as the queue was full.", u.Refused)
	m.count("upstream_requests_queue_timed_out_total", "Requests that were answered with 503, as no back end came free in time.", u.Late)
	m.count("upstream_requests_retried_total", "Times that a request went to another back end.", u.Retried)
	for i := range u.Servers {
		s := &u.Servers[i]
		of := m.with("server", s.Address)
		of.gauge("upstream_reached", "Whether a back end answers requests; 0: it is passed over.", truth(s.Reached))
		of.gauge("upstream_healthy", "Whether a back end passes its checks, if there are any.", truth(s.Healthy))
		of.gauge("upstream_drained", "Whether a back end is drained.", truth(s.Drained))
		of.gauge("upstream_requests_active", "Requests that a back end answers now.", float64(s.Active))
		of.count("upstream_requests_answered_total", "Requests that a back end answered.", s.Answered)
		of.count("upstream_requests_failed_total", "Requests that a back end did not answer, or not to their ends.", s.Failed)
	}
}
