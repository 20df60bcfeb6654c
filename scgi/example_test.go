package scgi_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"

	"millrace/gateway"
	"millrace/scgi"
)

// A server for nginx's
//
//	location / { include scgi_params; scgi_pass 127.0.0.1:4000; }
func ExampleServer() {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		front := gateway.FrontOf(r.Context())
		fmt.Fprintf(w, "hello over %s", front.Protocol)
	})
	srv := &scgi.Server{Handler: mux}
	l, err := net.Listen("tcp", "127.0.0.1:0") // mostly a fixed port, or a Unix socket
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Close()

	client := &http.Client{Transport: gateway.Transport{RoundTripper: &scgi.Client{Address: l.Addr().String()}}}
	resp, err := client.Get("http://example.org/hello")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(body))
	// Output: 200 hello over scgi
}

// A web server whose requests an SCGI program answers, as with scgi_pass.
func ExampleClient() {
	program, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv := &scgi.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Method, r.URL.Path)
	})}
	go srv.Serve(program)
	defer srv.Close()

	web := httptest.NewServer(&gateway.Handler{
		RoundTripper: &scgi.Client{Address: program.Addr().String()},
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
