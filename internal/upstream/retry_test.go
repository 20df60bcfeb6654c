package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"millrace/gateway"
)

// failThenServe is:  servers f1, f2, … that fail with an error each, and then good
// ones; tries are their addresses in the order in which they were asked.
func failThenServe(tries *[]string, good int, errs ...error) (all []Server) {
	for i, err := range errs {
		name := fmt.Sprintf("f%d", i+1)
		all = append(all, Server{Address: name, RoundTripper: tripper(func(context.Context, *gateway.Request) (*gateway.Response, error) {
			*tries = append(*tries, name)
			return nil, err
		})})
	}
	for i := range good {
		name := fmt.Sprintf("g%d", i+1)
		all = append(all, Server{Address: name, RoundTripper: tripper(func(_ context.Context, req *gateway.Request) (*gateway.Response, error) {
			*tries = append(*tries, name)
			text := ""
			if req.Body != nil {
				b, err := io.ReadAll(req.Body)
				if err != nil {
					return nil, err
				}
				text = string(b)
			}
			return says(200, name+text), nil
		})})
	}
	return all
}

const everything = Connect | Failure | Timeout | Status502 | Status503 | Status504

// TestRetries: what is sent again, how often, and to whom.
func TestRetries(t *testing.T) {
	unreachable := fmt.Errorf("x: %w", gateway.ErrUnreachable)
	reset := errors.New("reset")
	for name, tt := range map[string]struct {
		method string
		cfg    Config
		errs   []error
		tries  string
		want   string // the answer, or a part of the error
	}{
		"connect":                 {"POST", Config{}, []error{unreachable, unreachable, unreachable}, "f1 f2 f3 g1", "g1"},
		"hung up":                 {"GET", Config{RetryOn: everything, Retries: 1}, []error{gateway.ErrNotAnswered}, "f1 g1", "g1"},
		"malformed":               {"PUT", Config{RetryOn: everything, Retries: 1}, []error{gateway.ErrBadResponse}, "f1 g1", "g1"},
		"anything":                {"DELETE", Config{RetryOn: everything, Retries: 1}, []error{reset}, "f1 g1", "g1"},
		"silent":                  {"HEAD", Config{RetryOn: everything, Retries: 1}, []error{gateway.ErrTimeout}, "f1 g1", "g1"},
		"not told":                {"GET", Config{Retries: 5}, []error{gateway.ErrNotAnswered}, "f1", "hung up"},
		"not for that":            {"GET", Config{RetryOn: Failure, Retries: 5}, []error{gateway.ErrTimeout}, "f1", "in time"},
		"not at all":              {"GET", Config{RetryOn: everything}, []error{gateway.ErrNotAnswered}, "f1", "hung up"},
		"so often":                {"GET", Config{RetryOn: everything, Retries: 2}, []error{reset, reset, reset}, "f1 f2 f3", "reset"},
		"so often, but for those": {"GET", Config{RetryOn: everything, Retries: 1}, []error{unreachable, reset, unreachable}, "f1 f2 f3 g1", "g1"},
		"not idempotent":          {"POST", Config{RetryOn: everything, Retries: 5}, []error{gateway.ErrNotAnswered}, "f1", "hung up"},
		"not idempotent, but":     {"POST", Config{RetryOn: everything, Retries: 5, RetryUnsafe: true}, []error{gateway.ErrNotAnswered}, "f1 g1", "g1"},
		"refused by its word":     {"POST", Config{RetryOn: everything, Retries: 5}, []error{gateway.ErrOverloaded}, "f1 g1", "g1"},
		"refused, not told":       {"POST", Config{RetryOn: Failure, Retries: 5}, []error{gateway.ErrOverloaded}, "f1", "overloaded"},
		"the request's fault":     {"GET", Config{RetryOn: everything, Retries: 5}, []error{gateway.ErrTooLarge}, "f1", "fit"},
		"the client's fault":      {"GET", Config{RetryOn: everything, Retries: 5}, []error{gateway.ErrBody}, "f1", "body"},
	} {
		var tries []string
		tt.cfg.Balance, tt.cfg.Servers = RoundRobin, failThenServe(&tries, 1, tt.errs...)
		g := group(&logBuffer{}, tt.cfg)
		got := answerOf(t, g, tt.method)
		if strings.Join(tries, " ") != tt.tries || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %v, %s; want %s, %s", name, tries, got, tt.tries, tt.want)
		}
		for _, s := range g.Status().Servers {
			if s.Active != 0 {
				t.Errorf("%s: %+v", name, s)
			}
		}
		if n := g.Status().Retried; int(n) != len(tries)-1 {
			t.Errorf("%s: %d were counted", name, n)
		}
	}
}

