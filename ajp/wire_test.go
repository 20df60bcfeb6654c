package ajp

import (
	"bytes"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// unhex reads bytes from hex digits with spaces, line breaks, and comments from
// "#" to the end of a line.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// forwardTable is one request, field by field.
const forwardTable = `
	12 34                                   # towards the back end
	00 90                                   # bytes of the payload
	02                                      # FORWARD_REQUEST
	04                                      # POST
	00 08 48 54 54 50 2f 31 2e 31 00        # protocol: HTTP/1.1
	00 04 2f 61 25 32 00                    # req_uri: "/a%2"
	00 03 3a 3a 31 00                       # remote_addr: ::1
	ff ff                                   # remote_host: none
	00 01 68 00                             # server_name: h
	01 bb                                   # server_port: 443
	01                                      # is_ssl
	00 03                                   # num_headers
	a0 0b 00 01 68 00                       # Host: h
	a0 08 00 01 33 00                       # Content-Length: 3
	00 03 58 2d 41 00 00 00 00              # X-A: (empty)
	01 00 01 63 00                          # context: c
	02 00 01 73 00                          # servlet_path: s
	03 00 01 75 00                          # remote_user: u
	04 00 01 74 00                          # auth_type: t
	05 00 03 78 3d 31 00                    # query_string: x=1
	06 00 01 72 00                          # route: r
	07 00 01 43 00                          # ssl_cert: C
	08 00 01 48 00                          # ssl_cipher: H
	09 00 01 53 00                          # ssl_session: S
	0a 00 01 6e 00 00 01 76 00              # req_attribute: n = v
	0b 01 00                                # ssl_key_size: 256
	0c 00 03 61 62 63 00                    # secret: abc
	ff                                      # the end
`

func forwardOfTable() *forward {
	return &forward{
		method: "POST", protocol: "HTTP/1.1", uri: "/a%2", remoteAddr: "::1", serverName: "h", serverPort: 443, ssl: true,
		headers: []field{{"Host", "h"}, {"Content-Length", "3"}, {"X-A", ""}},
		attributes: []attribute{
			{code: attrContext, value: "c"}, {code: attrServletPath, value: "s"}, {code: attrRemoteUser, value: "u"},
			{code: attrAuthType, value: "t"}, {code: attrQueryString, value: "x=1"}, {code: attrRoute, value: "r"},
			{code: attrSSLCert, value: "C"}, {code: attrSSLCipher, value: "H"}, {code: attrSSLSession, value: "S"},
			{code: attrRequest, name: "n", value: "v"}, {code: attrSSLKeySize, size: 256}, {code: attrSecret, value: "abc"},
		},
	}
}

func TestForwardRequest(t *testing.T) {
	packet := unhex(t, forwardTable)
	packet[3] = byte(len(packet) - headerSize)
	f, err := parseForward(packet[headerSize:])
	if err != nil {
		t.Fatal(err)
	}
	if want := forwardOfTable(); !reflect.DeepEqual(f, want) {
		t.Errorf("decoded:\n%+v\nwant\n%+v", f, want)
	}
	b, ok := forwardOfTable().append(nil, DefaultPacketSize)
	if !ok || !bytes.Equal(b, packet) {
		t.Errorf("encoded:\n%x\nwant\n%x", b, packet)
	}
	if _, ok := forwardOfTable().append(nil, len(packet)-1); ok {
		t.Error("a packet larger than the bound is said to fit")
	}
	for n := range len(packet) - headerSize {
		if _, err := parseForward(packet[headerSize : headerSize+n]); err == nil {
			t.Errorf("the first %d bytes pass for a whole request", n)
		}
	}
}

func TestMethods(t *testing.T) {
	for code := 1; code < len(methods); code++ {
		f := &forward{method: methods[code], protocol: "HTTP/1.1", uri: "/"}
		b, _ := f.append(nil, DefaultPacketSize)
		if int(b[5]) != code {
			t.Errorf("%s is sent as %d, not %d", methods[code], b[5], code)
		}
	}
	f := &forward{method: "PATCH", protocol: "HTTP/1.1", uri: "/"}
	b, _ := f.append(nil, DefaultPacketSize)
	if want := unhex(t, "0d 00 05 50 41 54 43 48 00 ff"); b[5] != storedMethod || !bytes.HasSuffix(b, want) {
		t.Errorf("PATCH is sent as % x", b)
	}
	if got, err := parseForward(b[headerSize:]); err != nil || got.method != "PATCH" {
		t.Errorf("a stored method is read as %+v, %v", got, err)
	}
}

func TestSmallMessages(t *testing.T) {
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"CPING", appendCPing(nil), "12 34 00 01 0a"},
		{"CPONG", appendCPong(nil), "41 42 00 01 09"},
		{"GET_BODY_CHUNK of 8186", appendGetBody(nil, 8186), "41 42 00 03 06 1f fa"},
		{"END_RESPONSE, kept", appendEnd(nil, true), "41 42 00 02 05 01"},
		{"END_RESPONSE, closed", appendEnd(nil, false), "41 42 00 02 05 00"},
		{"a part of a body", appendChunk(nil, []byte("hi")), "12 34 00 04 00 02 68 69"},
		{"the end of a body", appendChunk(nil, nil), "12 34 00 00"},
		{"SEND_BODY_CHUNK", appendBodyChunk(nil, "hi"), "41 42 00 06 03 00 02 68 69 00"},
	}
	for _, test := range tests {
		if want := unhex(t, test.want); !bytes.Equal(test.got, want) {
			t.Errorf("%s: % x; want % x", test.name, test.got, want)
		}
	}
}

