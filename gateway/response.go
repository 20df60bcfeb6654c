package gateway

import (
	"fmt"
	"net/textproto"
	"strings"
)

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
