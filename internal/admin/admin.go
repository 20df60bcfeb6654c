// Package admin is the control socket: how `millrace status`, `reload` and
// `stop` talk to a running server.
//
// It is HTTP with JSON over a Unix socket that its owner alone may connect to
// (mode 0600, set by whoever opens it); there is no other check of who asks.
//
//	GET  /status   200 and the backend's status
//	POST /reload   200 when the new generation serves, 500 with a Failure
//	POST /stop     200 when all has stopped
//
// An answer to /reload or /stop takes as long as the thing itself. A client
// that leaves does not undo what it asked for. With `curl`:
//
//	curl --unix-socket run/millrace.sock http://millrace/status
//
// Serve is the server's side; Client (client.go) is the commands'. What a
// status holds is the backend's matter: here it is JSON.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Backend is what the control socket controls.
type Backend interface {
	// Status is a snapshot that encoding/json can write. It holds the process
	// id as "pid".
	Status() any

	// Reload returns when the new generation serves; what it returns are notes
	// for the person who asked. Its error may have Hint() string, one line,
	// and Detail() string, as long as a traceback.
	Reload(ctx context.Context) ([]string, error)

	// Stop begins to stop everything, and returns a channel that is closed
	// when all but the control socket has stopped. It may be called again.
	Stop() <-chan struct{}
}

// Failure is the body of an answer that is not 200.
type Failure struct {
	Problem string `json:"error"`            // one line, or several of a configuration's errors
	Fix     string `json:"hint,omitempty"`   // one line
	More    string `json:"detail,omitempty"` // a traceback
}

func (f *Failure) Error() string { return f.Problem }

// Hint says what to do.
func (f *Failure) Hint() string { return f.Fix }

// Detail is all that is known of it, as a traceback.
func (f *Failure) Detail() string { return f.More }

// reply is the body of a 200 to /reload and /stop.
type reply struct {
	Notes []string `json:"notes"`
}

// Limits of the control socket's own server. Its clients are local and
// trusted; this is against one that hangs.
const (
	headerTimeout = 10 * time.Second
	maxHeader     = 16 << 10
	closeTimeout  = 5 * time.Second // for answers that are on their way when Serve ends
)

// Serve answers on l, which it closes, until ctx is done. Answers to /stop are
// still sent then.
func Serve(ctx context.Context, l net.Listener, b Backend, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           handler(ctx, b),
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := srv.Shutdown(grace)
	if err != nil {
		err = errors.Join(err, srv.Close())
	}
	<-served
	return err
}

func handler(ctx context.Context, b Backend) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, b.Status())
	})
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, r *http.Request) {
		notes, err := b.Reload(ctx) // not the request's: see the package comment
		if err != nil {
			answer(w, http.StatusInternalServerError, failure(err))
			return
		}
		answer(w, http.StatusOK, reply{notes})
	})
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-b.Stop():
			answer(w, http.StatusOK, reply{})
		case <-r.Context().Done():
		}
	})
	return mux
}

func failure(err error) *Failure {
	f := &Failure{Problem: err.Error()}
	var hint interface{ Hint() string }
	if errors.As(err, &hint) {
		f.Fix = hint.Hint()
	}
	var detail interface{ Detail() string }
	if errors.As(err, &detail) {
		f.More = detail.Detail()
	}
	return f
}

func answer(w http.ResponseWriter, code int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		code, body = http.StatusInternalServerError, []byte(`{"error": "the status cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) // a client that has left misses it
}
