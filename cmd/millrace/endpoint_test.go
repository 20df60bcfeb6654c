package main

import (
	"errors"
	"strings"
	"testing"
)

func TestParseEndpoint(t *testing.T) {
	tests := []struct {
		url      string
		protocol protocol
		address  string
		host     string
		uri      string
		path     string
	}{
		{"fcgi://127.0.0.1:9001/a/b?x=1", protoFastCGI, "127.0.0.1:9001", "127.0.0.1", "/a/b?x=1", "/a/b"},
		{"fastcgi://app", protoFastCGI, "app:9000", "app", "/", "/"},
		{"FCGI://app/", protoFastCGI, "app:9000", "app", "/", "/"},
		{"fcgi://app?x=1", protoFastCGI, "app:9000", "app", "/?x=1", "/"},
		{"scgi://app/", protoSCGI, "app:4000", "app", "/", "/"},
		{"uwsgi://app/", protoUWSGI, "app:3031", "app", "/", "/"},
		{"ajp://app/", protoAJP, "app:8009", "app", "/", "/"},
		{"http://example.org/", protoHTTP, "example.org:80", "example.org", "/", "/"},
		{"http://example.org:8000/", protoHTTP, "example.org:8000", "example.org:8000", "/", "/"},
		{"https://example.org/", protoHTTP, "example.org:443", "example.org", "/", "/"},
		{"fcgi://[::1]/x", protoFastCGI, "[::1]:9000", "[::1]", "/x", "/x"},
		{"fcgi://[::1]:9001/x", protoFastCGI, "[::1]:9001", "[::1]", "/x", "/x"},
		{"http://[::1]:8000/", protoHTTP, "[::1]:8000", "[::1]:8000", "/", "/"},

		// A Unix socket: the first // ends it, its second slash begins the URI.
		{"fcgi+unix:/run/app.sock//uri", protoFastCGI, "unix:/run/app.sock", "localhost", "/uri", "/uri"},
		{"fcgi+unix:/run/app.sock//", protoFastCGI, "unix:/run/app.sock", "localhost", "/", "/"},
		{"fcgi+unix:/run/app.sock", protoFastCGI, "unix:/run/app.sock", "localhost", "/", "/"},
		{"fcgi+unix:/run/app.sock//a//b?x=//", protoFastCGI, "unix:/run/app.sock", "localhost", "/a//b?x=//", "/a//b"},
		{"fcgi+unix:/run/app.sock//?x=1", protoFastCGI, "unix:/run/app.sock", "localhost", "/?x=1", "/"},
		{"fcgi+unix:///run/app.sock//uri", protoFastCGI, "unix:/run/app.sock", "localhost", "/uri", "/uri"},
		{"fastcgi+unix:app.sock//uri", protoFastCGI, "unix:app.sock", "localhost", "/uri", "/uri"},
		{"scgi+unix:/s//u", protoSCGI, "unix:/s", "localhost", "/u", "/u"},
		{"uwsgi+unix:/s//u", protoUWSGI, "unix:/s", "localhost", "/u", "/u"},
		{"ajp+unix:/s//u", protoAJP, "unix:/s", "localhost", "/u", "/u"},
		{"http+unix:/s//u", protoHTTP, "unix:/s", "localhost", "/u", "/u"},
		{"fcgi+unix:/50%off.sock//u", protoFastCGI, "unix:/50%off.sock", "localhost", "/u", "/u"}, // a path is no URI

		// What is sent keeps its spelling; what no server could read is spelt as it must be.
		{"fcgi://app/a%2Fb/%C3%A9", protoFastCGI, "app:9000", "app", "/a%2Fb/%C3%A9", "/a/b/é"},
		{"fcgi://app/é?q=é", protoFastCGI, "app:9000", "app", "/%C3%A9?q=é", "/é"},
		{"fcgi://app/a//b", protoFastCGI, "app:9000", "app", "/a//b", "/a//b"},
		{"fcgi://app/../x", protoFastCGI, "app:9000", "app", "/../x", "/../x"},
		{"fcgi://app/a?", protoFastCGI, "app:9000", "app", "/a?", "/a"},
	}
	for _, test := range tests {
		e, err := parseEndpoint(test.url)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		if e.protocol != test.protocol || e.address != test.address || e.host != test.host || e.url.RequestURI() != test.uri || e.url.Path != test.path {
			t.Errorf("%s: %v, %q, %q, %q, %q", test.url, e.protocol, e.address, e.host, e.url.RequestURI(), e.url.Path)
		}
		if e.tls != strings.HasPrefix(test.url, "https:") {
			t.Errorf("%s: TLS is %v", test.url, e.tls)
		}
	}
}

