package fcgi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// TestLateWriter: a handler that goes on writing after its return, against the
// rules of http.Handler, gets errors and reaches nobody's response.
func TestLateWriter(t *testing.T) {
	kept := make(chan http.ResponseWriter, 1)
	var group sync.WaitGroup
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			select {
			case kept <- w:
			default:
			}
			return
		}
		_, _ = io.WriteString(w, "mine")
	})
	c := &Client{Address: serveUnix(t, &Server{Handler: handler}), Reuse: ReuseAlways}
	defer c.Close()
	ask := func(uri string) string {
		resp, err := c.RoundTrip(context.Background(), get("REQUEST_URI", uri))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Header.Get("X-Late") != "" {
			t.Error("a late header reaches another response")
		}
		return string(b)
	}
	ask("/late")
	w := <-kept
	stop := make(chan struct{})
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
			if _, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("LATE")); !errors.Is(err, errReturned) {
				t.Errorf("a late ReadFrom gives %v", err)
				return
			}
		}
	})
	for range 500 {
		if got := ask("/other"); got != "mine" {
			t.Fatalf("a response is %q", got)
		}
	}
	close(stop)
	group.Wait()
}
