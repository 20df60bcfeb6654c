package server

import (
	"cmp"
	"net/http"

	"millrace/gateway"
	"millrace/internal/auth"
	"millrace/internal/config"
	"millrace/internal/placeholder"
)

// layerAuth asks who the client is.
func layerAuth(b *builder, at *place, next http.Handler) (http.Handler, error) {
	c := cmp.Or(at.route.BasicAuth, at.site.BasicAuth)
	if c == nil || c.Off || at.route.Auth != nil && at.route.Auth.Satisfy == "any" {
		return next, nil
	}
	return b.basicAuth(at, c, next)
}

// basicAuth is layerAuth, of a route that has it.
func (b *builder) basicAuth(at *place, c *config.BasicAuth, next http.Handler) (http.Handler, error) {
	var file *auth.File
	if c.File != "" {
		var err error
		if file, err = b.usersFile(c.File); err != nil {
			return nil, &Error{Problem: "cannot read the users of " + at.name, Err: err, Fix: "correct the file: htpasswd -B FILE NAME writes a line of it"}
		}
	}
	users, err := auth.NewUsers(c.Users, file)
	if err != nil {
		return nil, err
	}
	*at.needs |= placeholder.NeedsUser // for the log
	basic := &auth.Basic{Realm: c.Realm, Users: users, Verifier: b.server.verifier, Verified: verified}
	return basic.Wrap(next), nil
}

// usersFile opens a file of users, once for all routes.
func (b *builder) usersFile(path string) (*auth.File, error) {
	if f := b.users[path]; f != nil {
		return f, nil
	}
	f, err := auth.OpenFile(path, b.log)
	if err == nil {
		b.users[path] = f
	}
	return f, err
}

// verified tells the app and the log who the client has proved to be.
func verified(r *http.Request, user string) *http.Request {
	r, found := placeholder.Keep(r)
	found.User = user
	return r.WithContext(gateway.WithUser(r.Context(), gateway.User{Name: user, Type: "Basic"}))
}
