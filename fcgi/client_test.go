package fcgi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	stdfcgi "net/http/fcgi"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/gateway"
)

// serveUnix runs a server on a Unix socket until the test ends.
func serveUnix(t testing.TB, s *Server) (address string) {
	t.Helper()
	l, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		<-ended
	})
	return "unix:" + l.Addr().String()
}

func get(params ...string) *gateway.Request {
	req := &gateway.Request{Params: []gateway.Param{
		{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "REQUEST_URI", Value: "/"}, {Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"},
	}}
	for i := 0; i < len(params); i += 2 {
		req.Params = gateway.Set(req.Params, params[i], params[i+1])
	}
	return req
}

func post(body string) *gateway.Request {
	req := get("REQUEST_METHOD", "POST", "CONTENT_LENGTH", fmt.Sprint(len(body)))
	req.Body, req.ContentLength = strings.NewReader(body), int64(len(body))
	req.GetBody = func() (io.Reader, error) { return strings.NewReader(body), nil }
	return req
}

func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Method", r.Method)
	w.Header().Set("X-Query", r.URL.RawQuery)
	_, _ = io.Copy(w, r.Body)
}

// modes are the ways a client uses connections.
var modes = map[string]*Client{
	"never":  {Reuse: ReuseNever},
	"always": {Reuse: ReuseAlways},
	"auto":   {},
	"single": {MaxRequests: 1},
}

func TestRoundTrips(t *testing.T) {
	ours := func(l net.Listener) { _ = (&Server{Handler: http.HandlerFunc(echo)}).Serve(l) }
	theirs := func(l net.Listener) { _ = stdfcgi.Serve(l, http.HandlerFunc(echo)) }
	for program, serve := range map[string]func(net.Listener){"ours": ours, "net-http-fcgi": theirs} {
		l, err := net.Listen("unix", t.TempDir()+"/s")
		if err != nil {
			t.Fatal(err)
		}
		go serve(l)
		for name, mode := range modes {
			t.Run(program+"/"+name, func(t *testing.T) {
				c := &Client{Address: "unix:" + l.Addr().String(), Reuse: mode.Reuse, MaxRequests: mode.MaxRequests}
				defer c.Close()
				roundTrips(t, c)
			})
		}
		l.Close()
	}
}

// roundTrips sends 50 requests at a time, some of them large.
func roundTrips(t *testing.T, c *Client) {
	big := strings.Repeat("0123456789abcdef", 2<<20/16)
	var group sync.WaitGroup
	for i := range 50 {
		body := fmt.Sprint("body ", i)
		if i%10 == 3 {
			body = big
		}
		group.Go(func() {
			resp, err := c.RoundTrip(t.Context(), post(body))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || resp.Status != 200 || !bytes.Equal(got, []byte(body)) {
				t.Errorf("status %d, %d bytes of %d, %v", resp.Status, len(got), len(body), err)
			}
		})
	}
	group.Wait()
}
