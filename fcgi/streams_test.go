package fcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"millrace/gateway"
)

func TestManyStreams(t *testing.T) {
	f := serveFunc(t, ok)
	const n = 200
	for id := uint16(1); id <= n; id++ {
		f.post(id, 6)
	}
	for part := range 3 { // interleaved
		for id := uint16(1); id <= n; id++ {
			f.record(Stdin, id, fmt.Sprintf("%d%d", id%10, part))
		}
	}
	for id := uint16(n); id > 0; id-- {
		f.record(Stdin, id, "")
	}
	for id, a := range f.send().answers(n) {
		a.want(t, 200, fmt.Sprintf("%[1]d0%[1]d1%[1]d2", id%10))
	}
}

// TestSlowStream has a handler that does not read, and an upload to it that no
// memory would hold: other requests of the connection go on all the same, with
// peers that say that they share the connection and with those that do not.
func TestSlowStream(t *testing.T) {
	for name, asks := range map[string]bool{"asked": true, "not asked": false} {
		t.Run(name, func(t *testing.T) {
			read := make(chan struct{})
			f := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == "POST" {
					<-read
					n, err := io.Copy(io.Discard, r.Body)
					fmt.Fprint(w, n, " ", err)
				}
			})
			if asks {
				f.record(GetValues, 0, "").send().next()
			}
			const length = 8 << 20
			f.post(1, length).send()
			part := strings.Repeat("p", 1<<16-1)
			for left := length; left > 0; left -= len(part) {
				f.record(Stdin, 1, part[:min(left, len(part))]).send()
			}
			f.record(Stdin, 1, "")
			for id := uint16(2); id < 10; id++ {
				f.get(id).send().want(200, "")
			}
			close(read)
			f.want(200, fmt.Sprint(length, " <nil>"))
		})
	}
}

// TestSlowStreams has many of them, on a connection of which it shows that it
// is shared: none makes the others wait for as long as a single one might.
func TestSlowStreams(t *testing.T) {
	f := serveFunc(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	const n = 40
	part := strings.Repeat("p", 1<<16-1)
	begin := time.Now()
	f.get(n + 1)
	for id := uint16(1); id <= n; id++ {
		f.post(id, 6*len(part))
	}
	for id := uint16(1); id <= n; id++ {
		for range 6 {
			f.record(Stdin, id, part).send()
		}
	}
	f.record(AbortRequest, n+1, "").send().answer()
	if took := time.Since(begin); took > n*pipePatience/2 {
		t.Errorf("%v for %d streams that nobody reads", took, n)
	}
}

func TestAbort(t *testing.T) {
	began := make(chan struct{}, 1)
	reason := make(chan error, 1)
	dial, _ := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			return
		}
		_, _ = io.WriteString(w, "nobody wants this")
		began <- struct{}{}
		_, err := io.ReadAll(r.Body)
		reason <- err
		<-r.Context().Done()
	})})
	f := dial()
	f.post(1, 100).record(Stdin, 1, "part").send()
	receive(t, "the request", began)
	f.record(AbortRequest, 1, "").send()
	if a := f.answer(); a.out != "" || a.end.status != RequestComplete {
		t.Errorf("%q, %+v", a.out, a.end)
	}
	if err := <-reason; err == nil {
		t.Error("a body that was cut ends as if it were whole")
	}
	f.record(Stdin, 1, "late").record(Stdin, 1, "").record(AbortRequest, 1, "").record(AbortRequest, 77, "") // these cross the end
	f.get(1).send().want(200, "")

	t.Run("before the handler", func(t *testing.T) {
		f.begin(5, gateway.Responder, true).record(Params, 5, "part").record(AbortRequest, 5, "").send()
		if a := f.answer(); a.end.status != RequestComplete {
			t.Errorf("%+v", a.end)
		}
		f.record(Params, 5, "late").record(Params, 5, "").record(Stdin, 5, "").get(5).send().want(200, "")
	})
	for _, length := range []string{"100", ""} { // without a length, too, the end must not look proper
		t.Run("connection lost, length "+length, func(t *testing.T) {
			f := dial()
			f.begin(1, gateway.Responder, true).params(1, "REQUEST_METHOD", "POST", "REQUEST_URI", "/", "CONTENT_LENGTH", length)
			f.record(Stdin, 1, "part").send()
			receive(t, "the request", began)
			f.c.Close()
			if err := receive(t, "the end of the body", reason); err == nil {
				t.Error("a body that was cut ends as if it were whole")
			}
		})
	}
}

