package h1client

// This file: one request on one connection, up to the head of its response.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"millrace/gateway"
)

// maxEarly is how many interim responses a server may send before the one that
// counts.
const maxEarly = 32

// exchange sends req over k, which it owns from then on. A *deadError says that
// k had been kept, and that req may be sent over another connection.
func (c *Client) exchange(ctx context.Context, k *conn, req *Request) (*gateway.Response, error) {
	m := &message{c: c, k: k, ctx: ctx, buf: getBuffer(), kept: k.used}
	out, ready, err := req.first(&m.fields, m.buf.b[:0])
	if err != nil {
		k.close()
		m.buf.free()
		return nil, err
	}
	if k.used && !ready && !k.alive() {
		k.close()
		m.buf.free()
		return nil, gateway.ErrStale
	}
	m.stop = gateway.AfterFunc(ctx, m.abandon)
	if ready {
		// All of out is gone when the first byte comes in: one buffer does.
		var n int
		n, err = k.talk(out, m.buf.b)
		m.w, m.some = n, n > 0
		if err == gateway.ErrStale {
			m.end()
			k.close()
			m.buf.free()
			return nil, gateway.ErrStale
		}
	} else {
		m.up = startSender(m, req, out)
		m.buf = getBuffer() // the other is the sender's
	}
	if err == nil {
		err = m.head(req)
	}
	if err != nil {
		return nil, m.lost(err)
	}
	return &m.resp, nil
}

// first is what leaves in the first write; ready: that is all.
func (r *Request) first(f *Fields, b []byte) (out []byte, ready bool, err error) {
	if (r.Body == nil) != (r.ContentLength == 0) {
		return b, false, fmt.Errorf("a length of %d, and the body is another: %w", r.ContentLength, gateway.ErrBody)
	}
	if b, err = r.appendHead(f, b); err != nil || r.Body == nil {
		return b, true, err
	}
	if r.GetBody == nil || r.ContentLength < 0 || r.ContentLength > smallBody {
		return b, false, nil
	}
	at, size := len(b), int(r.ContentLength)
	if cap(b)-at < size {
		b = append(make([]byte, 0, at+size), b...)
	}
	b = b[:at+size]
	if _, err := io.ReadFull(r.Body, b[at:]); err != nil {
		return b, false, fmt.Errorf("%w: %w", gateway.ErrBody, err)
	}
	var one [1]byte
	if n, _ := r.Body.Read(one[:]); n > 0 {
		return b, false, fmt.Errorf("%w: it is longer than its length", gateway.ErrBody)
	}
	return b, true, nil
}

// head reads responses up to the one that counts, and gets its body going.
func (m *message) head(req *Request) error {
	for early := 0; ; early++ {
		text, err := m.headText()
		if err != nil {
			return err
		}
		var h head
		if err := h.parse(text); err != nil {
			return err
		}
		switch {
		case h.Status == http.StatusSwitchingProtocols && req.Upgrade != "" && h.upgrade != "" && !h.careless && !h.old && m.up == nil:
			m.upgraded(&h)
			return nil
		case h.Status == http.StatusSwitchingProtocols:
			return malformed("status 101, which was not asked for")
		case h.Status >= 200:
			m.begin(req, &h)
			return nil
		case early == maxEarly:
			return malformed("more than %d interim responses", maxEarly)
		case req.Early != nil && h.Status != http.StatusContinue:
			req.Early(h.Status, h.Header)
		}
		m.careless = m.careless || h.careless
	}
}

// headText reads one head.
func (m *message) headText() (string, error) {
	limit := m.c.maxHead()
	for at := 0; ; {
		b := m.buf.b[m.r:m.w]
		var end int
		if end, at = headEnd(b, at); end > 0 && end <= limit {
			m.r += end
			return string(b[:end]), nil // the headers' strings are parts of this one
		}
		if end > 0 || len(b) > limit {
			return "", malformed("its head has more than %d bytes", limit)
		}
		if len(b) >= len("HTTP/") && string(b[:5]) != "HTTP/" {
			return "", malformed("it begins with %.64q: want HTTP/1.1", b)
		}
		if err := m.fill(); err != nil {
			return "", err
		}
	}
}

// begin takes a final head, and what has come of the body.
func (m *message) begin(req *Request, h *head) {
	m.resp.Head = h.Head
	m.resp.Body = m
	m.keep = !h.last && !h.careless && !m.careless && req.mayKeep()
	switch {
	case req.Method == http.MethodHead, h.Status == http.StatusNoContent, h.Status == http.StatusNotModified:
		// RFC 9112, 6.3: no body, whatever the head says. What it says of one may
		// still be followed by one.
		m.framing, m.bodyless = byLength, true
		if h.Status == http.StatusNoContent && (h.chunked || h.ContentLength > 0) {
			m.keep = false
		}
	case h.chunked:
		m.framing, m.chunks.announced = byChunks, h.announce
	case h.ContentLength >= 0:
		m.framing, m.left = byLength, h.ContentLength
	default:
		m.framing, m.keep = byEnd, false
	}
	m.decode()
}

// lost ends an exchange that has no response, and says why.
func (m *message) lost(err error) error {
	m.abandon()
	m.end()
	m.buf.free()
	err = m.why(err)
	ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case errors.Is(err, gateway.ErrTimeout), errors.Is(err, gateway.ErrBody), errors.Is(err, gateway.ErrBadResponse), m.ctx.Err() != nil:
		return err
	case m.some && ended:
		return malformed("the connection ends inside its head")
	case m.some:
		return fmt.Errorf("%w: the connection breaks inside its head: %w", gateway.ErrBadResponse, err)
	case m.kept:
		return &deadError{err}
	}
	return fmt.Errorf("%w: %w", gateway.ErrNotAnswered, err)
}
