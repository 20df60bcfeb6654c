package fcgi

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/gateway"
)

func TestKeptAndOneShot(t *testing.T) {
	f := serveFunc(t, ok)
	for i := range 3 {
		body := fmt.Sprint("body ", i)
		f.post(1, len(body)).record(Stdin, 1, body).record(Stdin, 1, "").send().want(200, body)
	}
	f.begin(1, gateway.Responder, false).params(1, "REQUEST_METHOD", "GET", "REQUEST_URI", "/").record(Stdin, 1, "").send().want(200, "")
	f.closed()
}

func TestOneShotWithUnreadInput(t *testing.T) {
	dial, _ := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 300<<10))
	})})
	f := dial()
	f.begin(1, gateway.Responder, false).params(1, "REQUEST_METHOD", "POST", "REQUEST_URI", "/", "CONTENT_LENGTH", "1000000").send()
	// The answer is on its way, and the connection half closed, while input
	// still comes: a reset would take the answer back.
	part := strings.Repeat("y", 50_000)
	for range 10 {
		f.record(Stdin, 1, part)
	}
	f.send().want(200, strings.Repeat("x", 300<<10))
	for range 10 {
		f.record(Stdin, 1, part)
	}
	f.record(Stdin, 1, "").send()
	f.closed()
}

func TestParams(t *testing.T) {
	long := strings.Repeat("v", 300)
	name := "X" + strings.Repeat("N", 200)
	dial, log := serve(t, &Server{MaxParams: 200 << 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ := gateway.Lookup(gateway.FrontOf(r.Context()).Params, name)
		_, _ = io.WriteString(w, got)
	})})
	f := dial()
	all := pairsOf("REQUEST_METHOD", "GET", "REQUEST_URI", "/", name, long)
	for _, size := range []int{1, 2, 3, 7, len(all) - 1, len(all)} {
		f.begin(1, gateway.Responder, true)
		for at := 0; at < len(all); at += size {
			f.record(Params, 1, all[at:min(len(all), at+size)])
		}
		f.record(Params, 1, "").record(Stdin, 1, "").send().want(200, long)
	}
	t.Run("many records", func(t *testing.T) { // the header sets that others cannot carry
		big := strings.Repeat("b", 150<<10)
		all := pairsOf("REQUEST_METHOD", "GET", "REQUEST_URI", "/", name, big)
		f.begin(1, gateway.Responder, true)
		for at := 0; at < len(all); at += MaxContent {
			f.record(Params, 1, all[at:min(len(all), at+MaxContent)])
		}
		f.record(Params, 1, "").record(Stdin, 1, "").send().want(200, big)
	})
	t.Run("too long", func(t *testing.T) {
		f.begin(1, gateway.Responder, true)
		for range 5 {
			f.record(Params, 1, strings.Repeat("p", 60000))
		}
		f.record(Params, 1, "").record(Stdin, 1, "").get(2, name, "next").send()
		all := f.answers(2)
		all[1].want(t, 431, "*")
		all[2].want(t, 200, "next")
		log.once(t, "parameters are too long")
	})
}

func TestManyUnfinishedParams(t *testing.T) {
	dial, log := serve(t, &Server{MaxParams: 60000, Handler: http.HandlerFunc(ok)})
	f := dial()
	for id := uint16(1); id <= heldParams+1; id++ {
		f.begin(id, gateway.Responder, true).record(Params, id, strings.Repeat("p", 60000))
	}
	f.send().want(503, "*")
	log.once(t, "too many parameters that do not end")
}

func TestInput(t *testing.T) {
	dial, log := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.ContentLength, " ")
		ok(w, r)
	})})
	f := dial()
	streamed := func(pairs ...string) *front {
		return f.begin(1, gateway.Responder, true).params(1, append(pairs, "REQUEST_METHOD", "POST", "REQUEST_URI", "/")...)
	}
	t.Run("no length", func(t *testing.T) {
		streamed().record(Stdin, 1, "some").record(Stdin, 1, "thing").record(Stdin, 1, "").send().want(200, "-1 something")
		streamed("CONTENT_LENGTH", "").record(Stdin, 1, "").send().want(200, "0 ")
	})
	t.Run("shorter", func(t *testing.T) {
		f.post(1, 9).record(Stdin, 1, "short").record(Stdin, 1, "").send()
		if a := f.answer(); !strings.Contains(a.out, "ends 4 bytes before its announced length") {
			t.Errorf("%q", a.out)
		}
	})
	t.Run("longer", func(t *testing.T) {
		f.post(1, 4).record(Stdin, 1, "longer").record(Stdin, 1, "and longer").record(Stdin, 1, "").send().want(200, "4 long")
		log.once(t, "longer than announced")
	})
	for _, bad := range []string{"x", "-1", "+1", "1 ", "0x10", "99999999999999999999"} {
		streamed("CONTENT_LENGTH", bad).record(Stdin, 1, "").send().want(400, "*")
	}
	streamed("CONTENT_LENGTH", "1", "CONTENT_LENGTH", "2").record(Stdin, 1, "ab").record(Stdin, 1, "").send().want(400, "*")
	f.begin(1, gateway.Responder, true).params(1, "REQUEST_URI", "/").record(Stdin, 1, "").send().want(400, "*") // no method
	f.get(1).send().want(200, "0 ")
}