// TestRetryStatus: a bad status goes to another server, and is passed on if
// there is none.
func TestRetryStatus(t *testing.T) {
	closed := 0
	answering := func(status int, text string) Server {
		return Server{Address: text, RoundTripper: tripper(func(context.Context, *gateway.Request) (*gateway.Response, error) {
			r := says(status, text)
			r.Body = &closer{r.Body, &closed}
			return r, nil
		})}
	}
	for _, tt := range []struct {
		method  string
		causes  Causes
		servers []Server
		want    string
		closed  int
	}{
		{"GET", everything, []Server{answering(503, "a"), answering(200, "b")}, "b", 1},
		{"GET", everything, []Server{answering(502, "a"), answering(504, "b"), answering(200, "c")}, "c", 2},
		{"GET", everything, []Server{answering(503, "a"), answering(503, "b")}, "b", 1},
		{"GET", everything, []Server{answering(500, "a"), answering(200, "b")}, "a", 0},
		{"GET", everything &^ Status503, []Server{answering(503, "a"), answering(200, "b")}, "a", 0},
		{"POST", everything, []Server{answering(503, "a"), answering(200, "b")}, "a", 0},
		{"GET", everything, []Server{answering(503, "a")}, "a", 0},
	} {
		closed = 0
		g := group(&logBuffer{}, Config{Balance: RoundRobin, RetryOn: tt.causes, Retries: 3, Servers: tt.servers})
		if got := answerOf(t, g, tt.method); got != tt.want || closed != tt.closed {
			t.Errorf("%s, and %d responses closed; want %s, %d", got, closed, tt.want, tt.closed)
		}
		for _, s := range g.Status().Servers {
			if s.Active != 0 || s.Failed != 0 || !s.Reached {
				t.Errorf("%+v", s)
			}
		}
	}
}

type closer struct {
	io.ReadCloser
	n *int
}

func (c *closer) Close() error { *c.n++; return c.ReadCloser.Close() }

// TestRetryBody: the second server gets the whole body, too.
func TestRetryBody(t *testing.T) {
	var tries []string
	all := failThenServe(&tries, 1, nil)
	all[0].RoundTripper = tripper(func(_ context.Context, req *gateway.Request) (*gateway.Response, error) {
		_, _ = io.ReadFull(req.Body, make([]byte, 5))
		return nil, gateway.ErrNotAnswered
	})
	for _, size := range []int{10, 3 << 20} {
		f := serve(t, Config{Balance: RoundRobin, RetryOn: everything, Retries: 1, MaxFails: -1, Servers: all}, nil)
		body := strings.Repeat("x", size)
		if res, got := f.ask("PUT", "/", body, nil); res.StatusCode != 200 || got != "g1"+body {
			t.Errorf("%d, %d bytes", res.StatusCode, len(got))
		}
	}
}

// TestNoRetryOfWhatWasPassedOn: not after an interim response, nor once the
// body has begun.
func TestNoRetryOfWhatWasPassedOn(t *testing.T) {
	g := group(&logBuffer{}, Config{Balance: RoundRobin, RetryOn: everything, Retries: 3, Servers: weighted(1, 1)})
	g.servers[0].backend = early{}
	x := exchangeOf("GET")
	told := 0
	x.early = func(int, http.Header) { told++ }
	if s, _, err := g.send(t.Context(), x); !errors.Is(err, gateway.ErrNotAnswered) || s.address != "a" || told != 1 {
		t.Errorf("%v from %v", err, s)
	}
	x = exchangeOf("GET")
	x.early = func(int, http.Header) {}
	x.stream = &streamed{got: 1}
	if _, _, err := g.send(t.Context(), x); err != nil { // b, whose turn it is
		t.Error(err)
	}
}

// early hangs up after an interim response.
type early struct{}

func (early) roundTrip(_ context.Context, x *exchange) (*gateway.Response, error) {
	x.early(103, nil)
	return nil, gateway.ErrNotAnswered
}

