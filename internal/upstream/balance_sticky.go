package upstream

// The sticky cookie: whose sessions are kept in a server's memory comes back to
// that server.

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"millrace/gateway"
)

// Sticky is a cookie that says which server answered a client first. Its value
// is a code of the server's address that is made with the Secret: it tells
// nothing of the address, and chooses among the servers of the group alone.
type Sticky struct {
	Cookie string // its name; "": there is none
	Secret string // "": of this process, so that no cookie outlives it
	Path   string // "": "/"
	MaxAge time.Duration
}

// tokenBytes are as many as nobody guesses.
const tokenBytes = 15

// newSecret is a secret of this process.
func newSecret() []byte {
	b := make([]byte, sha256.Size)
	_, _ = rand.Read(b) // which never fails
	return b
}

// tokenOf is the cookie's value for a server.
func (g *Group) tokenOf(address string) string {
	if g.cfg.Sticky.Cookie == "" {
		return ""
	}
	h := hmac.New(sha256.New, g.secret)
	h.Write([]byte("millrace sticky\x00" + g.cfg.Name + "\x00" + address))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:tokenBytes])
}

// setBound finds out which server a request is bound to. Of several cookies of
// the name the first that a server has counts.
func (g *Group) setBound(w *want, r *http.Request) {
	if g.cfg.Sticky.Cookie == "" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range r.CookiesNamed(g.cfg.Sticky.Cookie) {
		if g.tokens[c.Value] != nil {
			w.token = c.Value
			return
		}
	}
}

// stick binds the client to s, unless it is bound to a server that could take
// nothing just now and will again.
func (g *Group) stick(x *exchange, s *server, resp *gateway.Response) {
	if g.cfg.Sticky.Cookie == "" || x.want.token == s.token {
		return
	}
	g.mu.Lock()
	bound := g.tokens[x.want.token]
	busy := bound != nil && !bound.off() && bound.passive.until.IsZero()
	g.mu.Unlock()
	if busy {
		return
	}
	c := http.Cookie{Name: g.cfg.Sticky.Cookie, Value: s.token, Path: g.cfg.Sticky.Path, MaxAge: int(g.cfg.Sticky.MaxAge / time.Second), HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: x.r.TLS != nil}
	if c.Path == "" {
		c.Path = "/"
	}
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	resp.Header["Set-Cookie"] = append(resp.Header["Set-Cookie"], c.String())
}
