package apache

// Who may, as keys of a route: addresses and passwords.

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"millrace/internal/adapt/document"
)

// guard is the keys of who may.
func (l *lowering) guard(c *conf, g gate) pairs {
	var p pairs
	if g.clients != nil {
		p.set("allow", unique(g.clients), placeOf(g.at))
	}
	if g.not != nil {
		p.set("deny", unique(g.not), placeOf(g.at))
	}
	if !g.named {
		return p
	}
	kind := c.get("authtype")
	file := c.get("authuserfile")
	switch {
	case kind == nil:
		l.refuse(g.at, "AH00027: No authentication done but request not allowed without authentication: AuthType not initialized", "write AuthType Basic, AuthName and AuthUserFile beside it")
		return p
	case !strings.EqualFold(kind.arg(0), "basic"):
		l.refuse(kind, fmt.Sprintf("AuthType %s: passwords are asked for by Basic alone", kind.arg(0)), "write AuthType Basic, and serve it over TLS")
		return p
	case file == nil:
		l.refuse(g.at, "AuthUserFile not specified in the configuration", "write AuthUserFile FILE")
		return p
	}
	if provider := c.get("authbasicprovider"); provider != nil && !slices.Equal(provider.texts(), []string{"file"}) {
		l.refuse(provider, fmt.Sprintf("AuthBasicProvider %s: users are in a file alone", strings.Join(provider.texts(), " ")), "write AuthBasicProvider file, or use auth in millrace.toml")
		return p
	}
	var auth pairs
	if realm := c.text("authname"); realm != "" {
		auth.set("realm", realm, placeOf(c.get("authname")))
	}
	if g.users == nil {
		auth.set("file", l.path(file.arg(0)), file.place)
	} else {
		users := l.hashes(file, g)
		auth.set("users", users, file.place)
	}
	p.set("basic_auth", auth.inline(), placeOf(g.at))
	return p
}

// hashes are the lines of some users.
func (l *lowering) hashes(file *directive, g gate) *document.Table {
	t := document.Inline()
	text, err := os.ReadFile(l.path(file.arg(0)))
	if err != nil {
		l.refuse(file, fmt.Sprintf("AuthUserFile: cannot read the users: %v", err), "check the path and its rights; for Require valid-user it is read when millrace starts")
		return t
	}
	for line := range strings.Lines(string(text)) {
		name, hash, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok && slices.Contains(g.users, name) && t.Get(name) == nil { // the first of a name counts
			t.Set(name, hash, file.place)
		}
	}
	if t.Empty() {
		l.refuse(g.at, fmt.Sprintf("none of the users %s is in %s", strings.Join(g.users, ", "), l.path(file.arg(0))), "add them with htpasswd -B")
	}
	return t
}
