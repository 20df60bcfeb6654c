package ajp_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"millrace/ajp"
	"millrace/gateway"
)

// A handler behind Apache, which says
//
//	ProxyPass "/" "ajp://127.0.0.1:8009/" secret=mill
//
// and, standing in for Apache here, a client.
func ExampleServer() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := &ajp.Server{
		Secret: "mill",
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, _ := gateway.Lookup(gateway.FrontOf(r.Context()).Params, "REMOTE_USER")
			fmt.Fprintf(w, "%s asks for %s", user, r.URL.Path)
		}),
	}
	go s.Serve(l)
	defer s.Shutdown(context.Background())

	c := &ajp.Client{Address: l.Addr().String(), Secret: "mill"}
	defer c.Close()
	resp, err := c.RoundTrip(context.Background(), &gateway.Request{Params: []gateway.Param{
		{Name: "REQUEST_METHOD", Value: "GET"},
		{Name: "REQUEST_URI", Value: "/flour"},
		{Name: "REMOTE_USER", Value: "miller"},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(resp.Status, string(body), err)
	// Output: 200 miller asks for /flour <nil>
}

// An AJP server that others could reach has to have a secret.
func ExampleServer_Serve_withoutSecret() {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		log.Fatal(err)
	}
	err = new(ajp.Server).Serve(l)
	fmt.Println(err != nil)
	// Output: true
}

// A Tomcat behind an HTTP server.
func ExampleClient() {
	tomcat := &ajp.Client{Address: "127.0.0.1:8009", Secret: "mill"}
	defer tomcat.Close()
	http.Handle("/", &gateway.Handler{RoundTripper: tomcat})
	// err := http.ListenAndServe(":8080", nil)
}

// An http.Client that speaks AJP.
func ExampleClient_transport() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := &ajp.Server{Handler: http.NotFoundHandler()}
	go s.Serve(l)
	defer s.Shutdown(context.Background())

	back := &ajp.Client{Address: l.Addr().String()}
	defer back.Close()
	c := &http.Client{Transport: gateway.Transport{RoundTripper: back}}
	resp, err := c.Get("http://example.org/nowhere")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 404 Not Found
}
