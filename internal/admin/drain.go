package admin

import (
	"context"
	"encoding/json"
	"net/http"
)

// Drain is what is asked of POST /drain: that a server of a group of back ends
// gets no more requests, or that it gets some again.
type Drain struct {
	Upstream string `json:"upstream"` // the group's name
	Address  string `json:"address"`  // as it is configured, or as the status shows it
	On       bool   `json:"on"`
}

// handleDrain answers POST /drain.
func handleDrain(b Backend) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var d Drain
		in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxHeader))
		in.DisallowUnknownFields()
		if err := in.Decode(&d); err != nil {
			answer(w, http.StatusBadRequest, &Failure{Problem: "cannot read what is asked: " + err.Error(), Fix: `send {"upstream": "NAME", "address": "HOST:PORT", "on": true}`})
			return
		}
		notes, err := b.DrainServer(d)
		if err != nil {
			answer(w, http.StatusInternalServerError, failure(err))
			return
		}
		answer(w, http.StatusOK, reply{notes})
	}
}

// DrainServer drains a server of a group of back ends, or ends that. The error
// is a *Failure if the server could not.
func (c *Client) DrainServer(ctx context.Context, d Drain) (notes []string, err error) {
	var r reply
	err = c.ask(ctx, "drain", d, &r)
	return r.Notes, err
}
