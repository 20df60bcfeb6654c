package static

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseRange(t *testing.T) {
	const whole, none = "whole", "none"
	for header, want := range map[string]string{
		"bytes=0-0":                        "[{0 1}]",
		"bytes=0-":                         "[{0 100}]",
		"bytes=99-":                        "[{99 1}]",
		"bytes=-1":                         "[{99 1}]",
		"bytes=-100":                       "[{0 100}]",
		"bytes=-1000":                      "[{0 100}]",
		"bytes=10-19":                      "[{10 10}]",
		"bytes=10-1000":                    "[{10 90}]",
		"bytes=10-99999999999999999999999": "[{10 90}]",
		"bytes=-99999999999999999999999":   "[{0 100}]",
		"Bytes=1-2":                        "[{1 2}]",
		"bytes= 1-2 ":                      "[{1 2}]",
		"bytes=1-2, 5-6":                   "[{1 2} {5 2}]",
		"bytes=5-6,1-2":                    "[{5 2} {1 2}]",
		"bytes=,1-2,,":                     "[{1 2}]",
		"bytes=1-2,100-":                   "[{1 2}]",
		"bytes=1-2,-0":                     "[{1 2}]",
		"bytes=0-50,10-80":                 whole, // more than the whole
		"bytes=0-,0-":                      whole,
		"bytes=0-9,5-14":                   "[{0 10} {5 10}]",
		"bytes=100-":                       none,
		"bytes=100-200":                    none,
		"bytes=99999999999999999999999-":   none,
		"bytes=-0":                         none,
		"bytes=":                           none,
		"bytes=,":                          none,
		"bytes=-":                          none,
		"bytes=2-1":                        none,
		"bytes=1-2,2-1":                    none, // one is malformed: so is the header
		"bytes=1":                          none,
		"bytes=a-b":                        none,
		"bytes=1-2-3":                      none,
		"bytes=0x1-2":                      none,
		"bytes=+1-2":                       none,
		"bytes=1 - 2":                      none,
		"bytes=--1":                        none,
		"bytes=1-2;q=1":                    none,
		"lines=1-2":                        whole,
		"bytes":                            whole,
		"":                                 whole,
		"bytes=" + strings.Repeat("0-0,", 31) + "0-0": fmt.Sprint(slices.Repeat([]span{{0, 1}}, 32)),
		"bytes=" + strings.Repeat("0-0,", 32) + "0-0": whole,
	} {
		spans, satisfiable := parseRange([]string{header}, 100)
		got := fmt.Sprint(spans)
		switch {
		case !satisfiable:
			got = none
		case len(spans) == 0:
			got = whole
		}
		if got != want {
			t.Errorf("%.60q: %s, want %s", header, got, want)
		}
	}
	for _, values := range [][]string{nil, {"bytes=1-2", "bytes=3-4"}} {
		if spans, ok := parseRange(values, 100); spans != nil || !ok {
			t.Errorf("%q: %v, %v", values, spans, ok)
		}
	}
	if spans, ok := parseRange([]string{"bytes=0-5"}, 0); spans != nil || !ok {
		t.Errorf("of nothing: %v, %v", spans, ok)
	}
}

func FuzzRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-0", "bytes=-5", "bytes=5-", "bytes=1-2, 4-5", "bytes=9223372036854775807-9223372036854775808", "bytes=2-1", "lines=1-2", "bytes=,,"} {
		f.Add(seed, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		spans, satisfiable := parseRange([]string{header}, size)
		if !satisfiable && (spans != nil || size == 0) || len(spans) > maxRanges {
			t.Fatalf("%q of %d: %v, %v", header, size, spans, satisfiable)
		}
		var total int64
		for _, s := range spans {
			if s.start < 0 || s.length <= 0 || s.start > size-s.length {
				t.Fatalf("%q of %d: %v", header, size, spans)
			}
			total += s.length
		}
		if len(spans) > 1 && total >= size {
			t.Fatalf("%q of %d: %v is more than the whole", header, size, spans)
		}
		// What was read, written again, is read the same.
		if len(spans) > 0 {
			var parts []string
			for _, s := range spans {
				parts = append(parts, fmt.Sprintf("%d-%d", s.start, s.start+s.length-1))
			}
			again, ok := parseRange([]string{"bytes=" + strings.Join(parts, ",")}, size)
			if !ok || !slices.Equal(again, spans) {
				t.Fatalf("%q of %d: %v, then %v", header, size, spans, again)
			}
		}
	})
}

