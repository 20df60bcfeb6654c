package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The rules for what becomes of a client's headers, one test each.

// environ is what an app sees of a request.
func environ(t *testing.T, head string) map[string]string {
	t.Helper()
	r := request(t, head)
	req, err := FromHTTP(r, mustSplit(t, r, ""))
	if err != nil {
		t.Fatal(err)
	}
	return values(req.Params)
}

func TestHeadersNeverHTTP_PROXY(t *testing.T) {
	for _, name := range []string{"Proxy", "PROXY", "proxy"} {
		if env := environ(t, "GET / HTTP/1.1\nHost: h\n"+name+": http://evil/"); env["HTTP_PROXY"] != "" {
			t.Errorf("%s becomes HTTP_PROXY", name)
		}
	}
	for _, name := range []string{"HTTP_PROXY", "HTTP_proxy", "HTTP_Proxy"} {
		r, err := ToHTTP(context.Background(), Incoming{Params: p("REQUEST_METHOD=GET", name+"=http://evil/")})
		if err != nil {
			t.Fatal(err)
		}
		req, err := FromHTTP(r, mustSplit(t, r, ""))
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Header) != 0 || values(req.Params)["HTTP_PROXY"] != "" || values(req.Params)["HTTP_proxy"] != "" {
			t.Errorf("%s goes through: %v, %v", name, r.Header, req.Params)
		}
	}
}

func TestHeadersOfOtherNamesAreDropped(t *testing.T) {
	for _, name := range []string{"Remote_User", "X_Forwarded_For", "Content_Length", "X.Y", "X!Y", "X~Y", "X'Y"} {
		env := environ(t, "GET / HTTP/1.1\nHost: h\n"+name+": evil")
		for variable, value := range env {
			if value == "evil" {
				t.Errorf("%s becomes %s", name, variable)
			}
		}
	}
}

func TestHeadersCannotOverrideTheServer(t *testing.T) {
	head := "GET /p?q HTTP/1.1\nHost: h"
	plain := environ(t, head)
	for _, name := range []string{"Request-Method", "Script-Name", "Path-Info", "Remote-Addr", "Remote-User", "Server-Name", "Https", "Query-String", "Auth-Type", "Gateway-Interface", "Path-Translated", "Script-Filename"} {
		head += "\n" + name + ": evil"
	}
	env := environ(t, head)
	for name, value := range env {
		if value == "evil" {
			if !strings.HasPrefix(name, "HTTP_") {
				t.Errorf("a header becomes %s", name)
			}
			continue
		}
		if plain[name] != value {
			t.Errorf("%s is %q, was %q", name, value, plain[name])
		}
	}
}

func TestHeadersThatConnectionNamesStay(t *testing.T) {
	env := environ(t, "GET / HTTP/1.1\nHost: h\nConnection: X-Forwarded-For, close\nX-Forwarded-For: 192.0.2.9")
	if env["HTTP_X_FORWARDED_FOR"] != "192.0.2.9" || env["HTTP_CONNECTION"] != "" {
		t.Errorf("got %v", env)
	}
}

func TestTrailersAreNotMerged(t *testing.T) {
	r := request(t, "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\nTrailer: X-Late")
	r.Trailer = http.Header{"X-Late": {"evil"}, "Content-Length": {"7"}}
	req, err := FromHTTP(r, mustSplit(t, r, ""))
	if err != nil {
		t.Fatal(err)
	}
	env := values(req.Params)
	if env["HTTP_X_LATE"] != "" || env["CONTENT_LENGTH"] != "" || env["HTTP_TRAILER"] != "" || env["HTTP_TRANSFER_ENCODING"] != "" {
		t.Errorf("got %v", env)
	}
}

func TestSendfileHeadersOfAClientAreStripped(t *testing.T) {
	env := environ(t, "GET / HTTP/1.1\nHost: h\nX-Sendfile-Type: X-Accel-Redirect\nX-Accel-Mapping: /=/etc/\nX-Accel-Redirect: /x\nx-accel-anything: x")
	for name := range env {
		if strings.HasPrefix(name, "HTTP_X_") {
			t.Errorf("%s goes through", name)
		}
	}
}

