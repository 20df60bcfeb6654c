package server

import (
	"net/http"
	"strings"
	"testing"
)

// TestOrphan: a server whose keeper is gone answers what it has, and the next
// one has its addresses and its control socket meanwhile.
func TestOrphan(t *testing.T) {
	dir := wholeSite(t)
	apps := newFakeApps()
	release := apps.hold("main")
	s := launch(t, parse(t, dir, whole), apps)
	url := s.url("127.0.0.1:0")
	answered := make(chan int, 1)
	go func() {
		res, err := http.Get(url + "/hold")
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		res.Body.Close()
		answered <- res.StatusCode
	}()
	<-apps.get("main").inside
	s.Orphan()
	eventually(t, "the control socket is free", func() bool { return controlPID(dir+"/c.sock") == 0 })
	plan := parse(t, dir, whole)
	plan.Config.Sites[0].Listen = []string{strings.TrimPrefix(url, "http://")}
	next := launch(t, plan, newFakeApps())
	if code, _ := get(t, next.url(plan.Config.Sites[0].Listen[0])+"/media/a.txt"); code != http.StatusOK {
		t.Errorf("the next one answers with %d", code)
	}
	release()
	if status := <-answered; status != http.StatusOK {
		t.Errorf("the request that ran was answered with %d", status)
	}
}
