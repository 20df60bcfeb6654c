package server

import (
	"fmt"
	"net/http"
	"testing"
)

// TestInternalRoutesAndLocalRedirects: a Location without a status, which may
// come from the client, opens no internal route; X-Accel-Redirect, which a route
// must allow, does, also behind a redirect.
func TestInternalRoutesAndLocalRedirects(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/private/a.txt", "secret")
	address := behindRaw(t, func(r *http.Request) string {
		if to := r.URL.Query().Get("to"); to != "" {
			return "Location: " + to + "\n\n"
		}
		if to := r.URL.Query().Get("accel"); to != "" {
			return "X-Accel-Redirect: " + to + "\nContent-Type: text/plain\n\n"
		}
		return "Content-Type: text/plain\n\nits own"
	})
	s := launch(t, parse(t, dir, fmt.Sprintf(sending, "scgi", address)), newFakeApps())
	url := s.url("127.0.0.1:0")
	for path, want := range map[string]string{
		"/x?to=/protected/a.txt":                        "its own",
		"/plain/x?to=/protected/a.txt":                  "its own",
		"/x?to=/errors/404.html":                        "its own",
		"/accel/x?accel=/protected/a.txt":               "secret",
		"/x?to=/accel/x%3Faccel=/protected/a.txt":       "secret",
		"/accel/x?accel=/y%3Fto=/protected/a.txt":       "its own",
		"/x?to=/y%3Fto=/protected/a.txt":                "its own",
		"/plain/x?to=/plain/x%3Faccel=/protected/a.txt": "",
	} {
		if _, body := ask(t, "GET", url+path); body != want {
			t.Errorf("%s: %q, want %q", path, body, want)
		}
	}
}
