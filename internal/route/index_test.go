package route

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/internal/placeholder"
)

func TestLiteralPrefix(t *testing.T) {
	for expr, want := range map[string]string{
		`^/blog/(\d+)$`: "/blog/", `^(/admin/.*)$`: "/admin/", `\A/x`: "/x", `^/ab?`: "/a", `^/a(b|c)`: "/a", `^/abc$`: "/abc",
		`/x`: "", `^(/a|/b)`: "/", `(?i)^/x`: "", `(?m)^/x`: "", `^/\x{FFFD}x`: "/", `^`: "", `^/s(?i)x`: "/s", `(^/a)|b`: "", `^/(?:x)+y`: "/",
		`^/späť/`: "/späť/", `(`: "", `(?s)^/a.`: "/a", `^^/a`: "/a", `x*^/a`: "", `^/a^/b`: "/a/b", `(?:^/q)?/a`: "",
	} {
		if got := literalPrefix(expr); got != want {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}

// mixed is n routes of all kinds, of which a request may meet any.
func mixed(n int) []Route {
	routes := make([]Route, 0, n)
	for i := range n {
		var m Match
		switch i % 4 {
		case 0:
			m.Path = fmt.Sprintf("/page/%d", i)
		case 1:
			m.Path = fmt.Sprintf("/app%d/*", i)
		case 2:
			m.Regexp = fmt.Sprintf(`^/item%d/(\d+)$`, i)
		case 3:
			m.Path, m.Methods = fmt.Sprintf("/a/b/c/d/e/f/g/%d/*", i), []string{"GET"}
		}
		routes = append(routes, Route{Match: m, Handler: nop})
	}
	return routes
}

var nop = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// targets are paths that the last routes of mixed match, and one that none does.
func targets(n int) []string {
	last := n - n%4 - 4
	return []string{
		fmt.Sprintf("/page/%d", last), fmt.Sprintf("/app%d/x/y", last+1), fmt.Sprintf("/item%d/77", last+2),
		fmt.Sprintf("/a/b/c/d/e/f/g/%d/h", last+3), "/a/b/c/d/nothing", "/",
	}
}

// What is looked at for a request stays the same for 10 and for 10,000 routes.
func TestStepsDoNotGrow(t *testing.T) {
	steps := func(n int) int {
		s, err := NewSite(Site{Routes: mixed(n)})
		if err != nil {
			t.Fatal(err)
		}
		most := 0
		for _, path := range targets(n) {
			c := s.main.index.candidates(path, 0)
			for c.next() >= 0 {
			}
			most = max(most, c.steps)
		}
		return most
	}
	if few, many := steps(12), steps(10_000); many > few+8 { // one node more for each digit
		t.Errorf("%d steps with 12 routes, %d with 10,000", few, many)
	}
}

// cost is the least time that serving one of each request takes.
func cost(h http.Handler, requests []*http.Request) time.Duration {
	best := time.Duration(1 << 62)
	for range 60 {
		began := time.Now()
		for range 20 {
			for _, r := range requests {
				h.ServeHTTP(nil, r)
			}
		}
		best = min(best, time.Since(began))
	}
	return best
}

// ratio is how much more a request costs among many than among few. What else
// the machine does makes it greater, never less, so that the least of a few
// measurements counts.
func ratio(t *testing.T, few, many func() (http.Handler, []*http.Request)) float64 {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	hFew, rFew := few()
	hMany, rMany := many()
	best := 1e9
	for range 5 {
		best = min(best, float64(cost(hMany, rMany))/float64(cost(hFew, rFew)))
		if best < 1.5 {
			break
		}
	}
	return best
}

func requests(host string, paths ...string) []*http.Request {
	var all []*http.Request
	for _, path := range paths {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = host
		all = append(all, r)
	}
	return all
}

// The time to route stays within twice from 10 to 10,000 routes.
func TestRoutingTime(t *testing.T) {
	with := func(n int) func() (http.Handler, []*http.Request) {
		return func() (http.Handler, []*http.Request) {
			s, err := NewSite(Site{Routes: mixed(n), Fallback: nop})
			if err != nil {
				t.Fatal(err)
			}
			return s, requests("h", targets(n)...)
		}
	}
	if got := ratio(t, with(12), with(10_000)); got > 2 {
		t.Errorf("a request costs %.1f times as much among 10,000 routes as among 12", got)
	} else {
		t.Logf("%.2f times", got)
	}
}

// manyHosts is a table of n sites, half of them wildcards.
func manyHosts(t testing.TB, n int) *Table {
	sites := make([]Site, 0, n)
	for i := range n {
		host := fmt.Sprintf("site%d.example.com", i)
		if i%2 == 1 {
			host = "*." + host
		}
		sites = append(sites, Site{Hosts: []string{host}, Handler: nop})
	}
	table, err := New(sites)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// The time to find the site stays within twice from 10 to 10,000 hosts.
func TestHostTime(t *testing.T) {
	with := func(n int) func() (http.Handler, []*http.Request) {
		return func() (http.Handler, []*http.Request) {
			var all []*http.Request
			for _, host := range []string{fmt.Sprintf("site%d.example.com", n-2), fmt.Sprintf("www.site%d.example.com", n-1), "unknown.example.com"} {
				all = append(all, requests(host, "/")...)
			}
			return manyHosts(t, n), all
		}
	}
	if got := ratio(t, with(10), with(10_000)); got > 2 {
		t.Errorf("a request costs %.1f times as much among 10,000 hosts as among 10", got)
	} else {
		t.Logf("%.2f times", got)
	}
}

// A hostile Host header costs no more than a name may.
func TestLongHost(t *testing.T) {
	table := manyHosts(t, 10)
	if h := table.site(strings.Repeat("a.", 200) + "site1.example.com"); h == nil {
		t.Fatal("no site")
	}
	if table.fallback == nil {
		t.Fatal("no fallback")
	}
}

// To route a request takes no memory.
func TestRoutingAllocates(t *testing.T) {
	s, err := NewSite(Site{Routes: mixed(1000), Fallback: nop})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests("h", targets(1000)...) {
		if n := testing.AllocsPerRun(100, func() { s.ServeHTTP(nil, r) }); n > 0 {
			t.Errorf("%s: %v allocations", r.URL.Path, n)
		}
	}
}

// linear finds a route as the documentation says it: each in turn.
func linear(s *Routes, r *http.Request, from int) int {
	for i := from; i < len(s.main.routes); i++ {
		if s.main.routes[i].takes(r, singleSlashes(r), false) != nil {
			return i
		}
	}
	return -1
}

// pieces are what the routes and paths of the fuzz test are made of.
var pieces = []string{"/", "a", "b", "/a", "/a/", "ab", "/ab", "*", "é", "\xff", "(x)", "^", "$", ".", "[ab]", "|", "?", "+", "(?i)", "%", "c", "\uFFFD"}

// some makes a text of pieces.
func some(rng *rand.Rand, from []string, most int) string {
	var b strings.Builder
	for range rng.IntN(most + 1) {
		b.WriteString(from[rng.IntN(len(from))])
	}
	return b.String()
}

// someRoutes are routes at random; those that are none are left out.
func someRoutes(rng *rand.Rand) []Route {
	var routes []Route
	for range rng.IntN(20) {
		r := Route{Handler: nop, Match: someMatch(rng)}
		for range rng.IntN(3) {
			r.Any = append(r.Any, someMatch(rng))
		}
		if rng.IntN(8) == 0 {
			not := someMatch(rng)
			r.Not = &not
		}
		if _, err := compile(&r); err == nil {
			routes = append(routes, r)
		}
	}
	return routes
}

func someMatch(rng *rand.Rand) Match {
	var m Match
	if rng.IntN(3) > 0 {
		m.Path = "/" + some(rng, pieces[:10], 3)
	}
	if rng.IntN(3) == 0 {
		m.Regexp = some(rng, pieces, 4)
	}
	if rng.IntN(3) == 0 {
		m.Regexp = "^" + m.Path + some(rng, pieces, 2)
	}
	switch rng.IntN(12) {
	case 0:
		m.Methods = []string{"GET"}
	case 1:
		m.Header = []Condition{{"X", some(rng, []string{"~", "*", "a", "b"}, 2)}}
	case 2:
		m.Query = []Condition{{"x", some(rng, []string{"~", "*", "a", "b"}, 2)}}
	case 3:
		m.Cookie = []Condition{{"x", some(rng, []string{"~", "*", "a", "b"}, 2)}}
	case 4:
		m.Client = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/25")}
	}
	return m
}

// The index finds what trying each route in turn finds, whatever the routes,
// the request, and the route that it begins at.
func FuzzMatcher(f *testing.F) {
	for i := range uint64(50) {
		f.Add(i, "/a/b", "a", int8(0))
	}
	f.Add(uint64(1), "/ab\xff", "x", int8(3))
	f.Add(uint64(2), "/a\uFFFDb", "", int8(1))
	f.Fuzz(func(t *testing.T, seed uint64, path, value string, from int8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s, err := NewSite(Site{Routes: someRoutes(rng)})
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{
			Method: []string{"GET", "HEAD", "POST"}[rng.IntN(3)], Header: http.Header{"X": {value}, "Cookie": {"x=" + value}},
			RemoteAddr: fmt.Sprintf("192.0.2.%d:1", rng.IntN(256)),
		}
		for _, p := range []string{path, "/" + some(rng, pieces[:10], 4)} {
			r.URL = &url.URL{Path: p, RawQuery: "x=" + value}
			start := max(0, int(from))
			got, _ := s.find(r, &walk{block: &s.main, from: start})
			want := linear(s, r, start)
			if got != want {
				t.Fatalf("seed %d, path %q, from %d: the index finds %d, the routes %d", seed, p, start, got, want)
			}
		}
	})
}

// FuzzHosts compares a table of hosts with a search of them all.
func FuzzHosts(f *testing.F) {
	names := []string{"a.b", "*.a.b", "*.b", "c.a.b", "b", "*.c.a.b", "~^a", "~b$"}
	f.Add("a.b", uint8(255))
	f.Add("X.A.B.:80", uint8(6))
	f.Add("[::1]:80", uint8(1))
	f.Add("..", uint8(255))
	f.Fuzz(func(t *testing.T, host string, which uint8) {
		var sites []Site
		var hosts []string
		hit := ""
		for i, name := range names {
			if which&(1<<i) != 0 {
				hosts = append(hosts, name)
				sites = append(sites, Site{Hosts: []string{name}, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hit = name })})
			}
		}
		sites = append(sites, Site{Default: true, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hit = "" })})
		table, err := New(sites)
		if err != nil {
			t.Fatal(err)
		}
		table.ServeHTTP(nil, &http.Request{Host: host})
		if want := hostByHand(hosts, Host(host)); hit != want {
			t.Fatalf("%q among %q: %q, want %q", host, hosts, hit, want)
		}
	})
}

