package server

import (
	"fmt"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

// scaled is a configuration of n hosts with n routes in one of them.
func scaled(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[[site.route]]\npath = \"/r%d/*\"\nrespond = \"%d\"\n", i, i)
	}
	routes := b.String()
	b.Reset()
	b.WriteString("[[site]]\nlisten = [\"127.0.0.1:0\"]\nhosts = [\"routes.example\"]\n" + routes)
	for i := range n {
		fmt.Fprintf(&b, "[[site]]\nlisten = [\"127.0.0.1:0\"]\nhosts = [\"h%d.example\"]\n[[site.route]]\nrespond = \"host %d\"\n", i, i)
	}
	return b.String()
}

// From 10 to 5,000 hosts and routes (what a file may hold), a request through
// all handlers takes no more than twice its time.
func TestTimeOfManySites(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const few, many = 10, 5000
	fronts := map[int]*front{}
	for _, n := range []int{few, many} {
		fronts[n] = launch(t, parse(t, t.TempDir(), scaled(n)), newFakeApps()).fronts["127.0.0.1:0"]
	}
	least := func(n int) time.Duration {
		best := time.Hour
		for range 40 {
			began := time.Now()
			for range 20 {
				for host, path := range map[string]string{"routes.example": fmt.Sprintf("/r%d/x", n-1), fmt.Sprintf("h%d.example", n-1): "/"} {
					r := httptest.NewRequest("GET", path, nil)
					r.Host = host
					w := httptest.NewRecorder()
					if fronts[n].ServeHTTP(w, r); w.Code != 200 || !strings.HasSuffix(w.Body.String(), fmt.Sprint(n-1)) {
						t.Fatalf("%s%s: %d %q", host, path, w.Code, w.Body)
					}
				}
			}
			best = min(best, time.Since(began))
		}
		return best
	}
	ratio := 1e9
	for range 5 {
		if ratio = min(ratio, float64(least(many))/float64(least(few))); ratio < 1.5 {
			break
		}
	}
	if t.Logf("%.2f times", ratio); ratio > 2 {
		t.Errorf("a request takes %.1f times as long among %d hosts and routes as among %d", ratio, many, few)
	}
}