func TestManagement(t *testing.T) {
	dial, _ := serve(t, &Server{Handler: http.HandlerFunc(ok), MaxConns: 7, MaxRequests: 9})
	f := dial()
	values := func(names ...string) string {
		t.Helper()
		var pairs []string
		for _, name := range names {
			pairs = append(pairs, name, "")
		}
		h, content := f.record(GetValues, 0, pairsOf(pairs...)).send().next()
		if h.Type != GetValuesResult || h.ID != 0 {
			t.Errorf("%v", h)
		}
		list, err := AppendPairs(nil, []byte(content))
		if err != nil {
			t.Error(err)
		}
		return fmt.Sprint(list)
	}
	for want, names := range map[string][]string{
		"[{FCGI_MPXS_CONNS 1}]":                  {"FCGI_MPXS_CONNS"},
		"[{FCGI_MAX_REQS 9} {FCGI_MAX_CONNS 7}]": {"FCGI_MAX_REQS", "WHAT_IS_THIS", "FCGI_MAX_CONNS"},
		"[]":                                     {"PATH"},
		"[{FCGI_MAX_CONNS 7} {FCGI_MAX_REQS 9} {FCGI_MPXS_CONNS 1}]": {"FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"},
	} {
		if got := values(names...); got != want {
			t.Errorf("%v: %s, want %s", names, got, want)
		}
	}
	for _, kind := range []Type{0, 1, 6, 10, 12, 255} {
		h, content := f.record(kind, 0, "some content").send().next()
		if want := string([]byte{byte(kind), 0, 0, 0, 0, 0, 0, 0}); h.Type != UnknownType || h.ID != 0 || content != want {
			t.Errorf("%v %q, want %q", h, content, want)
		}
	}
	f.get(1).send().want(200, "")
}

func TestTooManyRequests(t *testing.T) {
	proceed := make(chan struct{})
	dial, log := serve(t, &Server{MaxRequests: 2, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "overload" && gateway.Overload(w) {
			return
		}
		<-proceed
		w.WriteHeader(503)
	})})
	plain := dial().get(1).get(2).get(3).send()
	a := plain.answer()
	a.want(t, 503, "Service Unavailable\n")
	if !strings.Contains(a.out, "Retry-After") {
		t.Errorf("%q", a.out)
	}
	log.once(t, "too many run on its connection")
	knows := dial().record(GetValues, 0, "").get(1).get(2).get(3).send()
	knows.next()
	if a := knows.answer(); a.end.status != Overloaded || a.out != "" {
		t.Errorf("%+v %q", a.end, a.out)
	}
	close(proceed)
	plain.answers(2)
	knows.answers(2)
	plain.get(3, "QUERY_STRING", "overload").send().want(503, "")
	if a := knows.get(3, "QUERY_STRING", "overload").send().answer(); a.end.status != Overloaded || a.out != "" {
		t.Errorf("%+v %q", a.end, a.out)
	}
}

// TestRefusedAreForgotten begins requests that are refused, and never ends
// them: what is kept of them must not grow with their number.
func TestRefusedAreForgotten(t *testing.T) {
	dial, _ := serve(t, &Server{MaxRequests: 1, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	})})
	f := dial().get(1).send()
	go func() {
		var b []byte
		for id := 2; id < 20_000; id++ {
			if b = appendBegin(b, uint16(id), gateway.Responder, true); id%1000 == 0 {
				_, _ = f.c.Write(b)
				b = b[:0]
			}
		}
		_, _ = f.c.Write(b)
	}()
	f.answers(20_000 - 2)
	f.record(AbortRequest, 1, "").send().answer()
	f.get(9).record(AbortRequest, 9, "").send().answer()
}

