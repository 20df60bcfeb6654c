package ajp

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"

	"millrace/gateway"
)

// TestLateWriter: a handler that goes on writing after its return, against the
// rules of http.Handler, gets errors and reaches nobody's response.
func TestLateWriter(t *testing.T) {
	kept := make(chan http.ResponseWriter, 1)
	s := start(t, "unix", &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			kept <- w
			return
		}
		_, _ = io.WriteString(w, "mine")
	})})
	client := &Client{Address: s.target(), MaxConns: 1}
	defer client.Close()
	c := &http.Client{Transport: gateway.Transport{RoundTripper: client}}
	ask := func(path string) (string, http.Header) {
		resp, err := c.Get("http://example.org" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b), resp.Header
	}
	ask("/late")
	w, stop := <-kept, make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			w.Header().Set("X-Late", "yes")
			if _, err := io.WriteString(w, "LATE"); !errors.Is(err, errReturned) {
				t.Errorf("a late write gives %v", err)
				return
			}
		}
	})
	for range 500 {
		if got, header := ask("/other"); got != "mine" || header.Get("X-Late") != "" {
			t.Fatalf("a response is %q, %v", got, header)
		}
	}
	close(stop)
	group.Wait()
}