// Every condition of RFC 9110, 13, alone and in its order with others, for a
// file that is kept in memory and for one that is not.
func TestConditionTable(t *testing.T) {
	body := strings.Repeat("0123456789", 10_000)
	dir := tree(t, map[string]string{"big.bin": body, "small.bin": body[:100], "empty.bin": ""})
	h := handler(t, Options{Roots: []string{dir}, CacheControl: "max-age=5"})
	const at, before, after = "Mon, 03 Feb 2020 04:05:06 GMT", "Mon, 03 Feb 2020 04:05:05 GMT", "Mon, 03 Feb 2020 04:05:07 GMT"
	for _, c := range []struct {
		header string // "Name: value" lines; TAG is the file's
		status int
	}{
		{"If-Match: TAG", 200}, {"If-Match: *", 200}, {"If-Match: \"x\", TAG", 200}, {"If-Match: \"x\"\nIf-Match: TAG", 200},
		{"If-Match: W/TAG", 412}, {"If-Match: \"x\"", 412}, {"If-Match: ", 412}, {"If-Match: TAGx", 200}, {"If-Match: x", 412},
		{"If-Match: \"x\"\nIf-Unmodified-Since: " + after, 412}, {"If-Match: TAG\nIf-Unmodified-Since: " + before, 200},
		{"If-Unmodified-Since: " + at, 200}, {"If-Unmodified-Since: " + after, 200}, {"If-Unmodified-Since: " + before, 412},
		{"If-Unmodified-Since: yesterday", 200}, {"If-Unmodified-Since: " + before + "\nIf-Unmodified-Since: " + before, 200},
		{"If-None-Match: TAG", 304}, {"If-None-Match: W/TAG", 304}, {"If-None-Match: *", 304}, {"If-None-Match: \"x\",TAG", 304},
		{"If-None-Match: \"x\"\nIf-None-Match: TAG", 304}, {"If-None-Match: \"x\"", 200}, {"If-None-Match: ", 200},
		{"If-None-Match: \"x\" TAG", 304}, {"If-None-Match: , ,TAG", 304}, {"If-None-Match: x, TAG", 200}, {"If-None-Match: \"x", 200},
		{"If-None-Match: \"a,b\", TAG", 304}, {"If-None-Match: W/", 200}, {"If-None-Match: w/TAG", 200},
		{"If-None-Match: \"x\"\nIf-Modified-Since: " + after, 200}, {"If-None-Match: TAG\nIf-Modified-Since: " + before, 304},
		{"If-Modified-Since: " + at, 304}, {"If-Modified-Since: " + after, 304}, {"If-Modified-Since: " + before, 200},
		{"If-Modified-Since: Monday, 03-Feb-20 04:05:06 GMT", 304}, {"If-Modified-Since: Mon Feb  3 04:05:06 2020", 304},
		{"If-Modified-Since: 0", 200}, {"If-Modified-Since: ", 200},
		{"If-Match: TAG\nIf-None-Match: TAG", 304}, {"If-Match: \"x\"\nIf-None-Match: TAG", 412},
		{"If-Unmodified-Since: " + before + "\nIf-Modified-Since: " + at, 412},
		// Conditions go before ranges.
		{"Range: bytes=0-9", 206}, {"Range: bytes=0-9\nIf-None-Match: TAG", 304}, {"Range: bytes=0-9\nIf-Match: \"x\"", 412},
		{"Range: bytes=1000000-", 416}, {"Range: bytes=1000000-\nIf-None-Match: TAG", 304}, {"Range: bytes=1000000-\nIf-Match: \"x\"", 412},
		{"Range: bytes=0-9\nIf-Match: TAG", 206}, {"Range: bytes=0-9\nIf-Modified-Since: " + before, 206},
		{"Range: bytes=0-9\nRange: bytes=1-2", 200}, {"Range: lines=0-9", 200},
		{"Range: bytes=0-9\nIf-Range: TAG", 206}, {"Range: bytes=0-9\nIf-Range: W/TAG", 200}, {"Range: bytes=0-9\nIf-Range: \"x\"", 200},
		{"Range: bytes=0-9\nIf-Range: " + at, 206}, {"Range: bytes=0-9\nIf-Range: " + after, 200}, {"Range: bytes=0-9\nIf-Range: " + before, 200},
		{"Range: bytes=0-9\nIf-Range: *", 200}, {"Range: bytes=0-9\nIf-Range: TAG, TAG", 200}, {"Range: bytes=0-9\nIf-Range: ", 200},
		{"Range: bytes=0-9\nIf-Range: TAG\nIf-Range: TAG", 200}, {"Range: bytes=1000000-\nIf-Range: \"x\"", 200}, {"If-Range: TAG", 200},
	} {
		for _, name := range []string{"/big.bin", "/small.bin", "/empty.bin"} {
			for _, method := range []string{"GET", "HEAD"} {
				plain := get(h, "HEAD", name)
				tag, size := plain.Header().Get("Etag"), plain.Header().Get("Content-Length")
				r := request(name)
				r.Method = method
				for line := range strings.SplitSeq(c.header, "\n") {
					key, value, _ := strings.Cut(line, ": ")
					r.Header[key] = append(r.Header[key], strings.ReplaceAll(value, "TAG", tag))
				}
				w := record(h, r)
				want := c.status
				if (want == 206 || want == 416) && (method == "HEAD" || name == "/empty.bin") {
					want = 200
				}
				if w.Code != want {
					t.Errorf("%s %s with %q: %d, want %d", method, name, c.header, w.Code, want)
					continue
				}
				head := w.Header()
				length := head.Get("Content-Length")
				switch {
				case want == 200 && (length != size || head.Get("Last-Modified") != at),
					want == 206 && (length != "10" || head.Get("Content-Range") != "bytes 0-9/"+size || w.Body.String() != body[:10] || head.Get("Etag") != tag),
					want == 304 && (head.Get("Etag") != tag || head.Get("Cache-Control") != "max-age=5" || w.Body.Len() > 0 || head.Get("Content-Type") != ""),
					want == 412 && head.Get("Etag") != "",
					want == 416 && head.Get("Content-Range") != "bytes */"+size,
					method == "HEAD" && want < 400 && w.Body.Len() > 0,
					method == "GET" && want == 200 && fmt.Sprint(w.Body.Len()) != size:
					t.Errorf("%s %s with %q: %d with %v, %d bytes", method, name, c.header, want, head, w.Body.Len())
				}
			}
		}
	}
}

