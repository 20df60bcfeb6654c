package server

// Maintenance: sites, or some of them, answer 503 with a page until it is over.

import (
	"fmt"
	"maps"
	"mime"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/internal/admin"
	"millrace/internal/config"
	"millrace/internal/respond"
	"millrace/internal/supervise"
)

const (
	// retryAfter is what a client is told to wait, in seconds.
	retryAfter = 60

	// maxPage bounds a maintenance page, which is kept in memory and goes from
	// the keeper to the front.
	maxPage = 1 << 20
)

// Maintenance says what is in maintenance. It stays through reloads and
// upgrades. It does not change once it is made.
type Maintenance struct {
	Since time.Time `json:"since"` // the first of it
	All   bool      `json:"all"`
	Apps  []string  `json:"apps,omitempty"`  // wherever they are routed
	Sites []string  `json:"sites,omitempty"` // by a name of a host; "*" is the sites without names
}

func (m *Maintenance) covers(g *gate) bool {
	return m.All || g.app != "" && slices.Contains(m.Apps, g.app) || slices.ContainsFunc(g.hosts, func(host string) bool { return slices.Contains(m.Sites, host) })
}

func (m *Maintenance) empty() bool { return !m.All && len(m.Apps) == 0 && len(m.Sites) == 0 }

// String names it for people.
func (m *Maintenance) String() string {
	if m.All {
		return "everything"
	}
	var all []string
	for _, name := range m.Apps {
		all = append(all, "app "+name)
	}
	for _, host := range m.Sites {
		all = append(all, "site "+host)
	}
	return strings.Join(all, ", ")
}

// Maintain switches maintenance on or off; see admin.Backend. Asking for what
// is so already changes nothing.
func (s *Server) Maintain(r admin.Maintenance) (notes []string, err error) {
	s.maintaining.Lock()
	defer s.maintaining.Unlock()
	s.mu.Lock()
	cfg := s.plan.Config
	s.mu.Unlock()
	if err := knownMaintenance(r, cfg); err != nil {
		return nil, err
	}
	old := s.closed.Load()
	next := &Maintenance{Since: time.Now()}
	if old != nil {
		copied := *old
		next = &copied
	}
	one := r.App != "" || r.Site != ""
	switch {
	case r.On && !one:
		next.All = true
	case !r.On && !one:
		next = &Maintenance{}
	default:
		next.Apps, next.Sites = changed(next.Apps, r.App, r.On), changed(next.Sites, r.Site, r.On)
		if next.All {
			notes = append(notes, "everything is in maintenance, until `millrace maintenance off`")
		}
	}
	if next.empty() {
		next = nil
	}
	s.closed.Store(next)
	if err := s.remember(); err != nil {
		notes = append(notes, "a new front, or an upgrade, will not know of it: "+err.Error())
	}
	if next == nil {
		s.log.Info("no maintenance")
	} else {
		s.log.Info("maintenance: 503 for " + next.String())
	}
	return notes, nil
}

