package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// Head is the head of a response.
type Head struct {
	// Status is the HTTP status, 200 where the back end named none, 302 where
	// it gave only an absolute Location.
	Status int

	// Header holds what may be passed on to a client: no Status, nothing that
	// belongs to the connection, no Variable-* of an authorizer.
	Header http.Header

	// ContentLength is what the header of that name says; negative: nothing.
	ContentLength int64

	// LocalRedirect is the path and query of a local redirect (RFC 3875,
	// section 6.2.2): a Location that begins with "/", without a Status. The
	// server answers as if that had been asked for, after every check that it
	// would make of a client's request.
	LocalRedirect string

	// Variables are what an authorizer adds to the request's environment
	// (FastCGI 1.0, section 6.3), in the order and the spelling of its
	// Variable-* headers.
	Variables []Param

	// Dropped are the names of headers that were left out because they belong
	// to the connection (RFC 9110, section 7.6.1).
	Dropped []string
}

// DefaultMaxHead is how many bytes of a response's head a client takes unless
// it is told otherwise.
const DefaultMaxHead = 256 << 10

// ParseHead reads the head of a CGI response (RFC 3875, section 6) from the
// start of b and returns how many bytes it takes. 0 without an error: b ends
// before the head does.
//
// Lines end in LF or CRLF. A first line "HTTP/1.1 404 Not Found" stands for
// Status: uWSGI and many programs that serve several protocols send it. What
// no front server should pass on is an error that wraps ErrBadResponse: a line
// without a colon, a folded line, a name that is no token, a control
// character, a Status that is not three digits, two that differ, a
// Content-Length that is no number, a head without any header. There is no
// default Content-Type.
func ParseHead(b []byte) (*Head, int, error) {
	end := headEnd(b)
	if end == 0 {
		return nil, 0, nil
	}
	text := string(b[:end]) // the headers' strings are parts of this one
	h := &Head{ContentLength: -1, Header: make(http.Header, 8)}
	if err := h.parse(text); err != nil {
		return nil, end, fmt.Errorf("%w: %w", ErrBadResponse, err)
	}
	return h, end, nil
}

// headEnd is where a head ends, after its empty line; 0 if it does not.
func headEnd(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return 0
		}
		at += i + 1
		switch {
		case i == 0, i == 1 && b[at-2] == '\r':
			return at
		}
	}
}

func (h *Head) parse(text string) error {
	values := make([]string, 0, 8) // the headers' one-value slices are parts of this one
	location := ""
	first := true
	for {
		line, rest, _ := strings.Cut(text, "\n")
		line, text = strings.TrimSuffix(line, "\r"), rest
		if line == "" {
			break
		}
		if first && strings.HasPrefix(line, "HTTP/") {
			_, status, _ := strings.Cut(line, " ")
			if err := h.setStatus(strings.TrimLeft(status, " ")); err != nil {
				return err
			}
			first = false
			continue
		}
		first = false
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return fmt.Errorf("gateway: a header line without a colon: %.64q", line)
		}
		value = strings.Trim(value, " \t")
		name, keep, err := AppHeader(name, value)
		switch {
		case err != nil:
			return err
		case !keep:
			h.Dropped = append(h.Dropped, name)
			continue
		}
		switch {
		case name == "Status":
			if err := h.setStatus(value); err != nil {
				return err
			}
			continue
		case name == variablePrefix:
			return fmt.Errorf("gateway: a variable without a name: %.64q", line)
		case strings.HasPrefix(name, variablePrefix):
			h.Variables = append(h.Variables, Param{name[len(variablePrefix):], value})
			continue
		case name == "Content-Length":
			n, err := ParseLength(value)
			if err != nil || h.ContentLength >= 0 && h.ContentLength != n {
				return fmt.Errorf("gateway: bad Content-Length %.64q", value)
			}
			if h.ContentLength >= 0 {
				continue
			}
			h.ContentLength = n
		case name == "Location":
			if _, ok := h.Header[name]; ok {
				return errors.New("gateway: two Location headers")
			}
			location = value
		}
		if have, ok := h.Header[name]; ok {
			h.Header[name] = append(have, value)
			continue
		}
		values = append(values, value)
		h.Header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	return h.complete(location)
}