func TestParseEndpointErrors(t *testing.T) {
	tests := []struct{ url, problem, hint string }{
		{"", "does not begin with a protocol", "fcgi://"},
		{"127.0.0.1:9000/x", "does not begin with a protocol", "fcgi://127.0.0.1:9000/x"},
		{"localhost:9000", "does not begin with a protocol", "fcgi://localhost:9000"},
		{"/run/app.sock", "does not begin with a protocol", "fcgi+unix:/run/app.sock//"},
		{"unix:/run/app.sock", "which protocol", "fcgi+unix:/run/app.sock"},
		{"ftp://app/", `unknown protocol "ftp"`, "fcgi, scgi"},
		{"wsgi+unix:/s//", `unknown protocol "wsgi+unix"`, "fcgi, scgi"},
		{"https+unix:/s//", "TLS", "http+unix:/s//"},
		{"fcgi:/run/app.sock", "// is missing", "fcgi+unix:"},
		{"fcgi+unix:", "socket's path is missing", "fcgi+unix:/run/app.sock//uri"},
		{"fcgi+unix://uri", "socket's path is missing", "fcgi+unix:/run/app.sock//uri"},
		{"fcgi+unix:/run/app.sock?x=1", "no URI", "/run/app.sock//?x=1"},
		{"fcgi+unix:/run/app.sock/", "does not end in a slash", "/run/app.sock//"},
		{"fcgi://", "the host is missing", "fcgi://127.0.0.1:9000/"},
		{"fcgi://:9001/x", "the host is missing", "127.0.0.1"},
		{"fcgi:///x", "the host is missing", "fcgi://127.0.0.1:9000/x"},
		{"fcgi://app:http/", `"http" is no port`, "1 to 65535"},
		{"fcgi://app:0/", `"0" is no port`, "1 to 65535"},
		{"fcgi://app:65536/", `"65536" is no port`, "1 to 65535"},
		{"fcgi://app:/", `"" is no port`, "1 to 65535"},
		{"fcgi://::1/", "is no host", "[::1]"},
		{"fcgi://[1.2.3.4]/", "no IPv6 address", "[::1]"},
		{"fcgi://[::1/", "no IPv6 address", "[::1]"},
		{"http://jo:secret@app/", "a user's name", "Authorization"},
		{"fcgi://app/a b", `' ' is in it`, "%20"},
		{"fcgi://app/a\nb", `'\n' is in it`, "%0A"},
		{"fcgi://app/%zz", `bad percent sign in the path "/%zz"`, "%25"},
		{"fcgi://app/100%", "bad percent sign", "%25"},
		{"fcgi://app/x#top", `"#top" is never sent`, "fcgi://app/x"},
	}
	for _, test := range tests {
		e, err := parseEndpoint(test.url)
		var bad *urlError
		if !errors.As(err, &bad) {
			t.Errorf("%q: %+v, %v", test.url, e, err)
			continue
		}
		if !strings.Contains(bad.problem, test.problem) || !strings.Contains(bad.hint, test.hint) || bad.url != test.url {
			t.Errorf("%q: %q, %q; want %q, %q", test.url, bad.problem, bad.hint, test.problem, test.hint)
		}
		if statusOf(err) != exitUsage {
			t.Errorf("%q: exit status %d", test.url, statusOf(err))
		}
	}
}
