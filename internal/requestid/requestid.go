// Package requestid gives each request its name, and tells the app when it
// came.
//
// Stamp is called once for a request that Carries something, when its head has
// been read, and Ensure for any other before the first that looks: a file that
// is sent needs no name. What is found out goes into the request's own headers,
// so that it reaches everyone without a further word: the access log, the app
// (as HTTP_X_REQUEST_ID), back ends, and whoever writes an error log's line or
// an error page.
//
// An id is 20 characters of lower-case base32: ten that a process draws at
// random when it starts, and ten that count. It is a name and no secret: who
// sees two of them knows how many requests came between.
package requestid

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"
)

// The headers, as http.Header spells them.
const (
	Header       = "X-Request-Id"
	start        = "X-Request-Start"
	traceParent  = "Traceparent"
	traceState   = "Tracestate"
	size         = 20                                 // characters of an id of ours
	maxSize      = 128                                // of somebody else's
	startSize    = len("t=") + 16                     // until the year 2286
	half         = size / 2                           // of the two parts of an id
	bitsOfADigit = 5                                  // of base32
	alphabet     = "0123456789abcdefghjkmnpqrstvwxyz" // Crockford's: none is taken for another
)

// Source makes ids. New returns one; a process needs no second.
type Source struct {
	prefix [half]byte
	count  atomic.Uint64
}

// New returns a Source whose ids no other process's are like.
func New() *Source {
	s := &Source{}
	var b [half]byte
	_, _ = rand.Read(b[:]) // never fails
	for i, c := range b {
		s.prefix[i] = alphabet[c&(1<<bitsOfADigit-1)]
	}
	return s
}

// stamp is what Stamp adds to a request, in one allocation.
type stamp struct {
	values [2]string // the headers' one-value slices are parts of this one
	text   [size + startSize]byte
}

// Stamp gives r an X-Request-ID, the X-Request-Start that it lacks, and takes
// a malformed traceparent from it, with the tracestate that belongs to it (as
// W3C's Trace Context has it, section 3.2.2).
//
// An id that came with the request stays if it is well-formed and trusted
// says that whoever sent it may give one; trusted is asked only then.
func (s *Source) Stamp(r *http.Request, now time.Time, trusted func(*http.Request) bool) {
	h := r.Header
	if h == nil {
		h = http.Header{}
		r.Header = h
	}
	st := &stamp{}
	if given := h[Header]; len(given) != 1 || !WellFormed(given[0]) || !trusted(r) {
		s.put(st.text[:size])
		st.values[0] = unsafe.String(&st.text[0], size) // nobody writes there any more
		h[Header] = st.values[0:1:1]
	}
	if _, ok := h[start]; !ok {
		text := strconv.AppendInt(append(st.text[size:size], "t="...), now.UnixMicro(), 10)
		st.values[1] = unsafe.String(&text[0], len(text))
		h[start] = st.values[1:2:2]
	}
	if parent, ok := h[traceParent]; ok && (len(parent) != 1 || !traceContext(parent[0])) {
		delete(h, traceParent)
		delete(h, traceState)
	}
}

// Carries reports whether r came with anything that Stamp would take or take
// away.
func Carries(r *http.Request) bool {
	if len(r.Header) == 0 {
		return false
	}
	_, id := r.Header[Header]
	_, began := r.Header[start]
	_, trace := r.Header[traceParent]
	return id || began || trace
}

// Ensure stamps a request that Carries nothing and was not stamped yet.
func (s *Source) Ensure(r *http.Request) {
	if Of(r) == "" {
		s.Stamp(r, time.Now(), nobody)
	}
}

func nobody(*http.Request) bool { return false }

// put writes the next id.
func (s *Source) put(b []byte) {
	copy(b, s.prefix[:])
	n := s.count.Add(1)
	for i := size - 1; i >= half; i-- {
		b[i] = alphabet[n&(1<<bitsOfADigit-1)]
		n >>= bitsOfADigit
	}
}

// Of returns the id of a request, "" for one that was not stamped.
func Of(r *http.Request) string {
	if v := r.Header[Header]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// WellFormed reports whether text can be an id: 1 to 128 letters, digits and
// . _ : / + = @ -
func WellFormed(text string) bool {
	if len(text) == 0 || len(text) > maxSize {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && strings.IndexByte("._:/+=@-", c) < 0 {
			return false
		}
	}
	return true
}

// Show puts the id of each request in its response, as X-Request-ID.
func Show(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v := r.Header[Header]; len(v) > 0 {
			w.Header()[Header] = v[:1:1]
		}
		next.ServeHTTP(w, r)
	})
}

// traceContext reports whether text is a traceparent: of version 00, or of a
// later one that begins like it.
func traceContext(text string) bool {
	const whole = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(text) < whole || len(text) > maxSize || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return false
	}
	version, trace, parent, flags := text[:2], text[3:35], text[36:52], text[53:55]
	for _, part := range [...]string{version, trace, parent, flags} {
		if strings.Trim(part, "0123456789abcdef") != "" {
			return false
		}
	}
	rest := text[whole:]
	switch {
	case version == "ff", version == "00" && rest != "", rest != "" && rest[0] != '-':
		return false
	}
	return strings.Trim(trace, "0") != "" && strings.Trim(parent, "0") != ""
}
