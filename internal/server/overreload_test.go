package server

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// overReloads has clients ask two.test without a pause while the server reloads
// and the certificate changes, rounds times: no request fails. Of a client that
// is not kept each request has a connection of its own.
func (a *authority) overReloads(s *serving, dir string, rounds int, clients ...reloadClient) {
	t := s.t
	t.Helper()
	var count atomic.Int64
	stop := make(chan struct{})
	var group sync.WaitGroup
	for _, c := range clients {
		group.Go(func() {
			client := c.make()
			for {
				select {
				case <-stop:
					return
				default:
				}
				res, err := client.Get("https://two.test/")
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || strings.TrimSpace(string(b)) != "second" {
					t.Errorf("%q, %v", b, err)
				}
				if !c.kept {
					if tr, ok := client.Transport.(*http3.Transport); ok {
						tr.Close()
					}
					client.CloseIdleConnections()
					client = c.make()
				}
				count.Add(1)
			}
		})
	}
	for i := range rounds {
		want := count.Load() + 10
		eventually(t, "requests are answered", func() bool { return count.Load() >= want || t.Failed() })
		a.issue(t, dir, "two", false, "two.test")
		if i%2 == 0 {
			if err := s.reloadTo(parse(t, dir, secure)); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	group.Wait()
}

type reloadClient struct {
	make func() *http.Client
	kept bool
}

// looking is a server of secure that looks at its certificates all the time.
func looking(t *testing.T, dir string) *serving {
	t.Helper()
	s := unlaunched(t, Options{Plan: parse(t, dir, secure)}, newFakeApps())
	s.look = 5 * time.Millisecond
	s.launch()
	<-s.Started()
	return s
}

// TestTLSOverReload over HTTP/1.1 and HTTP/2.
func TestTLSOverReload(t *testing.T) {
	a, dir := secureSite(t)
	s := looking(t, dir)
	at := s.hostPort("127.0.0.1:0")
	http1, http2 := func() *http.Client { return a.client(at, false) }, func() *http.Client { return a.client(at, true) }
	a.overReloads(s, dir, 20, reloadClient{http1, true}, reloadClient{http1, false}, reloadClient{http2, true}, reloadClient{http2, false})
}

// TestHTTP3OverReload is the same over HTTP/3.
func TestHTTP3OverReload(t *testing.T) {
	a, dir := secureSite(t)
	s := looking(t, dir)
	at := s.hostPort("127.0.0.1:0")
	http3 := func() *http.Client { return a.client3(t, at) }
	a.overReloads(s, dir, 10, reloadClient{http3, true}, reloadClient{http3, false})
}
