package server

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
)

const secureBehind = `
[[site]]
listen = ["127.0.0.1:0"]
hosts = ["one.test"]
tls = { certificate = "{dir}/one.pem", key = "{dir}/one.key", http3 = false }
[[site.route]]
path = "/rpc"
upstream = "rpc"
[[site.route]]
path = "/clear"
upstream = "clear"
[[site.route]]
upstream = "api"

[upstream.api]
protocol = "https"
servers = "ADDRESS"
tls = { ca = "{dir}/ca.pem", name = "api.test", certificate = "{dir}/front.pem", key = "{dir}/front.key" }

[upstream.rpc]
protocol = "h2"
servers = "ADDRESS"
tls = { ca = "{dir}/ca.pem", name = "api.test", certificate = "{dir}/front.pem", key = "{dir}/front.key" }

[upstream.clear]
protocol = "h2c"
servers = "CLEAR"
`

// TestSecureBackEnds: from a client of HTTP/2 over TLS to back ends that are
// talked to over TLS, with certificates on both sides, and back: trailers too.
func TestSecureBackEnds(t *testing.T) {
	dir, a := t.TempDir(), newAuthority(t)
	for name, host := range map[string]string{"one": "one.test", "api": "api.test", "front": "front.test"} {
		a.issue(t, dir, name, false, host)
	}
	replace(t, dir+"/ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
	pair, err := tls.LoadX509KeyPair(dir+"/api.pem", dir+"/api.key")
	if err != nil {
		t.Fatal(err)
	}
	var all http.Protocols
	all.SetHTTP1(true)
	all.SetHTTP2(true)
	all.SetUnencryptedHTTP2(true)
	s := &http.Server{
		ErrorLog: log.New(io.Discard, "", 0), Protocols: &all,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "Grpc-Status")
			who := "nobody"
			if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
				who = r.TLS.PeerCertificates[0].Subject.CommonName
			}
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s for %s: %s %s %d", r.Proto, who, r.Host, r.Header.Get("X-Forwarded-Proto"), len(b))
			w.Header().Set("Grpc-Status", "0")
		}),
	}
	listen := func(serve func(net.Listener) error) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = serve(l) }() // says that it was closed
		return l.Addr().String()
	}
	defer s.Close()
	text := strings.ReplaceAll(secureBehind, "ADDRESS", listen(func(l net.Listener) error { return s.ServeTLS(l, "", "") }))
	text = strings.ReplaceAll(text, "CLEAR", listen(s.Serve))
	front := launch(t, parse(t, dir, text), newFakeApps())
	c := a.client(front.hostPort("127.0.0.1:0"), true)
	defer c.CloseIdleConnections()
	for path, want := range map[string]string{
		"/api": "HTTP/1.1 for front.test: one.test https 5", "/rpc": "HTTP/2.0 for front.test: one.test https 5", "/clear": "HTTP/2.0 for nobody: one.test https 5",
	} {
		res, err := c.Post("https://one.test"+path, "application/grpc", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if string(b) != want || err != nil || res.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("%s: %q, %v, trailers %v; want %q", path, b, err, res.Trailer, want)
		}
	}
}
