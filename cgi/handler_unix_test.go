//go:build unix

package cgi

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fetch asks a handler over HTTP.
func fetch(t testing.TB, h http.Handler, method, uri, body string) (int, string) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	req, err := http.NewRequest(method, server.URL+uri, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestHandlerParams(t *testing.T) {
	h := &Handler{Host: program(t, "environ"), Mount: "/cgi-bin/env", Script: "/srv/script", Root: "/srv/www", Log: slog.New(slog.DiscardHandler)}
	for _, tt := range []struct {
		uri  string
		want []string // lines of the environment; "-NAME": it is not there
	}{
		{"/cgi-bin/env", []string{"SCRIPT_NAME=/cgi-bin/env", "PATH_INFO=", "-PATH_TRANSLATED", "DOCUMENT_ROOT=/srv/www",
			"SCRIPT_FILENAME=/srv/script", "REDIRECT_STATUS=200", "QUERY_STRING="}},
		{"/cgi-bin/env/a%20b/caf%C3%A9?x=1", []string{"PATH_INFO=/a b/café", "PATH_TRANSLATED=/srv/www/a b/café", "QUERY_STRING=x=1",
			"REQUEST_URI=/cgi-bin/env/a%20b/caf%C3%A9?x=1"}},
		{"/cgi-bin/env/%2e%2e/%2e%2e/etc/passwd", []string{"PATH_INFO=/../../etc/passwd", "PATH_TRANSLATED=/srv/www/etc/passwd"}},
	} {
		status, body := fetch(t, h, "GET", tt.uri, "")
		if status != 200 {
			t.Errorf("%s: status %d", tt.uri, status)
		}
		body = "\n" + body + "\n"
		for _, line := range tt.want {
			if name, not := strings.CutPrefix(line, "-"); not == strings.Contains(body, "\n"+line+"\n") || not && strings.Contains(body, "\n"+name+"=") {
				t.Errorf("%s: %s is not as it should be in%s", tt.uri, line, body)
			}
		}
	}
	if status, _ := fetch(t, h, "GET", "/cgi-bin/environment", ""); status != 404 {
		t.Errorf("a path outside of the mount: status %d", status)
	}
}

func TestHandlerRedirects(t *testing.T) {
	h := &Handler{
		Host:  script(t, `case $PATH_INFO in /a) printf 'Location: /s/b?x=%%201\n\n';; /out) printf 'Location: /other\n\n';; /loop) printf 'Location: /s/loop\n\n';; *) printf 'A: b\n\n%s %s %s' "$REQUEST_METHOD" "$PATH_INFO" "$QUERY_STRING"; cat;; esac`),
		Mount: "/s",
		Redirect: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "elsewhere: "+r.Method+" "+r.RequestURI)
		}),
	}
	h.Log = h.Host.Log
	if _, body := fetch(t, h, "POST", "/s/out", "input"); body != "elsewhere: GET /other" {
		t.Errorf("with Redirect: %q", body)
	}
	h.Redirect = nil
	if _, body := fetch(t, h, "POST", "/s/a", "input"); body != "GET /b x=%201" {
		t.Errorf("without: %q", body)
	}
	if status, _ := fetch(t, h, "GET", "/s/loop", ""); status != 502 {
		t.Errorf("a loop: status %d", status)
	}
	if status, _ := fetch(t, h, "GET", "/s/out", ""); status != 404 {
		t.Errorf("outside of the mount: status %d", status)
	}
}

// Real programs: what people run by CGI.
func TestRealScripts(t *testing.T) {
	for _, tt := range []struct {
		interpreter, name, script string
	}{
		{"/bin/sh", "s.sh", `
printf 'Status: 201 Created\nContent-Type: text/plain\n\n'
printf '%s|%s|%s|%s|' "$REQUEST_METHOD" "$PATH_INFO" "$QUERY_STRING" "$CONTENT_TYPE"
head -c "$CONTENT_LENGTH"`},
		{"perl", "s.pl", `
read STDIN, my $body, $ENV{CONTENT_LENGTH};
print "Status: 201 Created\r\nContent-Type: text/plain\r\n\r\n";
print join "|", @ENV{qw(REQUEST_METHOD PATH_INFO QUERY_STRING CONTENT_TYPE)}, $body;`},
		{"python3", "s.py", `
import os, sys
body = sys.stdin.read(int(os.environ["CONTENT_LENGTH"]))
print("Status: 201 Created\nContent-Type: text/plain\n")
print("|".join([os.environ[n] for n in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE")] + [body]), end="")`},
		{"php-cgi", "s.php", `<?php
http_response_code(201);
header("Content-Type: text/plain");
echo implode("|", [$_SERVER["REQUEST_METHOD"], $_SERVER["PATH_INFO"], $_SERVER["QUERY_STRING"], $_SERVER["CONTENT_TYPE"], file_get_contents("php://input")]);`},
	} {
		t.Run(tt.interpreter, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), tt.name)
			if err := os.WriteFile(name, []byte(tt.script), 0o644); err != nil {
				t.Fatal(err)
			}
			host := closed(t, &Host{Path: interpreter(t, tt.interpreter), Dir: filepath.Dir(name)})
			if tt.interpreter != "php-cgi" { // which takes SCRIPT_FILENAME
				host.Args = []string{name}
			}
			h := &Handler{Host: host, Mount: "/cgi-bin/" + tt.name, Script: name, Root: filepath.Dir(name), Log: host.Log}
			server := httptest.NewServer(h)
			defer server.Close()
			resp, err := http.Post(server.URL+"/cgi-bin/"+tt.name+"/a%20b?x=1", "text/x-test", strings.NewReader("the input"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if want := "POST|/a b|x=1|text/x-test|the input"; resp.StatusCode != 201 || string(b) != want || err != nil {
				t.Errorf("got %d %q %v, want 201 %q", resp.StatusCode, b, err, want)
			}
			if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/plain") {
				t.Errorf("Content-Type is %q", got)
			}
		})
	}
}

// interpreter is the real file of a program: a shim would find what it stands
// for by an environment that CGI programs do not get.
func interpreter(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range filepath.SplitList(defaultPath) {
		path := filepath.Join(dir, filepath.Base(name))
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path
		}
	}
	t.Fatalf("%s is not installed", name)
	return ""
}
