package authorize

// The answer to a question: what its status means, and what is kept of it.

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"millrace/gateway"
	"millrace/internal/requestid"
)

// maxKept bounds the body of a refusal that is kept, for others or for later.
// Larger ones reach their clients all the same.
const maxKept = 16 << 10

// maxVariables bounds what an authorizer may add to a request, in bytes.
const maxVariables = 64 << 10

type outcome uint8

const (
	undecided outcome = iota // no head has come
	passes
	denied   // the answer is the client's
	answered // neither: it is an error
)

// judge is what a status means.
func (a *authorize) judge(status int) outcome {
	if a.Authorizer {
		if status == http.StatusOK {
			return passes
		}
		return denied
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden,
		http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return denied
	}
	if status >= 200 && status < 300 {
		return passes
	}
	return answered
}

// recorder is the ResponseWriter of a question. A refusal goes on to the client
// as it comes, unless it is to be kept and is small enough for that.
type recorder struct {
	*authorize
	client http.ResponseWriter
	keep   bool // the refusal is wanted whole

	header  http.Header
	status  int
	outcome outcome
	own     bool   // it is the gateway's own, and has been logged
	passing bool   // the refusal goes to the client
	kept    []byte // of its body

	swallowed int64 // bytes of a body that nobody sees
}

// maxSwallowed is how much of such a body is taken; beyond it the recorder
// fails, as it does when a client leaves: a body may be without end.
const maxSwallowed = 256 << 10

var errSwallowed = errors.New("nobody wants the body of this answer")

func (rec *recorder) swallow(n int) (int, error) {
	if rec.swallowed += int64(n); rec.full() {
		return 0, errSwallowed
	}
	return n, nil
}

func (rec *recorder) full() bool { return rec.swallowed > maxSwallowed }

func (rec *recorder) Header() http.Header {
	if rec.header == nil {
		rec.header = http.Header{}
	}
	return rec.header
}

// OwnAnswer is for gateway.OwnAnswer.
func (rec *recorder) OwnAnswer() { rec.own = true }

// WantsBody is for gateway.WantsBody: nobody sees the body of an answer that is
// no refusal.
func (rec *recorder) WantsBody(status int) bool { return rec.judge(status) == denied }

func (rec *recorder) WriteHeader(status int) {
	if rec.outcome != undecided || status < 200 {
		return
	}
	rec.status, rec.outcome = status, rec.judge(status)
	if rec.own && status >= 500 && !rec.Authorizer {
		rec.outcome = answered
	}
	if rec.outcome == denied && !rec.keep {
		rec.begin()
	}
}

// begin sends the refusal's head to the client.
func (rec *recorder) begin() {
	rec.passing = true
	rec.writeHead(rec.client, rec.status, rec.Header(), rec.own)
}

// writeHead sends the head of a refusal to the client.
func (a *authorize) writeHead(w http.ResponseWriter, status int, header http.Header, own bool) {
	switch {
	case own:
		gateway.OwnAnswer(w)
	case a.Refused != nil:
		a.Refused(w)
	}
	h := w.Header()
	for name, values := range header {
		switch {
		case name == requestid.Header && h[name] != nil: // the site shows its own
		case strings.HasPrefix(name, "Variable-"): // of an authorizer that refuses
		default:
			h[name] = slices.Clip(values) // those that are kept are many clients'
		}
	}
	if _, ok := header["Content-Type"]; !ok {
		h["Content-Type"] = nil // nobody must guess one
	}
	w.WriteHeader(status)
}

func (rec *recorder) Write(b []byte) (int, error) {
	rec.WriteHeader(http.StatusOK)
	switch {
	case rec.outcome != denied:
		return rec.swallow(len(b))
	case !rec.passing && len(rec.kept)+len(b) <= maxKept:
		rec.kept = append(rec.kept, b...)
		return len(b), nil
	case !rec.passing:
		rec.begin()
		if _, err := rec.client.Write(rec.kept); err != nil {
			return 0, err
		}
		rec.kept = nil
	}
	return rec.client.Write(b)
}

// ReadFrom is for io.Copy.
func (rec *recorder) ReadFrom(from io.Reader) (int64, error) {
	rec.WriteHeader(http.StatusOK)
	if rec.outcome != denied {
		n, err := io.Copy(io.Discard, io.LimitReader(from, maxSwallowed+1-rec.swallowed))
		if _, full := rec.swallow(int(n)); err == nil {
			err = full
		}
		return n, err
	}
	return io.Copy(onlyWriter{rec}, from)
}

// onlyWriter keeps io.Copy from asking for ReadFrom again.
type onlyWriter struct{ io.Writer }

