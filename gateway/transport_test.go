package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// closing is a body that knows whether it is closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

func TestTransport(t *testing.T) {
	var got *Request
	client := &http.Client{Transport: Transport{roundTripper(func(ctx context.Context, req *Request) (*Response, error) {
		got = req
		return echo(ctx, req)
	})}}
	for _, tt := range []struct {
		name   string
		body   io.Reader
		length int64 // -1: not known
		want   string
	}{
		{"none", nil, 0, "POST  /a b, 0: no body"},
		{"known", strings.NewReader("hello"), 5, "POST  /a b, 5: 5 bytes, <nil>"},
		{"unknown", strings.NewReader("hello"), -1, "POST  /a b, 5: 5 bytes, <nil>"},
		{"unknown and empty", strings.NewReader(""), -1, "POST  /a b, 0: no body"},
		{"unknown and large", bytes.NewReader(make([]byte, bodyMemory+1)), -1, "POST  /a b, 262145: 262145 bytes, <nil>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequest("POST", "http://example.org:81/a%20b?q", nil)
			if err != nil {
				t.Fatal(err)
			}
			var body *closing
			if tt.body != nil {
				body = &closing{Reader: tt.body}
				req.Body, req.ContentLength = body, tt.length
			}
			req.Header.Set("X-Test", "yes")
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if body != nil && body.closed {
				t.Error("the body is closed while it may be read")
			}
			b, err := io.ReadAll(resp.Body)
			if string(b) != tt.want || err != nil || resp.Status != "200 OK" || resp.Request.URL.Port() != "81" {
				t.Errorf("got %s %q, %v; want %q", resp.Status, b, err, tt.want)
			}
			resp.Body.Close()
			if body != nil && !body.closed {
				t.Error("the body is not closed at the end")
			}
			if file, ok := got.Body.(*os.File); ok {
				if _, err := file.Stat(); !errors.Is(err, os.ErrClosed) {
					t.Error("the collected body is open")
				}
			} else if tt.name == "unknown and large" {
				t.Error("the body is no file")
			}
			env := values(got.Params)
			if env["HTTP_HOST"] != "example.org:81" || env["QUERY_STRING"] != "q" || env["REQUEST_URI"] != "/a%20b?q" || env["HTTP_X_TEST"] != "yes" || env["SERVER_PROTOCOL"] != "HTTP/1.1" {
				t.Errorf("the parameters are %v", env)
			}
		})
	}
}

func TestTransportRedirects(t *testing.T) {
	resp, err := Transport{wireBackEnd("Location: /there?a\n\n")}.RoundTrip(newGET(t, "http://h/here"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if location, err := resp.Location(); resp.StatusCode != 302 || err != nil || location.String() != "http://h/there?a" {
		t.Errorf("got %d to %v, %v", resp.StatusCode, location, err)
	}
}

func newGET(t testing.TB, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTransportReplays(t *testing.T) {
	req, err := http.NewRequest("PUT", "http://h/", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := Transport{roundTripper(func(_ context.Context, req *Request) (*Response, error) {
		if !req.Replayable() {
			t.Error("the request cannot be sent again")
		}
		for range 2 {
			again, err := req.GetBody()
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(again); string(b) != "hello" || err != nil {
				t.Errorf("the body is %q, %v", b, err)
			}
		}
		return textResponse(""), nil
	})}.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

// What http.Transport would not send is not sent either, and the body is
// closed.
func TestTransportRefuses(t *testing.T) {
	for name, spoil := range map[string]func(r *http.Request){
		"a method":      func(r *http.Request) { r.Method = "GET /evil" },
		"a header":      func(r *http.Request) { r.Header["X-A"] = []string{"b", "c\r\nX-Evil: d"} },
		"a host":        func(r *http.Request) { r.Host = "h\nevil" },
		"a query":       func(r *http.Request) { r.URL.RawQuery = "a\nb" },
		"a path":        func(r *http.Request) { r.URL.Path = "/a\x00b" },
		"content types": func(r *http.Request) { r.Header["Content-Type"] = []string{"a/b", "c/d"} },
		"an unread body": func(r *http.Request) {
			r.Body.(*closing).Reader = failingReader{errors.New("cut")}
			r.ContentLength = -1
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newGET(t, "http://h/")
			body := &closing{Reader: strings.NewReader("hello")}
			r.Body, r.ContentLength = body, 5
			spoil(r)
			_, err := Transport{roundTripper(func(context.Context, *Request) (*Response, error) {
				t.Error("it is sent")
				return textResponse(""), nil
			})}.RoundTrip(r)
			if err == nil || !body.closed {
				t.Errorf("the error is %v; the body is closed: %v", err, body.closed)
			}
		})
	}
	body := &closing{Reader: strings.NewReader("hello")}
	r := newGET(t, "http://h/")
	r.Body, r.ContentLength = body, 5
	if _, err := (Transport{roundTripper(func(context.Context, *Request) (*Response, error) { return nil, ErrTimeout })}).RoundTrip(r); !errors.Is(err, ErrTimeout) || !body.closed {
		t.Errorf("a failed exchange: %v; the body is closed: %v", err, body.closed)
	}
}
