package cache

// What RFC 9111 says, directive by directive: a response is fetched, time
// passes, and the same, or another, request comes again.

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// again is what becomes of the second request.
type again string

const (
	isHit       again = "hit"        // answered without the back end
	isFetched   again = "fetched"    // nothing was stored that could be used
	isValidated again = "validated"  // the back end was asked with a condition, and said 304
	isGone      again = "gone: 504"  // only-if-cached, and there is nothing
	isStale     again = "stale"      // answered without the back end, stale
	isWhile     again = "stale, and" // the same, and the back end is asked beside
)

const tag = `Etag: "v"`

var directives = []struct {
	name   string
	rules  Rules
	first  []string // request headers of the first
	status int      // of the response, default 200
	says   []string // response headers
	later  time.Duration
	second []string
	want   again
}{
	// Response directives, 5.2.2.
	{name: "nothing", want: isFetched},
	{name: "max-age, fresh", says: []string{"Cache-Control: max-age=60"}, later: 59 * time.Second, want: isHit},
	{name: "max-age, stale", says: []string{"Cache-Control: max-age=60"}, later: 60 * time.Second, want: isFetched},
	{name: "max-age, stale, with a validator", says: []string{"Cache-Control: max-age=60", tag}, later: 61 * time.Second, want: isValidated},
	{name: "max-age in upper case", says: []string{"Cache-Control: MAX-AGE=60"}, want: isHit},
	{name: "max-age in quotes", says: []string{`Cache-Control: max-age="60"`}, want: isHit},
	{name: "max-age with a space", says: []string{"Cache-Control: max-age =60"}, want: isFetched},
	{name: "max-age negative", says: []string{"Cache-Control: max-age=-1", tag}, want: isValidated},
	{name: "max-age with a fraction", says: []string{"Cache-Control: max-age=60.5"}, want: isFetched},
	{name: "max-age empty", says: []string{"Cache-Control: max-age="}, want: isFetched},
	{name: "max-age huge", says: []string{"Cache-Control: max-age=99999999999999999999"}, later: 1000 * time.Hour, want: isHit},
	{name: "max-age twice, alike", says: []string{"Cache-Control: max-age=60, max-age=60"}, want: isHit},
	{name: "max-age twice, unlike", says: []string{"Cache-Control: max-age=60, max-age=600", tag}, want: isValidated},
	{name: "max-age=0", says: []string{"Cache-Control: max-age=0"}, want: isFetched},
	{name: "max-age=0 with a validator", says: []string{"Cache-Control: max-age=0", tag}, want: isValidated},
	{name: "max-age in the second header", says: []string{"Cache-Control: public", "Cache-Control: max-age=60"}, want: isHit},
	{name: "s-maxage goes before max-age", says: []string{"Cache-Control: max-age=0, s-maxage=60"}, later: 30 * time.Second, want: isHit},
	{name: "s-maxage=0 as well", says: []string{"Cache-Control: max-age=60, s-maxage=0"}, want: isFetched},
	{name: "s-maxage is never stale for a client", says: []string{"Cache-Control: s-maxage=60", tag}, later: 70 * time.Second, second: []string{"Cache-Control: max-stale"}, want: isValidated},
	{name: "no-store", says: []string{"Cache-Control: no-store, max-age=60"}, want: isFetched},
	{name: "no-store in upper case", says: []string{"Cache-Control: No-Store, max-age=60"}, want: isFetched},
	{name: "no-store quoted away", says: []string{`Cache-Control: x="no-store", max-age=60`}, want: isHit},
	{name: "a quote that does not end", says: []string{`Cache-Control: max-age=60, x="no-store`}, want: isFetched},
	{name: "no-cache", says: []string{"Cache-Control: no-cache, max-age=60"}, want: isFetched},
	{name: "no-cache with a validator", says: []string{"Cache-Control: no-cache, max-age=60", tag}, want: isValidated},
	{name: "no-cache without a lifetime", says: []string{"Cache-Control: no-cache", tag}, want: isValidated},
	{name: "no-cache of fields", says: []string{`Cache-Control: no-cache="x-secret", max-age=60`, "X-Secret: 1"}, want: isHit},
	{name: "no-cache of fields that are none", says: []string{`Cache-Control: no-cache="", max-age=60`}, want: isFetched},
	{name: "private", says: []string{"Cache-Control: private, max-age=60"}, want: isFetched},
	{name: "private, s-maxage", says: []string{"Cache-Control: private, s-maxage=60"}, want: isFetched},
	{name: "private of fields", says: []string{`Cache-Control: private="X-Secret", max-age=60`, "X-Secret: 1"}, want: isHit},
	{name: "private of fields that are none", says: []string{`Cache-Control: private="a b", max-age=60`}, want: isFetched},
	{name: "public alone", says: []string{"Cache-Control: public"}, want: isFetched},
	{name: "public, guessed", rules: Rules{Heuristic: true}, says: []string{"Cache-Control: public", lastModified(-10 * time.Hour)}, later: 59 * time.Minute, want: isHit},
	{name: "must-revalidate, fresh", says: []string{"Cache-Control: max-age=60, must-revalidate"}, want: isHit},
	{name: "must-revalidate, stale", says: []string{"Cache-Control: max-age=60, must-revalidate", tag}, later: 61 * time.Second, second: []string{"Cache-Control: max-stale"}, want: isValidated},
	{name: "proxy-revalidate", says: []string{"Cache-Control: max-age=60, proxy-revalidate", tag}, later: 61 * time.Second, second: []string{"Cache-Control: max-stale=100"}, want: isValidated},
	{name: "must-understand, understood", says: []string{"Cache-Control: must-understand, no-store, max-age=60"}, want: isHit},
	{name: "must-understand, not", status: 299, says: []string{"Cache-Control: must-understand, max-age=60"}, want: isFetched},
	{name: "no-transform", says: []string{"Cache-Control: no-transform, max-age=60"}, want: isHit},
	{name: "immutable", says: []string{"Cache-Control: immutable, max-age=60"}, want: isHit},
	{name: "an extension", says: []string{`Cache-Control: community="UCI", max-age=60`}, want: isHit},

	// Other fields of responses.
	{name: "Expires", says: []string{expires(time.Minute)}, later: 59 * time.Second, want: isHit},
	{name: "Expires, stale", says: []string{expires(time.Minute)}, later: time.Minute, want: isFetched},
	{name: "Expires: 0", says: []string{"Expires: 0"}, want: isFetched},
	{name: "Expires twice", says: []string{expires(time.Minute), expires(time.Hour)}, want: isFetched},
	{name: "Expires gives way to max-age", says: []string{expires(time.Hour), "Cache-Control: max-age=0"}, want: isFetched},
	{name: "Expires by a clock that is wrong", says: []string{date(-time.Hour), expires(-time.Hour + 2*time.Minute)}, want: isFetched},
	{name: "Date in the past is age", says: []string{date(-50 * time.Second), "Cache-Control: max-age=60"}, later: 11 * time.Second, want: isFetched},
	{name: "Date in the future is not", says: []string{date(time.Hour), "Cache-Control: max-age=60"}, later: 59 * time.Second, want: isHit},
	{name: "Age", says: []string{"Age: 50", "Cache-Control: max-age=60"}, later: 9 * time.Second, want: isHit},
	{name: "Age, stale", says: []string{"Age: 50", "Cache-Control: max-age=60"}, later: 10 * time.Second, want: isFetched},
	{name: "Age that is none", says: []string{"Age: x", "Cache-Control: max-age=60"}, later: 59 * time.Second, want: isHit},
	{name: "Pragma of a response", says: []string{"Pragma: no-cache", "Cache-Control: max-age=60"}, want: isHit},
	{name: "Last-Modified alone", says: []string{lastModified(-10 * time.Hour)}, want: isFetched},
	{name: "guessed", rules: Rules{Heuristic: true}, says: []string{lastModified(-10 * time.Hour)}, later: 59 * time.Minute, want: isHit},
	{name: "guessed, stale", rules: Rules{Heuristic: true}, says: []string{lastModified(-10 * time.Hour)}, later: time.Hour, want: isValidated},
	{name: "guessed, a day at most", rules: Rules{Heuristic: true}, says: []string{lastModified(-10000 * time.Hour)}, later: 25 * time.Hour, want: isValidated},
	{name: "not guessed for 302", status: 302, rules: Rules{Heuristic: true}, says: []string{lastModified(-10 * time.Hour)}, want: isFetched},
	{name: "CDN-Cache-Control", says: []string{"CDN-Cache-Control: max-age=60", "Cache-Control: no-store"}, want: isHit},
	{name: "CDN-Cache-Control: no-store", says: []string{"CDN-Cache-Control: no-store", "Cache-Control: max-age=60"}, want: isFetched},
	{name: "CDN-Cache-Control, broken", says: []string{"CDN-Cache-Control: max age=60", "Cache-Control: max-age=60"}, want: isHit},
	{name: "X-Accel-Expires", says: []string{"X-Accel-Expires: 60", "Cache-Control: private"}, want: isHit},
	{name: "X-Accel-Expires: 0", says: []string{"X-Accel-Expires: 0", "Cache-Control: max-age=60"}, want: isFetched},
	{name: "X-Accel-Expires, a time", says: []string{"X-Accel-Expires: @1796040060"}, want: isHit},
	{name: "X-Accel-Expires, a time that is past", says: []string{"X-Accel-Expires: @1"}, want: isFetched},
	{name: "X-Accel-Expires: nonsense", says: []string{"X-Accel-Expires: soon", "Cache-Control: max-age=60"}, want: isHit},
	{name: "Set-Cookie", says: []string{"Set-Cookie: a=1", "Cache-Control: max-age=60"}, want: isFetched},
	{name: "Set-Cookie, public", says: []string{"Set-Cookie: a=1", "Cache-Control: public, max-age=60"}, want: isFetched},
	{name: "Set-Cookie, left out", says: []string{"Set-Cookie: a=1", `Cache-Control: no-cache="Set-Cookie", max-age=60`}, want: isHit},
	{name: "Set-Cookie, ignored", rules: Rules{Ignore: Ignore{SetCookie: true}}, says: []string{"Set-Cookie: a=1", "Cache-Control: max-age=60"}, want: isHit},
	{name: "Vary, alike", first: []string{"X-Kind: a"}, says: []string{"Vary: x-kind", "Cache-Control: max-age=60"}, second: []string{"X-Kind: a"}, want: isHit},
	{name: "Vary, unlike", first: []string{"X-Kind: a"}, says: []string{"Vary: x-kind", "Cache-Control: max-age=60"}, second: []string{"X-Kind: b"}, want: isFetched},
	{name: "Vary, not there", first: []string{"X-Kind: a"}, says: []string{"Vary: x-kind", "Cache-Control: max-age=60"}, want: isFetched},
	{name: "Vary, empty is not missing", first: []string{"X-Kind: "}, says: []string{"Vary: x-kind", "Cache-Control: max-age=60"}, want: isFetched},
	{name: "Vary, other white space", first: []string{"Accept-Encoding: gzip,br"}, says: []string{"Vary: Accept-Encoding", "Cache-Control: max-age=60"}, second: []string{"Accept-Encoding: GZIP ,  br"}, want: isHit},
	{name: "Vary: *", says: []string{"Vary: *", "Cache-Control: max-age=60"}, want: isFetched},
	{name: "Vary: x, *", says: []string{"Vary: Accept, *", "Cache-Control: max-age=60"}, want: isFetched},
	{name: "Vary, ignored", rules: Rules{Ignore: Ignore{Vary: true}}, says: []string{"Vary: *", "Cache-Control: max-age=60"}, want: isHit},
	{name: "an unknown status", status: 299, says: []string{"Cache-Control: max-age=60"}, want: isHit},
	{name: "404", status: 404, says: []string{"Cache-Control: max-age=60"}, want: isHit},
	{name: "500", status: 500, says: []string{"Cache-Control: max-age=60"}, want: isHit},
	{name: "a part", status: 206, says: []string{"Content-Range: bytes 0-4/9", "Cache-Control: max-age=60"}, want: isFetched},
	{name: "a deceiving name", says: []string{"Content-Type: text/html", "Cache-Control: max-age=60"}, rules: Rules{Space: "/me/x.css"}, want: isFetched},

	// Rules of ours.
	{name: "ttl", rules: Rules{TTL: map[int]time.Duration{200: time.Minute}}, later: 59 * time.Second, want: isHit},
	{name: "ttl, another status", status: 404, rules: Rules{TTL: map[int]time.Duration{200: time.Minute}}, want: isFetched},
	{name: "ttl, any", status: 404, rules: Rules{TTL: map[int]time.Duration{AnyStatus: time.Minute}}, want: isHit},
	{name: "ttl, any, but a refusal of how one has asked", status: 431, rules: Rules{TTL: map[int]time.Duration{AnyStatus: time.Minute}}, want: isFetched},
	{name: "ttl of a refusal of how one has asked", status: 429, rules: Rules{TTL: map[int]time.Duration{429: time.Minute}}, want: isHit},
	{name: "ttl and private", rules: Rules{TTL: map[int]time.Duration{200: time.Minute}}, says: []string{"Cache-Control: private"}, want: isFetched},
	{name: "ttl and private, ignored", rules: Rules{TTL: map[int]time.Duration{200: time.Minute}, Ignore: Ignore{CacheControl: true}}, says: []string{"Cache-Control: private"}, want: isHit},
	{name: "ttl gives way", rules: Rules{TTL: map[int]time.Duration{200: time.Hour}}, says: []string{"Cache-Control: max-age=10"}, later: 11 * time.Second, want: isFetched},

	// Credentials, 3.5, and cookies.
	{name: "Authorization", first: []string{"Authorization: Basic x"}, says: []string{"Cache-Control: max-age=60"}, want: isFetched},
	{name: "Authorization, public", first: []string{"Authorization: Basic x"}, says: []string{"Cache-Control: public, max-age=60"}, want: isHit},
	{name: "Authorization, s-maxage", first: []string{"Authorization: Basic x"}, says: []string{"Cache-Control: s-maxage=60"}, want: isHit},
	{name: "Authorization, must-revalidate", first: []string{"Authorization: Basic x"}, says: []string{"Cache-Control: must-revalidate, max-age=60"}, want: isHit},
	{name: "Authorization of the second", says: []string{"Cache-Control: max-age=60"}, second: []string{"Authorization: Basic x"}, want: isFetched},
	{name: "Authorization of the second, public", says: []string{"Cache-Control: public, max-age=60"}, second: []string{"Authorization: Basic x"}, want: isHit},
	{name: "a sender who is known", rules: known, first: []string{"X-User: a"}, says: []string{"Cache-Control: max-age=60"}, want: isFetched},
	{name: "a sender who is known, the second", rules: known, says: []string{"Cache-Control: max-age=60"}, second: []string{"X-User: a"}, want: isFetched},
	{name: "a sender who is known, public", rules: known, first: []string{"X-User: a"}, says: []string{"Cache-Control: public, max-age=60"}, want: isHit},
	{name: "a cookie", rules: anyCookie, first: []string{"Cookie: a=1"}, says: []string{"Cache-Control: max-age=60"}, want: isFetched},
	{name: "a cookie, public", rules: anyCookie, first: []string{"Cookie: a=1"}, says: []string{"Cache-Control: public, max-age=60"}, want: isHit},
	{name: "a cookie, must-revalidate", rules: anyCookie, first: []string{"Cookie: a=1"}, says: []string{"Cache-Control: must-revalidate, max-age=60"}, want: isFetched},
	{name: "a cookie of the second", rules: anyCookie, says: []string{"Cache-Control: max-age=60"}, second: []string{"Cookie: a=1"}, want: isFetched},
	{name: "a cookie that does not matter", rules: Rules{Cookies: []string{"session", "wp_*"}}, says: []string{"Cache-Control: max-age=60"}, second: []string{"Cookie: ads=1; sessions=2"}, want: isHit},
	{name: "a cookie that matters", rules: Rules{Cookies: []string{"session", "wp_*"}}, says: []string{"Cache-Control: max-age=60"}, second: []string{"Cookie: ads=1;session=2"}, want: isFetched},
	{name: "a cookie that matters, by its beginning", rules: Rules{Cookies: []string{"session", "wp_*"}}, says: []string{"Cache-Control: max-age=60"}, second: []string{"Cookie: wp_login=2"}, want: isFetched},

	// Request directives, 5.2.1.
	{name: "max-age of a request, young", says: []string{"Cache-Control: max-age=60"}, later: 5 * time.Second, second: []string{"Cache-Control: max-age=10"}, want: isHit},
	{name: "max-age of a request, old", says: []string{"Cache-Control: max-age=60", tag}, later: 15 * time.Second, second: []string{"Cache-Control: max-age=10"}, want: isValidated},
	{name: "max-age=0 of a request", says: []string{"Cache-Control: max-age=60", tag}, later: time.Second, second: []string{"Cache-Control: max-age=0"}, want: isValidated},
	{name: "max-stale", says: []string{"Cache-Control: max-age=60"}, later: 1000 * time.Second, second: []string{"Cache-Control: max-stale"}, want: isStale},
	{name: "max-stale=10", says: []string{"Cache-Control: max-age=60"}, later: 70 * time.Second, second: []string{"Cache-Control: max-stale=10"}, want: isStale},
	{name: "max-stale=10, too stale", says: []string{"Cache-Control: max-age=60", tag}, later: 71 * time.Second, second: []string{"Cache-Control: max-stale=10"}, want: isValidated},
	{name: "min-fresh", says: []string{"Cache-Control: max-age=60"}, later: 30 * time.Second, second: []string{"Cache-Control: min-fresh=30"}, want: isHit},
	{name: "min-fresh, not so fresh", says: []string{"Cache-Control: max-age=60", tag}, later: 31 * time.Second, second: []string{"Cache-Control: min-fresh=30"}, want: isValidated},
	{name: "no-cache of a request", says: []string{"Cache-Control: max-age=60", tag}, second: []string{"Cache-Control: no-cache"}, want: isValidated},
	{name: "Pragma: no-cache", says: []string{"Cache-Control: max-age=60", tag}, second: []string{"Pragma: no-cache"}, want: isValidated},
	{name: "Pragma beside Cache-Control", says: []string{"Cache-Control: max-age=60", tag}, second: []string{"Pragma: no-cache", "Cache-Control: max-age=10"}, want: isHit},
	{name: "no-store of the first", first: []string{"Cache-Control: no-store"}, says: []string{"Cache-Control: max-age=60"}, want: isFetched},
	{name: "no-transform of a request", says: []string{"Cache-Control: max-age=60"}, second: []string{"Cache-Control: no-transform"}, want: isHit},
	{name: "only-if-cached", says: []string{"Cache-Control: max-age=60"}, second: []string{"Cache-Control: only-if-cached"}, want: isHit},
	{name: "only-if-cached, stale", says: []string{"Cache-Control: max-age=60", tag}, later: 61 * time.Second, second: []string{"Cache-Control: only-if-cached"}, want: isGone},
	{name: "only-if-cached, stale will do", says: []string{"Cache-Control: max-age=60", tag}, later: 61 * time.Second, second: []string{"Cache-Control: only-if-cached, max-stale"}, want: isStale},
	{name: "a client that means nothing", rules: Rules{IgnoreClient: true}, says: []string{"Cache-Control: max-age=60"}, second: []string{"Cache-Control: no-cache, no-store", "Pragma: no-cache"}, want: isHit},

	// RFC 5861.
	{name: "stale-while-revalidate", says: []string{"Cache-Control: max-age=60, stale-while-revalidate=30", tag}, later: 90 * time.Second, want: isWhile},
	{name: "stale-while-revalidate, too stale", says: []string{"Cache-Control: max-age=60, stale-while-revalidate=30", tag}, later: 91 * time.Second, want: isValidated},
	{name: "stale-while-revalidate, s-maxage", says: []string{"Cache-Control: s-maxage=60, stale-while-revalidate=30", tag}, later: 70 * time.Second, want: isWhile},
	{name: "stale-while-revalidate, must-revalidate", says: []string{"Cache-Control: max-age=60, stale-while-revalidate=30, must-revalidate", tag}, later: 70 * time.Second, want: isValidated},
	{name: "stale-while-revalidate of a route", rules: Rules{WhileRevalidate: 30 * time.Second}, says: []string{"Cache-Control: max-age=60", tag}, later: 70 * time.Second, want: isWhile},
	{name: "stale-while-revalidate of a route gives way", rules: Rules{WhileRevalidate: 30 * time.Second}, says: []string{"Cache-Control: max-age=60, stale-while-revalidate=0", tag}, later: 70 * time.Second, want: isValidated},
}