func TestBigBothWays(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 10<<20/16)
	f := serveFunc(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	sent := make(chan struct{})
	go func() { // whoever does not read while it writes would wait for ever
		defer close(sent)
		f.post(1, len(big))
		for at := 0; at < len(big); at += 60000 {
			f.record(Stdin, 1, big[at:min(len(big), at+60000)])
		}
		_, _ = f.c.Write(f.record(Stdin, 1, "").b)
	}()
	f.want(200, big)
	<-sent
	f.b = nil
	big = strings.Repeat("z", 10<<20)
	g := serveFunc(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, big) })
	g.get(1).send().want(200, big)
}

func TestResponses(t *testing.T) {
	head := strings.Repeat("h", 50_000)
	dial, log := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.RawQuery {
		case "204", "304":
			status, _ := strconv.Atoi(r.URL.RawQuery)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "not to be seen")
		case "large":
			for _, name := range []string{"X-A", "X-B", "X-C", "X-D"} {
				w.Header().Set(name, head)
			}
			_, _ = io.WriteString(w, "body")
		case "panic":
			panic("on purpose")
		case "stderr":
			stderr := gateway.FrontOf(r.Context()).Stderr
			_, _ = io.WriteString(stderr, "first\n")
			_, _ = io.WriteString(w, "body")
			_, _ = io.WriteString(stderr, strings.Repeat("e", 70_000))
		default:
			_, _ = io.WriteString(w, "body")
		}
	})})
	f := dial()
	f.get(1, "QUERY_STRING", "204").send().want(204, "")
	f.get(1, "QUERY_STRING", "304").send().want(304, "")
	f.get(1, "REQUEST_METHOD", "HEAD").send().want(200, "")
	a := f.get(1, "QUERY_STRING", "large").send().want(200, "body")
	if strings.Count(a.out, head) != 4 {
		t.Error("a head of 200 KB is not whole")
	}
	a = f.get(1, "QUERY_STRING", "stderr").send().want(200, "body")
	if want := "first\n" + strings.Repeat("e", 70_000); a.err != want {
		t.Errorf("%d bytes of STDERR, want %d", len(a.err), len(want))
	}
	f.get(1, "QUERY_STRING", "panic").send().want(500, "Internal Server Error\n")
	if !strings.Contains(log.String(), "on purpose") {
		t.Error("a panic is not logged")
	}
	f.get(1).send().want(200, "body")
}

func TestStderrAfterTheEnd(t *testing.T) {
	kept := make(chan io.Writer, 1)
	f := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case kept <- gateway.FrontOf(r.Context()).Stderr:
		default:
		}
	})
	f.get(1).send().want(200, "")
	if n, err := io.WriteString(<-kept, "too late"); err == nil {
		t.Errorf("%d bytes are written for a request that is over", n)
	}
	f.get(1).send().want(200, "")
}

func TestCutResponses(t *testing.T) {
	cut := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.RawQuery {
		case "abort":
			_, _ = io.WriteString(w, "secret of one")
			panic(http.ErrAbortHandler)
		case "flushed":
			_, _ = io.WriteString(w, "part")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "short":
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "short")
		case "overload":
			gateway.Overload(w)
		}
	}
	dial, _ := serve(t, &Server{Handler: http.HandlerFunc(cut)})
	dial().get(1, "QUERY_STRING", "abort").send().closed()
	dial().get(1, "QUERY_STRING", "short").send().closed()
	f := dial().get(1, "QUERY_STRING", "flushed").send()
	if h, b := f.next(); h.Type != Stdout || !strings.HasSuffix(b, "part") {
		t.Errorf("%v %q", h, b)
	}
	f.closed()
	// What a cut response held must not come out with another one.
	for range 20 {
		dial().get(1, "QUERY_STRING", "abort").send().closed()
		f := dial().record(GetValues, 0, "").get(1, "QUERY_STRING", "overload").send()
		f.next()
		if a := f.answer(); a.end.status != Overloaded || a.out != "" {
			t.Fatalf("end %+v, %q", a.end, a.out)
		}
	}
}

func TestFlushStreams(t *testing.T) {
	proceed := make(chan struct{})
	f := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first ")
		_ = http.NewResponseController(w).Flush()
		<-proceed
		_, _ = io.WriteString(w, "second")
	})
	f.get(1).send()
	if h, b := f.next(); h.Type != Stdout || !strings.HasSuffix(b, "first ") {
		t.Errorf("%v %q", h, b)
	}
	close(proceed)
	if a := f.answer(); a.out != "second" {
		t.Errorf("%q", a.out)
	}
}

func TestReadDeadline(t *testing.T) {
	f := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err := r.Body.Read(make([]byte, 1))
		fmt.Fprint(w, isTimeout(err))
	})
	f.post(1, 5).send().want(200, "true")
	f.record(Stdin, 1, "late!").record(Stdin, 1, "").get(1).send().want(200, "*")
}
