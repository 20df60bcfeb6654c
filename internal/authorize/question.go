package authorize

// What is asked: the request, less what is not about whether it may pass.

import (
	"context"
	"net/http"
	"strings"

	"millrace/gateway"
)

// notAsked are headers that a question lacks: those of the body, of the
// connection, and those about the thing itself. With a condition or a range the
// answer could be 304 or 206, and with an encoding its page would not suit the
// next client.
var notAsked = map[string]bool{
	"Accept-Encoding": true, "Connection": true, "Content-Encoding": true, "Content-Length": true, "Content-Type": true, "Expect": true,
	"If-Match": true, "If-Modified-Since": true, "If-None-Match": true, "If-Range": true, "If-Unmodified-Since": true,
	"Keep-Alive": true, "Proxy-Connection": true, "Range": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Sec-Websocket-Extensions": true, "Sec-Websocket-Key": true, "Sec-Websocket-Protocol": true, "Sec-Websocket-Version": true,
}

// Bare returns a copy of r, with ctx, that has no body and none of the headers
// that a question lacks. Its headers are its own.
func Bare(ctx context.Context, r *http.Request) *http.Request {
	q := r.WithContext(ctx)
	q.Body, q.ContentLength, q.TransferEncoding, q.Trailer = http.NoBody, 0, nil, nil
	q.GetBody = nil
	header := make(http.Header, len(r.Header)+2)
	for name, values := range r.Header {
		if !notAsked[name] {
			header[name] = values
		}
	}
	q.Header = header
	return q
}

// disown takes away what a client has sent under the names of headers that only
// the answer may set, and what it says of them in Connection: a back end over
// HTTP would be sent none of those.
func (a *authorize) disown(r *http.Request) *http.Request {
	forged := false
	for _, name := range a.own {
		if _, ok := r.Header[name]; ok {
			forged = true
		}
	}
	named := a.namedByConnection(r)
	if !forged && !named {
		return r
	}
	next := new(*r)
	next.Header = r.Header.Clone()
	for _, name := range a.own {
		delete(next.Header, name)
	}
	if named {
		var kept []string
		for _, value := range r.Header["Connection"] {
			for token := range strings.SplitSeq(value, ",") {
				if token = strings.TrimSpace(token); token != "" && !a.owns(token) {
					kept = append(kept, token)
				}
			}
		}
		delete(next.Header, "Connection")
		if len(kept) > 0 {
			next.Header["Connection"] = []string{strings.Join(kept, ", ")}
		}
	}
	return next
}

func (a *authorize) namedByConnection(r *http.Request) bool {
	if len(a.own) == 0 {
		return false
	}
	for _, value := range r.Header["Connection"] {
		for token := range strings.SplitSeq(value, ",") {
			if a.owns(strings.TrimSpace(token)) {
				return true
			}
		}
	}
	return false
}

func (a *authorize) owns(name string) bool {
	for _, own := range a.own {
		if strings.EqualFold(own, name) {
			return true
		}
	}
	return false
}

// Role makes the question for an app, or a back end, in the authorizer's role.
func Role(r *http.Request) (*http.Request, error) {
	ctx := gateway.Ask(r.Context(), &gateway.Asked{Role: gateway.Authorizer})
	return gateway.WithParams(Bare(ctx, r), nil), nil
}