func TestSendHeaders(t *testing.T) {
	table := unhex(t, `
		41 42                                # towards the front server
		00 4d                                # bytes of the payload
		04                                   # SEND_HEADERS
		00 c8                                # 200
		00 02 4f 4b 00                       # OK
		00 06                                # num_headers
		a0 01 00 01 74 00                    # Content-Type: t
		a0 07 00 01 61 00                    # Set-Cookie: a
		a0 07 00 01 62 00                    # Set-Cookie: b
		a0 0b 00 05 42 61 73 69 63 00        # WWW-Authenticate: Basic
		00 05 58 2d 41 62 63 00 00 03 31 20 32 00  # X-Abc, the longer name: "1\n2", its break a space
		00 04 45 74 61 67 00 00 01 65 00     # Etag: e
	`)
	header := map[string][]string{"Content-Type": {"t"}, "Set-Cookie": {"a", "b"}, "Www-Authenticate": {"Basic"},
		"Etag": {"e"}, "X-Abc": {"1\n2"}, "Connection": {"close"}, "Transfer-Encoding": {"chunked"}, "No Token": {"x"}}
	table[3] = byte(len(table) - headerSize)
	b, ok := appendHead(nil, 200, header, DefaultPacketSize, false)
	if !ok || !bytes.Equal(b, table) {
		t.Errorf("encoded:\n% x\nwant\n% x", b, table)
	}
	h, err := parseHead(table[headerSize:])
	if err != nil || h.Status != 200 || h.ContentLength != -1 || len(h.Header["Set-Cookie"]) != 2 || h.Header.Get("X-Abc") != "1 2" || h.Header.Get("WWW-Authenticate") != "Basic" {
		t.Errorf("decoded %+v, %v", h, err)
	}
	b, _ = appendHead(nil, 304, map[string][]string{"Etag": {"e"}}, DefaultPacketSize, true)
	if want := unhex(t, "00 02 a0 0a 00 03 33 30 34 00 00 04 45 74 61 67 00 00 01 65 00"); !bytes.HasSuffix(b, want) {
		t.Errorf("with the status first: % x", b)
	}
}

