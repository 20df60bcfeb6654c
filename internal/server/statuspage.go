package server

// The status over HTTP, at an address of its own or on a route, and the health
// of the server.

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// statusPage answers below a prefix: with text, "json" and "metrics". The
// prefix is that of its route; without one, the path's last segment counts.
type statusPage struct {
	prefix  string // "" for none
	status  func() *Status
	metrics http.Handler
}

// statusPage returns the page of a route; path is the route's.
func (s *Server) statusPage(path string) http.Handler {
	return &statusPage{
		prefix: strings.TrimSuffix(path, "*"), metrics: s.metrics,
		status: func() *Status { return s.measured().public() },
	}
}

// hidden stands for what only the control socket tells.
const hidden = "(millrace status and the error log tell)"

// public is what of a fresh status may be shown to whoever asks: not what the
// texts of errors and commands hold, where passwords may be.
func (s *Status) public() *Status {
	for i := range s.Apps {
		if s.Apps[i].Failure != "" {
			s.Apps[i].Failure = hidden
		}
	}
	if r := s.LastReload; r != nil && r.Error != "" {
		s.LastReload = &Outcome{At: r.At, Took: r.Took, Error: hidden}
	}
	for i := range s.Cron {
		s.Cron[i].Line = times(s.Cron[i].Line) + " …"
	}
	return s
}

// times is a crontab's line without its command.
func times(line string) string {
	words := strings.Fields(line)
	n := 5
	if strings.HasPrefix(line, "@") {
		n = 1
	}
	return strings.Join(words[:min(n, len(words))], " ")
}

func (p *statusPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "the status can only be read", http.StatusMethodNotAllowed)
		return
	}
	var body bytes.Buffer
	switch view := p.view(r.URL.Path); {
	case view == "metrics":
		p.metrics.ServeHTTP(w, r)
		return
	case view == "json" || view == "" && wantsJSON(r.Header):
		h.Set("Content-Type", "application/json")
		e := json.NewEncoder(&body)
		e.SetIndent("", "  ")
		if err := e.Encode(p.status()); err != nil {
			http.Error(w, "the status cannot be written as JSON", http.StatusInternalServerError)
			return
		}
	case view == "":
		h.Set("Content-Type", "text/plain; charset=utf-8")
		_ = p.status().WriteText(&body) // a buffer takes everything
	default:
		http.Error(w, "there is a status as text here, and under json and metrics", http.StatusNotFound)
		return
	}
	h.Add("Vary", "Accept")
	_, _ = w.Write(body.Bytes()) // an error here is a client that left
}

// view is what is asked for: "", "json", "metrics", or something that is not
// there.
func (p *statusPage) view(path string) string {
	if p.prefix == "" {
		last := path[strings.LastIndexByte(path, '/')+1:]
		if last == "json" || last == "metrics" {
			return last
		}
		return ""
	}
	rest, _ := strings.CutPrefix(path, p.prefix)
	return strings.Trim(rest, "/")
}

// wantsJSON reports whether JSON is named among what the client takes.
func wantsJSON(h http.Header) bool {
	for _, accept := range h.Values("Accept") {
		for part := range strings.SplitSeq(accept, ",") {
			if kind, _, err := mime.ParseMediaType(part); err == nil && kind == "application/json" {
				return true
			}
		}
	}
	return false
}

// health answers whether all of some apps serve. It takes a glance at each,
// and no lock of the server.
type health struct {
	stopping func() bool
	apps     map[string]*running
}

func (c *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	code, text := http.StatusOK, "ok\n"
	switch ill := c.ill(); {
	case c.stopping():
		code, text = http.StatusServiceUnavailable, "stopping\n"
	case len(ill) > 0:
		code, text = http.StatusServiceUnavailable, strings.Join(ill, "\n")+"\n"
	}
	if code != http.StatusOK {
		h.Set("Retry-After", "5")
	}
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text) // an error here is a client that left
}

// ill says which apps do not serve, and what they do.
func (c *health) ill() []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(c.apps)) {
		if state, _ := c.apps[name].State(); state != stateServing {
			all = append(all, "app "+name+": "+state)
		}
	}
	return all
}
