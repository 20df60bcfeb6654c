package listen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// v2 makes a binary header.
func v2(command, family byte, rest ...byte) string {
	return string(append(binary.BigEndian.AppendUint16(append([]byte(v2Signature), command, family), uint16(len(rest))), rest...))
}

var (
	v2Four = []byte{192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x67, 0x01, 0xbb} // 192.0.2.1:4711, 198.51.100.2:443
	v2Six  = append(append(netip.MustParseAddr("2001:db8::1").AsSlice(), netip.MustParseAddr("2001:db8::2").AsSlice()...), 0x12, 0x67, 0x01, 0xbb)
	v2TLVs = []byte{0x04, 0, 3, 1, 2, 3, 0x20, 0, 5, 1, 0, 0, 0, 0} // NOOP, SSL
)

var proxyHeaders = []struct {
	name, header string
	remote       string // "": the socket's
	local        string
	err          error
}{
	{"v1", "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n", "192.0.2.1:4711", "198.51.100.2:443", nil},
	{"v1, IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n", "[2001:db8::1]:4711", "[2001:db8::2]:443", nil},
	{"v1, IPv4 in IPv6", "PROXY TCP6 ::ffff:192.0.2.1 ::1 4711 443\r\n", "192.0.2.1:4711", "[::1]:443", nil},
	{"v1, the longest", "PROXY TCP6 ffff:f:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "[ffff:f:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", nil},
	{"v1, port 0", "PROXY TCP4 192.0.2.1 198.51.100.2 0 0\r\n", "192.0.2.1:0", "198.51.100.2:0", nil},
	{"v1, unknown", "PROXY UNKNOWN\r\n", "", "", nil},
	{"v1, unknown with more", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "", "", nil},

	{"v2", v2(v2Proxy, v2TCP4, v2Four...), "192.0.2.1:4711", "198.51.100.2:443", nil},
	{"v2, IPv6", v2(v2Proxy, v2TCP6, v2Six...), "[2001:db8::1]:4711", "[2001:db8::2]:443", nil},
	{"v2, TLVs", v2(v2Proxy, v2TCP4, append(bytes.Clone(v2Four), v2TLVs...)...), "192.0.2.1:4711", "198.51.100.2:443", nil},
	{"v2, most TLVs", v2(v2Proxy, v2TCP4, append(bytes.Clone(v2Four), make([]byte, v2Max-len(v2Four))...)...), "192.0.2.1:4711", "198.51.100.2:443", nil},
	{"v2, unix", v2(v2Proxy, v2Unix, make([]byte, 2*v2UnixEnd)...), "@", "@", nil},
	{"v2, local", v2(v2Local, 0), "", "", nil},
	{"v2, local with addresses", v2(v2Local, v2TCP4, v2Four...), "", "", nil},
	{"v2, unspecified", v2(v2Proxy, v2Unspec, v2TLVs...), "", "", nil},

	{"none", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", "", errNoProxyHeader},
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00\x00", "", "", errNoProxyHeader},
	{"in small letters", "proxy TCP4 192.0.2.1 198.51.100.2 4711 443\r\n", "", "", errNoProxyHeader},
	{"cut short", "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443", "", "", io.EOF},
	{"cut shorter", "PROXY TC", "", "", io.ErrUnexpectedEOF},
	{"nothing", "", "", "", io.EOF},
	{"v1, too long", "PROXY UNKNOWN " + strings.Repeat("x", 100) + "\r\n", "", "", errProxyLong},
	{"v1, bare LF", "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\n", "", "", errProxyHeader},
	{"v1, two blanks", "PROXY TCP4  192.0.2.1 198.51.100.2 4711 443\r\n", "", "", errProxyHeader},
	{"v1, a blank at the end", "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443 \r\n", "", "", errProxyHeader},
	{"v1, UDP", "PROXY UDP4 192.0.2.1 198.51.100.2 4711 443\r\n", "", "", errProxyHeader},
	{"v1, IPv6 as IPv4", "PROXY TCP4 2001:db8::1 2001:db8::2 4711 443\r\n", "", "", errProxyHeader},
	{"v1, IPv4 as IPv6", "PROXY TCP6 192.0.2.1 198.51.100.2 4711 443\r\n", "", "", errProxyHeader},
	{"v1, a zone", "PROXY TCP6 fe80::1%lo fe80::1 4711 443\r\n", "", "", errProxyHeader},
	{"v1, a name", "PROXY TCP4 localhost 198.51.100.2 4711 443\r\n", "", "", errProxyHeader},
	{"v1, leading zeros", "PROXY TCP4 192.0.02.1 198.51.100.2 4711 443\r\n", "", "", errProxyHeader},
	{"v1, a port with a zero", "PROXY TCP4 192.0.2.1 198.51.100.2 04711 443\r\n", "", "", errProxyHeader},
	{"v1, a large port", "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n", "", "", errProxyHeader},
	{"v1, a sign", "PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n", "", "", errProxyHeader},
	{"v1, no address", "PROXY TCP4 \r\n   ", "", "", errProxyHeader},
	{"v2, cut short", v2(v2Proxy, v2TCP4, v2Four...)[:20], "", "", io.ErrUnexpectedEOF},
	{"v2, cut in its head", v2(v2Proxy, v2TCP4, v2Four...)[:15], "", "", io.EOF},
	{"v2, too long", v2(v2Proxy, v2TCP4, append(bytes.Clone(v2Four), make([]byte, v2Max)...)...), "", "", errProxyLong},
	{"v2, no addresses", v2(v2Proxy, v2TCP4), "", "", errProxyHeader},
	{"v2, too few", v2(v2Proxy, v2TCP6, v2Four...), "", "", errProxyHeader},
	{"v2, half a path", v2(v2Proxy, v2Unix, v2Four...), "", "", errProxyHeader},
	{"v2, another command", v2(0x22, v2TCP4, v2Four...), "", "", errProxyVersion},
	{"v2, another version", v2(0x11, v2TCP4, v2Four...), "", "", errProxyVersion},
	{"v2, datagrams", v2(v2Proxy, 0x12, v2Four...), "", "", errProxyVersion},
}

func TestReadProxyHeader(t *testing.T) {
	for _, test := range proxyHeaders {
		r := strings.NewReader(test.header + "GET /")
		if test.err == io.EOF || test.err == io.ErrUnexpectedEOF {
			r = strings.NewReader(test.header)
		}
		p, err := readProxyHeader(r)
		if !errors.Is(err, test.err) {
			t.Errorf("%s: %v; want %v", test.name, err, test.err)
			continue
		}
		if err != nil {
			continue
		}
		remote, local := "", ""
		if p.remote != nil {
			remote, local = p.remote.String(), p.local.String()
		}
		if remote != test.remote || local != test.local {
			t.Errorf("%s: from %s to %s; want %s and %s", test.name, remote, local, test.remote, test.local)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "GET /" {
			t.Errorf("%s: behind it %q is left", test.name, rest)
		}
	}
}

func ends(p proxied) string {
	if p.remote == nil {
		return "the socket's"
	}
	return p.remote.String() + " " + p.local.String()
}

// No header makes us read beyond it, allocate what it says, or believe an
// address that is none.
func FuzzProxyHeader(f *testing.F) {
	for _, test := range proxyHeaders {
		if len(test.header) < 1000 {
			f.Add([]byte(test.header))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := bytes.NewReader(text)
		p, err := readProxyHeader(r)
		if err != nil {
			return
		}
		used := len(text) - r.Len()
		if (p.remote == nil) != (p.local == nil) {
			t.Fatalf("%q tells one end alone", text)
		}
		if again, err := readProxyHeader(bytes.NewReader(text[:used])); err != nil || ends(again) != ends(p) {
			t.Fatalf("%q is read as %v, without what is behind it as %v, %v", text, p, again, err)
		}
		at, ok := p.remote.(*net.TCPAddr)
		if !ok {
			return
		}
		// Written as version 1, it is the same.
		to := p.local.(*net.TCPAddr)
		kind := "TCP4"
		if at.IP.To4() == nil || to.IP.To4() == nil {
			kind = "TCP6"
		}
		text1 := func(ip net.IP) string {
			if ip.To4() != nil && kind == "TCP6" {
				return "::ffff:" + ip.String()
			}
			return ip.String()
		}
		line := fmt.Sprintf("PROXY %s %s %s %d %d\r\n", kind, text1(at.IP), text1(to.IP), at.Port, to.Port)
		if again, err := readProxyHeader(strings.NewReader(line)); err != nil || again.remote.String() != at.String() || again.local.String() != to.String() {
			t.Fatalf("%q, as %q: %v, %v", text, line, again, err)
		}
	})
}
