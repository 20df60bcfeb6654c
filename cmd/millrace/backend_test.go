package main

// This file is a back end that speaks every protocol, for the tests of request
// and bench: in the test's process, or as a command of its scripts.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace/ajp"
	"millrace/fcgi"
	"millrace/gateway"
	"millrace/scgi"
	"millrace/uwsgi"
)

// backendServer is what the servers of all protocols have.
type backendServer interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
}

const backendSecret = "open sesame"

// newBackend makes a server of the protocol that a URL's scheme names.
func newBackend(scheme string, h http.Handler, log *slog.Logger) backendServer {
	switch scheme {
	case "fcgi":
		return &fcgi.Server{Handler: h, Log: log}
	case "scgi":
		return &scgi.Server{Handler: h, Log: log}
	case "uwsgi":
		return &uwsgi.Server{Handler: h, Log: log}
	case "ajp":
		return &ajp.Server{Handler: h, Log: log, Secret: backendSecret, AllowAttributes: []string{"MORE"}}
	}
	return &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError)}
}

// backendHandler answers what the tests ask.
func backendHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("X-Agent", r.UserAgent())
		fmt.Fprintf(w, "%s %s host=%s type=%s length=%d body=%s\n", r.Method, r.URL.RequestURI(), r.Host, r.Header.Get("Content-Type"), r.ContentLength, body)
	})
	mux.HandleFunc("/size", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintln(w, n, err)
	})
	mux.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) {
		piece := []byte(strings.Repeat("0123456789abcdef", 4096))
		for range 32 {
			_, _ = w.Write(piece)
		}
	})
	mux.HandleFunc("/params", func(w http.ResponseWriter, r *http.Request) {
		for _, p := range gateway.FrontOf(r.Context()).Params {
			fmt.Fprintf(w, "%s=%s\n", p.Name, p.Value)
		}
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.PathValue("code"))
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(code)
	})
	mux.HandleFunc("/complain", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(gateway.FrontOf(r.Context()).Stderr, "something is\x1b[1m wrong")
		fmt.Fprintln(w, "but not much")
	})
	mux.HandleFunc("/private", func(w http.ResponseWriter, r *http.Request) {
		front := gateway.FrontOf(r.Context())
		w.Header().Set("Content-Type", "text/plain")
		if user, ok := gateway.Lookup(front.Params, "REMOTE_USER"); ok && front.Role == gateway.Authorizer {
			w.Header()["Variable-AUTH_GROUP"] = []string{"friends of " + user}
			return
		}
		w.WriteHeader(http.StatusForbidden)
	})
	mux.HandleFunc("/shout", func(w http.ResponseWriter, r *http.Request) {
		front := gateway.FrontOf(r.Context())
		text, err := io.ReadAll(front.Data)
		fmt.Fprintf(w, "%s %d %s %v", front.Role, front.DataLength, strings.ToUpper(string(text)), err)
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "a part")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/escape", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; x=\u009b")
		fmt.Fprintln(w, "done")
	})
	return mux
}

// startBackend serves a handler until the test ends, and returns the URL of
// its root.
func startBackend(t testing.TB, scheme, network string, h http.Handler) string {
	t.Helper()
	l, url := listenBackend(t, scheme, network)
	serveBackend(t, l, newBackend(scheme, h, slog.New(slog.NewTextHandler(t.Output(), nil))))
	return url
}

func listenBackend(t testing.TB, scheme, network string) (l net.Listener, url string) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = t.TempDir() + "/s"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if network == "unix" {
		return l, scheme + "+unix:" + address
	}
	return l, scheme + "://" + l.Addr().String()
}

// at is the URL of a URI below what startBackend returns.
func at(base, uri string) string {
	if strings.Contains(base, "+unix:") && uri != "" {
		return base + "/" + uri
	}
	return base + uri
}

func serveBackend(t testing.TB, l net.Listener, s backendServer) {
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		<-ended
	})
}

// backend is the command `backend SCHEME SOCKET`: it says ready when it
// listens, and busy at its 100th request.
func backend() {
	l, err := net.Listen("unix", os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var served atomic.Int64
	h := backendHandler()
	s := newBackend(os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1) == 100 {
			fmt.Println("busy")
		}
		h.ServeHTTP(w, r)
	}), slog.Default())
	fmt.Println("ready")
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
