package pool

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"millrace/gateway"
)

func TestShowsTraceback(t *testing.T) {
	listed := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::7/128")}
	for _, c := range []struct {
		name        string
		to          []netip.Prefix
		development bool
		peer        string
		front       []gateway.Param // nil: none
		header      string
		want        bool
	}{
		{"nobody", nil, false, "127.0.0.1:1", nil, "", false},
		{"development", nil, true, "127.0.0.1:1", nil, "", true},
		{"development, IPv6", nil, true, "[::1]:1", nil, "", true},
		{"development, elsewhere", nil, true, "192.0.2.1:1", nil, "", false},
		{"development, with a list", listed, true, "127.0.0.1:1", nil, "", false},
		{"listed", listed, false, "192.0.2.1:1", nil, "", true},
		{"listed, IPv4 in IPv6", listed, false, "[::ffff:192.0.2.1]:1", nil, "", true},
		{"listed, IPv6", listed, false, "[2001:db8::7]:1", nil, "", true},
		{"beside it", listed, false, "192.0.3.1:1", nil, "", false},
		{"a Unix socket", listed, true, "@", nil, "", false},
		{"no address", listed, true, "", nil, "", false},
		{"a Unix socket in development", nil, true, "@", nil, "", false},
		{"through a proxy", listed, false, "192.0.2.1:1", nil, "X-Forwarded-For", false},
		{"through another", nil, true, "127.0.0.1:1", nil, "Forwarded", false},
		{"through nginx", nil, true, "127.0.0.1:1", nil, "X-Real-Ip", false},
		{"through a cache", nil, true, "127.0.0.1:1", nil, "Via", false},
		{"a front server's client", listed, false, "127.0.0.1:1", []gateway.Param{{Name: "REMOTE_ADDR", Value: "192.0.2.1"}}, "", true},
		{"another of its clients", nil, true, "127.0.0.1:1", []gateway.Param{{Name: "REMOTE_ADDR", Value: "192.0.2.1"}}, "", false},
		{"a front server that does not tell", nil, true, "127.0.0.1:1", []gateway.Param{}, "", false},
		{"one that tells nonsense", nil, true, "127.0.0.1:1", []gateway.Param{{Name: "REMOTE_ADDR", Value: "unix:"}}, "", false},
	} {
		cfg := &Config{TracebackTo: c.to, Development: c.development}
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.header != "" {
			r.Header[c.header] = []string{""}
		}
		var front *gateway.Front
		if c.front != nil {
			front = &gateway.Front{Params: c.front}
		}
		if got := cfg.showsTraceback(r, front); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// site stands for one that shows request ids.
func site(h http.Handler, id string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header["X-Request-Id"] = []string{id}
		w.Header()["X-Request-Id"] = []string{id}
		h.ServeHTTP(w, r)
	})
}

// TestErrorPages: an app that raises, in every way that there is, gives the
// client a page with the request's id, and the traceback if it may see one.
func TestErrorPages(t *testing.T) {
	for version, python := range ends(t) {
		cfg := testConfig(t, "raising:application")
		cfg.Python, cfg.Host.Path, cfg.Host.Args[0] = python, python, python
		cfg.Development = true
		log := logged(&cfg)
		p, _ := startPool(t, cfg)
		server := httptest.NewServer(site(p.Handler(""), "id-7"))
		defer server.Close()
		for _, c := range []struct{ path, traceback string }{
			{"/at_once", "ValueError: at once\n"},
			{"/after_start", "ValueError: after start_response\n"},
			{"/from_generator", "ValueError: from a generator\n"},
			{"/no_start", "AssertionError: the app did not call start_response"},
			{"/exit", "SystemExit: 3\n"},
			{"/bad_header", "ValueError: a line feed"},
			{"/surrogate", `ValueError: \udc80` + "\n"},
			{"/no_stderr", "ValueError: without a stderr\n"},
			{"/endless", "a long way down\n"},
			{"/refused", ""}, // by the front, which has no traceback
		} {
			for _, proxied := range []bool{false, true} {
				t.Run(fmt.Sprint(version, c.path, " ", proxied), func(t *testing.T) {
					req, err := http.NewRequest("GET", server.URL+c.path, nil)
					if err != nil {
						t.Fatal(err)
					}
					if proxied {
						req.Header.Set("X-Forwarded-For", "192.0.2.1")
					}
					resp, err := http.DefaultClient.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					b, err := io.ReadAll(resp.Body)
					page := string(b)
					const head = "Internal Server Error\nrequest id: id-7\n"
					if err != nil || resp.StatusCode != 500 || !strings.HasPrefix(page, head) {
						t.Errorf("%d %q, %v", resp.StatusCode, page, err)
					}
					if ids := resp.Header["X-Request-Id"]; len(ids) != 1 || ids[0] != "id-7" || resp.Header["X-App"] != nil {
						t.Errorf("the response has %v", resp.Header)
					}
					detail := page[min(len(head), len(page)):]
					switch shown := !proxied && c.traceback != ""; {
					case !shown && detail != "":
						t.Errorf("shown: %q", detail)
					case shown && (!strings.Contains(detail, c.traceback) || len(detail) > 40000 || resp.Header.Get("Cache-Control") != "no-store"):
						t.Errorf("shown are %d bytes: %.500q, %v", len(detail), detail, resp.Header)
					}
					log.wait(t, "request=id-7", "uri="+c.path)
				})
			}
		}
	}
}

// TestAppsOwnID: what the app says of the request's id gives way to what the
// site shows, and reaches the client if it shows none.
func TestAppsOwnID(t *testing.T) {
	p, plain := startPool(t, testConfig(t, "raising:application"))
	shows := httptest.NewServer(site(p.Handler(""), "id-7"))
	defer shows.Close()
	for url, want := range map[string]string{plain.URL: "[mine]", shows.URL: "[id-7]"} {
		resp, err := http.Get(url + "/own_id")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := fmt.Sprint(resp.Header["X-Request-Id"]); got != want {
			t.Errorf("X-Request-ID is %s, want %s", got, want)
		}
	}
}
