package cgi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"millrace/gateway"
)

func TestEnvironIsMinimal(t *testing.T) {
	t.Setenv("SECRET", "of the server")
	t.Setenv("WANTED", "by the program")
	h := program(t, "environ")
	h.Env = append(h.Env, "OWN=1")
	h.InheritEnv = []string{"WANTED", "NOT_SET"}
	got := strings.Split(text(t, h, get(
		gateway.Param{Name: "QUERY_STRING", Value: "a=b"},
		gateway.Param{Name: "HTTP_ACCEPT", Value: "first"},
		gateway.Param{Name: "HTTP_ACCEPT", Value: "last"},
		gateway.Param{Name: "HTTP_X_MULTI", Value: "a\nb=c"},
	)), "\n")
	want := []string{
		programVariable + "=environ",
		"GATEWAY_INTERFACE=CGI/1.1",
		"GORACE=atexit_sleep_ms=0",
		"HTTP_ACCEPT=last",
		"HTTP_X_MULTI=a", "b=c",
		"OWN=1",
		"PATH=" + defaultPath,
		"QUERY_STRING=a=b",
		"REQUEST_METHOD=GET",
		"SCRIPT_FILENAME=" + h.Path,
		"SERVER_SOFTWARE=" + software,
		"WANTED=by the program",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the environment is\n%q, want\n%q", got, want)
	}
}

// A request, which may come from another machine's front server, sets no
// variable with a power of its own, and none that Host sets.
func TestEnvironIsOutOfReach(t *testing.T) {
	h := program(t, "environ")
	h.Env = append(h.Env, "HTTP_OWN=1")
	h.Params = []string{"MY_SETTING"}
	var log *journal
	h.Log, log = record(t)
	req := get()
	for _, name := range []string{"PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "PERL5OPT", "PYTHONPATH",
		"BASH_ENV", "ENV", "IFS", "HOME", "HTTP_PROXY", "HTTP_OWN", programVariable, "A B", "HTTP_A=B", "HTTP_É", "", "HTTP_X\x00Y"} {
		req.Params = append(req.Params, gateway.Param{Name: name, Value: "evil"})
	}
	req.Params = append(req.Params, gateway.Param{Name: "MY_SETTING", Value: "good"}, gateway.Param{Name: "SSL_CIPHER", Value: "good"})
	for range 2 {
		got := text(t, h, req)
		if strings.Contains(got, "evil") {
			t.Errorf("a request's parameter got through:\n%s", got)
		}
		for _, want := range []string{"MY_SETTING=good", "SSL_CIPHER=good", "HTTP_OWN=1"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s is missing:\n%s", want, got)
			}
		}
	}
	if n := strings.Count(log.String(), "name=LD_PRELOAD"); n != 1 {
		t.Errorf("LD_PRELOAD was logged %d times, want once:\n%s", n, log)
	}
	if strings.Contains(log.String(), "name=PATH ") {
		t.Errorf("what Host sets itself was logged:\n%s", log)
	}
}

func TestNULInAValue(t *testing.T) {
	h := program(t, "environ")
	_, err := h.RoundTrip(context.Background(), get(gateway.Param{Name: "PATH_INFO", Value: "/a\x00b"}))
	if !errors.Is(err, gateway.ErrTooLarge) || !strings.Contains(err.Error(), "PATH_INFO") {
		t.Errorf("got %v, want ErrTooLarge with the parameter's name", err)
	}
}

func TestQueryArgs(t *testing.T) {
	for _, tt := range []struct {
		method, query string
		want          []string
	}{
		{"GET", "", nil},
		{"GET", "one", []string{"one"}},
		{"HEAD", "one+two%20three+%2B", []string{"one", "two three", "+"}},
		{"GET", "a=b", nil},                      // a form
		{"GET", "a+b=c", nil},                    // anywhere
		{"GET", "a%3Db", []string{"a=b"}},        // not unencoded
		{"POST", "one", nil},                     // GET and HEAD alone
		{"GET", "-s", nil},                       // an option
		{"GET", "one+%2ds", nil},                 // an option, encoded
		{"GET", "%zz", nil},                      // not decodable: no words at all
		{"GET", "a%00", nil},                     // an argument cannot hold it
		{"GET", "a++b", []string{"a", "", "b"}},  // an empty word is a word
		{"GET", "$(id);`", []string{"$(id);`"}},  // there is no shell
		{"GET", "caf%E9", []string{"caf\xe9"}},   // bytes
		{"GET", "a\nb", []string{"a\nb"}},        // a server never sends it; harmless
		{"GET", "é+ü", []string{"é", "ü"}},       // not encoded
		{"GET", "%2B%2B", []string{"++"}},        // decoded after parting
		{"GET", "+", []string{"", ""}},           // two empty words
		{"GET", "--help", nil},                   // an option
		{"GET", "ok+-", nil},                     // standard input to many
		{"get", "one", nil},                      // methods have a case
		{"OPTIONS", "one", nil},                  // not a GET
		{"GET", "a&b", []string{"a&b"}},          // "&" parts forms only
		{"GET", "a%2520b", []string{"a%20b"}},    // decoded once
		{"GET", "%E2%82%AC", []string{"\u20ac"}}, // UTF-8
	} {
		req := &gateway.Request{Params: []gateway.Param{{Name: "REQUEST_METHOD", Value: tt.method}, {Name: "QUERY_STRING", Value: tt.query}}}
		if got := queryArgs(req); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s ?%s gives %q, want %q", tt.method, tt.query, got, tt.want)
		}
	}
}