func TestHeadDropsHopByHop(t *testing.T) {
	b, _ := appendHead(nil, 200, map[string][]string{"X-A": {"b"}}, DefaultPacketSize, false)
	b = bytes.Replace(b, []byte("\x00\x03X-A"), []byte("\x00\x02TE"), 1) // one byte less
	h, err := parseHead(b[headerSize:])
	if err != nil || len(h.Header) != 0 || !reflect.DeepEqual(h.Dropped, []string{"Te"}) {
		t.Errorf("%+v, %v", h, err)
	}
}

// wireFiles are the files of one folder, by name.
func wireFiles(t testing.TB, folder string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", folder, "*.hex"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no wire files in testdata/%s: %v", folder, err)
	}
	files := map[string]string{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimSuffix(filepath.Base(name), ".hex")] = string(b)
	}
	return files
}

// decode reads one packet as what its file's name says that it is, and writes
// it again.
func decode(kind string, packet []byte) (again []byte, err error) {
	magic := uint16(toFront)
	if kind == "request" || kind == "chunk" || kind == "packet" {
		magic = toBackEnd
	}
	r := packetReader{r: iotest.OneByteReader(bytes.NewReader(packet)), magic: magic, max: DefaultPacketSize}
	var payload []byte
	for ok := false; !ok; {
		if payload, ok, err = r.take(); err == nil && !ok {
			err = r.fill()
		}
		if err != nil {
			return nil, err
		}
	}
	switch kind {
	case "request":
		f, err := parseForward(payload)
		if err != nil {
			return nil, err
		}
		again, _ = f.append(nil, DefaultPacketSize)
	case "chunk":
		data, err := parseChunk(payload)
		if err != nil {
			return nil, err
		}
		again = appendChunk(nil, data)
	case "head":
		h, err := parseHead(payload)
		if err != nil {
			return nil, err
		}
		again, _ = appendHead(nil, h.Status, h.Header, DefaultPacketSize, false)
		second, err := parseHead(again[headerSize:])
		if err != nil || !reflect.DeepEqual(h, second) {
			return nil, err
		}
		again = packet // names may be written another way
	case "data":
		data, err := parseBodyChunk(payload)
		if err != nil {
			return nil, err
		}
		again = appendBodyChunk(nil, string(data))
		if payload[len(payload)-1] != 0 {
			again = packet
		}
	case "get":
		n, err := parseGetBody(payload)
		if err != nil {
			return nil, err
		}
		again = appendGetBody(nil, n)
	case "end":
		reuse, err := parseEnd(payload)
		if err != nil {
			return nil, err
		}
		again = appendEnd(nil, reuse)
	}
	return again, nil
}

func TestWireFiles(t *testing.T) {
	for name, text := range wireFiles(t, "valid") {
		kind, _, _ := strings.Cut(name, "-")
		packet := unhex(t, text)
		again, err := decode(kind, packet)
		if err != nil || !bytes.Equal(again, packet) {
			t.Errorf("%s: %v, written again as\n%x\nwant\n%x", name, err, again, packet)
		}
	}
	for name, text := range wireFiles(t, "invalid") {
		kind, _, _ := strings.Cut(name, "-")
		first, _, _ := strings.Cut(text, "\n")
		want := strings.TrimPrefix(first, "# ")
		if _, err := decode(kind, unhex(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v; want one with %q", name, err, want)
		}
	}
}

func TestPacketReaderGrowsWithWhatArrives(t *testing.T) {
	r := packetReader{r: bytes.NewReader([]byte{0x12, 0x34, 0xff, 0xfc, 1, 2, 3}), magic: toBackEnd, max: MaxPacketSize}
	for r.fill() == nil {
		if _, ok, err := r.take(); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if len(r.buf) > firstBuffer {
		t.Errorf("7 bytes have arrived of 65536 announced, and %d are allocated", len(r.buf))
	}
}

func FuzzPacketReader(f *testing.F) {
	f.Add(unhex(f, "1234 0001 0a 1234 0000 1234 0004 0002 6869"), uint8(1))
	f.Add(unhex(f, "1234 0001 0a 1235"), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		read := func(r packetReader) (all [][]byte, text string) {
			for {
				ready := r.ready()
				payload, ok, err := r.take()
				if !ready && ok || ready && !ok && err == nil {
					t.Fatalf("ready says %v; take gives %v, %v", ready, ok, err)
				}
				if ok {
					all = append(all, bytes.Clone(payload))
					continue
				}
				if err == nil {
					err = r.fill()
				}
				if err != nil {
					return all, err.Error()
				}
			}
		}
		whole, err1 := read(packetReader{r: bytes.NewReader(b), magic: toBackEnd, max: DefaultPacketSize})
		parts, err2 := read(packetReader{r: &slow{b, int(step) + 1}, magic: toBackEnd, max: DefaultPacketSize})
		if !reflect.DeepEqual(whole, parts) || err1 != err2 {
			t.Fatalf("at once: %x, %s; in parts: %x, %s", whole, err1, parts, err2)
		}
	})
}

// slow gives a few bytes at a time.
type slow struct {
	b    []byte
	step int
}

func (s *slow) Read(b []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), s.step)], s.b)
	s.b = s.b[n:]
	return n, nil
}