var known = Rules{Known: func(r *http.Request) bool { return r.Header["X-User"] != nil }}

var anyCookie = Rules{Cookies: []string{"*"}}

func stamp(name string, d time.Duration) string {
	return name + ": " + start.Add(d).Format(http.TimeFormat)
}
func expires(d time.Duration) string      { return stamp("Expires", d) }
func date(d time.Duration) string         { return stamp("Date", d) }
func lastModified(d time.Duration) string { return stamp("Last-Modified", d) }

func TestDirectives(t *testing.T) {
	for _, tt := range directives {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := "/"
			if strings.HasPrefix(tt.rules.Space, "/") {
				path = tt.rules.Space
			}
			g := newRig(t, Config{}, tt.rules)
			conditional := false
			g.replies(func(w http.ResponseWriter, r *http.Request) {
				h := w.Header()
				set(h, tt.says)
				conditional = r.Header["If-None-Match"] != nil || r.Header["If-Modified-Since"] != nil
				if conditional {
					w.WriteHeader(304)
					return
				}
				if tt.status != 0 {
					w.WriteHeader(tt.status)
				}
				_, _ = io.WriteString(w, "hello")
			})
			status := tt.status
			if status == 0 {
				status = 200
			}
			g.want(g.get(path, tt.first...), status, "hello", 1)
			g.wait(tt.later)
			w := g.get(path, tt.second...)
			got := isHit
			stale := strings.Contains(w.Header().Get("Cache-Status"), "ttl=-")
			switch asked := g.asked.Load(); {
			case w.Code == 504:
				got = isGone
			case asked == 2 && stale:
				got = isWhile
			case asked == 2 && conditional:
				got = isValidated
			case asked == 2:
				got = isFetched
			case stale || strings.Contains(w.Header().Get("Cache-Status"), "ttl=0"):
				got = isStale
			}
			if got != tt.want {
				t.Errorf("%s, want %s: %v", got, tt.want, w.Header())
			}
			if got != isGone && (w.Code != status || w.Body.String() != "hello") {
				t.Errorf("%d %q", w.Code, w.Body)
			}
			if got == isHit {
				for _, name := range []string{"X-Secret", "Set-Cookie", "X-Accel-Expires"} {
					if w.Header()[name] != nil {
						t.Errorf("%s is stored", name)
					}
				}
			}
		})
	}
}

