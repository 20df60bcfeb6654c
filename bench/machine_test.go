package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMachine(t *testing.T) {
	if got := cpuModel("processor\t: 0\nvendor_id\t: A\nmodel\t\t: 7\nmodel name\t: Some CPU @ 2.00GHz\n"); got != "Some CPU @ 2.00GHz" {
		t.Errorf("CPU %q", got)
	}
	if got := cpuModel("processor\t: 0\nBogoMIPS\t: 50\n"); got != "unknown" {
		t.Errorf("CPU %q", got)
	}
	if got := memoryTotal("MemTotal:       24684000 kB\nMemFree: 1 kB\n"); got != "25.3 GB" {
		t.Errorf("memory %q", got)
	}
	if got := memoryTotal(""); got != "unknown" {
		t.Errorf("memory %q", got)
	}
}

func TestVersionNumber(t *testing.T) {
	for text, want := range map[string]string{
		"nginx version: nginx/1.22.1":                           "1.22.1",
		"Server version: Apache/2.4.71 (Debian)":                "2.4.71",
		"lighttpd/1.4.69 (ssl) - a light and fast webserver":    "1.4.69",
		"v2.6.2 h1:abc=":                                        "v2.6.2",
		"2.0.21-debian":                                         "2.0.21-debian",
		"wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012":      "4.1.0-3+b2",
		"HAProxy version 2.6.12-1+deb12u4 2026/01/02":           "2.6.12-1+deb12u4",
		"PHP 8.2.36 (fpm-fcgi) (built: Jan  2 2026 10:00:00)":   "8.2.36",
		"granian-2.8.9":                                         "2.8.9",
		"dpkg-query: no packages found matching a-package-py3.": "",
	} {
		if got := versionNumber.FindString(text); got != want {
			t.Errorf("%q has version %q; want %q", text, got, want)
		}
	}
}

const goBench = `goos: linux
BenchmarkServer/kept/ours-2         	   43210	     27500 ns/op	     120 B/op	       3 allocs/op
BenchmarkServer/kept/ours-2         	   43210	     28500 ns/op
BenchmarkServer/kept/net-http-fcgi-2	   20000	     56000 ns/op
BenchmarkClient/kept                	   10000	      9000 ns/op	  10.5 MB/s
BenchmarkBroken-2                   	some text
PASS
ok  	millrace/fcgi	7.1s
`

func TestParseBenchmarks(t *testing.T) {
	found := parseBenchmarks(goBench)
	if len(found) != 3 || found[0].name != "Server/kept/ours" || !slices.Equal(found[0].ns, []float64{27500, 28500}) || found[2].name != "Client/kept" {
		t.Fatalf("%+v", found)
	}
	sec := packageSection(found, "")
	if len(sec.rows) != 2 || strings.Join(sec.rows[0], "|") != "Server/kept|28.0 µs|56.0 µs|2.00" || strings.Join(sec.rows[1], "|") != "Client/kept|9.0 µs||" {
		t.Errorf("%q", sec.rows)
	}
}

// TestBook: what is only this machine's and this run's is left out, and what
// was said is not said again.
func TestBook(t *testing.T) {
	work := t.TempDir()
	folder := filepath.Join(work, "nginx-1")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "nginx.conf"), []byte("listen 127.0.0.1:34567;\nroot "+folder+"/www;\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := &book{work: work, tree: "/the/tree"}
	for range 2 {
		b.started("nginx", folder, []string{"A=/the/tree/.cache"}, "/usr/sbin/nginx", []string{"-c", "nginx.conf", "--port", "34567", "it's $x", work + "/apps"})
	}
	var text strings.Builder
	b.markdown(&text)
	const want = "\n## nginx\n\n```\nA=.cache /usr/sbin/nginx -c nginx.conf --port PORT 'it'\\''s $x' $WORK/apps \n\n# nginx.conf\nlisten 127.0.0.1:PORT;\nroot $DIR/www;\n```\n"
	if text.String() != want {
		t.Errorf("%q\nwant\n%q", text.String(), want)
	}
	var none *book
	none.started("nginx", folder, nil, "nginx", nil)
}

func TestAsk(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/bad":
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.Method == http.MethodPost && r.ContentLength != 5000:
			w.WriteHeader(http.StatusBadRequest)
		case r.URL.Path == "/long":
			_, _ = w.Write(make([]byte, 3000))
		default:
			_, _ = w.Write([]byte(helloBody))
		}
	}))
	defer server.Close()
	for name, c := range map[string]struct {
		j     job
		right bool
	}{
		"hello":         {job{}, true},
		"post":          {job{post: 5000}, true},
		"short post":    {job{post: 4999}, false},
		"status":        {job{path: "bad", size: -1}, false},
		"other text":    {job{path: "long"}, false},
		"length":        {job{path: "long", size: 3000}, true},
		"other length":  {job{path: "long", size: 3001}, false},
		"any length":    {job{path: "long", size: -1}, true},
		"beyond begins": {job{path: "long", size: 1024}, false},
	} {
		if err := c.j.ask(server.URL + "/").check(t.Context()); (err == nil) != c.right {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenLoad(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	all := []arrival{{0, false}, {0, true}, {time.Millisecond, false}}
	got := openLoad(t.Context(), server.URL, all)
	if len(got) != 3 || got[0].whole() != nil || got[1].whole() == nil || got[1].status != http.StatusServiceUnavailable || !got[1].long || got[2].ended < time.Millisecond {
		t.Errorf("%+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := openLoad(ctx, server.URL, all); len(got) != 0 {
		t.Errorf("%+v after the end", got)
	}
}

func TestArrivals(t *testing.T) {
	one, again := arrivals(7, 1000, 0.05, 2*time.Second), arrivals(7, 1000, 0.05, 2*time.Second)
	if !slices.Equal(one, again) {
		t.Error("a seed gives different arrivals")
	}
	long := 0
	for _, a := range one {
		if a.long {
			long++
		}
	}
	if n := len(one); n < 1800 || n > 2200 || long < 60 || long > 140 {
		t.Errorf("%d arrivals, %d of them long; want about 2000 and 100", n, long)
	}
	if percentile(nil, 0.99) != 0 || percentile([]time.Duration{3, 1, 2}, 1) != 3 {
		t.Error("percentile")
	}
}
