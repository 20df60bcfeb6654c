// Package auth says who may: by a name and a password, and by an address.
//
// # Basic authentication
//
// Basic.Wrap puts the check of RFC 7617 around a handler. A request without the
// right name and password is answered with 401 before any of its body is read,
// so that a client that expects "100 Continue" does not send it. The names and
// the hashes of their passwords come from Users: a table that is there from the
// beginning, and a file like Apache's htpasswd, which is read anew when it
// changes (file.go).
//
// A password is compared with its hash, which costs as much as whoever made the
// hash wanted: with bcrypt a tenth of a second. So
//
//   - a Verifier remembers which passwords were right (cache.go), under a keyed
//     hash of the name, the password and the hash: of a password that is changed
//     nothing is remembered;
//   - it computes a few hashes at a time and lets few requests of one client, and
//     not many in all, wait for that (gate.go); others are answered with 503;
//   - a name that nobody has costs what a name that somebody has does, and is
//     answered alike.
//
// The hashes are those that htpasswd, openssl passwd and crypt(3) make and that
// are not broken: hash.go has the list, and says of the others why they are
// refused.
//
// # Addresses
//
// Addresses.Wrap answers clients whose address is not wanted with 403.
//
// The package reads no configuration, and knows nothing of proxies: a request's
// RemoteAddr is its client's.
package auth

import (
	"encoding/base64"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Basic asks for a name and a password. Its fields are not changed once it is
// used.
type Basic struct {
	Realm    string    // what the browser shows; ValidRealm says what it may hold
	Users    *Users    // who there is; required
	Verifier *Verifier // compares; required

	// Verified returns the request that the handler sees, of one that has proved
	// to be user's; nil: the request itself.
	Verified func(r *http.Request, user string) *http.Request
}

// ValidRealm reports whether text can stand in the header: printable ASCII
// without quotes and backslashes, since clients differ in how they read others.
func ValidRealm(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return len(text) <= 256
}

// Wrap guards next.
func (b *Basic) Wrap(next http.Handler) http.Handler {
	return &basic{
		Basic: *b, next: next,
		challenge: []string{`Basic realm="` + b.Realm + `", charset="UTF-8"`},
	}
}

type basic struct {
	Basic
	next      http.Handler
	challenge []string
}

func (b *basic) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, ok := Credentials(r.Header["Authorization"])
	if !ok {
		b.refuse(w)
		return
	}
	switch b.Verifier.verify(r, b.Users, user, password) {
	case right:
	case busy:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "Too many passwords are being checked; try again", http.StatusServiceUnavailable)
		return
	case left:
		panic(http.ErrAbortHandler) // nobody waits for an answer
	default:
		b.refuse(w)
		return
	}
	if b.Verified != nil {
		r = b.Verified(r, user)
	}
	b.next.ServeHTTP(w, r)
}

func (b *basic) refuse(w http.ResponseWriter) {
	w.Header()["Www-Authenticate"] = b.challenge
	http.Error(w, "Unauthorized", http.StatusUnauthorized)
}

const (
	// maxPassword bounds what is hashed: SHA-crypt's cost grows with it.
	maxPassword = 1024
	maxUser     = 255
)

// Credentials reads the Authorization headers of a request: one, of the scheme
// Basic, with a name that is not empty (RFC 7617, section 2). Text is UTF-8, as
// the challenge says; control characters are in none of it.
func Credentials(headers []string) (user, password string, ok bool) {
	if len(headers) != 1 {
		return "", "", false // two could be read in two ways
	}
	const scheme = "basic "
	h := headers[0]
	if len(h) < len(scheme) || !strings.EqualFold(h[:len(scheme)], scheme) {
		return "", "", false
	}
	encoded := strings.TrimLeft(h[len(scheme):], " ")
	if len(encoded) > base64.StdEncoding.EncodedLen(maxUser+1+maxPassword) {
		return "", "", false
	}
	text, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", "", false
	}
	user, password, ok = strings.Cut(string(text), ":")
	if !ok || user == "" || len(user) > maxUser || len(password) > maxPassword || !isText(user) || !isText(password) {
		return "", "", false
	}
	return user, password, true
}

func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
