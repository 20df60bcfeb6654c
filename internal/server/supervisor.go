package server

// Who started us, and wants to know how we are.

import (
	"context"
	"fmt"
	"strings"
	"time"

	"millrace/internal/systemd"
)

// Supervisor is who wants to be told: systemd, or a keeper that passes it on.
type Supervisor interface {
	// Notify tells it what is the case, in the words of package systemd, with
	// a line for people.
	Notify(what, status string) error

	// Watchdog is the time within which it wants to be told again that we are
	// alive; 0: it does not.
	Watchdog() time.Duration
}

var _ Supervisor = (*systemd.Service)(nil)

// tell tells the supervisor.
func (s *Server) tell(what, status string) {
	if s.opt.Supervisor == nil {
		return
	}
	if err := s.opt.Supervisor.Notify(what, status); err != nil {
		s.log.Error("cannot tell the supervisor how the server is", "error", err)
	}
}

// tellReady tells it that the server serves: for the first time, once each app
// serves or has failed, and after each reload, whatever came of it. An app that
// has failed does not hold that up, since the others serve: the line says so.
func (s *Server) tellReady() {
	if s.opt.Supervisor != nil && !s.isStopping() {
		s.tell(systemd.Ready, s.Snapshot().line())
	}
}

// line is the status in a line.
func (st *Status) line() string {
	var failing []string
	for i := range st.Apps {
		if st.Apps[i].State == stateFailing {
			failing = append(failing, st.Apps[i].Name)
		}
	}
	text := "serving"
	switch n := len(st.Apps); {
	case len(failing) > 0:
		text = fmt.Sprintf("serving %d of %d apps; failing: %s", n-len(failing), n, strings.Join(failing, ", "))
	case n == 1:
		text = "serving app " + st.Apps[0].Name
	case n > 1:
		text = fmt.Sprintf("serving %d apps", n)
	}
	if st.LastReload != nil && st.LastReload.Error != "" {
		text += "; the last reload failed: " + strings.TrimPrefix(st.LastReload.Error, "cannot reload: ")
	}
	return text
}

// keepAlive tells the supervisor that the server is alive, in half the time
// that it gives, as long as the status answers: it takes the locks of the
// server and of every pool. It returns when ctx is done.
func (s *Server) keepAlive(ctx context.Context) {
	if s.opt.Supervisor == nil || s.opt.Supervisor.Watchdog() <= 0 {
		return
	}
	tick := time.NewTicker(s.opt.Supervisor.Watchdog() / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_ = s.Snapshot()
		s.tell(systemd.Alive, "")
	}
}
