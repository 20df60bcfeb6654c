package fcgi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"time"

	"millrace/fcgi"
	"millrace/gateway"
)

// program starts a FastCGI program for the examples.
func program(h http.HandlerFunc) (address string, stop func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := &fcgi.Server{Handler: h}
	go func() { _ = s.Serve(l) }()
	return l.Addr().String(), func() { s.Close() }
}

// An app that any FastCGI front server can stand before, here on a Unix socket.
func ExampleServer() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", dir+"/app.sock") // fastcgi_pass unix:…/app.sock;
	if err != nil {
		log.Fatal(err)
	}
	s := &fcgi.Server{
		HeadTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			front := gateway.FrontOf(r.Context())
			user, _ := gateway.Lookup(front.Params, "REMOTE_USER")
			fmt.Fprintf(front.Stderr, "%s asks for %s\n", user, r.URL.Path) // the front server's error log
			fmt.Fprintf(w, "Hello, %s\n", user)
		}),
	}
	ended := make(chan error)
	go func() { ended <- s.Serve(l) }()

	// Later: let what runs end.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	fmt.Println(s.Shutdown(ctx), <-ended)
	// Output: <nil> http: Server closed
}

// A web server that passes a part of its site on to a FastCGI program.
func ExampleClient() {
	address, stop := program(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.Method, r.URL.Path)
	})
	defer stop()

	client := &fcgi.Client{Address: address, Timeout: 30 * time.Second}
	defer client.Close()
	site := httptest.NewServer(&gateway.Handler{RoundTripper: client, Mount: "/app"})
	defer site.Close()

	resp, err := http.Get(site.URL + "/app/page")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%d %s", resp.StatusCode, body)
	// Output: 200 GET /app/page
}

// What php-fpm wants to know beside what every program does.
func ExampleClient_php() {
	php := &gateway.Handler{
		RoundTripper: &fcgi.Client{Address: "unix:/run/php/php-fpm.sock", MaxConns: 8}, // pm.max_children
		Complete: func(r *http.Request, req *gateway.Request) error {
			req.Params = gateway.Set(req.Params, "SCRIPT_FILENAME", "/srv/www/index.php")
			return nil
		},
	}
	http.Handle("/", php)
}

// One request as FastCGI has it: an authorizer is asked about a client.
func ExampleClient_RoundTrip() {
	address, stop := program(func(w http.ResponseWriter, r *http.Request) {
		if gateway.FrontOf(r.Context()).Role == gateway.Authorizer && r.Header.Get("Authorization") != "" {
			w.Header().Set("Variable-REMOTE_USER", "ada")
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
	defer stop()

	client := &fcgi.Client{Address: address}
	defer client.Close()
	resp, err := client.RoundTrip(context.Background(), &gateway.Request{
		Role: gateway.Authorizer,
		Params: []gateway.Param{
			{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "REQUEST_URI", Value: "/private"}, {Name: "HTTP_AUTHORIZATION", Value: "Basic …"},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status, resp.Variables)
	// Output: 200 [{REMOTE_USER ada}]
}

// A program that a web server starts: as a FastCGI program on descriptor 0, or
// as a CGI program when that is no listening socket.
func ExampleInherited() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello") })
	l, err := fcgi.Inherited()
	if errors.Is(err, fcgi.ErrPlainCGI) {
		log.Fatal(cgi.Serve(handler))
	}
	if err != nil {
		log.Fatal(err)
	}
	allow, err := fcgi.AllowFromEnviron()
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal((&fcgi.Server{Handler: handler, Allow: allow, Script: true}).Serve(l))
}
