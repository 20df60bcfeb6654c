package cache

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// entry is a stored response. It never changes once others can see it: what is
// freshened is another one with the same body.
type entry struct {
	key, place string
	vary       []string // names of headers, sorted
	varyValue  string   // what the request said in them
	status     int
	header     http.Header
	accel      string    // X-Accel-Expires, which is not among header
	born       time.Time // when its age was 0
	came       time.Time // when it came, or was last confirmed
	lifetime   time.Duration
	tags       []string

	validate, strict, shared, public, cookies bool // see verdict

	whileRevalidate, ifError time.Duration

	length int64  // of the body
	body   []byte // nil: it is in file, or empty
	file   string // name on disk; empty: it is not there
	sum    uint32 // of the body

	serial uint64 // of this body, in this process

	// The body's file was checked, or written by this process.
	verified bool
}

// entryCost is about what an entry takes beside its texts.
const entryCost = 640

// size is what the entry takes in memory.
func (e *entry) size() int64 {
	n := entryCost + len(e.key) + len(e.place) + len(e.varyValue) + headSize(e.header) + len(e.header)*64 + cap(e.body)
	for _, t := range e.tags {
		n += len(t) + 16
	}
	return int64(n)
}

func (e *entry) age(now time.Time) time.Duration { return max(now.Sub(e.born), 0) }

// left is how long it is fresh yet; 0 or less: it is stale.
func (e *entry) left(now time.Time) time.Duration { return e.lifetime - e.age(now) }

// reusable says whether it answers others without the back end being asked.
func (e *entry) reusable(now time.Time) bool { return !e.validate && e.left(now) > 0 }

// matches says whether it answers a request, as far as Vary goes.
func (e *entry) matches(r *http.Request) bool {
	return len(e.vary) == 0 || varyValue(e.vary, r.Header) == e.varyValue
}

// makeEntry is the entry of a response that may be stored. header becomes its
// own.
func (ru *Rules) makeEntry(r *http.Request, key string, status int, header http.Header, accel string, v *verdict, date, requested, came time.Time) *entry {
	e := &entry{
		key: key, place: placeOf(r), status: status, accel: accel,
		born: came.Add(-initialAge(header, date, requested, came)), came: came, lifetime: v.lifetime,
		validate: v.validate, strict: v.strict, shared: v.shared, public: v.public, cookies: v.cookies,
		whileRevalidate: v.whileRevalidate, ifError: v.ifError,
		tags: tagsOf(header),
	}
	e.vary, _ = ru.varies(header)
	e.varyValue = varyValue(e.vary, r.Header)
	e.header = storable(header, v.drop)
	if e.header["Date"] == nil {
		e.header["Date"] = []string{date.UTC().Format(http.TimeFormat)}
	}
	return e
}

// dateOf is when a response was made; now, if it does not say.
func dateOf(h http.Header, now time.Time) time.Time {
	if t, err := http.ParseTime(h.Get("Date")); err == nil {
		return t
	}
	return now
}

// storable is a header without what is of one connection or one response
// alone (RFC 9111, 3.1), and without what drop names.
func storable(h http.Header, drop []string) http.Header {
	out := make(http.Header, len(h)+1)
	for name, values := range h {
		if len(values) == 0 || perHop(name) || strings.HasPrefix(name, "X-Accel-") || slices.Contains(drop, name) {
			continue
		}
		out[name] = slices.Clip(slices.Clone(values))
	}
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			delete(out, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	return out
}

func perHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Age", "Content-Length":
		return true
	}
	return false
}

// freshened is e as a 304 has confirmed it (RFC 9111, 3.2 and 4.3.4), and
// whether it may be kept.
func (ru *Rules) freshened(e *entry, r *http.Request, h http.Header, accel string, requested, came time.Time) (*entry, bool) {
	merged := e.header.Clone()
	delete(merged, "Date") // that of the old one would count against it
	for name, values := range h {
		switch name {
		case "Content-Length", "Content-Encoding", "Content-Range", "Content-Type":
			continue
		}
		if len(values) > 0 && !perHop(name) && !strings.HasPrefix(name, "X-Accel-") {
			merged[name] = values
		}
	}
	if accel == "" {
		accel = e.accel
	}
	if age, ok := h["Age"]; ok {
		merged["Age"] = age
	}
	date := dateOf(h, came)
	v := ru.judge(r, e.status, merged, accel, date)
	if !v.store {
		next := *e
		next.header = storable(merged, nil)
		next.header["Date"] = []string{date.UTC().Format(http.TimeFormat)}
		next.born, next.came = came, came
		return &next, false
	}
	next := ru.makeEntry(r, e.key, e.status, merged, accel, &v, date, requested, came)
	next.place = e.place
	next.length, next.body, next.file, next.sum, next.serial, next.verified = e.length, e.body, e.file, e.sum, e.serial, e.verified
	return next, true
}

const (
	maxTags    = 128
	maxTagText = 8 << 10
)

// tagHeaders name what a response can be purged by: Cloudflare's and
// Fastly's, each with its separator, and Magento's and TYPO3's.
var tagHeaders = [...]string{"Cache-Tag", "Cache-Tags", "Surrogate-Key", "X-Cache-Tags"}

// tagsOf are the tags of a response. Commas and spaces part them.
func tagsOf(h http.Header) []string {
	var tags []string
	total := 0
	for _, name := range tagHeaders {
		for _, v := range h[name] {
			for tag := range strings.FieldsFuncSeq(v, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' }) {
				total += len(tag)
				if len(tags) == maxTags || total > maxTagText {
					return tags
				}
				tags = append(tags, tag)
			}
		}
	}
	return tags
}
