package pool

// Requests that came over a gateway protocol.

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"millrace/gateway"
	"millrace/internal/spool"
)

// fronted is a request of a front server to an app of testdata/apps/fronted.py.
func fronted(t testing.TB, in gateway.Incoming, path, query string, more ...gateway.Param) *http.Request {
	t.Helper()
	in.Params = append([]gateway.Param{
		{Name: "REQUEST_METHOD", Value: "GET"},
		{Name: "SCRIPT_NAME", Value: ""},
		{Name: "PATH_INFO", Value: path},
		{Name: "QUERY_STRING", Value: query},
		{Name: "REQUEST_URI", Value: path + "?" + query},
		{Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"},
		{Name: "SERVER_NAME", Value: "example.org"},
		{Name: "SERVER_PORT", Value: "8080"},
	}, more...)
	r, err := gateway.ToHTTP(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func serve(p *Pool, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	p.Handler("").ServeHTTP(w, r)
	return w
}

// filter is a request with a file to filter.
func filter(t testing.TB, data io.Reader, declared int, body string) *http.Request {
	t.Helper()
	in := gateway.Incoming{Protocol: "fastcgi", Role: gateway.Filter, Data: data, Body: strings.NewReader(body)}
	more := []gateway.Param{{Name: "FCGI_DATA_LENGTH", Value: strconv.Itoa(declared)}}
	if body != "" {
		more = append(more, gateway.Param{Name: "CONTENT_LENGTH", Value: strconv.Itoa(len(body))})
	}
	return fronted(t, in, "/filtered", "", more...)
}

// TestFilter: a filter gets the file and the body, whatever their sizes, and
// nothing of them stays open, on the oldest CPython and the newest.
func TestFilter(t *testing.T) {
	for version, python := range ends(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t, "fronted:application")
			cfg.usePython(python)
			logged(&cfg)
			p, _ := startPool(t, cfg)
			state := func() string { return serve(p, fronted(t, gateway.Incoming{}, "/state", "")).Body.String() }
			before := state()
			for _, size := range []int{0, 2, 100, 70_000, 1 << 20} {
				for _, body := range []int{0, 100, 60_000, 1 << 20} {
					data := strings.Repeat("d", size)
					w := serve(p, filter(t, strings.NewReader(data), size, strings.Repeat("b", body)))
					want := fmt.Sprintf("FILTER %d %d %x %d True", size, size, sha256.Sum256([]byte(data)), body)
					if w.Code != 200 || w.Body.String() != want {
						t.Errorf("data of %d, body of %d: %d %q, want %q", size, body, w.Code, w.Body, want)
					}
				}
			}
			if after := state(); after != before {
				t.Errorf("data closed, descriptors: %q before, %q after", before, after)
			}
			if used := cfg.Spool.Used(); used != 0 {
				t.Errorf("%d bytes of the spool are still taken", used)
			}
		})
	}
}

// TestFilterLimits: a file that is too large, or not as long as it was said to
// be, never reaches the app.
func TestFilterLimits(t *testing.T) {
	cfg := testConfig(t, "fronted:application")
	cfg.MaxBody = 1000
	cfg.Spool = spool.New(t.TempDir(), 2000)
	log := logged(&cfg)
	p, _ := startPool(t, cfg)
	unread := errors.New("the data was read")
	for _, tt := range []struct {
		name     string
		data     io.Reader
		declared int
		body     string
		code     int
	}{
		{"as long as may be", strings.NewReader(strings.Repeat("d", 1000)), 1000, "", 200},
		{"declared too long", iotest.ErrReader(unread), 1001, "", 413},
		{"too long", strings.NewReader(strings.Repeat("d", 5000)), 1000, "", 413},
		{"shorter than declared", strings.NewReader("short"), 6, "", 400},
		{"longer than declared", strings.NewReader("longer"), 5, "", 400},
		{"broken off", io.MultiReader(strings.NewReader("bro"), iotest.ErrReader(io.ErrUnexpectedEOF)), 6, "", 400},
		{"a body too long", iotest.ErrReader(unread), 10, strings.Repeat("b", 1001), 413},
	} {
		if w := serve(p, filter(t, tt.data, tt.declared, tt.body)); w.Code != tt.code {
			t.Errorf("%s: %d, want %d", tt.name, w.Code, tt.code)
		}
	}
	if used := cfg.Spool.Used(); used != 0 {
		t.Errorf("%d bytes of the spool are still taken", used)
	}
	log.wait(t, "not as long as FCGI_DATA_LENGTH says", "peer=")
	full := cfg.Spool.NewBuffer(0)
	defer full.Close()
	if _, err := full.Write(make([]byte, 1990)); err != nil {
		t.Fatal(err)
	}
	if w := serve(p, filter(t, strings.NewReader(strings.Repeat("d", 100)), 100, "")); w.Code != 503 {
		t.Errorf("with the spool full: %d, want 503", w.Code)
	}
	log.wait(t, "server.spool_max is reached")
}

