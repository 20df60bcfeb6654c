// Package ajp speaks AJP13, the Apache JServ Protocol 1.3, from both sides: a
// Server that puts any http.Handler behind Apache's mod_proxy_ajp, mod_jk or
// lighttpd's mod_ajp13, and a Client that sends requests to Tomcat, Jetty or
// any other AJP back end.
//
// # The protocol
//
// A front server opens a connection and keeps it; one request after the other
// travels on it, never two at once. A packet towards the back end begins with
// 0x1234, one towards the front server with "AB"; then come 16 bits of length
// and the payload. Common methods and header names are one or two bytes.
//
//	front server                          back end
//	FORWARD_REQUEST                  →
//	first part of the body, unasked  →         if it has a Content-Length
//	                                 ←    GET_BODY_CHUNK: at most n bytes more
//	next part, or an empty packet    →
//	                                 ←    SEND_HEADERS
//	                                 ←    SEND_BODY_CHUNK, many
//	                                 ←    END_RESPONSE: keep the connection, or not
//	CPING                            →         while no request runs
//	                                 ←    CPONG
//
// Request and response heads are one packet each: what does not fit PacketSize
// cannot be said. It is 8192 bytes unless both sides are told otherwise
// (Apache: ProxyIOBufferSize; Tomcat: packetSize).
//
// # Towards a front server
//
//	s := &ajp.Server{Handler: mux, Secret: "…"}
//	err := s.Serve(listener)
//
// Whoever can connect to an AJP server is believed: it says who the user is
// and what certificate the client has shown. So Serve takes only a listener
// on the loopback interface or a Unix socket, unless Secret is set; then a
// request without it is refused. Request attributes that are not known are
// refused too (CVE-2020-1938, "Ghostcat").
//
// The path arrives as the client has spelt it, from Apache and mod_jk, and
// becomes REQUEST_URI, from which package gateway derives PATH_INFO. lighttpd
// sends it decoded, and leaves the inner length out of body packets: see
// Server.Lighttpd. It also cuts the path after the first segment behind the
// prefix that it has matched (1.4.69); the empty key matches every path, and
// is none:
//
//	ajp13.server = ("" => (("host" => "127.0.0.1", "port" => 8009)))
//
// # Towards a back end
//
//	c := &ajp.Client{Address: "127.0.0.1:8009", Secret: "…"}
//	resp, err := c.RoundTrip(ctx, req)
//
// A Client keeps connections, asks CPING of one that has idled, and sends a
// request again when a kept connection turns out dead and the request can be
// repeated. There is no message to abort a request: giving one up closes its
// connection.
//
// # What it does not do
//
// The login of AJP14, SHUTDOWN and PING are refused. A body can be sent only
// with a length; one without (which Apache sends for a chunked request) can be
// received. Trailers and interim responses do not exist in the protocol.
package ajp
