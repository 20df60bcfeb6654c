package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"millrace/fcgi"
)

// TestVerbose has what -v shows of the same request over each protocol. In the
// wanted lines a final … is any rest; they come in this order, with others
// between them.
func TestVerbose(t *testing.T) {
	tests := []struct {
		scheme string
		args   []string
		want   string
	}{
		{"fcgi", []string{"/x?a=1", "-d", "hello"}, `* connected to unix:…
> BEGIN_REQUEST id 1, 8 bytes: RESPONDER
> PARAMS id 1, …
> PARAMS id 1, 0 bytes: the end of 19 pairs
>     REQUEST_METHOD=POST
>     QUERY_STRING=a=1
> STDIN id 1, 5 bytes: "hello"
> STDIN id 1, 0 bytes: the end
< STDOUT id 1, …
< END_REQUEST id 1, 8 bytes: REQUEST_COMPLETE
* head after …`},
		{"fcgi", []string{"/complain"}, `< STDERR id 1, 22 bytes: "something is\x1b[1m wrong"
< STDOUT id 1, …`},
		{"fcgi", []string{"/private", "--role", "authorizer"}, `> BEGIN_REQUEST id 1, 8 bytes: AUTHORIZER
< STDOUT id 1, …`},
		{"scgi", []string{"/x?a=1", "-d", "hello"}, `* connected to unix:…
> netstring, …
>     CONTENT_LENGTH=5
>     SCGI=1
>     REQUEST_METHOD=POST
> body, 5 bytes: "hello"
< Status: 200 OK
< Content-Type: text/plain
< body, …
* head after …`},
		{"uwsgi", []string{"/x?a=1", "-d", "hello"}, `> packet, …
>     REQUEST_METHOD=POST
> body, 5 bytes: "hello"
< HTTP/1.1 200 OK
< body, …`},
		{"ajp", []string{"/x?a=1", "-d", "hello", "--secret", backendSecret, "-P", "MORE=yes"}, `> FORWARD_REQUEST, …
>     server_name=localhost
>     header Content-Length=5
>     query_string=a=1
>     attribute MORE=yes
>     secret=(11 bytes)
> BODY, 7 bytes: "hello"
< SEND_HEADERS, …
<     Content-Type=text/plain
< SEND_BODY_CHUNK, …
< END_RESPONSE, 2 bytes: the connection …`},
		{"http", []string{"/x?a=1", "-d", "hello"}, `> POST /x?a=1 HTTP/1.1
> Host: localhost
> Content-Length: 5
> body, 5 bytes: "hello"
< HTTP/1.1 200 OK
< body, …
* head after …`},
		{"fcgi", []string{"/cut"}, `< STDOUT id 1, …
* the other side has ended the connection`},
	}
	for _, test := range tests {
		base := startBackend(t, test.scheme, "unix", backendHandler())
		_, _, stderr := millrace(t, append([]string{"request", "-v", at(base, test.args[0])}, test.args[1:]...)...)
		left := stderr
		for line := range strings.Lines(test.want) {
			pattern := `(?m)^` + regexp.QuoteMeta(strings.TrimSuffix(line, "\n")) + `$`
			pattern = strings.Replace(pattern, `…$`, `.*$`, 1)
			at := regexp.MustCompile(pattern).FindStringIndex(left)
			if at == nil {
				t.Errorf("%s %v: no line %q, in its order, in\n%s", test.scheme, test.args, line, stderr)
				break
			}
			left = left[at[1]:]
		}
		if strings.Contains(stderr, backendSecret) || strings.ContainsRune(strings.ReplaceAll(stderr, "is\x1b[1m", ""), '\x1b') {
			t.Errorf("%s %v: the secret, or an escape, is in\n%s", test.scheme, test.args, stderr)
		}
	}
}

// traceOf is what is shown of bytes that come in pieces of n, 0: in one.
func traceOf(p protocol, toBackEnd bool, b []byte, n int) string {
	var out bytes.Buffer
	t := newTrace(p, &out)
	c := t.wrap(nil).(*tracedConn)
	d := c.in
	if toBackEnd {
		d = c.out
	}
	if n == 0 {
		n = max(len(b), 1)
	}
	for len(b) > 0 {
		d.feed(b[:min(n, len(b))])
		b = b[min(n, len(b)):]
	}
	d.end()
	return out.String()
}

