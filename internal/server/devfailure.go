package server

// In development a reload that fails is shown in the browser, where whoever has
// saved the file looks, and not in the log alone. The old generation is there
// still: what is sent by others, or to other apps, it answers.

import (
	"errors"
	"net/http"

	"millrace/internal/pool"
)

// devFailure is the last reload's failure.
type devFailure struct {
	app  string // that cannot serve; "": it was something else
	text string
}

// noteFailure remembers how a reload ended.
func (s *Server) noteFailure(err error) {
	if err == nil {
		s.devFailure.Store(nil)
		return
	}
	f := &devFailure{text: err.Error()}
	var at *ReloadError
	if errors.As(err, &at) {
		f.app = at.App
		if at.Traceback != "" {
			f.text = at.Traceback + "\n\n" + f.text
		}
	}
	var hint interface{ Hint() string }
	if errors.As(err, &hint) && hint.Hint() != "" {
		f.text += "\n" + hint.Hint()
	}
	s.devFailure.Store(f)
}

// devGate stands before an app in development.
type devGate struct {
	server *Server
	app    string
	shows  *pool.Config // to whom
	next   http.Handler
}

func (g *devGate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := g.server.devFailure.Load()
	if f != nil && (f.app == "" || f.app == g.app) && g.shows.ShowFailure(w, r, f.text) {
		return
	}
	g.next.ServeHTTP(w, r)
}