func TestViolations(t *testing.T) {
	block := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	dial, log := serve(t, &Server{Handler: http.HandlerFunc(block)})
	for text, send := range map[string]func(f *front){
		"is begun a second time":                    func(f *front) { f.get(1).get(1) },
		"STDIN for request 9, which was not begun":  func(f *front) { f.record(Stdin, 9, "") },
		"PARAMS for request 8, which was not begun": func(f *front) { f.record(Params, 8, "") },
		"STDIN of request 1 after its end":          func(f *front) { f.get(1).record(Stdin, 1, "stray") },
		"PARAMS of request 1 after their end":       func(f *front) { f.get(1).record(Params, 1, "") },
		"before the end of its parameters":          func(f *front) { f.begin(1, 0, true).record(Stdin, 1, "early") },
		"STDOUT from a front server":                func(f *front) { f.get(1).record(Stdout, 1, "wrong way") },
		"DATA for a RESPONDER":                      func(f *front) { f.get(1).record(Data, 1, "") },
		"a BEGIN_REQUEST of 7 bytes":                func(f *front) { f.record(BeginRequest, 1, "1234567") },
		"a BEGIN_REQUEST of 65535 bytes":            func(f *front) { f.record(BeginRequest, 1, strings.Repeat("b", MaxContent)) },
		"reserved bytes":                            func(f *front) { f.record(BeginRequest, 1, "\x00\x01\x01\x00\x00\x00\x00\x01") },
		"version 2":                                 func(f *front) { f.b = append(f.b, 2, 1, 0, 1, 0, 8, 0, 0) },
		"reserved byte 0x7":                         func(f *front) { f.b = append(f.b, 1, 1, 0, 1, 0, 8, 0, 7) },
		"is longer than what there is of it":        func(f *front) { f.begin(1, 0, true).record(Params, 1, "\xff\xff\xff\xff\x01x").record(Params, 1, "") },
		"is no name of a parameter":                 func(f *front) { f.begin(1, 0, true).params(1, "A=B", "c") },
		"GET_VALUES asks for more than":             func(f *front) { f.record(GetValues, 0, strings.Repeat(pairsOf(nameMpxsConns, ""), 3800)) },
		"unexpected EOF":                            func(f *front) { f.record(GetValues, 0, "half").b = f.b[:9] },
	} {
		f := dial()
		send(f)
		f.send()
		if text == "unexpected EOF" {
			f.c.Close()
		} else {
			f.closed()
		}
		log.once(t, text)
	}
}

func TestTimeouts(t *testing.T) {
	proceed := make(chan struct{})
	s := &Server{HeadTimeout: 100 * time.Millisecond, IdleTimeout: time.Hour, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			<-proceed
		}
	})}
	dial, log := serve(t, s)
	f := dial()
	f.post(1, 3).record(Stdin, 1, "abc").begin(2, gateway.Responder, true).send()
	f.closed() // though the other one is whole
	close(proceed)
	log.once(t, "did not arrive within 100ms")
	dial().begin(1, gateway.Responder, true).params(1, "REQUEST_METHOD", "GET").send().closed() // is there input or not?
	half := dial()
	half.b = []byte{1, 1, 0}
	half.send().closed()
	promise := dial() // of 64 KiB that never come
	promise.b = AppendHeader(nil, Header{Type: GetValues, Length: MaxContent})
	promise.send().closed()

	t.Run("idle", func(t *testing.T) {
		dial, log := serve(t, &Server{IdleTimeout: 500 * time.Millisecond, HeadTimeout: time.Hour, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				<-time.After(time.Second) // longer than an idle connection may be
			}
		})})
		dial().closed()
		f := dial()
		f.post(1, 0).record(Stdin, 1, "").send().want(200, "") // not idle meanwhile
		f.get(1).send().want(200, "")
		f.closed()
		if log.String() != "" {
			t.Errorf("an idle connection's end is no news: %s", log)
		}
	})
}

func TestShutdown(t *testing.T) {
	began, proceed := make(chan struct{}, 1), make(chan struct{})
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "wait" {
			began <- struct{}{}
			<-proceed
		}
		_, _ = io.WriteString(w, "done")
	})}
	dial, _ := serve(t, s)
	running, idle, silent := dial(), dial(), dial()
	idle.get(1).send().want(200, "done")
	silent.get(1).send().want(200, "done")
	running.get(1, "QUERY_STRING", "wait").send()
	receive(t, "the request", began)
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	eventually(t, "no new connections", func() bool {
		c, err := net.Dial("tcp", running.c.RemoteAddr().String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	idle.get(1).send().want(200, "done") // it was on its way
	idle.closed()
	close(proceed)
	running.want(200, "done")
	running.closed()
	silent.closed()
	if err := receive(t, "the end", ended); err != nil {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	began, left := make(chan struct{}), make(chan struct{})
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(left)
	})}
	dial, _ := serve(t, s)
	f := dial().get(1).send()
	receive(t, "the request", began)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	f.closed()
	receive(t, "the handler's end", left)
}

// TestStuckPeer has a peer that does not read what it asked for, while its
// server shuts down.
func TestStuckPeer(t *testing.T) {
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	})}
	dial, _ := serve(t, s)
	f := dial().get(1).get(2).send()
	f.next()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v", err)
	}
}
