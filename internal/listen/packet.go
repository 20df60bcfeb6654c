package listen

// This file: UDP sockets beside TCP's.

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// IsTCP reports whether an address of the configuration is one of TCP that we
// open ourselves.
func IsTCP(address string) bool {
	for _, other := range []string{"unix:", "fd:", "systemd:"} {
		if strings.HasPrefix(address, other) {
			return false
		}
	}
	return true
}

// OpenPacket opens the UDP socket of an address, at the port that a listener of
// it has.
func OpenPacket(address string, port int) (*net.UDPConn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &Error{Address: address, Err: err, Do: `write "host:port" or ":port"`}
	}
	c, err := net.ListenPacket("udp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		do := "HTTP/3 needs the UDP port of the same number; without it: http3 = false under [site.tls]"
		if errors.Is(err, syscall.EADDRINUSE) {
			do = "stop what listens there, or do without HTTP/3: http3 = false under [site.tls]"
		}
		return nil, &Error{Address: "UDP " + address, Err: err, Do: do}
	}
	udp := c.(*net.UDPConn)
	largeBuffers(udp)
	return udp, nil
}

// packetBuffer is what quic-go wants of a socket's buffers.
const packetBuffer = 7 << 20

// GivenPacket returns the UDP socket of an address that another process opened.
// f stays the caller's.
func GivenPacket(address string, f *os.File) (*net.UDPConn, error) {
	c, err := net.FilePacketConn(f)
	if err == nil {
		if udp, ok := c.(*net.UDPConn); ok {
			return udp, nil
		}
		c.Close()
		err = errors.New("it is not UDP")
	}
	return nil, &Error{Address: "UDP " + address, Err: fmt.Errorf("the socket that was given for it cannot be used: %w", err)}
}

// Owner is who opened the socket; nil: this process.
func (l *Listener) Owner() Owner { return l.owner }