// complete finds the status of a head that names none.
func (h *Head) complete(location string) error {
	switch {
	case h.Status != 0:
	case location == "":
		if len(h.Header) == 0 && len(h.Variables) == 0 {
			return errors.New("gateway: a head without a header")
		}
		h.Status = http.StatusOK
	case location[0] == '/' && !strings.HasPrefix(location, "//"):
		h.Status = http.StatusOK
		h.LocalRedirect = location
		delete(h.Header, "Location")
	default:
		h.Status = http.StatusFound
	}
	return nil
}

func (h *Head) setStatus(status string) error {
	code, err := ParseStatus(status)
	if err == nil && h.Status != 0 && h.Status != code {
		err = fmt.Errorf("gateway: two statuses, %d and %d", h.Status, code)
	}
	h.Status = code
	return err
}

// variablePrefix begins the headers by which an authorizer adds parameters.
const variablePrefix = "Variable-"

// ParseLength reads a Content-Length or CONTENT_LENGTH: digits alone (RFC
// 9110, section 8.6).
func ParseLength(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || s[0] == '+' {
		return 0, fmt.Errorf("gateway: bad length %.64q: want digits", s)
	}
	return int64(n), nil
}

// ParseStatus returns the code of a CGI status, "404 Not Found" or "404"
// (RFC 3875, section 6.3.3). An interim status (1xx) is not one that an app
// can end a request with, and is an error.
func ParseStatus(status string) (int, error) {
	if len(status) < 3 || len(status) > 3 && status[3] != ' ' {
		return 0, fmt.Errorf("gateway: bad status %.64q: want three digits, then a space", status)
	}
	code := 0
	for i := range 3 {
		c := status[i]
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("gateway: bad status %.64q: want three digits, then a space", status)
		}
		code = code*10 + int(c-'0')
	}
	if code < 200 || code > 999 {
		return 0, fmt.Errorf("gateway: bad status %.64q: not a final status", status)
	}
	for i := range len(status) {
		if c := status[i]; c < ' ' && c != '\t' || c == 0x7f {
			return 0, fmt.Errorf("gateway: control character in status %.64q", status)
		}
	}
	return code, nil
}

// AppHeader checks a header that an app set and returns its canonical name.
// keep is false for a header that belongs to the connection, which is the
// server's (RFC 9110, section 7.6.1): it is not passed on. A name that is no
// token, and a value with CR, LF, NUL or another control character, are
// errors: the response must not be sent.
func AppHeader(name, value string) (canonical string, keep bool, err error) {
	if name == "" {
		return "", false, fmt.Errorf("gateway: header without a name, value %.64q", value)
	}
	for i := range len(name) {
		if !token[name[i]] {
			return "", false, fmt.Errorf("gateway: bad header name %.64q", name)
		}
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return "", false, fmt.Errorf("gateway: control character in the value of header %.64q: %.64q", name, value)
		}
	}
	if len(name) > len(variablePrefix) && strings.EqualFold(name[:len(variablePrefix)], variablePrefix) {
		return variablePrefix + name[len(variablePrefix):], true, nil // a parameter's name has its own spelling
	}
	canonical = textproto.CanonicalMIMEHeaderKey(name)
	switch canonical {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return canonical, false, nil
	}
	return canonical, true, nil
}

// token marks the bytes of a header's name (RFC 9110, section 5.6.2).
var token = func() (t [256]bool) {
	for c := range 256 {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			t[c] = true
		default:
			t[c] = c < 0x80 && strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0
		}
	}
	return t
}()
