package h1client

// This file: names and values of the fields that servers send.

import (
	"millrace/gateway"
	"millrace/internal/field"
)

// kind is what a field means here.
type kind uint8

const (
	passed kind = iota // on to the client
	ofConnection
	lengthField
)

type known struct {
	name string
	kind kind
}

// wellKnown are the fields that most responses have, by the length of the name:
// they cost no look at each byte of it.
var wellKnown = func() (t [32][]known) {
	for _, name := range [...]string{
		"Accept-Ranges", "Access-Control-Allow-Origin", "Age", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language",
		"Content-Range", "Content-Security-Policy", "Content-Type", "Date", "Etag", "Expires", "Last-Modified", "Link", "Location",
		"Pragma", "Referrer-Policy", "Server", "Set-Cookie", "Strict-Transport-Security", "Vary", "Via", "X-Accel-Buffering", "X-Content-Type-Options",
		"X-Frame-Options", "X-Powered-By", "X-Request-Id", "X-Sendfile",
	} {
		t[len(name)] = append(t[len(name)], known{name, passed})
	}
	for _, name := range [...]string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		t[len(name)] = append(t[len(name)], known{name, ofConnection})
	}
	t[len("Content-Length")] = append(t[len("Content-Length")], known{"Content-Length", lengthField})
	return t
}()

// fieldOf returns a field's canonical name and its kind, and checks both parts as
// gateway.AppHeader does.
func fieldOf(name, value string) (string, kind, error) {
	if len(name) < len(wellKnown) && field.IsValue(value) {
		for _, k := range wellKnown[len(name)] {
			if field.EqualFold(name, k.name) {
				return k.name, k.kind, nil
			}
		}
	}
	canonical, keep, err := gateway.AppHeader(name, value)
	switch {
	case err != nil:
		return "", passed, malformed("%w", err)
	case !keep:
		return canonical, ofConnection, nil
	}
	return canonical, passed, nil
}
