package accesslog

// What a line looks like: one of the formats that have names, or a text with
// placeholders.

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"millrace/internal/placeholder"
)

// Format is how a request becomes a line. It does not change.
type Format struct {
	kind  formatKind
	parts []part // of a text
	keep  bool   // what is found out about the request is read after it
	needs placeholder.Needs
	timed bool // it tells {upstream_time}
}

// Needs is what the format wants to be found out about a request.
func (f *Format) Needs() placeholder.Needs { return f.needs }

type formatKind uint8

const (
	combined formatKind = iota
	vhost
	object
	text
)

// part is a piece of a text: fixed, or a value that is escaped.
type part struct {
	fixed  string
	value  *placeholder.Text
	escape kind
}

// Names are the placeholders that a format has beside those of every text.
var Names = []string{
	"status", "bytes", "duration", "request_time_ms", "time", "time_iso", "time_unix", "request", "protocol",
	"user", "site", "app", "upstream", "upstream_time", "response.NAME",
}

// ParseFormat reads a format: "combined" (or nothing), "vhost", "json", or a
// text with placeholders: those of package placeholder and Names. Escaped as
// a combined line is, within double quotes; elsewhere blanks are escaped as
// well, so that no value makes fields; a value that is not there is "-". A text
// that begins with a brace ("{{") is a JSON object: its values are escaped as
// the insides of JSON's strings, and "" when they are not there.
func ParseFormat(s string, scope placeholder.Scope) (*Format, error) {
	switch s {
	case "", "combined":
		return &Format{kind: combined, needs: placeholder.NeedsID}, nil
	case "vhost":
		return &Format{kind: vhost, needs: placeholder.NeedsID}, nil
	case "json":
		return &Format{kind: object, needs: placeholder.NeedsID}, nil
	}
	if !strings.Contains(s, "{") {
		return nil, fmt.Errorf(`no placeholder in %q: the formats with names are "combined", "vhost" and "json"`, s)
	}
	scope.Extra, scope.ExtraNames, scope.Response = extra, Names, true
	t, err := placeholder.Parse(s, scope)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(t.String(), func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return nil, fmt.Errorf("control character in %q: each request has one line", s)
	}
	needs := t.Needs() &^ placeholder.NeedsResponse
	f := &Format{kind: text, keep: needs&^placeholder.NeedsID != 0, needs: needs, timed: strings.Contains(s, "{upstream_time}")}
	quotes, isObject := 0, strings.HasPrefix(s, "{{")
	for _, piece := range t.Parts() {
		if fixed, ok := piece.Constant(); ok {
			f.parts = append(f.parts, part{fixed: fixed})
			quotes += strings.Count(fixed, `"`)
			continue
		}
		p := part{value: piece, escape: bare}
		switch name := strings.Trim(piece.String(), "{}"); {
		case name == "user":
			f.keep = true
		case name == "time": // ours, with a blank
			p.escape = quoted
		}
		switch {
		case isObject:
			p.escape = inJSON
		case quotes%2 == 1:
			p.escape = quoted
		}
		f.parts = append(f.parts, p)
	}
	return f, nil
}

// entry is what is known of a request at its end.
type entry struct {
	log    *Log
	r      *http.Request
	start  time.Time
	took   time.Duration
	status int
	size   int64
	header http.Header // of the response
	site   string

	app, upstream string // that has answered
	waited        time.Duration
}

// ResponseHeader implements placeholder.Responded.
func (e *entry) ResponseHeader() http.Header { return e.header }

// append appends the request's line.
func (f *Format) append(b []byte, e *entry) []byte {
	switch f.kind {
	case vhost:
		b = appendEscaped(b, e.siteName(), bare)
		b = append(b, ':')
		b = append(b, e.port()...)
		b = append(b, ' ')
	case object:
		return appendObject(b, e)
	case text:
		return f.appendText(b, e)
	}
	return e.log.appendLine(b, e.r, e.start, e.status, e.size)
}

func (f *Format) appendText(b []byte, e *entry) []byte {
	for i := range f.parts {
		p := &f.parts[i]
		if p.value == nil {
			b = append(b, p.fixed...)
			continue
		}
		from := len(b)
		if b = p.value.AppendWith(b, e.r, e); len(b) == from && p.escape != inJSON {
			b = append(b, '-')
		}
		b = escapeTail(b, from, p.escape)
	}
	return append(b, '\n')
}

