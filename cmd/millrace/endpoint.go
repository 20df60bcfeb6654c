package main

// This file is where a request goes: the URL of request and bench, read.

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"millrace/gateway"
)

// endpoint is a back end, or a web server, and what is asked of it.
type endpoint struct {
	given    string // the URL as it was given
	protocol protocol
	tls      bool
	address  string   // "host:port" or "unix:/path"
	host     string   // the Host header, unless another is given
	url      *url.URL // path and query alone
}

// protocol is how the other side is spoken to.
type protocol uint8

const (
	protoFastCGI protocol = iota + 1
	protoSCGI
	protoUWSGI
	protoAJP
	protoHTTP
)

func (p protocol) String() string {
	return [...]string{"", "FastCGI", "SCGI", "uwsgi", "AJP", "HTTP"}[p]
}

// schemes are the protocols by the URL's beginning, and the ports that their
// fields use when none is named.
var schemes = map[string]struct {
	protocol protocol
	port     string
	tls      bool
}{
	"fcgi":    {protoFastCGI, "9000", false},
	"fastcgi": {protoFastCGI, "9000", false},
	"scgi":    {protoSCGI, "4000", false},
	"uwsgi":   {protoUWSGI, "3031", false},
	"ajp":     {protoAJP, "8009", false},
	"http":    {protoHTTP, "80", false},
	"https":   {protoHTTP, "443", true},
}

// urlForms is the part of a command's help that says which URLs there are.
const urlForms = `URL is one of

  fcgi://HOST[:PORT][/URI]       FastCGI (port 9000); fastcgi:// is the same
  scgi://HOST[:PORT][/URI]       SCGI (port 4000)
  uwsgi://HOST[:PORT][/URI]      uwsgi (port 3031)
  ajp://HOST[:PORT][/URI]        AJP (port 8009)
  http://HOST[:PORT][/URI]       HTTP (port 80), https:// with TLS (port 443)
  fcgi+unix:SOCKET[//URI]        a Unix socket; also scgi+unix:, uwsgi+unix:,
                                 ajp+unix: and http+unix:

The first // behind SOCKET ends it, and its second slash begins the URI:
fcgi+unix:/run/app.sock//blog/?page=2 asks for /blog/?page=2 of /run/app.sock.
Without // all of it is the socket, and the URI is /.`

// urlError is a URL that cannot be used.
type urlError struct{ url, problem, hint string }

func (e *urlError) Error() string { return fmt.Sprintf("cannot use the URL %q: %s", e.url, e.problem) }
func (e *urlError) Hint() string  { return e.hint }
func (e *urlError) usage()        {}

// parseEndpoint reads a URL.
func parseEndpoint(given string) (*endpoint, error) {
	e := &endpoint{given: given}
	if bad := e.parse(); bad != nil {
		bad.url = given
		return nil, bad
	}
	return e, nil
}

func (e *endpoint) parse() *urlError {
	const want = "fcgi, scgi, uwsgi, ajp, http or https"
	if i := strings.IndexFunc(e.given, func(r rune) bool { return r <= ' ' || r == 0x7f }); i >= 0 {
		return &urlError{problem: fmt.Sprintf("%q is in it", e.given[i]), hint: fmt.Sprintf("write it as %%%02X", e.given[i])}
	}
	if before, fragment, ok := strings.Cut(e.given, "#"); ok {
		return &urlError{problem: fmt.Sprintf("the fragment %q is never sent", "#"+fragment), hint: "ask for " + before + ", or write %23"}
	}
	name, rest, colon := strings.Cut(e.given, ":")
	base, unix := strings.CutSuffix(strings.ToLower(name), "+unix")
	scheme, known := schemes[base]
	e.protocol, e.tls = scheme.protocol, scheme.tls
	switch {
	case base == "unix":
		return &urlError{problem: "it does not say which protocol the socket speaks", hint: "for FastCGI: fcgi+unix:" + rest}
	case strings.HasPrefix(e.given, "/"):
		return &urlError{problem: "it does not begin with a protocol", hint: "for FastCGI on this socket: fcgi+unix:" + e.given + "//"}
	case !known && (!colon || !unix && !strings.HasPrefix(rest, "//")):
		return &urlError{problem: "it does not begin with a protocol", hint: "for FastCGI: fcgi://" + e.given + "; others are scgi, uwsgi, ajp, http and https"}
	case !known:
		return &urlError{problem: fmt.Sprintf("unknown protocol %q", name), hint: "want " + want}
	case unix && scheme.tls:
		return &urlError{problem: "TLS is not spoken over a Unix socket", hint: "use http+unix:" + rest}
	case unix:
		return e.parseUnix(rest)
	}
	return e.parseTCP(name, rest, scheme.port)
}

