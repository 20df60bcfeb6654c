package pool

// The HTTP side: from a request to a call.

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"millrace/gateway"
	"millrace/internal/requestid"
	"millrace/internal/spool"
)

// bodyMemory is how much of a request's body is kept in memory in any case;
// more, while there is memory to lend (spool.NewBody). What fits rides in the
// request's packet.
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
		plainError(w, r, http.StatusNotFound, "")
		return
	}
	cfg := p.config.Load()
	hasBody := r.ContentLength != 0
	front := gateway.FrontOf(r.Context())
	data := dataOf(r, front)
	if (hasBody || data != nil) && !p.admit(w, r, data, cfg, arrived) {
		return
	}
	c := newCall()
	c.came = arrived.Sub(p.born)
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
	if data != nil {
		if err := c.readData(data, cfg); err != nil {
			c.release()
			p.bodyError(w, r, cfg, err)
			return
		}
	}
	if c.body != nil || c.data != nil {
		c.came = p.now() // its client's time to send it is not the app's
	}
	for program := cfg.Program != nil; ; program = !program {
		if err := c.encode(r, front, target, program); err != nil {
			c.release()
			plainError(w, r, http.StatusBadRequest, "")
			return
		}
		if !program && cfg.showsTraceback(r, front) {
			c.wantsTraceback()
		}
		c.client = r.Context()
		if !p.submit(c) {
			err := c.err
			c.release()
			p.refuse(w, r, cfg, err, arrived)
			return
		}
		// A plain receive: to select on the context's Done as well would cost
		// each request a channel. The keeper looks for clients that have left.
		<-c.done
		if c.err != errOtherKind {
			break
		}
		c = c.anew()
	}
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
func (p *Pool) admit(w http.ResponseWriter, r *http.Request, data *filterData, cfg *Config, arrived time.Time) bool {
	if r.ContentLength > cfg.MaxBody || data != nil && data.length > cfg.MaxBody {
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
	c.body = cfg.Spool.NewBody(bodyMemory)
	n, err := c.body.ReadFrom(io.LimitReader(r.Body, cfg.MaxBody+1))
	if err == nil && n > cfg.MaxBody {
		err = errTooLarge
	}
	return n, err
}

// filterData is the file that a request brings for a filter.
type filterData struct {
	from   io.Reader
	length int64 // negative: it was not said
}

// dataOf is the file that a request brings, from within the server or from a
// front server; nil: it asks for no filter.
func dataOf(r *http.Request, front *gateway.Front) *filterData {
	if asked := gateway.AskedOf(r.Context()); asked != nil {
		if asked.Role != gateway.Filter || asked.Data == nil {
			return nil
		}
		return &filterData{asked.Data(), asked.DataLength}
	}
	if front == nil || front.Role != gateway.Filter || front.Data == nil {
		return nil
	}
	data := &filterData{front.Data, front.DataLength}
	if _, declared := gateway.Lookup(front.Params, "FCGI_DATA_LENGTH"); !declared {
		data.length = -1
	}
	return data
}

var errDataLength = errors.New("FCGI_DATA is not as long as FCGI_DATA_LENGTH says")

// readData collects a filter's file, which comes behind the body. It goes to a
// file whatever its size: the app gets a real one.
func (c *call) readData(data *filterData, cfg *Config) error {
	c.data = cfg.Spool.NewBuffer(0)
	n, err := c.data.ReadFrom(io.LimitReader(data.from, cfg.MaxBody+1))
	if err != nil {
		return err
	}
	if n > cfg.MaxBody {
		return errTooLarge
	}
	if data.length >= 0 && n != data.length {
		return errDataLength
	}
	return nil
}

// bodyError answers a request whose body cannot be taken. The connection
// closes, since what is left of the body is not read.
func (p *Pool) bodyError(w http.ResponseWriter, r *http.Request, cfg *Config, err error) {
	var disk *spool.DiskError
	var long *http.MaxBytesError // of the route
	w.Header().Set("Connection", "close")
	switch {
	case errors.Is(err, errTooLarge), errors.As(err, &long):
		plainError(w, r, http.StatusRequestEntityTooLarge, "")
	case errors.As(err, &disk):
		p.log.Error("cannot spool a request's body; is the disk of server.spool full?", "app", p.name, "request", requestid.Of(r), "method", r.Method, "uri", r.RequestURI, "error", err)
		plainError(w, r, http.StatusInsufficientStorage, "")
	case errors.Is(err, spool.ErrFull):
		p.log.Error("cannot spool a request's body; server.spool_max is reached", "app", p.name, "request", requestid.Of(r), "method", r.Method, "uri", r.RequestURI, "used", cfg.Spool.Used())
		w.Header().Set("Retry-After", "5")
		plainError(w, r, http.StatusServiceUnavailable, "")
	case errors.Is(err, errDataLength):
		p.log.Error("a request to a filter is refused", "app", p.name, "request", requestid.Of(r), "peer", r.RemoteAddr, "method", r.Method, "uri", r.RequestURI, "error", err)
		plainError(w, r, http.StatusBadRequest, "")
	case errors.Is(err, os.ErrDeadlineExceeded):
		plainError(w, r, http.StatusRequestTimeout, "")
	default:
		plainError(w, r, http.StatusBadRequest, "")
	}
}

// encode makes the packet of a request whose body is here.
func (c *call) encode(r *http.Request, front *gateway.Front, target gateway.Target, program bool) error {
	if program {
		return c.encodeProgram(r, front, target)
	}
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
	c.id, c.method, c.uri, c.peer = requestid.Of(r), r.Method, r.RequestURI, r.RemoteAddr
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
	case err == nil, errors.Is(err, errQueueTimeout): // the queue is full, or too slow
		if !gateway.Overload(w) {
			w.Header().Set("Retry-After", "1")
			plainError(w, r, http.StatusServiceUnavailable, "")
			_ = http.NewResponseController(w).Flush()
		}
		if err == nil {
			p.refused(time.Since(arrived))
		}
	case errors.Is(err, errTimeout):
		plainError(w, r, http.StatusGatewayTimeout, "")
	case errors.Is(err, errFailing) && cfg.showsTraceback(r, gateway.FrontOf(r.Context())):
		p.mu.Lock()
		failure := p.failure
		p.mu.Unlock()
		cfg.ShowFailure(w, r, failure)
	case errors.Is(err, errFailing), errors.Is(err, errStopped):
		w.Header().Set("Retry-After", "5")
		plainError(w, r, http.StatusServiceUnavailable, "")
	default:
		plainError(w, r, gateway.StatusOf(err), "")
	}
}
