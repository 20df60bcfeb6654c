package cache

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// FuzzControl: whatever stands in Cache-Control is read to its end, as the same
// thing however it is cut into headers; and what forbids storing is not lost to
// what stands beside it.
func FuzzControl(f *testing.F) {
	for _, s := range []string{
		"", "max-age=60", `no-cache="a, b", private=x`, `max-age="60"`, "no-store,,", "max age=3", `x="\"no-store"`, `private="`, "s-maxage=99999999999999999999",
		"=", ",=,", "max-age==1", "no-cache=", "public , must-revalidate\t, stale-while-revalidate=5", "\x00", "é",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := parseSaid([]string{text})
		for _, d := range []time.Duration{s.maxAge, s.sharedMaxAge, s.whileRevalidate, s.ifError} {
			if d < absent || d > maxSeconds*time.Second {
				t.Fatalf("%q: %v", text, d)
			}
		}
		for _, name := range append(s.noCacheFields, s.privateFields...) {
			if !isToken(name) || http.CanonicalHeaderKey(name) != name {
				t.Fatalf("%q: a field %q", text, name)
			}
		}
		after := parseSaid([]string{text, "no-store"})
		before := parseSaid([]string{"no-store", text})
		if !after.noStore && !after.broken || !before.noStore {
			t.Fatalf("%q hides no-store", text)
		}
		if !s.broken {
			joined := parseSaid([]string{text + ", no-store"})
			if !reflect.DeepEqual(joined, after) {
				t.Fatalf("%q: %+v joined, %+v apart", text, joined, after)
			}
		}
		parseAsked(http.Header{"Cache-Control": {text}, "Pragma": {text}})
		parseRange([]string{text}, 100)
	})
}

// FuzzKey: two requests have one key only if they are for the same thing; and
// the place of a request is what a person writes to purge it.
func FuzzKey(f *testing.F) {
	f.Add("/a?b", "/a%3fb", "h", "H")
	f.Add("/", "//", "a:80", "a")
	f.Add("/a/../b", "/b", "x", "x")
	f.Add("/%61", "/a", "x", "y")
	f.Add("/a b", "/a%20b", "[::1]:80", "[::1]")
	f.Fuzz(func(t *testing.T, a, b, hostA, hostB string) {
		request := func(target, host string) *http.Request {
			u, err := url.ParseRequestURI(target)
			if err != nil || !strings.HasPrefix(target, "/") || strings.ContainsAny(host, " /?#\x00") || strings.ContainsAny(target, " \x00") {
				return nil
			}
			return &http.Request{Method: "GET", URL: u, Host: host, RequestURI: target, Header: http.Header{}}
		}
		ra, rb := request(a, hostA), request(b, hostB)
		if ra == nil || rb == nil {
			return
		}
		var ru Rules
		same := a == b && string(appendHost(nil, hostA, false)) == string(appendHost(nil, hostB, false))
		if (ru.key(ra) == ru.key(rb)) != same {
			t.Fatalf("%q %q and %q %q: %q, %q", hostA, a, hostB, b, ru.key(ra), ru.key(rb))
		}
		other := Rules{Space: "x"}
		if other.key(ra) == ru.key(ra) {
			t.Fatal("two spaces have one key")
		}
		if got, host := placeOfText("http://" + hostA + a); hostA != "" && (!host || got != placeOf(ra)) {
			t.Fatalf("%q is purged as %q", placeOf(ra), got)
		}
		if placeOf(ra) == placeOf(rb) {
			p := (&What{URLs: []string{"http://" + hostA + a}}).compile()
			if hostA != "" && !p.matches(placeOf(rb), nil) {
				t.Fatalf("%q is not purged with %q", b, a)
			}
		}
		placeFrom(ra, b)
	})
}

// FuzzEntry: what decodes is encoded to the same bytes, and nothing else
// decodes.
func FuzzEntry(f *testing.F) {
	for _, name := range []string{"plain", "full"} {
		b, err := os.ReadFile("testdata/entries/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{})
	f.Add(make([]byte, trailerSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := parseHead(b); err == nil {
			again, err := parseHead(appendHead(nil, e))
			if err != nil || !reflect.DeepEqual(e, again) {
				t.Fatalf("%+v is read as %+v, %v", e, again, err)
			}
			// What is sent of it can stand in a response.
			w := httptest.NewRecorder()
			for name, values := range e.header {
				w.Header()[name] = values
			}
			if got := appendHead(nil, e); len(got) > len(b) {
				t.Fatalf("%d bytes of %d", len(got), len(b))
			}
		}
		if n := len(b); n >= trailerSize {
			tr, err := parseTrailer(b[n-trailerSize:], int64(n))
			if err != nil {
				return
			}
			if tr.body < 0 || tr.head < 0 || tr.at < tr.body || tr.at+tr.head+trailerSize != int64(n) {
				t.Fatalf("%+v in %d bytes", tr, n)
			}
			if got := tr.append(nil); !bytes.Equal(got[:40], b[n-trailerSize:n-trailerSize+40]) {
				t.Fatalf("%x is written as %x", b[n-trailerSize:], got)
			}
		}
	})
}

// FuzzDisk: a file with any content is an entry that is whole, or none.
func FuzzDisk(f *testing.F) {
	for _, name := range []string{"file", "freshened"} {
		b, err := os.ReadFile("testdata/entries/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := os.Create(t.TempDir() + "/f")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.Write(content); err != nil {
			t.Fatal(err)
		}
		e, size, err := (&disk{}).readHead(file)
		if err == nil && (size != int64(len(content)) || e.length > size || e.key == "") {
			t.Fatalf("%+v of %d bytes", e, size)
		}
	})
}

func TestEntryFiles(t *testing.T) {
	full := &entry{
		key: "space\x00http://h/a?b", place: "h/a?b", vary: []string{"Accept", "Cookie"}, varyValue: "\x01x\x02", status: 404, accel: "60",
		born: time.UnixMilli(1_700_000_000_123), came: time.UnixMilli(1_700_000_001_000), lifetime: time.Minute,
		validate: true, strict: true, public: true, whileRevalidate: -1 * time.Millisecond, ifError: time.Hour, tags: []string{"a", "b"},
		header: http.Header{"Etag": {`"v"`}, "Link": {"a", "b\xff"}},
	}
	for name, e := range map[string]*entry{"full": full, "plain": {key: "k", status: 200, born: time.UnixMilli(0), came: time.UnixMilli(1), header: http.Header{}}} {
		want := "testdata/entries/" + name
		got := appendHead(nil, e)
		b, err := os.ReadFile(want)
		if err != nil || !bytes.Equal(b, got) {
			t.Errorf("%s is not what is written: the format has changed, and needs another number\n%x, %v", want, got, err)
			continue
		}
		back, err := parseHead(b)
		if err != nil || !reflect.DeepEqual(back, e) {
			t.Errorf("%s: %+v, %v", want, back, err)
		}
	}
}
