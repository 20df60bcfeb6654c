package pool

// The HTTP side: from a request to a call.

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"millrace/gateway"
	"millrace/internal/spool"
)

// bodyMemory is how much of a request's body is kept in memory. What fits
// rides in the request's packet.
const bodyMemory = 48 * 1024

// Handler answers HTTP requests by the app. mount is the SCRIPT_NAME prefix,
// "" for none; the rest of the path is PATH_INFO. Without a mount, a front
// server that divided the path itself is believed. A path outside the mount is
// a 404: routing should not have sent it here.
func (p *Pool) Handler(mount string) http.Handler {
	return &handler{pool: p, mount: strings.TrimSuffix(mount, "/")}
}

type handler struct {
	pool  *Pool
	mount string
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := time.Now()
	p := h.pool
	target, ok := gateway.Split(r, h.mount)
	if !ok {
		plainError(w, http.StatusNotFound, "")
		return
	}
	cfg := p.config.Load()
	hasBody := r.ContentLength != 0
	front := gateway.FrontOf(r.Context())
	if (hasBody || isFilter(front)) && !p.admit(w, r, front, cfg, arrived) {
		return
	}
	c := newCall()
	if hasBody {
		size, err := c.readBody(r, cfg)
		if err != nil {
			c.release()
			p.bodyError(w, r, cfg, err)
			return
		}
		target.ContentLength = size
	} else if _, declared := r.Header["Content-Length"]; declared {
		target.ContentLength = 0
	}
	if isFilter(front) {
		if err := c.readData(front, cfg); err != nil {
			c.release()
			p.bodyError(w, r, cfg, err)
			return
		}
	}
	if err := c.encode(r, front, target); err != nil {
		c.release()
		plainError(w, http.StatusBadRequest, "")
		return
	}
	c.client = r.Context()
	if !p.submit(c) {
		err := c.err
		c.release()
		p.refuse(w, r, cfg, err, arrived)
		return
	}
	// A plain receive: to select on the context's Done as well would cost each
	// request a channel. The keeper looks for clients that have left.
	<-c.done
	switch {
	case c.abandoned:
		// The channel still has it, and gives it back. A client that has only
		// closed its half must not take an empty response for an answer.
		panic(http.ErrAbortHandler)
	case c.err != nil:
		err := c.err
		c.release()
		p.refuse(w, r, cfg, err, arrived)
		return
	}
	p.respond(w, r, c)
}

// admit refuses a request by its head alone, before any of its body is asked
// for.
func (p *Pool) admit(w http.ResponseWriter, r *http.Request, front *gateway.Front, cfg *Config, arrived time.Time) bool {
	if r.ContentLength > cfg.MaxBody || isFilter(front) && front.DataLength > cfg.MaxBody {
		p.bodyError(w, r, cfg, errTooLarge)
		return false
	}
	if p.full() {
		p.refuse(w, r, cfg, nil, arrived)
		return false
	}
	return true
}

var errTooLarge = errors.New("the request's body is larger than max_body")

// readBody collects the body and returns its size.
func (c *call) readBody(r *http.Request, cfg *Config) (int64, error) {
	c.body = cfg.Spool.NewBuffer(bodyMemory)
	n, err := c.body.ReadFrom(io.LimitReader(r.Body, cfg.MaxBody+1))
	if err == nil && n > cfg.MaxBody {
		err = errTooLarge
	}
	return n, err
}

// isFilter reports whether a request brings a file to filter.
func isFilter(front *gateway.Front) bool {
	return front != nil && front.Role == gateway.Filter && front.Data != nil
}

var errDataLength = errors.New("FCGI_DATA is not as long as FCGI_DATA_LENGTH says")

// readData collects a filter's file, which comes behind the body. It goes to a
// file whatever its size: the app gets a real one.
func (c *call) readData(front *gateway.Front, cfg *Config) error {
	c.data = cfg.Spool.NewBuffer(0)
	n, err := c.data.ReadFrom(io.LimitReader(front.Data, cfg.MaxBody+1))
	if err != nil {
		return err
	}
	if n > cfg.MaxBody {
		return errTooLarge
	}
	if _, declared := gateway.Lookup(front.Params, "FCGI_DATA_LENGTH"); declared && n != front.DataLength {
		return errDataLength
	}
	return nil
}

