package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// Param is one parameter of a request: a meta-variable of RFC 3875, section
// 4.1, or a protocol-specific one.
type Param struct{ Name, Value string }

// Role is what a back end is asked to do with a request (FastCGI 1.0, section
// 6). Every protocol but FastCGI knows the responder alone.
type Role uint8

const (
	Responder  Role = iota // answer the request; the zero value
	Authorizer             // say whether the request may go on
	Filter                 // answer with a filtered form of a file
)

func (r Role) String() string {
	switch r {
	case Responder:
		return "RESPONDER"
	case Authorizer:
		return "AUTHORIZER"
	case Filter:
		return "FILTER"
	}
	return "role " + strconv.Itoa(int(r))
}

// Request is a CGI/1.1 request on its way to a back end.
type Request struct {
	Role Role

	// Params are the whole environment of the request, in the order in which
	// they are sent. A name comes once; for one that comes twice the last
	// holds. CONTENT_LENGTH among them agrees with ContentLength.
	Params []Param

	// Body is what the back end reads as its input; nil: nothing. RoundTrip
	// reads it, from one goroutine, and does not close it. It may still be
	// reading when RoundTrip has returned: the reader ends when the response's
	// Body is closed or has given its end.
	Body io.Reader

	// ContentLength is the number of bytes of Body, which every protocol
	// announces first; a Body that turns out shorter or longer breaks the
	// request off. 0 with a nil Body.
	ContentLength int64

	// GetBody returns the Body anew, from its start, so that a request can be
	// sent a second time; nil: it cannot, unless Body is nil.
	GetBody func() (io.Reader, error)

	// Data is the file that a Filter works on; DataLength its bytes. The
	// parameters FCGI_DATA_LENGTH and FCGI_DATA_LAST_MOD go with it.
	Data       io.Reader
	DataLength int64

	// Stderr takes what the back end writes to its error stream, in pieces as
	// they come; nil: it is discarded. Write must not block for long.
	Stderr io.Writer
}

// Param returns the value of a parameter, "" for one that is not there.
func (r *Request) Param(name string) string {
	value, _ := Lookup(r.Params, name)
	return value
}

// Lookup finds a parameter; the last of several with the name.
func Lookup(params []Param, name string) (value string, ok bool) {
	for i := len(params) - 1; i >= 0; i-- {
		if params[i].Name == name {
			return params[i].Value, true
		}
	}
	return "", false
}

// Set gives a parameter a value: in its place if it is there, else at the end.
func Set(params []Param, name, value string) []Param {
	for i := len(params) - 1; i >= 0; i-- {
		if params[i].Name == name {
			params[i].Value = value
			return params
		}
	}
	return append(params, Param{name, value})
}

// Replayable reports whether the request may be sent a second time when the
// first try may have reached the back end: its method is idempotent (RFC 9110,
// section 9.2.2) and its input can be had again.
func (r *Request) Replayable() bool {
	return Idempotent(r.Param("REQUEST_METHOD")) && (r.Body == nil || r.GetBody != nil) && r.Data == nil
}

// Idempotent reports whether a method may be repeated (RFC 9110, section
// 9.2.2).
func Idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PROPFIND":
		return true
	}
	return false
}

// Response is a back end's answer.
type Response struct {
	Head

	// Body is never nil and is closed by the caller, also when it was read to
	// its end. Close may come while another goroutine reads, whose Read it ends. A read that fails with anything but io.EOF means that the
	// response was cut short: whoever passes it on must not end it properly.
	Body io.ReadCloser

	// Trailer is what came behind the body (RFC 9110, section 6.5), once that
	// has given io.EOF; before, and where there is none, it is empty. HTTP alone
	// has trailers.
	Trailer http.Header
}

// RoundTripper sends requests to a back end. The clients of all protocols are
// RoundTrippers, safe for concurrent use.
type RoundTripper interface {
	// RoundTrip returns when the response's head is there. ctx ends the whole
	// exchange: when it is done the back end is told, if the protocol can, and
	// reads from the Body fail. An error can be looked at with StatusOf.
	RoundTrip(ctx context.Context, req *Request) (*Response, error)
}

// Errors of a RoundTrip that a caller may want to tell apart; they are
// wrapped. Any other error is the back end's failure, or of the way to it.
var (
	ErrOverloaded  = errors.New("the back end is overloaded")                // 503
	ErrUnreachable = errors.New("the back end cannot be reached")            // 502; the request was not sent
	ErrTimeout     = errors.New("the back end did not answer in time")       // 504
	ErrBadResponse = errors.New("the back end's response is malformed")      // 502
	ErrBody        = errors.New("the request's body cannot be read")         // 400: its reader failed, or its length is not ContentLength
	ErrNotAnswered = errors.New("the back end hung up before its response")  // 502
	ErrTooLarge    = errors.New("the request does not fit the protocol")     // 431 for parameters
	ErrUnsupported = errors.New("the back end does not know what was asked") // 502; a role
	ErrForbidden   = errors.New("the program may not be run")                // 403
)

// StatusOf is the HTTP status for an error of RoundTrip.
func StatusOf(err error) int {
	switch {
	case errors.Is(err, ErrOverloaded):
		return http.StatusServiceUnavailable
	case errors.Is(err, ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	case errors.Is(err, ErrForbidden):
		return http.StatusForbidden
	case errors.Is(err, ErrBody):
		return http.StatusBadRequest
	case errors.Is(err, ErrTooLarge):
		return http.StatusRequestHeaderFieldsTooLarge
	}
	return http.StatusBadGateway
}
