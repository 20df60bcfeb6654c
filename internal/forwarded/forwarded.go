// Package forwarded finds out who the client is of a request that came through
// proxies, and sees to it that nobody else is believed.
//
// A proxy tells in headers whose request it passes on: X-Forwarded-For and its
// kin, or Forwarded (RFC 7239). Anyone can write them, so they count only from
// an address that is known to be a proxy's. Trust.Apply reads them from the
// right: the last address was written by the proxy that is connected to us, and
// if that address is a trusted proxy's too, the one before it was written by
// that proxy, and so on; the first that is not trusted is the client. What
// stands to the left of it is the client's own invention.
//
// Apply changes the request itself, once, before anything else looks at it:
//
//	RemoteAddr                        the client, with the port 0 where nobody told it
//	TLS                               not nil if the client's request was https
//	Host                              what the client asked for, if that is believed
//	X-Forwarded-For                   the client and the proxies that count, without the last
//	X-Forwarded-Proto, -Host, -Port   as the request is now
//	Forwarded                         gone: it says no more than these
//
// Of (the request) then tells the last proxy, for the next server's chain.
//
// Honest is for what stands before an application: where the headers came from
// somebody who is not trusted, it replaces what they say by what is true. An
// application that looks at X-Forwarded-Proto is thus not deceived by a client
// that connects directly.
package forwarded

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"millrace/gateway"
)

// Trust says whose word is taken, and which. It is not changed once it is used.
type Trust struct {
	Proxies []netip.Prefix
	Unix    bool // who connects to a Unix socket is a proxy

	// The headers that the proxies set. What they do not set themselves, most
	// pass on as the client sent it: it must not be believed.
	For, Proto, Host, Port bool
	Forwarded              bool // goes before the others, where it is there
}

// Origin is what the proxies said of a request.
type Origin struct {
	Peer string // the proxy that is connected to us, an address; "" over a Unix socket
}

type originKey struct{}

// Of returns a request's Origin, nil if it did not come through a trusted
// proxy.
func Of(r *http.Request) *Origin {
	o, _ := r.Context().Value(originKey{}).(*Origin)
	return o
}

// ErrMalformed is Apply's error for a Forwarded header that cannot be read: a
// client may have sent half a quoted string, to make the proxy's word a part of
// it. The request is answered with 400.
var ErrMalformed = errors.New("the header Forwarded cannot be read")

// Trusts reports whether the peer of a request is a proxy, by its RemoteAddr.
func (t *Trust) Trusts(remote string) bool {
	_, ok := t.peer(remote)
	return ok
}

func (t *Trust) peer(remote string) (netip.Addr, bool) {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}, t.Unix
	}
	ip := plain(at.Addr())
	return ip, t.trusts(ip)
}

