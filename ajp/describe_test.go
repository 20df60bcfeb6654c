package ajp

import (
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	f := &forward{method: "LOCK", protocol: "HTTP/1.1", uri: "/a", remoteAddr: "192.0.2.1", serverName: "example.org", serverPort: 443, ssl: true,
		headers: []field{{"Host", "example.org"}, {"X-Own", "1"}},
		attributes: []attribute{
			{code: attrQueryString, value: "x=1"}, {code: attrSSLKeySize, size: 256},
			{code: attrRequest, name: "AJP_REMOTE_PORT", value: "1234"}, {code: attrSecret, value: "s3cret"},
		}}
	request, ok := f.append(nil, DefaultPacketSize)
	if !ok {
		t.Fatal("it does not fit")
	}
	head := []byte("AB\x00\x20" + "\x04" + "\x01\x94" + // SEND_HEADERS, 404
		"\x00\x09Not Found\x00" + "\x00\x01" + // its reason, one header
		"\xa0\x01" + "\x00\x0atext/plain\x00") // Content-Type
	tests := []struct {
		name      string
		packet    []byte
		toBackEnd bool
		inRequest bool
		want      string // type, note, fields, data
		ends      bool
	}{
		{"request", request, true, false, "FORWARD_REQUEST|LOCK /a HTTP/1.1|remote_addr=192.0.2.1 remote_host= server_name=example.org server_port=443 is_ssl=true " +
			"header Host=example.org header X-Own=1 query_string=x=1 ssl_key_size=256 attribute AJP_REMOTE_PORT=1234 secret=(6 bytes)|", false},
		{"body", appendChunk(nil, []byte("hello")), true, true, "BODY|||hello", false},
		{"end of the body", appendChunk(nil, nil), true, true, "BODY|the end||", false},
		{"CPing", appendCPing(nil), true, false, "CPING|||", false},
		{"CPong", appendCPong(nil), false, false, "CPONG|||", false},
		{"head", head, false, false, "SEND_HEADERS|404 Not Found|Content-Type=text/plain|", false},
		{"part", []byte{'A', 'B', 0, 6, typeSendBodyChunk, 0, 2, 'h', 'i', 0}, false, false, "SEND_BODY_CHUNK|||hi", false},
		{"more", appendGetBody(nil, 8186), false, false, "GET_BODY_CHUNK|at most 8186 bytes more||", false},
		{"end", appendEnd(nil, true), false, false, "END_RESPONSE|the connection stays||", true},
		{"last", appendEnd(nil, false), false, false, "END_RESPONSE|the connection ends||", true},
	}
	for _, test := range tests {
		n, err := SplitPacket(test.packet[:HeaderSize], test.toBackEnd)
		if err != nil || n != len(test.packet)-HeaderSize {
			t.Errorf("%s: %d bytes of payload, %v", test.name, n, err)
			continue
		}
		var d *Description
		ends := false
		if test.toBackEnd {
			d, err = DescribeRequest(test.packet[HeaderSize:], test.inRequest)
		} else {
			d, ends, err = DescribeResponse(test.packet[HeaderSize:])
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var fields []string
		for _, p := range d.Fields {
			fields = append(fields, p.Name+"="+p.Value)
		}
		got := strings.Join([]string{d.Type, d.Note, strings.Join(fields, " "), string(d.Data)}, "|")
		if got != test.want || ends != test.ends {
			t.Errorf("%s: %s, ends %v; want %s, %v", test.name, got, ends, test.want, test.ends)
		}
	}
}

func TestDescribeErrors(t *testing.T) {
	if _, err := SplitPacket([]byte("HTTP"), false); err == nil {
		t.Error("a packet that begins with HTTP")
	}
	for _, payload := range []string{"", "\x02", "\x63", "\x02\x02"} {
		if d, err := DescribeRequest([]byte(payload), false); err == nil {
			t.Errorf("%q towards the back end is %+v", payload, d)
		}
	}
	if d, err := DescribeRequest([]byte("\x00\x05hi"), true); err == nil {
		t.Errorf("a body packet that is cut is %+v", d)
	}
	for _, payload := range []string{"", "\x03", "\x03\x00\x05hi", "\x04\x00", "\x05\x02", "\x06", "\x63"} {
		if d, _, err := DescribeResponse([]byte(payload)); err == nil {
			t.Errorf("%q from the back end is %+v", payload, d)
		}
	}
}

// FuzzDescribe describes anything: what a reader of the protocol takes, it
// describes too.
func FuzzDescribe(f *testing.F) {
	f.Add([]byte("\x05\x01"), false)
	f.Add(appendEnd(nil, true)[HeaderSize:], false)
	f.Add([]byte("\x00\x02hi"), true)
	f.Fuzz(func(t *testing.T, payload []byte, toBackEnd bool) {
		if toBackEnd {
			_, err := DescribeRequest(payload, false)
			if _, parseErr := parseForward(payload); parseErr == nil && err != nil {
				t.Errorf("%q: %v", payload, err)
			}
			d, err := DescribeRequest(payload, true)
			if data, parseErr := parseChunk(payload); (parseErr == nil) != (err == nil) || err == nil && string(d.Data) != string(data) {
				t.Errorf("%q: %v, %v", payload, err, parseErr)
			}
			return
		}
		_, _, err := DescribeResponse(payload)
		if len(payload) > 0 && payload[0] == typeSendHeaders {
			if _, parseErr := parseHead(payload); parseErr == nil && err != nil {
				t.Errorf("%q: %v", payload, err)
			}
		}
	})
}
