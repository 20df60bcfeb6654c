package pool

// What a request that came over a gateway protocol still needs for its
// environ, beside what gateway.AppendHTTP takes from it.

import (
	"net"
	"net/http"
	"strings"

	"millrace/gateway"
)

// appendFront tells the app its FastCGI role, and adds what PEP 3333 demands
// of every environ and the front server left out or empty.
func appendFront(params []gateway.Param, r *http.Request, front *gateway.Front) []gateway.Param {
	if front.Protocol == "fastcgi" {
		params = append(params, gateway.Param{Name: "FCGI_ROLE", Value: front.Role.String()})
	}
	var name, port, protocol, query bool
	for i := range params {
		some := params[i].Value != ""
		switch params[i].Name {
		case "SERVER_NAME":
			name = some
		case "SERVER_PORT":
			port = some
		case "SERVER_PROTOCOL":
			protocol = some
		case "QUERY_STRING":
			query = true
		}
	}
	if !name || !port {
		serverName, serverPort := server(r)
		if !name {
			params = append(params, gateway.Param{Name: "SERVER_NAME", Value: serverName})
		}
		if !port {
			params = append(params, gateway.Param{Name: "SERVER_PORT", Value: serverPort})
		}
	}
	if !protocol {
		params = append(params, gateway.Param{Name: "SERVER_PROTOCOL", Value: r.Proto})
	}
	if !query {
		params = append(params, gateway.Param{Name: "QUERY_STRING", Value: r.URL.RawQuery})
	}
	return params
}

// server is the name and port that a client asked for, never empty.
func server(r *http.Request) (name, port string) {
	name, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		name, port = strings.Trim(r.Host, "[]"), ""
	}
	if name == "" {
		name = "localhost"
	}
	if port == "" {
		port = "80"
		if r.TLS != nil {
			port = "443"
		}
	}
	return name, port
}
