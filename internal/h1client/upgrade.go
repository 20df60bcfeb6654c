package h1client

// This file: connections that change to another protocol (RFC 9110, section
// 7.8).

import (
	"net"
	"time"
)

// Upgraded is the Body of a response with status 101: the connection, and what
// the server has sent already. It has no deadline, and does not end with the
// request's context.
type Upgraded struct {
	net.Conn
	rest []byte
}

// Read reads what the server sends.
func (u *Upgraded) Read(b []byte) (int, error) {
	if len(u.rest) > 0 {
		n := copy(b, u.rest)
		u.rest = u.rest[n:]
		return n, nil
	}
	return u.Conn.Read(b)
}

// CloseWrite says that no more is coming, where the connection can say it.
func (u *Upgraded) CloseWrite() error {
	if c, ok := u.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// upgraded hands the connection over.
func (m *message) upgraded(h *head) {
	m.resp.Head = h.Head
	m.resp.Header["Upgrade"] = []string{h.upgrade}
	u := &Upgraded{rest: append([]byte(nil), m.buf.b[m.r:m.w]...)}
	m.drop()
	k := m.end()
	u.Conn = k.nc
	_ = k.nc.SetDeadline(time.Time{}) // fails on a closed connection alone
	m.resp.Body = u
}
