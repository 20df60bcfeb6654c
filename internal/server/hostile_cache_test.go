package server

import (
	"fmt"
	"strings"
	"testing"
)

// TestHostileAnswersAreNotKept: what fails, or is cut, is asked for anew, however
// long a route's cache keeps things.
func TestHostileAnswersAreNotKept(t *testing.T) {
	for _, p := range rawProtocols() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			b := p.listen(t)
			plan := strings.Replace(fmt.Sprintf(before, p.protocol, b.address), "[[site.route]]\nupstream", "[[site.route]]\nupstream = \"api\"\ncache = { ttl = { any = \"1m\" } }\n[[site.route]]\nupstream", 1)
			url := launch(t, parse(t, wholeSite(t), plan+"timeout = \"2s\"\n"), newFakeApps()).url("127.0.0.1:0")
			if _, _, header, err := askWhole("GET", url+"/good"); err != nil || !strings.Contains(header.Get("Cache-Status"), "stored") {
				t.Fatalf("a good answer is not kept: %v, %v", header, err)
			}
			for i, c := range p.cases {
				if c.want != 502 && c.want != cutShort || strings.HasPrefix(c.name, "silence") { // which takes its time
					continue
				}
				for range 2 {
					code, body, header, err := askWhole(c.method, fmt.Sprintf("%s/case/%d", url, i))
					if code < 500 && err == nil || strings.Contains(header.Get("Cache-Status"), "hit") {
						t.Errorf("%s: %d %.50q %v", c.name, code, body, header)
					}
				}
			}
		})
	}
}