func (t *Trust) trusts(ip netip.Addr) bool {
	return slices.ContainsFunc(t.Proxies, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func plain(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

// Apply makes r the request of its client. A request of someone who is not
// trusted is left as it is.
func (t *Trust) Apply(r *http.Request) (*http.Request, error) {
	peer, ok := t.peer(r.RemoteAddr)
	if !ok {
		return r, nil
	}
	said, err := t.read(r.Header)
	if err != nil {
		return r, err
	}
	if len(said.chain) > 0 {
		client := said.chain[0]
		r.RemoteAddr = net.JoinHostPort(client.ip.String(), client.port)
	}
	said.setScheme(r)
	said.setHost(r)
	said.setHeaders(r)
	o := &Origin{}
	if peer.IsValid() {
		o.Peer = peer.String()
	}
	return r.WithContext(gateway.WithValue(r.Context(), originKey{}, o)), nil
}

// node is one address on the way.
type node struct {
	ip   netip.Addr
	port string
}

// said is what the proxies say of a request; what is empty they do not say.
type said struct {
	chain             []node // the client first, then the proxies but for the last
	proto, host, port string
}

// maxChain bounds how many proxies a request can have passed.
const maxChain = 32

// walk takes addresses from the right, as far as they count.
func (t *Trust) walk(entries []string, parse func(string) (node, bool)) (chain []node) {
	for _, text := range slices.Backward(entries) {
		n, ok := parse(text)
		if !ok {
			break // "unknown", or nonsense: its writer is the last that is known
		}
		chain = append(chain, n)
		if !t.trusts(n.ip) || len(chain) == maxChain {
			break
		}
	}
	slices.Reverse(chain)
	return chain
}

func (t *Trust) read(h http.Header) (s said, err error) {
	hops := 0
	if lines := h["Forwarded"]; t.Forwarded && len(lines) > 0 {
		elements, ok := Parse(lines)
		if !ok {
			return s, ErrMalformed
		}
		fors := make([]string, len(elements))
		for i := range elements {
			fors[i] = elements[i].For
		}
		s.chain = t.walk(fors, parseNode)
		if hops = max(len(s.chain), 1); hops <= len(elements) {
			e := elements[len(elements)-hops]
			s.proto, s.host = e.Proto, e.Host
		}
	} else if t.For {
		s.chain = t.walk(list(h["X-Forwarded-For"]), parseFor)
		hops = max(len(s.chain), 1)
	}
	hops = max(hops, 1)
	if s.proto == "" && t.Proto {
		s.proto = nth(list(h["X-Forwarded-Proto"]), hops)
	}
	if s.host == "" && t.Host {
		s.host = nth(list(h["X-Forwarded-Host"]), hops)
	}
	if t.Port {
		s.port = nth(list(h["X-Forwarded-Port"]), hops)
	}
	return s, nil
}

// nth is the text that the proxy wrote that the client is connected to: as far
// from the right as its address. Most proxies replace the header and write no
// list; then it is the one there is.
func nth(entries []string, hops int) string {
	if len(entries) == 0 {
		return ""
	}
	return entries[max(len(entries)-hops, 0)]
}

// list parts the lines of a header at their commas.
func list(lines []string) (entries []string) {
	for _, line := range lines {
		for text := range strings.SplitSeq(line, ",") {
			if text = strings.Trim(text, " \t"); text != "" {
				entries = append(entries, text)
			}
		}
	}
	return entries
}

// parseFor reads an address of X-Forwarded-For, which some write with a port.
func parseFor(text string) (node, bool) {
	if ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")); err == nil && ip.Zone() == "" {
		return node{plain(ip), "0"}, true
	}
	at, err := netip.ParseAddrPort(text)
	if err != nil || at.Addr().Zone() != "" {
		return node{}, false
	}
	_, port, _ := net.SplitHostPort(at.String())
	return node{plain(at.Addr()), port}, true
}

func (s *said) setScheme(r *http.Request) {
	switch {
	case strings.EqualFold(s.proto, "https") || strings.EqualFold(s.proto, "wss"):
		if r.TLS == nil {
			r.TLS = new(tls.ConnectionState) // the proxy's own; nothing of it is known
		}
	case strings.EqualFold(s.proto, "http") || strings.EqualFold(s.proto, "ws"):
		r.TLS = nil
	}
}

func scheme(r *http.Request) (name, port string) {
	if r.TLS != nil {
		return "https", "443"
	}
	return "http", "80"
}

func (s *said) setHost(r *http.Request) {
	if s.host != "" && validHost(s.host) {
		r.Host = s.host
	}
	if s.port == "" || r.Host == "" || len(s.port) > 5 || strings.Trim(s.port, "0123456789") != "" {
		return
	}
	name := r.Host
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, ']') {
		name = name[:i]
	}
	if _, usual := scheme(r); s.port != usual {
		name += ":" + s.port
	}
	r.Host = name
}

// validHost takes what package http takes of a client; whose site it is,
// routing decides.
func validHost(host string) bool {
	for i := range len(host) {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~:[]%", c) >= 0:
		default:
			return false
		}
	}
	return len(host) <= 255+6
}

// setHeaders says the same to who reads the headers himself.
func (s *said) setHeaders(r *http.Request) {
	h := r.Header
	if len(s.chain) > 0 {
		texts := make([]string, len(s.chain))
		for i, n := range s.chain {
			texts[i] = n.ip.String()
		}
		h["X-Forwarded-For"] = []string{strings.Join(texts, ", ")}
	} else {
		truthful(h, r, "X-Forwarded-For")
	}
	name, _ := scheme(r)
	h["X-Forwarded-Proto"] = []string{name}
	for _, header := range [...]string{"X-Forwarded-Host", "X-Forwarded-Port", "X-Real-Ip"} {
		truthful(h, r, header)
	}
	delete(h, "Forwarded")
}

// truthful makes a header say what is true of r, if it is there.
func truthful(h http.Header, r *http.Request, name string) {
	if _, ok := h[name]; !ok {
		return
	}
	text := ""
	switch name {
	case "X-Forwarded-For", "X-Real-Ip":
		if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			text = plain(at.Addr()).String()
		}
	case "X-Forwarded-Proto":
		text, _ = scheme(r)
	case "X-Forwarded-Host":
		text = r.Host
	case "X-Forwarded-Port":
		_, text = scheme(r)
		if i := strings.LastIndexByte(r.Host, ':'); i > strings.LastIndexByte(r.Host, ']') {
			text = r.Host[i+1:]
		}
	}
	if text == "" {
		delete(h, name)
		return
	}
	h[name] = []string{text}
}
