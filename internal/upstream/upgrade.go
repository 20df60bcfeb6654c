package upstream

// Requests that ask for another protocol on their connection (RFC 9110, section
// 7.8): WebSocket, mostly. The back end is asked the same, and if it agrees the
// connection is a tunnel from then on (tunnel.go).

import (
	"crypto/sha1" //nolint:gosec // what RFC 6455 has, and nothing secret
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"millrace/gateway"
)

// upgradeOf is the protocol that r asks for and may ask a back end for; "" for
// none: the request is one like any other then, and its Upgrade header goes no
// further, as RFC 9110 allows.
//
// A request with a body is none: client and back end could disagree about
// where it ends and the other protocol begins. Nor is one that offers several
// protocols: what is passed on is what the back end is held to.
func upgradeOf(r *http.Request) string {
	if !r.ProtoAtLeast(1, 1) || r.ProtoMajor > 2 || r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		return ""
	}
	offer := r.Header["Upgrade"]
	if len(offer) != 1 || !isNamed(r.Header["Connection"], "upgrade") {
		return ""
	}
	name, version, _ := strings.Cut(offer[0], "/")
	if !isToken(name) || version != "" && !isToken(version) || strings.HasSuffix(offer[0], "/") {
		return ""
	}
	switch strings.ToLower(name) {
	case "h2c", "h2", "http", "tls":
		// HTTP itself in another form: requests would pass that nobody has
		// checked, from which a back end would take it that we have.
		return ""
	case webSocket:
		if r.Method != http.MethodGet || len(r.Header[webSocketKey]) != 1 {
			return ""
		}
	}
	return offer[0]
}

const (
	webSocket       = "websocket"
	webSocketKey    = "Sec-Websocket-Key"
	webSocketAccept = "Sec-Websocket-Accept"
)

// agrees is nil if a back end's 101 says that it speaks from now on what r has
// asked for.
func agrees(r *http.Request, upgrade string, header http.Header) error {
	said := header["Upgrade"]
	if len(said) != 1 || !strings.EqualFold(said[0], upgrade) {
		return fmt.Errorf("it was asked to switch to %q and switches to %.64q: %w", upgrade, said, gateway.ErrBadResponse)
	}
	if !strings.EqualFold(upgrade, webSocket) {
		return nil
	}
	accept := header[webSocketAccept]
	if len(accept) != 1 || accept[0] != acceptOf(r.Header[webSocketKey][0]) {
		return fmt.Errorf("its Sec-WebSocket-Accept is not the answer to the client's Sec-WebSocket-Key: no WebSocket server has answered: %w", gateway.ErrBadResponse)
	}
	return nil
}

// acceptOf is what a WebSocket server answers to a key (RFC 6455, section
// 4.2.2).
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	return base64.StdEncoding.EncodeToString(sum[:])
}

func isToken(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~") == ""
}

// switchProtocols tells the client that the back end agrees, and carries what
// both say until one of them ends. The server is given back then.
func (g *Group) switchProtocols(w http.ResponseWriter, r *http.Request, s *server, x *exchange, resp *gateway.Response) {
	back, ok := resp.Body.(duplex)
	err := agrees(r, x.upgrade, resp.Header)
	if err == nil && !ok {
		err = fmt.Errorf("it switches protocols, and its connection cannot be had: %w", gateway.ErrBadResponse)
	}
	if err != nil {
		_ = resp.Body.Close() // it is of no use
		g.done(s, err)
		g.fail(w, r, s, err)
		return
	}
	header := w.Header()
	for name, values := range resp.Header {
		header[name] = values
	}
	header["Connection"] = []string{"Upgrade"} // also where this server drains
	delete(header, "Content-Length")
	w.WriteHeader(http.StatusSwitchingProtocols)
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = back.Close() // nobody will speak with it
		g.done(s, nil)
		if r.Context().Err() == nil {
			g.log.Error("cannot take a client's connection over", "uri", r.RequestURI, "error", err)
		}
		panic(http.ErrAbortHandler)
	}
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered()) // as much as there is
	t := &tunnel{
		client: client, back: back, early: early,
		idle: g.cfg.UpgradeTimeout, half: g.cfg.Timeout,
	}
	if r.Context().Err() != nil {
		t.cut(nil) // the client had left; its connection need not say so twice
	}
	sent, err := g.tunnels.run(t)
	g.done(s, nil)
	carried(w, sent)
	if err != nil {
		g.log.Info("an upgraded connection was cut", "server", s.address, "uri", r.RequestURI, "upgrade", x.upgrade, "reason", err)
	}
}

// carried tells the access log how many bytes the client was sent behind the
// server's back.
func carried(w http.ResponseWriter, n int64) {
	for {
		switch t := w.(type) {
		case interface{ Carried(n int64) }:
			t.Carried(n)
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return
		}
	}
}
