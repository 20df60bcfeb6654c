package encode

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// DefaultTypes are what is compressed by default: text, in whatever guise.
// Pictures, sound, films, archives and woff fonts are compressed already.
var DefaultTypes = []string{
	"text/*", "*+json", "*+xml", "application/json", "application/ld+json", "application/x-ndjson", "application/jsonl",
	"application/javascript", "application/x-javascript", "application/ecmascript", "application/xml", "application/xml-dtd",
	"application/rtf", "application/sql", "application/toml", "application/yaml", "application/x-yaml", "application/x-sh",
	"application/x-subrip", "application/vnd.apple.mpegurl", "application/graphql", "application/wasm", "application/x-tex", "application/postscript",
	"application/vnd.ms-fontobject", "application/x-font-bdf", "font/ttf", "font/otf", "font/collection",
	"image/svg+xml", "image/bmp", "image/vnd.microsoft.icon", "image/x-icon", "image/x-xbitmap", "image/x-xpixmap",
}

// DefaultMinSize is the length from which a body is compressed. A shorter one
// fits one packet as it is.
const DefaultMinSize = 1024

// DefaultCodings are offered by default, the one that is liked best first.
var DefaultCodings = []string{Zstd, Brotli, Gzip}

// Options say what a Policy compresses. The zero value is the default.
type Options struct {
	// Types are media types: whole ("application/json"), all of a kind
	// ("text/*"), or all with a suffix ("*+json"). text/event-stream is
	// compressed only where it is named in whole: what reads it wants each
	// event at once, and so do some servers in between that would hold a
	// compressed one back. Default: DefaultTypes.
	Types []string

	// MinSize is the length in bytes from which a body is compressed, if its
	// length is known or its end comes before it is flushed. Default: 1024.
	MinSize int

	// Codings are offered, the one that is liked best first. Default: zstd,
	// brotli, gzip.
	Codings []string

	// Levels of the libraries. Default: 5, 5 and 3.
	GzipLevel, BrotliLevel, ZstdLevel int
}

// Policy compresses responses. It is safe for concurrent use.
type Policy struct {
	engine  *Engine
	minSize int64
	codings []string
	kinds   []kind       // of codings
	pools   []*sync.Pool // of kinds

	types    map[string]bool
	kindsOf  []string // "text/"
	suffixes []string // "+json"

	lately [8]atomic.Pointer[verdict] // by the length of the Content-Type
}

// verdict is whether responses of a Content-Type are compressed.
type verdict struct {
	contentType string
	yes         bool
}

// New makes a Policy that works with what e has.
func New(e *Engine, o Options) *Policy {
	p := &Policy{engine: e, minSize: int64(o.MinSize), codings: o.Codings, types: map[string]bool{}}
	if p.minSize <= 0 {
		p.minSize = DefaultMinSize
	}
	if len(p.codings) == 0 {
		p.codings = DefaultCodings
	}
	levels := map[string]int{Gzip: or(o.GzipLevel, DefaultGzipLevel), Brotli: or(o.BrotliLevel, DefaultBrotliLevel), Zstd: or(o.ZstdLevel, DefaultZstdLevel)}
	for _, coding := range p.codings {
		k := kind{coding, levels[coding]}
		p.kinds = append(p.kinds, k)
		p.pools = append(p.pools, e.coders.pool(k))
	}
	types := o.Types
	if len(types) == 0 {
		types = DefaultTypes
	}
	for _, t := range types {
		t = strings.ToLower(t)
		switch {
		case strings.HasSuffix(t, "/*"):
			p.kindsOf = append(p.kindsOf, strings.TrimSuffix(t, "*"))
		case strings.HasPrefix(t, "*+"):
			p.suffixes = append(p.suffixes, t[1:])
		default:
			p.types[t] = true
		}
	}
	return p
}

func or(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// Wrap returns a handler that calls next and compresses what it answers. The
// ResponseWriter that next gets must not be used after it has returned. A
// panic of next passes through, and what was held is then not sent.
func (p *Policy) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := r.Header["If-None-Match"]; ok {
			r = forHandler(r, p.codings)
		} else if _, ok := r.Header["If-Match"]; ok {
			r = forHandler(r, p.codings)
		}
		e := writers.Get().(*writer)
		e.w, e.r, e.policy = w, r, p
		returned := false
		defer func() {
			if !returned { // after a panic somebody may still hold it
				e.abandon()
			}
		}()
		next.ServeHTTP(e, r)
		e.finish()
		returned = true
		e.release()
	})
}

// compresses says whether a Content-Type is among the types. A site has few.
func (p *Policy) compresses(contentType string) bool {
	last := &p.lately[len(contentType)%len(p.lately)]
	if v := last.Load(); v != nil && v.contentType == contentType {
		return v.yes
	}
	v := &verdict{strings.Clone(contentType), p.decide(contentType)}
	last.Store(v)
	return v.yes
}

func (p *Policy) decide(contentType string) bool {
	t, _, _ := strings.Cut(contentType, ";")
	t = trim(t)
	if p.matches(t) {
		return true
	}
	for i := range len(t) { // hardly anyone writes them in upper case
		if 'A' <= t[i] && t[i] <= 'Z' {
			return p.matches(strings.ToLower(t))
		}
	}
	return false
}

func (p *Policy) matches(t string) bool {
	if p.types[t] {
		return true
	}
	if t == "text/event-stream" {
		return false
	}
	for _, k := range p.kindsOf {
		if strings.HasPrefix(t, k) {
			return true
		}
	}
	for _, s := range p.suffixes {
		if strings.HasSuffix(t, s) {
			return true
		}
	}
	return false
}

// kind returns what a coding is made with.
func (p *Policy) kind(coding string) (kind, *sync.Pool) {
	i := slices.Index(p.codings, coding)
	return p.kinds[i], p.pools[i]
}

// hasToken says whether a list of comma-separated names, without their values,
// holds one. name is in lower case.
func hasToken(values []string, name string) bool {
	for _, value := range values {
		for value != "" {
			var element string
			element, value, _ = strings.Cut(value, ",")
			element, _, _ = strings.Cut(element, "=")
			if strings.EqualFold(trim(element), name) {
				return true
			}
		}
	}
	return false
}