// TestFilterWhenFull: a file is not spooled for a request that the queue
// refuses.
func TestFilterWhenFull(t *testing.T) {
	cfg := testConfig(t, "fronted:application")
	cfg.Queue = 0
	logged(&cfg)
	p, _ := startPool(t, cfg)
	<-p.Ready()
	w := serve(p, filter(t, iotest.ErrReader(errors.New("the data was read")), 10, ""))
	if w.Code != 503 {
		t.Errorf("a filter's request beyond the queue: %d, want 503", w.Code)
	}
}

// TestAuthorizer: the variables keep their spelling on the way out.
func TestAuthorizer(t *testing.T) {
	p, _ := startPool(t, testConfig(t, "fronted:application"))
	w := serve(p, fronted(t, gateway.Incoming{Protocol: "fastcgi", Role: gateway.Authorizer}, "/authorize", ""))
	if w.Code != 200 || w.Body.String() != "AUTHORIZER" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	for name, want := range map[string]string{"Variable-REMOTE_user": "caf\xe9", "Variable-X": "1", "X-Other": "2"} {
		if got := w.Header()[name]; len(got) != 1 || got[0] != want {
			t.Errorf("header %s: %q, want %q; all: %v", name, got, want, w.Header())
		}
	}
}

// TestFrontedEnviron: what the front server said arrives, and what PEP 3333
// demands is there when it said nothing.
func TestFrontedEnviron(t *testing.T) {
	for _, callable := range []string{"application", "validated"} {
		cfg := testConfig(t, "fronted:"+callable)
		log := logged(&cfg)
		p, _ := startPool(t, cfg)
		for _, tt := range []struct {
			protocol string
			role     gateway.Role
			names    string
			more     []gateway.Param
			want     string
		}{
			{protocol: "fastcgi", names: "FCGI_ROLE,wsgi.url_scheme,CONTENT_LENGTH", want: "'RESPONDER'\n'http'\nNone"},
			{protocol: "fastcgi", role: gateway.Authorizer, names: "FCGI_ROLE", more: []gateway.Param{{Name: "FCGI_ROLE", Value: "of the front"}}, want: "'AUTHORIZER'"},
			{protocol: "scgi", names: "FCGI_ROLE,fcgi.data", want: "None\nNone"},
			{protocol: "scgi", names: "REMOTE_USER,DOCUMENT_ROOT,AUTH_TYPE,CUSTOM_x",
				more: []gateway.Param{{Name: "REMOTE_USER", Value: "ann"}, {Name: "DOCUMENT_ROOT", Value: "/srv"}, {Name: "AUTH_TYPE", Value: "Basic"}, {Name: "CUSTOM_x", Value: "y"}},
				want: "'ann'\n'/srv'\n'Basic'\n'y'"},
			{protocol: "uwsgi", names: "REMOTE_USER,HTTP_X_NAME", // bytes, as latin-1
				more: []gateway.Param{{Name: "REMOTE_USER", Value: "caf\xc3\xa9\xff"}, {Name: "HTTP_X_NAME", Value: "\xe9"}},
				want: `'caf\xc3\xa9\xff'` + "\n" + `'\xe9'`},
			{protocol: "fastcgi", names: "CONTENT_LENGTH,CONTENT_TYPE", // nginx's, for a request without a body
				more: []gateway.Param{{Name: "CONTENT_LENGTH", Value: ""}, {Name: "CONTENT_TYPE", Value: ""}}, want: "None\nNone"},
			{protocol: "fastcgi", names: "CONTENT_LENGTH", more: []gateway.Param{{Name: "CONTENT_LENGTH", Value: "0"}}, want: "'0'"},
			{protocol: "fastcgi", names: "wsgi.url_scheme,HTTPS", more: []gateway.Param{{Name: "HTTPS", Value: "on"}}, want: "'https'\n'on'"},
			{protocol: "ajp", names: "wsgi.url_scheme,SERVER_NAME,SERVER_PORT,SERVER_PROTOCOL", more: []gateway.Param{
				{Name: "HTTPS", Value: "on"}, {Name: "SERVER_NAME", Value: ""}, {Name: "SERVER_PORT", Value: ""}, {Name: "SERVER_PROTOCOL", Value: ""}, {Name: "HTTP_HOST", Value: "[::1]"}},
				want: "'https'\n'::1'\n'443'\n'HTTP/1.0'"},
			{protocol: "scgi", names: "SERVER_NAME,SERVER_PORT", more: []gateway.Param{
				{Name: "SERVER_NAME", Value: ""}, {Name: "SERVER_PORT", Value: ""}, {Name: "HTTP_HOST", Value: "example.net:81"}},
				want: "'example.net'\n'81'"},
			{protocol: "scgi", names: "SERVER_NAME,SERVER_PORT", more: []gateway.Param{{Name: "SERVER_NAME", Value: ""}, {Name: "SERVER_PORT", Value: ""}},
				want: "'localhost'\n'80'"},
			{protocol: "scgi", names: "SERVER_NAME,SERVER_PORT,QUERY_STRING", want: "'example.org'\n'8080'\n'SERVER_NAME,SERVER_PORT,QUERY_STRING'"},
			{protocol: "scgi", names: "wsgi.input,wsgi.url_scheme", more: []gateway.Param{{Name: "wsgi.url_scheme", Value: "of the front"}}, want: ""},
		} {
			in := gateway.Incoming{Protocol: tt.protocol, Role: tt.role, Body: strings.NewReader("")}
			w := serve(p, fronted(t, in, "/value", tt.names, tt.more...))
			got := w.Body.String()
			if tt.want == "" {
				if w.Code != 200 || strings.Contains(got, "of the front") {
					t.Errorf("%s: %d %q", tt.names, w.Code, got)
				}
				continue
			}
			if w.Code != 200 || got != tt.want {
				t.Errorf("%s over %s: %d %q, want %q", tt.names, tt.protocol, w.Code, got, tt.want)
			}
		}
		if strings.Contains(log.String(), "AssertionError") {
			t.Errorf("the validator complains:\n%s", log)
		}
	}
}

