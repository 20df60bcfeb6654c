package uwsgi_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"

	"millrace/gateway"
	"millrace/uwsgi"
)

// A server for nginx's
//
//	location / { include uwsgi_params; uwsgi_pass 127.0.0.1:3031; }
func ExampleServer() {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		front := gateway.FrontOf(r.Context())
		fmt.Fprintf(w, "hello over %s", front.Protocol)
	})
	srv := &uwsgi.Server{Handler: mux}
	l, err := net.Listen("tcp", "127.0.0.1:0") // mostly a fixed port, or a Unix socket
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Close()

	client := &http.Client{Transport: gateway.Transport{RoundTripper: &uwsgi.Client{Address: l.Addr().String()}}}
	resp, err := client.Get("http://example.org/hello")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(body))
	// Output: 200 hello over uwsgi
}

// A web server whose requests a uwsgi server answers, as with uwsgi_pass.
func ExampleClient() {
	program, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv := &uwsgi.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Method, r.URL.Path)
	})}
	go srv.Serve(program)
	defer srv.Close()

	web := httptest.NewServer(&gateway.Handler{
		RoundTripper: &uwsgi.Client{Address: program.Addr().String()},
	})
	defer web.Close()
	resp, err := http.Get(web.URL + "/some/path")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(string(body))
	// Output: GET /some/path
}
