package h1

// This file: from the bytes of a request's head to an http.Request (RFC 9112,
// sections 2, 3, 5 and 6).

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"millrace/internal/field"
)

// maxFields is how many header lines a request may have: their bytes are
// bounded by MaxHeader, what they cost here in maps is not.
const maxFields = 512

// refusal is the error for a request that is answered by its status alone,
// after which the connection closes.
type refusal struct {
	status int
	why    string // for the log, and the client
}

func (r *refusal) Error() string { return r.why }

func refuse(status int, why string) *refusal { return &refusal{status, why} }

func bad(why string) *refusal { return &refusal{http.StatusBadRequest, why} }

// scanner looks for the end of a head in bytes that come piece by piece.
// Lines end with CR LF, and with nothing else.
type scanner struct {
	at    int   // bytes that were looked at: a line begins here
	lines []int // where each line ends, before its CR LF
}

func (s *scanner) reset() { s.at, s.lines = 0, s.lines[:0] }

// scan goes on with b, which begins with the bytes of the last time. done: the
// head ends before s.at.
func (s *scanner) scan(b []byte, max int) (done bool, err error) {
	for {
		i := bytes.IndexByte(b[s.at:], '\n')
		switch {
		case i < 0 && len(b) <= max:
			return false, nil
		case i < 0 || s.at+i+1 > max:
			return false, s.tooLong()
		case i == 0 || b[s.at+i-1] != '\r':
			return false, bad("a line that ends without CR")
		case i == 1:
			if len(s.lines) == 0 {
				return false, bad("an empty line in place of a request")
			}
			s.at += 2
			return true, nil
		case len(s.lines) > maxFields:
			return false, refuse(http.StatusRequestHeaderFieldsTooLarge, "too many header lines")
		}
		s.lines = append(s.lines, s.at+i-1)
		s.at += i + 1
	}
}

func (s *scanner) tooLong() *refusal {
	if len(s.lines) == 0 {
		return refuse(http.StatusRequestURITooLong, "the request line is too long")
	}
	return refuse(http.StatusRequestHeaderFieldsTooLarge, "the header is too long")
}

// framing is what a head says of the message, and of the connection.
type framing struct {
	length   int64 // of the body; -1: chunked
	hasLen   bool
	chunked  bool
	expect   bool // 100-continue
	close    bool // after the response
	told     bool // the client has said so, and well
	keep10   bool // an HTTP/1.0 client asks to keep the connection
	host     string
	hosts    int
	codings  int
	pragma   bool
	cacheCtl bool
}

// parse makes a request of a whole head, whose lines s has found. All strings
// of r are parts of head. u is r's URL.
func (s *scanner) parse(head string, r *http.Request, u *url.URL) (f framing, err error) {
	if err = parseLine(head[:s.lines[0]], r, u); err != nil {
		return f, err
	}
	fields := s.lines[1:]
	r.Header = make(http.Header, min(len(fields)+2, maxFields)) // two that the front adds
	values := make([]string, len(fields))                       // a header's slice is a part of this one
	begin := s.lines[0] + 2
	for i, end := range fields {
		line := head[begin:end]
		begin = end + 2
		if line[0] == ' ' || line[0] == '\t' {
			return f, bad("a folded line") // RFC 9112, 5.2
		}
		colon := strings.IndexByte(line, ':')
		if colon < 0 {
			return f, bad("a header line without a colon")
		}
		name, ok := canonical(line[:colon])
		if !ok {
			return f, bad("a header line whose name is none")
		}
		value := field.Trim(line[colon+1:])
		if !field.IsValue(value) {
			return f, bad("a control character in a header")
		}
		kept, err := f.field(name, value, r)
		if err != nil {
			return f, err
		}
		if !kept {
			continue
		}
		if have, ok := r.Header[name]; ok {
			r.Header[name] = append(have, value)
			continue
		}
		values[i] = value
		r.Header[name] = values[i : i+1 : i+1]
	}
	return f, f.finish(r, u)
}

// field notes what the server itself needs to know. kept: the handler sees it.
func (f *framing) field(name, value string, r *http.Request) (kept bool, err error) {
	switch name {
	case "Host":
		f.hosts++
		f.host = value
		if f.hosts > 1 {
			return false, bad("more than one Host")
		}
		return false, checkHost(value)
	case "Content-Length":
		if f.hasLen {
			return false, bad("more than one Content-Length")
		}
		f.hasLen = true
		f.length, err = parseLength(value)
		return true, err
	case "Transfer-Encoding":
		if f.codings++; f.codings > 1 {
			return false, bad("more than one Transfer-Encoding")
		}
		if value == "" {
			return false, bad("an empty Transfer-Encoding")
		}
		if !field.EqualFold(value, "chunked") {
			return false, refuse(http.StatusNotImplemented, "unsupported transfer encoding")
		}
		return false, nil
	case "Connection":
		f.told = f.told || field.HasToken(value, "close")
		f.close = f.close || hasWord(value, "close")
		f.keep10 = f.keep10 || field.HasToken(value, "keep-alive")
	case "Expect":
		if value != "" && !field.EqualFold(value, "100-continue") {
			return false, refuse(http.StatusExpectationFailed, "an expectation other than 100-continue")
		}
		f.expect = value != ""
	case "Pragma":
		f.pragma = f.pragma || len(r.Header[name]) == 0 && value == "no-cache"
	case "Cache-Control":
		f.cacheCtl = true
	}
	return true, nil
}

func parseLength(value string) (int64, error) {
	if value == "" {
		return 0, bad("an empty Content-Length")
	}
	for i := range len(value) {
		if value[i] < '0' || value[i] > '9' {
			return 0, bad("a Content-Length that is no number")
		}
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, bad("a Content-Length beyond all bounds")
	}
	return n, nil
}

// finish sees that the parts fit together.
func (f *framing) finish(r *http.Request, u *url.URL) error {
	old := r.ProtoMinor == 0
	switch {
	case f.hosts == 0 && !old:
		return bad("no Host")
	case f.codings > 0 && old:
		return bad("Transfer-Encoding in HTTP/1.0") // RFC 9112, 6.1: faulty framing
	case f.codings > 0 && f.hasLen:
		return bad("both Content-Length and Transfer-Encoding")
	}
	if r.Host = u.Host; r.Host == "" {
		r.Host = f.host
	}
	if f.chunked = f.codings > 0; f.chunked {
		f.length = -1
		r.TransferEncoding = []string{"chunked"}
		for _, names := range r.Header["Trailer"] {
			if field.HasToken(names, "transfer-encoding") || field.HasToken(names, "content-length") || field.HasToken(names, "trailer") {
				return bad("a Trailer that would change the framing")
			}
		}
		delete(r.Header, "Trailer") // what follows the last chunk is dropped
	}
	r.ContentLength = f.length
	r.Close = f.told || old && !f.keep10
	f.close = f.close || r.Close
	f.keep10 = old && !f.close
	f.expect = f.expect && !old && f.length != 0
	if f.pragma && !f.cacheCtl {
		r.Header["Cache-Control"] = []string{"no-cache"} // as net/http has it
	}
	return nil
}
