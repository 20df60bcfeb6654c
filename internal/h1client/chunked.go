package h1client

// This file: the chunked transfer coding (RFC 9112, section 7.1).

import (
	"bytes"
	"net/http"
	"strings"

	"millrace/gateway"
	"millrace/internal/field"
)

const (
	maxChunkLine = 1 << 10    // a chunk's size and its extensions, which nobody uses
	maxTrailers  = bufferSize // bytes of all trailers
	maxChunk     = 1<<62 - 1
)

// chunked decodes a body whose bytes come piece by piece.
type chunked struct {
	state     chunkState
	left      int64 // of the chunk's data
	done      bool
	announced []string // values of the head's Trailer
	trailer   http.Header
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkData
	chunkEnd // the CR LF behind the data
	chunkTrailers
)

// next takes the next part of b, which begins with what is not taken yet. data
// is of the body, and part of b; used is how many bytes of b were taken. 0:
// more has to come.
func (d *chunked) next(b []byte) (data []byte, used int, err error) {
	switch d.state {
	case chunkData:
		n := int(min(int64(len(b)), d.left))
		d.took(int64(n))
		return b[:n], n, nil
	case chunkEnd:
		switch {
		case len(b) > 0 && b[0] != '\r', len(b) > 1 && b[1] != '\n':
			return nil, 0, malformed("no CR LF behind a chunk, but %.16q", b)
		case len(b) < 2:
			return nil, 0, nil
		}
		d.state = chunkSize
		return nil, 2, nil
	case chunkTrailers:
		used, err = d.trailers(b)
		return nil, used, err
	}
	i := bytes.IndexByte(b[:min(len(b), maxChunkLine)], '\n')
	switch {
	case i < 0 && len(b) >= maxChunkLine:
		return nil, 0, malformed("the size of a chunk is a line of more than %d bytes", maxChunkLine)
	case i < 0:
		return nil, 0, nil
	case i == 0 || b[i-1] != '\r':
		return nil, 0, malformed("the size of a chunk ends without CR: %.32q", b[:i])
	}
	if d.left, err = parseChunk(b[:i-1]); err != nil {
		return nil, 0, err
	}
	d.state = chunkData
	if d.left == 0 {
		d.state = chunkTrailers
	}
	return nil, i + 1, nil
}

// took notes n bytes of data.
func (d *chunked) took(n int64) {
	if d.left -= n; d.left == 0 {
		d.state = chunkEnd
	}
}

// parseChunk reads a chunk's size. Its extensions are passed over.
func parseChunk(line []byte) (int64, error) {
	size, ext, has := bytes.Cut(line, []byte(";"))
	size = bytes.TrimRight(size, " \t") // some servers pad it
	if len(size) == 0 || len(size) > 16 || has && !field.IsValue(string(ext)) {
		return 0, malformed("bad size of a chunk: %.32q", line)
	}
	n := int64(0)
	for _, c := range size {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, malformed("bad size of a chunk: %.32q", line)
		}
		if n > maxChunk>>4 {
			return 0, malformed("the size of a chunk is beyond all bounds: %.32q", line)
		}
		n = n<<4 | int64(c)
	}
	return n, nil
}

// trailers reads what follows the last chunk, when all of it is here.
func (d *chunked) trailers(b []byte) (used int, err error) {
	end := 0
	switch {
	case len(b) >= 2 && b[0] == '\r' && b[1] == '\n':
		d.done = true
		return 2, nil
	default:
		end = bytes.Index(b, []byte("\r\n\r\n"))
	}
	if end < 0 {
		if len(b) >= maxTrailers {
			return 0, malformed("trailers of more than %d bytes", maxTrailers)
		}
		return 0, nil
	}
	lines := strings.Split(string(b[:end]), "\r\n")
	if len(lines) > maxFields {
		return 0, malformed("more than %d trailers", maxFields)
	}
	for _, line := range lines {
		if line[0] == ' ' || line[0] == '\t' {
			return 0, malformed("a folded trailer: %.64q", line)
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return 0, malformed("a trailer without a colon: %.64q", line)
		}
		value = strings.Trim(value, " \t")
		canonical, keep, err := gateway.AppHeader(name, value)
		if err != nil {
			return 0, malformed("%w", err)
		}
		if keep && MayTrail(canonical) && d.isAnnounced(canonical) {
			if d.trailer == nil {
				d.trailer = make(http.Header)
			}
			d.trailer[canonical] = append(d.trailer[canonical], value)
		}
	}
	d.done = true
	return end + 4, nil
}

// isAnnounced reports whether the head has said that a trailer will come: who
// passes on what was not announced may undo what was decided by the head.
func (d *chunked) isAnnounced(name string) bool {
	for _, value := range d.announced {
		if field.HasToken(value, name) {
			return true
		}
	}
	return false
}

// MayTrail reports whether a field, by its canonical name, may be a trailer: not
// one that says how the message is framed, routed, kept or understood (RFC 9110,
// section 6.5.1).
func MayTrail(name string) bool {
	switch name {
	case "Age", "Authorization", "Cache-Control", "Content-Encoding", "Content-Length", "Content-Range", "Content-Type", "Date",
		"Expires", "Host", "Location", "Max-Forwards", "Pragma", "Proxy-Authenticate", "Range", "Retry-After", "Set-Cookie",
		"Status", "Vary", "Warning", "Www-Authenticate":
		return false
	}
	return !strings.HasPrefix(name, "X-Accel-") && name != "X-Sendfile"
}
