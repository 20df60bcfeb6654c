package fcgi

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"millrace/gateway"
)

func TestAuthorizer(t *testing.T) {
	proceed := make(chan struct{})
	dial, log := serve(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		front := gateway.FrontOf(r.Context())
		b, err := io.ReadAll(r.Body)
		if r.URL.RawQuery == "wait" {
			<-proceed
		}
		if front.Role != gateway.Authorizer || r.ContentLength != 0 || len(b) != 0 || err != nil {
			w.WriteHeader(500)
			return
		}
		if r.URL.RawQuery == "no" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Variable-REMOTE_USER", "ada")
		w.Header()["Variable-AUTH_METHOD"] = []string{"guess"}
	})})
	variables := func(a *answer) {
		t.Helper()
		h, _, err := gateway.ParseHead([]byte(a.out))
		if err != nil || h.Status != 200 {
			t.Fatalf("%q: %v", a.out, err)
		}
		for _, want := range []gateway.Param{{Name: "REMOTE_USER", Value: "ada"}, {Name: "AUTH_METHOD", Value: "guess"}} {
			if !slices.Contains(h.Variables, want) {
				t.Errorf("%v is not among %v", want, h.Variables)
			}
		}
	}
	f := dial()
	ask := func(id uint16, keep bool, pairs ...string) *front {
		f.begin(id, gateway.Authorizer, keep)
		return f.params(id, append([]string{"REQUEST_METHOD", "POST", "REQUEST_URI", "/", "CONTENT_LENGTH", "5"}, pairs...)...)
	}
	variables(ask(1, true).send().answer())
	for range 50 { // lighttpd and Apache end a STDIN that is none: before, and after the answer
		variables(ask(2, true).record(Stdin, 2, "").send().answer())
	}
	ask(3, true, "QUERY_STRING", "no").send().want(403, "")
	f.record(Stdin, 3, "").record(Stdin, 1, "")
	ask(4, true).send().answer()
	for id := uint16(1); id < 20; id++ { // many at a time, and their ends after that
		ask(id, true)
	}
	f.send().answers(19)
	for id := uint16(1); id < 20; id++ {
		f.record(Stdin, id, "")
	}
	ask(1, true, "QUERY_STRING", "wait").record(Stdin, 1, "a body").record(Stdin, 1, "").send()
	log.once(t, "longer than announced")
	close(proceed)
	variables(f.answer())
	variables(ask(1, false).send().answer())
	f.record(Stdin, 1, "").send() // the connection is half closed, not reset
	f.closed()

	g := dial()
	g.begin(1, gateway.Authorizer, true).record(Stdin, 1, "body").params(1, "REQUEST_METHOD", "GET").send()
	g.closed()
}

func TestFilter(t *testing.T) {
	f := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		front := gateway.FrontOf(r.Context())
		body, err := io.ReadAll(r.Body)
		if err != nil {
			fmt.Fprint(w, "body: ", err)
			return
		}
		data, err := io.ReadAll(front.Data)
		modified, _ := gateway.Lookup(front.Params, "FCGI_DATA_LAST_MOD")
		fmt.Fprintf(w, "%s %s %d %s %s %v", front.Role, body, front.DataLength, modified, data, err)
	})
	begin := func(length string) *front {
		return f.begin(1, gateway.Filter, true).params(1, "REQUEST_METHOD", "POST", "REQUEST_URI", "/f", "CONTENT_LENGTH", "4",
			"FCGI_DATA_LENGTH", length, "FCGI_DATA_LAST_MOD", "1700000000")
	}
	begin("9").record(Stdin, 1, "body").record(Stdin, 1, "").record(Data, 1, "some ").record(Data, 1, "data").record(Data, 1, "").
		send().want(200, "FILTER body 9 1700000000 some data <nil>")
	begin("4").record(Stdin, 1, "body").record(Stdin, 1, "").record(Data, 1, "longer").record(Data, 1, "").
		send().want(200, "FILTER body 4 1700000000 long <nil>")
	begin("9").record(Stdin, 1, "body").record(Stdin, 1, "").record(Data, 1, "short").record(Data, 1, "").send()
	if a := f.answer(); !strings.Contains(a.out, "ends 4 bytes before its announced length") {
		t.Errorf("%q", a.out)
	}
	begin("x").record(Stdin, 1, "body").record(Stdin, 1, "").record(Data, 1, "").send().want(400, "*")
	begin("0").record(Stdin, 1, "body").record(Stdin, 1, "").record(Data, 1, "").send().want(200, "FILTER body 0 1700000000  <nil>")
	f.get(2).record(Data, 2, "a responder has none").send()
	for {
		if _, err := f.in.next(); err != nil {
			break
		}
	}
}

func TestUnknownRole(t *testing.T) {
	dial, log := serve(t, &Server{Handler: http.HandlerFunc(ok)})
	f := dial()
	for _, role := range []gateway.Role{3, 8} { // on the wire: 4 and 9
		f.begin(1, role, true).params(1, "REQUEST_METHOD", "GET").record(Stdin, 1, "").send()
		if a := f.answer(); a.end.status != UnknownRole || a.out != "" {
			t.Errorf("end %+v, %q", a.end, a.out)
		}
	}
	f.get(1).send().want(200, "")
	log.once(t, "role=4")
	log.once(t, "role=9")
	f.begin(1, 8, false).params(1, "REQUEST_METHOD", "GET").record(Stdin, 1, "").send().answer()
	f.closed()
}
