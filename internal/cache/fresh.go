package cache

// May a response be stored, and for how long is it fresh (RFC 9111, 3 and 4.2).

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// heuristicMost bounds what is guessed of a lifetime.
	heuristicMost = 24 * time.Hour

	// heuristicShare: a tenth of its age since it was changed (RFC 9111, 4.2.2).
	heuristicShare = 10

	// maxHead is how long the headers of a stored response may be.
	maxHead = 32 << 10
)

// verdict is what a cache may do with a response.
type verdict struct {
	store bool
	why   string // it is not stored: the detail of Cache-Status, a token

	lifetime time.Duration
	validate bool // never to be used unasked: no-cache
	strict   bool // never to be used stale: must-revalidate, proxy-revalidate
	shared   bool // s-maxage: a client cannot ask for it stale
	public   bool // also for requests with credentials
	cookies  bool // also for requests with cookies that matter
	explicit bool // the response itself has said how long

	whileRevalidate, ifError time.Duration

	drop []string // headers that are not stored
}

func refuse(why string) verdict { return verdict{why: why} }

// understood are the statuses whose meaning for a cache is known; for
// must-understand (RFC 9111, 5.2.2.3).
func understood(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 403, 404, 405, 410, 414, 421, 451, 500, 501, 502, 503, 504:
		return true
	}
	return false
}

// guessable are statuses whose lifetime may be guessed (RFC 9110, 15.1).
func guessable(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}

// ofOne are statuses that are about how one request was asked, or by whom, and
// not about what it asked for: anybody could have them stored for all, by a header
// that the app does not like.
func ofOne(status int) bool {
	switch status {
	case 400, 408, 411, 412, 413, 416, 417, 421, 425, 426, 428, 429, 431:
		return true
	}
	return false
}

// judge says what may be done with the response to a request. accel is
// X-Accel-Expires, "" for none; date is when the response was made.
func (ru *Rules) judge(r *http.Request, status int, h http.Header, accel string, date time.Time) verdict {
	switch {
	case status < 200 || status == http.StatusPartialContent || status == http.StatusNotModified:
		return refuse("status")
	case headSize(h) > maxHead:
		return refuse("head-too-long")
	}
	cc := said{maxAge: absent, sharedMaxAge: absent, whileRevalidate: absent, ifError: absent}
	if !ru.Ignore.CacheControl {
		cc = parseSaid(h["Cache-Control"])
	}
	targeted := false
	if v, ok := h["Cdn-Cache-Control"]; ok && !ru.Ignore.CacheControl {
		if t := parseSaid(v); !t.broken && len(v) > 0 { // RFC 9213, 2.2: one that cannot be parsed is not there
			t.sharedMaxAge, targeted = larger(t.sharedMaxAge, t.maxAge), true
			cc = t
		}
	}
	if ru.Ignore.AccelExpires {
		accel = ""
	}
	v := verdict{lifetime: absent}
	if d, ok := parseAccel(accel, date); ok { // the gateway alone is told this: it goes before all else
		if d <= 0 {
			return refuse("x-accel-expires")
		}
		v.lifetime, v.public, v.cookies = d, true, true
	} else {
		switch {
		case cc.broken:
			return refuse("cache-control-broken")
		case cc.private:
			return refuse("private")
		case cc.noStore && !(cc.mustUnderstand && understood(status)):
			return refuse("no-store")
		case cc.mustUnderstand && !understood(status):
			return refuse("must-understand")
		}
		v.validate = cc.noCache
		v.strict = cc.mustRevalidate || cc.proxyRevalidate
		v.drop = append(slices.Clone(cc.noCacheFields), cc.privateFields...)
		v.lifetime = cc.lifetime()
		v.shared = cc.sharedMaxAge != absent
		v.public = cc.public || v.shared || cc.mustRevalidate
		v.cookies = cc.public || v.shared
		if v.lifetime == absent && !targeted {
			v.lifetime = ru.expires(h, date)
		}
	}
	v.whileRevalidate, v.ifError = cc.whileRevalidate, cc.ifError
	v.explicit = v.lifetime != absent
	if v.lifetime == absent {
		v.lifetime = ru.otherwise(status, h, date, cc.public)
	}
	if v.lifetime == absent && v.validate {
		v.lifetime = 0
	}
	if v.lifetime == absent {
		return refuse("no-lifetime")
	}
	if why := ru.unsafe(r, h, &v); why != "" {
		return refuse(why)
	}
	if (v.validate || v.lifetime <= 0) && h["Etag"] == nil && h["Last-Modified"] == nil && v.whileRevalidate <= 0 && v.ifError <= 0 {
		return refuse("stale-at-once") // nothing would ever come of it
	}
	if v.whileRevalidate == absent {
		v.whileRevalidate = ru.WhileRevalidate
	}
	if v.ifError == absent {
		v.ifError = ru.IfError
	}
	v.store = true
	return v
}

