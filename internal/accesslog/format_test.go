package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"millrace/internal/placeholder"
)

// format parses a format.
func format(t testing.TB, s string) *Format {
	t.Helper()
	f, err := ParseFormat(s, placeholder.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// lineAs is the line of a request in a format.
func lineAs(t testing.TB, f *Format, site string, r *http.Request, h http.HandlerFunc) string {
	t.Helper()
	var out bytes.Buffer
	l := New(&out)
	l.WrapAs(h, f, site).ServeHTTP(httptest.NewRecorder(), r)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func wanted() *http.Request {
	r := httptest.NewRequest("POST", "/a%20b?x=1", nil)
	r.Host, r.RemoteAddr = "WWW.Example.COM:8080", "192.0.2.7:4711"
	prove(r, "ann b")
	r.Header.Set("Referer", `https://example.org/"x"`)
	r.Header.Set("User-Agent", "agent\twith \xff and ü")
	r.Header.Set("X-Request-Id", "id1")
	return r
}

func answer(w http.ResponseWriter, r *http.Request) {
	Answered(w, "main", "")
	w.Header().Set("X-Cache", "HIT of\n two")
	w.WriteHeader(203)
	_, _ = io.WriteString(w, "hello")
}

func TestFormats(t *testing.T) {
	const when = `\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [-+]\d{4}`
	for _, c := range []struct{ format, site, want string }{
		{"combined", "named.example", `192\.0\.2\.7 - ann\\x20b \[` + when + `\] "POST /a%20b\?x=1 HTTP/1\.1" 203 5 "https://example\.org/\\"x\\"" "agent\\twith \\xff and \\xc3\\xbc" "id1"`},
		{"", "", `192\.0\.2\.7 - .*"id1"`},
		{"vhost", "named.example", `named\.example:80 192\.0\.2\.7 - ann\\x20b .*"id1"`},
		{"vhost", "", `www\.example\.com:80 192\.0\.2\.7 - .*"id1"`},
		{"{status} {bytes} {method} {protocol}", "", `203 5 POST HTTP/1\.1`},
		{"{duration} {request_time_ms}", "", `0\.\d{3} \d+\.\d{3}`},
		{"[{time}] {time_unix} {time_iso}", "", `\[` + when + `\] \d{10}\.\d{3} \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[-+]\d\d:\d\d)`},
		{"{user} \"{user}\"", "", `ann\\x20b "ann b"`},
		{"{header.User-Agent}|\"{header.User-Agent}\"", "", `agent\\twith\\x20\\xff\\x20and\\x20\\xc3\\xbc\|"agent\\twith \\xff and \\xc3\\xbc"`},
		{"{response.X-Cache} {response.none} {header.None} {cookie.none}", "", `HIT\\x20of\\n\\x20two - - -`},
		{"\"{request}\" {request}", "", `"POST /a%20b\?x=1 HTTP/1\.1" POST\\x20/a%20b\?x=1\\x20HTTP/1\.1`},
		{"{site} {host} {port} {client} {request_id}", "", `www\.example\.com www\.example\.com 8080 192\.0\.2\.7 id1`},
		{"{site}", "named.example", `named\.example`},
		{"{app} {upstream}", "", `main -`},
		{"{{not an object} {status}", "", `\{not an object\} 203`},
		{`{{"s":{status},"ua":"{header.User-Agent}","none":"{header.None}"}`, "", `\{"s":203,"ua":"agent\\twith \\\\xff and ü","none":""\}`},
	} {
		line := lineAs(t, format(t, c.format), c.site, wanted(), answer)
		if !regexp.MustCompile(`\A` + c.want + `\n\z`).MatchString(line) {
			t.Errorf("%q: %q\nwant %q", c.format, line, c.want)
		}
	}
	for _, bad := range []struct{ format, want string }{
		{"plain", `"vhost"`},
		{"{statsu}", "{status}"},
		{"{status}\n{bytes}", "control character"},
		{"{status", "not closed"},
		{"{response.}", "response"},
		{"{1}", "regexp"},
	} {
		if _, err := ParseFormat(bad.format, placeholder.Scope{}); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%q: %v, want %q", bad.format, err, bad.want)
		}
	}
}

// What authentication found out goes before what the request says.
func TestUserOfAuthentication(t *testing.T) {
	for _, f := range []string{"{user}", `{user}`} {
		line := lineAs(t, format(t, f), "", wanted(), func(w http.ResponseWriter, r *http.Request) {
			_, found := placeholder.Keep(r)
			found.User = "ann"
		})
		if line != "ann\n" {
			t.Errorf("%s: %q", f, line)
		}
	}
}

func TestObject(t *testing.T) {
	var got map[string]any
	line := lineAs(t, format(t, "json"), "named.example", wanted(), answer)
	if err := json.Unmarshal([]byte(line), &got); err != nil || strings.Count(line, "\n") != 1 {
		t.Fatalf("%v in %s", err, line)
	}
	began, err := time.Parse(time.RFC3339, fmt.Sprint(got["time"]))
	if took, ok := got["duration_ms"].(float64); err != nil || time.Since(began) > time.Minute || !ok || took < 0 || took > 60_000 {
		t.Errorf("%v: %s", err, line)
	}
	delete(got, "time")
	delete(got, "duration_ms")
	want := map[string]any{
		"client": "192.0.2.7", "user": "ann b", "site": "named.example", "host": "WWW.Example.COM:8080", "method": "POST", "uri": "/a%20b?x=1",
		"protocol": "HTTP/1.1", "tls": false, "status": 203.0, "bytes": 5.0, "referer": `https://example.org/"x"`,
		"user_agent": "agent\twith \\xff and ü", "request_id": "id1", "app": "main",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v\nwant %v", got, want)
	}
}

// {upstream_time} ends with the beginning of the response, and is of requests that
// somebody was asked for.
func TestUpstreamTime(t *testing.T) {
	f := format(t, "{upstream_time} {status}")
	line := lineAs(t, f, "", wanted(), func(w http.ResponseWriter, r *http.Request) {
		Answered(w, "main", "")
		own := writerOf(w)
		own.asked = own.asked.Add(-time.Minute)
		w.WriteHeader(203)
		own.asked = own.asked.Add(-time.Hour) // no longer asked for
	})
	var begun float64
	if _, err := fmt.Sscan(line, &begun); err != nil || begun < 60 || begun >= 3600 {
		t.Errorf("%q: %v", line, err)
	}
	if line := lineAs(t, f, "", wanted(), func(w http.ResponseWriter, r *http.Request) {}); !strings.HasPrefix(line, "- ") {
		t.Errorf("of nobody: %q", line)
	}
}

// Answered finds the log's writer below others, and does without.
func TestAnswered(t *testing.T) {
	type wrapped struct{ wrapper }
	line := lineAs(t, format(t, "{upstream}"), "", wanted(), func(w http.ResponseWriter, r *http.Request) {
		Answered(wrapped{wrapper{w}}, "", "api")
	})
	if line != "api\n" {
		t.Errorf("%q", line)
	}
	Answered(httptest.NewRecorder(), "main", "")
	Answered(nil, "main", "")
}

type wrapper struct{ http.ResponseWriter }

func (w wrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// FuzzFormat: whatever a client and an app say, a request has one line of
// printable bytes; an object is JSON; and in a format of plain fields their
// number is what it is.
func FuzzFormat(f *testing.F) {
	f.Add("GET", "/", "example.org", "agent", "value", "user")
	f.Add("P", "/\n\"x\\", "\r\n", "\xff\xfe\"", "\x00\u2028\u0085", "a b\n")
	f.Add("0", "0", "\xb0", "0", "0", "0") // strings.ToLower makes a letter of it
	f.Add("", "?", "[::1]:80", "\\", "\\\"", "\"\"")
	formats := []*Format{format(f, "combined"), format(f, "vhost"), format(f, "json"),
		format(f, `{site} {uri} {header.User-Agent} {response.X} {user} {host} {client} {header.Referer}`),
		format(f, `{{"a":"{uri}","b":"{header.User-Agent}","c":"{response.X}","user":"{user}","h":"{host}"}`),
	}
	f.Fuzz(func(t *testing.T, method, uri, host, agent, value, user string) {
		for i, format := range formats {
			r := httptest.NewRequest("GET", "/", nil)
			r.Method, r.RequestURI, r.Host, r.RemoteAddr = method, uri, host, host
			r.URL.Path = uri
			r.Header["User-Agent"], r.Header["Referer"], r.Header["X-Request-Id"] = []string{agent}, []string{value}, []string{value}
			prove(r, user)
			line := lineAs(t, format, "", r, func(w http.ResponseWriter, r *http.Request) { w.Header()["X"] = []string{value, agent} })
			text, ended := strings.CutSuffix(line, "\n")
			isObject := i == 2 || i == 4
			for _, c := range text {
				if c < ' ' || c == 0x7f || !isObject && c > 0x7f || c >= 0x80 && c <= 0x9f || c == 0x2028 || c == 0x2029 || c == '\uFFFD' && !strings.Contains(method+uri+host+agent+value+user, "\uFFFD") {
					t.Fatalf("%q holds %q", line, c)
				}
			}
			if !ended {
				t.Fatalf("%q does not end", line)
			}
			if isObject && !json.Valid([]byte(text)) {
				t.Fatalf("no JSON: %s", text)
			}
			if i == 3 && strings.Count(text, " ") != 7 {
				t.Fatalf("%q has not eight fields", text)
			}
		}
	})
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	if err := os.WriteFile(path, []byte("0123456789\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	renamed := 0
	fail := error(nil)
	logger, told := counted()
	l.ErrorLog = logger
	l.SetRotation(Rotation{MaxSize: 16, Rename: func(p string) error {
		if fail != nil {
			return fail
		}
		renamed++
		return os.Rename(p, fmt.Sprint(p, ".", renamed))
	}})
	say := func(line string) {
		t.Helper()
		l.add([]byte(line + "\n"))
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	say("abc") // 15 bytes: what was there counts
	if renamed != 0 {
		t.Fatal("rotated too early")
	}
	say("d")
	if renamed != 1 || read(t, path) != "" || read(t, path+".1") != "0123456789\nabc\nd\n" {
		t.Errorf("after %d: %q, %q", renamed, read(t, path), read(t, path+".1"))
	}
	fail = errors.New("no right")
	say(strings.Repeat("x", 20))
	say("y")
	if got := read(t, path); got != strings.Repeat("x", 20)+"\ny\n" || !strings.Contains(told.String(), "no right") {
		t.Errorf("a failure: %q, told %q", got, told)
	}
	fail = nil
	say("z")
	if renamed != 1 {
		t.Error("tried again at once")
	}
	say(strings.Repeat("x", 20))
	if renamed != 2 || read(t, path) != "" {
		t.Errorf("not tried again: %q", read(t, path))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// While a file is renamed, which may take long, no request waits.
func TestRotationStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "access.log")
		l, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		going := make(chan struct{})
		l.SetRotation(Rotation{MaxSize: 1, Rename: func(p string) error { <-going; return os.Rename(p, p+".1") }})
		l.add([]byte("one\n"))
		time.Sleep(2 * time.Second)
		synctest.Wait() // it is renamed, and that hangs
		l.add([]byte("two\n"))
		close(going)
		synctest.Wait()
		l.SetRotation(Rotation{})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if read(t, path+".1") != "one\n" || read(t, path) != "two\n" {
			t.Errorf("%q, %q", read(t, path+".1"), read(t, path))
		}
	})
}

func TestNoRotationOfStreams(t *testing.T) {
	l, err := Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	l.SetRotation(Rotation{MaxSize: 1, Rename: func(string) error { t.Error("renamed"); return nil }})
	l.add([]byte("one\n"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkFormats(b *testing.B) {
	for _, f := range []string{"combined", "vhost", "json", `{client} "{request}" {status} {bytes} {duration} "{header.User-Agent}"`} {
		b.Run(strings.Fields(f)[0], func(b *testing.B) {
			h := New(io.Discard).WrapAs(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) }), format(b, f), "example.org")
			r := httptest.NewRequest("GET", "/articles/2020/hello-world/?page=2", nil)
			r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0")
			w := null{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}