// changed is a list with a name, or without it.
func changed(list []string, name string, in bool) []string {
	if name == "" {
		return list
	}
	out := slices.DeleteFunc(slices.Clone(list), func(have string) bool { return have == name })
	if in {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// knownMaintenance refuses names that the configuration has not; to switch off
// it takes any, since what was switched on may be gone from it.
func knownMaintenance(r admin.Maintenance, cfg *config.Config) error {
	if !r.On {
		return nil
	}
	if r.App != "" && cfg.Apps[r.App] == nil {
		return &Error{Problem: fmt.Sprintf("there is no app %q", r.App), Fix: "there are " + strings.Join(slices.Sorted(maps.Keys(cfg.Apps)), ", ")}
	}
	if r.Site != "" {
		var hosts []string
		for i := range cfg.Sites {
			hosts = append(hosts, gateHosts(&cfg.Sites[i])...)
		}
		if !slices.Contains(hosts, r.Site) {
			return &Error{Problem: fmt.Sprintf("there is no site with the host %q", r.Site), Fix: "there are " + strings.Join(hosts, ", ") + ` ("*" is a site without hosts)`}
		}
	}
	return nil
}

func gateHosts(c *config.Site) []string {
	if len(c.Hosts) == 0 {
		return []string{"*"}
	}
	return c.Hosts
}

// page is what answers in maintenance.
type page struct {
	mediaType string
	text      []byte
}

var plainPage = &page{"text/plain; charset=utf-8", []byte("Down for maintenance; please try again in a while.\n")}

// maintenancePage is a site's.
func (p *Plan) maintenancePage(c *config.Site) *page {
	text, ok := p.Pages[c.Maintenance]
	if !ok {
		return plainPage
	}
	return &page{pageType(c.Maintenance), text}
}

// pageType is the media type of a page.
func pageType(path string) string {
	if t := mime.TypeByExtension(filepath.Ext(path)); t != "" {
		return t
	}
	return "text/html; charset=utf-8"
}

// pageFiles are the files of a site's maintenance page and of its pages of
// errors, and what each is for.
func pageFiles(c *config.Site) map[string]string {
	files := map[string]string{}
	add := func(pages map[string]string) {
		for _, page := range pages {
			if _, to, err := config.ErrorPage(page); err == nil && strings.HasPrefix(to, "file:") {
				files[to[len("file:"):]] = "error page"
			}
		}
	}
	add(c.ErrorPages)
	for i := range c.Routes {
		add(c.Routes[i].ErrorPages)
	}
	if c.Maintenance != "" {
		files[c.Maintenance] = "maintenance page"
	}
	return files
}

// readPages reads the pages of all sites, as the user of [server] if there is
// one and we are privileged.
func (p *Plan) readPages(privileged bool) error {
	p.Pages = map[string][]byte{}
	for i := range p.Config.Sites {
		files := pageFiles(&p.Config.Sites[i])
		for _, path := range slices.Sorted(maps.Keys(files)) {
			if err := p.readPage(path, files[path], privileged); err != nil {
				return err
			}
		}
	}
	return nil
}

// readPage reads one page, unless it was read.
func (p *Plan) readPage(path, what string, privileged bool) error {
	if p.Pages[path] != nil {
		return nil
	}
	var as *supervise.User
	if privileged {
		var err error
		if as, err = p.frontUser(privileged); err != nil {
			return err
		}
	}
	text, err := readPage(path, as)
	if err != nil {
		return &Error{Problem: "cannot read the " + what + " " + path, Err: cause(err), Fix: "check the file and its rights"}
	}
	p.Pages[path] = text
	return nil
}

// gate stands before a route, or an app's own address, and is shut in
// maintenance. Open, it costs one load.
type gate struct {
	server *Server
	hosts  []string // of the site; "*" for none; nil for an app's own address
	app    string   // "": the route leads elsewhere
	page   *page
	next   http.Handler
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m := g.server.closed.Load(); m != nil && m.covers(g) && !runsSince(r) {
		g.page.serve(w, r)
		return
	}
	g.next.ServeHTTP(w, r)
}

// runsSince reports whether a request has begun before the maintenance, and comes
// from elsewhere in the site. Then what it was begun for is done.
func runsSince(r *http.Request) bool {
	return r.Context().Value(reentryKey{}) != nil && r.Context().Value(duringKey{}) == nil
}

func (p *page) serve(w http.ResponseWriter, r *http.Request) {
	respond.Final(w)
	h := w.Header()
	h.Set("Content-Type", p.mediaType)
	h.Set("Content-Length", strconv.Itoa(len(p.text)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Retry-After", strconv.Itoa(retryAfter))
	w.WriteHeader(http.StatusServiceUnavailable)
	if r.Method != http.MethodHead {
		_, _ = w.Write(p.text) // an error is a client that has left
	}
}
