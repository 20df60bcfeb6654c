package cgi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"millrace/gateway"
)

// runChild runs a handler as a CGI program.
func runChild(h http.HandlerFunc, input string, env ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	c := &Child{
		Handler: h,
		Env:     append([]string{"GATEWAY_INTERFACE=CGI/1.1", "SERVER_PROTOCOL=HTTP/1.1"}, env...),
		Stdin:   strings.NewReader(input),
		Stdout:  &out,
		Stderr:  &errs,
	}
	err = c.Run(context.Background())
	return out.String(), errs.String(), err
}

func TestChild(t *testing.T) {
	hello := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Path", r.URL.Path)
		io.WriteString(w, "hello")
	}
	for _, tt := range []struct {
		name  string
		h     http.HandlerFunc
		input string
		env   []string
		want  string
		fails bool
	}{
		{"GET", hello, "", []string{"REQUEST_METHOD=GET", "SCRIPT_NAME=/p", "PATH_INFO=/a b"},
			"Status: 200 OK\r\nX-Path: /p/a b\r\n\r\nhello", false},
		{"a script without a PATH_INFO", hello, "", []string{"REQUEST_METHOD=GET", "SCRIPT_NAME=/p", "REQUEST_URI=/p"},
			"Status: 200 OK\r\nX-Path: /p\r\n\r\nhello", false},
		{"HEAD", hello, "", []string{"REQUEST_METHOD=HEAD", "SCRIPT_NAME=/p"},
			"Status: 200 OK\r\nX-Path: /p\r\n\r\n", false},
		{"nph", hello, "", []string{"REQUEST_METHOD=GET", "SCRIPT_NAME=/cgi-bin/nph-p"},
			"HTTP/1.1 200 OK\r\nX-Path: /cgi-bin/nph-p\r\n\r\nhello", false},
		{"nph in a folder's name alone", hello, "", []string{"REQUEST_METHOD=GET", "SCRIPT_NAME=/nph-x/p"},
			"Status: 200 OK\r\nX-Path: /nph-x/p\r\n\r\nhello", false},
		{"bad length", hello, "", []string{"REQUEST_METHOD=POST", "CONTENT_LENGTH=x"}, "Status: 400 Bad Request\r\n", true},
		{"bad path", hello, "", []string{"REQUEST_METHOD=GET", "PATH_INFO=/a\nb"}, "Status: 400 Bad Request\r\n", true},
		{"bad method", hello, "", []string{"REQUEST_METHOD=G T"}, "Status: 400 Bad Request\r\n", true},
		{"panic", func(http.ResponseWriter, *http.Request) { panic("oh") }, "", []string{"REQUEST_METHOD=GET"},
			"Status: 500 Internal Server Error\r\n", false},
		{"cut", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "a"); panic(http.ErrAbortHandler) }, "", []string{"REQUEST_METHOD=GET"},
			"Status: 200 OK\r\n\r\na", true},
		{"too short", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "9")
			io.WriteString(w, "a")
		}, "", []string{"REQUEST_METHOD=GET"},
			"Status: 200 OK\r\nContent-Length: 9\r\n\r\na", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, errs, err := runChild(tt.h, tt.input, tt.env...)
			if !strings.HasPrefix(out, tt.want) || !strings.Contains(tt.want, " 4") && !strings.Contains(tt.want, " 5") && out != tt.want {
				t.Errorf("it writes %q, want %q", out, tt.want)
			}
			if (err != nil) != tt.fails {
				t.Errorf("the error is %v; should it fail? %v", err, tt.fails)
			}
			if tt.name == "panic" && !strings.Contains(errs, "oh") {
				t.Errorf("the panic is not in %q", errs)
			}
		})
	}
}

func TestChildInput(t *testing.T) {
	for _, tt := range []struct{ length, input, body string }{
		{"5", "hello", "hello <nil>"},
		{"5", "hello and what is not ours", "hello <nil>"},
		{"6", "hello", "hello unexpected EOF"},
		{"", "hello", " <nil>"},
		{"0", "hello", " <nil>"},
	} {
		got := ""
		_, _, err := runChild(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			got = fmt.Sprint(string(b), " ", err)
		}, tt.input, "REQUEST_METHOD=POST", "CONTENT_LENGTH="+tt.length)
		if got != tt.body || err != nil {
			t.Errorf("length %q, input %q: the handler reads %q, %v; want %q", tt.length, tt.input, got, err, tt.body)
		}
	}
}

func TestChildFront(t *testing.T) {
	type key struct{}
	_, errs, err := runChild(func(w http.ResponseWriter, r *http.Request) {
		front := gateway.FrontOf(r.Context())
		if front == nil || front.Protocol != "cgi" || front.ScriptName != "/p" {
			t.Errorf("the front is %+v", front)
			return
		}
		if user, _ := gateway.Lookup(front.Params, "REMOTE_USER"); user != "me" {
			t.Errorf("REMOTE_USER is %q", user)
		}
		io.WriteString(front.Stderr, "for the error log")
		if r.RemoteAddr != "192.0.2.1:0" || r.Host != "example.org" || r.TLS == nil {
			t.Errorf("RemoteAddr %q, Host %q, TLS %v", r.RemoteAddr, r.Host, r.TLS)
		}
	}, "", "REQUEST_METHOD=GET", "SCRIPT_NAME=/p", "REMOTE_USER=me", "REMOTE_ADDR=192.0.2.1", "SERVER_NAME=example.org", "HTTPS=on", "=C:=C:\\dir")
	if err != nil || errs != "for the error log" {
		t.Errorf("got %v, and %q in the error log", err, errs)
	}
	ctx := context.WithValue(context.Background(), key{}, "value")
	c := &Child{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Context().Value(key{}) != "value" {
				t.Error("the handler's context is not Run's")
			}
		}),
		Env: []string{"GATEWAY_INTERFACE=CGI/1.1", "REQUEST_METHOD=GET"}, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard,
		Log: slog.New(slog.DiscardHandler),
	}
	if err := c.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestNotCGI(t *testing.T) {
	for _, env := range [][]string{{}, {"GATEWAY_INTERFACE=CGI/1.1"}, {"REQUEST_METHOD=GET"}, {"GATEWAY_INTERFACE=", "REQUEST_METHOD=GET"}} {
		c := &Child{Env: env, Stdout: failWriter{t}}
		if err := c.Run(context.Background()); !errors.Is(err, ErrNotCGI) || !strings.Contains(err.Error(), "web server") {
			t.Errorf("with %q: got %v, want ErrNotCGI and what to do", env, err)
		}
	}
	if os.Getenv("GATEWAY_INTERFACE") == "" {
		if err := Serve(nil); !errors.Is(err, ErrNotCGI) {
			t.Errorf("this test is a CGI program: %v", err)
		}
	}
}

// failWriter is written to by nobody.
type failWriter struct{ t *testing.T }

func (w failWriter) Write(b []byte) (int, error) {
	w.t.Errorf("unexpected output %q", b)
	return len(b), nil
}

var errFull = errors.New("no space left")

type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, errFull }

func TestChildCannotWrite(t *testing.T) {
	c := &Child{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }),
		Env:     []string{"GATEWAY_INTERFACE=CGI/1.1", "REQUEST_METHOD=GET"},
		Stdin:   strings.NewReader(""), Stdout: fullWriter{}, Stderr: io.Discard,
	}
	if err := c.Run(context.Background()); !errors.Is(err, errFull) {
		t.Errorf("got %v, want the writer's error", err)
	}
}
