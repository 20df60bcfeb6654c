package h1client

// This file: the head of a response (RFC 9112, sections 4, 5 and 6).

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"millrace/gateway"
	"millrace/internal/field"
)

// maxFields is how many lines a head, or the trailers, may have: their bytes
// are bounded by MaxHead, what they cost here in maps is not.
const maxFields = 512

// malformed is the error for what is no response.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", gateway.ErrBadResponse, fmt.Errorf(format, args...))
}

// head is the head of a response, and what it says of the message.
type head struct {
	gateway.Head
	chunked  bool
	old      bool     // HTTP/1.0
	last     bool     // the connection closes after the message
	careless bool     // its framing is clear, its lines are not as they should be
	upgrade  string   // of Upgrade
	named    []string // values of Connection
	announce []string // values of Trailer
	codings  int
}

// headEnd is where the head at the start of b ends, behind its empty line; 0 if
// it does not. It looks from the byte at on, which begins a line, and returns
// where the last line begins that it has seen.
func headEnd(b []byte, at int) (end, line int) {
	for {
		i := bytes.IndexByte(b[at:], '\n')
		switch {
		case i < 0:
			return 0, at
		case at > 0 && (i == 0 || i == 1 && b[at] == '\r'):
			return at + i + 1, at
		}
		at += i + 1
	}
}

// parse reads a whole head.
func (h *head) parse(text string) error {
	line, rest, _ := strings.Cut(text, "\n")
	if err := h.statusLine(h.ended(line)); err != nil {
		return err
	}
	h.ContentLength = -1
	n := min(strings.Count(rest, "\n"), maxFields)
	h.Header = make(http.Header, min(n, 16))
	values := make([]string, 0, n) // the headers' one-value slices are parts of this one
	for count := 0; ; count++ {
		line, rest, _ = strings.Cut(rest, "\n")
		if line = h.ended(line); line == "" {
			break
		}
		if count == maxFields {
			return malformed("more than %d header lines", maxFields)
		}
		name, value, err := h.split(line)
		if err != nil {
			return err
		}
		canonical, kind, err := fieldOf(name, value)
		switch {
		case err != nil:
			return err
		case kind == ofConnection:
			if err := h.hop(canonical, value); err != nil {
				return err
			}
			continue
		case kind == lengthField:
			length, err := gateway.ParseLength(value)
			if err != nil || h.ContentLength >= 0 && h.ContentLength != length {
				return malformed("bad Content-Length %.64q", value)
			}
			if h.ContentLength >= 0 {
				h.careless = true
				continue
			}
			h.ContentLength = length
		}
		if have, ok := h.Header[canonical]; ok {
			h.Header[canonical] = append(have, value)
			continue
		}
		values = append(values, value)
		h.Header[canonical] = values[len(values)-1 : len(values) : len(values)]
	}
	return h.complete()
}

// ended takes the CR of its end from a line.
func (h *head) ended(line string) string {
	if n := len(line) - 1; n >= 0 && line[n] == '\r' {
		return line[:n]
	}
	h.careless = true // RFC 9112, 2.2: a recipient may take LF alone
	return line
}

// split parts a header line.
func (h *head) split(line string) (name, value string, err error) {
	if line[0] == ' ' || line[0] == '\t' {
		return "", "", malformed("a folded header line: %.64q", line) // RFC 9112, 5.2
	}
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return "", "", malformed("a header line without a colon: %.64q", line)
	}
	if n := len(name) - 1; n > 0 && (name[n] == ' ' || name[n] == '\t') {
		h.careless = true // RFC 9112, 5.1: a proxy removes it from a response
		name = strings.TrimRight(name, " \t")
	}
	return name, field.Trim(value), nil
}

// statusLine reads "HTTP/1.1 200 OK" (RFC 9112, section 4). The reason, and the
// space before it, may be missing: many servers send none.
func (h *head) statusLine(line string) error {
	const version = "HTTP/1."
	if len(line) < len("HTTP/1.1 200") || line[:len(version)] != version || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return malformed("bad status line %.64q: want HTTP/1.1 and three digits", line)
	}
	switch line[7] {
	case '0':
		h.old, h.last = true, true
	case '1':
	default:
		return malformed("bad version in the status line %.64q", line)
	}
	for i := 9; i < 12; i++ {
		if line[i] < '0' || line[i] > '9' {
			return malformed("bad status line %.64q: want HTTP/1.1 and three digits", line)
		}
		h.Status = h.Status*10 + int(line[i]-'0')
	}
	if h.Status < 100 {
		return malformed("bad status %d", h.Status)
	}
	for i := 12; i < len(line); i++ {
		if c := line[i]; c < ' ' && c != '\t' || c == 0x7f {
			return malformed("control character in the status line %.64q", line)
		}
	}
	return nil
}

// hop notes a field that is for this connection alone.
func (h *head) hop(name, value string) error {
	switch name {
	case "Connection":
		h.named = append(h.named, value)
		h.last = h.last || field.HasToken(value, "close")
	case "Transfer-Encoding":
		if h.codings++; h.codings > 1 || !field.EqualFold(value, "chunked") {
			return malformed("Transfer-Encoding %.64q: want chunked, once", value)
		}
		h.chunked = true
	case "Upgrade":
		if h.upgrade != "" {
			h.upgrade += ", "
		}
		h.upgrade += value
	case "Trailer":
		h.announce = append(h.announce, value)
	}
	return nil
}

// complete sees that the parts fit together.
func (h *head) complete() error {
	switch {
	case h.chunked && h.ContentLength >= 0:
		return malformed("both Content-Length and Transfer-Encoding") // RFC 9112, 6.3
	case h.chunked && h.old:
		return malformed("Transfer-Encoding in HTTP/1.0") // RFC 9112, 6.1: faulty framing
	}
	for _, value := range h.named {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); !strings.EqualFold(name, "close") && !strings.EqualFold(name, "keep-alive") {
				h.Header.Del(name)
			}
		}
	}
	return nil
}
