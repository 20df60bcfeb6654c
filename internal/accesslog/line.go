package accesslog

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"millrace/internal/placeholder"
)

// stamp is a second as the log writes it. It is made once a second: formatting
// it would cost more than the rest of a line.
type stamp struct {
	second int64
	text   string
}

func (l *Log) timestamp(t time.Time) string {
	second := t.Unix()
	s := l.stamp.Load()
	if s == nil || s.second != second {
		s = &stamp{second, t.Format("[02/Jan/2006:15:04:05 -0700]")}
		l.stamp.Store(s)
	}
	return s.text
}

// appendLine appends the line of a request. A status of 0 is unknown.
func (l *Log) appendLine(b []byte, r *http.Request, start time.Time, status int, size int64) []byte {
	b = appendHost(b, r.RemoteAddr)
	b = append(b, " - "...)
	b = appendUser(b, r)
	b = append(b, ' ')
	b = append(b, l.timestamp(start)...)
	b = append(b, ` "`...)
	b = appendEscaped(b, r.Method, quoted)
	b = append(b, ' ')
	b = appendEscaped(b, uriOf(r), quoted)
	b = append(b, ' ')
	b = appendEscaped(b, r.Proto, quoted)
	b = append(b, `" `...)
	b = appendNumber(b, int64(status))
	b = append(b, ' ')
	b = appendNumber(b, size)
	b = append(b, ` "`...)
	b = appendHeader(b, r.Header["Referer"])
	b = append(b, `" "`...)
	b = appendHeader(b, r.Header["User-Agent"])
	b = append(b, `" "`...)
	b = appendHeader(b, r.Header["X-Request-Id"])
	return append(b, '"', '\n')
}

// appendNumber appends n; nothing is "-", as in Apache.
func appendNumber(b []byte, n int64) []byte {
	if n <= 0 {
		return append(b, '-')
	}
	return strconv.AppendInt(b, n, 10)
}

// appendHost appends an address without its port.
func appendHost(b []byte, addr string) []byte {
	if i := strings.LastIndexByte(addr, ':'); i >= 0 && strings.IndexByte(addr[i:], ']') < 0 {
		addr = addr[:i]
	}
	addr = strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]")
	if addr == "" || addr == "@" { // a Unix socket's
		return append(b, '-')
	}
	return appendEscaped(b, addr, bare)
}

// uriOf is the request's target as it came.
func uriOf(r *http.Request) string {
	if r.RequestURI != "" {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}

// userOf is the user that the client has proved to be. Whom a request merely
// names may be anyone.
func userOf(r *http.Request) string {
	if f := placeholder.FoundOf(r); f != nil {
		return f.User
	}
	return ""
}

func appendUser(b []byte, r *http.Request) []byte {
	if user := userOf(r); user != "" {
		return appendEscaped(b, user, bare)
	}
	return append(b, '-')
}

func appendHeader(b []byte, values []string) []byte {
	if len(values) == 0 {
		return append(b, '-')
	}
	return appendEscaped(b, values[0], quoted)
}

// How a field is set apart from the next: by quotes, or by the blank alone;
// then blanks in it are escaped, too, so that no user's name makes fields.
// Within JSON it is as JSON has it.
type kind = byte

const (
	quoted kind = 1
	bare   kind = 2
	inJSON kind = 4
)

// escape tells for each byte in which kinds of field it has to be escaped.
var escape = func() (t [256]byte) {
	for c := range t {
		if c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			t[c] = quoted | bare | inJSON
		}
	}
	t[' '] = bare
	return t
}()

// appendEscaped appends s as Apache's ap_escape_logitem does: quotes and
// backslashes with a backslash, some control characters by their C names, and
// other bytes that are not printable ASCII as \xhh.
func appendEscaped(b []byte, s string, kind byte) []byte {
	const hex = "0123456789abcdef"
	from := 0
	for i := range len(s) {
		c := s[i]
		if escape[c]&kind == 0 {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		case '\v':
			b = append(b, `\v`...)
		default:
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		}
	}
	return append(b, s[from:]...)
}
