package pool

// The request that warms an app up before the first fork.

import (
	"strings"
	"testing"
)

func TestWarmUp(t *testing.T) {
	for _, tt := range []struct {
		path string
		log  string // a line holds it; "": nothing but the generation's start is logged
		seen string
	}{
		{"/a%20path?query=1", "", "True /a path?query=1"},
		{"/raises", "RuntimeError: as warm as ice", "True /raises?"},
		{"/exits", "SystemExit: 3", "True /exits?"},
		{"/missing", "warm_up: /missing is answered with 404 Not Found", "True /missing?"},
		{"/endless", "", "True /endless?"},
		// What the request leaves is like what the import leaves.
		{"/keeps", "a socket that listens on 127.0.0.1:", "False "},
	} {
		for version, python := range ends(t) {
			t.Run(tt.path[1:6]+"/"+version, func(t *testing.T) {
				t.Parallel()
				cfg := testConfig(t, "warm:application")
				cfg.usePython(python)
				cfg.fixed(2)
				cfg.WarmUp = tt.path
				log := logged(&cfg)
				p, server := startPool(t, cfg)
				p.waitAtRest(t, 2)
				for range 4 {
					if code, body := get(t, server.URL+"/seen"); code != 200 || body != tt.seen {
						t.Errorf("%d %q, want %q", code, body, tt.seen)
					}
				}
				if tt.log != "" {
					log.wait(t, tt.log)
				} else if n := strings.Count(log.String(), "\n"); n != 1 {
					t.Errorf("the log:\n%s", log)
				}
			})
		}
	}
}

// TestWarmUpEnviron: the environ is complete and right by wsgiref's validator.
func TestWarmUpEnviron(t *testing.T) {
	cfg := testConfig(t, "rules:validated")
	cfg.WarmUp = "/environ_types"
	log := logged(&cfg)
	p, _ := startPool(t, cfg)
	p.waitAtRest(t, 1)
	if text := log.String(); strings.Contains(text, "Error") || strings.Contains(text, "warm_up") {
		t.Errorf("the log:\n%s", text)
	}
}