// parseUnix reads SOCKET[//URI]. An empty authority before an absolute path
// (fcgi+unix:///run/app.sock) is what people write who know file:///.
func (e *endpoint) parseUnix(rest string) *urlError {
	if strings.HasPrefix(rest, "///") {
		rest = rest[2:]
	}
	socket, uri, ok := strings.Cut(rest, "//")
	switch {
	case strings.HasPrefix(rest, "//"), socket == "":
		return &urlError{problem: "the socket's path is missing", hint: "as fcgi+unix:/run/app.sock//uri"}
	case !ok && strings.HasSuffix(socket, "/"):
		return &urlError{problem: "a socket's path does not end in a slash", hint: "two slashes end it, and the second begins the URI: " + rest + "/"}
	case !ok && strings.Contains(socket, "?"):
		path, query, _ := strings.Cut(socket, "?")
		return &urlError{problem: "it has a query and no URI", hint: fmt.Sprintf("the URI begins at //: %s//?%s", path, query)}
	}
	e.address, e.host = "unix:"+socket, "localhost"
	return e.parseURI("/" + uri)
}

// parseTCP reads //HOST[:PORT][/URI].
func (e *endpoint) parseTCP(scheme, rest, port string) *urlError {
	rest, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return &urlError{problem: "// is missing behind " + scheme + ":", hint: "as " + scheme + "://127.0.0.1:" + port + "/; for a Unix socket " + scheme + "+unix:/run/app.sock//"}
	}
	authority, uri := rest, "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, uri = rest[:i], rest[i:]
	}
	if uri[0] == '?' {
		uri = "/" + uri
	}
	if strings.Contains(authority, "@") {
		return &urlError{problem: "a user's name is not sent", hint: "give the header: -H 'Authorization: Basic …'"}
	}
	if authority == "" {
		return &urlError{problem: "the host is missing", hint: "as " + scheme + "://127.0.0.1:" + port + uri}
	}
	host := authority
	bracket := strings.HasPrefix(authority, "[")
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		host, port = authority[:i], authority[i+1:]
	}
	if bracket {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return &urlError{problem: fmt.Sprintf("%q is no port", port), hint: "want a number from 1 to 65535"}
	}
	switch {
	case host == "":
		return &urlError{problem: "the host is missing", hint: "for this machine 127.0.0.1"}
	case bracket && !isIPv6(host):
		return &urlError{problem: fmt.Sprintf("[%s] is no IPv6 address", host), hint: "as [::1]"}
	case !bracket && strings.ContainsAny(host, ":[]%"):
		return &urlError{problem: fmt.Sprintf("%q is no host", host), hint: "an IPv6 address goes in brackets, as [::1]"}
	}
	e.address, e.host = net.JoinHostPort(host, port), authority
	if e.protocol != protoHTTP { // the app's port is none that a client sees
		if e.host = host; bracket {
			e.host = "[" + host + "]"
		}
	}
	return e.parseURI(uri)
}

func isIPv6(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Is6()
}

// parseURI reads path and query.
func (e *endpoint) parseURI(uri string) *urlError {
	path, query, hasQuery := strings.Cut(uri, "?")
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return &urlError{problem: fmt.Sprintf("bad percent sign in the path %q", path), hint: "behind % come two digits (0-9, A-F); the sign itself is %25"}
	}
	e.url = &url.URL{Path: decoded, RawPath: path, RawQuery: query, ForceQuery: hasQuery && query == ""}
	return nil
}

// dial opens a connection to the endpoint, TLS included; an error wraps
// gateway.ErrUnreachable. insecure takes any certificate.
func (e *endpoint) dial(ctx context.Context, timeout time.Duration, insecure bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := gateway.Dial(ctx, e.address, timeout)
	if err != nil || !e.tls {
		return c, err
	}
	name, _, err := net.SplitHostPort(e.address)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	t := tls.Client(c, &tls.Config{ServerName: name, InsecureSkipVerify: insecure, NextProtos: []string{"http/1.1"}})
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("%w: TLS with %s: %w", gateway.ErrUnreachable, e.address, err)
	}
	return t, nil
}