// TestRetryOfAStream: a body that goes up as it comes goes once; but where
// nothing could be connected to, nothing of it was read.
func TestRetryOfAStream(t *testing.T) {
	var tries []string
	g := group(&logBuffer{}, Config{Balance: RoundRobin, MaxFails: -1, RetryOn: everything, Retries: 3, Servers: failThenServe(&tries, 1, fmt.Errorf("%w", gateway.ErrUnreachable), gateway.ErrNotAnswered)})
	x := exchangeOf("PUT")
	x.stream = &streamed{size: 3, most: 3, r: strings.NewReader("abc")}
	_, _, err := g.send(t.Context(), x)
	if !errors.Is(err, gateway.ErrNotAnswered) || !slices.Equal(tries, []string{"f1", "f2"}) {
		t.Errorf("%v after %v", err, tries)
	}
	tries = nil
	g = group(&logBuffer{}, Config{Balance: RoundRobin, Servers: failThenServe(&tries, 1, fmt.Errorf("%w", gateway.ErrUnreachable))})
	x = exchangeOf("PUT")
	x.stream = &streamed{got: 1}
	if _, _, err := g.send(t.Context(), x); !errors.Is(err, gateway.ErrUnreachable) || len(tries) != 1 {
		t.Errorf("%v after %v, though some of the body is gone", err, tries)
	}
}

// TestRetryTimeout: nothing is sent again when the time is over.
func TestRetryTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(name string) Server {
			return Server{Address: name, RoundTripper: tripper(func(context.Context, *gateway.Request) (*gateway.Response, error) {
				time.Sleep(10 * time.Second)
				return nil, gateway.ErrTimeout
			})}
		}
		g := group(&logBuffer{}, Config{RetryOn: everything, Retries: 9, RetryTimeout: 25 * time.Second, Servers: []Server{slow("a"), slow("b"), slow("c"), slow("d"), slow("e")}})
		began := time.Now()
		if got := answerOf(t, g, "GET"); !strings.Contains(got, "in time") || time.Since(began) != 30*time.Second {
			t.Errorf("%s after %v", got, time.Since(began))
		}
	})
}

// TestRetryWaitsNotForItsOwn: with one server there is no other to go to, and
// the first error is what is said.
func TestRetryWaitsNotForItsOwn(t *testing.T) {
	var tries []string
	g := group(&logBuffer{}, Config{MaxConns: 1, RetryOn: everything, Retries: 3, Servers: failThenServe(&tries, 0, gateway.ErrNotAnswered)})
	if got := answerOf(t, g, "GET"); !strings.Contains(got, "hung up") || len(tries) != 1 {
		t.Errorf("%s after %v", got, tries)
	}
}

// TestRetryOfWhatBrokeOff: a response that ends before its first byte is had from
// another server, as if nothing had been; one that has begun is cut.
func TestRetryOfWhatBrokeOff(t *testing.T) {
	breaking := func(text string) Server {
		return Server{Address: "breaks", RoundTripper: tripper(func(context.Context, *gateway.Request) (*gateway.Response, error) {
			r := says(200, "")
			r.Header["X-Broken"] = []string{"1"}
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(text), errorReader{errors.New("reset")}))
			r.ContentLength = 10
			return r, nil
		})}
	}
	f := serve(t, Config{Balance: RoundRobin, RetryOn: everything, Retries: 1, Servers: append([]Server{breaking("")}, servers(&named{name: "b"})...)}, nil)
	res, body := f.ask("GET", "/", "", nil)
	if res.StatusCode != 200 || body != "b" || res.Header.Get("X-Broken") != "" || res.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("%d %q %v", res.StatusCode, body, res.Header)
	}
	f.next = 0
	if res, _ := f.ask("POST", "/", "x", nil); res.StatusCode != 502 {
		t.Errorf("POST: %d", res.StatusCode)
	}

	f = serve(t, Config{Balance: RoundRobin, RetryOn: everything, Retries: 1, Servers: []Server{breaking("")}}, nil)
	if res, body := f.ask("GET", "/", "", nil); res.StatusCode != 502 || res.Header.Get("X-Broken") != "" || !strings.HasPrefix(body, "Bad Gateway") {
		t.Errorf("with no other: %d %q", res.StatusCode, body)
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }
