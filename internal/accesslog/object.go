package accesslog

// A line that is a JSON object (RFC 8259).

import (
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// appendObject appends a request as an object.
func appendObject(b []byte, e *entry) []byte {
	r := e.r
	b = append(b, `{"time":"`...)
	b = e.start.AppendFormat(b, isoTime)
	b = append(b, `","client":"`...)
	from := len(b)
	if b = appendHost(b, r.RemoteAddr); string(b[from:]) == "-" {
		b = b[:from]
	}
	b = escapeTail(b, from, inJSON)
	b = appendField(append(b, '"'), "user", userOf(r))
	b = appendField(b, "site", e.siteName())
	b = appendField(b, "host", r.Host)
	b = appendField(b, "method", r.Method)
	b = appendField(b, "uri", uriOf(r))
	b = appendField(b, "protocol", r.Proto)
	b = append(b, `,"tls":`...)
	b = strconv.AppendBool(b, r.TLS != nil)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(e.status), 10)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, e.size, 10)
	b = append(b, `,"duration_ms":`...)
	b = appendMillis(b, e.took)
	b = appendField(b, "referer", first(r.Header["Referer"]))
	b = appendField(b, "user_agent", first(r.Header["User-Agent"]))
	b = appendField(b, "request_id", first(r.Header["X-Request-Id"]))
	if e.app != "" {
		b = appendField(b, "app", e.app)
	}
	if e.upstream != "" {
		b = appendField(b, "upstream", e.upstream)
	}
	return append(b, '}', '\n')
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// appendField appends another member, whose name needs no escape.
func appendField(b []byte, name, value string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, `":"`...)
	return append(appendJSON(b, value), '"')
}

// appendJSON appends s as the inside of a string: what is not UTF-8 byte by byte
// as \xhh, as in a combined line, with its backslash escaped; control characters,
// those of C1 included, and what ends a line for JavaScript as \uhhhh.
func appendJSON(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if escape[c]&inJSON == 0 {
			i++
			continue
		}
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
			if n > 1 && r > 0x9f && r != '\u2028' && r != '\u2029' {
				i += n
				continue
			}
		}
		b = append(b, s[from:i]...)
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(b, '\\', '\\', 'x', hex[c>>4], hex[c&15])
		case r == '"', r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\r':
			b = append(b, `\r`...)
		default:
			b = append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		}
		i += n
		from = i
	}
	return append(b, s[from:]...)
}

// Answered notes who answers a request, and that it is asked now, for formats
// that tell that. w is what a
// handler within Wrap got; app or upstream may be empty.
func Answered(w http.ResponseWriter, app, upstream string) {
	if own := writerOf(w); own != nil {
		own.app, own.upstream = app, upstream
		if own.timed {
			own.asked = time.Now()
		}
	}
}

// Unlogged has the request of w make no line.
func Unlogged(w http.ResponseWriter) {
	if own := writerOf(w); own != nil {
		own.unlogged = true
	}
}

// writerOf is the writer of Wrap that w is around; nil: there is none.
func writerOf(w http.ResponseWriter) *writer {
	for w != nil {
		if own, ok := w.(*writer); ok {
			return own
		}
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = inner.Unwrap()
	}
	return nil
}