// TestAsked: the server itself asks in a role, as a front server does.
func TestAsked(t *testing.T) {
	cfg := testConfig(t, "fronted:application")
	p, _ := startPool(t, cfg)
	ask := func(path string, asked *gateway.Asked) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		return serve(p, r.WithContext(gateway.Ask(r.Context(), asked)))
	}
	w := ask("/authorize", &gateway.Asked{Role: gateway.Authorizer})
	var variable = "Variable-REMOTE_user" // which keeps its case
	if w.Code != 200 || w.Body.String() != "AUTHORIZER" || len(w.Header()[variable]) != 1 {
		t.Errorf("an authorizer: %d %q %v", w.Code, w.Body, w.Header())
	}
	for _, size := range []int{0, 100, 70_000, 1 << 20} {
		data := strings.Repeat("d", size)
		w := ask("/filtered", &gateway.Asked{Role: gateway.Filter, Data: func() io.Reader { return strings.NewReader(data) }, DataLength: int64(size)})
		if want := fmt.Sprintf("FILTER %d %d %x 0 True", size, size, sha256.Sum256([]byte(data))); w.Code != 200 || w.Body.String() != want {
			t.Errorf("data of %d: %d %q, want %q", size, w.Code, w.Body, want)
		}
	}
	w = ask("/filtered", &gateway.Asked{Role: gateway.Filter, Data: func() io.Reader { return strings.NewReader("short") }, DataLength: 6})
	if w.Code != 400 {
		t.Errorf("data that is too short: %d", w.Code)
	}
	if used := cfg.Spool.Used(); used != 0 {
		t.Errorf("%d bytes of the spool are still taken", used)
	}
}
