package route

// From one path to another, within the server.

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"millrace/internal/placeholder"
)

// Rewrite returns r with the path of a text, whose values are encoded, and with
// its query, if it has a "?". The URL's Path and RawPath say the same; the
// RequestURI stays what the client sent. A path that does not begin with a
// slash gets one, and has no more than one there: "//host" is not a path
// everywhere.
func Rewrite(r *http.Request, to *placeholder.Text) (*http.Request, error) {
	encoded, query, hasQuery := strings.Cut(string(to.AppendURL(nil, r)), "?")
	encoded = "/" + strings.TrimLeft(encoded, "/")
	path, err := url.PathUnescape(encoded)
	if err != nil {
		return nil, fmt.Errorf("%.64q is no path: %w", encoded, cause(err))
	}
	u := *r.URL
	u.Path, u.RawPath = path, encoded
	if u.RawPath == (&url.URL{Path: path}).EscapedPath() {
		u.RawPath = "" // as net/url has it
	}
	if hasQuery {
		u.RawQuery, u.ForceQuery = query, false
	}
	next := *r
	next.URL = &u
	return &next, nil
}

// cause is an error of net/url without what is in the message already.
func cause(err error) error {
	var escape url.EscapeError
	if errors.As(err, &escape) {
		return fmt.Errorf("%q is no escape", string(escape))
	}
	return err
}
