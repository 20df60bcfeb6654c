package admin

import (
	"bytes"
	"errors"
	"testing"
)

func TestProfile(t *testing.T) {
	socket, _ := start(t, newBackend())
	c := dial(t, socket)
	for seconds, ok := range map[int]bool{-1: false, 0: false, 601: false, 1: true} {
		var profile bytes.Buffer
		err := c.Profile(t.Context(), seconds, &profile)
		var f *Failure
		switch {
		case ok && (err != nil || !bytes.HasPrefix(profile.Bytes(), []byte("\x1f\x8b"))): // it is gzipped
			t.Errorf("%d: %v, %.20q", seconds, err, profile.Bytes())
		case !ok && !errors.As(err, &f):
			t.Errorf("%d: %v", seconds, err)
		}
	}
}