// escapeTail escapes what was appended from a place on.
func escapeTail(b []byte, from int, k kind) []byte {
	for _, c := range b[from:] {
		if escape[c]&k != 0 {
			tail := string(b[from:])
			if k == inJSON {
				return appendJSON(b[:from], tail)
			}
			return appendEscaped(b[:from], tail, k)
		}
	}
	return b
}

// siteName is the site's name, for want of one the host that the client named.
func (e *entry) siteName() string {
	if e.site != "" {
		return e.site
	}
	host := e.r.Host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	if host == "" {
		return "-"
	}
	return lower(strings.TrimSuffix(host, "."))
}

// lower is a host in lower case, as ASCII has it: strings.ToLower would change
// bytes that are no text.
func lower(host string) string {
	for i := range len(host) {
		if 'A' <= host[i] && host[i] <= 'Z' {
			b := []byte(host)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return host
}

// port is that which the request came to.
func (e *entry) port() string {
	if a, ok := localAddr(e.r.Context()).(*net.TCPAddr); ok {
		return strconv.Itoa(a.Port)
	}
	if e.r.TLS != nil {
		return "443"
	}
	return "80"
}

func localAddr(ctx context.Context) net.Addr {
	addr, _ := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	return addr
}

// extra finds the placeholders of a log alone.
func extra(name string) placeholder.Value {
	value, ok := extras[name]
	if !ok {
		return nil
	}
	return func(b []byte, _ *http.Request, with any) []byte { return value(b, with.(*entry)) }
}

var extras = map[string]func(b []byte, e *entry) []byte{
	"status":          func(b []byte, e *entry) []byte { return strconv.AppendInt(b, int64(e.status), 10) },
	"bytes":           func(b []byte, e *entry) []byte { return strconv.AppendInt(b, e.size, 10) },
	"duration":        func(b []byte, e *entry) []byte { return strconv.AppendFloat(b, e.took.Seconds(), 'f', 3, 64) },
	"request_time_ms": func(b []byte, e *entry) []byte { return appendMillis(b, e.took) },
	"time": func(b []byte, e *entry) []byte {
		stamp := e.log.timestamp(e.start)
		return append(b, stamp[1:len(stamp)-1]...)
	},
	"time_iso":  func(b []byte, e *entry) []byte { return e.start.AppendFormat(b, isoTime) },
	"time_unix": func(b []byte, e *entry) []byte { return appendMillisOf(b, e.start.UnixMilli()) },
	"request":   func(b []byte, e *entry) []byte { return appendRequest(b, e.r) },
	"protocol":  func(b []byte, e *entry) []byte { return append(b, e.r.Proto...) },
	"user":      func(b []byte, e *entry) []byte { return append(b, userOf(e.r)...) },
	"site":      func(b []byte, e *entry) []byte { return append(b, e.siteName()...) },
	"app":       func(b []byte, e *entry) []byte { return append(b, e.app...) },
	"upstream":  func(b []byte, e *entry) []byte { return append(b, e.upstream...) },
	"upstream_time": func(b []byte, e *entry) []byte {
		if e.app == "" && e.upstream == "" {
			return b
		}
		return strconv.AppendFloat(b, e.waited.Seconds(), 'f', 3, 64)
	},
}

// isoTime is RFC 3339 with milliseconds.
const isoTime = "2006-01-02T15:04:05.000Z07:00"

// appendMillis appends milliseconds with three digits behind the point.
func appendMillis(b []byte, d time.Duration) []byte { return appendMillisOf(b, d.Microseconds()) }

// appendMillisOf appends a number of thousandths.
func appendMillisOf(b []byte, n int64) []byte {
	b = strconv.AppendInt(b, n/1000, 10)
	return append(b, '.', '0'+byte(n/100%10), '0'+byte(n/10%10), '0'+byte(n%10))
}

func appendRequest(b []byte, r *http.Request) []byte {
	b = append(append(b, r.Method...), ' ')
	b = append(append(b, uriOf(r)...), ' ')
	return append(b, r.Proto...)
}
