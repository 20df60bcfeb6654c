package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParams(t *testing.T) {
	params := p("A=1", "B=2", "A=3")
	req := &Request{Params: params}
	for name, want := range map[string]string{"A": "3", "B": "2", "C": ""} {
		if got := req.Param(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, ok := Lookup(params, "C"); ok {
		t.Error("what is not there is found")
	}
	params = Set(params, "A", "4")
	params = Set(params, "C", "5")
	if want := p("A=1", "B=2", "A=4", "C=5"); !reflect.DeepEqual(params, want) {
		t.Errorf("got %v, want %v", params, want)
	}
}

func TestReplayable(t *testing.T) {
	again := func() (io.Reader, error) { return strings.NewReader("x"), nil }
	for _, tt := range []struct {
		req  *Request
		want bool
	}{
		{&Request{Params: p("REQUEST_METHOD=GET")}, true},
		{&Request{Params: p("REQUEST_METHOD=POST")}, false},
		{&Request{Params: p("REQUEST_METHOD=PUT"), Body: strings.NewReader("x"), ContentLength: 1}, false},
		{&Request{Params: p("REQUEST_METHOD=PUT"), Body: strings.NewReader("x"), ContentLength: 1, GetBody: again}, true},
		{&Request{Params: p("REQUEST_METHOD=PATCH"), GetBody: again}, false},
		{&Request{Params: p("REQUEST_METHOD=get")}, false},
		{&Request{}, false},
		{&Request{Role: Filter, Params: p("REQUEST_METHOD=GET"), Data: strings.NewReader("x")}, false},
	} {
		if got := tt.req.Replayable(); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.req.Params, got, tt.want)
		}
	}
}

func TestRoleNames(t *testing.T) {
	for role, want := range map[Role]string{Responder: "RESPONDER", Authorizer: "AUTHORIZER", Filter: "FILTER", 9: "role 9"} {
		if got := role.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestDial(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		to := l.Addr().String()
		if network == "unix" {
			to = "unix:" + to
		}
		c, err := Dial(context.Background(), to, 0)
		if err != nil {
			t.Errorf("%s: %v", to, err)
			continue
		}
		c.Close()
	}
	for _, address := range []string{"", "nowhere", "unix:", "unix:" + filepath.Join(t.TempDir(), "none"), "127.0.0.1:99999", "http://127.0.0.1:80"} {
		if c, err := Dial(context.Background(), address, 0); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%q: %v, %v; want ErrUnreachable", address, c, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Dial(ctx, "127.0.0.1:1", 0); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if _, err := Dial(context.Background(), "127.0.0.1:1", time.Nanosecond); !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v, want a time-out", err)
	}
}