// A date is no validator while the file may still change within its second.
func TestIfRangeWithANewDate(t *testing.T) {
	dir := tree(t, map[string]string{"f": "0123456789"})
	now := time.Now().Add(time.Minute) // its Last-Modified is the time of the answer
	if err := os.Chtimes(filepath.Join(dir, "f"), now, now); err != nil {
		t.Fatal(err)
	}
	h := handler(t, Options{Roots: []string{dir}})
	w := get(h, "GET", "/f")
	last := w.Header().Get("Last-Modified")
	if at, err := http.ParseTime(last); err != nil || at.After(time.Now()) {
		t.Errorf("Last-Modified is %q, %v: in the future", last, err)
	}
	rep := &h.cache.get(h, "/f").reps[0]
	at := time.Unix(rep.modified, 0)
	for after, want := range map[time.Duration]bool{0: false, 999 * time.Millisecond: false, time.Second: true} {
		if got := ranged(http.Header{"If-Range": {last}}, rep, at.Add(after)); got != want {
			t.Errorf("%v after its date: %v, want %v", after, got, want)
		}
	}
}

func TestSeveralRanges(t *testing.T) {
	body := strings.Repeat("0123456789", 10_000)
	dir := tree(t, map[string]string{"big.txt": body, "small.txt": body[:1000], "small.txt.gz": body[:500]})
	h := handler(t, Options{Roots: []string{dir}, Precompressed: true})
	for _, name := range []string{"/big.txt", "/small.txt", "/small.txt"} { // the last time from memory
		w := record(h, request(name, "Range", "bytes=5-9, 0-1,900-909,-3"))
		mediaType, params, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
		if err != nil || w.Code != 206 || mediaType != "multipart/byteranges" || w.Header().Get("Content-Range") != "" {
			t.Fatalf("%s: %d, %v", name, w.Code, w.Header())
		}
		if got := w.Header().Get("Content-Length"); got != fmt.Sprint(w.Body.Len()) {
			t.Errorf("%s: Content-Length is %s of %d bytes", name, got, w.Body.Len())
		}
		size := map[string]int{"/big.txt": 100_000, "/small.txt": 1000}[name]
		parts := multipart.NewReader(w.Body, params["boundary"])
		for _, s := range []span{{5, 5}, {0, 2}, {900, 10}, {int64(size) - 3, 3}} {
			p, err := parts.NextPart()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(p)
			if err != nil || string(got) != body[s.start:][:s.length] || p.Header.Get("Content-Range") != contentRange(s, int64(size)) || p.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("%s: %v: %q, %v, %v", name, s, got, p.Header, err)
			}
		}
		if _, err := parts.NextPart(); err != io.EOF {
			t.Errorf("%s: after the last part: %v", name, err)
		}
	}
	// One that is left is no multipart; and parts of an encoding would not decode.
	if w := record(h, request("/small.txt", "Range", "bytes=0-1,5000-")); w.Code != 206 || w.Header().Get("Content-Range") != "bytes 0-1/1000" {
		t.Errorf("%d, %v", w.Code, w.Header())
	}
	if w := record(h, request("/small.txt", "Range", "bytes=0-1,4-5", "Accept-Encoding", "gzip")); w.Code != 200 || w.Body.Len() != 500 {
		t.Errorf("%d, %v, %d bytes", w.Code, w.Header(), w.Body.Len())
	}
	if w := record(h, request("/small.txt", "Range", "bytes=0-1", "Accept-Encoding", "gzip")); w.Code != 206 || w.Header().Get("Content-Range") != "bytes 0-1/500" || w.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("%d, %v", w.Code, w.Header())
	}
}