// TestIfError: RFC 5861, 4.
func TestIfError(t *testing.T) {
	for _, tt := range []struct {
		name    string
		rules   Rules
		control string
		later   time.Duration
		asks    string
		status  int
		hidden  bool
	}{
		{"not said", Rules{}, "max-age=60", 70 * time.Second, "", 503, false},
		{"said", Rules{}, "max-age=60, stale-if-error=30", 70 * time.Second, "", 503, true},
		{"said, 500", Rules{}, "max-age=60, stale-if-error=30", 70 * time.Second, "", 500, true},
		{"said, too late", Rules{}, "max-age=60, stale-if-error=30", 91 * time.Second, "", 503, false},
		{"said, 404 is no error", Rules{}, "max-age=60, stale-if-error=30", 70 * time.Second, "", 404, false},
		{"must-revalidate", Rules{}, "max-age=60, stale-if-error=30, must-revalidate", 70 * time.Second, "", 503, false},
		{"of a route", Rules{IfError: 30 * time.Second}, "max-age=60", 70 * time.Second, "", 502, true},
		{"of a request", Rules{}, "max-age=60", 70 * time.Second, "stale-if-error=30", 502, true},
		{"of a request that means nothing", Rules{IgnoreClient: true}, "max-age=60", 70 * time.Second, "stale-if-error=30", 502, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, Config{}, tt.rules)
			g.says(200, "good", "Cache-Control: "+tt.control)
			g.get("/")
			g.wait(tt.later)
			g.says(tt.status, "bad")
			var headers []string
			if tt.asks != "" {
				headers = append(headers, "Cache-Control: "+tt.asks)
			}
			w := g.get("/", headers...)
			if hidden := w.Code == 200 && w.Body.String() == "good"; hidden != tt.hidden || !hidden && w.Body.String() != "bad" {
				t.Errorf("%d %q", w.Code, w.Body)
			}
		})
	}
}