func FuzzRequest(f *testing.F) {
	for name, text := range wireFiles(f, "valid") {
		if strings.HasPrefix(name, "request-") {
			f.Add(unhex(f, text)[headerSize:])
		}
	}
	f.Add(unhex(f, forwardTable)[headerSize:])
	f.Fuzz(func(t *testing.T, payload []byte) {
		first, err := parseForward(payload)
		if err != nil {
			return
		}
		b, ok := first.append(nil, MaxPacketSize+64) // a null may become longer
		if !ok {
			if len(payload) < MaxPacketSize/2 {
				t.Fatalf("%d bytes do not fit when written again", len(payload))
			}
			return
		}
		second, err := parseForward(b[headerSize:])
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Fatalf("written again and read: %v\n%+v\n%+v", err, first, second)
		}
		params, _, err := first.params([]string{"MY_THING"}, false)
		if err != nil {
			return
		}
		computed := map[string]int{}
		for _, p := range params {
			computed[p.Name]++
		}
		for _, name := range []string{"REQUEST_METHOD", "REQUEST_URI", "QUERY_STRING", "SERVER_PROTOCOL", "SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR", "REQUEST_SCHEME"} {
			if computed[name] != 1 {
				t.Fatalf("%s comes %d times: %v", name, computed[name], params)
			}
		}
		if computed["HTTP_PROXY"] != 0 {
			t.Fatal("HTTP_PROXY got through")
		}
	})
}

func FuzzResponse(f *testing.F) {
	for name, text := range wireFiles(f, "valid") {
		if strings.HasPrefix(name, "head-") || strings.HasPrefix(name, "data-") {
			f.Add(unhex(f, text)[headerSize:])
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if data, err := parseBodyChunk(payload); err == nil {
			again, err := parseBodyChunk(appendBodyChunk(nil, string(data))[headerSize:])
			if err != nil || !bytes.Equal(data, again) {
				t.Fatalf("% x, %v; want % x", again, err, data)
			}
		}
		first, err := parseHead(payload)
		if err != nil {
			return
		}
		b, ok := appendHead(nil, first.Status, first.Header, MaxPacketSize, false)
		if !ok {
			return
		}
		second, err := parseHead(b[headerSize:])
		if err != nil {
			t.Fatal(err)
		}
		if first.Dropped, first.Variables = nil, nil; !reflect.DeepEqual(first, second) {
			t.Fatalf("written again and read:\n%+v\n%+v", first, second)
		}
	})
}

func FuzzChunk(f *testing.F) {
	f.Add(unhex(f, "0002 6869"))
	f.Add(unhex(f, "0000"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		data, err := parseChunk(payload)
		if err != nil {
			return
		}
		if len(data) > 0 && !bytes.Equal(appendChunk(nil, data)[headerSize:], payload) {
			t.Fatalf("% x is read as % x", payload, data)
		}
	})
}