// FlushError is for http.ResponseController.
func (rec *recorder) FlushError() error {
	rec.WriteHeader(http.StatusOK)
	if rec.passing {
		return http.NewResponseController(rec.client).Flush()
	}
	return nil
}

// Flush is for those who look for an http.Flusher.
func (rec *recorder) Flush() { _ = rec.FlushError() }

// verdict is what was found out about a request. It does not change.
type verdict struct {
	pass     bool
	said     *Said       // of one that passes; nil: nothing
	toClient http.Header // beside its response

	status int // of one that does not
	header http.Header
	body   []byte
	own    bool
	share  bool // others may have it, now or later
}

// verdict is that of an answer that lets pass.
func (rec *recorder) verdict() *verdict {
	v := &verdict{pass: true, share: rec.shareable()}
	a := rec.authorize
	said := &Said{Headers: http.Header{}}
	if a.Authorizer {
		for _, p := range gateway.Variables(rec.Header()) {
			rec.variable(said, p)
		}
	}
	for _, name := range a.Headers {
		if values := rec.header[name]; len(values) > 0 {
			said.Headers[name] = values
		}
	}
	if values := rec.header[a.User]; a.User != "" && len(values) == 1 {
		said.User = values[0]
		said.Headers[a.User] = values
	}
	if said.User != "" || len(said.Headers)+len(said.Variables) > 0 {
		v.said = said
	}
	for _, name := range a.ToClient {
		if values := rec.header[name]; len(values) > 0 {
			if v.toClient == nil {
				v.toClient = http.Header{}
			}
			v.toClient[name] = values
		}
	}
	return v
}

// variable takes one of an authorizer's, unless it is the server's to say.
func (rec *recorder) variable(said *Said, p gateway.Param) {
	size := len(p.Name) + len(p.Value)
	for _, v := range said.Variables {
		size += len(v.Name) + len(v.Value)
	}
	switch {
	case !mayBeSet(p.Name):
		rec.warn("a variable of an authorizer is left out: it is the server's to say", p)
		return
	case size > maxVariables:
		rec.warn("a variable of an authorizer is left out: its variables take too much room", p)
		return
	case p.Name == "REMOTE_USER":
		said.User = p.Value
	case p.Name == "AUTH_TYPE":
		said.UserType = p.Value
	}
	said.Variables = append(said.Variables, p)
}

// warn says once, not with each request, that a variable is left out.
func (a *authorize) warn(why string, p gateway.Param) {
	if _, told := a.told.LoadOrStore(why, true); !told {
		a.Log.Warn(why, "asked", a.Name, "variable", p.Name, "bytes", len(p.Value))
	}
}

// mayBeSet reports whether an authorizer may set a parameter of the request that
// follows. It may say who the client is to the app, and whatever the app has
// names of its own for; not what the request is, where it leads, or what a
// client of HTTP inside the app obeys.
func mayBeSet(name string) bool {
	if name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_abcdefghijklmnopqrstuvwxyz") != "" {
		return false
	}
	switch name {
	case "CONTENT_LENGTH", "CONTENT_TYPE", "DOCUMENT_ROOT", "DOCUMENT_URI", "GATEWAY_INTERFACE", "HTTPS", "HTTP_PROXY",
		"PATH_INFO", "PATH_TRANSLATED", "QUERY_STRING", "REDIRECT_STATUS", "REMOTE_ADDR", "REMOTE_PORT", "REQUEST_METHOD", "REQUEST_SCHEME", "REQUEST_URI",
		"SCRIPT_FILENAME", "SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "SERVER_SOFTWARE":
		return false
	}
	return !strings.HasPrefix(name, "FCGI_") && !strings.HasPrefix(name, "PHP_")
}

// denial is the verdict of a refusal; nil if the client has it.
func (rec *recorder) denial() *verdict {
	if rec.passing {
		return nil
	}
	return &verdict{status: rec.status, header: rec.Header(), body: rec.kept, own: rec.own, share: rec.shareable()}
}

// shareable reports whether others may have the answer: what is an error may
// be over a moment later, and a cookie is one client's.
func (rec *recorder) shareable() bool {
	if rec.own || rec.header["Set-Cookie"] != nil || rec.status >= 500 || rec.status == http.StatusTooManyRequests || rec.status == http.StatusRequestTimeout {
		return false
	}
	for _, value := range rec.header["Cache-Control"] {
		for directive := range strings.SplitSeq(value, ",") {
			if slices.Contains([]string{"no-store", "no-cache"}, strings.ToLower(strings.TrimSpace(directive))) {
				return false
			}
		}
	}
	return true
}

// refuse answers with a refusal.
func (a *authorize) refuse(w http.ResponseWriter, v *verdict) {
	a.writeHead(w, v.status, v.header, v.own)
	_, _ = w.Write(v.body) // an error here is a client that left
}
