package upstream

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/gateway"
)

// TestHTTPClient: a request made of parameters is the one that they came from,
// and no second connection stays.
func TestHTTPClient(t *testing.T) {
	var mu sync.Mutex
	open, opened := 0, 0
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintln(w, r.Method, r.RequestURI, r.Host, r.Header.Get("X-Any"), r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Prefix"], n)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch state {
		case http.StateNew:
			open, opened = open+1, opened+1
		case http.StateClosed:
			open--
		}
	}
	s.Start()
	defer s.Close()
	c := NewHTTPClient(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", s.Listener.Addr().String())
	})
	defer c.Close()
	ask := func(method, body string) string {
		t.Helper()
		r := httptest.NewRequest(method, "http://example.org/app/some%2fpath?x=1", nil)
		r.Header.Set("X-Any", "some")
		r.Header.Set("X-Forwarded-For", "10.0.0.1")
		target := gateway.Target{ScriptName: "/app", PathInfo: "/some/path", ContentLength: -1}
		if body != "" {
			target.ContentLength = int64(len(body))
		}
		req, err := gateway.FromHTTP(r, target)
		if err != nil {
			t.Fatal(err)
		}
		req.GetBody = func() (io.Reader, error) { return strings.NewReader(body), nil }
		resp, err := c.RoundTrip(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.Status != 200 {
			t.Fatalf("%d %q, %v", resp.Status, text, err)
		}
		return string(text)
	}
	// At rest there is the kept connection, or none. The server notices a close
	// when it gets to it.
	atMostOne := func() {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
			mu.Lock()
			n := open
			mu.Unlock()
			if n <= 1 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d connections stay open", n)
			}
		}
	}
	for range 3 {
		for _, test := range []struct{ method, body string }{{"GET", ""}, {"GET", ""}, {"POST", "body"}, {"DELETE", ""}} {
			want := fmt.Sprintf("%s /some%%2fpath?x=1 example.org some [192.0.2.1] [/app] %d\n", test.method, len(test.body))
			if got := ask(test.method, test.body); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			atMostOne()
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if opened != 4 {
		t.Errorf("%d connections were opened; want one for the first requests, and one for each POST", opened)
	}
}
