package limit

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// taker is a client over HTTP/2 that takes a piece after a time; a deadline ends
// the write that waits.
type taker struct {
	http.ResponseWriter
	each  time.Duration
	cut   chan struct{}
	once  sync.Once
	ended time.Time // of what is written behind the handler
}

func (c *taker) Write(p []byte) (int, error) {
	select {
	case <-time.After(c.each):
		return c.ResponseWriter.Write(p)
	case <-c.cut:
		return 0, os.ErrDeadlineExceeded
	}
}

func (c *taker) SetWriteDeadline(t time.Time) error {
	if t.Before(time.Now()) {
		c.once.Do(func() { close(c.cut) })
	} else {
		c.ended = t
	}
	return nil
}

func TestStreams(t *testing.T) {
	for _, test := range []struct {
		name   string
		limits Limits
		own    Limits // of the route
		each   time.Duration
		piece  int // bytes of one write
		n      int // writes
		cut    bool
	}{
		{"quick", Limits{Timeout: time.Minute, MinRate: 240}, Limits{}, 0, 100, 1000, false},
		{"slow but healthy", Limits{Timeout: time.Minute, MinRate: 240}, Limits{}, 50 * time.Second, 32 << 10, 200, false},
		{"stalled", Limits{Timeout: time.Minute, MinRate: 240}, Limits{}, 61 * time.Second, 32 << 10, 2, true},
		{"below the rate", Limits{Timeout: time.Minute, MinRate: 240}, Limits{}, 50 * time.Second, 1000, 10, true},
		{"below any rate", Limits{Timeout: time.Minute}, Limits{}, 50 * time.Second, 10, 10, false},
		{"large writes by pieces", Limits{Timeout: time.Minute, MinRate: 240}, Limits{}, 50 * time.Second, 1 << 20, 2, false},
		{"the route's time", Limits{Timeout: time.Minute}, Limits{Timeout: time.Second}, 2 * time.Second, 10, 1, true},
		{"the route's longer time", Limits{Timeout: time.Minute}, Limits{Timeout: time.Hour}, 2 * time.Minute, 10, 10, false},
		{"the route's rate", Limits{Timeout: time.Minute, MinRate: 1}, Limits{MinRate: 1000}, 50 * time.Second, 10000, 10, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			var err error
			var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Hour) // a handler may take its time
				for i := range test.n {
					if i%2 == 0 {
						_, err = w.Write(make([]byte, test.piece))
					} else {
						_, err = w.(io.ReaderFrom).ReadFrom(bytes.NewReader(make([]byte, test.piece)))
					}
					if err != nil {
						return
					}
					time.Sleep(time.Minute)
				}
			})
			if test.own != (Limits{}) {
				h = Writes(h, test.own)
			}
			h = Streams(h, test.limits)
			r := httptest.NewRequest("GET", "/", nil)
			r.ProtoMajor = 2
			inner := httptest.NewRecorder()
			c := &taker{ResponseWriter: inner, each: test.each, cut: make(chan struct{})}
			h.ServeHTTP(c, r)
			if test.cut != errors.Is(err, os.ErrDeadlineExceeded) || !test.cut && inner.Body.Len() != test.n*test.piece {
				t.Errorf("%s: %v after %d bytes; cut: %v", test.name, err, inner.Body.Len(), test.cut)
			}
			if !c.ended.After(time.Now()) {
				t.Errorf("%s: nothing bounds what is written behind the handler: %v", test.name, c.ended)
			}
		})
	}
}

// Over HTTP/1 it is the connection that has limits.
func TestWritesOfConnection(t *testing.T) {
	var got []string
	l := &limited{ResponseWriter: httptest.NewRecorder(), got: &got}
	h := Streams(Writes(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, wrapped := w.(*stream); wrapped {
			t.Error("over HTTP/1 each write is watched")
		}
	}), Limits{Timeout: time.Second, MinRate: 7}), Limits{Timeout: time.Minute})
	h.ServeHTTP(l, httptest.NewRequest("GET", "/", nil))
	if strings.Join(got, " ") != "1s" {
		t.Errorf("the connection is told %v", got)
	}
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) // which has none
}

type limited struct {
	http.ResponseWriter
	got *[]string
}

func (l *limited) SetWriteLimit(timeout time.Duration, rate int64) error {
	if rate == 7 {
		*l.got = append(*l.got, timeout.String())
	}
	return nil
}

// A client over HTTP/2 that takes nothing of one response is cut off there, and
// goes on with others of its connection.
func TestStalledStream(t *testing.T) {
	failed := make(chan error, 1)
	h := Streams(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/small" {
			_, _ = io.WriteString(w, "small") // the client tells whether it came
			return
		}
		var err error
		for err == nil {
			_, err = w.Write(make([]byte, 1<<20))
		}
		failed <- err
	}), Limits{Timeout: 300 * time.Millisecond})
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	res, err := s.Client().Get(s.URL + "/endless")
	if err != nil || res.ProtoMajor != 2 {
		t.Fatalf("%v, %v", res, err)
	}
	defer res.Body.Close()
	select {
	case err := <-failed:
		if err == nil {
			t.Error("the handler is told of nothing")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a client that takes nothing is not cut off")
	}
	other, err := s.Client().Get(s.URL + "/small")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Body.Close()
	if b, err := io.ReadAll(other.Body); string(b) != "small" || err != nil {
		t.Errorf("another response of the connection: %q, %v", b, err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Error("the response that was cut off looks whole")
	}
}
