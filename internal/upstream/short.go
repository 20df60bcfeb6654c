package upstream

// Responses that are here as a whole when their head is: most of them. They
// need no pipe, nobody who fills it, and no wait.

import (
	"net/http"
	"strconv"

	"millrace/gateway"
	"millrace/internal/requestid"
)

// wholeBody is a response's body that may be here as a whole.
type wholeBody interface {
	// Whole returns all of the body, and that its trailers are there, if nothing
	// has to be waited for: the back end is free then. It has as many bytes as its
	// Content-Length says, if that says anything, and is valid until Close.
	Whole() (body []byte, ok bool)
}

// whole returns the body of a response if all of it is here.
func whole(resp *gateway.Response) (body []byte, ok bool) {
	w, may := resp.Body.(wholeBody)
	if !may {
		return nil, false
	}
	if body, ok = w.Whole(); ok && resp.ContentLength >= 0 && int64(len(body)) != resp.ContentLength {
		return nil, false
	}
	return body, ok
}

// short writes a response, whose header is set, with all of its body.
func (g *Group) short(w http.ResponseWriter, r *http.Request, s *server, resp *gateway.Response, body []byte) {
	g.done(s, nil) // before the client can see the end
	header := w.Header()
	if resp.ContentLength < 0 && len(resp.Trailer) == 0 {
		header["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(resp.Status)
	_, err := w.Write(body)
	passTrailers(w, resp)
	if closing := resp.Body.Close(); closing != nil {
		g.log.Warn("cannot close a back end's response", "server", s.address, "request", requestid.Of(r), "method", r.Method, "uri", r.RequestURI, "error", closing)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // the client left
	}
}