func TestArgs(t *testing.T) {
	h := program(t, "args")
	h.Args = []string{"-x"}
	if got := text(t, h, get(gateway.Param{Name: "QUERY_STRING", Value: "a+b%20c"})); got != `["-x" "a" "b c"]` {
		t.Errorf("the arguments are %s", got)
	}
}

func TestDir(t *testing.T) {
	h := program(t, "pwd")
	if got := text(t, h, get()); got != filepath.Dir(h.Path)+"<nil>" {
		t.Errorf("the program runs in %s, want its own folder", got)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h = program(t, "pwd")
	h.Dir = dir
	if got := text(t, h, get()); got != dir+"<nil>" {
		t.Errorf("the program runs in %s, want %s", got, dir)
	}
}

// onlyReader hides what a body is.
type onlyReader struct{ io.Reader }

func TestBody(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)
	file, err := os.Create(filepath.Join(t.TempDir(), "body"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(append([]byte("skipped"), content...)); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]io.Reader{"pipe": onlyReader{bytes.NewReader(content)}, "file": file} {
		if _, err := file.Seek(int64(len("skipped")), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		h := program(t, "cat")
		got := text(t, h, post(body, int64(len(content))))
		if sha256.Sum256([]byte(got)) != sha256.Sum256(content) {
			t.Errorf("%s: %d bytes came back, want the %d that were sent", name, len(got), len(content))
		}
	}
}

// A file is the program's input itself only if that is the body, no less and
// no more.
func TestBodyFile(t *testing.T) {
	for _, tt := range []struct {
		offset, length int64
		want           string
	}{
		{0, 10, "true <nil> 10"},
		{4, 6, "true <nil> 6"},
		{0, 0, "false <nil> 0"}, // the null device
	} {
		file, err := os.Create(filepath.Join(t.TempDir(), "body"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteString("0123456789"); err != nil {
			t.Fatal(err)
		}
		if _, err := file.Seek(tt.offset, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if got := text(t, program(t, "stdin"), post(file, tt.length)); got != tt.want {
			t.Errorf("offset %d, length %d: the program saw %q, want %q", tt.offset, tt.length, got, tt.want)
		}
	}
}

// A file of another size than was announced is a body like any other that is.
func TestBodyFileOfAnotherSize(t *testing.T) {
	for _, length := range []int64{6, 20} {
		file, err := os.Create(filepath.Join(t.TempDir(), "body"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteString("0123456789"); err != nil {
			t.Fatal(err)
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		resp, err := program(t, "stdin").RoundTrip(context.Background(), post(file, length))
		if err == nil {
			resp.Body.Close()
		}
		if !errors.Is(err, gateway.ErrBody) {
			t.Errorf("10 bytes as %d: %v, want ErrBody", length, err)
		}
	}
}

var errRead = errors.New("the client has gone")

// failing is a body whose reader fails.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errRead }

func TestBodyIsNotWhatWasAnnounced(t *testing.T) {
	for _, tt := range []struct {
		name   string
		body   io.Reader
		length int64
		also   error
	}{
		{"shorter", strings.NewReader("abc"), 4, nil},
		{"longer", strings.NewReader("abcde"), 4, nil},
		{"failing", io.MultiReader(strings.NewReader("ab"), failing{}), 4, errRead},
		{"none", nil, 4, nil},
		{"negative", strings.NewReader("abc"), -1, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := program(t, "handler") // reads all before it answers
			resp, err := h.RoundTrip(context.Background(), post(tt.body, tt.length))
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			if !errors.Is(err, gateway.ErrBody) || tt.also != nil && !errors.Is(err, tt.also) {
				t.Errorf("got %v, want ErrBody", err)
			}
		})
	}
}

func TestRoles(t *testing.T) {
	req := get()
	req.Role = gateway.Authorizer
	if _, err := program(t, "environ").RoundTrip(context.Background(), req); !errors.Is(err, gateway.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
}

func TestCannotStart(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		host *Host
		req  *gateway.Request
		want error
	}{
		{"no path", &Host{}, get(), gateway.ErrUnreachable},
		{"nothing there", &Host{Path: filepath.Join(dir, "none")}, get(), gateway.ErrUnreachable},
		{"a folder", &Host{Path: dir}, get(), gateway.ErrUnreachable},
		{"not executable", &Host{Path: plain}, get(), gateway.ErrUnreachable},
		{"no such working directory", &Host{Path: os.Args[0], Dir: filepath.Join(dir, "none")}, get(), gateway.ErrUnreachable},
		{"too much", &Host{Path: os.Args[0]}, get(gateway.Param{Name: "HTTP_COOKIE", Value: strings.Repeat("x", 8<<20)}), gateway.ErrTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := closed(t, tt.host)
			if _, err := h.RoundTrip(context.Background(), tt.req); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if h.Running() != 0 {
				t.Error("what did not start is counted")
			}
		})
	}
}

func TestGivenUpBeforeTheStart(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := program(t, "environ").RoundTrip(ctx, get()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestHeadByteByByte(t *testing.T) {
	h := program(t, "drip")
	resp, err := h.RoundTrip(context.Background(), get())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); string(b) != "body" || err != nil || resp.Header.Get("X-Test") != "yes" {
		t.Errorf("got %q, %v, %v", b, err, resp.Header)
	}
}

func TestHeadEnds(t *testing.T) {
	for _, head := range []string{"A: b\n\n", "A: b\r\n\r\n", "A: b\n\r\n", "A: b\r\n\n", "\n", "\r\n"} {
		for from := range len(head) {
			for to := from; to <= len(head); to++ {
				if got := headEnds([]byte(head[:to]), from); got != (to == len(head)) {
					t.Errorf("headEnds(%q, %d) is %v", head[:to], from, got)
				}
			}
		}
	}
	if headEnds([]byte("A: b\n\rC: d\n"), 0) {
		t.Error("a carriage return alone ends no head")
	}
}

func TestBothSides(t *testing.T) {
	h := program(t, "handler")
	req := post(onlyReader{strings.NewReader("hello")}, 5)
	req.Params = append(req.Params,
		gateway.Param{Name: "SCRIPT_NAME", Value: "/cgi-bin/p"},
		gateway.Param{Name: "PATH_INFO", Value: "/a b"},
		gateway.Param{Name: "QUERY_STRING", Value: "x=1"},
		gateway.Param{Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"})
	if got, want := text(t, h, req), `POST /cgi-bin/p/a%20b?x=1 "hello" <nil>`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzEnviron: whatever a request says, the environment holds no variable with
// a power of its own, none twice, and each with the value that was sent last.
func FuzzEnviron(f *testing.F) {
	f.Add("HTTP_HOST", "a", "HTTP_HOST", "b")
	f.Add("LD_PRELOAD", "/x.so", "PATH", "/evil")
	f.Add("HTTP_A=B", "c", "", "d")
	f.Add("PATH_INFO", "/a\nLD_PRELOAD=x", "HTTP_PROXY", "http://x")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string) {
		in := []gateway.Param{{Name: n1, Value: v1}, {Name: n2, Value: v2}}
		env, refused, err := appendEnviron(nil, in, requestVariable)
		if err != nil {
			if !strings.Contains(v1+v2, "\x00") {
				t.Fatal(err)
			}
			return
		}
		seen := map[string]bool{}
		for _, p := range fromEnviron(env) {
			if seen[p.Name] || !requestVariable(p.Name) || p.Name == "HTTP_PROXY" || strings.HasPrefix(p.Name, "LD_") || p.Name == "PATH" {
				t.Errorf("%q is in the environment %q", p.Name, env)
			}
			seen[p.Name] = true
			if want, _ := gateway.Lookup(in, p.Name); p.Value != want {
				t.Errorf("%s is %q, want %q", p.Name, p.Value, want)
			}
		}
		for _, p := range in {
			if seen[p.Name] == slices.Contains(refused, p.Name) {
				t.Errorf("%q is in neither %q nor %q, or in both", p.Name, env, refused)
			}
		}
	})
}