// unsafe says why a response that may be stored is not all the same, and what
// of it is left out.
func (ru *Rules) unsafe(r *http.Request, h http.Header, v *verdict) string {
	authorization, cookie := ru.private(r)
	if !v.public && authorization {
		return "authorization" // RFC 9111, 3.5
	}
	if !v.cookies && cookie {
		return "cookie"
	}
	if h["Set-Cookie"] != nil && !slices.Contains(v.drop, "Set-Cookie") {
		if !ru.Ignore.SetCookie {
			return "set-cookie"
		}
		v.drop = append(v.drop, "Set-Cookie")
	}
	if _, why := ru.varies(h); why != "" {
		return why
	}
	if deceives(r.URL.Path, h) && !v.cookies {
		return "type-of-another-name"
	}
	return ""
}

func larger(a, b time.Duration) time.Duration {
	if a == absent {
		return b
	}
	return a
}

// lifetime is what Cache-Control says of a shared cache's.
func (s *said) lifetime() time.Duration {
	if s.sharedMaxAge != absent {
		return s.sharedMaxAge
	}
	return s.maxAge
}

// expires is the lifetime by Expires. A date that is none, or two of them, are
// in the past (RFC 9111, 5.3).
func (ru *Rules) expires(h http.Header, date time.Time) time.Duration {
	values := h["Expires"]
	if len(values) == 0 || ru.Ignore.Expires {
		return absent
	}
	at, err := http.ParseTime(values[0])
	if err != nil || len(values) > 1 {
		return 0
	}
	return max(at.Sub(date), 0)
}

// otherwise is the lifetime of a response that says nothing of it.
func (ru *Rules) otherwise(status int, h http.Header, date time.Time, public bool) time.Duration {
	if d, ok := ru.TTL[status]; ok {
		return d
	}
	if d, ok := ru.TTL[AnyStatus]; ok && !ofOne(status) {
		return d
	}
	if !ru.Heuristic || !guessable(status) && !public {
		return absent
	}
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil || !modified.Before(date) {
		return absent
	}
	return min(date.Sub(modified)/heuristicShare, heuristicMost)
}

// parseAccel reads X-Accel-Expires: seconds, or "@" and a Unix time.
func parseAccel(text string, now time.Time) (time.Duration, bool) {
	if at, ok := strings.CutPrefix(text, "@"); ok {
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil || n < 0 {
			return 0, false
		}
		return min(time.Duration(max(min(n-now.Unix(), maxSeconds), 0))*time.Second, maxSeconds*time.Second), true
	}
	return seconds(text)
}

// initialAge is how old a response was when it came (RFC 9111, 4.2.3).
func initialAge(h http.Header, date, requested, came time.Time) time.Duration {
	apparent := max(came.Sub(date), 0)
	age := time.Duration(0)
	if values := h["Age"]; len(values) > 0 {
		if d, ok := seconds(strings.TrimSpace(values[0])); ok {
			age = d
		}
	}
	return max(apparent, age+max(came.Sub(requested), 0))
}

// headSize is about what headers take as text.
func headSize(h http.Header) int {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return n
}
