// Package admin is the control socket: how `millrace status`, `reload`,
// `upgrade`, `maintenance`, `upstream` and `stop` talk to a running server.
//
// It is HTTP with JSON over a Unix socket that its owner alone may connect to
// (mode 0600, set by whoever opens it); there is no other check of who asks.
//
//	GET  /status   200 and the backend's status
//	POST /reload   200 when the new generation serves, 500 with a Failure
//	POST /upgrade  200 when the next program serves, 500 with a Failure
//	POST /maintenance  a Maintenance in JSON; 200 when it is so
//	POST /drain    a Drain in JSON; 200 when it is so
//	POST /purge    a Purge in JSON; 200 and {"purged": N} when nothing of it is cached any more
//	GET  /profile?seconds=N  200 and what processor time went into, for `go tool pprof`
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

	// Upgrade returns when the next program has taken this one's place. Its
	// error is as Reload's.
	Upgrade(ctx context.Context) error

	// Maintain switches maintenance on or off; notes and error are as Reload's.
	Maintain(m Maintenance) ([]string, error)

	// DrainServer drains a server of a group of back ends, or ends that; notes
	// and error are as Reload's.
	DrainServer(d Drain) ([]string, error)
	// Purge removes cached responses, and returns how many. Its error is as
	// Reload's.
	Purge(p Purge) (int, error)

	// Stop begins to stop everything, and returns a channel that is closed
	// when all but the control socket has stopped. It may be called again.
	Stop() <-chan struct{}
}

// Maintenance is what is asked of POST /maintenance: of everything, unless an
// app or a site is named.
type Maintenance struct {
	On   bool   `json:"on"`
	App  string `json:"app,omitempty"`  // its name
	Site string `json:"site,omitempty"` // one of its hosts; "*" is the sites without
}

// Purge is what is asked of POST /purge: all that any of its fields names.
type Purge struct {
	URLs     []string `json:"urls,omitempty"`     // "https://example.com/a?x=1", "example.com/a", "/a" for every host
	Prefixes []string `json:"prefixes,omitempty"` // the same, and all that begins like it
	Tags     []string `json:"tags,omitempty"`     // of Cache-Tag, Surrogate-Key and X-Cache-Tags
	All      bool     `json:"all,omitempty"`
	Stale    bool     `json:"stale,omitempty"` // not removed, but no longer good
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

// reply is the body of a 200 to /reload, /maintenance, /drain and /stop.
type reply struct {
	Notes []string `json:"notes"`
}

// purged is the body of a 200 to /purge.
type purged struct {
	Purged int `json:"purged"` // responses
}

// maxPurge is how long what is asked of /purge may be.
const maxPurge = 1 << 20

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
		if !errors.Is(err, net.ErrClosed) {
			return err
		}
		served <- nil
		<-ctx.Done() // another server has the socket; this one's answers are still to be sent
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
	mux.HandleFunc("POST /upgrade", func(w http.ResponseWriter, r *http.Request) {
		if err := b.Upgrade(context.WithoutCancel(ctx)); err != nil { // this server ends by it
			answer(w, http.StatusInternalServerError, failure(err))
			return
		}
		answer(w, http.StatusOK, reply{})
	})
	mux.HandleFunc("POST /maintenance", func(w http.ResponseWriter, r *http.Request) {
		var m Maintenance
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxHeader))
		d.DisallowUnknownFields()
		if err := d.Decode(&m); err != nil {
			answer(w, http.StatusBadRequest, &Failure{Problem: "cannot read what is asked: " + err.Error(), Fix: `send {"on": true} or {"on": false}`})
			return
		}
		notes, err := b.Maintain(m)
		if err != nil {
			answer(w, http.StatusInternalServerError, failure(err))
			return
		}
		answer(w, http.StatusOK, reply{notes})
	})
	mux.HandleFunc("POST /drain", handleDrain(b))
	mux.HandleFunc("POST /purge", func(w http.ResponseWriter, r *http.Request) {
		var p Purge
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPurge))
		d.DisallowUnknownFields()
		if err := d.Decode(&p); err != nil {
			answer(w, http.StatusBadRequest, &Failure{Problem: "cannot read what is asked: " + err.Error(), Fix: `send {"urls": ["https://HOST/PATH"]}, "prefixes", "tags", or {"all": true}`})
			return
		}
		n, err := b.Purge(p)
		if err != nil {
			answer(w, http.StatusInternalServerError, failure(err))
			return
		}
		answer(w, http.StatusOK, purged{n})
	})
	mux.HandleFunc("GET /profile", handleProfile(ctx))
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
