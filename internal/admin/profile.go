package admin

// This file: what the server's processor time goes into.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"
)

// MaxProfile is how long a profile may be.
const MaxProfile = 10 * time.Minute

// handleProfile answers GET /profile?seconds=N with a profile of that time, as
// package runtime/pprof writes it. A client that leaves ends it.
func handleProfile(ctx context.Context) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("seconds"))
		if most := int(MaxProfile / time.Second); err != nil || n < 1 || n > most {
			answer(w, http.StatusBadRequest, &Failure{Problem: fmt.Sprintf("bad seconds %.20q", r.URL.Query().Get("seconds")), Fix: fmt.Sprintf("ask for 1 to %d", most)})
			return
		}
		var profile bytes.Buffer
		if err := pprof.StartCPUProfile(&profile); err != nil { // one runs
			answer(w, http.StatusConflict, &Failure{Problem: "no profile: " + err.Error(), Fix: "wait for the other one's end"})
			return
		}
		timer := time.NewTimer(time.Duration(n) * time.Second)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		case <-ctx.Done():
		}
		pprof.StopCPUProfile()
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(profile.Bytes()) // a client that has left misses it
	}
}

// Profile writes a profile of the server's processor time to w, which takes so
// many seconds. The error is a *Failure if the server makes none.
func (c *Client) Profile(ctx context.Context, seconds int, w io.Writer) error {
	body, err := c.do(ctx, http.MethodGet, "profile?seconds="+strconv.Itoa(seconds))
	if err != nil {
		return err
	}
	_, err = w.Write(body)
	return err
}
