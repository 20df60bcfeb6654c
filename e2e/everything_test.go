package e2e

// All that replaces workers and programs, at once and under load: no request is
// lost but those that ran in a killed worker, and of them none that may be run
// again.

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"syscall"
	"testing"
)

func TestNothingIsLostByAnything(t *testing.T) {
	path := ownBinary(t)
	s := start(t, plain(t, `
[[site.route]]
app = "main"

[app.main]
wsgi = "app:application"
workers = 4
max_requests = 300
max_lifetime = "2s"
max_memory = "40MiB"
retry = true
`))
	const reloads, upgrades, kills = 50, 10, 100
	var deeds []string
	for deed, times := range map[string]int{"reload": reloads, "upgrade": upgrades, "kill": kills} {
		for range times {
			deeds = append(deeds, deed)
		}
	}
	rand.Shuffle(len(deeds), func(i, j int) { deeds[i], deeds[j] = deeds[j], deeds[i] })

	unsafe := startLoadOf(http.MethodPost, s.url+"/sleep?0.002", 4)
	idempotent := startLoadOf(http.MethodPut, s.url+"/sleep?0.002", 4)
	leaking := startLoadOf(http.MethodPut, s.url+"/leak?50000", 2)
	killed := 0
	for _, deed := range deeds {
		before := idempotent.answered()
		switch deed {
		case "upgrade":
			copyFile(t, path, path)
			s.run("upgrade")
		case "reload":
			s.run("reload")
		case "kill":
			if kill(t, s) {
				killed++
			}
		}
		s.waitFor("some requests in between", func() bool { return idempotent.answered() > before+10 })
		if deed == "kill" { // a request is run once more, so none may meet two deaths
			for _, l := range []*load{idempotent, leaking} {
				s.waitFor("those that met it are answered", l.pass())
			}
		}
	}
	for name, l := range map[string]*load{"PUT": idempotent, "PUT that leaks": leaking} {
		codes := l.stop()
		t.Logf("%s: answers by status %v", name, codes)
		if codes[200] < 100 || len(codes) != 1 {
			t.Errorf("%s: answers by status %v (%v); want 200s", name, codes, l.first)
		}
	}
	codes := unsafe.stop()
	t.Logf("POST: answers by status %v", codes)
	if codes[200] < 100 || codes[502] > killed || codes[200]+codes[502] != unsafe.answered() {
		t.Errorf("POST: answers by status %v (%v); want 200s, and at most %d times 502", codes, unsafe.first, killed)
	}
	t.Logf("%d reloads, %d upgrades, %d kills", reloads, upgrades, kills)
}

// kill kills a worker at random, unless it is gone by then.
func kill(t *testing.T, s *server) bool {
	t.Helper()
	workers := s.status().Workers
	if len(workers) == 0 {
		return false
	}
	pid := workers[rand.IntN(len(workers))].PID
	if pid <= 0 { // its host has not told it yet; 0 would be our own group
		return false
	}
	err := syscall.Kill(pid, syscall.SIGKILL)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	return err == nil
}