// bodyError answers a request whose body cannot be taken. The connection
// closes, since what is left of the body is not read.
func (p *Pool) bodyError(w http.ResponseWriter, r *http.Request, cfg *Config, err error) {
	var disk *spool.DiskError
	w.Header().Set("Connection", "close")
	switch {
	case errors.Is(err, errTooLarge):
		plainError(w, http.StatusRequestEntityTooLarge, "")
	case errors.As(err, &disk):
		p.log.Error("cannot spool a request's body; is the disk of server.spool full?", "app", p.name, "method", r.Method, "uri", r.RequestURI, "error", err)
		plainError(w, http.StatusInsufficientStorage, "")
	case errors.Is(err, spool.ErrFull):
		p.log.Error("cannot spool a request's body; server.spool_max is reached", "app", p.name, "method", r.Method, "uri", r.RequestURI, "used", cfg.Spool.Used())
		w.Header().Set("Retry-After", "5")
		plainError(w, http.StatusServiceUnavailable, "")
	case errors.Is(err, errDataLength):
		p.log.Error("a request to a filter is refused", "app", p.name, "peer", r.RemoteAddr, "method", r.Method, "uri", r.RequestURI, "error", err)
		plainError(w, http.StatusBadRequest, "")
	case errors.Is(err, os.ErrDeadlineExceeded):
		plainError(w, http.StatusRequestTimeout, "")
	default:
		plainError(w, http.StatusBadRequest, "")
	}
}

// encode makes the packet of a request whose body is here.
func (c *call) encode(r *http.Request, front *gateway.Front, target gateway.Target) error {
	var err error
	if c.params, err = gateway.AppendHTTP(c.params[:0], r, target); err != nil {
		return err
	}
	if front != nil {
		c.params = appendFront(c.params, r, front)
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	c.params = append(c.params, gateway.Param{Name: "wsgi.url_scheme", Value: scheme})
	c.method, c.uri = r.Method, r.RequestURI
	if cap(c.frame) < packetHead {
		c.frame = make([]byte, packetHead, 2048)
	}
	b := appendEnviron(c.frame[:packetHead], c.params)
	inFile := c.body != nil && c.body.File() != nil
	c.frame, c.rest = finishPacket(b, c.bodyBytes(), inFile, c.data != nil)
	return nil
}

// refuse answers a request that no worker answers.
func (p *Pool) refuse(w http.ResponseWriter, r *http.Request, cfg *Config, err error, arrived time.Time) {
	switch {
	case errors.Is(err, errClientLeft):
		panic(http.ErrAbortHandler) // as for one that runs
	case err == nil: // the queue is full
		if !gateway.Overload(w) {
			w.Header().Set("Retry-After", "1")
			plainError(w, http.StatusServiceUnavailable, "")
			_ = http.NewResponseController(w).Flush()
		}
		p.refused(time.Since(arrived))
	case errors.Is(err, errTimeout):
		plainError(w, http.StatusGatewayTimeout, "")
	case errors.Is(err, errFailing) && cfg.Development && loopback(r.RemoteAddr):
		p.mu.Lock()
		failure := p.failure
		p.mu.Unlock()
		plainError(w, http.StatusInternalServerError, failure)
	case errors.Is(err, errFailing), errors.Is(err, errStopped):
		w.Header().Set("Retry-After", "5")
		plainError(w, http.StatusServiceUnavailable, "")
	default:
		plainError(w, http.StatusBadGateway, "")
	}
}

func loopback(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote == "" || remote == "@" // a Unix socket
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// plainError answers with a status and a line of text; detail, when there is
// some, follows.
func plainError(w http.ResponseWriter, status int, detail string) {
	h := w.Header()
	if status == http.StatusBadRequest {
		h.Set("Connection", "close")
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	text := http.StatusText(status) + "\n"
	if detail != "" {
		text += "\n" + detail + "\n"
	}
	_, _ = io.WriteString(w, text) // an error here is a client that left
}
