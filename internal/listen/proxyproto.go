package listen

// This file: the PROXY protocol, versions 1 and 2, as HAProxy's proxy-protocol.txt
// has it: a header in front of a connection's own bytes by which a proxy tells
// whose connection it is.
//
// A header is read to its last byte and not one further: what follows it stays
// in the socket, where epoll and whoever reads from the descriptor find it.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// proxied is what a header says of a connection.
type proxied struct {
	// remote and local are its ends; nil where the header tells none: the
	// proxy's own connection (a health check), or one of another family. Those
	// of the socket hold then.
	remote, local net.Addr
}

const (
	// v1Max is the longest line, with its CRLF; v1Least the shortest,
	// "PROXY UNKNOWN" and CRLF. It is shorter than v2Head.
	v1Max   = 107
	v1Least = 15

	// v2Head is the fixed part; v2Max bounds what follows, addresses and TLVs.
	v2Head = 16
	v2Max  = 4096
)

const v2Signature = "\r\n\r\n\x00\r\nQUIT\n"

var (
	errNoProxyHeader = errors.New("it does not begin with a header of the PROXY protocol")
	errProxyHeader   = errors.New("its header of the PROXY protocol is malformed")
	errProxyVersion  = errors.New("its header of the PROXY protocol is of an unknown version or command")
	errProxyLong     = errors.New("its header of the PROXY protocol is too long")
)

// readProxyHeader reads a header of either version.
func readProxyHeader(r io.Reader) (proxied, error) {
	var room [v2Max]byte
	head := room[:v1Least]
	if _, err := io.ReadFull(r, head); err != nil {
		return proxied{}, err
	}
	switch {
	case string(head[:len(v2Signature)]) == v2Signature:
		return readV2(r, &room)
	case string(head[:len("PROXY ")]) == "PROXY ":
		return readV1(r, &room)
	}
	return proxied{}, errNoProxyHeader
}

// readV1 reads the rest of a line, byte by byte since its end is all that tells
// its length.
func readV1(r io.Reader, room *[v2Max]byte) (proxied, error) {
	n := v1Least
	if bytes.IndexByte(room[:n-1], '\n') >= 0 {
		return proxied{}, errProxyHeader
	}
	for room[n-1] != '\n' {
		if n == v1Max {
			return proxied{}, errProxyLong
		}
		if _, err := io.ReadFull(r, room[n:n+1]); err != nil {
			return proxied{}, err
		}
		n++
	}
	line, ok := bytes.CutSuffix(room[:n], []byte("\r\n"))
	if !ok || bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, '\n') >= 0 {
		return proxied{}, errProxyHeader
	}
	return parseV1(string(line))
}

// parseV1 reads a line without its CRLF.
func parseV1(line string) (proxied, error) {
	words := strings.Split(line, " ")
	if len(words) < 2 || words[0] != "PROXY" {
		return proxied{}, errProxyHeader
	}
	v6 := false
	switch words[1] {
	case "UNKNOWN": // what follows is to be ignored
		return proxied{}, nil
	case "TCP4":
	case "TCP6":
		v6 = true
	default:
		return proxied{}, errProxyHeader
	}
	if len(words) != 6 {
		return proxied{}, errProxyHeader
	}
	remote, ok := v1End(words[2], words[4], v6)
	local, fine := v1End(words[3], words[5], v6)
	if !ok || !fine {
		return proxied{}, errProxyHeader
	}
	return proxied{remote, local}, nil
}

func v1End(address, port string, v6 bool) (net.Addr, bool) {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Zone() != "" || ip.Is6() != v6 {
		return nil, false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port {
		return nil, false
	}
	return tcpAddr(ip, uint16(n)), true
}

func tcpAddr(ip netip.Addr, port uint16) net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip.Unmap(), port))
}

// readV2 reads the rest of a binary header; v1Least bytes of it are there.
func readV2(r io.Reader, room *[v2Max]byte) (proxied, error) {
	if _, err := io.ReadFull(r, room[v1Least:v2Head]); err != nil {
		return proxied{}, err
	}
	command, family := room[12], room[13]
	n := int(binary.BigEndian.Uint16(room[14:16]))
	if n > v2Max {
		return proxied{}, errProxyLong
	}
	if _, err := io.ReadFull(r, room[:n]); err != nil {
		return proxied{}, err
	}
	return parseV2(command, family, room[:n])
}

// Commands and families of version 2.
const (
	v2Local = 0x20
	v2Proxy = 0x21

	v2Unspec  = 0x00
	v2TCP4    = 0x11
	v2TCP6    = 0x21
	v2Unix    = 0x31
	v2UnixEnd = 108 // bytes of one path
)

// parseV2 reads what follows the fixed part: the addresses, and TLVs behind
// them, which are passed over.
func parseV2(command, family byte, b []byte) (proxied, error) {
	switch command {
	case v2Local: // whatever the rest says
		return proxied{}, nil
	case v2Proxy:
	default:
		return proxied{}, errProxyVersion
	}
	size := 0
	switch family {
	case v2TCP4:
		size = 4
	case v2TCP6:
		size = 16
	case v2Unix:
		if len(b) < 2*v2UnixEnd {
			return proxied{}, errProxyHeader
		}
		// The path is the proxy's client's socket, mostly nameless: as of any
		// client at a Unix socket, its name tells nothing.
		end := &net.UnixAddr{Name: "@", Net: "unix"}
		return proxied{end, end}, nil
	case v2Unspec:
		return proxied{}, nil
	default: // datagrams, which no connection of ours is made of, and what is to come
		return proxied{}, errProxyVersion
	}
	if len(b) < 2*size+4 {
		return proxied{}, errProxyHeader
	}
	from, _ := netip.AddrFromSlice(b[:size])
	to, _ := netip.AddrFromSlice(b[size : 2*size])
	ports := b[2*size:]
	return proxied{tcpAddr(from, binary.BigEndian.Uint16(ports)), tcpAddr(to, binary.BigEndian.Uint16(ports[2:]))}, nil
}