func hostByHand(hosts []string, host string) string {
	if slices.Contains(hosts, host) && !strings.ContainsAny(host, "*~") {
		return host
	}
	best := ""
	for _, name := range hosts {
		if rest, ok := strings.CutPrefix(name, "*"); ok && len(host) <= maxHost && strings.HasSuffix(host, rest) && len(host) > len(rest) && len(name) > len(best) {
			best = name
		}
	}
	if best != "" || len(host) > maxHost || host == "" {
		return best
	}
	for _, name := range hosts {
		if name == "~^a" && strings.HasPrefix(host, "a") || name == "~b$" && strings.HasSuffix(host, "b") {
			return name
		}
	}
	return ""
}

// A rewrite is a path that a request could have come with: decoded and encoded
// say the same, and no value ends the path.
func FuzzRewrite(f *testing.F) {
	for _, seed := range [][3]string{
		{"/new/{1}", "/old/a%20b", "x"}, {"{uri}", "//evil/%2e", ""}, {"/x?q={path}&{query}", "/a%3Fb?c=d", "&"},
		{"{header.X}", "/", "//evil"}, {"/{header.X}", "/", "a%2"}, {"/%41{1}", "/%C3%A4", "\xff"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, text, target, value string) {
		to, err := placeholder.Parse(text, placeholder.Scope{Groups: 1, Getenv: func(string) (string, bool) { return "", true }})
		if err != nil {
			return
		}
		u, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") || strings.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
			return // no server lets it in
		}
		r, found := placeholder.Keep(&http.Request{Method: "GET", URL: u, Header: http.Header{"X": {value}}, Host: "h", RequestURI: target})
		found.Groups = []string{u.Path, value}
		next, err := Rewrite(r, to)
		if err != nil {
			return
		}
		path := next.URL.EscapedPath()
		if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
			t.Fatalf("%q makes %q", text, path)
		}
		if strings.ContainsAny(path+next.URL.RawQuery, "\r\n\x00 ") {
			t.Fatalf("%q makes %q ? %q", text, path, next.URL.RawQuery)
		}
		if decoded, err := url.PathUnescape(path); err != nil || decoded != next.URL.Path {
			t.Fatalf("%q makes the path %q, encoded %q: %v", text, next.URL.Path, path, err)
		}
		if next.RequestURI != target || r.URL != u || u.String() != mustParse(t, target).String() {
			t.Fatal("the request that came is another now")
		}
	})
}

func mustParse(t *testing.T, target string) *url.URL {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func BenchmarkRoutes(b *testing.B) {
	for _, n := range []int{12, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, err := NewSite(Site{Routes: mixed(n), Fallback: nop})
			if err != nil {
				b.Fatal(err)
			}
			all := requests("h", targets(n)...)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.ServeHTTP(nil, all[i%len(all)])
			}
		})
	}
}

func BenchmarkHosts(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			table := manyHosts(b, n)
			all := slices.Concat(requests(fmt.Sprintf("site%d.example.com", n-2), "/"), requests(fmt.Sprintf("www.site%d.example.com", n-1), "/"), requests("unknown.example.com", "/"))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				table.ServeHTTP(nil, all[i%len(all)])
			}
		})
	}
}

// TestHostLower: hosts are compared in ASCII's lower case, in which no letter
// beyond ASCII is one of ASCII's.
func TestHostLower(t *testing.T) {
	for host, want := range map[string]string{"A.Example.:80": "a.example", "a.example": "a.example", "\u212a.example": "\u212a.example", "\u0130": "\u0130", "": ""} {
		if got := Host(host); got != want {
			t.Errorf("%q is %q, want %q", host, got, want)
		}
	}
}
