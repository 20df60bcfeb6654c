package server

import (
	"net/http"

	"millrace/internal/respond"
)

// answerRedirect sends the client elsewhere.
func (b *builder) answerRedirect(at *place) (http.Handler, error) {
	to, err := at.text("redirect", at.route.Redirect.To)
	return &respond.Redirect{To: to, Status: at.route.Redirect.Status}, err
}

// answerRespond is a fixed response.
func (b *builder) answerRespond(at *place) (http.Handler, error) {
	c := at.route.Respond
	f := &respond.Fixed{Status: c.Status, Type: c.Type}
	var err error
	if c.Body != "" {
		if f.Body, err = at.text("respond", c.Body); err != nil {
			return nil, err
		}
	}
	f.Headers, err = headers(at, "respond.headers", c.Headers)
	return f, err
}