// FuzzConditions: no conditions make another answer than these, and what is
// sent is what is promised.
func FuzzConditions(f *testing.F) {
	body := strings.Repeat("0123456789", 100)
	dir := tree(f, map[string]string{"f": body})
	h := handler(f, Options{Roots: []string{dir}})
	tag := get(h, "GET", "/f").Header().Get("Etag")
	f.Add(tag, "", "", "", "", "")
	f.Add("", tag+`, "x"`, "", "", "bytes=0-1", tag)
	f.Add("*", `W/"x"`, "Mon, 03 Feb 2020 04:05:06 GMT", "Mon, 03 Feb 2020 04:05:06 GMT", "bytes=1-2,4-5", "Mon, 03 Feb 2020 04:05:06 GMT")
	f.Fuzz(func(t *testing.T, match, none, modified, unmodified, ranges, ifRange string) {
		r := request("/f")
		for key, value := range map[string]string{"If-Match": match, "If-None-Match": none, "If-Modified-Since": modified,
			"If-Unmodified-Since": unmodified, "Range": ranges, "If-Range": ifRange} {
			if value != "" {
				r.Header.Set(key, value)
			}
		}
		w := record(h, r)
		ok := false
		switch w.Code {
		case 200:
			ok = w.Body.String() == body
		case 206:
			ok = ranges != "" && (strings.HasPrefix(w.Header().Get("Content-Type"), "multipart/") || strings.Contains(body, w.Body.String()))
		case 304:
			ok = (none != "" || modified != "") && w.Body.Len() == 0
		case 412:
			ok = match != "" || unmodified != ""
		case 416:
			ok = ranges != ""
		}
		if length := w.Header().Get("Content-Length"); length != "" && length != fmt.Sprint(w.Body.Len()) {
			ok = false
		}
		if !ok {
			t.Errorf("%v: %d, %v, %d bytes", r.Header, w.Code, w.Header(), w.Body.Len())
		}
	})
}
