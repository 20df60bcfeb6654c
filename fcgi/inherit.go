package fcgi

// Descriptor 0: how a web server that starts its FastCGI programs itself hands
// them their socket.

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
)

// ErrPlainCGI says that descriptor 0 is no listening socket: the program was
// started as a plain CGI program (section 2.2).
var ErrPlainCGI = errors.New("fcgi: descriptor 0 is no listening socket: this is plain CGI")

// Inherited returns the listening socket that a web server handed over on
// descriptor 0, for Server.Serve. Where there is none, or FCGI_FORCE_CGI is
// "Y" in the environment, the error wraps ErrPlainCGI:
//
//	l, err := fcgi.Inherited()
//	if errors.Is(err, fcgi.ErrPlainCGI) {
//		return cgi.Serve(handler)
//	}
//
// The socket's name, if it has one in the file system, stays when the listener
// is closed: it is the web server's.
func Inherited() (net.Listener, error) {
	if os.Getenv("FCGI_FORCE_CGI") == "Y" {
		return nil, ErrPlainCGI
	}
	l, err := net.FileListener(os.Stdin)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrPlainCGI, err)
	}
	if !listens(l) { // Apache's mod_cgid, inetd: the other side of a CGI program's input
		l.Close()
		return nil, ErrPlainCGI
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	return l, nil
}

// AllowFromEnviron reads FCGI_WEB_SERVER_ADDRS (section 3.2): a comma-separated
// list of the addresses whose connections may be taken. nil, for all: the
// variable is not set. Connections over a Unix socket are always taken. A word
// that is no address is an error: it would shut out the web server, or let
// somebody in.
func AllowFromEnviron() (func(net.Addr) bool, error) {
	value, ok := os.LookupEnv("FCGI_WEB_SERVER_ADDRS")
	if !ok || strings.TrimSpace(value) == "" {
		return nil, nil
	}
	allowed := map[netip.Addr]bool{}
	for word := range strings.SplitSeq(value, ",") {
		a, err := netip.ParseAddr(strings.TrimSpace(word))
		if err != nil {
			return nil, fmt.Errorf("fcgi: FCGI_WEB_SERVER_ADDRS: %w", err)
		}
		allowed[a.Unmap()] = true
	}
	return func(addr net.Addr) bool {
		tcp, ok := addr.(*net.TCPAddr)
		return !ok || allowed[tcp.AddrPort().Addr().Unmap()]
	}, nil
}
