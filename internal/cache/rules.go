package cache

import (
	"net/http"
	"strings"
	"time"
)

// Rules are what holds for the requests of one Handler. The zero value caches
// what the responses say may be.
type Rules struct {
	// Space parts the keys of what answers otherwise from each other: two
	// Handlers with the same one share what is stored.
	Space string

	// Key appends what tells a request from others. It stands for the whole of
	// it: a text without the host serves one site's pages to another. Default:
	// scheme, host, path and query.
	Key func(dst []byte, r *http.Request) []byte

	// TTL is how long a response is fresh that does not say it itself, by
	// status; AnyStatus is for those that are not there, but for refusals of how
	// one has asked. Default: it is not stored.
	TTL map[int]time.Duration

	// Heuristic guesses the lifetime of what does not say it, and for which TTL
	// has nothing: a tenth of the time since Last-Modified, a day at most.
	Heuristic bool

	// WhileRevalidate and IfError are for responses that say nothing of
	// stale-while-revalidate and stale-if-error (RFC 5861). Default: 0.
	WhileRevalidate, IfError time.Duration

	// Cookies are the cookies that make a request its sender's own: names, or
	// the beginnings of names with "*" behind. It is answered from what is
	// stored, and its response is stored, only where that is said to be for all:
	// public, s-maxage, X-Accel-Expires.
	Cookies []string

	// Bypass says whether a request is not for the cache. Default: none.
	Bypass func(r *http.Request) bool

	// Known says whether the server itself has found out whose a request is: that
	// counts as Authorization does. Default: it has not.
	Known func(r *http.Request) bool

	// Told says what the app is told in a header of requests, by its canonical
	// name: for Vary, which speaks of that. Default: what the client has sent.
	Told func(name string) Told

	// IgnoreClient has Cache-Control and Pragma of requests mean nothing.
	IgnoreClient bool

	// Ignore are headers of responses that mean nothing to the cache.
	Ignore Ignore

	// Separate has each request that is not answered from the cache ask for
	// itself.
	Separate bool

	// Wait is how long a request waits for the head of another one's response,
	// before it asks for itself. Default: 10 s.
	Wait time.Duration

	// NoStatus leaves out Cache-Status.
	NoStatus bool

	// Enter and Leave are called around each fetch, which may outlive the
	// request that it was begun for; if Enter returns false, there is none.
	Enter func() bool
	Leave func()

	// Detach makes the request of a fetch one that shares nothing with its
	// client's.
	Detach func(r *http.Request) *http.Request

	// Forward is called, with the client's ResponseWriter, when a request is not
	// answered by the cache alone.
	Forward func(w http.ResponseWriter, r *http.Request)

	// OfEntry is called before a stored response goes out whole, as it was
	// stored: serial is the same for the same bytes.
	OfEntry func(w http.ResponseWriter, serial uint64, size int64)
}

// Told is what an app is told in a header of requests.
type Told uint8

const (
	AsSent  Told = iota // what the client has sent
	InKey               // the same in all requests of one key
	ByOther             // what somebody behind the cache says, of each request another thing
)

// AnyStatus is the key of Rules.TTL for all others.
const AnyStatus = 0

const defaultWait = 10 * time.Second

// Ignore names headers of responses.
type Ignore struct{ CacheControl, Expires, AccelExpires, SetCookie, Vary bool }

// key is what the response to a request is stored under.
func (ru *Rules) key(r *http.Request) string {
	var room [256]byte
	b := append(append(room[:0], ru.Space...), 0)
	if ru.Key != nil {
		b = ru.Key(b, r)
	} else {
		b = appendKey(b, r)
	}
	return string(b)
}

// varies is what a response depends on: the headers that tell requests of one
// key apart, sorted; or why they cannot be told apart by what clients send.
func (ru *Rules) varies(h http.Header) (names []string, why string) {
	if ru.Ignore.Vary {
		return nil, ""
	}
	names, star := varyNames(h)
	switch {
	case star:
		return nil, "vary"
	case len(names) > maxVary:
		return nil, "vary-too-long"
	case ru.Told == nil:
		return names, ""
	}
	kept := names[:0]
	for _, name := range names {
		switch ru.Told(name) {
		case ByOther:
			return nil, "vary"
		case AsSent:
			kept = append(kept, name)
		}
	}
	return kept, ""
}

// cookieMatters says whether a request has a cookie that makes it its sender's
// own.
func (ru *Rules) cookieMatters(r *http.Request) bool {
	lines := r.Header["Cookie"]
	if len(lines) == 0 || len(ru.Cookies) == 0 {
		return false
	}
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(strings.TrimSpace(part), "=")
			name = strings.TrimSpace(name)
			for _, want := range ru.Cookies {
				if prefix, ok := strings.CutSuffix(want, "*"); ok && strings.HasPrefix(name, prefix) || name == want {
					return true
				}
			}
		}
	}
	return false
}

// private says whether a request has credentials: those of RFC 9111, 3.5, or
// cookies that matter.
func (ru *Rules) private(r *http.Request) (authorization, cookie bool) {
	return r.Header["Authorization"] != nil || ru.Known != nil && ru.Known(r), ru.cookieMatters(r)
}

// bypasses says why a request has nothing to do with the cache; "": it has.
func (ru *Rules) bypasses(r *http.Request) string {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return "method"
	case r.ContentLength > 0 || len(r.TransferEncoding) > 0 || r.ContentLength < 0 && r.ProtoMajor < 3:
		return "body" // HTTP/3 does not tell; there a fetch has none, so that nothing depends on it
	}
	for name := range r.Header {
		switch name {
		case "Upgrade", "If-Match", "If-Unmodified-Since":
			return strings.ToLower(name)
		}
		if strings.HasPrefix(name, "X-") {
			for _, o := range overriding {
				if name == o {
					return "overriding-header"
				}
			}
		}
	}
	if ru.Bypass != nil && ru.Bypass(r) {
		return "rule"
	}
	return ""
}