func TestControlCharactersInAPathAreRefused(t *testing.T) {
	for _, path := range []string{"/a%00b", "/a%0ab", "/a%0Db", "/a%1fb", "/a%7fb", "/a%09b"} {
		r := request(t, "GET "+path+" HTTP/1.1\nHost: h")
		if req, err := FromHTTP(r, mustSplit(t, r, "")); err == nil {
			t.Errorf("%s becomes %q", path, req.Param("PATH_INFO"))
		}
	}
	if _, err := FromHTTP(request(t, "GET / HTTP/1.1\nHost: h"), Target{ScriptName: "/a\nb", ContentLength: -1}); err == nil {
		t.Error("a line feed in SCRIPT_NAME is taken")
	}
}

// The rules for what becomes of a back end's response, one test each.

// answer has a Handler pass on what a back end answers, over a real server.
func answer(t *testing.T, wire string) (*http.Response, string) {
	t.Helper()
	return serveOnce(t, &Handler{RoundTripper: wireBackEnd(wire)}, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
}

// wireBackEnd answers each request by the same head and body.
func wireBackEnd(wire string) RoundTripper {
	return roundTripper(func(context.Context, *Request) (*Response, error) {
		head, n, err := ParseHead([]byte(wire))
		switch {
		case err != nil:
			return nil, err
		case n == 0:
			return nil, ErrNotAnswered
		}
		return &Response{Head: *head, Body: io.NopCloser(strings.NewReader(wire[n:]))}, nil
	})
}

func TestResponseHopByHopIsDiscarded(t *testing.T) {
	resp, body := answer(t, "Connection: keep-alive, X-A\r\nTransfer-Encoding: gzip, chunked\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nTrailer: X\r\nX-A: b\r\n\r\nbody")
	if resp.StatusCode != 200 || body != "body" || resp.Header.Get("X-A") != "b" || strings.Join(resp.TransferEncoding, " ") != "chunked" { // net/http's own
		t.Errorf("got %d %v %v %q", resp.StatusCode, resp.Header, resp.TransferEncoding, body)
	}
	for _, name := range []string{"Keep-Alive", "Upgrade", "Trailer"} {
		if resp.Header.Get(name) != "" {
			t.Errorf("%s is passed on", name)
		}
	}
}

func TestResponseMalformedIs502(t *testing.T) {
	for name, wire := range map[string]string{
		"CR":             "X-A: b\rX-C: d\r\n\r\n",
		"NUL":            "X-A: b\x00\r\n\r\n",
		"no colon":       "X-A\r\n\r\n",
		"status":         "Status: OK\r\n\r\n",
		"status of four": "Status: 2000 OK\r\n\r\n",
		"length":         "Content-Length: -1\r\n\r\n",
		"two lengths":    "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"no end":         "X-A: b\r\n",
	} {
		if resp, body := answer(t, wire); resp.StatusCode != 502 || resp.Header.Get("X-A") != "" || body != "Bad Gateway\n" {
			t.Errorf("%s: got %d %v %q", name, resp.StatusCode, resp.Header, body)
		}
	}
}

func TestResponseHasNoDefaultContentType(t *testing.T) {
	resp, _ := answer(t, "X-A: b\r\n\r\n<html><script>")
	if values, ok := resp.Header["Content-Type"]; ok {
		t.Errorf("Content-Type is %q", values)
	}
}

func TestResponseControlCharactersAreEscapedInTheLog(t *testing.T) {
	var log testLog
	h := &Handler{Log: log.logger(), RoundTripper: roundTripper(func(_ context.Context, req *Request) (*Response, error) {
		io.WriteString(req.Stderr, "one \x1b[31m red\r\ntwo\x00\n")
		return nil, errors.New("an error with\n\x1b[31m a line break")
	})}
	serveOnce(t, h, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	got := log.String()
	if strings.ContainsAny(got, "\x1b\x00\r") || strings.Count(got, "\n") != 3 {
		t.Errorf("want three lines without control characters:\n%q", got)
	}
	for _, want := range []string{`\\x1b[31m red`, `two\\x00`, `an error with\n\x1b[31m`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
}
