package pool

// Which processes a handover gives, which it lets go, and which it keeps.

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestHandOverDraining: a process that is let go ends, and holds no handover
// up, also when a request was on its way to it that it did not read.
func TestHandOverDraining(t *testing.T) {
	f, _, log := handable(t, 2, func(cfg *Config) { cfg.StopTimeout = time.Hour })
	s := f.now.Load()
	p := s.Pool
	p.mu.Lock()
	goes, stays := p.channels[0], p.channels[1]
	goes.handing, stays.handing = true, true // the request waits
	p.mu.Unlock()
	answer := make(chan int, 1)
	go func() {
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/pid", nil))
		answer <- w.Code
	}()
	eventually(t, func() error {
		if p.Status().QueueLen != 1 {
			return errors.New("no request waits")
		}
		return nil
	})
	pid := int(goes.process.pid.Load())
	stopProcess(t, pid)
	defer syscall.Kill(pid, syscall.SIGCONT)
	p.mu.Lock()
	goes.handing = false
	p.idleListLocked(goes)
	p.dispatchLocked()
	if len(goes.held) != 1 {
		t.Error("the request is not lent")
	}
	p.retireLocked(goes.process, "requests")
	p.drainLocked(goes)
	stays.handing = false
	p.idleListLocked(stays)
	p.unlock()
	if code := <-answer; code != 200 {
		t.Errorf("status %d", code)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := f.upgrade(); err != nil {
		t.Fatal(err)
	}
	gone(t, pid)
	if text := log.String(); strings.Contains(text, "level=WARN") {
		t.Errorf("the log complains:\n%s", text)
	}
}
