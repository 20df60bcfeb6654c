package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	"millrace/gateway"
)

// backEnd answers as a protocol's client would have its back end answer.
type backEnd struct{}

func (backEnd) RoundTrip(_ context.Context, req *gateway.Request) (*gateway.Response, error) {
	wire := "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n"
	head, _, err := gateway.ParseHead([]byte(wire))
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%s %q %q by %s\n", req.Param("REQUEST_METHOD"), req.Param("SCRIPT_NAME"), req.Param("PATH_INFO"), req.Param("HTTP_USER_AGENT"))
	return &gateway.Response{Head: *head, Body: io.NopCloser(strings.NewReader(text))}, nil
}

// A server passes the requests under /app on to a back end; the RoundTripper
// would be a client of package fcgi, scgi, uwsgi, ajp or cgi.
func ExampleHandler() {
	mux := http.NewServeMux()
	mux.Handle("/app/", &gateway.Handler{RoundTripper: backEnd{}, Mount: "/app"})
	server := httptest.NewServer(mux)
	defer server.Close()

	req, err := http.NewRequest("GET", server.URL+"/app/caf%C3%A9", nil)
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("User-Agent", "example")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Print(string(body))
	if err != nil {
		log.Fatal(err)
	}
	// Output: GET "/app" "/café" by example
}

// An http.Client talks to a back end without any server in between.
func ExampleTransport() {
	client := &http.Client{Transport: gateway.Transport{RoundTripper: backEnd{}}}
	req, err := http.NewRequest("GET", "http://anything/path?query", nil)
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("User-Agent", "example")
	resp, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Print(resp.Status, "\n", string(body))
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// 200 OK
	// GET "" "/path" by example
}

// The server of a protocol: it decodes the parameters, here lines of
// NAME=value, and has a handler answer.
func ExampleToHTTP() {
	serve := func(c *gateway.Conn, lines string, h http.Handler) {
		var params []gateway.Param
		for line := range strings.Lines(lines) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			params = append(params, gateway.Param{Name: name, Value: value})
		}
		r, err := gateway.ToHTTP(c.Context(), gateway.Incoming{Protocol: "lines", Params: params, Conn: c})
		if err != nil {
			log.Fatal(err)
		}
		var stream gateway.PlainStream
		stream.Reset(c, gateway.FormCGI)
		var w gateway.ResponseWriter
		w.Reset(&stream, r.Method)
		if w.Run(h, r, slog.Default()) {
			_ = stream.Flush()
		}
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s asks for %s of %s\n", r.RemoteAddr, r.URL, gateway.FrontOf(r.Context()).Protocol)
	})

	near, far := net.Pipe()
	var conns gateway.Conns
	conns.ServeConn(far, func(c *gateway.Conn) {
		serve(c, "REQUEST_METHOD=GET\nREQUEST_URI=/a?b\nREMOTE_ADDR=192.0.2.1\nREMOTE_PORT=99\n", hello)
	})
	answer, err := io.ReadAll(near)
	fmt.Print(strings.ReplaceAll(string(answer), "\r", ""))
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// Status: 200 OK
	//
	// 192.0.2.1:99 asks for /a?b of lines
}