func TestTraceOfWhatIsWrong(t *testing.T) {
	record := func(kind fcgi.Type, content string) string {
		return string(fcgi.AppendHeader(nil, fcgi.Header{Type: kind, ID: 1, Length: len(content)})) + content
	}
	tests := []struct {
		protocol  protocol
		toBackEnd bool
		bytes     string
		want      string
	}{
		{protoFastCGI, false, "HTTP/1.1 400 Bad", "< no FastCGI record (fcgi: protocol error: version 72, want 1): \"HTTP/1.1…\"\n"},
		{protoFastCGI, false, "\x01\x06\x00", "< the header of a record, cut short: 3 of 8 bytes: \"\\x01\\x06\\x00\"\n"},
		{protoFastCGI, false, record(fcgi.Stdout, "hello")[:10], "< STDOUT id 1, cut short: 2 of 5 bytes\n"},
		{protoFastCGI, true, record(fcgi.Params, "\x05\x7fNAME") + record(fcgi.Params, ""),
			"> PARAMS id 1, 6 bytes\n> PARAMS id 1, 0 bytes: the end of 0 pairs\n>     and then: fcgi: protocol error: a name-value pair is longer than what there is of it\n"},
		{protoFastCGI, true, record(fcgi.BeginRequest, "\x00\x09"), "> BEGIN_REQUEST id 1, 2 bytes: \"\\x00\\t\"\n"},
		{protoFastCGI, false, record(fcgi.EndRequest, "\x00\x00\x00\x05\x02\x00\x00\x00"), "< END_REQUEST id 1, 8 bytes: OVERLOADED, exit status 5\n"},
		{protoFastCGI, false, record(77, "?"), "< type 77 id 1, 1 byte: \"?\"\n"},
		{protoFastCGI, false, record(fcgi.GetValuesResult, "\x0f\x01FCGI_MPXS_CONNS1"), "< GET_VALUES_RESULT id 1, 18 bytes: 1 pair\n<     FCGI_MPXS_CONNS=1\n"},
		{protoSCGI, true, "GET / HTTP/1.1\r\n", "> no netstring (scgi: no netstring: it begins with \"GET / HTTP/1.1\\r\\n\"): \"GET / HTTP/1.1\\r\\n\"\n"},
		{protoSCGI, true, "24:CONT", "> netstring, cut short after 7 bytes: \"24:CONT\"\n"},
		{protoUWSGI, true, "\x07\x00\x00\x00", "> no packet (uwsgi: modifier1 is 7; only 0, a request, is known): \"\\a\\x00\\x00\\x00\"\n"},
		{protoHTTP, false, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "< HTTP/1.1 100 Continue\n< HTTP/1.1 204 No Content\n"},
		{protoHTTP, false, "HTTP/1.1 200 \x1b[2J\n", "< head, cut short after 18 bytes: \"HTTP/1.1 200 \\x1b[2J\\n\"\n"},
		{protoAJP, false, "AB\x00\x01\x09", "< CPONG, 1 byte\n"},
		{protoAJP, false, "AB\x00\x00", "< no AJP packet (ajp: an empty packet from the back end)\n"},
		{protoAJP, false, "AB\x00\x05\x03", "< a packet, cut short: 1 of 5 bytes\n"},
		{protoAJP, false, "HTTP/1.1", "< no AJP packet (ajp: a packet begins with 0x4854, not 0x4142): \"HTTP…\"\n"},
		{protoAJP, true, "\x12\x34\x00\x01\x0a", "> CPING, 1 byte\n"},
	}
	for _, test := range tests {
		for _, n := range []int{0, 1} {
			if test.protocol == protoSCGI && n == 1 && strings.HasPrefix(test.bytes, "GET") {
				continue // it is refused at the first byte then
			}
			if test.protocol == protoUWSGI && n == 1 {
				continue
			}
			if got := traceOf(test.protocol, test.toBackEnd, []byte(test.bytes), n); got != test.want && !(n == 1 && strings.HasPrefix(got, strings.Split(test.want, `: "`)[0])) {
				t.Errorf("%v, %q in pieces of %d:\n%swant\n%s", test.protocol, test.bytes, n, got, test.want)
			}
		}
	}
}

// FuzzTrace shows anything at all: without a panic, never moving a terminal,
// and alike however the bytes come, where items have sizes.
func FuzzTrace(f *testing.F) {
	f.Add(uint8(protoFastCGI), true, fcgi.AppendHeader(nil, fcgi.Header{Type: fcgi.Params, ID: 1}), uint8(3))
	f.Add(uint8(protoFastCGI), false, append(fcgi.AppendHeader(nil, fcgi.Header{Type: fcgi.Stdout, ID: 1, Length: 2, Padding: 1}), "hi\x00"...), uint8(1))
	f.Add(uint8(protoSCGI), true, []byte("24:CONTENT_LENGTH\x000\x00SCGI\x001\x00,"), uint8(2))
	f.Add(uint8(protoUWSGI), true, []byte("\x00\x06\x00\x00\x01\x00A\x01\x00B"), uint8(1))
	f.Add(uint8(protoAJP), false, []byte("AB\x00\x0c\x04\x00\xc8\x00\x02OK\x00\x00\x00\x00AB\x00\x02\x05\x01"), uint8(5))
	f.Add(uint8(protoAJP), true, []byte("\x12\x34\x00\x01\x0a"), uint8(1))
	f.Add(uint8(protoHTTP), false, []byte("HTTP/1.1 200 OK\r\n\r\nhello"), uint8(4))
	f.Fuzz(func(t *testing.T, p uint8, toBackEnd bool, b []byte, n uint8) {
		kind := protocol(p%5) + protoFastCGI
		whole := traceOf(kind, toBackEnd, b, 0)
		for _, r := range whole {
			if r != '\n' && r != '\t' && (r < ' ' || r == 0x7f) {
				t.Fatalf("%v: %q is in what is shown: %q", kind, r, whole)
			}
		}
		pieces := traceOf(kind, toBackEnd, b, int(n)+1)
		if kind != protoFastCGI && kind != protoAJP || strings.Contains(whole, " no FastCGI record") || strings.Contains(whole, " no AJP packet") {
			return // what is shown of the rest depends on how much of it is there
		}
		if whole != pieces {
			t.Errorf("%v in one:\n%s\nin pieces of %d:\n%s", kind, whole, int(n)+1, pieces)
		}
	})
}

func TestSample(t *testing.T) {
	tests := []struct {
		b    string
		size int
		want string
	}{
		{"", 0, ""},
		{"hello", 5, `: "hello"`},
		{"hello", 9, `: "hello…"`},
		{strings.Repeat("x", shownData), shownData, fmt.Sprintf(": %q", strings.Repeat("x", shownData))},
		{strings.Repeat("x", shownData+1), shownData + 1, `: "` + strings.Repeat("x", shownData) + `…"`},
	}
	for _, test := range tests {
		if got := sample([]byte(test.b), test.size); got != test.want {
			t.Errorf("%q of %d: %s; want %s", test.b, test.size, got, test.want)
		}
	}
}
